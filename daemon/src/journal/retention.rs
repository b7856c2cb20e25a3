//! Letting go of old segments: whole ones, the oldest first, and what is kept of them for dedupe.
//!
//! A segment goes when all of it is past the age limit, or when the journal takes more bytes than
//! it may; never one with anything newer than two hours, nothing a reader has yet to apply, nor
//! the one being written. The fingerprints of what arrived within the dedupe horizon go into a
//! small file of their own, durable before the segment's name is gone; and a mark says how far was
//! let go, so that what a head still holds of it does not come back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pulseboard::event::{EventBatch, Row};
use pulseboard::limits;

use super::block::encode::{Encoded, encode};
use super::disk::Disk;
use super::index::{BlockAt, SegmentInfo};
use super::queue::Shared;
use super::reader::{ReadError, read_front};
use super::segment::{BLOCKS_START, BlockFile, Kind, VERSION, fingerprints_name};
use super::tombstones::{self, VERSION_WITH_TOMBSTONES};

/// What arrived within this is never let go.
const KEEP_MS: i64 = 2 * 3_600_000;
/// Fingerprints are kept this long from arrival: the dedupe horizon and the time an event counts
/// as live.
const HORIZON_MS: i64 = limits::HORIZON_MS + limits::FINAL_AFTER_SECS * 1_000;
const DAY_MS: i64 = 24 * 3_600_000;

/// What [`super::Journal::enforce_retention`] let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Segments removed.
    pub segments: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of disk given back.
    pub bytes: u64,
}

/// Trims to the limits, as of `now_ms`; nothing at or above `floor_seq` goes.
pub(super) fn enforce(
    shared: &Shared,
    disk: &dyn Disk,
    now_ms: i64,
    floor_seq: u64,
) -> Result<Trimmed, ReadError> {
    let mut trimmed = Trimmed::default();
    if !shared.clock.retention_allowed() {
        return Ok(trimmed);
    }
    tombstones::keep_up(shared, disk)?;
    forget_fingerprints(shared, disk, now_ms)?;
    while let Some(segment) = candidate(shared, now_ms, floor_seq) {
        let number = segment.file.number;
        let kept = keep_fingerprints(shared, disk, &segment, now_ms)?;
        let kept_bytes = kept.iter().map(|at| u64::from(at.len)).sum::<u64>();
        mark_trimmed(shared, segment.last_seq + 1)?;
        let mut index = shared.index.write();
        index.trimmed_to = index.trimmed_to.max(segment.last_seq + 1);
        index.remove_segment(number);
        if !kept.is_empty() {
            index.fingerprints.insert(number, kept);
        }
        drop(index);
        disk.remove(&segment.file.path)?;
        let counters = &shared.counters;
        counters.disk_bytes.fetch_sub(segment.bytes, Ordering::Relaxed);
        counters.disk_bytes.fetch_add(kept_bytes, Ordering::Relaxed);
        counters.trimmed_segments.fetch_add(1, Ordering::Relaxed);
        counters.trimmed_events.fetch_add(segment.events, Ordering::Relaxed);
        trimmed.segments += 1;
        trimmed.events += segment.events;
        trimmed.bytes += segment.bytes;
    }
    if trimmed.segments > 0 {
        disk.sync_dir(&shared.options.segments_dir())?;
        tombstones::keep_up(shared, disk)?;
    }
    Ok(trimmed)
}

/// The oldest segment, when it may and must go.
fn candidate(shared: &Shared, now_ms: i64, floor_seq: u64) -> Option<SegmentInfo> {
    let index = shared.index.read();
    let mut segments = index.segments.values();
    let oldest = segments.next()?;
    // The highest sequence stays, or a restart would give it out again; and what is empty is new.
    let highest = segments.map(|segment| segment.last_seq).max()?;
    let options = &shared.options;
    let age_max_ms = i64::from(options.events_days).saturating_mul(DAY_MS);
    let too_old = oldest.arrival_ms_max < now_ms.saturating_sub(age_max_ms);
    let too_much = shared.counters.disk_bytes.load(Ordering::Relaxed) > options.max_bytes;
    let unmerged = index.in_head.front().map_or(u64::MAX, |batch| batch.first_seq);
    let may = oldest.arrival_ms_max < now_ms - KEEP_MS
        && oldest.last_seq < unmerged
        && oldest.last_seq < floor_seq
        && oldest.last_seq < highest;
    (may && (too_old || too_much)).then(|| oldest.clone())
}

