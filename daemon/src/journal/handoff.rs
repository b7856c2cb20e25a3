//! Recent batches in memory, from the writer to those who pull by sequence.
//!
//! Bounded by bytes; when full, the oldest batches leave, and a reader that still needed them
//! reads the journal's blocks instead. A batch leaves too once every reader has passed it. What is
//! held stays out of their sight. The writer never waits here for anyone.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use pulseboard::event::EventBatch;
use tokio::sync::oneshot;

use super::holds::{Holds, LetGo};
use super::queue::Sight;

/// Batches taken in one go: one lock for many small ones.
const TAKE: usize = 64;

/// Held appends that are let go one after the other, while more are held, before waiting readers
/// are woken: each would cost more than it brings.
const HEARD_AT_ONCE: u32 = 32;

/// A batch and the sequence of its first event.
pub(super) type Numbered = (u64, Arc<EventBatch>);

struct Ring {
    batches: VecDeque<Numbered>,
    bytes: usize,
    /// Sequence after the last durable event.
    durable_seq: u64,
    /// Sequence after the last event readers may see: the watermark.
    end_seq: u64,
    holds: Holds,
    /// Until there is a reader or an append: the sequence that readers of earlier processes saw
    /// up to.
    seen_before: Option<u64>,
    /// Whether anything was ever held.
    has_held: bool,
    /// How often the watermark moved without a word to those who wait.
    unheard: u32,
    closed: bool,
    readers: Vec<Weak<AtomicU64>>,
}

/// The ring, its bound and its bell.
pub(super) struct Handoff {
    ring: Mutex<Ring>,
    news: Condvar,
    bytes_max: usize,
}

/// What the ring has for a reader at some sequence.
pub(super) enum Offer {
    /// These batches; the first holds the sequence asked for.
    Batches(VecDeque<Numbered>),
    /// Something, but no longer here: it is in the journal up to this sequence.
    Behind(u64),
    /// Nothing new came in time.
    Idle,
    /// Nothing new will come.
    Closed,
}

impl Handoff {
    pub(super) fn new(end_seq: u64, seen_seq: u64, bytes_max: usize) -> Self {
        let ring = Ring {
            batches: VecDeque::new(),
            bytes: 0,
            durable_seq: end_seq,
            end_seq,
            holds: Holds::default(),
            seen_before: Some(seen_seq),
            has_held: false,
            unheard: 0,
            closed: false,
            readers: Vec::new(),
        };
        Self { ring: Mutex::new(ring), news: Condvar::new(), bytes_max }
    }

    /// Adds batches that became durable, in order, and when readers see each.
    pub(super) fn push(&self, batches: impl Iterator<Item = (Numbered, Sight)>, durable_seq: u64) {
        let mut ring = self.ring.lock();
        let ring = &mut *ring;
        for ((first_seq, batch), sight) in batches {
            let end_seq = first_seq + batch.len() as u64;
            ring.seen_before = None;
            match sight {
                Sight::AtOnce => {}
                Sight::ForGood => ring.holds.add_for_good(first_seq, end_seq),
                Sight::Held => {
                    ring.has_held = true;
                    ring.holds.add(first_seq, end_seq);
                }
            }
            ring.bytes += batch.heap_bytes();
            ring.batches.push_back((first_seq, batch));
        }
        ring.durable_seq = durable_seq;
        let news = ring.see();
        ring.readers.retain(|reader| reader.strong_count() > 0);
        let readers = ring.readers.iter().filter_map(Weak::upgrade);
        let passed = readers.map(|reader| reader.load(Ordering::Relaxed)).min();
        let passed = passed.unwrap_or(u64::MAX);
        while let Some((first_seq, batch)) = ring.batches.front() {
            if ring.bytes <= self.bytes_max && first_seq + batch.len() as u64 > passed {
                break;
            }
            ring.bytes -= batch.heap_bytes();
            ring.batches.pop_front();
        }
        if news {
            self.news.notify_all();
        }
    }

    /// Hides from readers what is durable from `from_seq` on, until it is let go. Before anything
    /// is held and before any reader has come that far. Returns the sequence after it; `None`
    /// when there is nothing.
    pub(super) fn hold_back(&self, from_seq: u64) -> Option<u64> {
        let mut ring = self.ring.lock();
        let durable_seq = ring.durable_seq;
        ring.seen_before = None;
        if from_seq >= durable_seq || ring.end_seq != durable_seq {
            return None;
        }
        ring.holds.add(from_seq, durable_seq);
        (ring.end_seq, ring.has_held) = (from_seq, true);
        Some(durable_seq)
    }

