//! What the daemon will not start with although every value is well formed: a key that is missing
//! or too short, and settings whose feature this build does not have.
//!
//! Touches nothing. Called before anything listens or is written.

use super::error::Source;
use super::keys;
use super::layers::Values;
use super::{Config, ConfigError};

/// HS256 signs with at least as many bytes as its digest has.
const SECRET_BYTES_MIN: usize = 32;

/// The first reason not to start, if there is one.
pub(super) fn check(config: &Config, values: &Values) -> Result<(), ConfigError> {
    if let Some(secret) = &config.auth.secret {
        let length = secret.expose().len();
        if length < SECRET_BYTES_MIN {
            let problem =
                format!("{length} bytes are too few to sign with; at least {SECRET_BYTES_MIN}");
            return Err(refusal(values, "auth.secret", problem));
        }
    }
    for key in keys::all() {
        let (raw, _) = values.of(key);
        let Some(feature) = key.later else { continue };
        if !raw.alike(&(key.toml)(key.default)) {
            let problem = format!("not available: this build does not have {feature} yet");
            return Err(refusal(values, key.name, problem));
        }
    }
    let has_key = config.auth.secret.is_some() || config.auth.public_key_file.is_some();
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

fn refusal(values: &Values, name: &str, problem: String) -> ConfigError {
    let place = keys::find(name).map_or(Source::BuiltIn, |key| values.of(key).1);
    ConfigError::Value { key: name.to_owned(), problem, place }
}
