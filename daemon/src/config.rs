//! Settings in layers: built-in, file, environment, flags; every key of the contract.
//!
//! One registry ([`keys`]) drives the typed [`Config`], the example file, `--print-config`, the
//! command line and the refusals. Reads files, changes nothing, opens no socket: a bad setting is
//! found before the daemon touches anything. Called by `main` alone; stages are handed the typed
//! values.

mod args;
mod error;
mod keys;
mod layers;
pub mod raw;
mod refuse;
mod render;
#[cfg(test)]
mod tests;
mod types;
pub mod value;

use std::fmt;
use std::path::{Path, PathBuf};

pub use args::{Action, command, given};
pub use error::{ConfigError, Source};
pub use keys::{
    Auth, Cluster, Config, Dedupe, General, Import, Late, Limits, Log, Metrics, Mongodb, Node,
    Retention, Routes, Server, Store,
};
pub use types::{LogFormat, LogLevel, Network, Origin, RoutePattern, StoreKind, Window};
pub use value::Secret;

use layers::Values;
pub use layers::read_at_most;

/// What the layers are made of. `main` gathers it with [`given`]; tests write it down. `Debug` shows
/// no values: secrets may be among them.
#[derive(Clone, Default)]
pub struct Given {
    /// The file named by `--config`.
    pub config: Option<PathBuf>,
    /// Where a file is looked for otherwise, first come first served.
    pub usual_files: Vec<PathBuf>,
    /// The environment's variables that start with `PULSEBOARD_`.
    pub environment: Vec<(String, String)>,
    /// What systemd set `STATE_DIRECTORY` to.
    pub state_directory: Option<String>,
    /// What systemd set `CREDENTIALS_DIRECTORY` to.
    pub credentials_directory: Option<PathBuf>,
    /// Keys set by a flag: key, flag without its dashes, value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// Settings that were read and checked. `Debug` shows the typed values, in which secrets hide.
#[derive(Clone)]
pub struct Loaded {
    /// The typed values.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    values: Values,
    given: Given,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.environment.iter().map(|(name, _)| name.as_str()).collect();
        let keys: Vec<&str> = self.flags.iter().map(|(key, ..)| *key).collect();
        let mut shown = f.debug_struct("Given");
        shown.field("config", &self.config).field("environment", &names).field("flags", &keys);
        shown.finish_non_exhaustive()
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Loaded");
        shown.field("config", &self.config).field("file", &self.file).finish_non_exhaustive()
    }
}

impl Loaded {
    /// Every setting and where it came from, secrets as `***`.
    pub fn print(&self) -> String {
        render::effective(&self.values)
    }

    /// Whether the daemon may start with these settings; the error names the first that forbids it.
    pub fn may_start(&self) -> Result<(), ConfigError> {
        refuse::check(&self.config, &self.values)
    }

    /// Reads the layers again, from the same places: the file may have changed, and the files it
    /// names.
    pub fn again(&self) -> Result<Self, ConfigError> {
        load(&self.given)
    }

    /// A refusal of a key's value by whoever uses it: `problem` is a sentence without the name.
    pub fn refusal(&self, key: &str, problem: impl Into<String>) -> ConfigError {
        refuse::refusal(&self.values, key, problem.into())
    }

    /// The setting the HS256 secret came from: `auth.secret`, or `auth.secret_file`.
    pub fn secret_key(&self) -> &'static str {
        self.values.secret_key()
    }

    /// The setting the shared store's address came from: `store.mongodb.uri`, or its `_file`.
    pub fn mongodb_key(&self) -> &'static str {
        self.values.mongodb_key()
    }

    /// The configuration file, if it is there that a key's value stands.
    pub fn file_that_sets(&self, key: &str) -> Option<PathBuf> {
        let (_, place) = self.values.of(keys::find(key)?);
        matches!(place, Source::File { .. }).then(|| self.file.clone()).flatten()
    }

    /// Where the secret lies that no setting names.
    pub fn secret_in_data_dir(&self) -> PathBuf {
        self.values.secret_in_data_dir()
    }

    /// Whether a key takes effect when it is read again, without a restart.
    pub fn is_live(key: &str) -> bool {
        keys::is_live(key)
    }

    /// Whether a key says whose tokens are good: with none of them set, it is dev mode.
    pub fn is_about_keys(key: &str) -> bool {
        keys::ABOUT_KEYS.contains(&key)
    }

    /// The keys that hold another value than in `before`, secrets by what they hold.
    pub fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        let differs = |key: &&keys::Key| self.values.of(key).0 != before.values.of(key).0;
        keys::all().filter(differs).map(|key| key.name).collect()
    }
}

/// Reads the layers. The first thing wrong is the error.
pub fn load(given: &Given) -> Result<Loaded, ConfigError> {
    let (mut values, file) = Values::load(given)?;
    values.resolve_secrets()?;
    let config = Config::read(&values)?;
    Ok(Loaded { config, file, values, given: given.clone() })
}

/// Reads the layers, but not the files that hold secrets: for `--init-auth`, before there are any.
pub fn load_without_secrets(given: &Given) -> Result<Loaded, ConfigError> {
    let (values, file) = Values::load(given)?;
    let config = Config::read(&values)?;
    Ok(Loaded { config, file, values, given: given.clone() })
}

/// The settings with nothing set but the data directory and the port: for tests and benches.
pub fn for_tests(data_dir: &Path) -> Config {
    let flags = vec![
        ("data_dir", "data-dir", data_dir.display().to_string()),
        ("server.bind", "bind", "127.0.0.1:0".to_owned()),
    ];
    let given = Given { flags, ..Given::default() };
    load(&given).expect("the defaults hold").config
}

/// The example file: every key at its default, with its documentation.
pub fn example() -> String {
    render::example()
}
