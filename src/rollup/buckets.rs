//! Tumbling buckets, filled in order of time.

use super::Plan;
use crate::sketch::DistinctUnion;
use crate::tick::Totals;
use crate::window::{Point, columns};
use crate::wire::server::History;

/// Adds up totals that come in order of time, a bucket at a time.
#[derive(Debug)]
pub struct Buckets {
    plan: Plan,
    points: Vec<Option<Point>>,
    /// First tick of the bucket being filled, and what is in it.
    open: Option<(i64, Totals, DistinctUnion)>,
}

impl Buckets {
    /// Empty buckets.
    pub fn new(plan: Plan) -> Self {
        Self { plan, points: vec![None; plan.points() as usize], open: None }
    }

    /// Adds totals to the bucket that `tick` is in; those before or after all buckets are passed
    /// over. Buckets must come in order.
    pub fn add(&mut self, tick: i64, totals: &Totals) {
        if !(self.plan.from..self.plan.to).contains(&tick) {
            return;
        }
        let bucket = self.plan.bucket_of(tick);
        if self.open.as_ref().is_none_or(|(open, ..)| *open != bucket) {
            self.close();
            self.open = Some((bucket, Totals::default(), DistinctUnion::default()));
        }
        if let Some((_, sums, users)) = &mut self.open {
            sums.merge_counts(totals);
            users.add(&totals.users);
        }
    }

    fn close(&mut self) {
        if let Some((bucket, sums, users)) = self.open.take() {
            let index = (bucket - self.plan.from) / i64::from(self.plan.step_secs);
            let slot = &mut self.points[index as usize];
            debug_assert!(slot.is_none(), "buckets come in order");
            *slot = Some(Point::bucket(&sums, users.count()));
        }
    }

    /// The buckets as columns; null where nobody was up and nothing was imported.
    pub fn finish(mut self) -> History {
        self.close();
        let (from, step) = (self.plan.from, i64::from(self.plan.step_secs));
        let points = self.points.iter().enumerate();
        columns(&points.map(|(nth, point)| (from + nth as i64 * step, *point)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_total_is_in_exactly_one_bucket() {
        let plan = Plan::new(0, 30_000, Some(10), 0).unwrap();
        let mut buckets = Buckets::new(plan);
        for tick in [-1, 0, 9, 9, 25, 30] {
            let mut totals = Totals { events: 1, ..Totals::default() };
            totals.users.add(if tick == 0 { "u1" } else { "u2" });
            buckets.add(tick, &totals);
        }
        let history = buckets.finish();
        assert_eq!(history.tick, [0, 10, 20]);
        assert_eq!(history.events, [Some(3), None, Some(1)]);
        assert_eq!(history.active_users, [Some(2), None, Some(1)]);
    }
}
