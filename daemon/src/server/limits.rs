//! The limits of connections, which may change while the daemon runs, and the count of those that
//! are open. Asked by the accept loop and by each connection, set by [`crate::app`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::Notify;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time, sockets included; past it none is accepted until one ends.
    pub connections: usize,
    /// Time for a request's headers, from its first byte or the end of the request before.
    /// A connection keeps the one it began with.
    pub header_timeout: Duration,
    /// The header block, in bytes; past it 431.
    pub header_bytes: usize,
    /// The URI, in bytes; past it 414.
    pub uri_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            header_timeout: Duration::from_secs(10),
            header_bytes: 16 * 1024,
            uri_bytes: 8 * 1024,
        }
    }
}

/// The limits that hold now. Cheap to clone; clones share them and the count of connections.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    limits: ArcSwap<Limits>,
    /// Connections that are open.
    open: AtomicUsize,
    /// One ended, or the limits changed: the accept loop looks again.
    changed: Notify,
}

/// The place of one connection; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Slot(Live);

impl Live {
    /// These limits to begin with.
    pub fn new(limits: Limits) -> Self {
        let limits = ArcSwap::from_pointee(limits);
        Self(Arc::new(Inner { limits, ..Inner::default() }))
    }

    /// Puts other limits in place. Connections past a lower limit stay; none is accepted until
    /// enough have ended.
    pub fn reload(&self, limits: Limits) {
        self.0.limits.store(Arc::new(limits));
        self.0.changed.notify_one();
    }

    pub(super) fn load(&self) -> Guard<Arc<Limits>> {
        self.0.limits.load()
    }

    /// Whether one more connection may be accepted.
    pub(super) fn has_room(&self) -> bool {
        self.0.open.load(Ordering::Acquire) < self.load().connections
    }

    /// Resolves when that may have changed. For the accept loop alone.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Counts a connection.
    pub(super) fn take(&self) -> Slot {
        self.0.open.fetch_add(1, Ordering::AcqRel);
        Slot(self.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Live(inner) = &self.0;
        inner.open.fetch_sub(1, Ordering::AcqRel);
        inner.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_number_of_connections_can_grow_and_shrink_while_some_are_open() {
        let with = |connections| Limits { connections, ..Limits::default() };
        let live = Live::new(with(2));
        let (first, second) = (live.take(), live.take());
        assert!(!live.has_room());
        live.reload(with(3));
        live.changed().await;
        assert!(live.has_room());
        live.reload(with(1));
        assert!(!live.has_room());
        drop(first);
        live.changed().await;
        assert!(!live.has_room(), "one is open, and one is all there may be");
        drop(second);
        assert!(live.has_room());
    }
}
