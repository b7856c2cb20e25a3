//! What can be wrong with the settings, as one line that names the key and its place.
//!
//! Made by the layers and the checks, printed by `main`, which leaves with exit code 2.

use std::fmt;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: the default.
    BuiltIn,
    /// A line of the configuration file; the path is as the operator wrote it.
    File {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
    },
    /// A file of this name lies in the data directory.
    DataDir(&'static str),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line, with its dashes.
    Flag(String),
}

impl Source {
    /// Later layers rank higher.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::BuiltIn | Self::DataDir(_) => 0,
            Self::File { .. } => 1,
            Self::Environment(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File { path, line } => write!(f, "{path}, line {line}"),
            Self::DataDir(name) => write!(f, "data directory, {name}"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::Flag(flag) => write!(f, "command line, {flag}"),
        }
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value is not what its key takes.
    #[error("{key}: {problem} ({source})", source = .place)]
    Value {
        /// The dotted name.
        key: String,
        /// What is wrong, starting with the value unless it is secret.
        problem: String,
        /// Where it was written.
        place: Source,
    },
    /// There is no such key.
    #[error("{key}: no such setting{} ({place})", hint(.suggestion.as_deref()))]
    Unknown {
        /// The name as written, dotted.
        key: String,
        /// A key that reads alike.
        suggestion: Option<String>,
        /// Where it was written.
        place: Source,
    },
    /// The file is not TOML.
    #[error("{problem} ({place})")]
    Syntax {
        /// What the parser expected.
        problem: String,
        /// Where.
        place: Source,
    },
    /// A file that was named could not be read.
    #[error("{what}: {path} could not be read: {problem}")]
    Unreadable {
        /// The flag or key that names the file.
        what: String,
        /// The file.
        path: String,
        /// What the system said.
        problem: String,
    },
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// The candidate that reads most like `name`: few edits away, or ending in the same word.
pub(super) fn closest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    let same_word = candidates.clone().filter(|candidate| last(candidate) == last(name));
    if let Some(found) = same_word.min_by_key(|candidate| edits(name, candidate)) {
        return Some(found);
    }
    let (distance, found) = candidates.map(|found| (edits(name, found), found)).min()?;
    (distance <= 1 + name.len() / 5).then_some(found)
}

/// Levenshtein's distance.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, char_from) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, char_to) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(char_from != *char_to);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_finds_its_neighbour_and_nonsense_finds_none() {
        let keys = ["limits.batch_events", "limits.body_bytes", "server.bind", "auth.secret"];
        let closest = |name| closest(name, keys.iter().copied());
        assert_eq!(closest("limits.batch_event"), Some("limits.batch_events"));
        assert_eq!(closest("bind"), Some("server.bind"));
        assert_eq!(closest("limit.body_bytes"), Some("limits.body_bytes"));
        assert_eq!(closest("colour.of.the.sky"), None);
    }
}
