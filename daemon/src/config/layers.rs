//! The layers and what holds in the end: built-in, file, environment, flags; later wins.
//!
//! Reads the files it is told to and changes nothing. Our own work on the spans of the `toml`
//! crate, because a refusal names the line its value stands on.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Source, closest};
use super::keys::{self, Key};
use super::raw::Raw;
use super::value::Setting;
use super::{ConfigError, Given};

/// What `PULSEBOARD_` variables are called before their path.
const PREFIX: &str = "PULSEBOARD_";
/// The largest configuration or secret file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The secret's name in the data directory.
const SECRET_NAME: &str = "auth.secret";
/// The settings any of which is a key.
const KEYS: [&str; 3] = ["auth.secret", "auth.secret_file", "auth.public_key_file"];

/// What holds for each key that any layer set, and which layer that was.
#[derive(Clone, Default)]
pub(super) struct Values(BTreeMap<&'static str, (Raw, Source)>);

impl Values {
    /// Reads every layer. A bad value is refused even where a later layer overrides it.
    pub(super) fn load(given: &Given) -> Result<(Self, Option<PathBuf>), ConfigError> {
        let mut values = Self::default();
        let file = find_file(given)?;
        if let Some(path) = &file {
            values.file(path, given.config.is_some())?;
        }
        let mut variables = given.environment.clone();
        variables.sort();
        for (name, value) in variables {
            values.variable(&name, &value)?;
        }
        for (key, flag, value) in &given.flags {
            let source = Source::Flag(format!("--{flag}"));
            values.set(key, Raw::Text(value.clone()), source)?;
        }
        values.data_dir(given);
        values.credentials(given);
        Ok((values, file))
    }

    /// Puts what secret files hold in the place of their names.
    pub(super) fn resolve_secrets(&mut self) -> Result<(), ConfigError> {
        self.found_secret()?;
        self.secrets()
    }

    /// The typed value of a key.
    pub(super) fn get<S: Setting>(&self, name: &str) -> Result<S::Value, ConfigError> {
        let key = keys::find(name).expect("the registry reads only its own keys");
        let (raw, place) = self.of(key);
        S::read(&raw, &key.bounds).map_err(|problem| value_error(key, problem, place))
    }

    /// The value of a key as written, and where.
    pub(super) fn of(&self, key: &Key) -> (Raw, Source) {
        self.0.get(key.name).cloned().unwrap_or_else(|| ((key.toml)(key.default), Source::BuiltIn))
    }

    fn set(&mut self, name: &str, raw: Raw, source: Source) -> Result<(), ConfigError> {
        let Some(key) = keys::find(name) else {
            let suggestion = closest(name, keys::all().map(|key| key.name)).map(str::to_owned);
            return Err(ConfigError::Unknown { key: name.to_owned(), suggestion, place: source });
        };
        (key.check)(&raw, &key.bounds)
            .map_err(|problem| value_error(key, problem, source.clone()))?;
        self.0.insert(key.name, (raw, source));
        Ok(())
    }

    fn file(&mut self, path: &Path, named: bool) -> Result<(), ConfigError> {
        let shown = path.display().to_string();
        let what = if named { "--config" } else { "configuration" };
        let text = read(path, what)?;
        let line = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
        let place = |offset| Source::File { path: shown.clone(), line: line(offset) };
        let document = DeTable::parse(&text).map_err(|error| ConfigError::Syntax {
            problem: error.message().replace('\n', "; "),
            place: place(error.span().map_or(0, |span| span.start)),
        })?;
        let mut found = Vec::new();
        flatten("", document.get_ref(), &mut found);
        found.sort_by_key(|(_, _, offset)| *offset);
        for (name, raw, offset) in found {
            self.set(&name, raw, place(offset))?;
        }
        Ok(())
    }

    fn variable(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        match path_of(name) {
            Some(key) => {
                let source = Source::Environment(name.to_owned());
                self.set(&key, Raw::Text(value.to_owned()), source)
            }
            None => Ok(()),
        }
    }

    /// Fills an empty `data_dir` from what systemd says, else from the working directory.
    fn data_dir(&mut self, given: &Given) {
        if self.is_set("data_dir") {
            return;
        }
        // systemd joins several directories by colons; the first is ours.
        let state = given.state_directory.as_deref().and_then(|all| all.split(':').next());
        let (text, source) = match state.filter(|first| !first.is_empty()) {
            Some(first) => (first, Source::Environment("STATE_DIRECTORY".to_owned())),
            None => ("./pulseboard-data", Source::BuiltIn),
        };
        self.0.insert("data_dir", (Raw::Text(text.to_owned()), source));
    }

    /// Looks for files that are named without a folder where systemd puts credentials. A name that
    /// is not there stays as it is.
    fn credentials(&mut self, given: &Given) {
        let Some(folder) = &given.credentials_directory else { return };
        for (key, (raw, _)) in &mut self.0 {
            let Raw::Text(name) = raw else { continue };
            if !key.ends_with("_file") || name.is_empty() || Path::new(name).is_absolute() {
                continue;
            }
            let path = folder.join(&*name);
            if path.is_file() {
                *name = path.display().to_string();
            }
        }
    }

    /// Without a key, the secret that `--init-auth` left in the data directory is the key.
    fn found_secret(&mut self) -> Result<(), ConfigError> {
        if KEYS.iter().any(|name| self.is_set(name)) {
            return Ok(());
        }
        let path = self.secret_in_data_dir();
        match fs::metadata(&path) {
            Ok(_) => {
                let found = (Raw::Text(path.display().to_string()), Source::DataDir(SECRET_NAME));
                self.0.insert("auth.secret_file", found);
                Ok(())
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(())
            }
            // Not to be taken for dev mode.
            Err(error) => Err(unreadable("auth.secret_file", &path, &error.to_string())),
        }
    }

    /// Where the secret is that no setting names.
    pub(super) fn secret_in_data_dir(&self) -> PathBuf {
        let folder = match self.0.get("data_dir") {
            Some((Raw::Text(folder), _)) => folder.as_str(),
            _ => "",
        };
        Path::new(folder).join(SECRET_NAME)
    }

    /// The setting that the secret came from.
    pub(super) fn secret_key(&self) -> &'static str {
        if self.is_from_file("auth.secret") { "auth.secret_file" } else { "auth.secret" }
    }

    /// The setting that the shared store's address came from.
    pub(super) fn mongodb_key(&self) -> &'static str {
        if self.is_from_file("store.mongodb.uri") {
            "store.mongodb.uri_file"
        } else {
            "store.mongodb.uri"
        }
    }

    /// Whether a secret was read from the file its `*_file` names.
    fn is_from_file(&self, name: &str) -> bool {
        let source = |name: &str| self.0.get(name).map(|(_, source)| source);
        let file = format!("{name}_file");
        self.is_set(&file) && source(name) == source(&file)
    }

    /// Whether a layer gave this key a value other than the empty text.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|(raw, _)| *raw != Raw::Text(String::new()))
    }

    /// Replaces each secret whose `*_file` was set by that file's content.
    fn secrets(&mut self) -> Result<(), ConfigError> {
        for key in keys::all().filter(|key| key.secret) {
            let file_key = keys::find(&format!("{}_file", key.name));
            let file_key = file_key.expect("every secret has its *_file");
            let (Raw::Text(path), file_source) = self.of(file_key) else { continue };
            if path.is_empty() {
                continue;
            }
            let (direct, direct_source) = self.of(key);
            if direct != Raw::Text(String::new()) {
                if direct_source.rank() > file_source.rank() {
                    // Nobody reads that file, so nobody shall be told of it.
                    self.0.remove(file_key.name);
                    continue;
                }
                if direct_source.rank() == file_source.rank() {
                    let problem = format!("{} is set too; one of them is enough", file_key.name);
                    return Err(value_error(key, problem, direct_source));
                }
            }
            let text = read(Path::new(&path), file_key.name)?;
            let text = text.trim_end_matches(['\n', '\r']).to_owned();
            if text.is_empty() {
                let problem = format!("{path} is empty");
                return Err(value_error(file_key, problem, file_source));
            }
            self.0.insert(key.name, (Raw::Text(text), file_source));
        }
        Ok(())
    }
}

