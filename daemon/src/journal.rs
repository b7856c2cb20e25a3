//! The durable heart: append-only segments of checksummed blocks, group commit, recovery.
//!
//! An acknowledged event is on disk, exactly once, under a sequence that never changes; sequences
//! start at 1, one an event. Appending encodes on the caller's core and never waits for the disk;
//! readers pull at their own pace and never hold up the writer. A full disk refuses what does not
//! fit and goes on when there is space; a failed sync is final and ends the process. Nothing else
//! opens the journal's files, and the journal opens no other. It takes no lock on its directory:
//! the app does. Ingest appends, the aggregator and the drain follow, the API scans.
//!
//! Rooms: [`block`] is the byte layout, [`segment`] the files, [`writer`] the one thread that
//! writes, [`keeper`] merges beside it, [`start`] and [`recovery`] open, [`reader`], [`forward`]
//! and [`tail`] read, [`holds`] and [`tombstones`] say what they see, [`seen`] how far they did, [`retention`] lets go,
//! [`spool`] counts what waits for a store.

mod block;
mod disk;
mod forward;
mod handoff;
mod holds;
mod index;
mod keeper;
mod queue;
mod reader;
mod recovery;
mod retention;
mod seen;
mod segment;
mod spool;
mod start;
mod tail;
mod tombstones;
mod unseen;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use pulseboard::event::EventBatch;
use tokio::sync::watch;

pub use block::Damage;
pub use disk::{Disk, DiskFile, OsDisk};
pub use forward::Forward;
pub use holds::{Hold, Seen};
pub use queue::{AppendError, Appended, Pending, PendingHold};
pub use reader::{FingerprintsRead, ReadError, Scan, ScanRange};
pub use recovery::OpenError;
pub use retention::Trimmed;
pub use start::open;
pub use tail::{Tail, TailItem};
pub use tombstones::TombstoneError;
pub use unseen::Unseen;

use queue::Shared;

/// How a journal is kept. [`Options::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// The journal's own directory; made when missing.
    pub dir: PathBuf,
    /// Size of a segment file, reserved when it is made. 64 MiB.
    pub segment_bytes: u64,
    /// Size of each of the two head files. 16 MiB.
    pub head_bytes: u64,
    /// The disk the journal may take before retention trims it. 20 GiB.
    pub max_bytes: u64,
    /// Events are kept this many days from their arrival. 7.
    pub events_days: u32,
    /// Bytes of events that may wait for a store; past it appends are refused. What was drained and
    /// is still kept does not count. None.
    pub spool_bytes: Option<u64>,
    /// How long small blocks gather before they are merged, ms. 1,000.
    pub merge_after_ms: u64,
    /// Bytes of batches queued for the writer; past it appends are refused as busy. 256 MiB.
    pub inflight_bytes: u64,
    /// Bytes of recent batches kept for readers that keep up; past it they read blocks. 32 MiB.
    pub handoff_bytes: usize,
    /// The least sequence to go on with: one more than anybody has seen. 1.
    pub next_seq_min: u64,
}

impl Options {
    /// The defaults, for a journal in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 64 << 20,
            head_bytes: 16 << 20,
            max_bytes: 20 << 30,
            events_days: 7,
            spool_bytes: None,
            merge_after_ms: 1_000,
            inflight_bytes: 256 << 20,
            handoff_bytes: 32 << 20,
            next_seq_min: 1,
        }
    }

    fn segments_dir(&self) -> PathBuf {
        self.dir.join("segments")
    }
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Events in the journal.
    pub events: u64,
    /// Lowest sequence held; 1 in an empty journal.
    pub first_seq: u64,
    /// The sequence the next event gets.
    pub next_seq: u64,
    /// Readers had seen every event below this sequence, and perhaps some beyond.
    pub seen_seq: u64,
    /// Events among those held that readers pass over; not counted in `events`.
    pub tombstones: u64,
    /// Earliest arrival among the oldest events, Unix ms.
    pub oldest_arrival_ms: Option<i64>,
    /// Bytes of a torn tail that were cut: nothing in it was acknowledged.
    pub cut_bytes: u64,
    /// Blocks that are damaged with sound ones after them, set aside.
    pub damaged: Vec<DamagedBlock>,
    /// Segments found.
    pub segments: u64,
    /// Bytes of disk taken.
    pub bytes: u64,
}

