//! Answers made from the events themselves: what a filter lets through of a span, counted anew on
//! the asking thread.
//!
//! A scan reads the journal, or a shared store, batch by batch and holds one batch and what it counts. Two run at a
//! time, each for 10 s at most; past it the question is refused, and says so. Nothing is kept.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use pulseboard::event::{Class, EventBatch, EventRef};
use pulseboard::filter::Filter;
use pulseboard::limits::LIVE_AGE_MS;
use pulseboard::rollup::{MINUTE, Plan, Scattered, minute_of_event};
use pulseboard::tick::{Names, RouteTable, Sample};
use pulseboard::window::{Around, RouteSort, Routes, Ticks, Window, ranked};
use pulseboard::wire::server::Aggregate;

use super::ranges;
use super::shared::Shared;
use super::source::{Events, Past, Wanted};
use super::views::{AtError, RangeError, RangeHistory};

/// Scans at a time.
const AT_ONCE: usize = 2;
/// How long a scan waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// How long a scan may run.
const LONGEST: Duration = Duration::from_secs(10);
/// Routes told apart in one answer; the events of others are counted in `otherRoutes`.
const ROUTES_MAX: usize = 100_000;
/// How far back the last event before a window is looked for.
const LAST_EVENT_WITHIN_MS: i64 = 3_600_000;
/// The latest own time of an event, after its arrival.
const AHEAD_MS: i64 = pulseboard::limits::AHEAD_MS;

/// Why a question with a filter is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Others are being answered.
    #[error("{AT_ONCE} filtered questions are being answered; ask again")]
    Busy,
    /// It took longer than it may.
    #[error(
        "reading that many events takes over {} s; ask for a shorter span", LONGEST.as_secs()
    )]
    TooLong,
    /// Events that far back are gone.
    #[error("events are kept from {from_ms} (Unix ms) on; a filter reaches no further back")]
    NotKept {
        /// Earliest arrival from which on all are there, Unix ms.
        from_ms: i64,
    },
    /// The shared store cannot be asked; readiness says why.
    #[error("the shared store cannot be asked now; ask again")]
    Unavailable,
}

impl ScanError {
    /// Stable snake_case.
    pub fn code(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::TooLong => "too_much_to_read",
            Self::NotKept { .. } => "events_not_kept",
            Self::Unavailable => "store_unavailable",
        }
    }
}

/// The journal's events.
pub(super) struct Journaled<'a>(pub(super) &'a dyn Past);

impl Events for Journaled<'_> {
    fn each(
        &self,
        _: &Filter,
        wanted: Wanted,
        visit: &mut dyn FnMut(&EventBatch) -> bool,
    ) -> Result<(), ScanError> {
        for (_, batch) in self.0.stored(wanted) {
            if !visit(&batch) {
                break;
            }
        }
        Ok(())
    }

    fn kept_from_ms(&self) -> Option<i64> {
        self.0.kept_from_ms()
    }
}

/// How many scans run.
#[derive(Default)]
pub(super) struct Scans {
    running: Mutex<usize>,
    free: Condvar,
}

/// Who is asked, and whose events are counted.
pub(super) type Asked<'a> = (&'a Shared, &'a dyn Events);

/// A scan's place among those that run, and when it must end.
struct Turn<'a> {
    scans: &'a Scans,
    shared: &'a Shared,
    events: &'a dyn Events,
    until: Duration,
}

impl<'a> Turn<'a> {
    fn take((shared, events): Asked<'a>) -> Result<Self, ScanError> {
        let scans = &shared.scans;
        let mut running = scans.running.lock();
        scans.free.wait_while_for(&mut running, |running| *running >= AT_ONCE, TURN_WITHIN);
        if *running >= AT_ONCE {
            return Err(ScanError::Busy);
        }
        *running += 1;
        Ok(Self { scans, shared, events, until: shared.clock.elapsed() + LONGEST })
    }

