//! Documents the store will not take, kept as they are: BSON one after another in one file, which
//! `bsondump` shows and `mongorestore` reads.
//!
//! Bounded: when full, nothing more is set aside, and draining waits for an operator.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file's name in the data directory.
const FILE: &str = "set-aside.bson";
/// The file's size past which nothing is added.
const BYTES_MAX: u64 = 64 << 20;

/// The file, which is made when it is needed.
#[derive(Clone, Debug)]
pub(super) struct Aside {
    path: PathBuf,
}

impl Aside {
    pub(super) fn new(dir: &Path) -> Self {
        Self { path: dir.join(FILE) }
    }

    /// Appends a document durably. Blocks.
    pub(super) fn put(&self, document: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        let len = file.metadata()?.len();
        if len + document.len() as u64 > BYTES_MAX {
            return Err(io::Error::other(format!(
                "{} holds {} MiB of documents the store refuses; look at them and move it away",
                self.path.display(),
                len >> 20
            )));
        }
        file.write_all(document)?;
        file.sync_all()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