/// A place in the journal that cannot be read; what stands around it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedBlock {
    /// File name.
    pub file: String,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// First sequence that is missing because of it, where that can be told.
    pub first_seq: Option<u64>,
    /// How many events are missing, where that can be told.
    pub events: Option<u64>,
}

impl DamagedBlock {
    fn is_at(&self, other: &Self) -> bool {
        self.file == other.file && self.offset == other.offset
    }
}

/// Why the journal can no longer be written. Final: the process has to end, and what was
/// acknowledged is replayed when it starts again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub(crate) String);

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Figures for metrics and health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events held.
    pub events: u64,
    /// Lowest sequence held, or `next_seq` when nothing is.
    pub first_seq: u64,
    /// Sequence after the last event readers may see.
    pub next_seq: u64,
    /// Durable events that are held: readers do not see them yet.
    pub held: u64,
    /// Events under a tombstone.
    pub tombstones: u64,
    /// Tombstones made since start.
    pub tombstones_made: u64,
    /// Held appends that whoever made them gave up, and that were let go by themselves.
    pub holds_dropped: u64,
    /// Earliest arrival among the oldest events, Unix ms.
    pub oldest_arrival_ms: Option<i64>,
    /// Bytes of disk taken, reserved space included.
    pub disk_bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Blocks in segments.
    pub blocks: u64,
    /// Batches in heads, waiting to be merged.
    pub unmerged: u64,
    /// Bytes of batches in memory for readers that keep up.
    pub handoff_bytes: u64,
    /// Bytes queued or being written.
    pub inflight_bytes: u64,
    /// Bytes of blocks written since start, merged ones included.
    pub written_bytes: u64,
    /// Syncs since start, each of which may cover many batches.
    pub syncs: u64,
    /// Time spent in them, ns.
    pub sync_ns: u64,
    /// Whether the last attempt to get more disk failed for want of space.
    pub disk_full: bool,
    /// Bytes of what no store has drained yet, aggregates made of it included; 0 without a limit.
    pub waiting_bytes: u64,
    /// Bytes of events no store has yet; 0 without a limit.
    pub unstored_bytes: u64,
    /// How many such bytes there may be; `None` without a limit.
    pub waiting_bytes_max: Option<u64>,
    /// Whether it takes nothing until a store has drained some of it.
    pub spool_full: bool,
    /// Damaged blocks known of.
    pub damaged_blocks: u64,
    /// The first hundred of them.
    pub damaged: Vec<DamagedBlock>,
    /// Events that retention let go since start.
    pub trimmed_events: u64,
    /// Segments that retention let go since start.
    pub trimmed_segments: u64,
}

/// A journal being written: a cheap handle, closed when [`Journal::close`] is called or the last
/// handle is gone.
#[derive(Clone)]
pub struct Journal(Arc<Owner>);

struct Owner {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// One retention at a time.
    retention: Mutex<()>,
}

impl Journal {
    /// Encodes a batch of at least one event on the caller's core and queues it for the writer;
    /// never waits for the disk. The [`Pending`] resolves when the batch is durable.
    pub fn append(&self, batch: EventBatch) -> Result<Pending, AppendError> {
        debug_assert!(!batch.is_empty(), "an append has at least one event");
        let shared = &self.0.shared;
        if shared.spool.is_full() {
            return Err(AppendError::SpoolFull);
        }
        let block = block::encode::encode(&batch, false);
        shared.append(block, batch, false)
    }

