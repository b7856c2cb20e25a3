//! The files that hold blocks: their header, how they come into being, and appending to one.
//!
//! Segments and heads share this form. A file gets its name only after its header and its
//! reserved space are durable, so a name always stands for a sound file.
//!
//! ```text
//! The first 4,096 bytes of a file hold the header twice, at 0 and at 2,048; blocks follow.
//!
//!   offset size
//!        0    8  magic "PBjournl"
//!        8    2  format version (1; of a trim mark beside which there are tombstones, 2)
//!       10    1  kind: 1 segment, 2 head, 3 fingerprints of a trimmed segment, 4 trim mark,
//!               5 tombstones, 6 seen mark
//!       11    5  reserved, 0
//!       16    8  number: of the segment; of a head: how often heads were begun; of a trim mark:
//!               the sequence after the last one that was let go; of a seen mark: the
//!               sequence that readers saw up to
//!       24    8  id, random, part of every block header's checksum
//!       32    4  CRC32C of the 32 bytes before
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::block::encode::Encoded;
use super::block::{HEADER_BYTES, Header};
use super::disk::{Disk, DiskFile, is_full};
use super::tombstones::VERSION_WITH_TOMBSTONES;

/// Where blocks begin.
pub(super) const BLOCKS_START: u64 = 4_096;
/// Version of the file layout this build writes.
pub(super) const VERSION: u16 = 1;

const MAGIC: [u8; 8] = *b"PBjournl";
const COPIES: [u64; 2] = [0, 2_048];
const BYTES: usize = 36;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Segment = 1,
    Head = 2,
    Fingerprints = 3,
    Trimmed = 4,
    Tombstones = 5,
    Seen = 6,
}

impl Kind {
    /// The newest version of such a file that this build reads.
    pub(super) fn newest(self) -> u16 {
        if self == Self::Trimmed { VERSION_WITH_TOMBSTONES } else { VERSION }
    }
}

/// What a file's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) version: u16,
    pub(super) kind: u8,
    pub(super) number: u64,
    pub(super) id: u64,
}

impl FileHeader {
    fn new(kind: Kind, number: u64, version: u16) -> Self {
        Self { version, kind: kind as u8, number, id: rand::random() }
    }

    fn write(&self, file: &dyn DiskFile) -> io::Result<()> {
        let mut page = [0; BLOCKS_START as usize];
        for copy in COPIES {
            let at = &mut page[copy as usize..copy as usize + BYTES];
            at[0..8].copy_from_slice(&MAGIC);
            at[8..10].copy_from_slice(&self.version.to_le_bytes());
            at[10] = self.kind;
            at[16..24].copy_from_slice(&self.number.to_le_bytes());
            at[24..32].copy_from_slice(&self.id.to_le_bytes());
            let crc = crc32c::crc32c(&at[..32]);
            at[32..36].copy_from_slice(&crc.to_le_bytes());
        }
        file.write_at(&page, 0)
    }

    /// The header of a file: the newer of its two copies; `None` when neither is sound.
    pub(super) fn read(file: &dyn DiskFile) -> io::Result<Option<Self>> {
        let mut newest: Option<Self> = None;
        for copy in COPIES {
            let mut at = [0; BYTES];
            let read = file.read_at(&mut at, copy)?;
            let Some(header) = (read == BYTES).then(|| Self::parse(&at)).flatten() else {
                continue;
            };
            if newest.is_none_or(|newest| newest.number < header.number) {
                newest = Some(header);
            }
        }
        Ok(newest)
    }

    fn parse(at: &[u8; BYTES]) -> Option<Self> {
        let (body, crc) = at.split_last_chunk::<4>()?;
        let sound = at[0..8] == MAGIC && u32::from_le_bytes(*crc) == crc32c::crc32c(body);
        sound.then_some(())?;
        Some(Self {
            version: u16::from_le_bytes([at[8], at[9]]),
            kind: at[10],
            number: u64::from_le_bytes(*at[16..24].first_chunk()?),
            id: u64::from_le_bytes(*at[24..32].first_chunk()?),
        })
    }
}

/// A file of the journal, held open by whoever reads or writes it.
pub(super) struct BlockFile {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) path: PathBuf,
    pub(super) number: u64,
    pub(super) id: u64,
}

impl BlockFile {
    /// Makes a file of `capacity` bytes, durably: reserved, headed, synced, then named.
    pub(super) fn create(
        disk: &dyn Disk,
        path: PathBuf,
        kind: Kind,
        number: u64,
        capacity: u64,
    ) -> io::Result<Self> {
        let made = Self::build(disk, &path, kind, number, capacity, |_| Ok(()));
        made.map(|(file, id)| Self { file, path, number, id })
    }

    /// Makes a file as [`BlockFile::create`] does, with blocks in it from the start.
    pub(super) fn create_with(
        disk: &dyn Disk,
        path: PathBuf,
        kind: Kind,
        number: u64,
        blocks: &mut [Encoded],
    ) -> io::Result<Self> {
        let bytes = blocks.iter().map(|block| block.bytes.len() as u64).sum::<u64>();
        let made = Self::build(disk, &path, kind, number, BLOCKS_START + bytes, |target| {
            let mut offset = BLOCKS_START;
            for block in blocks {
                block.header.seal(&mut block.bytes, target.1);
                target.0.write_at(&block.bytes, offset)?;
                offset += block.bytes.len() as u64;
            }
            Ok(())
        });
        made.map(|(file, id)| Self { file, path, number, id })
    }

