//! Builds the stages, starts them in order, and drains them in order. The only place where they
//! meet; a stage knows the next one as a narrow handle.
//!
//! Start: take the port, lock the data directory, listen, recover the journal, rebuild dedupe, open the
//! store, count what it has not counted yet, then serve. Stop: no new connections, close sockets,
//! finish requests, sync the journal, commit the store.

mod alive;
mod changes;
mod claiming;
mod clustering;
pub mod data_dir;
mod draining;
mod edge;
mod greeting;
mod init_auth;
mod keys;
mod limits;
mod node;
mod notices;
mod reload;
mod shared_store;
mod stages;
mod watchdog;
mod wiring;

use std::sync::atomic::Ordering;
use std::time::Duration;

use thiserror::Error;

pub use self::alive::alive;
pub use self::init_auth::init_auth;
pub use self::shared_store::setup_store;

use self::data_dir::DataDir;
use self::reload::Reloader;
use self::stages::Running;
use crate::auth::Authority;
use crate::clock::Clock;
use crate::config::{ConfigError, Loaded};
use crate::{server, shutdown};

/// How long everything together may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(9);
/// How often retention looks, and the metrics' buffers are emptied.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Why the daemon did not start, or ended.
#[derive(Debug, Error)]
pub enum StartError {
    /// The settings or the data directory do not allow it: exit code 2, nothing was touched.
    #[error("{0}")]
    Refused(String),
    /// The machine does not allow it: exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl StartError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}

/// Whether the daemon would start with these settings, as far as can be told without touching
/// anything; the warning is about what is allowed and should not stay.
pub fn check(loaded: &Loaded) -> Result<Option<String>, ConfigError> {
    loaded.may_start()?;
    keys::configured(loaded)?;
    clustering::check(loaded)?;
    shared_store::settings(loaded)?;
    Ok(keys::warning(loaded))
}

/// What else `--check-config` looks at: what a daemon that starts goes on without.
pub fn check_files(loaded: &Loaded) -> Result<(), ConfigError> {
    shared_store::check_files(loaded)
}

/// Runs the daemon until it is told to stop, or cannot go on.
pub async fn run(loaded: Loaded) -> Result<(), StartError> {
    let clock = Clock::system();
    let keys = keys::configured(&loaded).map_err(|error| StartError::Refused(error.to_string()))?;
    let authority = keys.map_or_else(Authority::dev, |keys| Authority::tokens(keys, clock.clone()));
    let store = shared_store::settings(&loaded);
    let store = store.map_err(|error| StartError::Refused(error.to_string()))?;
    let config = &loaded.config;
    let deaf = |error| StartError::Failed(format!("server.bind: {error}"));
    let reserved = server::reserve(config.server.bind).map_err(deaf)?;
    let data_dir = DataDir::open(config.general.data_dir())?;
    limits::warn_of_few_files(config);
    let listener = reserved.listen().map_err(deaf)?;
    let address = listener.local_addr().map_err(|error| StartError::Failed(error.to_string()))?;
    let unheard = |error| StartError::Failed(format!("signals cannot be heard: {error}"));
    let signals = shutdown::Signals::listen().map_err(unheard)?;
    let hangups = shutdown::Hangups::listen().map_err(unheard)?;

    let (running, greeting) =
        Running::start(config, store, &data_dir, &clock, &authority, address).await?;
    greeting.print(address, config.log.format);
    notify(&[sd_notify::NotifyState::Ready]);

    let (stop, stopping) = tokio::sync::watch::channel(false);
    let serving = tokio::spawn(server::serve(
        listener,
        running.router(),
        running.server_settings(),
        until(stopping),
    ));
    let upkeep = tokio::spawn(running.clone().upkeep(UPKEEP_EVERY));
    let notices = tokio::spawn(running.clone().notices());
    let watchdog = tokio::spawn(watchdog::report(running.clone()));
    let reloader = Reloader::new(loaded.clone(), authority, running.clone());
    let mut reloading = tokio::spawn(reloader.on_signal(hangups));
    let cause = tokio::select! {
        signal = signals.first() => Ok(signal),
        _ = &mut reloading => Ok(shutdown::Stop::TerminalGone),
        fault = running.fault() => Err(fault),
    };
    reloading.abort();
    upkeep.abort();
    notices.abort();
    watchdog.abort();
    notify(&[sd_notify::NotifyState::Stopping]);
    running.stopping().store(true, Ordering::Relaxed);
    match &cause {
        Ok(signal) => tracing::info!(%signal, "stopping"),
        Err(fault) => tracing::error!(%fault, "stopping: events can no longer be kept"),
    }

    let drained = tokio::time::timeout(STOP_WITHIN, async {
        // A receiver that is gone has stopped already.
        let _ = stop.send(true);
        running.close_sockets().await;
        let connections = serving.await;
        let kept = running.drain().await;
        (connections, kept)
    });
    match drained.await {
        Ok((Ok(connections), kept)) => tracing::info!(
            requests_cut = connections.cut,
            events = kept.events,
            "stopped; every acknowledged event is on disk"
        ),
        Ok((Err(error), _)) => tracing::error!(%error, "the server did not end as it should"),
        Err(_) => tracing::warn!(
            "stopping took over {} s and was cut short; every acknowledged event is on disk",
            STOP_WITHIN.as_secs()
        ),
    }
    cause.map(drop).map_err(StartError::Failed)
}

async fn until(mut stopping: tokio::sync::watch::Receiver<bool>) {
    // The sender lives until the server has ended; if it does not, stopping is right too.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Tells systemd, where there is one.
fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
