//! How far the drain is, in a small file beside the journal, written whole or not at all.
//!
//! May lag behind: what is sent to the store again is there already. A file that cannot be read
//! means starting over, which costs time and changes nothing.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file's name in the data directory.
const FILE: &str = "DRAINED";
/// Its first line.
const TITLE: &str = "pulseboard drain 1";

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Every event up to this sequence is durable in the store.
    pub drained_seq: u64,
    /// What events up to this sequence made of the aggregates is durable in the store.
    pub written_seq: u64,
    /// Minutes before this time (Unix ms) are not counted whole here, and counted from the stored
    /// events instead.
    pub whole_from_ms: i64,
    /// Buckets to be counted from the stored events: length, first tick.
    pub recounts: Vec<(u32, i64)>,
}

impl Kept {
    /// Reads the file; `None` where there is none, or none that can be read.
    pub(super) fn read(dir: &Path) -> Option<Self> {
        let path = path(dir);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, file = %path.display(), "draining starts over");
                return None;
            }
        };
        let kept = Self::parse(&text);
        if kept.is_none() {
            tracing::warn!(file = %path.display(), "cannot be read; draining starts over");
        }
        kept
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let mut kept = Self::default();
        for line in lines {
            let mut words = line.split(' ');
            match words.next()? {
                "drained" => kept.drained_seq = words.next()?.parse().ok()?,
                "written" => kept.written_seq = words.next()?.parse().ok()?,
                "whole_from_ms" => kept.whole_from_ms = words.next()?.parse().ok()?,
                "recount" => {
                    let bucket = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                    kept.recounts.push(bucket);
                }
                "end" => return Some(kept),
                _ => return None,
            }
        }
        None
    }

    /// Writes it durably. Blocks.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let mut text = format!(
            "{TITLE}\ndrained {}\nwritten {}\nwhole_from_ms {}\n",
            self.drained_seq, self.written_seq, self.whole_from_ms
        );
        for (secs, start) in &self.recounts {
            writeln!(text, "recount {secs} {start}").map_err(io::Error::other)?;
        }
        text.push_str("end\n");
        let path = path(dir);
        let new = path.with_extension("new");
        let mut file = fs::File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        fs::File::open(dir)?.sync_all()
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back_and_what_is_torn_is_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Kept::read(dir.path()), None);
        let kept = Kept {
            drained_seq: 12,
            written_seq: 7,
            whole_from_ms: -3,
            recounts: vec![(60, -120), (300, 600)],
        };
        kept.write(dir.path()).unwrap();
        assert_eq!(Kept::read(dir.path()), Some(kept));
        let text = fs::read_to_string(path(dir.path())).unwrap();
        for len in 0..text.len() - 1 {
            fs::write(path(dir.path()), &text[..len]).unwrap();
            assert_eq!(Kept::read(dir.path()), None, "{len}");
        }
    }
}
