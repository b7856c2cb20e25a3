//! The thread that pulls events from the journal and makes documents of them, a batch at a time.
//!
//! Waits for whoever delivers: it is at most a batch ahead. While it has to wait it does not follow
//! the journal's memory, so that a store that is away keeps nothing in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mongodb::bson::RawDocumentBuf;
use pulseboard::event::EventBatch;
use tokio::sync::mpsc;

use super::Shared;
use crate::journal::{Tail, TailItem};
use crate::store::mongodb::{Place, event_document};

/// Documents of a batch.
const DOCUMENTS_MAX: usize = 4_000;
/// Bytes of a batch's documents; a command holds 16 MiB.
const BYTES_MAX: usize = 8 << 20;
/// How long a batch gathers once it has something.
const GATHER: Duration = Duration::from_millis(25);
/// How long a disk that does not give what it holds is waited for. What is passed over then is passed
/// over for good, and reported as damaged; all that comes after it would wait otherwise.
const PATIENCE: Duration = Duration::from_mins(1);
/// How soon a stop is noticed.
const WAIT: Duration = Duration::from_millis(100);

/// Documents of a run of sequences.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What the batch before ended with; some of it may be missing in the journal.
    pub from_seq: u64,
    /// The sequence after the last.
    pub end_seq: u64,
    pub documents: Arc<Vec<RawDocumentBuf>>,
    /// Sequence and tick of each document.
    pub places: Vec<(u64, i64)>,
    pub bytes: usize,
}

/// What is pulled.
pub(super) struct Pulled {
    pub batches: mpsc::Receiver<Batch>,
    /// Set before the last batch is followed by none: the journal is closed. Without it the thread
    /// ended as it should not.
    pub is_all: Arc<AtomicBool>,
}

/// Begins to pull from `from_seq` on. Ends when the receiver is gone, or the journal is closed and
/// all of it was given.
pub(super) fn start(
    shared: &Arc<Shared>,
    from_seq: u64,
    stop: Arc<AtomicBool>,
) -> std::io::Result<Pulled> {
    let (batches, receiver) = mpsc::channel(1);
    let (shared, is_all) = (Arc::clone(shared), Arc::<AtomicBool>::default());
    let pulled = Pulled { batches: receiver, is_all: Arc::clone(&is_all) };
    let (tail, carry) = (None, None);
    let puller = Puller { shared, batches, stop, is_all, tail, carry, next_seq: from_seq };
    std::thread::Builder::new().name("drain".into()).spawn(move || puller.run())?;
    Ok(pulled)
}

struct Puller {
    shared: Arc<Shared>,
    batches: mpsc::Sender<Batch>,
    stop: Arc<AtomicBool>,
    is_all: Arc<AtomicBool>,
    tail: Option<Tail>,
    /// The rest of what was pulled: first sequence, events, and how many of them were taken.
    carry: Option<(u64, Arc<EventBatch>, usize)>,
    next_seq: u64,
}

impl Puller {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) && !self.batches.is_closed() {
            let (batch, closed) = self.gather();
            if batch.end_seq > batch.from_seq {
                if self.batches.capacity() == 0 {
                    self.tail = None;
                }
                if self.batches.blocking_send(batch).is_err() {
                    return;
                }
            }
            if closed {
                self.is_all.store(true, Ordering::Release);
                return;
            }
        }
    }

    /// The next batch, perhaps an empty one, and whether there will be no more.
    fn gather(&mut self) -> (Batch, bool) {
        let mut documents = Vec::new();
        let mut batch =
            Batch { from_seq: self.next_seq, end_seq: self.next_seq, ..Batch::default() };
        let mut until = None;
        let mut closed = false;
        while documents.len() < DOCUMENTS_MAX && batch.bytes < BYTES_MAX {
            if self.carry.is_some() {
                self.take_carried(&mut batch, &mut documents);
                continue;
            }
            let now = self.shared.clock.elapsed();
            let deadline = *until.get_or_insert(now + GATHER);
            let wait = if documents.is_empty() { WAIT } else { deadline.saturating_sub(now) };
            match self.pull(wait) {
                TailItem::Events { first_seq, batch } => self.carry = Some((first_seq, batch, 0)),
                TailItem::Idle => break,
                TailItem::Closed => {
                    closed = true;
                    break;
                }
            }
            if documents.is_empty() {
                until = None;
            } else if wait.is_zero() {
                break;
            }
        }
        if documents.is_empty()
            && let Some(tail) = &self.tail
        {
            // What lies between is not in the journal any more, or hidden.
            batch.end_seq = tail.next_seq().max(batch.from_seq);
            self.next_seq = batch.end_seq;
        }
        batch.documents = Arc::new(documents);
        (batch, closed)
    }

    fn pull(&mut self, wait: Duration) -> TailItem {
        let tail = self
            .tail
            .get_or_insert_with(|| self.shared.journal.tail(self.next_seq).patient(PATIENCE));
        tail.next(wait)
    }

    fn take_carried(&mut self, batch: &mut Batch, documents: &mut Vec<RawDocumentBuf>) {
        let Some((first_seq, events, taken)) = self.carry.take() else { return };
        let mut index = taken;
        while index < events.len() && documents.len() < DOCUMENTS_MAX && batch.bytes < BYTES_MAX {
            let event = events.get(index);
            let seq = first_seq + index as u64;
            let document = event_document(&event, Place { node: &self.shared.settings.node, seq });
            batch.bytes += document.as_bytes().len();
            batch.places.push((seq, event.tick()));
            documents.push(document);
            index += 1;
        }
        batch.end_seq = first_seq + index as u64;
        self.next_seq = batch.end_seq;
        if index < events.len() {
            self.carry = Some((first_seq, events, index));
        }
    }
}