    /// Lets the held append that begins at `first_seq` go; see [`Holds::let_go`]. Says too
    /// whether something waits for the seen mark.
    pub(super) fn let_go(
        &self,
        first_seq: u64,
        how: LetGo,
    ) -> (Option<oneshot::Receiver<()>>, bool) {
        let mut ring = self.ring.lock();
        let passed = ring.holds.let_go(first_seq, how);
        let waits = ring.holds.to_note(ring.durable_seq).is_some();
        let (news, closed) = (ring.see(), ring.closed);
        // What goes one by one wakes readers now and then: the rest follows in a moment.
        ring.unheard = if news { ring.unheard + 1 } else { ring.unheard };
        let news = ring.unheard > 0 && (ring.holds.is_empty() || ring.unheard >= HEARD_AT_ONCE);
        if news {
            ring.unheard = 0;
        }
        drop(ring);
        if news {
            self.news.notify_all();
        }
        (passed.filter(|_| !closed), waits)
    }

    /// Lets a part of what is held go; see [`Holds::let_go_below`].
    pub(super) fn let_go_below(&self, first_seq: u64, seq: u64) {
        let mut ring = self.ring.lock();
        ring.holds.let_go_below(first_seq, seq);
        let news = ring.see();
        drop(ring);
        if news {
            self.news.notify_all();
        }
    }

    /// The sequence that readers see up to, or those of the process before did while there is none
    /// yet; and whether what is written next is seen by them as soon as it is durable.
    pub(super) fn seen(&self) -> (u64, bool) {
        let ring = self.ring.lock();
        match ring.seen_before {
            Some(seen_seq) => (seen_seq.min(ring.end_seq), false),
            None => (ring.end_seq, ring.holds.is_empty()),
        }
    }

    /// What the seen mark should say, where something waits for it, or where, `at_leisure`, it is
    /// behind: `known_seq` is what a start would know without. Nothing in a journal that holds
    /// nothing back.
    pub(super) fn to_note(&self, known_seq: u64, at_leisure: bool) -> Option<u64> {
        let ring = self.ring.lock();
        let behind = at_leisure && ring.has_held && ring.seen_before.is_none();
        let behind = (behind && ring.end_seq > known_seq).then_some(ring.end_seq);
        ring.holds.to_note(ring.durable_seq).or(behind)
    }

    /// The seen mark says so.
    pub(super) fn noted(&self, seq: u64) {
        let mut ring = self.ring.lock();
        ring.holds.noted(seq);
        let news = ring.see();
        drop(ring);
        if news {
            self.news.notify_all();
        }
    }

    /// Tells readers that nothing more will come.
    pub(super) fn close(&self) {
        let mut ring = self.ring.lock();
        ring.closed = true;
        ring.holds.close();
        drop(ring);
        self.news.notify_all();
    }

    /// Lets batches stay until the reader at this position has passed them.
    pub(super) fn register(&self, position: &Arc<AtomicU64>) {
        let mut ring = self.ring.lock();
        ring.seen_before = None;
        ring.readers.push(Arc::downgrade(position));
    }

    /// Waits until there is something at `seq` or after it.
    pub(super) fn wait(&self, seq: u64, timeout: Duration) -> Offer {
        let mut ring = self.ring.lock();
        if ring.end_seq <= seq && !ring.closed {
            let nothing = |ring: &mut Ring| ring.end_seq <= seq && !ring.closed;
            self.news.wait_while_for(&mut ring, nothing, timeout);
        }
        if ring.end_seq <= seq {
            return if ring.closed { Offer::Closed } else { Offer::Idle };
        }
        let from = ring.batches.partition_point(|(first, batch)| first + batch.len() as u64 <= seq);
        if ring.batches.get(from).is_none_or(|(first, _)| *first > seq) {
            return Offer::Behind(ring.end_seq);
        }
        let seen = |(first, batch): &&Numbered| first + batch.len() as u64 <= ring.end_seq;
        let batches: VecDeque<Numbered> =
            ring.batches.range(from..).take_while(seen).take(TAKE).cloned().collect();
        if batches.is_empty() { Offer::Behind(ring.end_seq) } else { Offer::Batches(batches) }
    }

    /// Sequence after the last event readers may see.
    pub(super) fn end_seq(&self) -> u64 {
        self.ring.lock().end_seq
    }

    /// Sequence after the last durable event, held ones included.
    pub(super) fn durable_seq(&self) -> u64 {
        self.ring.lock().durable_seq
    }

    /// Bytes of batches held.
    pub(super) fn bytes(&self) -> usize {
        self.ring.lock().bytes
    }
}

impl Ring {
    /// Moves the watermark to where it belongs; returns whether readers have something new.
    fn see(&mut self) -> bool {
        let end_seq = self.holds.watermark(self.durable_seq).max(self.end_seq);
        let news = end_seq > self.end_seq;
        self.end_seq = end_seq;
        news
    }
}