    /// Gives every wanted event that the filter lets through, in no order that counts. `go_on`
    /// hears the earliest arrival of each batch and may end it.
    fn each(
        &self,
        filter: &Filter,
        wanted: Wanted,
        mut visit: impl FnMut(&EventRef<'_>),
        mut go_on: impl FnMut(i64) -> bool,
    ) -> Result<(), ScanError> {
        let mut took_too_long = false;
        self.events.each(filter, wanted, &mut |batch| {
            if self.shared.clock.elapsed() > self.until {
                took_too_long = true;
                return false;
            }
            batch.iter().filter(|event| filter.matches(event)).for_each(|event| visit(&event));
            let earliest = batch.rows().iter().map(|row| row.arrival_ms).min();
            go_on(earliest.unwrap_or(i64::MAX))
        })?;
        if took_too_long { Err(ScanError::TooLong) } else { Ok(()) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.scans.running.lock() -= 1;
        self.scans.free.notify_one();
    }
}

/// Every event of these ticks, of whatever class: it arrived no earlier than its tick.
fn of_ticks((from, to): (i64, i64)) -> Wanted {
    let (from_ms, to_ms) = (from.saturating_mul(1_000), to.saturating_mul(1_000));
    let timed_ms = Some((from_ms, to_ms.saturating_add(AHEAD_MS)));
    Wanted { arrived_ms: (from_ms, i64::MAX), timed_ms }
}

/// What live windows of these ticks count: live events, and those that arrived there too late.
fn live((from, to): (i64, i64)) -> Wanted {
    Wanted { arrived_ms: (from * 1_000, to * 1_000 + LIVE_AGE_MS), timed_ms: None }
}

fn is_kept(events: &dyn Events, from_ms: i64) -> Result<(), ScanError> {
    match events.kept_from_ms() {
        Some(kept_ms) if from_ms < kept_ms => Err(ScanError::NotKept { from_ms: kept_ms }),
        _ => Ok(()),
    }
}

/// [`ranges::history`] of what a filter lets through; buckets nobody was up for are the same.
pub(super) fn history(
    asked: Asked<'_>,
    filter: &Filter,
    range_ms: (i64, i64),
    step_secs: Option<u32>,
) -> Result<RangeHistory, RangeError> {
    let mut whole = ranges::history(asked.0, range_ms, step_secs)?;
    is_kept(asked.1, whole.from_ms)?;
    let (from, to) = (whole.from_ms / 1_000, whole.to_ms / 1_000);
    let plan = Plan { step_secs: whole.step_secs, from, to };
    let is_fine = i64::from(plan.step_secs) < MINUTE;
    let turn = Turn::take(asked)?;
    let mut buckets = Scattered::new(plan);
    let mut visit = |event: &EventRef<'_>| {
        if !is_fine || event.row().class == Class::Live {
            buckets.add(event.tick(), &Sample::from(*event));
        }
    };
    let wanted = if is_fine { live((from, to)) } else { of_ticks((from, to)) };
    turn.each(filter, wanted, &mut visit, |_| true)?;
    whole.history = buckets.finish(|nth| whole.history.events[nth].is_some());
    Ok(whole)
}

/// [`ranges::routes`] of what a filter lets through.
pub(super) fn routes(
    asked: Asked<'_>,
    filter: &Filter,
    (from_ms, to_ms): (i64, i64),
    sort: RouteSort,
    limit: usize,
) -> Result<Routes, RangeError> {
    Plan::new(from_ms, to_ms, None, i64::MAX)?;
    let from = from_ms.div_euclid(MINUTE * 1_000);
    let to = (to_ms - 1).div_euclid(MINUTE * 1_000) + 1;
    is_kept(asked.1, from.saturating_mul(MINUTE * 1_000))?;
    let turn = Turn::take(asked)?;
    let (mut table, mut names) = (RouteTable::default(), Names::default());
    let visit = |event: &EventRef<'_>| {
        if (from..to).contains(&minute_of_event(event)) {
            table.add(&Sample::from(*event), &mut names, ROUTES_MAX);
        }
    };
    turn.each(filter, of_ticks((from * MINUTE, to * MINUTE)), visit, |_| true)?;
    Ok(ranked(&table, sort, limit))
}

