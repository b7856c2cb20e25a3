//! Which instance this is: an id that stays with the data directory, and a name to show.
//!
//! The id is made once, at the first start, from chance; it stands in the file `NODE`. A copied data
//! directory has its original's id: the shared store and the cluster find that out and say so.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::StartError;

/// The file's name in the data directory.
const FILE: &str = "NODE";
/// An id's length: hexadecimal digits.
const ID_LEN: usize = 12;

/// This instance, for those who tell instances apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Twelve hexadecimal digits, the same as long as the data directory lives.
    pub id: Arc<str>,
    /// `node.name`, or the host's name: for people.
    pub name: Arc<str>,
}

impl Node {
    /// Reads the id of a data directory, or makes it.
    pub(super) fn open(data_dir: &Path, name: &str) -> Result<Self, StartError> {
        let path = data_dir.join(FILE);
        let refused = |problem: String| {
            StartError::Refused(format!("data_dir: {}: {problem}", path.display()))
        };
        let id = match fs::read_to_string(&path) {
            Ok(text) if is_id(text.trim()) => text.trim().to_owned(),
            Ok(_) => {
                return Err(refused(format!(
                    "is not {ID_LEN} hexadecimal digits; remove it to get a new id"
                )));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let id = format!("{:012x}", rand::random::<u64>() >> 16);
                make(data_dir, &path, &id).map_err(|error| refused(error.to_string()))?;
                id
            }
            Err(error) => return Err(refused(error.to_string())),
        };
        Ok(Self { id: id.into(), name: name.into() })
    }
}

fn is_id(text: &str) -> bool {
    text.len() == ID_LEN && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Writes the file whole or not at all.
fn make(data_dir: &Path, path: &Path, id: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(data_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_once_and_stays_with_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = Node::open(dir.path(), "one").unwrap();
        assert!(is_id(&first.id));
        let again = Node::open(dir.path(), "two").unwrap();
        assert_eq!((&again.id, &*again.name), (&first.id, "two"));
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Node::open(other.path(), "one").unwrap().id, first.id);
    }

    #[test]
    fn a_file_that_holds_something_else_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "DEADBEEF\n").unwrap();
        let refused = Node::open(dir.path(), "one").unwrap_err().to_string();
        assert!(refused.contains("NODE: is not 12 hexadecimal digits"), "{refused}");
    }
}
