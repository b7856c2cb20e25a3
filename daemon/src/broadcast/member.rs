//! A session as the hub and its shards see it: the socket to write to, and what it stands at.
//!
//! Whoever holds the outbox's lock may write, and only whole frames follow each other: a shard
//! between two messages, the session's task otherwise. Writing never waits; where the socket takes
//! no more, the session's task is woken and goes on when it does.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::feed::Frames;
use super::outbox::{Outbox, Piece, Sent};
use super::room::TickSet;
use super::wire_frame;
use crate::auth::Grant;
use crate::clock::Clock;

/// Slices handed to one vectored write.
const SLICES: usize = 16;

/// See the module.
pub(super) struct Member {
    /// The socket.
    pub(super) tcp: TcpStream,
    /// Wakes the session's task: there is something to write, to end, or to go on reading for.
    pub(super) wake: Notify,
    /// When it was last heard of, ms of the hub's clock.
    pub(super) heard_ms: AtomicU64,
    /// Publishes that are not acknowledged yet.
    pub(super) inflight: AtomicUsize,
    /// When its token ends, Unix ms; `i64::MAX` without an end.
    expires_ms: AtomicI64,
    /// By when it must have shown a token, ms of the hub's clock; `u64::MAX` where it need not.
    auth_by_ms: AtomicU64,
    outbox: Mutex<Outbox>,
    clock: Clock,
}

/// Why a session has to end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overstay {
    /// It showed no token in time.
    NoToken,
    /// Its token ended.
    Expired,
}

/// Whether the socket is of any more use.
pub(super) type Alive = io::Result<()>;

impl Member {
    pub(super) fn new(tcp: TcpStream, clock: Clock) -> Arc<Self> {
        let heard_ms = AtomicU64::new(clock.elapsed().as_millis() as u64);
        let outbox = Mutex::default();
        let (wake, inflight) = (Notify::new(), AtomicUsize::new(0));
        let (expires_ms, auth_by_ms) = (AtomicI64::new(i64::MAX), AtomicU64::new(u64::MAX));
        Arc::new(Self { tcp, wake, heard_ms, inflight, expires_ms, auth_by_ms, outbox, clock })
    }

    fn now_ms(&self) -> u64 {
        self.clock.elapsed().as_millis() as u64
    }