    /// Makes a file of `bytes` bytes after its header, which `fill` writes, in place of one of
    /// that name.
    pub(super) fn create_filled(
        disk: &dyn Disk,
        path: PathBuf,
        kind: Kind,
        number: u64,
        bytes: u64,
        fill: impl FnOnce(&dyn DiskFile, u64) -> io::Result<()>,
    ) -> io::Result<Self> {
        let capacity = BLOCKS_START + bytes;
        let made = Self::build(disk, &path, kind, number, capacity, |(file, id)| fill(file, id));
        made.map(|(file, id)| Self { file, path, number, id })
    }

    fn build(
        disk: &dyn Disk,
        path: &Path,
        kind: Kind,
        number: u64,
        capacity: u64,
        fill: impl FnOnce((&dyn DiskFile, u64)) -> io::Result<()>,
    ) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let unnamed = path.with_extension(NEW_EXTENSION);
        let file = match disk.create(&unnamed) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&unnamed)?;
                disk.create(&unnamed)?
            }
            created => created?,
        };
        let header = FileHeader::new(kind, number, VERSION);
        let done = file
            .preallocate(capacity)
            .and_then(|()| header.write(&*file))
            .and_then(|()| fill((&*file, header.id)))
            .and_then(|()| file.sync_data())
            .and_then(|()| disk.rename(&unnamed, path));
        if let Err(error) = done {
            let _ = disk.remove(&unnamed);
            return Err(error);
        }
        disk.sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        Ok((file, header.id))
    }

    /// Begins the file anew under the next number: all that was in it is void.
    /// Durable with the next sync of the file, which comes before anything in it counts.
    pub(super) fn restart(&mut self, kind: Kind, number: u64) -> io::Result<()> {
        self.restart_as(kind, number, VERSION)
    }

    /// The same, as a file of this version.
    pub(super) fn restart_as(&mut self, kind: Kind, number: u64, version: u16) -> io::Result<()> {
        let header = FileHeader::new(kind, number, version);
        header.write(&*self.file)?;
        self.number = number;
        self.id = header.id;
        Ok(())
    }
}

/// Extension of files that are being made.
pub(super) const NEW_EXTENSION: &str = "new";

/// The file name of segment `number`.
pub(super) fn segment_name(number: u64) -> String {
    format!("{number:010}.seg")
}

/// The file name of the trim mark.
pub(super) const TRIMMED_NAME: &str = "mark.trimmed";

/// The file name of the fingerprints kept of segment `number`.
pub(super) fn fingerprints_name(number: u64) -> String {
    format!("{number:010}.fp")
}

/// The end of a file that is being written, in the hands of the writer thread.
pub(super) struct Appender {
    pub(super) end: u64,
    pub(super) capacity: u64,
    synced: u64,
    dirty: bool,
}

impl Appender {
    /// At `end` of a file whose content up to there is durable.
    pub(super) fn at(end: u64, capacity: u64) -> Self {
        Self { end, capacity, synced: end, dirty: false }
    }

    /// Whether `len` more bytes fit.
    pub(super) fn fits(&self, len: u64) -> bool {
        self.end + len <= self.capacity
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Fills in and seals the header of a block that will stand `ahead` bytes past the end.
    pub(super) fn seal(&self, block: &mut Encoded, first_seq: u64, id: u64) {
        block.header.first_seq = first_seq;
        block.header.synced_to = self.synced;
        block.header.seal(&mut block.bytes, id);
    }

    /// Writes sealed blocks at the end. After an error none of them is in the file: what was
    /// written of them is voided, which is durable before anything written later counts.
    pub(super) fn append(&mut self, file: &dyn DiskFile, bytes: &[u8]) -> io::Result<u64> {
        self.dirty = true;
        let offset = self.end;
        if let Err(error) = file.write_at(bytes, offset) {
            void(file, bytes.len(), offset, &error)?;
            return Err(error);
        }
        self.end += bytes.len() as u64;
        Ok(offset)
    }

    /// Makes what was written durable.
    pub(super) fn sync(&mut self, file: &dyn DiskFile) -> io::Result<()> {
        file.sync_data()?;
        self.dirty = false;
        self.synced = self.end;
        Ok(())
    }
}

/// Overwrites what a full disk took a part of, so that no block in it is ever taken for one.
fn void(file: &dyn DiskFile, len: usize, offset: u64, cause: &io::Error) -> io::Result<()> {
    if !is_full(cause) {
        return Ok(());
    }
    match file.write_at(&vec![0; len], offset) {
        // No space for the zeros means that there was none for what they should cover either.
        Err(error) if !is_full(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Reads and verifies the block header at `offset`.
pub(super) fn header_at(file: &dyn DiskFile, id: u64, offset: u64) -> io::Result<Option<Header>> {
    let mut at = [0; HEADER_BYTES];
    let read = file.read_at(&mut at, offset)?;
    Ok((read == HEADER_BYTES).then(|| Header::parse(&at, id).ok()).flatten())
}
