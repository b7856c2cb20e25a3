//! Stored questions where there is a shared store: it is asked instead of what is kept here, and what
//! it cannot be asked is a refusal, never an answer from here alone.
//!
//! What is kept here still says how a span is cut, which ticks there can be, and when somebody was
//! up. Blocking, as everything that asks the store.

use http::StatusCode;
use pulseboard::event::EventBatch;
use pulseboard::filter::Filter;
use pulseboard::rollup::{MINUTE, Plan};
use pulseboard::window::ranked;
use pulseboard::wire::server::Aggregate;

use super::problem::Problem;
use super::windows::{at_problem, range_problem};
use crate::aggregate::{
    AtError, Events, RangeError, RangeHistory, RouteSort, Routes, ScanError, Views, Wanted,
};
use crate::store::mongodb::{Archive, ArchiveError};

/// When to come back, in seconds: an election takes about as long.
const RETRY_AFTER_SECS: u32 = 5;

/// A refusal as a problem document.
pub(super) fn problem(error: &ArchiveError) -> Problem {
    let unavailable = |code, secs| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, error.to_string())
            .retry_after_secs(secs)
    };
    match error {
        ArchiveError::Unavailable(_) => unavailable("store_unavailable", RETRY_AFTER_SECS),
        ArchiveError::Busy => unavailable("busy", 2),
        ArchiveError::TookTooLong => Problem::query("from", "too_much_to_read", error.to_string()),
        ArchiveError::Local(_) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store_unreadable", error.to_string())
        }
    }
}

/// The store's events, to be counted for a filter.
struct Counted<'a>(&'a Archive);

impl Events for Counted<'_> {
    fn each(
        &self,
        filter: &Filter,
        wanted: Wanted,
        visit: &mut dyn FnMut(&EventBatch) -> bool,
    ) -> Result<(), ScanError> {
        let counted = self.0.count(filter, wanted.arrived_ms, wanted.timed_ms, visit);
        counted.map_err(|error| match error {
            ArchiveError::Busy => ScanError::Busy,
            ArchiveError::TookTooLong => ScanError::TooLong,
            ArchiveError::Unavailable(_) | ArchiveError::Local(_) => ScanError::Unavailable,
        })
    }

    fn kept_from_ms(&self) -> Option<i64> {
        self.0.kept_from_ms()
    }
}

/// Tumbling buckets over a span.
pub(super) fn history(
    archive: Option<&Archive>,
    views: &Views,
    filter: &Filter,
    (from_ms, to_ms): (i64, i64),
    step_secs: Option<u32>,
) -> Result<RangeHistory, Problem> {
    let counted = archive.map(Counted);
    let events = counted.as_ref().map(|counted| counted as &dyn Events);
    let through = views.through(filter).counting(events);
    let found = through.range_history(from_ms, to_ms, step_secs);
    let mut found = found.map_err(|error| range_problem(&error))?;
    if let Some(archive) = archive.filter(|_| filter.is_empty()) {
        let (from, to) = (found.from_ms / 1_000, found.to_ms / 1_000);
        let plan = Plan { step_secs: found.step_secs, from, to };
        let is_real = |nth: usize| found.history.events.get(nth).is_some_and(Option::is_some);
        found.history = archive.history(plan, &is_real).map_err(|error| problem(&error))?;
    }
    Ok(found)
}

/// Routes of every minute that touches a span.
pub(super) fn routes(
    archive: Option<&Archive>,
    views: &Views,
    filter: &Filter,
    (from_ms, to_ms): (i64, i64),
    sort: RouteSort,
    limit: usize,
) -> Result<Routes, Problem> {
    let Some(archive) = archive else {
        let routes = views.through(filter).range_routes(from_ms, to_ms, sort, limit);
        return routes.map_err(|error| range_problem(&error));
    };
    if !filter.is_empty() {
        let counted = Counted(archive);
        let through = views.through(filter).counting(Some(&counted));
        let routes = through.range_routes(from_ms, to_ms, sort, limit);
        return routes.map_err(|error| range_problem(&error));
    }
    // Widened to whole minutes, and held within the years there are.
    let plan = Plan::new(from_ms, to_ms, None, i64::MAX);
    let plan = plan.map_err(|error| range_problem(&RangeError::from(error)))?;
    let (first, last) = (from_ms.div_euclid(1_000), (to_ms - 1).div_euclid(1_000));
    let (first, last) = (first.clamp(plan.from, plan.to), last.clamp(plan.from, plan.to));
    let range = (first.div_euclid(MINUTE) * MINUTE, (last.div_euclid(MINUTE) + 1) * MINUTE);
    let table = archive.routes(range).map_err(|error| problem(&error))?;
    Ok(ranked(&table, sort, limit))
}

/// A window as it was at a tick.
pub(super) fn at(
    archive: Option<&Archive>,
    views: &Views,
    filter: &Filter,
    window: &str,
    tick: i64,
) -> Result<Aggregate, Problem> {
    let counted = archive.map(Counted);
    let events = counted.as_ref().map(|counted| counted as &dyn Events);
    let here = views.through(filter).counting(events).at(window, tick);
    let Some(archive) = archive.filter(|_| filter.is_empty() && tick < views.latest().tick) else {
        return here.map_err(|error| at_problem(&error));
    };
    if let Err(error) = &here
        && !matches!(error, AtError::Gap { .. })
    {
        return Err(at_problem(error));
    }
    let secs = window.strip_suffix('s').and_then(|secs| secs.parse().ok());
    let Some(secs) = secs else { return here.map_err(|error| at_problem(&error)) };
    match archive.at(secs, tick).map_err(|error| problem(&error))? {
        // Whoever counted something in it was up then.
        Some((stored, has_tick)) if has_tick || here.is_ok() => Ok(stored),
        _ => here.map_err(|error| at_problem(&error)),
    }
}
