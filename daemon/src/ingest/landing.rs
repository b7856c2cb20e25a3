//! A batch between the journal's queue and the disk, which always lands.
//!
//! It holds the flight open and the ids it would have to give back. When the caller hangs up and
//! its future is dropped, the rest of the way is handed to the runtime: the flight is closed and
//! the ids stay or go as the sync decides, not as the client does.

use std::sync::Arc;

use super::dedupe::Dedupe;
use super::flights::Flight;
use super::{AppendError, Appended, Durable};

/// A batch on its way.
pub(super) struct Landing(Option<Aboard>);

struct Aboard {
    durable: Durable,
    flight: Flight,
    dedupe: Arc<Dedupe>,
    fingerprints: Vec<u128>,
    arrival_ms: i64,
}

impl Landing {
    pub(super) fn new(
        durable: Durable,
        flight: Flight,
        dedupe: Arc<Dedupe>,
        fingerprints: Vec<u128>,
        arrival_ms: i64,
    ) -> Self {
        Self(Some(Aboard { durable, flight, dedupe, fingerprints, arrival_ms }))
    }

    /// Waits for the sync, then closes the flight. Where it failed the ids are forgotten first.
    pub(super) async fn land(mut self) -> Result<Appended, AppendError> {
        let Some(aboard) = self.0.as_mut() else { return Err(AppendError::Closed) };
        let result = (&mut aboard.durable).await;
        if let Some(aboard) = self.0.take() {
            aboard.close(result.is_ok());
        }
        result
    }
}

impl Aboard {
    fn close(self, written: bool) {
        if written {
            return;
        }
        self.dedupe.release(&self.fingerprints, self.arrival_ms);
        self.flight.fail();
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let Some(mut aboard) = self.0.take() else { return };
        // Without a runtime the daemon has stopped, and with it everyone who could ask again.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let written = (&mut aboard.durable).await.is_ok();
                aboard.close(written);
            });
        }
    }
}
