//! From appenders to the writer thread: encoded batches in, acknowledgements out, and the state
//! both sides share.
//!
//! Bounded by bytes in flight; past it an append is refused as busy. Appending never waits for the
//! disk: it takes one short lock.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};
use pulseboard::event::EventBatch;
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use super::block::encode::Encoded;
use super::handoff::Handoff;
use super::holds::{Hold, LetGo};
use super::index::Index;
use super::segment::BlockFile;
use super::spool::Spool;
use super::{DamagedBlock, Fault, Options};
use crate::clock::Clock;

/// Most bytes one sync covers, about: what queues up beyond waits for the next one, so that an
/// acknowledgement is never far away.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// Damaged blocks listed in the statistics; all are counted.
const DAMAGED_LISTED: usize = 100;

/// Why an append was refused. Nothing of a refused batch is kept.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AppendError {
    /// No space left on the journal's disk; taken again as soon as there is.
    #[error("the disk that holds the journal is full; free some space on it")]
    DiskFull,
    /// The journal holds as much as it may while the store is away.
    #[error("the journal holds as much as `limits.spool_bytes` allows while the store is away")]
    SpoolFull,
    /// Too many bytes are waiting to be written; try again shortly.
    #[error("too much is waiting to be written to the journal; try again shortly")]
    Busy,
    /// The journal is closing.
    #[error("the journal is closed")]
    Closed,
    /// A write or sync failed for good; the process is about to end.
    #[error("the journal's disk failed; the daemon stops")]
    Failed,
}

/// What an acknowledged batch got: its events are `first_seq..first_seq + count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Sequence of the batch's first event; the others follow densely.
    pub first_seq: u64,
    /// Number of events.
    pub count: u32,
}

/// What an append came to; with the hold, where one was asked for.
type Answer = Result<(Appended, Option<Hold>), AppendError>;

/// An append on its way to the disk. Dropping it does not take the batch back.
pub struct Pending(oneshot::Receiver<Answer>);

/// An append whose events are held once they are durable. Dropping it does not take the batch
/// back; the events are then let go by themselves.
pub struct PendingHold(oneshot::Receiver<Answer>);

impl Pending {
    /// Blocks the calling thread until the batch is durable. Not for async tasks, which await it.
    pub fn wait(self) -> Result<Appended, AppendError> {
        let answer = self.0.blocking_recv().unwrap_or(Err(AppendError::Failed));
        answer.map(|(appended, _)| appended)
    }
}

impl Future for Pending {
    type Output = Result<Appended, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(context);
        answer.map(|answer| Ok(answer.unwrap_or(Err(AppendError::Failed))?.0))
    }
}

impl PendingHold {
    /// Blocks the calling thread until the batch is durable. Not for async tasks, which await it.
    pub fn wait(self) -> Result<Hold, AppendError> {
        held(self.0.blocking_recv())
    }
}

impl Future for PendingHold {
    type Output = Result<Hold, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(held)
    }
}

fn held(answer: Result<Answer, oneshot::error::RecvError>) -> Result<Hold, AppendError> {
    let (_, hold) = answer.unwrap_or(Err(AppendError::Failed))?;
    hold.ok_or(AppendError::Failed)
}

/// When readers see a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// As soon as it is durable.
    AtOnce,
    /// As soon as it is durable that they do.
    ForGood,
    /// When it is let go.
    Held,
}

/// A batch to be written.
pub(super) struct Append {
    pub(super) block: Encoded,
    pub(super) batch: Arc<EventBatch>,
    pub(super) sight: Sight,
    reply: oneshot::Sender<Answer>,
    cost: u64,
}

/// A block the keeper merged from batches in a head.
pub(super) struct Merged {
    pub(super) block: Encoded,
    /// Whether it is the last of its head.
    pub(super) last: bool,
}

#[derive(Default)]
struct Queue {
    appends: VecDeque<Append>,
    merged: VecDeque<Merged>,
    /// Somebody waits for the seen mark.
    noting: bool,
    closing: bool,
    gone: bool,
}

