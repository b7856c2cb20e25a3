//! From the settings to the drain, and to the journal as the spool in front of a shared store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::node::Node;
use crate::aggregate::Views;
use crate::clock::Clock;
use crate::config::{Config, StoreKind};
use crate::journal::{self, Journal};
use crate::store::drain::{Drain, Settings};
use crate::store::mongodb::Mongo;

const DAY_MS: i64 = 24 * 3_600_000;

/// How the journal is kept: as the store of events itself, or as the spool in front of one.
pub(super) fn journal_options(config: &Config, data_dir: &Path) -> journal::Options {
    let options = journal::Options::new(data_dir.join("journal"));
    match config.store.kind {
        StoreKind::Embedded => {
            let events_days = config.retention.events_days as u32;
            journal::Options { max_bytes: config.retention.max_bytes, events_days, ..options }
        }
        StoreKind::Mongodb => {
            // What is drained goes after its two hours, whatever space there is.
            let spool_bytes = Some(config.limits.spool_bytes);
            journal::Options { max_bytes: 0, events_days: u32::MAX, spool_bytes, ..options }
        }
    }
}

/// Begins to drain.
pub(super) fn start(
    config: &Config,
    data_dir: &Path,
    node: &Node,
    mongo: &Mongo,
    journal: &Journal,
    views: &Views,
    clock: &Clock,
) -> Drain {
    // What is read back later is made of seconds and minutes, whatever windows there are.
    let mut windows_secs: Vec<u32> = vec![1, 60];
    windows_secs.extend(config.general.windows.iter().map(|window| window.secs));
    windows_secs.sort_unstable();
    windows_secs.dedup();
    let settings = Settings {
        data_dir: data_dir.to_path_buf(),
        node: Arc::clone(&node.id),
        node_name: Arc::clone(&node.name),
        windows_secs,
        debounce: Duration::from_millis(config.store.debounce_ms as u64),
        events_kept_ms: config.retention.events_days as i64 * DAY_MS,
    };
    Drain::start(settings, mongo, journal.clone(), Arc::new(views.clone()), clock.clone())
}
