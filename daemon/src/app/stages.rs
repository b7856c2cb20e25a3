//! The stages of a running daemon: made from the settings in data-path order, and drained in that
//! order too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use pulseboard::route::Normaliser;
use tokio::sync::mpsc;

use super::StartError;
use super::data_dir::DataDir;
use super::greeting::Greeting;
use super::wiring::{Log, Publisher, Sockets, Windows};
use crate::aggregate::{self, window_name};
use crate::api::metrics::Metrics;
use crate::api::{self, Stages};
use crate::broadcast::{self, Hub};
use crate::clock::Clock;
use crate::config::Config;
use crate::ingest::{self, Dedupe, Fingerprinter, Ingest, rest, socket};
use crate::journal::{self, Journal, OsDisk};
use crate::server::{self, origin::Origins};
use crate::store::embedded::Store;

/// A running daemon.
#[derive(Clone)]
pub(super) struct Running {
    stages: Arc<Stages>,
    aggregator: Arc<aggregate::Handle>,
    endpoint: socket::Endpoint,
    faults: Arc<parking_lot::Mutex<Option<mpsc::Receiver<String>>>>,
    retention: journal::Retention,
    clock: Clock,
}

/// What is on disk after a drain.
pub(super) struct Kept {
    pub events: u64,
}

impl Running {
    /// Starts every stage. Long reading happens here; nothing is served before it returns.
    pub(super) async fn start(
        config: &Config,
        data_dir: &DataDir,
        clock: &Clock,
        address: SocketAddr,
    ) -> Result<(Self, Greeting), StartError> {
        let (config, path) = (config.clone(), data_dir.path().to_path_buf());
        let (clock, runtime) = (clock.clone(), tokio::runtime::Handle::current());
        let started = tokio::task::spawn_blocking(move || {
            let _inside = runtime.enter();
            build(&config, &path, &clock, address)
        });
        started.await.map_err(|error| StartError::Failed(error.to_string()))?
    }

    /// What is served.
    pub(super) fn router(&self) -> Router {
        let endpoint = self.endpoint.clone();
        let upgrade = move |request| std::future::ready(endpoint.upgrade(request));
        api::router(Arc::clone(&self.stages)).route("/ws", get(upgrade))
    }

    /// What the journal reports when it cannot go on.
    pub(super) fn faults(&self) -> mpsc::Receiver<String> {
        self.faults.lock().take().expect("faults are taken once")
    }

    /// Set when the daemon is on its way out.
    pub(super) fn stopping(&self) -> &AtomicBool {
        &self.stages.stopping
    }

    /// Retention, and whatever else must happen now and then.
    pub(super) async fn upkeep(self, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.stages.metrics.upkeep();
            if !self.clock.retention_allowed() {
                continue;
            }
            let this = self.clone();
            let swept = tokio::task::spawn_blocking(move || {
                let applied = this.stages.views.stats().stored_seq;
                this.stages.journal.enforce_retention(
                    this.clock.now_ms(),
                    &this.retention,
                    applied,
                )
            });
            match swept.await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "old events could not be removed"),
                Err(error) => tracing::error!(%error, "retention failed"),
            }
        }
    }

    /// Says goodbye to every socket.
    pub(super) async fn close_sockets(&self) {
        self.stages.hub.close_all(pulseboard::wire::close::RESTART).await;
    }

    /// Syncs the journal, counts what is left and commits it.
    pub(super) async fn drain(self) -> Kept {
        let drained = tokio::task::spawn_blocking(move || {
            let events = self.stages.journal.stats().events;
            self.stages.journal.close();
            self.aggregator.stop();
            Kept { events }
        });
        drained.await.unwrap_or(Kept { events: 0 })
    }
}

/// What holds for every connection.
pub(super) fn server_settings(config: &Config) -> server::Settings {
    server::Settings {
        dev_mode: true,
        connections: config.limits.connections as usize,
        header_timeout: config.limits.header_timeout,
        header_bytes: config.limits.header_bytes as usize,
        uri_bytes: config.limits.uri_bytes as usize,
        ..server::Settings::default()
    }
}
