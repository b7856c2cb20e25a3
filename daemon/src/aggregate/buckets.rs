//! Tumbling buckets for the shared store: what this instance counted, bucket by bucket, and which
//! of them changed since they were last written.
//!
//! A bucket is absolute: all that was counted in it up to its revision, which is the sequence number
//! of the last event counted, taken under the same lock. Buckets of whole minutes hold late events
//! and imports too; finer ones are made of ticks, and are there for as long as ticks are kept, two
//! hours. Merging happens on the caller's thread and may read the local store. Asked by the drain
//! and by whoever reads the shared store and needs what is not there yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulseboard::rollup::{MINUTE, minute_of};
use pulseboard::tick::{Names, RouteTable, TickSummary, Totals};

use super::ranges::fixed;
use super::shared::Shared;
use super::state::{State, TICKS_KEPT};
use super::views::Views;
use crate::store::drain::{Bucket, Changed, Counts, CountsError, is_whole_minutes, start_of};
use crate::store::embedded::{Position, Snapshot, StoreError};

/// Bytes of summaries given at once, about; the first is given whatever it takes.
const BYTES_MAX: usize = 16 << 20;

impl Counts for Views {
    fn follow_changes(&self) -> u64 {
        let mut state = self.0.state.lock();
        state.changes.follow();
        state.applied_seq
    }

    fn take_changes(&self) -> Changed {
        let mut state = self.0.state.lock();
        let (noted, missed_from) = state.changes.take();
        Changed {
            applied_seq: state.applied_seq,
            ticks: noted.ticks.into_iter().collect(),
            minutes: noted.minutes.into_iter().collect(),
            missed_from,
        }
    }

    fn changes_written(&self) {
        self.0.state.lock().changes.written();
    }

    fn mark_changed(&self, ticks: &[i64], minutes: &[i64]) {
        self.0.state.lock().changes.mark(ticks, minutes);
    }

    fn buckets(&self, wanted: &[(u32, i64)]) -> Result<Vec<Bucket>, CountsError> {
        Ok(buckets(&self.0, wanted)?)
    }

    fn unwritten(&self, secs: u32, (from, to): (i64, i64)) -> Result<Vec<Bucket>, CountsError> {
        let starts = {
            let state = self.0.state.lock();
            let mut starts = BTreeSet::new();
            for noted in state.changes.unwritten() {
                if is_whole_minutes(secs) {
                    let first = minute_of(start_of(secs, from));
                    let last = minute_of(to + i64::from(secs)).max(first);
                    let minutes = noted.minutes.range(first..=last);
                    starts.extend(minutes.map(|minute| start_of(secs, minute * MINUTE)));
                } else {
                    let first = start_of(secs, from);
                    let ticks = noted.ticks.range(first..(to + i64::from(secs)).max(first));
                    starts.extend(ticks.map(|tick| start_of(secs, *tick)));
                }
            }
            starts
        };
        let starts =
            starts.into_iter().filter(|start| *start < to && start + i64::from(secs) > from);
        let mut wanted: Vec<(u32, i64)> = starts.map(|start| (secs, start)).collect();
        let mut found = Vec::with_capacity(wanted.len());
        while !wanted.is_empty() {
            let some = buckets(&self.0, &wanted)?;
            wanted.drain(..some.len());
            found.extend(some);
        }
        Ok(found)
    }

    fn unwritten_buckets(&self, windows_secs: &[u32]) -> u64 {
        let oldest_tick = self.oldest_tick();
        self.0.state.lock().changes.buckets(windows_secs, oldest_tick)
    }

    fn stored_minutes(&self, after: i64, limit: usize) -> Result<Vec<i64>, CountsError> {
        let snapshot = self.0.store.connect()?;
        snapshot.begin().map_err(|error| CountsError(error.to_string()))?;
        Ok(snapshot.minutes_after(after, limit)?)
    }

    fn oldest_tick(&self) -> i64 {
        self.latest().tick - TICKS_KEPT + MINUTE
    }

    fn applied_seq(&self) -> u64 {
        Views::applied_seq(self)
    }

    fn stored_seq(&self) -> u64 {
        self.stats().stored_seq
    }
}

impl From<StoreError> for CountsError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

