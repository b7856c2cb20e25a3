//! A window as it goes on the wire: bounded here and nowhere before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::routes::WindowRoute;
use super::{Ticks, Window};
use crate::limits::{TOP_ROUTES, TYPES_PER_TICK};
use crate::sketch::LatencyBins;
use crate::tick::{OTHER, TypeCounts, class_name};
use crate::wire::server::{Aggregate, Latency, Nodes, Notice, OtherRoutes, RouteRow};

/// What an aggregate says besides the window's own numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    /// Time of the newest event up to the window's end, in it or before it, Unix ms.
    pub last_event_ms: Option<i64>,
    /// How far counting is behind accepting, ms.
    pub behind_ms: u64,
    /// Instances in it.
    pub nodes: Nodes,
    /// What is not as it should be; nothing in what is looked back at.
    pub notices: Vec<Notice>,
}

impl Default for Around {
    fn default() -> Self {
        Self {
            last_event_ms: None,
            behind_ms: 0,
            nodes: Nodes { reporting: 1, expected: 1 },
            notices: Vec::new(),
        }
    }
}

impl Window {
    /// The window on the wire. `ticks` must hold those of the window.
    pub fn render(&self, ticks: &mut Ticks, around: &Around) -> Aggregate {
        let span = self.first()..=self.tick;
        let (active_users, active_sessions) = ticks.distinct(span.clone());
        let max = ticks.range(span).map(|(_, summary)| summary.totals.latency.max());
        let max = max.fold(0.0, f64::max);
        let (top_routes, other_routes) = self.top_routes(ticks);
        Aggregate {
            window: self.name.to_string(),
            tick: self.tick,
            from: self.first() * 1_000,
            to: (self.tick + 1) * 1_000,
            events: self.events,
            events_per_second: self.events as f64 / f64::from(self.secs),
            active_users,
            active_sessions,
            errors: self.errors,
            error_rate: ratio(self.errors, self.events),
            status_classes: classes(&self.classes),
            types: types(&self.types),
            latency_ms: latency(&self.latency, max),
            top_routes,
            other_routes,
            late: self.late,
            skewed: self.skewed,
            last_event_at: around.last_event_ms,
            behind_ms: around.behind_ms,
            nodes: around.nodes,
            notices: around.notices.clone(),
        }
    }

    fn top_routes(&self, ticks: &Ticks) -> (Vec<RouteRow>, OtherRoutes) {
        let before = |a: &WindowRoute, b: &WindowRoute| {
            (b.events, &a.name).cmp(&(a.events, &b.name)).is_lt()
        };
        let mut top: Vec<&WindowRoute> = Vec::with_capacity(TOP_ROUTES + 1);
        for row in self.routes.iter() {
            if top.len() == TOP_ROUTES && before(top[TOP_ROUTES - 1], row) {
                continue;
            }
            let at = top.partition_point(|other| before(other, row));
            top.insert(at, row);
            top.truncate(TOP_ROUTES);
        }
        let other_events = self.routes.other_events;
        let other_routes = OtherRoutes {
            routes: (self.routes.len() - top.len()) as u64 + u64::from(other_events > 0),
            events: self.events - top.iter().map(|row| row.events).sum::<u64>(),
            errors: self.errors - top.iter().map(|row| row.errors).sum::<u64>(),
        };
        let mut bins = LatencyBins::default();
        let rows = top.into_iter().map(|row| {
            bins.clear();
            for (_, summary) in ticks.range(self.first()..=self.tick) {
                if let Some(stats) = summary.routes.get(row.hash, &row.name) {
                    bins.merge_sparse(&stats.latency);
                }
            }
            route_row(&row.name, (row.events, row.errors), &bins)
        });
        (rows.collect(), other_routes)
    }
}

/// A row of a table of routes.
pub(super) fn route_row(
    name: &Arc<str>,
    (events, errors): (u64, u64),
    bins: &LatencyBins,
) -> RouteRow {
    RouteRow {
        route: Arc::clone(name),
        events,
        errors,
        error_rate: ratio(errors, events).unwrap_or(0.0),
        p95: bins.quantiles([0.95]).map(|[p95]| p95),
    }
}

/// Errors per event, to six digits.
pub(super) fn ratio(errors: u64, events: u64) -> Option<f64> {
    (events > 0).then(|| (errors as f64 / events as f64 * 1e6).round() / 1e6)
}

pub(super) fn classes(counts: &[u64; 5]) -> BTreeMap<String, u64> {
    let some = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    some.map(|(index, count)| (class_name(index).to_owned(), *count)).collect()
}

/// At most 101 types, `other` among them: those with the most events, then by name.
fn types(counts: &TypeCounts) -> BTreeMap<String, u64> {
    let mut rows = counts.sorted();
    rows.sort_by_key(|(kind, count)| (&***kind == OTHER, std::cmp::Reverse(*count)));
    let mut types = BTreeMap::new();
    for (nth, (kind, count)) in rows.into_iter().enumerate() {
        let kind = if nth < TYPES_PER_TICK { kind } else { OTHER };
        *types.entry(kind.to_owned()).or_default() += count;
    }
    types
}

/// Quantiles, none above the exact maximum.
pub(super) fn latency(bins: &LatencyBins, max: f64) -> Option<Latency> {
    let values = bins.quantiles([0.5, 0.95, 0.99])?;
    let [p50, p95, p99] = values.map(|ms| ms.min(max));
    Some(Latency { count: bins.count(), p50, p95, p99, max })
}
