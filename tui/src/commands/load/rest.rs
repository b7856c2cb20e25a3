//! One connection that posts batches, one after the other.

use std::sync::Arc;

use super::stats::Stats;
use super::supply::Supply;
use super::{PATIENCE, Stopped};
use crate::commands::deliver::{self, Courier, DeliverError, Delivered, Pieces};
use crate::commands::waiting::Waiting;
use crate::target::Target;

/// A connection and what it needs.
pub(super) struct Poster {
    target: Target,
    pieces: Pieces,
}

impl Poster {
    /// Connects, so that a missing daemon is known at once.
    pub(super) async fn connect(target: &Target) -> anyhow::Result<Self> {
        let mut courier = Courier::new(target, "/api/events", PATIENCE);
        courier.open().await?;
        Ok(Self { target: target.clone(), pieces: Pieces::new(courier) })
    }

    /// Posts until it is stopped.
    pub(super) async fn run(
        mut self,
        mut supply: Supply,
        stats: Arc<Stats>,
        mut stopped: Stopped,
        waiting: Waiting,
    ) -> anyhow::Result<()> {
        while !stopped.is_set() {
            let batch = tokio::select! {
                biased;
                () = stopped.wait() => None,
                batch = supply.next() => batch,
            };
            let Some(batch) = batch else { break };
            let single = batch.events == 1;
            let body = batch.text.into();
            let (target, pieces) = (&self.target, &mut self.pieces);
            let delivery = async {
                if single {
                    pieces.courier().deliver(target, deliver::JSON, &body, &waiting).await
                } else {
                    pieces.deliver(target, body, batch.events as usize, &waiting).await
                }
            };
            let delivered = tokio::select! {
                biased;
                delivered = delivery => delivered,
                // One that is stopped while the daemon is away does not wait for it to come back.
                () = stopped.wait_longer(super::LAST_WORDS) => {
                    stats.unanswered(u64::from(batch.events));
                    break;
                }
            };
            let delivered = match delivered {
                Err(error @ DeliverError::Refused { .. }) if single => {
                    let verdict = deliver::as_rejection(&error).ok_or(error)?;
                    Delivered::of(verdict)
                }
                other => other?,
            };
            stats.answered(&delivered.verdict, delivered.ack_time, delivered.repeats);
            stats.limited(u64::from(delivered.limited));
        }
        Ok(())
    }
}
