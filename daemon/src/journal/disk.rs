//! The seam between the journal and the file system: the few operations the journal needs, as
//! traits, and the real disk behind them.
//!
//! Nothing else in the journal opens a file. Tests put a disk here that loses power, tears and
//! reorders what was not synced, runs full, or fails a sync.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, SeekFrom};

/// A directory tree of files.
pub trait Disk: Send + Sync {
    /// Makes a directory and its parents.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Creates a file that must not exist yet, open for reading and writing.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Names of the files in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Gives a file another name, in place of a file that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; those who hold it open read on.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names of a directory's files durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// An open file, read and written by position.
pub trait DiskFile: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether it has no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reserves `len` bytes from the start, so that writing them cannot run out of space; they read
    /// as zeros.
    fn preallocate(&self, len: u64) -> io::Result<()>;
    /// Where from `offset` on there may be anything but zeros, as `(from, to)`. Lets reserved
    /// space that was never written be passed over.
    fn data_ranges(&self, offset: u64) -> io::Result<Vec<(u64, u64)>> {
        Ok(vec![(offset, self.len()?)])
    }
    /// Fills `buffer` from `offset`; returns how many bytes there were before the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync_data(&self) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

#[derive(Debug)]
struct OsFile(File);

impl DiskFile for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            // A file system that cannot reserve: the file gets its length, and a write may find
            // the disk full, which the writer answers the same way.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.0.set_len(len),
            done => Ok(done?),
        }
    }

    fn data_ranges(&self, offset: u64) -> io::Result<Vec<(u64, u64)>> {
        let (mut at, len) = (offset, self.len()?);
        let mut ranges = Vec::new();
        while at < len {
            let from = match rustix::fs::seek(&self.0, SeekFrom::Data(at)) {
                Ok(from) => from,
                Err(rustix::io::Errno::NXIO) => break,
                // A file system that does not know: everything may be data.
                Err(_) => at,
            };
            let to = rustix::fs::seek(&self.0, SeekFrom::Hole(from)).unwrap_or(len);
            ranges.push((from, to));
            at = to.max(from + 1);
        }
        Ok(ranges)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Whether an error says that there is no space left, which passes, rather than that the disk is
/// broken, which does not.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
