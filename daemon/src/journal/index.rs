//! Where every acknowledged event is: blocks in segments, batches that are only in a head file
//! yet, and the fingerprints kept of trimmed segments. In memory, under one lock.
//!
//! Holds no text and does no I/O. The writer adds to it after a sync, retention takes away,
//! readers look things up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use pulseboard::event::EventBatch;

use super::block::Header;
use super::segment::BlockFile;

/// A block in a file: about 60 bytes.
#[derive(Clone)]
pub(super) struct BlockAt {
    pub(super) file: Arc<BlockFile>,
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) count: u32,
    pub(super) arrival_ms: (i64, i64),
    pub(super) timestamp_ms: (i64, i64),
}

impl BlockAt {
    pub(super) fn new(file: Arc<BlockFile>, offset: u64, header: &Header) -> Self {
        Self {
            file,
            offset,
            len: header.block_len() as u32,
            count: header.count,
            arrival_ms: header.arrival_ms,
            timestamp_ms: header.timestamp_ms,
        }
    }
}

/// A batch that is durable in a head file, and kept in memory until it is merged into a segment.
#[derive(Clone)]
pub(super) struct InHead {
    pub(super) first_seq: u64,
    pub(super) batch: Arc<EventBatch>,
    pub(super) arrival_ms: (i64, i64),
    pub(super) timestamp_ms: (i64, i64),
    /// Bytes it takes in the head.
    pub(super) bytes: u32,
}

impl InHead {
    pub(super) fn end_seq(&self) -> u64 {
        self.first_seq + self.batch.len() as u64
    }
}

/// A segment as retention sees it.
#[derive(Clone)]
pub(super) struct SegmentInfo {
    pub(super) file: Arc<BlockFile>,
    /// Bytes it takes on disk.
    pub(super) bytes: u64,
    pub(super) events: u64,
    /// Highest sequence in it, 0 when it is empty.
    pub(super) last_seq: u64,
    /// Latest arrival in it.
    pub(super) arrival_ms_max: i64,
}

impl SegmentInfo {
    pub(super) fn new(file: Arc<BlockFile>, bytes: u64) -> Self {
        Self { file, bytes, events: 0, last_seq: 0, arrival_ms_max: i64::MIN }
    }

    pub(super) fn add(&mut self, header: &Header) {
        self.events += u64::from(header.count);
        self.last_seq = self.last_seq.max(header.end_seq() - 1);
        self.arrival_ms_max = self.arrival_ms_max.max(header.arrival_ms.1);
    }
}

/// Where to read next.
#[derive(Clone)]
pub(super) enum Found {
    File(u64, BlockAt),
    Memory(InHead),
}

impl Found {
    pub(super) fn first_seq(&self) -> u64 {
        match self {
            Self::File(first_seq, _) => *first_seq,
            Self::Memory(batch) => batch.first_seq,
        }
    }

    pub(super) fn end_seq(&self) -> u64 {
        match self {
            Self::File(first_seq, at) => first_seq + u64::from(at.count),
            Self::Memory(batch) => batch.end_seq(),
        }
    }

    /// Least and greatest own timestamp, Unix ms.
    pub(super) fn timestamp_ms(&self) -> (i64, i64) {
        match self {
            Self::File(_, at) => at.timestamp_ms,
            Self::Memory(batch) => batch.timestamp_ms,
        }
    }

    /// Least and greatest arrival, Unix ms.
    pub(super) fn arrival_ms(&self) -> (i64, i64) {
        match self {
            Self::File(_, at) => at.arrival_ms,
            Self::Memory(batch) => batch.arrival_ms,
        }
    }

