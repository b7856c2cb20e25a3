//! What a session has still to be sent: the remainder of what was begun, answers, and where it
//! stands in each room. Lives behind the session's mutex; does no I/O itself, but is handed what
//! the socket took.
//!
//! Bound: at most one tick's frames are ever begun; answers are bounded by the session, which stops
//! reading while more than [`ANSWER_BYTES`] wait.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::feed::{Frames, Histories};
use super::room::{Delta, RoomFrame, TickSet};
use super::rooms::Room;

/// Waiting bytes past which the session reads nothing more.
pub(super) const ANSWER_BYTES: usize = 64 * 1024;

/// Where a session stands in a room.
struct Subscription {
    room: Room,
    /// The [`TickSet::seq`] it was last sent; 0 before the first.
    seq: u64,
    /// The tick it holds: as sent, or as it said when it subscribed.
    since: Option<i64>,
}

/// A piece of a frame that is due.
pub(super) struct Piece {
    /// Place in `subscriptions`.
    subscription: usize,
    /// Where it brings the subscription: [`TickSet::seq`] and tick.
    stands: (u64, i64),
    /// Ticks it was not sent before this frame.
    lagged: u64,
    bytes: Bytes,
}

/// A snapshot that a session needs to catch up.
pub(super) struct Wanted {
    set: Arc<TickSet>,
    room: Room,
    since: Option<i64>,
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
    Delta(&'a Delta),
    Snapshot(&'a RoomFrame),
}

impl Subscription {
    fn due<'a>(&self, set: &'a TickSet) -> Due<'a> {
        let Some(room) = set.room(self.room.window) else { return Due::Nothing };
        match (set.seq.saturating_sub(self.seq), &room.delta) {
            (0, _) => Due::Nothing,
            (1, Some(delta)) if self.seq > 0 => Due::Delta(delta),
            _ => Due::Snapshot(room),
        }
    }

    fn written(&self) -> Option<&str> {
        self.room.written.as_deref()
    }
}

impl Room {
    /// The newest set it is shown from; `main` is that of the view of everything.
    fn newest(&self, main: Option<&Arc<TickSet>>) -> Option<Arc<TickSet>> {
        match &self.channel {
            Some(channel) => channel.newest(),
            None => main.cloned(),
        }
    }

    fn histories<'a>(&'a self, frames: Option<&'a dyn Frames>) -> Option<&'a dyn Histories> {
        match &self.channel {
            Some(channel) => Some(&**channel),
            None => frames.map(|frames| frames as &dyn Histories),
        }
    }

    fn is(&self, window: usize, written: Option<&str>) -> bool {
        self.window == window && self.written.as_deref() == written
    }
}

