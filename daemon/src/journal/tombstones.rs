//! Events that are in the journal and must not be: taken by another instance before this one could
//! confirm them. Readers pass over them; their ids stay known.
//!
//! A tombstone is durable before the watermark passes its event, so that nobody who has counted an
//! event ever has to take it back. There are few, so the one file that lists them is replaced
//! whole, by name: a crash finds the old list or the new one. Trimming drops those of its segment.
//!
//! ```text
//! mark.tombstones: the header of every file of the journal, then at 4,096
//!
//!   offset size
//!        0    8  number of sequences, n
//!        8    4  CRC32C of the file's id, n and the sequences
//!       12    4  reserved, 0
//!       16  8*n  the sequences, ascending
//! ```
//!
//! The trim mark has version 2 from the first tombstone on, so that a build that would pass them
//! over refuses the journal instead.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::Ordering;

use thiserror::Error;

use super::disk::{Disk, DiskFile, is_full};
use super::queue::Shared;
use super::segment::{BLOCKS_START, BlockFile, Kind};

/// The file's name.
pub(super) const TOMBSTONES_NAME: &str = "mark.tombstones";
/// Tombstones held at most: 8 MiB on disk. Past it an event stays, and counts.
const TOMBSTONES_MAX: usize = 1 << 20;
/// Bytes before the sequences.
const FRONT_BYTES: usize = 16;

/// Why an event was not given a tombstone.
#[derive(Debug, Error)]
pub enum TombstoneError {
    /// There are too many already.
    #[error("the journal holds {TOMBSTONES_MAX} tombstones, and takes no more")]
    TooMany,
    /// The file system refused. The events are hidden from readers all the same, until a restart.
    #[error("tombstones cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// Hides events from readers for good. To be called while they are held.
pub(super) fn add(shared: &Shared, disk: &dyn Disk, seqs: &[u64]) -> Result<(), TombstoneError> {
    let (first, all) = {
        let mut index = shared.index.write();
        let first = index.tombstones.is_empty();
        if index.tombstones.len() + seqs.len() > TOMBSTONES_MAX {
            return Err(TombstoneError::TooMany);
        }
        index.tombstones.extend(seqs);
        shared.counters.tombstones_made.fetch_add(seqs.len() as u64, Ordering::Relaxed);
        shared.counters.tombstones.store(index.tombstones.len() as u64, Ordering::Release);
        (first, index.tombstones.clone())
    };
    let done = (|| {
        if first {
            let mut mark = shared.trim_mark.lock();
            let trimmed_to = mark.number;
            mark.restart_as(Kind::Trimmed, trimmed_to, VERSION_WITH_TOMBSTONES)?;
            mark.file.sync_data()?;
        }
        write(shared, disk, &all)
    })();
    shared.counters.tombstones_unwritten.store(done.is_err(), Ordering::Relaxed);
    Ok(done?)
}

/// Drops the tombstones of what was let go, and writes what could not be written before.
pub(super) fn keep_up(shared: &Shared, disk: &dyn Disk) -> io::Result<()> {
    if shared.counters.tombstones.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    let kept = {
        let mut index = shared.index.write();
        let before = index.tombstones.len();
        let first_seq = index.first_seq().unwrap_or(0).max(index.trimmed_to);
        index.tombstones = index.tombstones.split_off(&first_seq);
        let unwritten = shared.counters.tombstones_unwritten.load(Ordering::Relaxed);
        (index.tombstones.len() < before || unwritten).then(|| index.tombstones.clone())
    };
    let Some(kept) = kept else { return Ok(()) };
    // A file that names what is gone does no harm, and the mark keeps its version.
    write(shared, disk, &kept)?;
    shared.counters.tombstones.store(kept.len() as u64, Ordering::Release);
    shared.counters.tombstones_unwritten.store(false, Ordering::Relaxed);
    Ok(())
}

/// The version of the trim mark beside which there are tombstones.
pub(super) const VERSION_WITH_TOMBSTONES: u16 = 2;

fn write(shared: &Shared, disk: &dyn Disk, seqs: &BTreeSet<u64>) -> io::Result<()> {
    let path = shared.options.dir.join(TOMBSTONES_NAME);
    let bytes = (FRONT_BYTES + 8 * seqs.len()) as u64;
    let written = BlockFile::create_filled(disk, path, Kind::Tombstones, 0, bytes, |file, id| {
        file.write_at(&encoded(seqs, id), BLOCKS_START)
    });
    match written {
        Ok(_) => Ok(()),
        Err(error) => {
            if is_full(&error) {
                tracing::error!("the disk is full: tombstones are kept in memory until it is not");
            }
            Err(error)
        }
    }
}

fn encoded(seqs: &BTreeSet<u64>, id: u64) -> Vec<u8> {
    let mut bytes = vec![0; FRONT_BYTES];
    bytes[..8].copy_from_slice(&(seqs.len() as u64).to_le_bytes());
    bytes.extend(seqs.iter().flat_map(|seq| seq.to_le_bytes()));
    let crc = checksum(&bytes, id);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn checksum(bytes: &[u8], id: u64) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&id.to_le_bytes()), &bytes[..8]);
    crc32c::crc32c_append(crc, &bytes[FRONT_BYTES..])
}

/// Reads the list from its file; `None` when it is damaged.
pub(super) fn read(file: &dyn DiskFile, id: u64) -> io::Result<Option<BTreeSet<u64>>> {
    let len = file.len()?.saturating_sub(BLOCKS_START) as usize;
    if !(FRONT_BYTES..=FRONT_BYTES + 8 * TOMBSTONES_MAX).contains(&len) {
        return Ok(None);
    }
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, BLOCKS_START)?;
    let (front, rest) = bytes[..read].split_at(FRONT_BYTES.min(read));
    let count = front.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
    let crc = front.get(8..12).and_then(|bytes| bytes.first_chunk());
    let sound = rest.len() as u64 == count.saturating_mul(8)
        && crc.is_some_and(|crc| u32::from_le_bytes(*crc) == checksum(&bytes[..read], id));
    let seqs = rest.chunks_exact(8).filter_map(|bytes| bytes.first_chunk());
    Ok(sound.then(|| seqs.map(|bytes| u64::from_le_bytes(*bytes)).collect()))
}
