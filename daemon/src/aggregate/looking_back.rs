//! Windows as they were, and whole tables of routes: merged anew on the reader's thread from
//! pointers to the ticks, or read from the store.

use parking_lot::Mutex;
use pulseboard::tick::RouteTable;
use pulseboard::window::{Around, RouteSort, Routes, Ticks, Window, ranked};
use pulseboard::wire::server::{Aggregate, Nodes};

use super::shared::Shared;
use super::state::{FRAMES_KEPT, State};
use super::views::{AtError, WindowError};
use crate::store::embedded::StoreError;

/// A copy of the pointers that a window is merged from, of a tick that is not final.
pub(super) struct Held {
    secs: u32,
    tick: i64,
    ticks: Ticks,
    final_upto: i64,
    last_event_ms: Option<i64>,
    nodes: Nodes,
}

impl Held {
    /// `None` when the tick is final.
    pub(super) fn of(state: &State, secs: u32, tick: i64) -> Option<Self> {
        let (final_upto, last_event_ms) = state.last_event_base();
        let first = (tick - i64::from(secs) + 1).min(final_upto + 1);
        (tick > final_upto).then(|| {
            let ticks = state.shown().span(first..=tick);
            Self { secs, tick, ticks, final_upto, last_event_ms, nodes: state.nodes_at(tick) }
        })
    }

    /// The window.
    pub(super) fn render(mut self) -> Aggregate {
        let newer = self.ticks.range(self.final_upto + 1..=self.tick);
        let newest = newer.filter_map(|(_, summary)| summary.totals.last_event_ms).max();
        let last_event_ms = self.last_event_ms.max(newest);
        let around = Around { last_event_ms, nodes: self.nodes, ..Around::default() };
        Window::merged(self.secs, self.tick, &self.ticks).render(&mut self.ticks, &around)
    }
}

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
    if let Some(held) = Held::of(&state, secs, tick) {
        if !state.is_real(tick) {
            return Err(AtError::Gap { tick });
        }
        drop(state);
        return Ok(held.render());
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

/// All routes of a live window, as its ticks count them.
pub(super) fn window_routes(
    shared: &Shared,
    window: &str,
    sort: RouteSort,
    limit: usize,
) -> Result<Routes, WindowError> {
    let index = shared.window(window).ok_or(WindowError)?;
    let secs = i64::from(shared.settings.windows_secs[index]);
    Ok(routes_of(&shared.state, secs, sort, limit))
}

/// The routes of the `secs` ticks up to the head.
pub(super) fn routes_of(state: &Mutex<State>, secs: i64, sort: RouteSort, limit: usize) -> Routes {
    let ticks = {
        let state = state.lock();
        state.shown().span(state.head - secs + 1..=state.head)
    };
    let mut table = RouteTable::default();
    for (_, summary) in ticks.range(i64::MIN..=i64::MAX - 1) {
        table.merge(&summary.routes);
    }
    ranked(&table, sort, limit)
}
