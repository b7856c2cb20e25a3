//! Walking through one file: from header to header, past what is not a block to the next sound
//! one, and back from the end over what an unfinished sync left.

use std::io;
use std::path::Path;

use crate::journal::block::{ALIGN, HEADER_BYTES, Header, MAGIC, verify};
use crate::journal::disk::DiskFile;
use crate::journal::segment::{BLOCKS_START, BlockFile, header_at};

/// Bytes looked through at a time for the next sound block.
const CHUNK: usize = 1024 * 1024;

/// Bytes that should have been blocks.
pub(super) struct Hole {
    pub(super) file: String,
    pub(super) from: u64,
    pub(super) bytes: u64,
    /// Sequence after the block before it, where there is one.
    pub(super) after_seq: Option<u64>,
}

/// The blocks of a file, by their headers.
pub(super) struct Walk {
    pub(super) blocks: Vec<(u64, Header)>,
    /// Places between two blocks that are not one.
    pub(super) gaps: Vec<(u64, u64)>,
    pub(super) file_len: u64,
    /// End of the last bytes that are not zero.
    pub(super) used: u64,
    /// Sequence after the last one that a block which is not sound claims.
    pub(super) claimed_to: u64,
}

impl Walk {
    pub(super) fn through(file: &dyn DiskFile, id: u64) -> io::Result<Self> {
        let file_len = file.len()?;
        let mut walk = Self {
            blocks: Vec::new(),
            gaps: Vec::new(),
            file_len,
            used: BLOCKS_START,
            claimed_to: 0,
        };
        let mut at = BLOCKS_START;
        loop {
            match header_at(file, id, at)? {
                Some(header) if at + header.block_len() <= file_len => {
                    walk.blocks.push((at, header));
                    at += header.block_len();
                    walk.used = at;
                }
                _ => {
                    let Some(next) = walk.search(file, id, at)? else { return Ok(walk) };
                    walk.gaps.push((at, next));
                    at = next;
                }
            }
        }
    }

    /// The next place from `from` on with a sound header; notes how far anything is written.
    fn search(&mut self, file: &dyn DiskFile, id: u64, from: u64) -> io::Result<Option<u64>> {
        let mut chunk = vec![0; CHUNK + HEADER_BYTES];
        let zeros = vec![0; CHUNK + HEADER_BYTES];
        for (start, end) in file.data_ranges(from)? {
            let mut at = (start / ALIGN * ALIGN).max(from);
            while at < end {
                let read = file.read_at(&mut chunk, at)?;
                let bytes = &chunk[..read];
                if bytes != &zeros[..read] {
                    for offset in (0..read.min(CHUNK)).step_by(ALIGN as usize) {
                        let rest = &bytes[offset..];
                        let place = at + offset as u64;
                        if rest.starts_with(&MAGIC)
                            && place > from
                            && let Ok(header) = Header::parse(rest, id)
                            && place + header.block_len() <= self.file_len
                        {
                            return Ok(Some(place));
                        }
                    }
                    let last = bytes.iter().rposition(|byte| *byte != 0);
                    self.used = self.used.max(at + last.map_or(0, |last| last as u64 + 1));
                }
                if read == 0 {
                    break;
                }
                at += CHUNK as u64;
            }
        }
        Ok(None)
    }

    /// Where the file goes on.
    pub(super) fn end(&self) -> u64 {
        self.blocks.last().map_or(BLOCKS_START, |(offset, header)| offset + header.block_len())
    }

    /// Drops blocks at the end whose body is not sound; one that is not, may be due to an
    /// unfinished sync, and has a sound one after it, becomes a gap. Either loses its magic, so
    /// that it never counts as a block again, neither beside what is written from now on nor in
    /// the place of what heads hold. Makes what was found durable, for it may be what a process
    /// left that was killed before its sync. Returns the bytes dropped at the end.
    pub(super) fn drop_torn(&mut self, file: &dyn DiskFile) -> io::Result<u64> {
        let before = self.end();
        let mut unsound = Vec::new();
        let synced_to = loop {
            let Some((offset, header)) = self.blocks.last() else { break BLOCKS_START };
            if is_sound(file, *offset, header)? {
                break header.synced_to;
            }
            unsound.extend(self.blocks.pop());
        };
        let end = self.end();
        let mut kept = Vec::with_capacity(self.blocks.len());
        for (offset, header) in std::mem::take(&mut self.blocks) {
            let last = offset + header.block_len() == end;
            if offset < synced_to || last || is_sound(file, offset, &header)? {
                kept.push((offset, header));
            } else {
                self.gaps.push((offset, offset + header.block_len()));
                unsound.push((offset, header));
            }
        }
        self.blocks = kept;
        self.gaps.retain(|(from, _)| *from < end);
        for (offset, header) in unsound {
            file.write_at(&[0; MAGIC.len()], offset)?;
            self.claimed_to = self.claimed_to.max(header.end_seq());
        }
        file.sync_data()?;
        Ok(before - end)
    }

    /// Drops the tail that a crash left half written, and writes zeros over it, so that it is not
    /// looked at again. Returns its bytes.
    pub(super) fn cut_torn_tail(&mut self, file: &dyn DiskFile) -> io::Result<u64> {
        self.drop_torn(file)?;
        let end = self.end();
        let torn = self.used.saturating_sub(end);
        if torn == 0 {
            return Ok(0);
        }
        let zeros = vec![0; CHUNK.min(torn as usize)];
        let mut at = end;
        while at < self.used {
            let len = zeros.len().min((self.used - at) as usize);
            file.write_at(&zeros[..len], at)?;
            at += len as u64;
        }
        // Before anything is written elsewhere: the next block may go to the next segment.
        file.sync_data()?;
        Ok(torn)
    }

    pub(super) fn hole(&self, file: &BlockFile, from: u64, to: u64) -> Hole {
        let before = self.blocks.iter().rev().find(|(offset, _)| *offset < from);
        Hole {
            file: name(&file.path),
            from,
            bytes: to - from,
            after_seq: before.map(|(_, header)| header.end_seq()),
        }
    }
}

fn is_sound(file: &dyn DiskFile, offset: u64, header: &Header) -> io::Result<bool> {
    let body = read_body(file, offset, header)?;
    Ok(verify(header, &body).is_ok())
}

pub(super) fn read_body(file: &dyn DiskFile, offset: u64, header: &Header) -> io::Result<Vec<u8>> {
    let mut body = vec![0; header.body_len as usize];
    let read = file.read_at(&mut body, offset + HEADER_BYTES as u64)?;
    body.truncate(read);
    Ok(body)
}

pub(super) fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

const _: () = assert!(CHUNK.is_multiple_of(ALIGN as usize));
