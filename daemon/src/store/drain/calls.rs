//! Calls to the store that never last for ever and are never cut short: each runs in a task of its
//! own; who waits for too long goes on without it, and the task comes to its end by itself.
//!
//! A dropped future of the driver may leave a connection in the middle of a message. Of the tasks
//! nobody waits for there is a bounded number; past it a call is waited for however long it takes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::sink::{Doing, Failure};

/// Tasks nobody waits for: each may hold a connection.
const LATE_MAX: usize = 4;

/// Runs calls.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    late: Arc<Semaphore>,
    within: Duration,
}

impl Calls {
    pub(super) fn new(within: Duration) -> Self {
        Self { late: Arc::new(Semaphore::new(LATE_MAX)), within }
    }

    /// The same for calls that matter only for a shorter time.
    pub(super) fn shorter(&self, within: Duration) -> Self {
        Self::new(within.min(self.within))
    }

    /// Runs a call, and waits for it as long as a call may take.
    pub(super) async fn run<T: Send + 'static>(&self, call: Doing<T>) -> Result<T, Failure> {
        let mut task = tokio::spawn(call);
        let ended = match tokio::time::timeout(self.within, &mut task).await {
            Ok(ended) => ended,
            Err(_) => match Arc::clone(&self.late).try_acquire_owned() {
                Ok(permit) => {
                    tokio::spawn(async move {
                        // What it would have said no longer matters.
                        let _ = task.await;
                        drop(permit);
                    });
                    let secs = self.within.as_secs();
                    return Err(Failure::Away(format!("no answer within {secs} s")));
                }
                Err(_) => task.await,
            },
        };
        ended.unwrap_or_else(|error| Err(Failure::Away(format!("the call ended: {error}"))))
    }
}
