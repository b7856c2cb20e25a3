//! The embedded store: one SQLite file with tick summaries (2 hours), final frames (24 hours) and
//! minute rollups (kept).
//!
//! What a [`Commit`] made and the sequence number it made it from are one transaction, so that after
//! any crash counting goes on exactly behind it. It may lose its last commits when the power fails
//! (`synchronous = NORMAL`): the journal has the events. A file that cannot be read is set aside and
//! made again; one written by a newer version is left alone and refused. The only module that names
//! rusqlite. Written by the aggregator's store thread, read by its views.

mod load;
mod reader;
mod schema;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pulseboard::sketch::DecodeError;
use pulseboard::tick::TickSummary;
use pulseboard::wire::server::Aggregate;

pub use load::{Loaded, LoadedPoint};
pub use reader::{Reader, Snapshot};
pub use writer::Writer;

/// The file's name in the data directory.
const FILE: &str = "aggregates.sqlite";

/// How far the store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Number of the last commit.
    pub commit: u64,
    /// The last event in it.
    pub applied_seq: u64,
    /// The last final tick: all up to it have their final frames.
    pub final_upto: i64,
    /// The last tick that is in a minute rollup.
    pub folded_upto: i64,
    /// Time of the newest event up to `final_upto`, Unix ms.
    pub last_event_ms: Option<i64>,
}

/// One window's frame of a tick that can no longer change.
#[derive(Clone, Debug)]
pub struct FinalFrame {
    /// The tick.
    pub tick: i64,
    /// Length of the window, in seconds.
    pub secs: u32,
    /// Its numbers.
    pub frame: Arc<Aggregate>,
    /// How many ticks after its own it last changed; 0 for never.
    pub revised_after: i64,
}

/// What is written at once.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// What holds when it is written; its `commit` is one more than the one before.
    pub position: Position,
    /// Ticks that changed, whole.
    pub ticks: Vec<(i64, Arc<TickSummary>)>,
    /// Frames that became final.
    pub frames: Vec<FinalFrame>,
    /// What is to be added to minutes.
    pub minutes: Vec<(i64, Arc<TickSummary>)>,
    /// Ticks before this one are no longer needed.
    pub forget_ticks_before: i64,
    /// Frames before this tick are no longer needed.
    pub forget_frames_before: i64,
    /// Ticks and frames after this one are void: the clock went back.
    pub forget_after: Option<i64>,
}

/// A store that cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Written by a newer version.
    #[error(
        "{path} has version {found}, this build reads up to {known}: start the newer build, or move \
         the file away to make it again from the journal"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest this build knows.
        known: i64,
    },
    /// Not to be read or written.
    #[error("{path} cannot be used: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// A read or a write that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no.
    #[error("the aggregates' file: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// What is stored is not what was written.
    #[error("the aggregates' file is damaged: {0}")]
    Damaged(#[from] DecodeError),
}

/// An open store, and what was in it.
#[derive(Debug)]
pub struct Store {
    pub(super) path: PathBuf,
    pub(super) connection: rusqlite::Connection,
    pub(super) loaded: Loaded,
    /// Why and whereto a file was set aside, for the log and the greeting.
    set_aside: Option<(String, PathBuf)>,
}

impl Store {
    /// Opens or makes the store in `dir`. `journal_next_seq` is the sequence number that the journal
    /// gives next: a store that is ahead of its journal is made again. Windows of up to
    /// `longest_secs` come back whole.
    pub fn open(dir: &Path, journal_next_seq: u64, longest_secs: u32) -> Result<Self, OpenError> {
        let ticks_back = i64::from(longest_secs) + 5;
        let path = dir.join(FILE);
        let unusable = |reason: String| OpenError::Unusable { path: path.clone(), reason };
        let reason = match load::open(&path, ticks_back) {
            Ok((_, loaded)) if loaded.position.applied_seq >= journal_next_seq.max(1) => {
                let applied = loaded.position.applied_seq;
                format!("it is at event {applied}, the journal's next is {journal_next_seq}")
            }
            Ok((connection, loaded)) => {
                return Ok(Self { path, connection, loaded, set_aside: None });
            }
            Err(load::Problem::Newer { found, known }) => {
                return Err(OpenError::Newer { path, found, known });
            }
            Err(load::Problem::Unusable(reason)) => return Err(unusable(reason)),
            Err(load::Problem::Damaged(reason)) => reason,
        };
        let aside = set_aside(&path).map_err(|error| unusable(error.to_string()))?;
        tracing::warn!(
            %reason, kept_as = %aside.display(),
            "the aggregates cannot be used as they are; they are made again from the journal"
        );
        match load::open(&path, ticks_back) {
            Ok((connection, loaded)) => {
                Ok(Self { path, connection, loaded, set_aside: Some((reason, aside)) })
            }
            Err(problem) => Err(unusable(problem.to_string())),
        }
    }

    /// The last event whose numbers are in it; 0 for none.
    pub fn applied_seq(&self) -> u64 {
        self.loaded.position.applied_seq
    }

    /// Why a file was set aside at opening, and where it is now.
    pub fn set_aside(&self) -> Option<(&str, &Path)> {
        self.set_aside.as_ref().map(|(reason, path)| (reason.as_str(), path.as_path()))
    }

    /// What was in it, and the two ends to go on with.
    pub fn into_parts(self) -> (Loaded, Writer, Reader) {
        (self.loaded, Writer::new(self.connection), Reader::new(self.path))
    }
}

/// Renames a store's files out of the way.
fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let named = |nth: u32, suffix: &str| path.with_extension(format!("sqlite.aside{nth}{suffix}"));
    let free = (1..1_000).find(|nth| !named(*nth, "").exists());
    let nth = free.unwrap_or(1_000);
    for suffix in ["-wal", "-shm", ""] {
        let mut from = path.as_os_str().to_owned();
        from.push(suffix);
        if Path::new(&from).exists() {
            std::fs::rename(&from, named(nth, suffix))?;
        }
    }
    Ok(named(nth, ""))
}

#[cfg(test)]
mod tests;
