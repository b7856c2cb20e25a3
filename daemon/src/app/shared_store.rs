//! The shared store as the settings have it: MongoDB and the drain that fills it, or neither.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use super::node::Node;
use crate::aggregate::Views;
use crate::clock::Clock;
use crate::config::{Config, StoreKind};
use crate::journal::{self, Journal};
use crate::store::drain::{self, Drain};
use crate::store::mongodb::{Mongo, Settings};

const DAY_MS: i64 = 24 * 3_600_000;

/// Whether there is one.
pub(super) fn is_configured(config: &Config) -> bool {
    config.store.kind == StoreKind::Mongodb
}

/// What the greeting calls it.
pub(super) fn name(config: &Config) -> &'static str {
    if is_configured(config) { "mongodb, with the journal in front of it" } else { "embedded" }
}

/// How the journal is kept: as the store of events itself, or as the spool in front of one.
pub(super) fn journal_options(config: &Config, data_dir: &Path) -> journal::Options {
    let options = journal::Options::new(data_dir.join("journal"));
    if is_configured(config) {
        // What is drained goes after its two hours, whatever space there is.
        let spool_bytes = Some(config.limits.spool_bytes);
        journal::Options { max_bytes: 0, events_days: u32::MAX, spool_bytes, ..options }
    } else {
        let events_days = config.retention.events_days as u32;
        journal::Options { max_bytes: config.retention.max_bytes, events_days, ..options }
    }
}

/// Begins to connect.
pub(super) fn connect(config: &Config, clock: &Clock) -> Result<Option<Mongo>, StartError> {
    if !is_configured(config) {
        return Ok(None);
    }
    let key = "store.mongodb.uri";
    let uri = config.mongodb.uri.as_ref().map(|uri| uri.expose().to_owned());
    let settings = Settings {
        uri: uri.unwrap_or_default(),
        key,
        max_pool: config.mongodb.max_pool as u32,
        events_days: config.retention.events_days as u32,
        aggregates_days: config.retention.aggregates_days as u32,
    };
    let opened = Mongo::open(settings, clock.clone());
    opened.map(Some).map_err(|error| StartError::Refused(format!("{key} {error}")))
}

/// Begins to drain.
pub(super) fn drain(
    config: &Config,
    data_dir: &Path,
    node: &Node,
    mongo: &Mongo,
    journal: &Journal,
    views: &Views,
    clock: &Clock,
) -> Drain {
    let settings = drain::Settings {
        data_dir: data_dir.to_path_buf(),
        node: Arc::clone(&node.id),
        node_name: Arc::clone(&node.name),
        windows_secs: config.general.windows.iter().map(|window| window.secs).collect(),
        debounce: Duration::from_millis(config.store.debounce_ms as u64),
        events_kept_ms: config.retention.events_days as i64 * DAY_MS,
    };
    Drain::start(settings, mongo, journal.clone(), Arc::new(views.clone()), clock.clone())
}
