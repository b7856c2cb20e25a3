//! The journal as a spool: how many bytes wait for a store, and how many may.
//!
//! Counts the blocks that hold anything the store has not made durable; what was drained and is
//! kept for its two hours does not count, and neither does reserved space. Without a limit nothing
//! is counted. Appends look at one number and never wait; the drain says how far it is.

use std::sync::atomic::{AtomicU64, Ordering};

use super::index::Index;

/// No limit.
const NONE: u64 = u64::MAX;

/// The account.
pub(super) struct Spool {
    bytes_max: AtomicU64,
    /// Bytes of blocks that wait. At most a group commit too high, never too low for long.
    waiting: AtomicU64,
}

impl Spool {
    pub(super) fn new(bytes_max: Option<u64>) -> Self {
        Self { bytes_max: AtomicU64::new(bytes_max.unwrap_or(NONE)), waiting: AtomicU64::new(0) }
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

    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A block of so many bytes was added. Called under the index's lock, so that a count made
    /// anew has it or gets it.
    pub(super) fn add(&self, bytes: u64) {
        if self.bytes_max.load(Ordering::Relaxed) != NONE {
            self.waiting.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Everything below `seq` is drained: counts anew what waits.
    pub(super) fn drained(&self, index: &parking_lot::RwLock<Index>, seq: u64) {
        let index = index.read();
        self.waiting.store(index.bytes_from(seq), Ordering::Relaxed);
    }
}