/// What the writer takes off the queue for one sync.
pub(super) struct Work {
    pub(super) appends: Vec<Append>,
    pub(super) merged: Option<Merged>,
    /// Whether nothing more will come.
    pub(super) last: bool,
}

/// Figures kept as they happen.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) inflight: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) sync_ns: AtomicU64,
    pub(super) written_bytes: AtomicU64,
    pub(super) disk_bytes: AtomicU64,
    pub(super) disk_full: AtomicBool,
    pub(super) damaged: AtomicU64,
    /// When the writer last began a round, by [`Clock::elapsed`], ms.
    pub(super) beat_ms: AtomicU64,
    pub(super) trimmed_events: AtomicU64,
    pub(super) trimmed_segments: AtomicU64,
    /// Held appends that nobody let go in so many words.
    pub(super) holds_dropped: AtomicU64,
    /// How many tombstones the index has: readers look there only when there are any.
    pub(super) tombstones: AtomicU64,
    pub(super) tombstones_made: AtomicU64,
    /// Whether tombstones are in the index that could not be written yet.
    pub(super) tombstones_unwritten: AtomicBool,
}

/// What appenders, writer, keeper and readers share.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) index: RwLock<Index>,
    pub(super) handoff: Handoff,
    pub(super) counters: Counters,
    pub(super) fault: watch::Sender<Option<Fault>>,
    pub(super) damaged: Mutex<Vec<DamagedBlock>>,
    /// What waits for a store.
    pub(super) spool: Spool,
    /// Says durably how far retention went; only retention writes it.
    pub(super) trim_mark: Mutex<BlockFile>,
    queue: Mutex<Queue>,
    arrived: Condvar,
}

impl Shared {
    pub(super) fn new(
        options: Options,
        clock: Clock,
        index: Index,
        (next_seq, seen_seq): (u64, u64),
        trim_mark: BlockFile,
    ) -> Self {
        let handoff = Handoff::new(next_seq, seen_seq, options.handoff_bytes);
        let spool = Spool::new(options.spool_bytes);
        Self {
            spool,
            options,
            clock,
            index: RwLock::new(index),
            handoff,
            counters: Counters::default(),
            fault: watch::Sender::new(None),
            damaged: Mutex::new(Vec::new()),
            trim_mark: Mutex::new(trim_mark),
            queue: Mutex::new(Queue::default()),
            arrived: Condvar::new(),
        }
    }

    /// Queues a batch for the writer; one that is seen for good, if so wanted.
    pub(super) fn append(
        &self,
        block: Encoded,
        batch: EventBatch,
        for_good: bool,
    ) -> Result<Pending, AppendError> {
        let sight = if for_good { Sight::ForGood } else { Sight::AtOnce };
        self.queue(block, batch, sight).map(Pending)
    }

    /// The same for a batch that is held once it is durable.
    pub(super) fn append_held(
        &self,
        block: Encoded,
        batch: EventBatch,
    ) -> Result<PendingHold, AppendError> {
        self.queue(block, batch, Sight::Held).map(PendingHold)
    }

    fn queue(
        &self,
        block: Encoded,
        batch: EventBatch,
        sight: Sight,
    ) -> Result<oneshot::Receiver<Answer>, AppendError> {
        let cost = (block.bytes.len() + batch.heap_bytes()) as u64;
        let before = self.counters.inflight.fetch_add(cost, Ordering::Relaxed);
        if before > 0 && before + cost > self.options.inflight_bytes {
            self.counters.inflight.fetch_sub(cost, Ordering::Relaxed);
            return Err(AppendError::Busy);
        }
        let (reply, answer) = oneshot::channel();
        let append = Append { block, batch: Arc::new(batch), sight, reply, cost };
        let mut queue = self.queue.lock();
        if queue.closing || queue.gone {
            drop(queue);
            self.counters.inflight.fetch_sub(cost, Ordering::Relaxed);
            let failed = self.fault.borrow().is_some();
            return Err(if failed { AppendError::Failed } else { AppendError::Closed });
        }
        queue.appends.push_back(append);
        drop(queue);
        self.arrived.notify_one();
        Ok(answer)
    }

