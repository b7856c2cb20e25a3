//! What the daemon will not start with although every value is well formed: a key that is missing
//! or one too many, and settings whose feature this build does not have.
//!
//! Touches nothing. Called before anything listens or is written.

use super::error::Source;
use super::keys;
use super::layers::Values;
use super::types::StoreKind;
use super::{Config, ConfigError};

/// The longest `node.name`: it is in every frame, and in what instances tell each other.
const NAME_BYTES: usize = 128;

/// The first reason not to start, if there is one.
pub(super) fn check(config: &Config, values: &Values) -> Result<(), ConfigError> {
    let public_key = config.auth.public_key_file.is_some();
    if config.auth.secret.is_some() && public_key {
        let secret = values.secret_key();
        let problem = format!("{secret} is set too; tokens are checked with one key");
        return Err(refusal(values, "auth.public_key_file", problem));
    }
    for key in keys::all() {
        let (raw, _) = values.of(key);
        let Some(feature) = key.later else { continue };
        if !raw.alike(&(key.toml)(key.default)) {
            let problem = format!("not available: this build does not have {feature} yet");
            return Err(refusal(values, key.name, problem));
        }
    }
    store(config, values)?;
    let name = config.node.name.as_deref().unwrap_or_default();
    if name.len() > NAME_BYTES || name.contains(char::is_control) {
        let problem = format!("at most {NAME_BYTES} bytes, and no control characters");
        return Err(refusal(values, "node.name", problem));
    }
    let has_key = config.auth.secret.is_some() || public_key;
    if !has_key && !config.server.bind.ip().to_canonical().is_loopback() {
        let problem = format!(
            "{} can be reached from other machines, and without a key everyone may do everything; \
             bind 127.0.0.1, or make a key first with pulseboardd --init-auth",
            config.server.bind
        );
        return Err(refusal(values, "server.bind", problem));
    }
    Ok(())
}

/// What goes with which store.
fn store(config: &Config, values: &Values) -> Result<(), ConfigError> {
    let embedded = config.store.kind == StoreKind::Embedded;
    if !embedded && config.mongodb.uri.is_none() {
        let problem = "mongodb takes store.mongodb.uri or store.mongodb.uri_file, and neither is \
                       set; they look like mongodb://HOST:27017/pulseboard"
            .to_owned();
        return Err(refusal(values, "store.kind", problem));
    }
    if embedded && config.mongodb.uri.is_some() {
        let key = values.mongodb_key();
        let problem = "is set, and store.kind is embedded: set store.kind to mongodb, or remove it";
        return Err(refusal(values, key, problem.to_owned()));
    }
    if embedded && config.retention.aggregates_days != 0 {
        let problem = "is for store.kind mongodb; the embedded store keeps minutes for ever";
        return Err(refusal(values, "retention.aggregates_days", problem.to_owned()));
    }
    Ok(())
}

/// An error about the value of a key, with the place it was written at.
pub(super) fn refusal(values: &Values, name: &str, problem: String) -> ConfigError {
    let place = keys::find(name).map_or(Source::BuiltIn, |key| values.of(key).1);
    ConfigError::Value { key: name.to_owned(), problem, place }
}