fn value_error(key: &Key, problem: String, place: Source) -> ConfigError {
    ConfigError::Value { key: key.name.to_owned(), problem, place }
}

/// The file named by `--config`, else the first of the usual ones that is there.
fn find_file(given: &Given) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(path) = &given.config {
        return Ok(Some(path.clone()));
    }
    for path in &given.usual_files {
        match fs::metadata(path) {
            Ok(_) => return Ok(Some(path.clone())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable("configuration", path, &error.to_string())),
        }
    }
    Ok(None)
}

fn read(path: &Path, what: &str) -> Result<String, ConfigError> {
    let refused = |problem: &str| unreadable(what, path, problem);
    let about = fs::metadata(path).map_err(|error| refused(&error.to_string()))?;
    if about.is_dir() {
        return Err(refused("it is a directory"));
    }
    let bytes = read_at_most(path, FILE_BYTES_MAX).map_err(|error| refused(&error.to_string()))?;
    let bytes = bytes.ok_or_else(|| refused("it is over 1 MiB"))?;
    String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8 text"))
}

/// What a file holds; `None` when it is more. A device or a pipe does not say how much it has.
pub fn read_at_most(path: &Path, bytes_max: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= bytes_max).then_some(bytes))
}

fn unreadable(what: &str, path: &Path, problem: &str) -> ConfigError {
    let path = path.display().to_string();
    ConfigError::Unreadable { what: what.to_owned(), path, problem: problem.to_owned() }
}

/// The dotted key a variable sets: `PULSEBOARD_SERVER__BIND` is `server.bind`, and
/// `PULSEBOARD__DATA_DIR` is `data_dir`. Names without two underscores are not settings.
fn path_of(variable: &str) -> Option<String> {
    let path = variable.strip_prefix(PREFIX)?;
    let path = match path.strip_prefix('_') {
        Some(top) => top.to_owned(),
        None if path.contains("__") => path.replace("__", "."),
        None => return None,
    };
    Some(path.to_ascii_lowercase())
}

/// Lists the values of a table by dotted name, with the place each stands at in bytes.
fn flatten(path: &str, table: &DeTable<'_>, into: &mut Vec<(String, Raw, usize)>) {
    for (name, value) in table {
        let key = format!("{path}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() && keys::find(&key).is_none() => {
                flatten(&format!("{key}."), inner, into);
            }
            // An empty table of a section's name sets nothing.
            DeValue::Table(inner) if inner.is_empty() && is_section(&key) => {}
            _ => into.push((key, raw(value), name.span().start)),
        }
    }
}

fn is_section(name: &str) -> bool {
    keys::SECTIONS.iter().any(|section| section.name.strip_suffix('.') == Some(name))
}

fn raw(value: &Spanned<DeValue<'_>>) -> Raw {
    match value.get_ref() {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Raw::Float(number.to_string()), Raw::Integer),
        DeValue::Float(number) => Raw::Float(number.to_string()),
        DeValue::Boolean(flag) => Raw::Bool(*flag),
        DeValue::Array(entries) => Raw::List(entries.iter().map(raw).collect()),
        DeValue::Datetime(_) => Raw::Odd("a date"),
        DeValue::Table(_) => Raw::Odd("a table"),
    }
}
