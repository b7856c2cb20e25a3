//! Ctrl-C and SIGTERM for long work: the first asks it to end in order, the second ends the process
//! at once. Called by `replay` and `load`.

use std::time::Duration;

use tokio::sync::watch;

/// Tells many tasks that the work should end.
#[derive(Clone)]
pub(super) struct Stop {
    asked: watch::Receiver<bool>,
}

impl Stop {
    /// Starts to listen for the signals.
    pub(super) fn on_signal() -> Self {
        let (ask, asked) = watch::channel(false);
        tokio::spawn(async move {
            signal().await;
            let _ = ask.send(true);
            signal().await;
            std::process::exit(1);
        });
        Self { asked }
    }

    /// Whether it was asked to end.
    pub(super) fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Returns when it is asked to end.
    pub(super) async fn asked(&mut self) {
        if self.asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns some time after it is asked to end.
    pub(super) async fn asked_and_waited(&mut self, longer: Duration) {
        self.asked().await;
        tokio::time::sleep(longer).await;
    }
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}
