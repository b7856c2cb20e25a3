//! Opening a journal: which blocks there are, where each file goes on, what is damaged.
//!
//! Reads block headers alone, except where a sync may not have finished: blocks past the position
//! that the last sound block of the last segment names as synced are verified whole, and so are
//! those of the heads. Damage elsewhere is found when it is read. An invalid tail is cut; what is
//! invalid with something valid after it is set aside and reported, and everything else stays
//! readable. Writes nothing but zeros over a torn tail, and files that are missing.

mod walk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::block::decode::Body;
use super::disk::Disk;
use super::index::{BlockAt, InHead, Index, SegmentInfo};
use super::segment::{BLOCKS_START, BlockFile, FileHeader, Kind, NEW_EXTENSION};
use super::{DamagedBlock, Options, Recovery, tombstones};
use walk::{Hole, Walk, name, read_body};

/// Why a journal cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A later version wrote it.
    #[error("{} was written by a newer version of Pulseboard (format {found}, this one reads {newest})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format version.
        found: u16,
        /// The newest this build reads.
        newest: u16,
    },
    /// The file system refused.
    #[error("the journal in {} cannot be opened: {error}", path.display())]
    Io {
        /// The file or directory concerned.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

/// What was found, for the writer to go on from.
pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) report: Recovery,
    /// The segment to append to and where, when there is one.
    pub(super) current: Option<(Arc<BlockFile>, u64, u64)>,
    /// Prepared segments after it, which are empty.
    pub(super) empty: Vec<BlockFile>,
    /// Heads that exist, oldest first.
    pub(super) heads: Vec<OldHead>,
    /// Sequence after the last one that a torn block claims. None of them is given out again:
    /// somebody may have seen them, were it only through a disk that lost them later.
    pub(super) claimed_to: u64,
    /// The mark retention left.
    pub(super) trim_mark: Option<BlockFile>,
    /// The mark of what readers saw.
    pub(super) seen_mark: Option<BlockFile>,
    /// Highest number a segment file has, sound or not.
    pub(super) last_number: u64,
}

/// A head as it was left.
pub(super) struct OldHead {
    pub(super) file: BlockFile,
    pub(super) end: u64,
    /// Events in it that no segment has; they are in the index now.
    pub(super) events: u64,
}

/// Reads the journal's directory.
pub(super) fn recover(disk: &dyn Disk, options: &Options) -> Result<Recovered, OpenError> {
    let files = Files::open(disk, options)?;
    let mut recovery = Recovered {
        index: Index::default(),
        report: Recovery::default(),
        current: None,
        empty: Vec::new(),
        heads: Vec::new(),
        claimed_to: 0,
        trim_mark: None,
        seen_mark: files.seen.into_iter().next(),
        last_number: files.last_number,
    };
    recovery.trim_mark = files.trimmed.into_iter().next();
    let seen_seq = recovery.seen_mark.as_ref().map_or(0, |mark| mark.number);
    // None of what was seen is given out again, whatever a disk lost.
    (recovery.report.seen_seq, recovery.claimed_to) = (seen_seq, seen_seq);
    recovery.index.trimmed_to = recovery.trim_mark.as_ref().map_or(0, |mark| mark.number);
    let mut holes = files.unreadable;
    recovery.segments(files.segments, &mut holes).map_err(at(&options.segments_dir()))?;
    recovery.heads(files.heads, &mut holes).map_err(at(&options.dir))?;
    recovery.fingerprints(files.fingerprints).map_err(at(&options.segments_dir()))?;
    recovery.tombstones(files.tombstones, &mut holes).map_err(at(&options.dir))?;
    recovery.report_holes(holes);
    let Recovered { index, report, claimed_to, .. } = &mut recovery;
    report.tombstones = index.tombstones.len() as u64;
    report.events = index.events.saturating_sub(report.tombstones);
    report.first_seq = index.first_seq().unwrap_or(1);
    let floors = [options.next_seq_min, index.trimmed_to, *claimed_to];
    report.next_seq = floors.into_iter().fold(index.end_seq().unwrap_or(1), u64::max);
    report.oldest_arrival_ms = index.oldest_arrival_ms();
    Ok(recovery)
}

fn at(path: &Path) -> impl Fn(io::Error) -> OpenError {
    move |error| OpenError::Io { path: path.to_owned(), error }
}

