//! From the settings to the shared store; and `pulseboardd --setup-store`, which makes what is needed
//! there and says what it made.
//!
//! Overwrites nothing. A daemon that runs does the same whenever it connects.

use std::time::Duration;

use super::StartError;
use crate::clock::Clock;
use crate::config::{ConfigError, Loaded, StoreKind};
use crate::store::mongodb::{Mongo, Settings, SettingsError, State};

/// How long `--setup-store` tries.
const TRIED_FOR: Duration = Duration::from_secs(30);

/// What the shared store is told; `None` for the embedded one.
pub(super) fn settings(loaded: &Loaded) -> Result<Option<Settings>, ConfigError> {
    match loaded.config.store.kind {
        StoreKind::Embedded => Ok(None),
        StoreKind::Mongodb => mongodb(loaded).map(Some),
    }
}

/// Whether the files that the settings name are there.
pub(super) fn check_files(loaded: &Loaded) -> Result<(), ConfigError> {
    let Some(settings) = settings(loaded)? else { return Ok(()) };
    let missing = |error: SettingsError| loaded.refusal(settings.key, error.to_string());
    settings.check_files().map_err(missing)
}

fn mongodb(loaded: &Loaded) -> Result<Settings, ConfigError> {
    let config = &loaded.config;
    let key = loaded.mongodb_key();
    let Some(uri) = &config.mongodb.uri else {
        let problem = "is not set; it looks like mongodb://HOST:27017/pulseboard";
        return Err(loaded.refusal(key, problem));
    };
    let settings = Settings {
        uri: uri.expose().to_owned(),
        key,
        max_pool: config.mongodb.max_pool as u32,
        events_days: config.retention.events_days as u32,
        aggregates_days: config.retention.aggregates_days as u32,
    };
    settings.check().map_err(|error| loaded.refusal(key, error.to_string()))?;
    Ok(settings)
}

/// Makes what is needed in the shared store; what to print.
pub async fn setup_store(loaded: &Loaded) -> Result<String, StartError> {
    let refused = |error: ConfigError| StartError::Refused(error.to_string());
    let settings = mongodb(loaded).map_err(refused)?;
    let opened = Mongo::open(settings, Clock::system());
    let mongo =
        opened.map_err(|error| refused(loaded.refusal(loaded.mongodb_key(), error.to_string())))?;
    let mut watch = mongo.watch();
    // A primary may be being elected.
    let settled = watch.wait_for(|state| matches!(state, State::Ready(_) | State::Refused { .. }));
    let settled = tokio::time::timeout(TRIED_FOR, settled).await;
    let state = match settled {
        Ok(Ok(state)) => state.clone(),
        _ => mongo.state(),
    };
    match state {
        State::Ready(ready) => {
            let lines = ready.report.iter().chain(&ready.notes).chain(&ready.differs);
            let lines: Vec<&str> = lines.map(String::as_str).collect();
            let name = ready.database.name();
            let version = &ready.version;
            let text = lines.join("\n");
            if ready.differs.is_empty() {
                Ok(format!("MongoDB {version}, database {name}\n{text}\n"))
            } else {
                Err(StartError::Failed(ready.differs.join("; ")))
            }
        }
        State::Refused { reason } | State::Unreachable { reason, .. } => {
            Err(StartError::Failed(reason.to_string()))
        }
        State::Connecting => Err(StartError::Failed("the store did not answer".to_owned())),
    }
}
