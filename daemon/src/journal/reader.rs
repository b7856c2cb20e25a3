//! Reading blocks back: whole for the tail and for queries, or the two columns dedupe is rebuilt
//! from, by several workers.
//!
//! Never waits for the writer but for the index's short lock. A damaged block is reported and
//! skipped, never half used.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use pulseboard::event::EventBatch;
use thiserror::Error;

use super::DamagedBlock;
use super::block::decode::Body;
use super::block::{Damage, HEADER_BYTES, Header};
use super::index::{BlockAt, Found};
use super::queue::Shared;

/// How long a read that the disk refuses is tried again before its block counts as damaged: a disk
/// behind a network or a cable may be back.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How soon.
pub(super) const READ_AGAIN: Duration = Duration::from_millis(50);

/// Why something could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file system refused.
    #[error("the journal cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The bytes are not the block they should be.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// What [`super::Journal::fingerprints`] read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FingerprintsRead {
    /// Events whose fingerprints were handed over.
    pub events: u64,
    /// Blocks that could not be read, each reported in the statistics.
    pub damaged_blocks: u64,
}

/// Reads a whole block from its file.
pub(super) fn read_block(at: &BlockAt) -> Result<(Header, EventBatch), ReadError> {
    let mut bytes = vec![0; at.len as usize];
    let read = at.file.file.read_at(&mut bytes, at.offset)?;
    let header = Header::parse(&bytes[..read], at.file.id)?;
    let end = (HEADER_BYTES + header.body_len as usize).min(read);
    let batch = Body::open(&header, &bytes[HEADER_BYTES..end])?.batch()?;
    Ok((header, batch))
}

/// Reads what was found.
pub(super) fn load(found: &Found) -> Result<Arc<EventBatch>, ReadError> {
    match found {
        Found::Memory(in_head) => Ok(Arc::clone(&in_head.batch)),
        Found::File(first_seq, at) => {
            let (header, batch) = read_block(at)?;
            if header.first_seq != *first_seq {
                return Err(Damage::Header.into());
            }
            Ok(Arc::new(batch))
        }
    }
}

/// The same; what is damaged, and what the disk does not give for [`PATIENCE`], is reported, and
/// `None`.
pub(super) fn load_in_time(shared: &Shared, found: &Found) -> Option<Arc<EventBatch>> {
    let began = shared.clock.elapsed();
    loop {
        match load(found) {
            Ok(batch) => return Some(batch),
            Err(ReadError::Io(_)) if shared.clock.elapsed() < began + PATIENCE => {
                std::thread::sleep(READ_AGAIN);
            }
            Err(error) => {
                give_up(shared, found, &error);
                return None;
            }
        }
    }
}

/// Reports what cannot be read.
pub(super) fn give_up(shared: &Shared, found: &Found, error: &ReadError) {
    if let Found::File(first_seq, at) = found {
        if let ReadError::Io(error) = error {
            tracing::error!(first_seq, events = at.count, "the disk does not give events: {error}");
        }
        report(shared, at, Some(*first_seq));
    }
}

/// The part of a batch whose sequences lie in `wanted`; `None` when nothing does.
pub(super) fn part(
    first_seq: u64,
    batch: Arc<EventBatch>,
    wanted: &RangeInclusive<u64>,
) -> Option<(u64, Arc<EventBatch>)> {
    let end_seq = first_seq + batch.len() as u64;
    let from = first_seq.max(*wanted.start());
    let to = end_seq.min(wanted.end().saturating_add(1));
    if from >= to {
        return None;
    }
    if (from, to) == (first_seq, end_seq) {
        return Some((first_seq, batch));
    }
    let (from, to) = ((from - first_seq) as usize, (to - first_seq) as usize);
    let mut batch = Arc::unwrap_or_clone(batch);
    batch.retain(|index| (from..to).contains(&index));
    Some((first_seq + from as u64, Arc::new(batch)))
}

/// The first run of `from..to` without a tombstone.
pub(super) fn first_run(shared: &Shared, from: u64, to: u64) -> Option<(u64, u64)> {
    if shared.counters.tombstones.load(Ordering::Acquire) == 0 {
        return (from < to).then_some((from, to));
    }
    shared.index.read().first_run(from, to)
}

fn report(shared: &Shared, at: &BlockAt, first_seq: Option<u64>) {
    let name = at.file.path.file_name().map(|name| name.to_string_lossy().into_owned());
    shared.report_damage(DamagedBlock {
        file: name.unwrap_or_default(),
        offset: at.offset,
        bytes: u64::from(at.len),
        first_seq,
        events: Some(u64::from(at.count)),
    });
}

