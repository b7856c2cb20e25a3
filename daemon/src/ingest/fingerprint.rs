//! The identity of an event in 128 bits: a keyed hash of its site and eventId.
//!
//! SipHash-1-3 with a 128-bit result (Aumasson and Bernstein, 2012). The key is a secret of this
//! data directory, so that nobody outside can make two ids meet, and lasts as long as the journal
//! whose records carry the hashes.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use pulseboard::limits;
use siphasher::sip128::SipHasher13;
use thiserror::Error;

/// The secret's file in the data directory.
pub const FILE_NAME: &str = "dedupe.key";
const KEY_BYTES: usize = 16;

/// Makes fingerprints with one key.
#[derive(Clone)]
pub struct Fingerprinter {
    hasher: SipHasher13,
}

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file holds something else. A new key would make every remembered id unknown.
    #[error("{path} holds {bytes} bytes where a key of {KEY_BYTES} is expected", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
}

impl Fingerprinter {
    /// With this key.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self { hasher: SipHasher13::new_with_key(key) }
    }

    /// With the key of a data directory, which is made, readable by its owner alone, when there is
    /// none yet.
    pub fn open(data_dir: &Path) -> Result<Self, KeyError> {
        let path = data_dir.join(FILE_NAME);
        let io = |source| KeyError::Io { path: path.clone(), source };
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(file) => {
                file.take(1_024).read_to_end(&mut bytes).map_err(io)?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bytes = rand::random::<[u8; KEY_BYTES]>().to_vec();
                create(data_dir, &path, &bytes).map_err(io)?;
            }
            Err(error) => return Err(io(error)),
        }
        let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice())
            .map_err(|_| KeyError::Damaged { path: path.clone(), bytes: bytes.len() })?;
        Ok(Self::new(&key))
    }

    /// The fingerprint of an event; never 0. A site has no zero byte, so that the pair is read in
    /// one way only.
    pub fn of(&self, site: &str, event_id: &str) -> u128 {
        let mut bytes = [0; limits::SITE_BYTES + 1 + limits::ID_BYTES];
        let len = site.len() + 1 + event_id.len();
        let hash = if len <= bytes.len() {
            bytes[..site.len()].copy_from_slice(site.as_bytes());
            bytes[site.len() + 1..len].copy_from_slice(event_id.as_bytes());
            self.hasher.hash(&bytes[..len])
        } else {
            self.hasher.hash(&[site.as_bytes(), &[0], event_id.as_bytes()].concat())
        };
        hash.as_u128().max(1)
    }

    /// Another secret of this data directory, for what is called so. No site is empty, so that
    /// nobody can have it made for an event.
    pub fn derived(&self, purpose: &str) -> [u8; KEY_BYTES] {
        self.hasher.hash(&[&[0], purpose.as_bytes()].concat()).as_bytes()
    }
}

/// Writes the key so that it is there whole or not at all, also after a power failure.
fn create(data_dir: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("key.new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(data_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let first = Fingerprinter::open(dir.path()).unwrap().of("default", "a");
        let again = Fingerprinter::open(dir.path()).unwrap().of("default", "a");
        assert_eq!(first, again);
        let mode = fs::metadata(dir.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = Fingerprinter::open(tempfile::tempdir().unwrap().path()).unwrap();
        assert_ne!(first, other.of("default", "a"));
    }

    #[test]
    fn a_damaged_key_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), b"short").unwrap();
        assert!(matches!(Fingerprinter::open(dir.path()), Err(KeyError::Damaged { bytes: 5, .. })));
        assert_eq!(fs::read(dir.path().join(FILE_NAME)).unwrap(), b"short");
    }

    #[test]
    fn site_and_id_are_told_apart() {
        let prints = Fingerprinter::new(&[7; 16]);
        let all = [("a", "bc"), ("ab", "c"), ("a", "b"), ("a", ""), ("a", "b\0c"), ("a", "\0")];
        let mut made: Vec<_> = all.iter().map(|(site, id)| prints.of(site, id)).collect();
        made.sort_unstable();
        made.dedup();
        assert_eq!(made.len(), all.len());
    }

    #[test]
    fn the_hash_stays_what_journals_on_disk_carry() {
        let prints = Fingerprinter::new(b"0123456789abcdef");
        assert_eq!(
            format!("{:032x}", prints.of("default", "evt-1")),
            "4ca290da2c3a0910860a51fd4a422393"
        );
    }
}