pub(super) fn buckets(shared: &Shared, wanted: &[(u32, i64)]) -> Result<Vec<Bucket>, StoreError> {
    let (snapshot, (revision, gathered)) = fixed(shared, |state, stored| {
        let gathered = wanted.iter().map(|bucket| Parts::gather(state, stored, *bucket));
        (state.applied_seq, gathered.collect::<Vec<_>>())
    })?;
    let mut names = Names::default();
    let (mut buckets, mut bytes) = (Vec::new(), 0);
    for ((secs, start), parts) in wanted.iter().zip(gathered) {
        let summary = Arc::new(parts.merged(&snapshot, &mut names)?);
        bytes += summary.heap_bytes();
        buckets.push(Bucket { secs: *secs, start: *start, revision, summary });
        if bytes > BYTES_MAX {
            break;
        }
    }
    Ok(buckets)
}

/// What a bucket is made of.
enum Parts {
    /// What of these minutes is in memory; the store has the rest.
    Minutes { range: (i64, i64), inside: Vec<Arc<TickSummary>> },
    /// What of these ticks is in memory, which is as new as the store's or newer.
    Ticks { range: (i64, i64), inside: BTreeMap<i64, Arc<TickSummary>>, all: bool },
}

impl Parts {
    fn gather(state: &State, stored: &Position, (secs, start): (u32, i64)) -> Self {
        let end = start + i64::from(secs);
        if is_whole_minutes(secs) {
            Self::minutes(state, stored, (minute_of(start), minute_of(end)))
        } else {
            Self::ticks(state, (start, end))
        }
    }

    fn minutes(state: &State, stored: &Position, range: (i64, i64)) -> Self {
        let mut inside = Vec::new();
        let is_in = |minute: i64| (range.0..range.1).contains(&minute);
        for commit in &state.inflight {
            if commit.position.commit > stored.commit {
                let from = commit.minutes.partition_point(|(minute, _)| *minute < range.0);
                let some = commit.minutes[from..].iter().take_while(|(minute, _)| is_in(*minute));
                inside.extend(some.map(|(_, summary)| Arc::clone(summary)));
            }
        }
        inside.extend((range.0..range.1).filter_map(|m| state.minutes.get(&m)).cloned());
        let open = state.open_minute.iter().filter(|(minute, _)| is_in(*minute));
        inside.extend(open.map(|(_, summary)| Arc::clone(summary)));
        let first = (range.0 * MINUTE).max(state.final_upto + 1);
        let ticks = state.ticks.range(first..=(range.1 * MINUTE - 1).max(first - 1));
        inside.extend(ticks.map(|(_, summary)| Arc::clone(summary)));
        Self::Minutes { range, inside }
    }

    fn ticks(state: &State, range: (i64, i64)) -> Self {
        let mut inside = BTreeMap::new();
        for commit in &state.inflight {
            let from = commit.ticks.partition_point(|(tick, _)| *tick < range.0);
            let some = commit.ticks[from..].iter().take_while(|(tick, _)| *tick < range.1);
            inside.extend(some.map(|(tick, summary)| (*tick, Arc::clone(summary))));
        }
        let departed = state.departed.range(range.0..range.1);
        inside.extend(departed.map(|(tick, summary)| (*tick, Arc::clone(summary))));
        let current = state.ticks.range(range.0..=range.1 - 1);
        inside.extend(current.map(|(tick, summary)| (tick, Arc::clone(summary))));
        let all = range.0 >= state.first_needed();
        Self::Ticks { range, inside, all }
    }

    fn merged(self, snapshot: &Snapshot, names: &mut Names) -> Result<TickSummary, StoreError> {
        let mut sum = TickSummary::default();
        match self {
            Self::Minutes { range, inside } => {
                for summary in &inside {
                    sum.merge(summary);
                }
                snapshot.minutes(range, &mut |_, blob| {
                    sum.totals.merge(&Totals::decode(blob, names)?);
                    Ok(())
                })?;
                snapshot.minute_routes(range, &mut |_, blob| {
                    Ok(sum.routes.merge_encoded(blob, names)?)
                })?;
            }
            Self::Ticks { range, inside, all } => {
                for summary in inside.values() {
                    sum.merge(summary);
                }
                if !all {
                    snapshot.whole_ticks(range, &mut |tick, totals, routes| {
                        if !inside.contains_key(&tick) {
                            let mut table = RouteTable::default();
                            table.merge_encoded(routes, names)?;
                            let totals = Totals::decode(totals, names)?;
                            sum.merge(&TickSummary { totals, routes: table });
                        }
                        Ok(())
                    })?;
                }
            }
        }
        Ok(sum)
    }
}
