//! Windows as they were, and whole tables of routes: merged anew on the reader's thread from
//! pointers to the ticks, or read from the store.

use pulseboard::tick::RouteTable;
use pulseboard::window::{Around, RouteSort, Routes, Window, ranked};
use pulseboard::wire::server::Aggregate;

use super::shared::Shared;
use super::state::FRAMES_KEPT;
use super::views::{AtError, WindowError};
use crate::store::embedded::StoreError;

/// A window as it was at a tick.
pub(super) fn at(shared: &Shared, window: &str, tick: i64) -> Result<Aggregate, AtError> {
    let index = shared.window(window).ok_or(AtError::UnknownWindow)?;
    let secs = shared.settings.windows_secs[index];
    let latest = shared.latest.load_full();
    if tick > latest.tick {
        return Err(AtError::Ahead { tick, newest: latest.tick });
    }
    if tick == latest.tick {
        return Ok((*latest.windows[index].aggregate).clone());
    }
    let oldest = latest.tick - FRAMES_KEPT;
    if tick < oldest {
        return Err(AtError::TooOld { tick, oldest });
    }
    let state = shared.state.lock();
    let (final_upto, last_event_ms) = state.last_event_base();
    if tick > final_upto {
        if state.ticks.get(tick).is_none() {
            return Err(AtError::Gap { tick });
        }
        let first = (tick - i64::from(secs) + 1).min(final_upto + 1);
        let mut ticks = state.ticks.span(first..=tick);
        drop(state);
        let newer = ticks.range(final_upto + 1..=tick);
        let newest = newer.filter_map(|(_, summary)| summary.totals.last_event_ms).max();
        let around = Around { last_event_ms: last_event_ms.max(newest), ..Around::default() };
        return Ok(Window::merged(secs, tick, &ticks).render(&mut ticks, &around));
    }
    // Final, and perhaps not on disk yet.
    let waiting = state.inflight.iter().flat_map(|commit| &commit.frames).chain(&state.frames);
    let waiting = waiting.rev().find(|frame| frame.tick == tick && frame.secs == secs);
    if let Some(frame) = waiting {
        return Ok((*frame.frame).clone());
    }
    drop(state);
    let read = || -> Result<Option<Aggregate>, StoreError> {
        let snapshot = shared.store.connect()?;
        snapshot.begin()?;
        snapshot.frame(secs, tick)
    };
    read().map_err(|error| AtError::Store(error.to_string()))?.ok_or(AtError::Gap { tick })
}

/// All routes of a live window.
pub(super) fn window_routes(
    shared: &Shared,
    window: &str,
    sort: RouteSort,
    limit: usize,
) -> Result<Routes, WindowError> {
    let index = shared.window(window).ok_or(WindowError)?;
    let secs = i64::from(shared.settings.windows_secs[index]);
    let ticks = {
        let state = shared.state.lock();
        state.ticks.span(state.head - secs + 1..=state.head)
    };
    let mut table = RouteTable::default();
    for (_, summary) in ticks.range(i64::MIN..=i64::MAX - 1) {
        table.merge(&summary.routes);
    }
    Ok(ranked(&table, sort, limit))
}
