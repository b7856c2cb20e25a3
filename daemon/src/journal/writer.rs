//! The one thread that writes: group commit, the choice of file, and when heads are merged.
//!
//! It takes all that gathered while the last sync ran, writes it, syncs each file it touched,
//! then makes it visible to readers and releases every acknowledgement. It never waits for a
//! reader, and does no work an event; encoding is done before it and merging beside it.
//! A full disk refuses the batches concerned; any other failure is final.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use super::Fault;
use super::block::Header;
use super::block::encode::Encoded;
use super::disk::{Disk, is_full};
use super::index::{InHead, Index, SegmentInfo};
use super::keeper::{Task, make_segment};
use super::queue::{Append, AppendError, Appended, Merged, Shared, Sight, Work};
use super::seen::SeenMark;
use super::segment::{Appender, BLOCKS_START, BlockFile, Kind};

/// Blocks of at least this many bytes go straight to the segment, smaller ones to the head.
const DIRECT_BYTES: usize = 32 * 1024;
/// A head with this many bytes is merged at once.
const MERGE_BYTES: u64 = 4 * 1024 * 1024;
/// A head with this many events is merged after `merge_after_ms`; one with fewer waits
/// `MERGE_PATIENCE` times as long, so that a trickle of events does not make a block a second.
const MERGE_EVENTS: u64 = 2_048;
const MERGE_PATIENCE: u32 = 30;
/// How often a disk that was full is tried again when nobody appends.
const FULL_RETRY: Duration = Duration::from_secs(1);
/// The longest wait for work: a thread that is well beats at least as often.
const BEAT_EVERY: Duration = Duration::from_secs(2);

/// The segment being appended to.
pub(super) struct Current {
    pub(super) file: Arc<BlockFile>,
    pub(super) appender: Appender,
}

/// One of the two heads.
pub(super) struct Head {
    pub(super) file: BlockFile,
    pub(super) appender: Appender,
    pub(super) events: u64,
    /// When its first block came, by [`crate::clock::Clock::elapsed`].
    pub(super) since: Duration,
}

/// A head being merged: its events are those of heads below `below_seq`.
pub(super) struct Sealed {
    pub(super) head: usize,
    pub(super) below_seq: u64,
    pub(super) failed: bool,
    pub(super) retry_at: Option<Duration>,
}

pub(super) enum Spare {
    None,
    Asked,
    Ready(BlockFile),
}

/// The thread's own state.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) tasks: SyncSender<Task>,
    pub(super) spares: Receiver<io::Result<BlockFile>>,
    pub(super) current: Current,
    pub(super) spare: Spare,
    /// Number of the segment after the current one.
    pub(super) next_number: u64,
    pub(super) heads: [Head; 2],
    pub(super) active: usize,
    pub(super) sealed: Option<Sealed>,
    pub(super) next_seq: u64,
    /// Sequence readers saw up to when this round began: what blocks say of themselves. Before the
    /// first reader and append what was found: a start may still hide what is stored.
    pub(super) seen_seq: u64,
    /// Whether readers see what is written now as soon as it is durable.
    pub(super) seen_at_once: bool,
    pub(super) seen_mark: SeenMark,
    pub(super) buffer: Vec<u8>,
}

/// A block written but not yet synced.
enum Written {
    Head { append: Append, first_seq: u64 },
    Segment { append: Option<Append>, at: Arc<BlockFile>, offset: u64, header: Header },
}

impl Written {
    fn header(&self) -> &Header {
        match self {
            Self::Head { append, .. } => &append.block.header,
            Self::Segment { header, .. } => header,
        }
    }
}

impl Writer {
    /// Runs until the journal is closed or fails.
    pub(super) fn run(mut self) {
        if self.sealed.is_some() {
            self.ask(Task::Merge { below_seq: self.next_seq_of_sealed() });
        }
        loop {
            self.shared.beat();
            let work = self.shared.take(self.patience());
            let last = work.last;
            if let Err(error) = self.commit(work) {
                let fault = Fault(format!("the journal cannot be written: {error}"));
                tracing::error!("{fault}; the daemon stops, and replays the journal when started");
                self.shared.fault.send_replace(Some(fault));
                break;
            }
            if last {
                break;
            }
            self.look_after_files();
        }
        self.shared.writer_gone();
    }

