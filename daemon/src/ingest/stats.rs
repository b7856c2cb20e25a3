//! What ingest has done, in numbers for /metrics and the system room.

use std::sync::atomic::{AtomicU64, Ordering};

use pulseboard::validate::{Code, Refusals};

/// Counters that only rise.
#[derive(Debug, Default)]
pub(super) struct Counters {
    accepted: AtomicU64,
    duplicates: AtomicU64,
    late: AtomicU64,
    skewed: AtomicU64,
    rejected: [AtomicU64; Code::COUNT],
}

/// A reading of the counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// New events on disk.
    pub accepted: u64,
    /// Events that had been taken before.
    pub duplicates: u64,
    /// Accepted events over 60 s old.
    pub late: u64,
    /// Accepted events from clocks ahead of ours.
    pub skewed: u64,
    /// Refused items, for every code in the order of [`Code::ALL`].
    pub rejected: Vec<(&'static str, u64)>,
    /// Calls whose events are on their way to disk.
    pub in_flight: usize,
    /// Bytes of bodies being worked on.
    pub inflight_bytes: usize,
    /// Ids remembered.
    pub dedupe_ids: u64,
    /// Memory they take.
    pub dedupe_bytes: u64,
    /// How far back a duplicate is recognised, s.
    pub dedupe_horizon_secs: u64,
}

/// What a batch adds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added {
    pub(super) accepted: u64,
    pub(super) late: u64,
    pub(super) skewed: u64,
}

impl Added {
    /// The same without `count` events that turned out not to be new; never the late and skewed
    /// ones, which nobody knows any more.
    pub(super) fn less(self, count: u64) -> Self {
        Self { accepted: self.accepted.saturating_sub(count), ..self }
    }
}

impl Counters {
    pub(super) fn add(&self, added: Added) {
        self.accepted.fetch_add(added.accepted, Ordering::Relaxed);
        if added.late + added.skewed > 0 {
            self.late.fetch_add(added.late, Ordering::Relaxed);
            self.skewed.fetch_add(added.skewed, Ordering::Relaxed);
        }
    }

    pub(super) fn add_duplicates(&self, count: u64) {
        if count > 0 {
            self.duplicates.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(super) fn add_refusals(&self, refusals: &Refusals) {
        if refusals.total() > 0 {
            for (code, count) in refusals.by_code() {
                self.rejected[code as usize].fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn read(&self) -> Stats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            accepted: load(&self.accepted),
            duplicates: load(&self.duplicates),
            late: load(&self.late),
            skewed: load(&self.skewed),
            rejected: Code::ALL
                .iter()
                .zip(&self.rejected)
                .map(|((code, _), count)| (code.as_str(), load(count)))
                .collect(),
            in_flight: 0,
            inflight_bytes: 0,
            dedupe_ids: 0,
            dedupe_bytes: 0,
            dedupe_horizon_secs: 0,
        }
    }
}
