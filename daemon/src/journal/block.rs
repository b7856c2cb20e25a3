//! One block of the journal: the events of a request, or of many small ones merged, as columns
//! that can be read and verified one by one. Layout, header and checksums; no I/O.
//!
//! ```text
//! A block starts at a multiple of 8 and is padded with zeros to one. Numbers are little endian.
//!
//!   offset size  header, 80 bytes
//!        0    4  magic "PBbk"
//!        4    1  format version (1)
//!        5    1  number of columns, n
//!        6    2  flags: 1 = merged from smaller blocks
//!        8    4  number of events
//!       12    4  length of the body: directory and columns, without padding
//!       16    8  sequence of the first event; the others follow densely
//!       24   16  least and greatest arrival, Unix ms
//!       40   16  least and greatest timestamp of their own, Unix ms
//!       56    8  position in this file up to which all was synced when this was written
//!       64    4  bytes of text after decoding
//!       68    4  CRC32C of the directory
//!       72    4  sequence up to which readers saw when this was written, less that of the first
//!                event, at most 2^31 either way; a lower bound, 0 in blocks of earlier builds
//!       76    4  CRC32C of the file's id and the 76 bytes before
//!   body
//!        0 12*n  directory, an entry a column in this order:
//!                1 id, 1 packing (0 plain, 1 LZ4 after 4 bytes of unpacked length), 2 reserved,
//!                4 stored length, 4 CRC32C of the stored bytes
//!                columns, one after the other, in the order of the directory
//!
//!   id  column       content, unpacked                            left out when
//!    1  arrival      zigzag varints: the first from the header's   all are equal
//!                    least, the others from the one before
//!    2  fingerprint  16 bytes each                                 never
//!    3  timestamp    zigzag varint from the arrival                all equal their arrival
//!    4  flags        a byte: class, and error << 2 (0 absent,      all are live without `error`
//!                    1 false, 2 true)
//!    5  status       2 bytes each, 0 absent                        all are absent
//!    6  latency      varint of value << 2 | tag: 0 absent, 1 whole all are absent
//!                    ms, 2 thousandths, 3 the float's 8 bytes follow
//!    7  type         dictionary: varint entries; a varint length   all are absent
//!    8  route        each; their text; a varint entry number an
//!    9  site         event
//!   10  eventId      text: a varint length each (0 absent), then   all are absent
//!   11  userId       the text of all
//!   12  sessionId
//!   13  clientId
//!   14  props
//! ```
//!
//! The chain of trust: the header's checksum covers the directory's, the directory holds each
//! column's. So the writer thread seals a block by filling in the header alone, and a reader that
//! wants two columns verifies these two. The file's random id in the header's checksum makes a
//! block that is left over from an earlier use of the file, or forged inside somebody's text,
//! invalid. A column id that this version does not know is skipped.

pub(super) mod decode;
pub(super) mod encode;
mod varint;

use thiserror::Error;

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 80;
/// Blocks start at multiples of this.
pub(super) const ALIGN: u64 = 8;
/// Version of the layout above.
pub(super) const VERSION: u8 = 1;
/// First bytes of a block.
pub(super) const MAGIC: [u8; 4] = *b"PBbk";
/// Most bytes a body may claim; a request's is bounded far below.
pub(super) const BODY_BYTES_MAX: u32 = 256 * 1024 * 1024;

const ENTRY_BYTES: usize = 12;
const FLAG_MERGED: u16 = 1;

/// Names of columns, as numbered in the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Column {
    Arrival = 1,
    Fingerprint = 2,
    Timestamp = 3,
    Flags = 4,
    Status = 5,
    Latency = 6,
    Type = 7,
    Route = 8,
    Site = 9,
    EventId = 10,
    UserId = 11,
    SessionId = 12,
    ClientId = 13,
    Props = 14,
}

/// Why bytes are not the block they should be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Damage {
    /// Magic, checksum or a length of the header is wrong.
    #[error("the block's header is damaged")]
    Header,
    /// The directory's checksum or a length in it is wrong.
    #[error("the block's directory is damaged")]
    Directory,
    /// A column's checksum is wrong, or its content does not decode.
    #[error("column {0} of the block is damaged")]
    Column(u8),
}

/// What the header says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) columns: u8,
    pub(super) merged: bool,
    pub(super) count: u32,
    pub(super) body_len: u32,
    pub(super) first_seq: u64,
    pub(super) arrival_ms: (i64, i64),
    pub(super) timestamp_ms: (i64, i64),
    pub(super) synced_to: u64,
    pub(super) text_len: u32,
    pub(super) directory_crc: u32,
    /// Sequence readers saw up to when it was written, or less.
    pub(super) seen_seq: u64,
}

impl Header {
    /// Length of the whole block in its file, padding included.
    pub(super) fn block_len(&self) -> u64 {
        padded(HEADER_BYTES as u64 + u64::from(self.body_len))
    }

    /// Sequence after the block's last event.
    pub(super) fn end_seq(&self) -> u64 {
        self.first_seq + u64::from(self.count)
    }

    /// Bytes the directory takes after the header.
    pub(super) fn directory_len(&self) -> usize {
        usize::from(self.columns) * ENTRY_BYTES
    }