    /// How long to wait for work: until something is due by itself, or the next beat.
    fn patience(&self) -> Duration {
        let merge_after = Duration::from_millis(self.shared.options.merge_after_ms.max(1));
        let full = self.shared.counters.disk_full.load(Ordering::Relaxed);
        let retry = full || self.sealed.as_ref().is_some_and(|sealed| sealed.retry_at.is_some());
        let merge = (self.heads[self.active].events > 0).then_some(merge_after);
        let retry = retry.then_some(FULL_RETRY);
        [merge, retry].into_iter().flatten().fold(BEAT_EVERY, Duration::min)
    }

    /// Writes, syncs, publishes, acknowledges. An error is final.
    fn commit(&mut self, work: Work) -> io::Result<()> {
        (self.seen_seq, self.seen_at_once) = self.shared.handoff.seen();
        let at_leisure = work.appends.is_empty() && work.merged.is_none();
        let mut written = Vec::with_capacity(work.appends.len() + 1);
        let mut refused = Vec::new();
        let direct = self.write_to_head(work.appends, &mut written, &mut refused)?;
        for append in direct {
            self.write_direct(append, &mut written, &mut refused)?;
        }
        let merged = work.merged;
        let merged_last = merged.as_ref().is_some_and(|merged| merged.last);
        if let Some(merged) = merged {
            self.write_merged(merged, &mut written)?;
        }
        self.sync()?;
        self.publish(written);
        for append in refused {
            self.shared.refuse(append, AppendError::DiskFull);
        }
        if merged_last {
            self.head_merged();
        }
        self.note_seen(at_leisure)
    }

    /// Puts the seen mark where something waits for it, or where blocks have not said it for a while.
    fn note_seen(&mut self, at_leisure: bool) -> io::Result<()> {
        let Some(seq) = self.shared.handoff.to_note(self.seen_mark.seq(), at_leisure) else {
            return Ok(());
        };
        self.seen_mark.put(&*self.disk, &self.shared.options.dir, seq)?;
        self.shared.handoff.noted(seq);
        Ok(())
    }

    /// Writes the small blocks that fit to the head in one go; returns all others.
    fn write_to_head(
        &mut self,
        appends: Vec<Append>,
        written: &mut Vec<Written>,
        refused: &mut Vec<Append>,
    ) -> io::Result<Vec<Append>> {
        let head = &mut self.heads[self.active];
        let mut direct = Vec::new();
        let mut next_seq = self.next_seq;
        self.buffer.clear();
        for mut append in appends {
            let len = append.block.bytes.len();
            if len >= DIRECT_BYTES || !head.appender.fits((self.buffer.len() + len) as u64) {
                direct.push(append);
                continue;
            }
            let first_seq = next_seq;
            next_seq += append.batch.len() as u64;
            self.seen_at_once &= append.sight != Sight::Held;
            append.block.header.seen_seq = if self.seen_at_once { next_seq } else { self.seen_seq };
            head.appender.seal(&mut append.block, first_seq, head.file.id);
            self.buffer.extend_from_slice(&append.block.bytes);
            written.push(Written::Head { append, first_seq });
        }
        if written.is_empty() {
            return Ok(direct);
        }
        match head.appender.append(&*head.file.file, &self.buffer) {
            Ok(_) => {
                if head.events == 0 {
                    head.since = self.shared.clock.elapsed();
                }
                head.events += next_seq - self.next_seq;
                self.next_seq = next_seq;
            }
            Err(error) if is_full(&error) => {
                self.shared.counters.disk_full.store(true, Ordering::Relaxed);
                refused.extend(written.drain(..).filter_map(|written| match written {
                    Written::Head { append, .. } => Some(append),
                    Written::Segment { append, .. } => append,
                }));
            }
            Err(error) => return Err(error),
        }
        Ok(direct)
    }

    fn write_direct(
        &mut self,
        mut append: Append,
        written: &mut Vec<Written>,
        refused: &mut Vec<Append>,
    ) -> io::Result<()> {
        let end_seq = self.next_seq + append.batch.len() as u64;
        self.seen_at_once &= append.sight != Sight::Held;
        append.block.header.seen_seq = if self.seen_at_once { end_seq } else { self.seen_seq };
        match self.write_to_segment(&mut append.block, self.next_seq)? {
            Some((at, offset)) => {
                self.next_seq += append.batch.len() as u64;
                let header = append.block.header;
                written.push(Written::Segment { append: Some(append), at, offset, header });
            }
            None => refused.push(append),
        }
        Ok(())
    }