    /// Answers an append that is durable.
    pub(super) fn acknowledge(self: &Arc<Self>, append: Append, appended: Appended) {
        self.counters.inflight.fetch_sub(append.cost, Ordering::Relaxed);
        let end_seq = appended.first_seq + u64::from(appended.count);
        let held = append.sight == Sight::Held;
        let hold = held.then(|| Hold::new(self, appended.first_seq, end_seq));
        // Nobody listens any more when a request was given up; the batch is kept all the same.
        let _ = append.reply.send(Ok((appended, hold)));
    }

    /// Answers an append of which nothing was kept.
    pub(super) fn refuse(&self, append: Append, error: AppendError) {
        self.counters.inflight.fetch_sub(append.cost, Ordering::Relaxed);
        let _ = append.reply.send(Err(error));
    }

    pub(super) fn push_merged(&self, merged: Merged) {
        self.queue.lock().merged.push_back(merged);
        self.arrived.notify_one();
    }

    /// Lets a held append go; see [`Handoff::let_go`].
    pub(super) fn let_go(&self, first_seq: u64, how: LetGo) -> Option<oneshot::Receiver<()>> {
        let (passed, waits) = self.handoff.let_go(first_seq, how);
        if waits {
            self.note();
        }
        passed
    }

    /// Has the writer put the seen mark where it is waited for.
    fn note(&self) {
        self.queue.lock().noting = true;
        self.arrived.notify_one();
    }

    /// The writer begins a round.
    pub(super) fn beat(&self) {
        self.counters.beat_ms.store(self.clock.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Takes what has gathered, after waiting for something at most `timeout`.
    pub(super) fn take(&self, timeout: Duration) -> Work {
        let mut queue = self.queue.lock();
        let nothing = |queue: &mut Queue| {
            queue.appends.is_empty() && queue.merged.is_empty() && !queue.closing && !queue.noting
        };
        self.arrived.wait_while_for(&mut queue, nothing, timeout);
        queue.noting = false;
        let mut bytes = 0;
        let fits = |append: &&Append| {
            let first = bytes == 0;
            bytes += append.block.bytes.len();
            first || bytes <= GROUP_BYTES
        };
        let group = queue.appends.iter().take_while(fits).count();
        let appends = queue.appends.drain(..group).collect();
        let merged = queue.merged.pop_front();
        let last = queue.closing && queue.appends.is_empty() && queue.merged.is_empty();
        Work { appends, merged, last }
    }

    /// Lets nothing more in; the writer finishes what is queued.
    pub(super) fn begin_close(&self) {
        self.queue.lock().closing = true;
        self.arrived.notify_one();
    }

    /// The writer is gone, after a fault or a close: whoever still waits is told.
    pub(super) fn writer_gone(&self) {
        let mut queue = self.queue.lock();
        queue.gone = true;
        let left = std::mem::take(&mut queue.appends);
        queue.merged.clear();
        drop(queue);
        let failed = self.fault.borrow().is_some();
        for append in left {
            let error = if failed { AppendError::Failed } else { AppendError::Closed };
            self.refuse(append, error);
        }
        self.handoff.close();
    }

    /// Notes a damaged block, once for each place.
    pub(super) fn report_damage(&self, block: DamagedBlock) {
        let mut damaged = self.damaged.lock();
        let known = damaged.iter().any(|other| block.is_at(other));
        if known {
            return;
        }
        tracing::error!(
            file = %block.file,
            offset = block.offset,
            bytes = block.bytes,
            "a block of the journal is damaged; it is set aside, the others are read on"
        );
        self.counters.damaged.fetch_add(1, Ordering::Relaxed);
        if damaged.len() < DAMAGED_LISTED {
            damaged.push(block);
        }
    }
}
