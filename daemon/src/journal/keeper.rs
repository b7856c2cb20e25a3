//! The thread beside the writer: merges the small batches of a head into large blocks, from
//! memory, and prepares the next segment, so that the writer does neither.
//!
//! It writes nothing that counts: merged blocks go to the writer's queue, and a prepared segment
//! is empty. It ends when the writer does.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender};

use pulseboard::event::EventBatch;

use super::Options;
use super::block::encode::{Encoded, encode};
use super::disk::Disk;
use super::index::InHead;
use super::queue::{Merged, Shared};
use super::segment::{BlockFile, Kind, segment_name};

/// A merged block holds at most about this many events and bytes of text.
const BLOCK_EVENTS: usize = 4_096;
const BLOCK_TEXT_BYTES: usize = 1024 * 1024;

/// What the writer asks for.
pub(super) enum Task {
    /// Merge what is only in heads, below this sequence.
    Merge { below_seq: u64 },
    /// Make an empty segment of this number.
    Prepare { number: u64 },
}

/// Does what it is asked until there is nobody left to ask.
pub(super) fn run(
    shared: &Shared,
    disk: &dyn Disk,
    tasks: &Receiver<Task>,
    spares: &SyncSender<io::Result<BlockFile>>,
) {
    while let Ok(task) = tasks.recv() {
        match task {
            Task::Merge { below_seq } => merge(shared, below_seq),
            Task::Prepare { number } => {
                let bytes = shared.options.segment_bytes;
                let made = make_segment(disk, &shared.options, number, bytes);
                if spares.send(made).is_err() {
                    return;
                }
            }
        }
    }
}

/// Makes an empty segment, in place of one of that number that was prepared and not used.
pub(super) fn make_segment(
    disk: &dyn Disk,
    options: &Options,
    number: u64,
    bytes: u64,
) -> io::Result<BlockFile> {
    let path = options.segments_dir().join(segment_name(number));
    BlockFile::create(disk, path, Kind::Segment, number, bytes)
}

fn merge(shared: &Shared, below_seq: u64) {
    let mut from_seq = 0;
    let mut before: Option<Encoded> = None;
    loop {
        let run = next_run(shared, from_seq, below_seq);
        let Some(last) = run.last() else { break };
        from_seq = last.end_seq();
        if let Some(block) = before.replace(encode_run(&run)) {
            shared.push_merged(Merged { block, last: false });
        }
    }
    if let Some(block) = before {
        shared.push_merged(Merged { block, last: true });
    }
}

/// The next batches in heads whose sequences follow each other, as many as make a block.
fn next_run(shared: &Shared, from_seq: u64, below_seq: u64) -> Vec<InHead> {
    let index = shared.index.read();
    let start = index.in_head.partition_point(|batch| batch.first_seq < from_seq);
    let mut run: Vec<InHead> = Vec::new();
    let (mut events, mut bytes) = (0, 0);
    for batch in index.in_head.range(start..) {
        events += batch.batch.len();
        bytes += batch.batch.text_len();
        let follows = run.last().is_none_or(|last| last.end_seq() == batch.first_seq);
        let fits = run.is_empty() || (events <= BLOCK_EVENTS && bytes <= BLOCK_TEXT_BYTES);
        if batch.first_seq >= below_seq || !follows || !fits {
            break;
        }
        run.push(batch.clone());
    }
    run
}

fn encode_run(run: &[InHead]) -> Encoded {
    let mut block = if let [only] = run {
        encode(&only.batch, true)
    } else {
        let events = run.iter().map(|batch| batch.batch.len()).sum();
        let text_bytes = run.iter().map(|batch| batch.batch.text_len()).sum();
        let mut all = EventBatch::with_capacity(events, text_bytes);
        for part in run {
            for index in 0..part.batch.len() {
                all.push_from(&part.batch, index);
            }
        }
        encode(&all, true)
    };
    block.header.first_seq = run.first().map_or(0, |first| first.first_seq);
    block
}