    fn write_merged(&mut self, merged: Merged, written: &mut Vec<Written>) -> io::Result<()> {
        let mut block = merged.block;
        let first_seq = block.header.first_seq;
        block.header.seen_seq = self.seen_seq;
        match self.write_to_segment(&mut block, first_seq)? {
            Some((at, offset)) => {
                let header = block.header;
                written.push(Written::Segment { append: None, at, offset, header });
            }
            None => {
                if let Some(sealed) = &mut self.sealed {
                    sealed.failed = true;
                }
            }
        }
        Ok(())
    }

    /// Appends a block to the segment, or to the next one where it does not fit; `None` when the
    /// disk is full.
    fn write_to_segment(
        &mut self,
        block: &mut Encoded,
        first_seq: u64,
    ) -> io::Result<Option<(Arc<BlockFile>, u64)>> {
        let done = self.make_room(block.bytes.len() as u64).and_then(|()| {
            let Current { file, appender } = &mut self.current;
            appender.seal(block, first_seq, file.id);
            let offset = appender.append(&*file.file, &block.bytes)?;
            Ok((Arc::clone(file), offset))
        });
        let full = matches!(&done, Err(error) if is_full(error));
        self.shared.counters.disk_full.store(full, Ordering::Relaxed);
        match done {
            Ok(place) => Ok(Some(place)),
            Err(_) if full => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins the next segment when the current one has no room for `len` bytes. What stands in
    /// the old one is synced before, so that only the last segment can have a torn tail.
    fn make_room(&mut self, len: u64) -> io::Result<()> {
        if self.current.appender.fits(len) {
            return Ok(());
        }
        if self.current.appender.is_dirty() {
            self.current.appender.sync(&*self.current.file.file)?;
        }
        let usual = self.shared.options.segment_bytes;
        let wanted = usual.max(BLOCKS_START + len);
        let ready = match std::mem::replace(&mut self.spare, Spare::None) {
            Spare::Ready(file) => Some(file),
            Spare::Asked => self.spares.recv().ok().and_then(Result::ok),
            Spare::None => None,
        };
        let number = self.next_number;
        let file = match ready {
            Some(file) if wanted == usual => file,
            Some(file) => {
                // An outsized block: the prepared segment is too small, so one is made in its
                // place, under the same number.
                drop(file);
                make_segment(&*self.disk, &self.shared.options, number, wanted)?
            }
            None => make_segment(&*self.disk, &self.shared.options, number, wanted)?,
        };
        let file = Arc::new(file);
        self.next_number = file.number + 1;
        let info = SegmentInfo::new(Arc::clone(&file), wanted);
        self.shared.index.write().segments.insert(file.number, info);
        self.shared.counters.disk_bytes.fetch_add(wanted, Ordering::Relaxed);
        self.current = Current { file, appender: Appender::at(BLOCKS_START, wanted) };
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let head = &mut self.heads[self.active];
        if !head.appender.is_dirty() && !self.current.appender.is_dirty() {
            return Ok(());
        }
        let started = self.shared.clock.elapsed();
        if head.appender.is_dirty() {
            head.appender.sync(&*head.file.file)?;
        }
        if self.current.appender.is_dirty() {
            self.current.appender.sync(&*self.current.file.file)?;
        }
        let took = self.shared.clock.elapsed().saturating_sub(started);
        metrics::histogram!("pulseboard_journal_sync_seconds").record(took.as_secs_f64());
        let counters = &self.shared.counters;
        counters.syncs.fetch_add(1, Ordering::Relaxed);
        counters.sync_ns.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Makes what is durable visible to readers, then releases its acknowledgements.
    fn publish(&mut self, written: Vec<Written>) {
        if written.is_empty() {
            return;
        }
        let mut bytes = 0;
        let mut index = self.shared.index.write();
        for written in &written {
            self.seen_mark.is_known(written.header().seen_seq);
            match written {
                Written::Head { append, first_seq } => {
                    let header = &append.block.header;
                    bytes += append.block.bytes.len();
                    self.shared.spool.add(append.block.bytes.len() as u64);
                    index.add_in_head(InHead {
                        first_seq: *first_seq,
                        batch: Arc::clone(&append.batch),
                        arrival_ms: header.arrival_ms,
                        timestamp_ms: header.timestamp_ms,
                        bytes: append.block.bytes.len() as u32,
                    });
                }
                Written::Segment { append, at, offset, header } => {
                    bytes += header.block_len() as usize;
                    if append.is_some() {
                        self.shared.spool.add(header.block_len());
                        index.add_block(at, *offset, header);
                    } else {
                        let span = (header.first_seq, header.end_seq());
                        let put = |index: &mut Index| index.replace(at, *offset, header);
                        self.shared.spool.replacing(&mut index, span, put);
                    }
                }
            }
        }
        drop(index);
        self.shared.counters.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let fresh = written.iter().filter_map(|written| match written {
            Written::Head { append, first_seq } => Some((append, *first_seq)),
            Written::Segment { append, header, .. } => {
                append.as_ref().map(|append| (append, header.first_seq))
            }
        });
        let known_seq = self.seen_mark.seq();
        let fresh = fresh.map(|(append, first_seq)| {
            let is_known = first_seq + append.batch.len() as u64 <= known_seq;
            let sight = match append.sight {
                Sight::ForGood if is_known => Sight::AtOnce,
                sight => sight,
            };
            ((first_seq, Arc::clone(&append.batch)), sight)
        });
        self.shared.handoff.push(fresh, self.next_seq);
        for written in written {
            let (append, first_seq) = match written {
                Written::Head { append, first_seq } => (append, first_seq),
                Written::Segment { append: Some(append), header, .. } => (append, header.first_seq),
                Written::Segment { append: None, .. } => continue,
            };
            let count = append.batch.len() as u32;
            self.shared.acknowledge(append, Appended { first_seq, count });
        }
    }

    /// Prepares the next segment and merges heads, as they become due.
    fn look_after_files(&mut self) {
        if matches!(self.spare, Spare::Asked)
            && let Ok(made) = self.spares.try_recv()
        {
            let full = matches!(&made, Err(error) if is_full(error));
            self.shared.counters.disk_full.store(full, Ordering::Relaxed);
            self.spare = made.map_or(Spare::None, Spare::Ready);
        }
        let appender = &self.current.appender;
        if matches!(self.spare, Spare::None) && appender.end > appender.capacity / 2 {
            let number = self.next_number;
            if self.ask(Task::Prepare { number }) {
                self.spare = Spare::Asked;
            }
        }
        let now = self.shared.clock.elapsed();
        match &mut self.sealed {
            Some(sealed) if sealed.retry_at.is_some_and(|at| at <= now) => {
                sealed.retry_at = None;
                let below_seq = sealed.below_seq;
                self.ask(Task::Merge { below_seq });
            }
            Some(_) => {}
            None => self.seal_head_if_due(now),
        }
    }

    fn seal_head_if_due(&mut self, now: Duration) {
        let head = &self.heads[self.active];
        let after = Duration::from_millis(self.shared.options.merge_after_ms);
        let age = now.saturating_sub(head.since);
        let due = head.events > 0
            && (head.appender.end - BLOCKS_START >= MERGE_BYTES
                || (age >= after && head.events >= MERGE_EVENTS)
                || age >= after * MERGE_PATIENCE);
        if !due {
            return;
        }
        let other = 1 - self.active;
        let number = self.heads.iter().map(|head| head.file.number).max().unwrap_or(0) + 1;
        let next = &mut self.heads[other];
        if let Err(error) = next.file.restart(Kind::Head, number) {
            tracing::warn!("the journal's other head cannot be begun: {error}");
            return;
        }
        next.appender = Appender::at(BLOCKS_START, next.appender.capacity);
        next.events = 0;
        let below_seq = self.next_seq;
        self.sealed = Some(Sealed { head: self.active, below_seq, failed: false, retry_at: None });
        self.active = other;
        self.ask(Task::Merge { below_seq });
    }

    /// All blocks of the sealed head have been tried: it is free, unless the disk was full.
    fn head_merged(&mut self) {
        let Some(sealed) = &mut self.sealed else { return };
        if sealed.failed {
            sealed.failed = false;
            sealed.retry_at = Some(self.shared.clock.elapsed() + FULL_RETRY);
        } else {
            self.heads[sealed.head].events = 0;
            self.sealed = None;
        }
    }

    fn next_seq_of_sealed(&self) -> u64 {
        self.sealed.as_ref().map_or(0, |sealed| sealed.below_seq)
    }

    /// Hands the keeper something to do: at most one merge and one segment at a time, so that
    /// there is room for it.
    fn ask(&self, task: Task) -> bool {
        self.tasks.try_send(task).is_ok()
    }
}
