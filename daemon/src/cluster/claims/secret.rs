//! The secret that all instances hash ids with: made by the first, kept in Redis, the same for all.
//!
//! Looked at every two seconds and after each reconnection: a Redis that came back empty gets the
//! secret of whoever is first, and everybody takes that one. Claims that were hashed with another
//! are gone with it.

use std::sync::Arc;
use std::time::Duration;

use redis::{Value, cmd};

use super::Claimant;
use crate::ingest::Fingerprinter;

const LOOK_EVERY: Duration = Duration::from_secs(2);
const BYTES: usize = 16;

/// Keeps the claimant's key what Redis holds, for as long as the runtime runs.
pub(super) async fn keep(claimant: Claimant) {
    let mut ours: [u8; BYTES] = rand::random();
    let mut link = claimant.0.link.state();
    loop {
        if link.borrow_and_update().is_up() {
            look(&claimant, &mut ours).await;
        }
        let _ = tokio::time::timeout(LOOK_EVERY, link.changed()).await;
        if claimant.0.link.is_stopped() {
            return;
        }
    }
}

async fn look(claimant: &Claimant, ours: &mut [u8; BYTES]) {
    let inner = &claimant.0;
    let name = inner.link.key("{claims}:secret");
    let mut make = cmd("SET");
    make.arg(&name).arg(ours.as_slice()).arg("NX");
    let mut read = cmd("GET");
    read.arg(&name);
    let Ok(answers) = inner.link.pipeline(&[make, read]).await else { return };
    let found = match answers.into_iter().next_back() {
        Some(Ok(Value::BulkString(bytes))) => <[u8; BYTES]>::try_from(bytes.as_slice()).ok(),
        // The server that keeps it is away: the others are asked about ids with what is known.
        Some(Err(_)) | None => return,
        Some(Ok(_)) => None,
    };
    let Some(found) = found else {
        tracing::warn!("{}: {name} does not hold what it should; remove it", inner.link.setting());
        inner.key.store(None);
        return;
    };
    if found != *ours || inner.key.load().is_none() {
        *ours = found;
        inner.key.store(Some(Arc::new(Fingerprinter::new(&found))));
        inner.again.notify_one();
    }
}
