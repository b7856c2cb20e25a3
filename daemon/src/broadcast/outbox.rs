//! What a session has still to be sent: the remainder of what was begun, answers, and where it
//! stands in each room. Lives behind the session's mutex; does no I/O itself, but is handed what
//! the socket took.
//!
//! Bound: at most one tick's frames are ever begun; answers are bounded by the session, which stops
//! reading while more than [`ANSWER_BYTES`] wait.

use std::collections::VecDeque;

use bytes::Bytes;

use super::feed::Frames;
use super::room::{RoomFrame, TickSet};

/// Waiting bytes past which the session reads nothing more.
pub(super) const ANSWER_BYTES: usize = 64 * 1024;

/// Where a session stands in a room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscription {
    /// Place of its window in the settings.
    pub(super) room: usize,
    /// The [`TickSet::seq`] it was last sent; 0 before the first.
    seq: u64,
    /// The tick it holds: as sent, or as it said when it subscribed.
    since: Option<i64>,
}

/// A piece of a frame that is due.
pub(super) struct Piece {
    /// Place in `subscriptions`.
    subscription: usize,
    /// Ticks it was not sent before this frame.
    lagged: u64,
    bytes: Bytes,
}

/// What one write amounted to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// Frames that left, or of which a beginning did.
    pub(super) frames: u64,
    /// Ticks that sessions were told they had not been sent.
    pub(super) lagged: u64,
}

/// What a room has for a subscription at a tick.
enum Due<'a> {
    Nothing,
    Delta(&'a Bytes),
    Snapshot(&'a RoomFrame),
}

impl Subscription {
    fn due<'a>(&self, set: &'a TickSet) -> Due<'a> {
        let Some(room) = set.room(self.room) else { return Due::Nothing };
        match (set.seq.saturating_sub(self.seq), &room.delta) {
            (0, _) => Due::Nothing,
            (1, Some(delta)) if self.seq > 0 => Due::Delta(delta),
            _ => Due::Snapshot(room),
        }
    }
}

impl Piece {
    fn delta(subscription: usize, delta: &Bytes) -> Self {
        Self { subscription, lagged: 0, bytes: delta.clone() }
    }
}

/// A ping that waits for a sign of life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pinged {
    /// When it left, ms of the hub's clock.
    pub(super) at_ms: u64,
    /// When the client had last been heard of by then.
    pub(super) heard_ms: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    /// What must leave first, in order.
    pending: VecDeque<Bytes>,
    pending_bytes: usize,
    /// Whether there is a newer tick that was not begun.
    pub(super) behind: bool,
    /// Since when nothing could be written, in ms of the hub's clock.
    pub(super) blocked_since_ms: Option<u64>,
    /// When the last ping left, and when the client had last been heard of then.
    pub(super) pinged: Option<Pinged>,
    /// Why the session shall end.
    pub(super) close: Option<(u16, &'static str)>,
    /// Whether the close frame is in; nothing follows it.
    sealed: bool,
    subscriptions: Vec<Subscription>,
}

impl Outbox {
    /// Whether it waits for the socket to take more.
    pub(super) fn is_blocked(&self) -> bool {
        self.behind || !self.pending.is_empty()
    }

    /// Whether something that was begun is not finished.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether what there is to send comes before anything more is read: so much waits, or a
    /// snapshot that was asked for is still to be begun. What is asked after it is answered after.
    pub(super) fn comes_first(&self) -> bool {
        let owes_snapshot = || self.subscriptions.iter().any(|subscription| subscription.seq == 0);
        self.pending_bytes > ANSWER_BYTES || self.behind && owes_snapshot()
    }

    /// The rooms it is in.
    pub(super) fn joined(&self) -> Vec<usize> {
        self.subscriptions.iter().map(|subscription| subscription.room).collect()
    }