/// Hands every fingerprint that arrived at or after `since_ms` in some block to `sink`, newest
/// blocks first, from `workers` threads at once.
pub(super) fn fingerprints(
    shared: &Shared,
    since_ms: i64,
    workers: usize,
    sink: &(dyn Fn(&[u128], &[i64]) + Sync),
) -> Result<FingerprintsRead, ReadError> {
    let index = shared.index.read();
    let in_head: Vec<_> = index.in_head.iter().rev().map(|found| found.batch.clone()).collect();
    let blocks = index.blocks.iter().rev().map(|(seq, at)| (Some(*seq), at.clone()));
    let kept = index.fingerprints.values().rev().flatten().map(|at| (None, at.clone()));
    let blocks = blocks.chain(kept).filter(|(_, at)| at.arrival_ms.1 >= since_ms);
    let blocks: Vec<(Option<u64>, BlockAt)> = blocks.collect();
    drop(index);

    let (next, events, damaged) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let (mut prints, mut arrivals) = (Vec::new(), Vec::new());
    for batch in in_head {
        prints.extend(batch.rows().iter().map(|row| row.fingerprint));
        arrivals.extend(batch.rows().iter().map(|row| row.arrival_ms));
    }
    if !prints.is_empty() {
        sink(&prints, &arrivals);
        events.fetch_add(prints.len() as u64, Ordering::Relaxed);
    }
    let work = || -> Result<(), ReadError> {
        let (mut prints, mut arrivals, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        while let Some((seq, at)) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
            prints.clear();
            arrivals.clear();
            match read_front(at, &mut bytes, &mut prints, &mut arrivals) {
                Ok(()) => {
                    sink(&prints, &arrivals);
                    events.fetch_add(prints.len() as u64, Ordering::Relaxed);
                }
                Err(ReadError::Damaged(_)) => {
                    report(shared, at, *seq);
                    damaged.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let extra: Vec<_> = (1..workers.max(1)).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for worker in extra {
            // A worker does not panic; one that did has read nothing that counts.
            done = done.and(worker.join().unwrap_or(Err(ReadError::Damaged(Damage::Header))));
        }
        done
    })?;
    Ok(FingerprintsRead { events: events.into_inner(), damaged_blocks: damaged.into_inner() })
}

/// Bytes of a block read at once for its front: header, directory, and some of the columns.
const FRONT_GUESS: usize = HEADER_BYTES + 14 * 12;

/// Reads arrivals and fingerprints, which stand first in a block.
pub(super) fn read_front(
    at: &BlockAt,
    bytes: &mut Vec<u8>,
    prints: &mut Vec<u128>,
    arrivals: &mut Vec<i64>,
) -> Result<(), ReadError> {
    // Arrivals rarely take more than two bytes each; the front is then read in one go.
    let guess = FRONT_GUESS + at.count as usize * 18;
    bytes.resize(guess.min(at.len as usize), 0);
    let read = at.file.file.read_at(bytes, at.offset)?;
    bytes.truncate(read);
    let header = Header::parse(bytes, at.file.id)?;
    let body = bytes.get(HEADER_BYTES..).ok_or(Damage::Directory)?;
    let front = HEADER_BYTES + Body::front_len(&header, body)? as usize;
    if front > bytes.len() {
        let have = bytes.len();
        bytes.resize(front, 0);
        let read = at.file.file.read_at(&mut bytes[have..], at.offset + have as u64)?;
        bytes.truncate(have + read);
    }
    let body = Body::open(&header, &bytes[HEADER_BYTES..])?;
    body.fingerprints(prints)?;
    body.arrivals(arrivals)?;
    Ok(())
}

/// Which events a query wants. The default is all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanRange {
    /// Only events with a lower sequence: where the page before ended.
    pub before_seq: Option<u64>,
    /// Only events with this sequence or a higher one.
    pub from_seq: Option<u64>,
    /// Skip blocks all of whose events have an own timestamp before this, Unix ms.
    pub from_ms: Option<i64>,
    /// Skip blocks all of whose events have an own timestamp at or after this, Unix ms.
    pub to_ms: Option<i64>,
    /// Skip blocks all of whose events arrived before this, Unix ms.
    pub arrived_from_ms: Option<i64>,
    /// Skip blocks all of whose events arrived at or after this, Unix ms.
    pub arrived_to_ms: Option<i64>,
}

impl ScanRange {
    /// Whether an event of a block can be in it, by the least and greatest times in the block.
    pub(super) fn may_match(&self, timestamp_ms: (i64, i64), arrival_ms: (i64, i64)) -> bool {
        let inside = |(least, greatest): (i64, i64), from: Option<i64>, to: Option<i64>| {
            from.is_none_or(|from| greatest >= from) && to.is_none_or(|to| least < to)
        };
        inside(timestamp_ms, self.from_ms, self.to_ms)
            && inside(arrival_ms, self.arrived_from_ms, self.arrived_to_ms)
    }
}

/// Batches of stored events, the newest stored first; made by [`super::Journal::scan`].
///
/// Each item is the sequence of a batch's first event and the batch, in ascending order inside.
/// Sequences are exactly within the range; times are not: a block is skipped when none of its
/// events can match, and its reader looks at each event.
pub struct Scan {
    shared: Arc<Shared>,
    range: ScanRange,
    before_seq: u64,
}

impl Scan {
    pub(super) fn new(shared: Arc<Shared>, range: ScanRange) -> Self {
        let end_seq = shared.handoff.end_seq();
        Self { shared, range, before_seq: range.before_seq.unwrap_or(u64::MAX).min(end_seq) }
    }
}

impl Iterator for Scan {
    type Item = (u64, Arc<EventBatch>);

    fn next(&mut self) -> Option<Self::Item> {
        let from_seq = self.range.from_seq.unwrap_or(0);
        loop {
            let index = self.shared.index.read();
            let found = index.before(self.before_seq)?;
            if found.end_seq() <= from_seq || self.before_seq == 0 {
                return None;
            }
            let (first_seq, end_seq) = (found.first_seq(), found.end_seq().min(self.before_seq));
            let run = index.last_run(first_seq.max(from_seq), end_seq);
            drop(index);
            self.before_seq = run.map_or(first_seq, |(run_seq, _)| run_seq);
            let Some((from, to)) = run else { continue };
            let wanted = from..=to - 1;
            if self.range.may_match(found.timestamp_ms(), found.arrival_ms())
                && let Some(batch) = load_in_time(&self.shared, &found)
                && let Some(part) = part(found.first_seq(), batch, &wanted)
            {
                return Some(part);
            }
        }
    }
}
