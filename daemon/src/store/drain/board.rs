//! The drain's figures, as its tasks keep them and everyone else reads them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Figures that only rise, and positions.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// Every event up to this is durable in the store.
    pub drained_seq: AtomicU64,
    /// What events up to this made of the aggregates is durable in the store.
    pub written_seq: AtomicU64,
    /// Both, as far as a restart knows.
    pub kept_seq: AtomicU64,
    /// When nothing waited last, Unix ms.
    pub caught_up_ms: AtomicI64,
    /// Documents the store took, those that were there among them.
    pub accepted: AtomicU64,
    pub event_batches: AtomicU64,
    pub bucket_batches: AtomicU64,
    pub own_duplicates: AtomicU64,
    pub foreign_duplicates: AtomicU64,
    pub set_aside: AtomicU64,
    pub recounted: AtomicU64,
    /// Bytes of batches in memory.
    pub inflight_bytes: AtomicU64,
    /// When the last round that wrote all that had changed began, Unix ms.
    pub written_at_ms: AtomicI64,
    /// Events whose changes to aggregates are not noted yet, and not written.
    pub unread_events: AtomicU64,
    /// Buckets the store refused for what they are, and since when there are any, Unix ms.
    pub refused_buckets: AtomicU64,
    pub refused_since_ms: AtomicI64,
    /// Of events, and of aggregates.
    troubles: [Mutex<Option<Trouble>>; 2],
    clash: Mutex<Option<String>>,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Events,
    Aggregates,
}

/// The store does not take what it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// As [`crate::clock::Clock::elapsed`].
    pub since: Duration,
    pub reason: String,
}

impl Board {
    /// A write failed. Whether it is the first since one succeeded.
    pub(super) fn failed(&self, what: What, reason: &str, now: Duration) -> bool {
        let mut trouble = self.troubles[what as usize].lock();
        let since = trouble.as_ref().map(|trouble| trouble.since);
        *trouble = Some(Trouble { since: since.unwrap_or(now), reason: reason.to_owned() });
        since.is_none()
    }

    /// A write succeeded. Since when they failed, if they did.
    pub(super) fn succeeded(&self, what: What) -> Option<Duration> {
        self.troubles[what as usize].lock().take().map(|trouble| trouble.since)
    }

    pub(super) fn trouble(&self, what: What) -> Option<Trouble> {
        self.troubles[what as usize].lock().clone()
    }

    /// Whether another process writes under this node's id, and how to say so.
    pub(super) fn set_clash(&self, clash: Option<String>) {
        *self.clash.lock() = clash;
    }

    pub(super) fn clash(&self) -> Option<String> {
        self.clash.lock().clone()
    }
}

pub(super) fn get(figure: &AtomicU64) -> u64 {
    figure.load(Ordering::Relaxed)
}

pub(super) fn add(figure: &AtomicU64, more: u64) {
    figure.fetch_add(more, Ordering::Relaxed);
}

pub(super) fn set(figure: &AtomicU64, to: u64) {
    figure.store(to, Ordering::Relaxed);
}
