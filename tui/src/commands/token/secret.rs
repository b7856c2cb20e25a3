//! The secret tokens are signed with: from the environment, from a file, or from where the daemon
//! keeps its own. Never printed; read as the daemon reads it, so that both have the same bytes.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use thiserror::Error;

use crate::dial::plain;

const SECRET: &str = "PULSEBOARD_AUTH__SECRET";
const SECRET_FILE: &str = "PULSEBOARD_AUTH__SECRET_FILE";
/// What the daemon's `--init-auth` writes into its data directory.
const FILE_NAME: &str = "auth.secret";
/// HS256 signs with at least as many bytes as its digest has (RFC 7518, 3.2).
const BYTES_MIN: usize = 32;
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A secret and where it came from.
pub(super) struct Secret {
    text: String,
    origin: String,
    warning: Option<String>,
}

/// Why there is no secret to sign with.
#[derive(Debug, Error)]
pub enum SecretError {
    /// Nobody named one.
    #[error(
        "there is no secret to sign with; name the daemon's with {SECRET_FILE}=FILE, or make one: \
         pulseboardd --init-auth"
    )]
    None,
    /// Which of the two?
    #[error("{SECRET} and {SECRET_FILE} are both set; one of them is enough")]
    Both,
    /// It cannot be read.
    #[error("{place}: {path} could not be read: {problem}")]
    Unreadable {
        /// The variable, or that it is the daemon's own.
        place: &'static str,
        /// The file.
        path: String,
        /// The system's word.
        problem: String,
    },
    /// It is not UTF-8.
    #[error("{0}: it is not UTF-8 text, which the daemon would refuse too")]
    NotText(String),
    /// It can be guessed.
    #[error(
        "{place}: a secret of {bytes} B is too short to sign with; {BYTES_MIN} or more are needed (a \
         good one: pulseboard token --new-secret)"
    )]
    Short {
        /// Where it is.
        place: String,
        /// How long it is.
        bytes: usize,
    },
    /// A key of a pair.
    #[error(
        "{0}: this is a PEM file, not a secret; tokens of RS256, ES256 and EdDSA are minted where \
         the private key is, not here"
    )]
    Pem(String),
}

impl Secret {
    /// Looks where the daemon looks; `variable` reads the environment.
    pub(super) fn find(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, SecretError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        match (set(SECRET), set(SECRET_FILE)) {
            (Some(_), Some(_)) => Err(SecretError::Both),
            (Some(text), None) => {
                let text = text.into_string().map_err(|_| SecretError::NotText(SECRET.into()))?;
                Self::given(&text)
            }
            (None, Some(path)) => Self::file(Path::new(&path), SECRET_FILE),
            (None, None) => {
                let data_dir = set("PULSEBOARD__DATA_DIR")
                    .or_else(|| set("STATE_DIRECTORY"))
                    .map_or_else(|| PathBuf::from("pulseboard-data"), PathBuf::from);
                let path = data_dir.join(FILE_NAME);
                if path.exists() {
                    Self::file(&path, "the daemon's own")
                } else {
                    Err(SecretError::None)
                }
            }
        }
    }

    /// As it is.
    pub(super) fn given(text: &str) -> Result<Self, SecretError> {
        Self::checked(text, SECRET.to_owned(), None)
    }

