//! One entry of a history: the few numbers of a window that charts draw.

use super::Ticks;
use super::render::latency;
use crate::sketch::LatencyBins;
use crate::tick::{Totals, class_name};
use crate::wire::server::{Aggregate, History};

/// A window's or a bucket's numbers, as charts draw them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Events.
    pub events: u64,
    /// Active users.
    pub active_users: u64,
    /// Errors.
    pub errors: u64,
    /// Events by status class, `1xx` to `5xx`.
    pub classes: [u64; 5],
    /// p50, p95, p99 in ms; `None` without latencies.
    pub latency: Option<[f64; 3]>,
}

impl Point {
    /// The same numbers as an aggregate.
    pub fn of(aggregate: &Aggregate) -> Self {
        let class = |index| aggregate.status_classes.get(class_name(index)).copied();
        Self {
            events: aggregate.events,
            active_users: aggregate.active_users,
            errors: aggregate.errors,
            classes: std::array::from_fn(|index| class(index).unwrap_or(0)),
            latency: aggregate.latency_ms.map(|ms| [ms.p50, ms.p95, ms.p99]),
        }
    }

    /// The numbers of the window of `secs` that ends at `tick`, without its routes and types: what
    /// is needed of it when an earlier tick changed.
    pub fn at(ticks: &mut Ticks, secs: u32, tick: i64) -> Self {
        let span = tick - i64::from(secs) + 1..=tick;
        let mut sums = Totals::default();
        ticks.range(span.clone()).for_each(|(_, summary)| sums.merge_counts(&summary.totals));
        Self::with(&sums, &sums.latency, ticks.distinct_users(span))
    }

    /// The numbers of a bucket.
    pub(crate) fn bucket(totals: &Totals, active_users: u64) -> Self {
        Self::with(totals, &totals.latency, active_users)
    }

    fn with(sums: &Totals, bins: &LatencyBins, active_users: u64) -> Self {
        Self {
            events: sums.events,
            active_users,
            errors: sums.errors,
            classes: sums.classes,
            latency: latency(bins, bins.max()).map(|ms| [ms.p50, ms.p95, ms.p99]),
        }
    }
}

/// Points as columns, `None` being a tick nobody was up for. A class that never occurs is absent.
pub fn columns<P>(points: &P) -> History
where
    P: Iterator<Item = (i64, Option<Point>)> + Clone,
{
    let mut history = History::default();
    for (tick, point) in points.clone() {
        let latency = point.and_then(|point| point.latency);
        history.tick.push(tick);
        history.events.push(point.map(|point| point.events));
        history.active_users.push(point.map(|point| point.active_users));
        history.errors.push(point.map(|point| point.errors));
        history.p50.push(latency.map(|[p50, _, _]| p50));
        history.p95.push(latency.map(|[_, p95, _]| p95));
        history.p99.push(latency.map(|[_, _, p99]| p99));
    }
    for index in 0..5 {
        let column = points.clone().map(|(_, point)| point.map(|point| point.classes[index]));
        if column.clone().any(|count| count.is_some_and(|count| count > 0)) {
            history.status_classes.insert(class_name(index).to_owned(), column.collect());
        }
    }
    history
}
