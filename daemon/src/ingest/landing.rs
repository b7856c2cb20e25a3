//! A batch between the journal's queue and its acknowledgement, which always lands.
//!
//! It holds the flight open and the ids it would have to give back. Where ids were claimed, it has
//! them confirmed after the sync, hides what was taken elsewhere meanwhile, and lets readers see
//! the rest. When the caller hangs up and its future is dropped, the rest of the way is handed to
//! the runtime: the flight is closed and the ids stay or go as the sync decides, not as the client
//! does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::claims::{Claims, Confirmed};
use super::dedupe::Dedupe;
use super::flights::Flight;
use super::{AppendError, Durable, DurableHeld};

/// A batch on its way, as what is left to do for it: whoever holds this goes on with it.
pub(super) struct Landing(Option<Pin<Box<dyn Future<Output = Landed> + Send>>>);

/// Which of a batch, by place, was taken elsewhere meanwhile.
type Landed = Result<Vec<u32>, AppendError>;

/// What there is to wait for.
pub(super) enum Way {
    /// The sync.
    Plain(Durable),
    /// The sync; then somebody is to know that the ids are not claimed.
    Unclaimed(Durable, Arc<dyn Claims>),
    /// The sync and the confirmation.
    Held(DurableHeld, Arc<dyn Claims>, Arc<[u128]>),
}

impl Landing {
    pub(super) fn new(
        way: Way,
        flight: Flight,
        dedupe: Arc<Dedupe>,
        fingerprints: Vec<u128>,
        arrival_ms: i64,
    ) -> Self {
        Self(Some(Box::pin(async move {
            let landed = way.go().await;
            if landed.is_err() {
                dedupe.release(&fingerprints, arrival_ms);
                flight.fail();
            }
            landed
        })))
    }

    /// Waits until what was appended may be acknowledged; the flight is closed then. Where the
    /// sync failed the ids are forgotten first.
    pub(super) async fn land(mut self) -> Landed {
        let Some(rest) = self.0.as_mut() else { return Err(AppendError::Closed) };
        let landed = rest.as_mut().await;
        self.0 = None;
        landed
    }
}

impl Way {
    async fn go(self) -> Landed {
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
                        claims.abandon(ids);
                        return Err(error);
                    }
                };
                let confirmed = claims.confirm(ids).await;
                let Confirmed { taken, some_unasked } =
                    confirmed.unwrap_or(Confirmed { taken: Vec::new(), some_unasked: true });
                if some_unasked {
                    let appended = held.appended();
                    let end_seq = appended.first_seq + u64::from(appended.count);
                    held.let_go_unclaimed(&taken).await;
                    claims.unconfirmed(appended.first_seq, end_seq);
                } else {
                    held.let_go(&taken).await;
                }
                Ok(taken)
            }
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let Some(rest) = self.0.take() else { return };
        // Without a runtime the daemon has stopped, and with it everyone who could ask again.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(rest);
        }
    }
}