    fn file(path: &Path, place: &'static str) -> Result<Self, SecretError> {
        let shown = path.display().to_string();
        let refuse =
            |problem: String| SecretError::Unreadable { place, path: shown.clone(), problem };
        let about = fs::metadata(path).map_err(|error| refuse(plain(&error)))?;
        if about.is_dir() {
            return Err(refuse("it is a directory".to_owned()));
        }
        if about.len() > FILE_BYTES_MAX {
            return Err(refuse("it is over 1 MiB".to_owned()));
        }
        let bytes = fs::read(path).map_err(|error| refuse(plain(&error)))?;
        let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText(shown.clone()))?;
        // As the daemon does: the line's end does not count, other blanks do.
        let text = text.trim_end_matches(['\n', '\r']);
        let warning = is_open(&about)
            .then(|| format!("{shown} can be read by other users; chmod 600 {shown}"));
        Self::checked(text, shown.clone(), warning)
    }

    fn checked(text: &str, origin: String, warning: Option<String>) -> Result<Self, SecretError> {
        if text.contains("-----BEGIN ") {
            return Err(SecretError::Pem(origin));
        }
        if text.len() < BYTES_MIN {
            return Err(SecretError::Short { place: origin, bytes: text.len() });
        }
        Ok(Self { text: text.to_owned(), origin, warning })
    }

    /// For the signature.
    pub(super) fn expose(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The variable or the file it came from.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// What is wrong with it, though it works.
    pub(super) fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

#[cfg(unix)]
fn is_open(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    about.permissions().mode() & 0o044 != 0
}

#[cfg(not(unix))]
fn is_open(_about: &fs::Metadata) -> bool {
    false
}

/// A new secret: 64 hexadecimal digits, 256 bits of the system's generator.
pub(super) fn new() -> anyhow::Result<String> {
    let draw = || OsRng.try_next_u64().context("the system gave no random numbers");
    Ok(format!("{:016x}{:016x}{:016x}{:016x}", draw()?, draw()?, draw()?, draw()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "0123456789abcdef0123456789abcdef";

    fn find(variables: &[(&str, &str)]) -> Result<Secret, SecretError> {
        Secret::find(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        })
    }

    fn refusal(variables: &[(&str, &str)]) -> String {
        find(variables).err().unwrap().to_string()
    }

    #[test]
    fn a_file_gives_the_bytes_the_daemon_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, format!("{GOOD} \n")).unwrap();
        let secret = find(&[(SECRET_FILE, path.to_str().unwrap())]).unwrap();
        assert_eq!(secret.expose(), format!("{GOOD} ").as_bytes());
        assert_eq!(secret.origin(), path.to_str().unwrap());
    }

    #[test]
    fn the_daemons_own_is_found_in_its_data_directory() {
        let folder = tempfile::tempdir().unwrap();
        let place = ("PULSEBOARD__DATA_DIR", folder.path().to_str().unwrap());
        assert!(refusal(&[place]).contains("pulseboardd --init-auth"));
        fs::write(folder.path().join(FILE_NAME), GOOD).unwrap();
        assert_eq!(find(&[place]).unwrap().expose(), GOOD.as_bytes());
        let other = find(&[place, (SECRET, &GOOD.replace('0', "z"))]).unwrap();
        assert_eq!(other.origin(), SECRET);
    }

    #[test]
    fn what_cannot_sign_is_refused_without_being_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, format!("-----BEGIN PUBLIC KEY-----\n{GOOD}\n")).unwrap();
        let path = path.to_str().unwrap();
        for (variables, said) in [
            (&[(SECRET, GOOD), (SECRET_FILE, "f")][..], "both set"),
            (&[(SECRET, "swordfish")], "PULSEBOARD_AUTH__SECRET: a secret of 9 B is too short"),
            (&[(SECRET_FILE, "/nowhere/s")], "PULSEBOARD_AUTH__SECRET_FILE: /nowhere/s could not"),
            (&[(SECRET_FILE, "/")], "it is a directory"),
            (&[(SECRET_FILE, path)], "this is a PEM file"),
        ] {
            let refusal = refusal(variables);
            assert!(refusal.contains(said), "{refusal}");
            assert!(!refusal.contains("swordfish") && refusal.lines().count() == 1);
        }
    }

    #[test]
    fn a_new_secret_is_long_enough_and_new() {
        let (one, other) = (new().unwrap(), new().unwrap());
        assert!(one.len() == 64 && one != other);
        assert!(Secret::given(&one).is_ok());
    }
}
