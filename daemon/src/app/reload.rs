//! SIGHUP: reads the settings again and puts in place what can change while the daemon runs.
//!
//! All or nothing: a setting that is refused leaves everything as it was, with one line in the log.
//! No socket is dropped, but one whose token the new key does not take is closed by its session
//! with 1008.

use super::stages::Running;
use super::{keys, limits, notify};
use crate::auth::{Authority, Keys};
use crate::config::{ConfigError, Loaded};
use crate::shutdown::{Hangup, Hangups};

/// What a reload acts on.
pub(super) struct Reloader {
    /// What the daemon was started with: what cannot change while it runs stands as in here.
    started: Loaded,
    /// What was put in place last.
    current: Loaded,
    authority: Authority,
    running: Running,
}

impl Reloader {
    pub(super) fn new(loaded: Loaded, authority: Authority, running: Running) -> Self {
        Self { current: loaded.clone(), started: loaded, authority, running }
    }

    /// Reads and applies the settings at each SIGHUP; ends when the terminal the daemon was started
    /// from is gone.
    pub(super) async fn on_signal(mut self, mut hangups: Hangups) {
        while hangups.next().await == Hangup::Reload {
            reloading();
            // Files are read, perhaps over a network.
            let read = tokio::task::spawn_blocking(move || {
                self.reload();
                self
            });
            match read.await {
                Ok(this) => self = this,
                Err(error) => {
                    tracing::error!(%error, "reading the configuration failed; restart to change it");
                    return std::future::pending().await;
                }
            }
            notify(&[sd_notify::NotifyState::Ready]);
        }
    }

    fn reload(&mut self) {
        match self.read() {
            Ok((loaded, keys)) => self.apply(loaded, keys),
            Err(error) => tracing::error!("the configuration stays as it was: {error}"),
        }
    }

    fn read(&self) -> Result<(Loaded, Option<Keys>), ConfigError> {
        let loaded = self.started.again()?;
        loaded.may_start()?;
        let keys = keys::configured(&loaded)?;
        Ok((loaded, keys))
    }

    fn apply(&mut self, loaded: Loaded, keys: Option<Keys>) {
        if let Some(warning) = keys::warning(&loaded) {
            tracing::warn!("{warning}");
        }
        let mode = self.authority.reload(keys);
        self.running.reload(&loaded.config);
        limits::warn_of_few_files(&loaded.config);
        let takes_effect =
            |key: &&str| Loaded::is_live(key) && !(mode.is_err() && Loaded::is_about_keys(key));
        let applied = loaded.changed_since(&self.current);
        let applied: Vec<&str> = applied.into_iter().filter(takes_effect).collect();
        let later = loaded.changed_since(&self.started);
        let later: Vec<&str> = later.into_iter().filter(|key| !takes_effect(key)).collect();
        let other_keys = mode == Ok(true);
        match mode {
            Ok(true) => tracing::info!("tokens are checked anew, those on open sockets too"),
            Ok(false) => {}
            Err(mode) => tracing::warn!("auth: {mode}; until then it stays as it was"),
        }
        if !later.is_empty() {
            tracing::warn!("these settings changed and need a restart: {}", later.join(", "));
        }
        match applied.as_slice() {
            [] if other_keys => {
                tracing::info!("the configuration was read again; now in effect: the new key");
            }
            [] if later.is_empty() => {
                tracing::info!("the configuration was read again; nothing in it changed");
            }
            [] => tracing::info!("the configuration was read again; nothing in it took effect"),
            keys => tracing::info!(
                "the configuration was read again; now in effect: {}",
                keys.join(", ")
            ),
        }
        self.current = loaded;
    }
}

/// Tells the service manager that a reload began; without the time it would not believe it.
fn reloading() {
    match sd_notify::NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[sd_notify::NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "systemd could not be told of the reload"),
    }
}