/// All files of a journal, opened, none changed yet.
struct Files {
    segments: Vec<BlockFile>,
    heads: Vec<BlockFile>,
    fingerprints: Vec<BlockFile>,
    trimmed: Vec<BlockFile>,
    tombstones: Vec<BlockFile>,
    seen: Vec<BlockFile>,
    unreadable: Vec<Hole>,
    last_number: u64,
}

impl Files {
    fn open(disk: &dyn Disk, options: &Options) -> Result<Self, OpenError> {
        let dir = options.segments_dir();
        let mut files = Self {
            segments: Vec::new(),
            heads: Vec::new(),
            fingerprints: Vec::new(),
            trimmed: Vec::new(),
            tombstones: Vec::new(),
            seen: Vec::new(),
            unreadable: Vec::new(),
            last_number: 0,
        };
        let mut unfinished = Vec::new();
        for dir in [&options.dir, &dir] {
            let mut names = disk.list(dir).map_err(at(dir))?;
            names.sort_unstable();
            for name in names {
                let path = dir.join(&name);
                let extension = path.extension().and_then(|extension| extension.to_str());
                let (list, kind) = match extension {
                    Some("seg") => (&mut files.segments, Kind::Segment),
                    Some("head") => (&mut files.heads, Kind::Head),
                    Some("fp") => (&mut files.fingerprints, Kind::Fingerprints),
                    Some("trimmed") => (&mut files.trimmed, Kind::Trimmed),
                    Some("tombstones") => (&mut files.tombstones, Kind::Tombstones),
                    Some("seen") => (&mut files.seen, Kind::Seen),
                    Some(NEW_EXTENSION) => {
                        unfinished.push(path);
                        continue;
                    }
                    _ => continue,
                };
                if kind == Kind::Segment {
                    let stem = path.file_stem().and_then(|stem| stem.to_str());
                    let number = stem.and_then(|stem| stem.parse().ok()).unwrap_or(0);
                    files.last_number = files.last_number.max(number);
                }
                let file = disk.open(&path).map_err(at(&path))?;
                match FileHeader::read(&*file).map_err(at(&path))? {
                    Some(header) if header.version > kind.newest() => {
                        let (found, newest) = (header.version, kind.newest());
                        return Err(OpenError::Newer { path, found, newest });
                    }
                    Some(header) if header.kind == kind as u8 => {
                        let FileHeader { number, id, .. } = header;
                        list.push(BlockFile { file, path, number, id });
                    }
                    _ => {
                        let bytes = file.len().map_err(at(&path))?;
                        files.unreadable.push(Hole { file: name, from: 0, bytes, after_seq: None });
                    }
                }
            }
        }
        for path in unfinished {
            disk.remove(&path).map_err(at(&path))?;
        }
        for list in [&mut files.segments, &mut files.heads, &mut files.fingerprints] {
            list.sort_unstable_by_key(|file| file.number);
        }
        Ok(files)
    }
}

impl Recovered {
    fn segments(&mut self, files: Vec<BlockFile>, holes: &mut Vec<Hole>) -> io::Result<()> {
        let mut walks = Vec::with_capacity(files.len());
        for file in files {
            let walk = Walk::through(&*file.file, file.id)?;
            walks.push((file, walk));
        }
        // From the newest back: prepared and empty ones, then the one that is appended to.
        while let Some((file, walk)) = walks.last_mut() {
            self.report.cut_bytes += walk.cut_torn_tail(&*file.file)?;
            self.claimed_to = self.claimed_to.max(walk.claimed_to);
            if !walk.blocks.is_empty() {
                break;
            }
            if let Some((file, _)) = walks.pop() {
                self.empty.push(file);
            }
        }
        self.empty.reverse();
        let last = walks.len();
        for (index, (file, walk)) in walks.into_iter().enumerate() {
            let file = Arc::new(file);
            let end = walk.end();
            let info = SegmentInfo::new(Arc::clone(&file), walk.file_len);
            self.report.bytes += walk.file_len;
            self.report.segments += 1;
            self.index.segments.insert(file.number, info);
            for (offset, header) in &walk.blocks {
                self.report.seen_seq = self.report.seen_seq.max(header.seen_seq);
                self.index.add_block(&file, *offset, header);
            }
            if index + 1 == last {
                self.current = Some((Arc::clone(&file), end, walk.file_len));
            } else if walk.used > end {
                holes.push(walk.hole(&file, end, walk.used));
            }
            holes.extend(walk.gaps.iter().map(|(from, to)| walk.hole(&file, *from, *to)));
        }
        Ok(())
    }