    /// The same for a batch that no start is to decide about again, once readers see it: they see
    /// it no sooner than that is durable.
    pub fn append_for_good(&self, batch: EventBatch) -> Result<Pending, AppendError> {
        debug_assert!(!batch.is_empty(), "an append has at least one event");
        let shared = &self.0.shared;
        if shared.spool.is_full() {
            return Err(AppendError::SpoolFull);
        }
        let block = block::encode::encode(&batch, false);
        shared.append(block, batch, true)
    }

    /// The same for a batch that readers do not see, once it is durable, before its hold is let go.
    pub fn append_held(&self, batch: EventBatch) -> Result<PendingHold, AppendError> {
        debug_assert!(!batch.is_empty(), "an append has at least one event");
        let shared = &self.0.shared;
        if shared.spool.is_full() {
            return Err(AppendError::SpoolFull);
        }
        let block = block::encode::encode(&batch, false);
        shared.append_held(block, batch)
    }

    /// Has readers pass over these events, for good and durably; to be called while they are held.
    /// Blocks on the disk.
    pub fn tombstone(&self, seqs: &[u64]) -> Result<(), TombstoneError> {
        let _one = self.0.retention.lock();
        tombstones::add(&self.0.shared, &*self.0.disk, seqs)
    }

    /// Hides what is stored from `from_seq` on from readers, until it is let go bit by bit: for a
    /// start, before the first reader and the first append. `None` when there is nothing.
    pub fn unseen_from(&self, from_seq: u64) -> Option<Unseen> {
        Unseen::new(&self.0.shared, from_seq.max(1))
    }

    /// A reader that pulls from `from_seq` on, or from the oldest event held if that is later.
    pub fn tail(&self, from_seq: u64) -> Tail {
        Tail::new(Arc::clone(&self.0.shared), from_seq.max(1))
    }

    /// A reader that pulls every event that arrived at or after `arrived_ms` (Unix ms), as far as
    /// the journal reaches back, then those that come; a few before may be among them.
    pub fn tail_since(&self, arrived_ms: i64) -> Tail {
        let next_seq = self.next_seq();
        let from_seq = self.0.shared.index.read().arrived_since(arrived_ms);
        self.tail(from_seq.unwrap_or(next_seq).min(next_seq))
    }

    /// Every event that arrived from then on (Unix ms) is here; `None` when none was ever let go.
    pub fn kept_from_ms(&self) -> Option<i64> {
        let index = self.0.shared.index.read();
        let first_seq = index.first_seq().unwrap_or(1);
        if first_seq == 1 { None } else { index.oldest_arrival_ms() }
    }

    /// When the event of this sequence arrived, or the next one held after it, Unix ms, about: not
    /// before and not after those it is stored together with.
    pub fn arrived_ms(&self, seq: u64) -> Option<i64> {
        self.0.shared.index.read().at_or_after(seq).map(|found| found.arrived_ms(seq))
    }

    /// Stored events, newest stored first.
    pub fn scan(&self, range: ScanRange) -> Scan {
        Scan::new(Arc::clone(&self.0.shared), range)
    }

    /// Stored events, oldest stored first, up to what is stored now.
    pub fn forward(&self, range: ScanRange) -> Forward {
        Forward::new(Arc::clone(&self.0.shared), range)
    }

    /// Hands fingerprints and arrivals (Unix ms) of all blocks with an arrival at or after
    /// `since_arrival_ms` to `sink`, newest blocks first, from `workers` threads at once (the
    /// calling one among them). Reads these two columns alone, trimmed segments' included.
    pub fn fingerprints(
        &self,
        since_arrival_ms: i64,
        workers: usize,
        sink: &(dyn Fn(&[u128], &[i64]) + Sync),
    ) -> Result<FingerprintsRead, ReadError> {
        reader::fingerprints(&self.0.shared, since_arrival_ms, workers, sink)
    }