/// The routes of the `secs` ticks up to and with `tick`, of what a filter lets through.
pub(super) fn window_routes(
    asked: Asked<'_>,
    filter: &Filter,
    (secs, tick): (u32, i64),
    sort: RouteSort,
    limit: usize,
) -> Result<Routes, ScanError> {
    let span = (tick - i64::from(secs) + 1, tick + 1);
    is_kept(asked.1, span.0 * 1_000)?;
    let turn = Turn::take(asked)?;
    let (mut table, mut names) = (RouteTable::default(), Names::default());
    let visit = |event: &EventRef<'_>| {
        if event.row().class == Class::Live && (span.0..span.1).contains(&event.tick()) {
            table.add(&Sample::from(*event), &mut names, ROUTES_MAX);
        }
    };
    turn.each(filter, live(span), visit, |_| true)?;
    Ok(ranked(&table, sort, limit))
}

/// The window of `secs` that ends at `tick`, of what a filter lets through. Somebody was up then.
pub(super) fn at(
    asked: Asked<'_>,
    filter: &Filter,
    (secs, tick): (u32, i64),
) -> Result<Aggregate, AtError> {
    let span = (tick - i64::from(secs) + 1, tick + 1);
    if let Err(ScanError::NotKept { from_ms }) = is_kept(asked.1, span.0 * 1_000) {
        let oldest = from_ms.div_euclid(1_000) + i64::from(secs);
        return Err(AtError::TooOld { tick, oldest });
    }
    let turn = Turn::take(asked)?;
    let (mut ticks, mut names) = (Ticks::default(), Names::default());
    let mut last_event_ms = None;
    let visit = |event: &EventRef<'_>| {
        let (own, arrival) = (event.tick(), event.arrival_tick());
        match event.row().class {
            Class::Live if (span.0..span.1).contains(&own) => {
                let sample = Sample::from(*event);
                last_event_ms = last_event_ms.max(Some(sample.at_ms));
                let routes_max = asked.0.settings.routes_per_tick;
                ticks.change(own).add(&sample, &mut names, routes_max);
            }
            Class::Late if (span.0..span.1).contains(&arrival) => {
                ticks.change(arrival).totals.late += 1;
            }
            _ => {}
        }
    };
    turn.each(filter, live(span), visit, |_| true)?;
    if last_event_ms.is_none() {
        last_event_ms = last_before(&turn, filter, span.0)?;
    }
    let around = Around { last_event_ms, ..Around::default() };
    Ok(Window::merged(secs, tick, &ticks).render(&mut ticks, &around))
}

/// Time of the newest live event before a tick, within an hour.
fn last_before(turn: &Turn<'_>, filter: &Filter, tick: i64) -> Result<Option<i64>, ScanError> {
    let before_ms = tick * 1_000;
    let arrived_ms = (before_ms - LAST_EVENT_WITHIN_MS, before_ms + LIVE_AGE_MS);
    let newest = std::cell::Cell::new(None);
    let visit = |event: &EventRef<'_>| {
        let at_ms = event.row().timestamp_ms.min(event.row().arrival_ms);
        if event.row().class == Class::Live && at_ms < before_ms {
            newest.set(newest.get().max(Some(at_ms)));
        }
    };
    // Whatever arrived before the one that was found is older than it.
    let go_on = |earliest_ms: i64| newest.get().is_none_or(|newest| earliest_ms >= newest);
    turn.each(filter, Wanted { arrived_ms, timed_ms: None }, visit, go_on)?;
    Ok(newest.get())
}
