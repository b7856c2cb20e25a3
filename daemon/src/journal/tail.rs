//! Following the journal by sequence: from memory when the reader keeps up, from the journal's
//! blocks when it does not.
//!
//! Each reader pulls at its own pace and never holds up the writer. Used by the aggregator, and by
//! whatever drains the journal into a store.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pulseboard::event::EventBatch;

use super::handoff::{Numbered, Offer};
use super::queue::Shared;
use super::reader::{PATIENCE, READ_AGAIN, ReadError, first_run, give_up, load, part};

/// What came next.
#[derive(Clone, Debug)]
pub enum TailItem {
    /// Durable events, in order of sequence, none twice. A first sequence beyond the one expected
    /// means that what lies between is no longer in the journal: trimmed, damaged and reported, not
    /// given by the disk for longer than is waited for and reported, or under a tombstone.
    Events {
        /// Sequence of the batch's first event; the others follow densely.
        first_seq: u64,
        /// The events.
        batch: Arc<EventBatch>,
    },
    /// Nothing came within the timeout.
    Idle,
    /// The journal is closed and everything in it was handed out.
    Closed,
}

/// A reader at some sequence.
pub struct Tail {
    shared: Arc<Shared>,
    taken: VecDeque<Numbered>,
    next_seq: u64,
    /// Sequence after what was taken out of the hand-off.
    position: Arc<AtomicU64>,
    /// How long what the disk does not give is waited for, and since when it is.
    patience: Duration,
    refused_since: Option<Duration>,
}

impl Tail {
    pub(super) fn new(shared: Arc<Shared>, from_seq: u64) -> Self {
        let position = Arc::new(AtomicU64::new(from_seq));
        shared.handoff.register(&position);
        let (taken, next_seq, patience) = (VecDeque::new(), from_seq, PATIENCE);
        Self { shared, taken, next_seq, position, patience, refused_since: None }
    }

    /// For who must not pass over anything that may still be had: what the disk does not give is
    /// waited for this long.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The sequence that comes next.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The next batch, after waiting for one at most `timeout`.
    pub fn next(&mut self, timeout: Duration) -> TailItem {
        loop {
            while let Some((first_seq, batch)) = self.taken.pop_front() {
                let end_seq = first_seq + batch.len() as u64;
                let from_seq = first_seq.max(self.next_seq);
                let Some((from_seq, to_seq)) = first_run(&self.shared, from_seq, end_seq) else {
                    self.next_seq = end_seq.max(self.next_seq);
                    continue;
                };
                self.next_seq = to_seq;
                if to_seq < end_seq {
                    self.taken.push_front((first_seq, Arc::clone(&batch)));
                }
                if let Some((first_seq, batch)) = part(first_seq, batch, &(from_seq..=to_seq - 1)) {
                    return TailItem::Events { first_seq, batch };
                }
            }
            match self.shared.handoff.wait(self.next_seq, timeout) {
                Offer::Batches(batches) => {
                    let last = batches.back().map(|(first, batch)| first + batch.len() as u64);
                    self.position.store(last.unwrap_or(self.next_seq), Ordering::Relaxed);
                    self.taken = batches;
                }
                Offer::Behind(end_seq) => {
                    if !self.read_journal(end_seq) {
                        std::thread::sleep(READ_AGAIN.min(timeout));
                        return TailItem::Idle;
                    }
                }
                Offer::Idle => return TailItem::Idle,
                Offer::Closed => return TailItem::Closed,
            }
        }
    }

    /// Reads the next block; everything below `end_seq` is in the index, or gone. What a block has
    /// beyond is held. `false` when the disk does not give it now.
    fn read_journal(&mut self, end_seq: u64) -> bool {
        let found = self.shared.index.read().at_or_after(self.next_seq);
        let Some(found) = found.filter(|found| found.first_seq() < end_seq) else {
            self.skip_to(end_seq);
            return true;
        };
        match load(&found) {
            Ok(batch) => {
                let to_seq = found.end_seq().min(end_seq);
                self.position.store(to_seq, Ordering::Relaxed);
                let wanted = self.next_seq..=to_seq - 1;
                self.taken.extend(part(found.first_seq(), batch, &wanted));
            }
            Err(ReadError::Io(error)) if self.waits() => {
                tracing::debug!(%error, "the disk does not give a block; trying again");
                return false;
            }
            Err(error) => {
                give_up(&self.shared, &found, &error);
                self.skip_to(found.end_seq());
            }
        }
        self.refused_since = None;
        true
    }

    /// Whether what was refused may still come.
    fn waits(&mut self) -> bool {
        let now = self.shared.clock.elapsed();
        now.saturating_sub(*self.refused_since.get_or_insert(now)) < self.patience
    }

    fn skip_to(&mut self, seq: u64) {
        self.next_seq = seq;
        self.position.store(seq, Ordering::Relaxed);
    }
}
