//! From the settings to the keys: reads the public key's file, and gives every refusal the name and
//! place of the setting it is about.
//!
//! Called before anything listens or is written, by `--check-config`, and at each reload.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::auth::{Key, Keys};
use crate::config::{Config, ConfigError, Loaded, read_at_most};

/// The largest key file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Permission of everyone who is neither the owner nor of the file's group to read.
const OTHERS_READ: u32 = 0o004;

/// The keys that are configured; `None`: dev mode.
pub(super) fn configured(loaded: &Loaded) -> Result<Option<Keys>, ConfigError> {
    let auth = &loaded.config.auth;
    let key = match (&auth.secret, &auth.public_key_file) {
        (Some(secret), _) => Key::secret(secret.expose())
            .map_err(|error| loaded.refusal(loaded.secret_key(), error.to_string()))?,
        (None, Some(path)) => public_key(path).map_err(|problem| {
            let problem = format!("{}: {problem}", path.display());
            loaded.refusal("auth.public_key_file", problem)
        })?,
        (None, None) => return Ok(None),
    };
    Ok(Some(Keys { key, iss: auth.iss.clone(), aud: auth.aud.clone() }))
}

/// The file the key is in, absolute; `None` when it stands in the settings.
pub(super) fn file(config: &Config) -> Option<PathBuf> {
    let auth = &config.auth;
    let path = auth.public_key_file.as_ref().or(auth.secret_file.as_ref())?;
    Some(fs::canonicalize(path).unwrap_or_else(|_| path.clone()))
}

/// What is allowed but should not stay as it is: a secret that everyone on the machine can read.
pub(super) fn warning(loaded: &Loaded) -> Option<String> {
    loaded.config.auth.secret.as_ref()?;
    let key = loaded.secret_key();
    let path = match key {
        "auth.secret_file" => loaded.config.auth.secret_file.clone()?,
        // One from the environment or a flag is in no file.
        _ => loaded.file_that_sets(key)?,
    };
    let mode = fs::metadata(&path).ok()?.permissions().mode();
    (mode & OTHERS_READ != 0).then(|| {
        format!(
            "{key}: every user of this machine can read {path}, and sign tokens with it; \
             chmod 600 {path}",
            path = path.display()
        )
    })
}

fn public_key(path: &Path) -> Result<Key, String> {
    let unreadable = |error: std::io::Error| format!("could not be read: {error}");
    let Some(bytes) = read_at_most(path, FILE_BYTES_MAX).map_err(unreadable)? else {
        return Err("is over 1 MiB, which no key is".to_owned());
    };
    Key::public(&String::from_utf8_lossy(&bytes)).map_err(|error| error.to_string())
}