/// Notes durably that nothing below `seq` is kept; never goes back, and takes no more space.
fn mark_trimmed(shared: &Shared, seq: u64) -> io::Result<()> {
    let seq = seq.max(shared.index.read().trimmed_to);
    let mut mark = shared.trim_mark.lock();
    let tombstones = shared.counters.tombstones.load(Ordering::Relaxed) > 0;
    let version = if tombstones { VERSION_WITH_TOMBSTONES } else { VERSION };
    mark.restart_as(Kind::Trimmed, seq, version)?;
    mark.file.sync_data()
}

/// Writes the fingerprints of a segment that are within the horizon to a file of their own.
fn keep_fingerprints(
    shared: &Shared,
    disk: &dyn Disk,
    segment: &SegmentInfo,
    now_ms: i64,
) -> Result<Vec<BlockAt>, ReadError> {
    if segment.arrival_ms_max < now_ms - HORIZON_MS {
        return Ok(Vec::new());
    }
    let number = segment.file.number;
    let index = shared.index.read();
    let blocks = index.blocks.iter().filter(|(_, at)| at.file.number == number);
    let blocks: Vec<(u64, BlockAt)> = blocks.map(|(seq, at)| (*seq, at.clone())).collect();
    drop(index);
    let mut kept: Vec<Encoded> = Vec::new();
    let (mut bytes, mut prints, mut arrivals) = (Vec::new(), Vec::new(), Vec::new());
    for (first_seq, at) in blocks {
        prints.clear();
        arrivals.clear();
        match read_front(&at, &mut bytes, &mut prints, &mut arrivals) {
            Ok(()) => {}
            Err(ReadError::Damaged(_)) => continue,
            Err(error) => return Err(error),
        }
        let mut batch = EventBatch::with_capacity(prints.len(), 0);
        for (&fingerprint, &arrival_ms) in prints.iter().zip(&arrivals) {
            let row = Row { fingerprint, arrival_ms, timestamp_ms: arrival_ms, ..Row::default() };
            batch.push(row);
        }
        let mut block = encode(&batch, true);
        block.header.first_seq = first_seq;
        kept.push(block);
    }
    if kept.is_empty() {
        return Ok(Vec::new());
    }
    let path = shared.options.segments_dir().join(fingerprints_name(number));
    let file = BlockFile::create_with(disk, path, Kind::Fingerprints, number, &mut kept)?;
    let file = Arc::new(file);
    let mut offset = BLOCKS_START;
    let place = |block: &Encoded| {
        let at = BlockAt::new(Arc::clone(&file), offset, &block.header);
        offset += u64::from(at.len);
        at
    };
    Ok(kept.iter().map(place).collect())
}

/// Removes files of fingerprints that are all past the horizon.
fn forget_fingerprints(shared: &Shared, disk: &dyn Disk, now_ms: i64) -> io::Result<()> {
    let past =
        |blocks: &Vec<BlockAt>| blocks.iter().all(|at| at.arrival_ms.1 < now_ms - HORIZON_MS);
    let mut index = shared.index.write();
    let numbers = index.fingerprints.iter().filter(|(_, blocks)| past(blocks));
    let numbers: Vec<u64> = numbers.map(|(number, _)| *number).collect();
    for number in numbers {
        if let Some(blocks) = index.fingerprints.remove(&number) {
            let bytes = blocks.iter().map(|at| u64::from(at.len)).sum();
            shared.counters.disk_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        disk.remove(&shared.options.segments_dir().join(fingerprints_name(number)))?;
    }
    Ok(())
}
