//! One frame a room a tick, encoded once, to every subscriber; no queue a session.
//!
//! The aggregator's thread hands each tick to the [`Hub`], which encodes it once. A few shards, OS
//! threads, walk their sessions and try to write the prepared bytes; where that would block, the
//! session's own task goes on when the socket is writable again, with the newest state. So a slow
//! reader costs a constant, and is told what it was not sent (`lagged`). Filtered views have ticks of
//! their own and are sent the same way, each encoded once for all who watch it.
//!
//! Nothing in here counts events or reads the clock. What it needs of the stages around it, the
//! app brings as [`Frames`] and [`Publish`]. [`crate::ingest::socket`] opens its sessions.

mod admission;
mod feed;
mod framing;
mod hub;
mod limits;
mod member;
mod message;
mod outbox;
mod protocol;
mod room;
mod rooms;
mod session;
mod shard;
mod wire_frame;

pub use admission::{Admission, Author, Standing, Token};
pub use feed::{
    Frames, Histories, HistorySlice, Publish, Publishing, Refusal, Verdict, View, WindowFrame,
};
pub use hub::{Counters, Full, Hub, Seat, Settings, Socket};
pub use limits::Limits;

/// What a server answers to `Sec-WebSocket-Key` (RFC 6455, section 1.3).
pub fn accept_key(key: &[u8]) -> String {
    tungstenite::handshake::derive_accept_key(key)
}
