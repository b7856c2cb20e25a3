//! The limits of sockets, which may change while sessions are open: a session asks for them
//! whenever it is about to do what one of them bounds. Asking costs a plain read of memory, since a
//! session asks with every message.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use pulseboard::limits;

/// What an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sockets at a time; past it 503.
    pub sockets: usize,
    /// Sockets of one address (IPv6: of one /64) at a time; past it 429.
    pub sockets_per_address: usize,
    /// Rooms a socket may be in; past it `too_many_rooms`.
    pub rooms_per_socket: usize,
    /// The largest message of a client that may only watch, bytes; past it close 1009.
    pub frame_bytes: usize,
    /// The largest message of a client that may publish, bytes; past it close 1009.
    pub publish_bytes: usize,
    /// Publishes of a socket not yet acknowledged; past it its reading pauses.
    pub socket_inflight: usize,
}

impl Default for Limits {
    /// The contract's.
    fn default() -> Self {
        Self {
            sockets: 10_000,
            sockets_per_address: 1_000,
            rooms_per_socket: limits::ROOMS_PER_SOCKET,
            frame_bytes: limits::FRAME_BYTES,
            publish_bytes: limits::PUBLISH_BYTES,
            socket_inflight: limits::SOCKET_INFLIGHT,
        }
    }
}

/// The limits that hold now. Each stands for itself: nobody needs two of the same moment.
#[derive(Debug, Default)]
pub(super) struct Live {
    sockets: AtomicUsize,
    sockets_per_address: AtomicUsize,
    rooms_per_socket: AtomicUsize,
    frame_bytes: AtomicUsize,
    publish_bytes: AtomicUsize,
    socket_inflight: AtomicUsize,
    version: AtomicU64,
}

impl Live {
    pub(super) fn new(limits: Limits) -> Self {
        let live = Self::default();
        live.store(limits);
        live
    }

    pub(super) fn store(&self, limits: Limits) {
        let Limits {
            sockets,
            sockets_per_address,
            rooms_per_socket,
            frame_bytes,
            publish_bytes,
            socket_inflight,
        } = limits;
        self.sockets.store(sockets, Ordering::Relaxed);
        self.sockets_per_address.store(sockets_per_address, Ordering::Relaxed);
        self.rooms_per_socket.store(rooms_per_socket, Ordering::Relaxed);
        self.frame_bytes.store(frame_bytes, Ordering::Relaxed);
        self.publish_bytes.store(publish_bytes, Ordering::Relaxed);
        self.socket_inflight.store(socket_inflight, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Grows whenever they are set: those on rates too, which are set before these.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn sockets(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }

    pub(super) fn sockets_per_address(&self) -> usize {
        self.sockets_per_address.load(Ordering::Relaxed)
    }

    pub(super) fn rooms_per_socket(&self) -> usize {
        self.rooms_per_socket.load(Ordering::Relaxed)
    }

    pub(super) fn frame_bytes(&self) -> usize {
        self.frame_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn publish_bytes(&self) -> usize {
        self.publish_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn socket_inflight(&self) -> usize {
        self.socket_inflight.load(Ordering::Relaxed)
    }
}