    /// Whether the close frame is in.
    pub(super) fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Rooms it is in.
    pub(super) fn rooms(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether it is in a room.
    pub(super) fn is_in(&self, room: usize) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.room == room)
    }

    /// Joins a room, or asks anew for its snapshot.
    pub(super) fn join(&mut self, room: usize, since: Option<i64>) {
        self.leave(room);
        self.subscriptions.push(Subscription { room, seq: 0, since });
        self.behind = true;
    }

    /// Leaves a room; says whether it was in it.
    pub(super) fn leave(&mut self, room: usize) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|subscription| subscription.room != room);
        self.subscriptions.len() < before
    }

    /// Puts bytes behind what waits.
    pub(super) fn queue(&mut self, bytes: Bytes) {
        if !bytes.is_empty() && !self.sealed {
            self.pending_bytes += bytes.len();
            self.pending.push_back(bytes);
        }
    }

    /// Puts in the last frame; whatever was not begun is not sent any more.
    pub(super) fn seal(&mut self, close_frame: Bytes) {
        self.queue(close_frame);
        self.sealed = true;
        self.behind = false;
        self.subscriptions.clear();
    }

    /// The waiting bytes, first first.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Bytes> {
        self.pending.iter()
    }

    /// Takes off what the socket took.
    pub(super) fn taken(&mut self, mut bytes: usize) {
        self.pending_bytes -= bytes;
        while bytes > 0 {
            let Some(first) = self.pending.front_mut() else { return };
            if first.len() > bytes {
                *first = first.slice(bytes..);
                return;
            }
            bytes -= first.len();
            self.pending.pop_front();
        }
        if self.pending.is_empty() {
            self.pending = VecDeque::new();
        }
    }

    /// Collects the deltas of a tick for the rooms that stand right before it. Rooms that stand
    /// elsewhere make the session `behind`.
    pub(super) fn due_deltas(&mut self, set: &TickSet, pieces: &mut Vec<Piece>) {
        for (index, subscription) in self.subscriptions.iter().enumerate() {
            match subscription.due(set) {
                Due::Nothing => {}
                Due::Delta(delta) => pieces.push(Piece::delta(index, delta)),
                Due::Snapshot(_) => self.behind = true,
            }
        }
    }

    /// Collects what brings every room to a tick, deltas or snapshots.
    pub(super) fn due(&self, set: &TickSet, frames: Option<&dyn Frames>, pieces: &mut Vec<Piece>) {
        for (index, subscription) in self.subscriptions.iter().enumerate() {
            match subscription.due(set) {
                Due::Nothing => {}
                Due::Delta(delta) => pieces.push(Piece::delta(index, delta)),
                Due::Snapshot(room) => {
                    let first = subscription.seq == 0;
                    let lagged = if first { 0 } else { set.seq - subscription.seq - 1 };
                    for bytes in set.snapshot(room, subscription.since, lagged, frames) {
                        pieces.push(Piece { subscription: index, lagged, bytes });
                    }
                }
            }
        }
    }

    /// The snapshots a session would need to catch up, for encoding them outside of its lock.
    pub(super) fn wanted(&self, set: &TickSet) -> Vec<(usize, Option<i64>)> {
        self.subscriptions
            .iter()
            .filter(|subscription| matches!(subscription.due(set), Due::Snapshot(_)))
            .map(|subscription| (subscription.room, subscription.since))
            .collect()
    }

    /// Notes that the socket took the first `bytes` of `pieces`: what was begun is committed and
    /// its remainder waits; what was not stays undone, for a newer tick to replace.
    pub(super) fn commit(&mut self, set: &TickSet, pieces: &[Piece], mut bytes: usize) -> Sent {
        let mut sent = Sent::default();
        let mut begun = None;
        for piece in pieces {
            let goes_on = begun == Some(piece.subscription);
            if bytes == 0 && !goes_on {
                self.behind = true;
                break;
            }
            if !goes_on {
                begun = Some(piece.subscription);
                sent.frames += 1;
                sent.lagged += piece.lagged;
                let subscription = &mut self.subscriptions[piece.subscription];
                subscription.seq = set.seq;
                subscription.since = Some(set.tick);
            }
            let took = bytes.min(piece.bytes.len());
            bytes -= took;
            self.queue(piece.bytes.slice(took..));
        }
        sent
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
