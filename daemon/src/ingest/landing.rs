//! A batch between the journal's queue and its acknowledgement, which always lands.
//!
//! It holds the flight open and the ids it would have to give back. Where ids were claimed, it has
//! them confirmed after the sync, hides what was taken elsewhere meanwhile, and lets readers see
//! the rest. When the caller hangs up and its future is dropped, the rest of the way is handed to
//! the runtime: the flight is closed and the ids stay or go as the sync decides, not as the client
//! does.

use std::sync::Arc;

use super::claims::Claims;
use super::dedupe::Dedupe;
use super::flights::Flight;
use super::{AppendError, Durable, DurableHeld};

/// A batch on its way.
pub(super) struct Landing(Option<Aboard>);

/// What there is to wait for.
pub(super) enum Way {
    /// The sync.
    Plain(Durable),
    /// The sync; then somebody is to know that the ids are not claimed.
    Unclaimed(Durable, Arc<dyn Claims>),
    /// The sync and the confirmation.
    Held(DurableHeld, Arc<dyn Claims>, Arc<[u128]>),
}

struct Aboard {
    way: Way,
    flight: Flight,
    dedupe: Arc<Dedupe>,
    fingerprints: Vec<u128>,
    arrival_ms: i64,
}

impl Landing {
    pub(super) fn new(
        way: Way,
        flight: Flight,
        dedupe: Arc<Dedupe>,
        fingerprints: Vec<u128>,
        arrival_ms: i64,
    ) -> Self {
        Self(Some(Aboard { way, flight, dedupe, fingerprints, arrival_ms }))
    }

    /// Waits until what was appended may be acknowledged, then closes the flight. Returns which of
    /// it, by place, was taken elsewhere meanwhile. Where the sync failed the ids are forgotten
    /// first.
    pub(super) async fn land(mut self) -> Result<Vec<u32>, AppendError> {
        let Some(aboard) = self.0.as_mut() else { return Err(AppendError::Closed) };
        if let Way::Plain(durable) = &mut aboard.way {
            let result = durable.await;
            if let Some(aboard) = self.0.take() {
                aboard.close(result.is_ok());
            }
            return result.map(|_| Vec::new());
        }
        // From the sync on there is more to do than to wait: it is done whether or not somebody
        // still does.
        let Some(aboard) = self.0.take() else { return Err(AppendError::Closed) };
        match tokio::spawn(aboard.land()).await {
            Ok(result) => result,
            Err(_) => Err(AppendError::Closed),
        }
    }
}

impl Aboard {
    async fn land(mut self) -> Result<Vec<u32>, AppendError> {
        let result = self.way.go().await;
        self.close(result.is_ok());
        result
    }

    fn close(self, written: bool) {
        if written {
            return;
        }
        self.dedupe.release(&self.fingerprints, self.arrival_ms);
        self.flight.fail();
    }
}

impl Way {
    async fn go(&mut self) -> Result<Vec<u32>, AppendError> {
        match self {
            Self::Plain(durable) => durable.await.map(|_| Vec::new()),
            Self::Unclaimed(durable, claims) => {
                let appended = durable.await?;
                let end_seq = appended.first_seq + u64::from(appended.count);
                claims.unconfirmed(appended.first_seq, end_seq);
                Ok(Vec::new())
            }
            Self::Held(durable, claims, ids) => {
                let held = match durable.await {
                    Ok(held) => held,
                    Err(error) => {
                        claims.abandon(Arc::clone(ids));
                        return Err(error);
                    }
                };
                let taken = claims.confirm(Arc::clone(ids)).await.unwrap_or_else(|_| {
                    let appended = held.appended();
                    let end_seq = appended.first_seq + u64::from(appended.count);
                    claims.unconfirmed(appended.first_seq, end_seq);
                    Vec::new()
                });
                held.let_go(&taken).await;
                Ok(taken)
            }
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let Some(aboard) = self.0.take() else { return };
        // Without a runtime the daemon has stopped, and with it everyone who could ask again.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(aboard.land());
        }
    }
}