impl Wanted {
    /// Encodes it, for its set to keep.
    pub(super) fn prepare(&self, frames: Option<&dyn Frames>) {
        if let Some(room) = self.set.room(self.room.window) {
            self.set.prepare(room, self.since, self.room.histories(frames));
        }
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
    pub(super) fn joined(&self) -> Vec<Room> {
        self.subscriptions.iter().map(|subscription| subscription.room.clone()).collect()
    }

    /// Whether it is in a room of a filtered view.
    pub(super) fn follows_views(&self) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.room.channel.is_some())
    }

    /// Whether the close frame is in.
    pub(super) fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Rooms it is in.
    pub(super) fn rooms(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether it is in the room of a window under a name.
    pub(super) fn is_in(&self, window: usize, written: Option<&str>) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.room.is(window, written))
    }

    /// Joins a room, or asks anew for its snapshot.
    pub(super) fn join(&mut self, room: Room, since: Option<i64>) {
        self.leave(room.window, room.written.as_deref());
        self.subscriptions.push(Subscription { room, seq: 0, since });
        self.behind = true;
    }

    /// Leaves a room; says whether it was in it.
    pub(super) fn leave(&mut self, window: usize, written: Option<&str>) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|subscription| !subscription.room.is(window, written));
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

    /// Collects the deltas of a tick for the rooms of everything that stand right before it. Rooms
    /// that stand elsewhere make the session `behind`.
    pub(super) fn due_deltas(&mut self, set: &TickSet, pieces: &mut Vec<Piece>) {
        for (index, subscription) in self.subscriptions.iter().enumerate() {
            if subscription.room.channel.is_none() {
                self.behind |= !subscription.due_delta(index, set, pieces);
            }
        }
    }

    /// As [`Outbox::due_deltas`], of the rooms of filtered views, each at its newest tick.
    pub(super) fn due_view_deltas(&mut self, pieces: &mut Vec<Piece>) {
        for (index, subscription) in self.subscriptions.iter().enumerate() {
            let channel = subscription.room.channel.as_ref();
            if let Some(set) = channel.and_then(|channel| channel.newest()) {
                self.behind |= !subscription.due_delta(index, &set, pieces);
            }
        }
    }

    /// Collects what brings every room to its newest tick, deltas or snapshots; `main` is that of
    /// the view of everything. Gives what [`Outbox::newest`] is of that.
    pub(super) fn due(
        &self,
        main: Option<&TickSet>,
        frames: Option<&dyn Frames>,
        pieces: &mut Vec<Piece>,
    ) -> u64 {
        let mut offered = 0;
        for (index, subscription) in self.subscriptions.iter().enumerate() {
            let followed = subscription.room.channel.as_ref().map(|channel| channel.newest());
            let set = match &followed {
                Some(set) => set.as_deref(),
                None => main,
            };
            let Some(set) = set else { continue };
            offered += set.seq;
            let written = subscription.written();
            match subscription.due(set) {
                Due::Nothing => {}
                Due::Delta(delta) => {
                    Piece::put(pieces, index, set, 0, delta.pieces(written));
                }
                Due::Snapshot(room) => {
                    let first = subscription.seq == 0;
                    let lagged = if first { 0 } else { set.seq - subscription.seq - 1 };
                    let histories = subscription.room.histories(frames);
                    let bytes = set.snapshot(room, written, subscription.since, lagged, histories);
                    Piece::put(pieces, index, set, lagged, bytes);
                }
            }
        }
        offered
    }

    /// How far all rooms together could stand now: grows with every tick of any of them.
    pub(super) fn newest(&self, main: Option<&TickSet>) -> u64 {
        let newest = |subscription: &Subscription| match &subscription.room.channel {
            Some(channel) => channel.newest().map_or(0, |set| set.seq),
            None => main.map_or(0, |set| set.seq),
        };
        self.subscriptions.iter().map(newest).sum()
    }

    /// The snapshots a session would need to catch up, for encoding them outside of its lock.
    pub(super) fn wanted(&self, main: Option<&Arc<TickSet>>) -> Vec<Wanted> {
        let wanted = |subscription: &Subscription| {
            let set = subscription.room.newest(main)?;
            let is_wanted = matches!(subscription.due(&set), Due::Snapshot(_));
            let (room, since) = (subscription.room.clone(), subscription.since);
            is_wanted.then_some(Wanted { set, room, since })
        };
        self.subscriptions.iter().filter_map(wanted).collect()
    }

    /// Notes that the socket took the first `bytes` of `pieces`: what was begun is committed and
    /// its remainder waits; what was not stays undone, for a newer tick to replace.
    pub(super) fn commit(&mut self, pieces: &[Piece], mut bytes: usize) -> Sent {
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
                let (seq, tick) = piece.stands;
                subscription.seq = seq;
                subscription.since = Some(tick);
            }
            let took = bytes.min(piece.bytes.len());
            bytes -= took;
            self.queue(piece.bytes.slice(took..));
        }
        sent
    }
}

impl Subscription {
    /// Collects the delta of a tick, when it stands right before it. Whether it then stands there.
    fn due_delta(&self, index: usize, set: &TickSet, pieces: &mut Vec<Piece>) -> bool {
        match self.due(set) {
            Due::Nothing => true,
            Due::Delta(delta) => {
                Piece::put(pieces, index, set, 0, delta.pieces(self.written()));
                true
            }
            Due::Snapshot(_) => false,
        }
    }
}

impl Piece {
    fn put<const N: usize>(
        pieces: &mut Vec<Self>,
        subscription: usize,
        set: &TickSet,
        lagged: u64,
        parts: [Bytes; N],
    ) {
        let stands = (set.seq, set.tick);
        for bytes in parts.into_iter().filter(|bytes| !bytes.is_empty()) {
            pieces.push(Self { subscription, stands, lagged, bytes });
        }
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