    /// Notes that something was received.
    pub(super) fn heard(&self) {
        self.heard_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Notes until when it may stay: to the end of its token, or for so long without one.
    pub(super) fn may_stay(&self, grant: &Grant, auth_within: Duration) {
        let auth_by_ms = if grant.is_nothing() {
            self.now_ms() + auth_within.as_millis() as u64
        } else {
            u64::MAX
        };
        self.auth_by_ms.store(auth_by_ms, Ordering::Relaxed);
        self.expires_ms.store(grant.expires_ms.unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Why it may not stay at this time, by wall and by the hub's clock.
    pub(super) fn overstays(&self, wall_ms: i64, now_ms: u64) -> Option<Overstay> {
        if now_ms >= self.auth_by_ms.load(Ordering::Relaxed) {
            return Some(Overstay::NoToken);
        }
        (wall_ms >= self.expires_ms.load(Ordering::Relaxed)).then_some(Overstay::Expired)
    }

    /// Sends a complete frame, or several, after what waits.
    pub(super) fn send(&self, frames: Bytes) {
        let mut outbox = self.outbox.lock();
        if outbox.has_pending() || outbox.is_sealed() {
            outbox.queue(frames);
            return;
        }
        let took = self.write(&mut outbox, std::slice::from_ref(&frames));
        outbox.queue(frames.slice(took..));
        if outbox.has_pending() {
            self.wake.notify_one();
        }
    }

    /// Asks the session to end with a close code. The first reason stands.
    pub(super) fn close(&self, code: u16, reason: &'static str) {
        self.outbox.lock().close.get_or_insert((code, reason));
        self.wake.notify_one();
    }

    /// The close code it was asked to end with.
    pub(super) fn closing(&self) -> Option<(u16, &'static str)> {
        self.outbox.lock().close
    }

    /// Puts in the close frame; nothing follows it.
    pub(super) fn seal(&self, code: u16, reason: &str) {
        self.outbox.lock().seal(wire_frame::close(code, reason));
    }

    /// Looks at, or changes, where it stands.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Outbox) -> T) -> T {
        change(&mut self.outbox.lock())
    }

    /// A shard's part: writes the deltas of a tick if nothing else waits.
    pub(super) fn offer(&self, set: &TickSet, pieces: &mut Vec<Piece>) -> Sent {
        let mut outbox = self.outbox.lock();
        if outbox.rooms() == 0 {
            return Sent::default();
        }
        self.write_due(&mut outbox, pieces, |outbox, pieces| outbox.due_deltas(set, pieces))
    }

    /// As [`Member::offer`], the newest ticks of the filtered views it follows.
    pub(super) fn offer_views(&self, pieces: &mut Vec<Piece>) -> Sent {
        let mut outbox = self.outbox.lock();
        if !outbox.follows_views() {
            return Sent::default();
        }
        self.write_due(&mut outbox, pieces, Outbox::due_view_deltas)
    }

    fn write_due(
        &self,
        outbox: &mut Outbox,
        pieces: &mut Vec<Piece>,
        due: impl FnOnce(&mut Outbox, &mut Vec<Piece>),
    ) -> Sent {
        if outbox.is_blocked() {
            // Its task is on its way, or waits for the socket; it will take the newest tick.
            outbox.behind = true;
            return Sent::default();
        }
        due(outbox, pieces);
        let took = if pieces.is_empty() { 0 } else { self.write(outbox, pieces) };
        let sent = outbox.commit(pieces, took);
        pieces.clear();
        if outbox.is_blocked() {
            self.wake.notify_one();
        }
        sent
    }

    /// The session's own part: finishes what was begun, then brings it to the newest tick.
    pub(super) fn go_on(
        &self,
        newest: impl Fn() -> Option<Arc<TickSet>>,
        frames: Option<&dyn Frames>,
    ) -> io::Result<Sent> {
        {
            let mut outbox = self.outbox.lock();
            if !outbox.is_blocked() {
                return Ok(Sent::default());
            }
            self.finish(&mut outbox)?;
            if outbox.has_pending() || !outbox.behind {
                return Ok(Sent::default());
            }
        }
        let main = newest();
        // Snapshots are encoded, and kept by their set, before the lock is taken again: a shard
        // must not wait for that.
        let wanted = self.outbox.lock().wanted(main.as_ref());
        for snapshot in &wanted {
            snapshot.prepare(frames);
        }
        let mut pieces = Vec::new();
        let mut outbox = self.outbox.lock();
        if outbox.has_pending() {
            return Ok(Sent::default());
        }
        let offered = outbox.due(main.as_deref(), frames, &mut pieces);
        outbox.behind = false;
        let took = self.write(&mut outbox, &pieces);
        let sent = outbox.commit(&pieces, took);
        if outbox.newest(newest().as_deref()) > offered {
            // A tick came meanwhile, and its shard may have passed us by.
            outbox.behind |= outbox.rooms() > 0;
            self.wake.notify_one();
        }
        Ok(sent)
    }

    /// Writes what waits, as far as the socket takes it.
    fn finish(&self, outbox: &mut Outbox) -> Alive {
        while outbox.has_pending() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            for bytes in outbox.waiting().take(SLICES) {
                slices[used] = IoSlice::new(bytes);
                used += 1;
            }
            match self.tcp.try_write_vectored(&slices[..used]) {
                Ok(took) => {
                    outbox.taken(took);
                    outbox.blocked_since_ms = None;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    outbox.blocked_since_ms.get_or_insert_with(|| self.now_ms());
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes pieces until the socket takes no more; gives the bytes it took. An error counts as
    /// nothing taken: the session's task, woken because something waits, meets it again.
    fn write<T: AsRef<[u8]>>(&self, outbox: &mut Outbox, pieces: &[T]) -> usize {
        let total: usize = pieces.iter().map(|piece| piece.as_ref().len()).sum();
        let mut took = 0;
        while took < total {
            let written = if let [piece] = pieces {
                self.tcp.try_write(&piece.as_ref()[took..])
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let used = fill(&mut slices, pieces, took);
                self.tcp.try_write_vectored(&slices[..used])
            };
            match written {
                Ok(bytes) if bytes > 0 => {
                    took += bytes;
                    outbox.blocked_since_ms = None;
                }
                _ => {
                    outbox.blocked_since_ms.get_or_insert_with(|| self.now_ms());
                    break;
                }
            }
        }
        took
    }
}

/// Fills slices with what follows the first `skip` bytes of `pieces`; gives how many it used.
fn fill<'a, T: AsRef<[u8]>>(
    slices: &mut [IoSlice<'a>; SLICES],
    pieces: &'a [T],
    mut skip: usize,
) -> usize {
    let mut used = 0;
    for piece in pieces {
        let bytes = piece.as_ref();
        if skip >= bytes.len() {
            skip -= bytes.len();
            continue;
        }
        if used == SLICES {
            break;
        }
        slices[used] = IoSlice::new(&bytes[skip..]);
        used += 1;
        skip = 0;
    }
    used
}
