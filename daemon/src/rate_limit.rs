//! How often: REST calls a minute, events a second of a token and of a socket.
//!
//! Buckets alone: it knows no request and no answer. [`crate::gate`] asks it for calls,
//! [`crate::ingest`] charges events.

use std::sync::Arc;

use crate::auth::Grant;

/// Every rate there is. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct RateLimits(());

/// What one sender of events may still send: its token's bucket, and its socket's. Clones share
/// the buckets.
#[derive(Clone, Debug, Default)]
pub struct EventBudget(());

/// Why events are not taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// Too many in this second.
    Rate {
        /// Events a second.
        limit: u32,
        /// When as many may be sent, ms.
        retry_after_ms: u64,
    },
    /// More at once than the bucket ever holds.
    Burst {
        /// Events at once.
        burst: u32,
    },
}

impl RateLimits {
    /// The budget of a grant for REST: by subject.
    pub fn events(&self, _grant: &Arc<Grant>) -> EventBudget {
        EventBudget(())
    }

    /// The budget of a session on a socket. When a token is renewed, `before` is the budget the
    /// session had: its socket's bucket goes on.
    pub fn socket(&self, grant: &Arc<Grant>, _before: Option<&EventBudget>) -> EventBudget {
        self.events(grant)
    }
}

impl EventBudget {
    /// No bound: dev mode.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Events a second that may be sent, as `welcome` tells it: the lower of its buckets' rates;
    /// `None` without a bound.
    pub fn events_per_second(&self) -> Option<u64> {
        None
    }

    /// Takes `events` from every bucket, or says why not; then none is taken.
    pub fn charge(&self, _events: u32) -> Result<(), Exceeded> {
        Ok(())
    }
}
