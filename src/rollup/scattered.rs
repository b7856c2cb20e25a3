//! Tumbling buckets, filled with events in no order of time.

use super::Plan;
use crate::sketch::{Distinct, LatencyBins};
use crate::tick::{Sample, Totals};
use crate::window::{Point, columns};
use crate::wire::server::History;

/// Counts events, each in the bucket it is in. A bucket holds at most 10 KB.
#[derive(Debug)]
pub struct Scattered {
    plan: Plan,
    buckets: Vec<Option<Box<Bucket>>>,
}

/// What a history point needs.
#[derive(Debug, Default)]
struct Bucket {
    events: u64,
    errors: u64,
    classes: [u64; 5],
    users: Distinct,
    latency: LatencyBins,
}

impl Scattered {
    /// Empty buckets.
    pub fn new(plan: Plan) -> Self {
        let mut buckets = Vec::new();
        buckets.resize_with(plan.points() as usize, || None);
        Self { plan, buckets }
    }

    /// Counts an event of a tick; those before or after all buckets are passed over.
    pub fn add(&mut self, tick: i64, sample: &Sample<'_>) {
        if !(self.plan.from..self.plan.to).contains(&tick) {
            return;
        }
        let index = (tick - self.plan.from) / i64::from(self.plan.step_secs);
        let bucket = self.buckets[index as usize].get_or_insert_default();
        bucket.events += 1;
        bucket.errors += u64::from(sample.is_error);
        if let Some(class) = sample.class {
            bucket.classes[usize::from(class)] += 1;
        }
        if let Some(actor) = sample.actor {
            bucket.users.add(actor);
        }
        if let Some((bin, ms)) = sample.latency {
            bucket.latency.add_bin(bin, ms);
        }
    }

    /// The buckets as columns. `is_real` says by a bucket's place whether somebody was up for it;
    /// where nobody was and nothing was counted it is null.
    pub fn finish(self, is_real: impl Fn(usize) -> bool) -> History {
        let (from, step) = (self.plan.from, i64::from(self.plan.step_secs));
        let points: Vec<Option<Point>> = self
            .buckets
            .into_iter()
            .enumerate()
            .map(|(nth, bucket)| match bucket {
                Some(bucket) => Some(bucket.point()),
                None => is_real(nth).then(Point::default),
            })
            .collect();
        let points = points.iter().enumerate();
        columns(&points.map(|(nth, point)| (from + nth as i64 * step, *point)))
    }
}

impl Bucket {
    fn point(self) -> Point {
        let totals = Totals {
            events: self.events,
            errors: self.errors,
            classes: self.classes,
            latency: self.latency,
            ..Totals::default()
        };
        Point::bucket(&totals, self.users.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventBatch, Row};
    use crate::rollup::Buckets;
    use crate::tick::{Names, TickSummary};

    #[test]
    fn in_whatever_order_the_numbers_are_those_of_buckets_filled_in_order() {
        let plan = Plan::new(0, 50_000, Some(10), 0).unwrap();
        let mut batch = EventBatch::default();
        for (secs, user, status) in [
            (41, "u2", 500),
            (3, "u1", 200),
            (-1, "u9", 200),
            (9, "u1", 404),
            (3, "u3", 0),
            (50, "u1", 200),
        ] {
            let (user_id, route) = (batch.add_text(user), batch.add_text("/a"));
            let at_ms = secs * 1_000;
            let latency_ms = f64::from(status) + 1.0;
            let row = Row { latency_ms, route, user_id, status, ..Row::default() };
            batch.push(Row { arrival_ms: at_ms, timestamp_ms: at_ms, ..row });
        }
        let mut scattered = Scattered::new(plan);
        batch.iter().for_each(|event| scattered.add(event.tick(), &Sample::from(event)));
        let mut ordered = Buckets::new(plan);
        let mut names = Names::default();
        for tick in -5..60 {
            let mut summary = TickSummary::default();
            let inside = batch.iter().filter(|event| event.tick() == tick);
            for event in inside {
                summary.add(&Sample::from(event), &mut names, 10);
            }
            if tick < 20 || summary.totals.events > 0 {
                ordered.add(tick, &summary.totals);
            }
        }
        let history = scattered.finish(|nth| nth < 2);
        assert_eq!(history, ordered.finish());
        assert_eq!(history.events, [Some(3), Some(0), None, None, Some(1)]);
    }
}