    /// How far readers saw, from the first event on. What is further away than can be said is
    /// understated.
    fn seen_offset(&self) -> i32 {
        let offset = i128::from(self.seen_seq) - i128::from(self.first_seq);
        offset.clamp(i32::MIN.into(), i32::MAX.into()) as i32
    }

    /// Writes the header over the first bytes of a block of file `file_id`.
    pub(super) fn seal(&self, block: &mut [u8], file_id: u64) {
        let mut at = [0; HEADER_BYTES];
        at[0..4].copy_from_slice(&MAGIC);
        at[4] = VERSION;
        at[5] = self.columns;
        at[6..8].copy_from_slice(&(if self.merged { FLAG_MERGED } else { 0 }).to_le_bytes());
        at[8..12].copy_from_slice(&self.count.to_le_bytes());
        at[12..16].copy_from_slice(&self.body_len.to_le_bytes());
        at[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        at[24..32].copy_from_slice(&self.arrival_ms.0.to_le_bytes());
        at[32..40].copy_from_slice(&self.arrival_ms.1.to_le_bytes());
        at[40..48].copy_from_slice(&self.timestamp_ms.0.to_le_bytes());
        at[48..56].copy_from_slice(&self.timestamp_ms.1.to_le_bytes());
        at[56..64].copy_from_slice(&self.synced_to.to_le_bytes());
        at[64..68].copy_from_slice(&self.text_len.to_le_bytes());
        at[68..72].copy_from_slice(&self.directory_crc.to_le_bytes());
        at[72..76].copy_from_slice(&self.seen_offset().to_le_bytes());
        let crc = header_crc(&at, file_id);
        at[76..80].copy_from_slice(&crc.to_le_bytes());
        block[..HEADER_BYTES].copy_from_slice(&at);
    }

    /// Reads and verifies the header at the start of `bytes`.
    pub(super) fn parse(bytes: &[u8], file_id: u64) -> Result<Self, Damage> {
        let at: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(Damage::Header)?;
        if at[0..4] != MAGIC || u32_at(at, 76) != header_crc(at, file_id) || at[4] != VERSION {
            return Err(Damage::Header);
        }
        let header = Self {
            columns: at[5],
            merged: u16::from_le_bytes([at[6], at[7]]) & FLAG_MERGED != 0,
            count: u32_at(at, 8),
            body_len: u32_at(at, 12),
            first_seq: u64_at(at, 16),
            arrival_ms: (u64_at(at, 24) as i64, u64_at(at, 32) as i64),
            timestamp_ms: (u64_at(at, 40) as i64, u64_at(at, 48) as i64),
            synced_to: u64_at(at, 56),
            text_len: u32_at(at, 64),
            directory_crc: u32_at(at, 68),
            seen_seq: u64_at(at, 16).saturating_add_signed((u32_at(at, 72) as i32).into()),
        };
        let sound = header.count > 0
            && header.body_len <= BODY_BYTES_MAX
            && header.body_len as usize >= header.directory_len()
            && header.first_seq > 0;
        if sound { Ok(header) } else { Err(Damage::Header) }
    }
}

fn header_crc(at: &[u8; HEADER_BYTES], file_id: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&file_id.to_le_bytes()), &at[..76])
}

/// A length rounded up to where the next block may start.
pub(super) fn padded(len: u64) -> u64 {
    len.next_multiple_of(ALIGN)
}

/// Where a column lies in its block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) id: u8,
    pub(super) packed: bool,
    /// From the start of the body.
    pub(super) offset: u32,
    pub(super) len: u32,
    pub(super) crc: u32,
}

/// Reads and verifies the directory at the start of a body.
pub(super) fn directory(header: &Header, body: &[u8]) -> Result<Vec<Entry>, Damage> {
    let bytes = body.get(..header.directory_len()).ok_or(Damage::Directory)?;
    if crc32c::crc32c(bytes) != header.directory_crc {
        return Err(Damage::Directory);
    }
    let mut offset = header.directory_len() as u64;
    let mut entries = Vec::with_capacity(usize::from(header.columns));
    for at in bytes.chunks_exact(ENTRY_BYTES) {
        let len = u32_at(at, 4);
        entries.push(Entry {
            id: at[0],
            packed: at[1] == 1,
            offset: offset as u32,
            len,
            crc: u32_at(at, 8),
        });
        offset += u64::from(len);
        if offset > u64::from(header.body_len) {
            return Err(Damage::Directory);
        }
    }
    Ok(entries)
}

/// Verifies the directory and every column of a block's body.
pub(super) fn verify(header: &Header, body: &[u8]) -> Result<(), Damage> {
    let mut end = header.directory_len() as u32;
    for entry in directory(header, body)? {
        let from = entry.offset as usize;
        let column = body.get(from..from + entry.len as usize).ok_or(Damage::Column(entry.id))?;
        if crc32c::crc32c(column) != entry.crc {
            return Err(Damage::Column(entry.id));
        }
        end = entry.offset + entry.len;
    }
    if end == header.body_len { Ok(()) } else { Err(Damage::Directory) }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
