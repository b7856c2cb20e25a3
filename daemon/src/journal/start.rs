//! From what recovery found to a running journal: the files that are missing are made, the head
//! to write and the head to merge are chosen, and the two threads start.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::disk::Disk;
use super::index::{Index, SegmentInfo};
use super::keeper::{self, make_segment};
use super::queue::Shared;
use super::recovery::{OldHead, OpenError, Recovered, recover};
use super::seen::SeenMark;
use super::segment::{Appender, BLOCKS_START, BlockFile, Kind, TRIMMED_NAME};
use super::writer::{Current, Head, Sealed, Spare, Writer};
use super::{Journal, Options, Owner, Recovery};
use crate::clock::Clock;

/// Names of the two heads.
const HEADS: [&str; 2] = ["a.head", "b.head"];

/// Opens the journal in `options.dir`, or makes one, and starts its threads.
pub fn open(
    disk: Arc<dyn Disk>,
    options: Options,
    clock: Clock,
) -> Result<(Journal, Recovery), OpenError> {
    let segments_dir = options.segments_dir();
    let journal_dir = options.dir.clone();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| OpenError::Io { path, error }
    };
    disk.create_dir_all(&segments_dir).map_err(failed(&segments_dir))?;
    for dir in [Some(journal_dir.as_path()), journal_dir.parent()].into_iter().flatten() {
        if !dir.as_os_str().is_empty() {
            disk.sync_dir(dir).map_err(failed(dir))?;
        }
    }
    let recovered = recover(&*disk, &options)?;
    let Recovered { mut index, mut report, current, empty, heads, trim_mark, .. } = recovered;
    let (seen_mark, last_number) = (recovered.seen_mark, recovered.last_number);
    let files = Files { disk: &*disk, options: &options };
    let mut empty = empty.into_iter();
    let current = if let Some((file, end, capacity)) = current {
        Current { file, appender: Appender::at(end, capacity) }
    } else {
        let current = files.first_segment(empty.next(), last_number + 1);
        let current = current.map_err(failed(&segments_dir))?;
        let info = SegmentInfo::new(Arc::clone(&current.file), current.appender.capacity);
        index.segments.insert(current.file.number, info);
        current
    };
    let spare = files.spare(empty, last_number).map_err(failed(&segments_dir))?;
    // Past the number of every file there is, readable or not, so that none is replaced.
    let next_number = match &spare {
        Spare::Ready(file) => file.number,
        Spare::None | Spare::Asked => last_number.max(current.file.number) + 1,
    };
    let heads = files.heads(heads).map_err(failed(&journal_dir))?;
    let trim_mark = files.trim_mark(trim_mark).map_err(failed(&journal_dir))?;
    report.bytes = index.segments.values().map(|segment| segment.bytes).sum::<u64>()
        + heads.iter().map(|head| head.appender.capacity).sum::<u64>()
        + index.fingerprints.values().flatten().map(|at| u64::from(at.len)).sum::<u64>();

    let next_seq = report.next_seq;
    // The newer head is written on; what only the older one has is merged now.
    let below_seq = end_of_older(&index, heads[0].events, next_seq);
    let sealed = (heads[0].events > 0).then_some(Sealed {
        head: 0,
        below_seq,
        failed: false,
        retry_at: None,
    });
    let tombstones = index.tombstones.len() as u64;
    let shared =
        Arc::new(Shared::new(options, clock, index, (next_seq, report.seen_seq), trim_mark));
    shared.counters.tombstones.store(tombstones, Ordering::Relaxed);
    shared.counters.disk_bytes.store(report.bytes, Ordering::Relaxed);
    for block in &report.damaged {
        shared.report_damage(block.clone());
    }
    let (tasks, asked) = sync_channel(2);
    let (spares, made) = sync_channel(1);
    let writer = Writer {
        shared: Arc::clone(&shared),
        disk: Arc::clone(&disk),
        tasks,
        spares: made,
        current,
        spare,
        next_number,
        heads,
        active: 1,
        sealed,
        next_seq,
        seen_seq: report.seen_seq,
        seen_at_once: false,
        seen_mark: SeenMark::new(seen_mark, report.seen_seq),
        buffer: Vec::new(),
    };
    let keeper_shared = Arc::clone(&shared);
    let keeper_disk = Arc::clone(&disk);
    let threads = [
        thread::Builder::new().name("journal".into()).spawn(move || writer.run()),
        thread::Builder::new().name("journal-keeper".into()).spawn(move || {
            keeper::run(&keeper_shared, &*keeper_disk, &asked, &spares);
        }),
    ];
    let threads = threads.into_iter().collect::<io::Result<Vec<_>>>();
    let threads = Mutex::new(threads.map_err(failed(&journal_dir))?);
    Ok((Journal(Arc::new(Owner { shared, disk, threads, retention: Mutex::new(()) })), report))
}

/// The sequence after the last event of the older head, whose batches come first.
fn end_of_older(index: &Index, events: u64, next_seq: u64) -> u64 {
    let mut left = events;
    for batch in &index.in_head {
        if left == 0 {
            return batch.first_seq;
        }
        left = left.saturating_sub(batch.batch.len() as u64);
    }
    next_seq
}

/// Finds or makes the files a writer needs.
struct Files<'a> {
    disk: &'a dyn Disk,
    options: &'a Options,
}

impl Files<'_> {
    fn first_segment(&self, prepared: Option<BlockFile>, number: u64) -> io::Result<Current> {
        let file = match prepared {
            Some(file) => file,
            None => make_segment(self.disk, self.options, number, self.options.segment_bytes)?,
        };
        let capacity = file.file.len()?;
        Ok(Current { file: Arc::new(file), appender: Appender::at(BLOCKS_START, capacity) })
    }

    fn spare(
        &self,
        prepared: impl Iterator<Item = BlockFile>,
        last_number: u64,
    ) -> io::Result<Spare> {
        match prepared.last().filter(|file| file.number == last_number) {
            Some(file) if file.file.len()? == self.options.segment_bytes => Ok(Spare::Ready(file)),
            _ => Ok(Spare::None),
        }
    }

    fn trim_mark(&self, found: Option<BlockFile>) -> io::Result<BlockFile> {
        let path = self.options.dir.join(TRIMMED_NAME);
        match found {
            Some(mark) => Ok(mark),
            None => BlockFile::create(self.disk, path, Kind::Trimmed, 0, BLOCKS_START),
        }
    }

    /// Both heads, the older one first.
    fn heads(&self, found: Vec<OldHead>) -> io::Result<[Head; 2]> {
        let since = Duration::ZERO;
        let mut heads = Vec::with_capacity(2);
        for old in found {
            let appender = Appender::at(old.end, old.file.file.len()?);
            heads.push(Head { file: old.file, appender, events: old.events, since });
        }
        for name in HEADS {
            let path = self.options.dir.join(name);
            if heads.len() < 2 && !heads.iter().any(|head| head.file.path == path) {
                let number = heads.iter().map(|head| head.file.number).max().unwrap_or(0) + 1;
                let bytes = self.options.head_bytes;
                let file = BlockFile::create(self.disk, path, Kind::Head, number, bytes)?;
                let appender = Appender::at(BLOCKS_START, bytes);
                heads.push(Head { file, appender, events: 0, since });
            }
        }
        heads.sort_unstable_by_key(|head| head.file.number);
        let more = |_| io::Error::new(io::ErrorKind::InvalidData, "there are more than two heads");
        heads.try_into().map_err(more)
    }
}
