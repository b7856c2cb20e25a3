//! A table of routes in an order, bounded.

use super::render::route_row;
use crate::sketch::LatencyBins;
use crate::tick::RouteTable;
use crate::wire::server::{OtherRoutes, RouteRow};

/// How a table of routes is ordered, largest first; equal ones by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteSort {
    /// By events.
    #[default]
    Events,
    /// By errors.
    Errors,
    /// By 95th percentile of latency; routes without latency come last.
    P95,
}

/// The first routes in an order, and what is not among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routes {
    /// In the order asked for.
    pub routes: Vec<RouteRow>,
    /// All others together.
    pub other_routes: OtherRoutes,
}

/// The first `limit` routes of a table.
pub fn ranked(table: &RouteTable, sort: RouteSort, limit: usize) -> Routes {
    let mut bins = LatencyBins::default();
    let rows = table.rows().iter().map(|row| {
        bins.clear();
        bins.merge_sparse(&row.latency);
        route_row(&row.name, (row.events, row.errors), &bins)
    });
    let mut rows: Vec<RouteRow> = rows.collect();
    rows.sort_unstable_by(|a, b| {
        let order = match sort {
            RouteSort::Events => b.events.cmp(&a.events),
            RouteSort::Errors => b.errors.cmp(&a.errors),
            RouteSort::P95 => b.p95.unwrap_or(-1.0).total_cmp(&a.p95.unwrap_or(-1.0)),
        };
        order.then_with(|| a.route.cmp(&b.route))
    });
    let rest = rows.split_off(limit.min(rows.len()));
    let other_routes = OtherRoutes {
        routes: rest.len() as u64 + u64::from(table.other_events > 0),
        events: rest.iter().map(|row| row.events).sum::<u64>() + table.other_events,
        errors: rest.iter().map(|row| row.errors).sum::<u64>() + table.other_errors,
    };
    Routes { routes: rows, other_routes }
}