    /// Takes in what only the heads have.
    fn heads(&mut self, files: Vec<BlockFile>, holes: &mut Vec<Hole>) -> io::Result<()> {
        for file in files {
            let mut walk = Walk::through(&*file.file, file.id)?;
            self.report.cut_bytes += walk.drop_torn(&*file.file)?;
            self.claimed_to = self.claimed_to.max(walk.claimed_to);
            self.report.bytes += walk.file_len;
            let mut events = 0;
            for (offset, header) in &walk.blocks {
                self.report.seen_seq = self.report.seen_seq.max(header.seen_seq);
                let found = self.index.at_or_after(header.first_seq);
                let merged = found.is_some_and(|found| found.first_seq() <= header.first_seq);
                if merged || header.end_seq() <= self.index.trimmed_to {
                    continue;
                }
                let body = read_body(&*file.file, *offset, header)?;
                match Body::open(header, &body).and_then(|body| body.batch()) {
                    Ok(batch) => {
                        events += batch.len() as u64;
                        self.index.add_in_head(InHead {
                            first_seq: header.first_seq,
                            batch: Arc::new(batch),
                            arrival_ms: header.arrival_ms,
                            timestamp_ms: header.timestamp_ms,
                            bytes: header.block_len() as u32,
                        });
                    }
                    Err(_) => holes.push(Hole {
                        file: name(&file.path),
                        from: *offset,
                        bytes: header.block_len(),
                        after_seq: Some(header.first_seq),
                    }),
                }
            }
            // A hole among blocks that segments have meanwhile loses nothing.
            let gaps = walk.gaps.iter().map(|(from, to)| walk.hole(&file, *from, *to));
            holes.extend(gaps.filter(|hole| {
                hole.after_seq.is_none_or(|seq| {
                    seq >= self.index.trimmed_to
                        && self.index.at_or_after(seq).is_none_or(|found| found.first_seq() > seq)
                })
            }));
            let end = walk.end();
            self.heads.push(OldHead { file, end, events });
        }
        Ok(())
    }

    fn fingerprints(&mut self, files: Vec<BlockFile>) -> io::Result<()> {
        for file in files {
            let walk = Walk::through(&*file.file, file.id)?;
            self.report.bytes += walk.file_len;
            let file = Arc::new(file);
            let blocks = walk.blocks.iter();
            let blocks =
                blocks.map(|(offset, header)| BlockAt::new(Arc::clone(&file), *offset, header));
            self.index.fingerprints.insert(file.number, blocks.collect());
        }
        Ok(())
    }

    /// Takes in which events readers pass over.
    fn tombstones(&mut self, files: Vec<BlockFile>, holes: &mut Vec<Hole>) -> io::Result<()> {
        for BlockFile { file, path, id, .. } in files {
            match tombstones::read(&*file, id)? {
                Some(seqs) => self.index.tombstones.extend(seqs),
                None => holes.push(Hole {
                    file: name(&path),
                    from: BLOCKS_START,
                    bytes: file.len()?.saturating_sub(BLOCKS_START),
                    after_seq: None,
                }),
            }
        }
        let first_seq = self.index.first_seq().unwrap_or(0).max(self.index.trimmed_to);
        self.index.tombstones = self.index.tombstones.split_off(&first_seq);
        // None of them is given out again, whatever a disk lost.
        let last = self.index.tombstones.last().map_or(0, |last| last + 1);
        self.claimed_to = self.claimed_to.max(last);
        Ok(())
    }

    /// Says how many events each hole swallowed, by the sequences that are missing after it.
    fn report_holes(&mut self, holes: Vec<Hole>) {
        for hole in holes {
            let missing = hole.after_seq.and_then(|seq| {
                let next = self.index.at_or_after(seq)?.first_seq();
                (next > seq).then_some((seq, next - seq))
            });
            self.report.damaged.push(DamagedBlock {
                file: hole.file,
                offset: hole.from,
                bytes: hole.bytes,
                first_seq: missing.map(|(seq, _)| seq),
                events: missing.map(|(_, events)| events),
            });
        }
    }
}
