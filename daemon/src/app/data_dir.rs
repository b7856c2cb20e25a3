//! The data directory: made where it is missing, locked against a second daemon, and refused when
//! a newer version wrote it.
//!
//! Holds the lock until it is dropped. Opens nothing in it but its own two files.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::StartError;

/// The layout this build writes, and the newest it reads.
const LAYOUT_VERSION: u32 = 1;

/// A locked data directory.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
    fresh: bool,
}

impl DataDir {
    /// Makes (0700), checks and locks the directory.
    pub fn open(path: &Path) -> Result<Self, StartError> {
        let refused = |what: &str, error: &dyn std::fmt::Display| {
            StartError::Refused(format!("data_dir: {} {what}: {error}", path.display()))
        };
        if path.is_file() {
            let shown = path.display();
            return Err(StartError::Refused(format!(
                "data_dir: {shown} is a file, not a directory"
            )));
        }
        make(path).map_err(|error| refused("cannot be made", &error))?;
        let path_buf = fs::canonicalize(path).map_err(|error| refused("cannot be read", &error))?;
        let version_file = path_buf.join("VERSION");
        let found =
            read_version(&version_file).map_err(|error| refused("cannot be read", &error))?;
        if let Some(version) = found
            && version > LAYOUT_VERSION
        {
            return Err(StartError::Refused(format!(
                "data_dir: {} was written by a newer version (layout {version}, this one reads up \
                 to {LAYOUT_VERSION}); run that version, or choose another directory",
                path_buf.display()
            )));
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path_buf.join("LOCK"))
            .map_err(|error| refused("is not writable", &error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            StartError::Refused(format!(
                "data_dir: {} is in use by another daemon; stop it, or choose another directory \
                 with --data-dir",
                path_buf.display()
            ))
        })?;
        if found.is_none() {
            write_version(&path_buf).map_err(|error| refused("is not writable", &error))?;
        }
        Ok(Self { path: path_buf, _lock: lock, fresh: found.is_none() })
    }

    /// Its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was made, or first used, by this start.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }
}

/// Makes it (0700) where it is missing.
pub(super) fn make(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The layout version; `None` for a directory that is not ours yet. A file without a number in it
/// is an error.
fn read_version(path: &Path) -> std::io::Result<Option<u32>> {
    let mut text = String::new();
    match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(file) => file.take(64).read_to_string(&mut text)?,
    };
    text.trim().parse().map(Some).map_err(|_| {
        std::io::Error::new(std::io::ErrorKind::InvalidData, "its VERSION file holds no number")
    })
}

fn write_version(folder: &Path) -> std::io::Result<()> {
    let mut file = File::create(folder.join("VERSION"))?;
    writeln!(file, "{LAYOUT_VERSION}")?;
    file.sync_all()?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_while_it_is_used_and_free_after() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::open(folder.path()).unwrap();
        assert!(first.is_fresh());
        let second = DataDir::open(folder.path()).unwrap_err();
        assert!(second.to_string().contains("in use by another daemon"), "{second}");
        assert_eq!(second.exit_code(), 2);
        drop(first);
        assert!(!DataDir::open(folder.path()).unwrap().is_fresh());
    }

    #[test]
    fn a_newer_layout_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("VERSION"), "7\n").unwrap();
        let error = DataDir::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["VERSION"], "nothing is made in it");
    }
}