    /// When an event of it arrived, Unix ms, as if all had come evenly: exact for the first and
    /// the last.
    pub(super) fn arrived_ms(&self, seq: u64) -> i64 {
        let (first_ms, last_ms) = self.arrival_ms();
        let others = i128::from(self.end_seq().saturating_sub(self.first_seq() + 1));
        let before = i128::from(seq.saturating_sub(self.first_seq())).min(others);
        let took_ms = i128::from(last_ms) - i128::from(first_ms);
        let after_ms = if others == 0 { 0 } else { took_ms * before / others };
        first_ms + i64::try_from(after_ms).unwrap_or(0)
    }
}

/// All of it.
#[derive(Default)]
pub(super) struct Index {
    /// By first sequence; spans do not overlap.
    pub(super) blocks: BTreeMap<u64, BlockAt>,
    /// In order of sequence, between the blocks'.
    pub(super) in_head: VecDeque<InHead>,
    /// By number.
    pub(super) segments: BTreeMap<u64, SegmentInfo>,
    /// By the number of the segment they were in.
    pub(super) fingerprints: BTreeMap<u64, Vec<BlockAt>>,
    pub(super) events: u64,
    /// Sequences readers pass over.
    pub(super) tombstones: BTreeSet<u64>,
    /// Nothing below this sequence that is in no segment is wanted any more.
    pub(super) trimmed_to: u64,
}

impl Index {
    /// Adds a block that is durable in segment `file`.
    pub(super) fn add_block(&mut self, file: &Arc<BlockFile>, offset: u64, header: &Header) {
        let at = BlockAt::new(Arc::clone(file), offset, header);
        self.blocks.insert(header.first_seq, at);
        self.events += u64::from(header.count);
        if let Some(segment) = self.segments.get_mut(&file.number) {
            segment.add(header);
        }
    }

    /// Adds a batch that is durable in a head.
    pub(super) fn add_in_head(&mut self, batch: InHead) {
        self.events += batch.batch.len() as u64;
        self.in_head.push_back(batch);
    }

    /// Puts a merged block in the place of the batches it was made from.
    pub(super) fn replace(&mut self, file: &Arc<BlockFile>, offset: u64, header: &Header) {
        let from = self.in_head.partition_point(|batch| batch.first_seq < header.first_seq);
        let to = self.in_head.partition_point(|batch| batch.first_seq < header.end_seq());
        let merged = self.in_head.drain(from..to).map(|batch| batch.batch.len() as u64);
        self.events -= merged.sum::<u64>();
        self.add_block(file, offset, header);
    }

    /// What holds `seq`, or else the first thing after it.
    pub(super) fn at_or_after(&self, seq: u64) -> Option<Found> {
        let covering = self.blocks.range(..=seq).next_back();
        let block = covering
            .filter(|(first, at)| **first + u64::from(at.count) > seq)
            .or_else(|| self.blocks.range(seq..).next())
            .map(|(first, at)| Found::File(*first, at.clone()));
        let next = self.in_head.partition_point(|batch| batch.end_seq() <= seq);
        let batch = self.in_head.get(next).cloned().map(Found::Memory);
        match (block, batch) {
            (Some(block), Some(batch)) if batch.first_seq() < block.first_seq() => Some(batch),
            (Some(block), _) => Some(block),
            (None, batch) => batch,
        }
    }

    /// The last thing that begins before `seq`.
    pub(super) fn before(&self, seq: u64) -> Option<Found> {
        let block = self.blocks.range(..seq).next_back();
        let block = block.map(|(first, at)| Found::File(*first, at.clone()));
        let end = self.in_head.partition_point(|batch| batch.first_seq < seq);
        let batch = end.checked_sub(1).and_then(|last| self.in_head.get(last));
        let batch = batch.cloned().map(Found::Memory);
        match (block, batch) {
            (Some(block), Some(batch)) if batch.first_seq() > block.first_seq() => Some(batch),
            (Some(block), _) => Some(block),
            (None, batch) => batch,
        }
    }

