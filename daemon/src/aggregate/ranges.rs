//! Ranges of stored history, exact up to the last event counted.
//!
//! A minute's events may be in the store, in commits on their way there, in what waits for the next
//! commit, in the open minute, and in ticks that are not final. A reader copies pointers to all that
//! is in memory and begins its transaction in one step, under the state's lock, and passes over the
//! commits that the transaction already sees: so that each event is in what it reads exactly once.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulseboard::rollup::{Buckets, MINUTE, Plan, minute_of};
use pulseboard::tick::{Names, RouteTable, TickSummary, Totals};
use pulseboard::window::{RouteSort, Routes, ranked};

use super::shared::Shared;
use super::state::{State, TICKS_KEPT};
use super::views::{RangeError, RangeHistory};
use crate::store::embedded::{Position, Snapshot, StoreError};

/// Parts of minutes that are in memory.
type Parts = BTreeMap<i64, Vec<Arc<TickSummary>>>;

/// Fixes what is read: a snapshot of the store, and what goes with it from memory.
pub(super) fn fixed<T>(
    shared: &Shared,
    gather: impl FnOnce(&State, &Position) -> T,
) -> Result<(Snapshot, T), StoreError> {
    let snapshot = shared.store.connect()?;
    let state = shared.state.lock();
    let stored = snapshot.begin()?;
    let gathered = gather(&state, &stored);
    drop(state);
    Ok((snapshot, gathered))
}

/// Parts of the minutes of `from..to` that the store does not have.
fn parts(state: &State, stored: &Position, (from, to): (i64, i64)) -> Parts {
    let mut parts = Parts::new();
    let mut add = |minute: i64, summary: &Arc<TickSummary>| {
        if (from..to).contains(&minute) {
            parts.entry(minute).or_default().push(Arc::clone(summary));
        }
    };
    for commit in &state.inflight {
        if commit.position.commit > stored.commit {
            commit.minutes.iter().for_each(|(minute, summary)| add(*minute, summary));
        }
    }
    state.minutes.iter().for_each(|(minute, summary)| add(*minute, summary));
    state.open_minute.iter().for_each(|(minute, summary)| add(*minute, summary));
    for (tick, summary) in state.ticks.range(state.final_upto + 1..=i64::MAX - 1) {
        add(minute_of(tick), summary);
    }
    parts
}

/// The routes of every minute that touches a range.
pub(super) fn routes(
    shared: &Shared,
    (from_ms, to_ms): (i64, i64),
    sort: RouteSort,
    limit: usize,
) -> Result<Routes, RangeError> {
    let plan = Plan::new(from_ms, to_ms, None, i64::MAX)?;
    let from = from_ms.div_euclid(MINUTE * 1_000).max(minute_of(plan.from));
    let last = (to_ms - 1).div_euclid(MINUTE * 1_000).min(minute_of(plan.to));
    let range = (from, last + 1);
    let (snapshot, parts) = fixed(shared, |state, stored| parts(state, stored, range))?;
    let (mut table, mut names) = (RouteTable::default(), Names::default());
    parts.values().flatten().for_each(|summary| table.merge(&summary.routes));
    snapshot.minute_routes(range, &mut |_, blob| Ok(table.merge_encoded(blob, &mut names)?))?;
    Ok(ranked(&table, sort, limit))
}

/// Tumbling buckets of a range.
pub(super) fn history(
    shared: &Shared,
    (from_ms, to_ms): (i64, i64),
    step_secs: Option<u32>,
) -> Result<RangeHistory, RangeError> {
    let oldest_tick = shared.latest.load().tick - TICKS_KEPT + 60;
    let plan = Plan::new(from_ms, to_ms, step_secs, oldest_tick)?;
    let history = if i64::from(plan.step_secs) < MINUTE {
        seconds(shared, plan)?
    } else {
        minutes(shared, plan)?
    };
    Ok(RangeHistory {
        step_secs: plan.step_secs,
        from_ms: plan.from * 1_000,
        to_ms: plan.to * 1_000,
        history,
    })
}

fn minutes(shared: &Shared, plan: Plan) -> Result<pulseboard::wire::server::History, RangeError> {
    let range = (minute_of(plan.from), minute_of(plan.to));
    let (snapshot, mut parts) = fixed(shared, |state, stored| parts(state, stored, range))?;
    let (mut buckets, mut names) = (Buckets::new(plan), Names::default());
    // Both are in order of time: what is in memory goes in before what is stored after it.
    let mut before = |buckets: &mut Buckets, minute: i64| {
        while let Some(part) = parts.first_entry().filter(|part| *part.key() <= minute) {
            let (minute, summaries) = part.remove_entry();
            for summary in &summaries {
                buckets.add(minute * MINUTE, &summary.totals);
            }
        }
    };
    snapshot.minutes(range, &mut |minute, blob| {
        before(&mut buckets, minute);
        buckets.add(minute * MINUTE, &Totals::decode(blob, &mut names)?);
        Ok(())
    })?;
    before(&mut buckets, i64::MAX);
    Ok(buckets.finish())
}

fn seconds(shared: &Shared, plan: Plan) -> Result<pulseboard::wire::server::History, RangeError> {
    let (snapshot, mut ticks) = fixed(shared, |state, _| {
        let mut ticks: BTreeMap<i64, Arc<TickSummary>> = BTreeMap::new();
        let span = plan.from..=plan.to - 1;
        for commit in &state.inflight {
            let inside = commit.ticks.iter().filter(|(tick, _)| span.contains(tick));
            ticks.extend(inside.map(|(tick, summary)| (*tick, Arc::clone(summary))));
        }
        let departed = state.departed.range(span.clone());
        ticks.extend(departed.map(|(tick, summary)| (*tick, Arc::clone(summary))));
        let current = state.ticks.range(span);
        ticks.extend(current.map(|(tick, summary)| (tick, Arc::clone(summary))));
        ticks
    })?;
    let (mut buckets, mut names) = (Buckets::new(plan), Names::default());
    snapshot.ticks((plan.from, plan.to), &mut |tick, blob| {
        while let Some(newer) = ticks.first_entry().filter(|newer| *newer.key() < tick) {
            let (tick, summary) = newer.remove_entry();
            buckets.add(tick, &summary.totals);
        }
        // What is in memory is as new or newer.
        match ticks.remove(&tick) {
            Some(newer) => buckets.add(tick, &newer.totals),
            None => buckets.add(tick, &Totals::decode(blob, &mut names)?),
        }
        Ok(())
    })?;
    for (tick, summary) in &ticks {
        buckets.add(*tick, &summary.totals);
    }
    Ok(buckets.finish())
}
