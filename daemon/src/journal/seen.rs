//! How far readers have seen, as a mark on disk: for what no block says.
//!
//! A block says of itself how far readers saw when it was written, which is why the newest events
//! are decided about again after a crash. Where that must not be (they were let go for good, with
//! nobody to ask), or need not be (nothing was written for a while), the writer puts this mark. One
//! file of its header alone, written in place; made when it is first needed. Only the writer thread
//! writes it, and readers see nothing that waits for it before it is durable.

use std::io;
use std::path::Path;

use super::disk::{Disk, is_full};
use super::segment::{BLOCKS_START, BlockFile, Kind, VERSION};

/// The file's name; its number is the sequence that readers saw up to.
pub(super) const SEEN_NAME: &str = "mark.seen";

/// The mark, and what is known durably by it and by blocks together.
pub(super) struct SeenMark {
    file: Option<BlockFile>,
    seq: u64,
}

impl SeenMark {
    pub(super) fn new(file: Option<BlockFile>, seq: u64) -> Self {
        Self { file, seq }
    }

    /// The sequence that a start would take readers to have seen up to.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Blocks that say so are durable.
    pub(super) fn is_known(&mut self, seq: u64) {
        self.seq = self.seq.max(seq);
    }

    /// Makes it durable that readers see up to `seq`. Where a full disk has no room for the mark
    /// it goes without: to hold readers back until there is would be worse.
    pub(super) fn put(&mut self, disk: &dyn Disk, dir: &Path, seq: u64) -> io::Result<()> {
        if seq <= self.seq {
            return Ok(());
        }
        match self.write(disk, dir, seq) {
            Ok(()) => self.seq = seq,
            Err(error) if is_full(&error) => tracing::warn!(
                "the disk is full: after a crash, events that were shown may be decided about again"
            ),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn write(&mut self, disk: &dyn Disk, dir: &Path, seq: u64) -> io::Result<()> {
        if let Some(mark) = &mut self.file {
            mark.restart_as(Kind::Seen, seq, VERSION)?;
            return mark.file.sync_data();
        }
        let made = BlockFile::create(disk, dir.join(SEEN_NAME), Kind::Seen, seq, BLOCKS_START)?;
        self.file = Some(made);
        Ok(())
    }
}