    /// Sequence after the last event readers may see: of a journal in which nothing is held, after
    /// the last acknowledged one.
    pub fn next_seq(&self) -> u64 {
        self.0.shared.handoff.end_seq()
    }

    /// Lets go of segments past the limits as of `now_ms`, but of nothing at or above `floor_seq`
    /// (what every reader has applied). Blocks on the disk; for a maintenance thread.
    pub fn enforce_retention(&self, now_ms: i64, floor_seq: u64) -> Result<Trimmed, ReadError> {
        let _one = self.0.retention.lock();
        retention::enforce(&self.0.shared, &*self.0.disk, now_ms, floor_seq)
    }

    /// A store has all events below `stored_seq`, and needs nothing below `done_seq` any more: what
    /// waits is counted anew. Some us for a thousand blocks.
    pub fn drained(&self, stored_seq: u64, done_seq: u64) {
        self.0.shared.spool.drained(&self.0.shared.index, stored_seq, done_seq);
    }

    /// Sets how many bytes may wait for a store from now on.
    pub fn allow_waiting(&self, bytes_max: u64) {
        self.0.shared.spool.set_bytes_max(bytes_max);
    }

    /// Tells when the journal can no longer be written; the app then ends the process.
    pub fn fault(&self) -> watch::Receiver<Option<Fault>> {
        self.0.shared.fault.subscribe()
    }

    /// How long ago the writer's thread last began a round: a few seconds at most, while it lives
    /// and no write or sync hangs.
    pub fn silent_for(&self) -> Duration {
        let shared = &self.0.shared;
        let beat = Duration::from_millis(shared.counters.beat_ms.load(Ordering::Relaxed));
        shared.clock.elapsed().saturating_sub(beat)
    }

    /// Figures as of now.
    pub fn stats(&self) -> Stats {
        let shared = &self.0.shared;
        let counters = &shared.counters;
        let next_seq = self.next_seq();
        let held = shared.handoff.durable_seq().saturating_sub(next_seq);
        let index = shared.index.read();
        let tombstones = index.tombstones.len() as u64;
        Stats {
            events: index.events.saturating_sub(tombstones),
            first_seq: index.first_seq().unwrap_or(next_seq),
            next_seq,
            held,
            tombstones,
            tombstones_made: counters.tombstones_made.load(Ordering::Relaxed),
            holds_dropped: counters.holds_dropped.load(Ordering::Relaxed),
            oldest_arrival_ms: index.oldest_arrival_ms(),
            disk_bytes: counters.disk_bytes.load(Ordering::Relaxed),
            segments: index.segments.len() as u64,
            blocks: index.blocks.len() as u64,
            unmerged: index.in_head.len() as u64,
            handoff_bytes: shared.handoff.bytes() as u64,
            inflight_bytes: counters.inflight.load(Ordering::Relaxed),
            written_bytes: counters.written_bytes.load(Ordering::Relaxed),
            syncs: counters.syncs.load(Ordering::Relaxed),
            sync_ns: counters.sync_ns.load(Ordering::Relaxed),
            disk_full: counters.disk_full.load(Ordering::Relaxed),
            waiting_bytes: shared.spool.waiting(),
            unstored_bytes: shared.spool.unstored(),
            waiting_bytes_max: shared.spool.bytes_max(),
            spool_full: shared.spool.is_full(),
            damaged_blocks: counters.damaged.load(Ordering::Relaxed),
            damaged: shared.damaged.lock().clone(),
            trimmed_events: counters.trimmed_events.load(Ordering::Relaxed),
            trimmed_segments: counters.trimmed_segments.load(Ordering::Relaxed),
        }
    }

    /// Takes nothing more, makes what is queued durable, and ends the journal's threads. Readers
    /// get the rest, then are told that it is closed.
    pub fn close(self) {
        self.0.close();
    }
}

impl Owner {
    fn close(&self) {
        self.shared.begin_close();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the journal ended by a panic");
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.close();
    }
}
