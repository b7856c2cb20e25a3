//! The journal as a spool: how many bytes wait for a store, and how many may.
//!
//! Counts what the store has not made durable, of a block of which it has a part that share; what was
//! drained and is kept for its two hours does not count, and neither does reserved space. Without a
//! limit nothing is counted. Appends look at one number and never wait; the drain says how far it is.
//! Two counts: events that are not stored, and all that may not be let go, which is more while
//! aggregates are not stored.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::index::Index;

/// No limit.
const NONE: u64 = u64::MAX;

/// The account.
pub(super) struct Spool {
    bytes_max: AtomicU64,
    waiting: Waiting,
    unstored: Waiting,
}

/// What is from a sequence on. At most a group commit too high, never too low for long.
#[derive(Default)]
struct Waiting {
    from_seq: AtomicU64,
    bytes: AtomicU64,
}

impl Waiting {
    fn get(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn begin(&self, index: &Index, from_seq: u64) {
        self.from_seq.store(from_seq, Ordering::Relaxed);
        self.bytes.store(index.bytes_in(from_seq, u64::MAX), Ordering::Relaxed);
    }

    /// Its bytes between two sequences.
    fn inside(&self, index: &Index, (from, to): (u64, u64)) -> u64 {
        index.bytes_in(from.max(self.from_seq.load(Ordering::Relaxed)), to)
    }
}

impl Spool {
    pub(super) fn new(bytes_max: Option<u64>) -> Self {
        Self {
            bytes_max: AtomicU64::new(bytes_max.unwrap_or(NONE)),
            waiting: Waiting::default(),
            unstored: Waiting::default(),
        }
    }

    pub(super) fn set_bytes_max(&self, bytes_max: u64) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    /// How many bytes may wait; `None` without a limit.
    pub(super) fn bytes_max(&self) -> Option<u64> {
        Some(self.bytes_max.load(Ordering::Relaxed)).filter(|bytes_max| *bytes_max != NONE)
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting() > self.bytes_max.load(Ordering::Relaxed)
    }

    /// Bytes of what may not be let go.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.get()
    }

    /// Bytes of events no store has.
    pub(super) fn unstored(&self) -> u64 {
        self.unstored.get()
    }

    /// A block of so many bytes was added. Called under the index's lock, so that a count made
    /// anew has it or gets it.
    pub(super) fn add(&self, bytes: u64) {
        if self.bytes_max().is_some() {
            self.waiting.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.unstored.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Has what lies between two sequences replaced by something else. Called under the same lock.
    pub(super) fn replacing(
        &self,
        index: &mut Index,
        span: (u64, u64),
        replace: impl FnOnce(&mut Index),
    ) {
        let counts = [&self.waiting, &self.unstored];
        let before = counts.map(|count| count.inside(index, span));
        replace(index);
        if self.bytes_max().is_some() {
            for (count, before) in counts.into_iter().zip(before) {
                let bytes = (count.get() + count.inside(index, span)).saturating_sub(before);
                count.bytes.store(bytes, Ordering::Relaxed);
            }
        }
    }

    /// Every event below `stored_seq` is stored, and everything below `done_seq` may be let go:
    /// counts anew what waits.
    pub(super) fn drained(&self, index: &RwLock<Index>, stored_seq: u64, done_seq: u64) {
        let index = index.read();
        self.waiting.begin(&index, done_seq);
        self.unstored.begin(&index, stored_seq);
    }
}