    /// The lowest sequence of the newest run of things that have arrivals at or after `arrived_ms`.
    pub(super) fn arrived_since(&self, arrived_ms: i64) -> Option<u64> {
        let blocks = self.blocks.iter().rev().map(|(seq, at)| (*seq, at.arrival_ms.1));
        let in_head = self.in_head.iter().rev().map(|at| (at.first_seq, at.arrival_ms.1));
        let first = |things: &mut dyn Iterator<Item = (u64, i64)>| {
            let run = things.take_while(|(_, newest_ms)| *newest_ms >= arrived_ms);
            run.map(|(seq, _)| seq).last()
        };
        let found = [first(&mut { blocks }), first(&mut { in_head })];
        found.into_iter().flatten().min()
    }

    /// The first run of `from..to` without a tombstone.
    pub(super) fn first_run(&self, from: u64, to: u64) -> Option<(u64, u64)> {
        let mut start = from;
        for gone in self.tombstones.range(from..to.max(from)) {
            if *gone > start {
                return Some((start, *gone));
            }
            start = gone + 1;
        }
        (start < to).then_some((start, to))
    }

    /// The last run of `from..to` without a tombstone.
    pub(super) fn last_run(&self, from: u64, to: u64) -> Option<(u64, u64)> {
        let mut end = to;
        for gone in self.tombstones.range(from..to.max(from)).rev() {
            if gone + 1 < end {
                return Some((gone + 1, end));
            }
            end = *gone;
        }
        (from < end).then_some((from, end))
    }

    /// The lowest sequence held.
    pub(super) fn first_seq(&self) -> Option<u64> {
        self.at_or_after(0).map(|found| found.first_seq())
    }

    /// The sequence after the highest held.
    pub(super) fn end_seq(&self) -> Option<u64> {
        self.before(u64::MAX).map(|found| found.end_seq())
    }

    /// Bytes of everything between two sequences: of what has more than these, their share.
    pub(super) fn bytes_in(&self, from: u64, to: u64) -> u64 {
        if from >= to {
            return 0;
        }
        let share = |(first, end): (u64, u64), bytes: u32| {
            let inside = end.min(to).saturating_sub(first.max(from));
            u64::from(bytes) * inside / (end - first).max(1)
        };
        let covering = self.blocks.range(..from).next_back();
        let blocks = covering.into_iter().chain(self.blocks.range(from..to));
        let blocks = blocks.map(|(first, at)| share((*first, first + u64::from(at.count)), at.len));
        let start = self.in_head.partition_point(|batch| batch.end_seq() <= from);
        let in_head = self.in_head.range(start..).take_while(|batch| batch.first_seq < to);
        let in_head = in_head.map(|batch| share((batch.first_seq, batch.end_seq()), batch.bytes));
        blocks.sum::<u64>() + in_head.sum::<u64>()
    }

    /// The earliest arrival in the oldest thing held, Unix ms.
    pub(super) fn oldest_arrival_ms(&self) -> Option<i64> {
        self.at_or_after(0).map(|found| found.arrival_ms().0)
    }

    /// Forgets a segment and its blocks; returns it.
    pub(super) fn remove_segment(&mut self, number: u64) -> Option<SegmentInfo> {
        let segment = self.segments.remove(&number)?;
        self.blocks.retain(|_, at| at.file.number != number);
        self.events -= segment.events;
        Some(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_lie_between_tombstones_from_either_side() {
        let mut index = Index::default();
        assert_eq!((index.first_run(3, 9), index.last_run(3, 9)), (Some((3, 9)), Some((3, 9))));
        assert_eq!((index.first_run(9, 9), index.last_run(9, 9)), (None, None));
        index.tombstones.extend([3, 4, 6, 8, 20]);
        assert_eq!((index.first_run(3, 9), index.last_run(3, 9)), (Some((5, 6)), Some((7, 8))));
        assert_eq!((index.first_run(3, 5), index.last_run(3, 5)), (None, None));
        assert_eq!((index.first_run(9, 20), index.last_run(1, 3)), (Some((9, 20)), Some((1, 3))));
    }
}
