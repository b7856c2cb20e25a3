//! What REST asks of stored things, answered from the store: pages of events, exports, history,
//! routes, windows as they were. Merged over instances, and joined with what this instance has
//! acknowledged or counted and not written there yet, so that whoever sent something finds it.
//!
//! Calls block: they belong on a thread that may. A question is a task of its own on the runtime; an
//! answer that does not come in time is no longer waited for, and its task ends when the server does
//! answer, or the connection breaks. Questions under way are [`ASKED_MAX`] at most; past it callers
//! are told to come back. Nothing is cached. Asked by `api`.

mod buckets;
mod events;
mod stream;
mod ticks;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::reason::Trouble;
use super::{Mongo, Ready};
use crate::clock::Clock;
use crate::journal::Journal;
use crate::store::drain::{Counts, CountsError};

pub use events::{Export, Page, PageAsked, Spot};

/// Questions under way, those nobody waits for among them.
const ASKED_MAX: usize = 32;
/// How long the server may work on one.
const WORKS_FOR: Duration = Duration::from_secs(10);
/// How long after that its answer is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// What this instance has that the store may not have yet.
#[derive(Clone)]
pub struct Own {
    /// This node's id.
    pub node: Arc<str>,
    /// What it acknowledged.
    pub journal: Journal,
    /// Every event up to this sequence is in the store.
    pub drained_seq: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// What it counted.
    pub counts: Arc<dyn Counts>,
}

/// Why a question is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The store cannot be asked now.
    #[error("{0}")]
    Unavailable(String),
    /// Others are being answered.
    #[error("{ASKED_MAX} questions to the store are under way; ask again")]
    Busy,
    /// It is too much to read.
    #[error("reading that much takes over {} s; ask for a shorter span", WORKS_FOR.as_secs())]
    TookTooLong,
    /// What is kept here could not be read.
    #[error("the store could not be read: {0}")]
    Local(String),
}

/// The read side of the shared store; cheap to clone.
#[derive(Clone)]
pub struct Archive(Arc<Inner>);

struct Inner {
    mongo: Mongo,
    own: Own,
    clock: Clock,
    runtime: Handle,
    slots: Arc<Semaphore>,
    /// How long the store keeps events.
    events_kept_ms: i64,
    /// Whether nothing is asked any more.
    closed: watch::Sender<bool>,
}

impl Archive {
    /// Over a store, on the runtime this is called on.
    pub fn new(mongo: Mongo, own: Own, clock: Clock) -> Self {
        let events_kept_ms = i64::from(mongo.settings().events_days) * 24 * 3_600_000;
        let (runtime, slots) = (Handle::current(), Arc::new(Semaphore::new(ASKED_MAX)));
        let closed = watch::Sender::new(false);
        Self(Arc::new(Inner { mongo, own, clock, runtime, slots, events_kept_ms, closed }))
    }

    /// Gives up what is being asked, for an end: a store that hangs holds nobody up.
    pub fn close(&self) {
        self.0.closed.send_replace(true);
    }

    /// Every event that was stored from then on (Unix ms) is there; `None` when all ever were.
    pub fn kept_from_ms(&self) -> Option<i64> {
        let kept_ms = self.0.clock.now_ms() - self.0.events_kept_ms;
        let made_ms = self.0.mongo.ready().map_or(0, |ready| ready.made_ms);
        (made_ms < kept_ms).then_some(kept_ms)
    }

    /// The key of cursors, the same for every instance.
    pub fn cursor_key(&self) -> Result<[u8; 16], ArchiveError> {
        Ok(self.ready()?.cursor_key)
    }

    fn ready(&self) -> Result<Arc<Ready>, ArchiveError> {
        self.0.mongo.ready().map_err(|error| ArchiveError::Unavailable(error.to_string()))
    }

    fn slot(&self) -> Result<OwnedSemaphorePermit, ArchiveError> {
        Arc::clone(&self.0.slots).try_acquire_owned().map_err(|_| ArchiveError::Busy)
    }

    fn unavailable(&self, problem: &str) -> ArchiveError {
        ArchiveError::Unavailable(format!("{}: {problem}", self.0.mongo.settings().key))
    }

    fn failed(&self, trouble: &Trouble) -> ArchiveError {
        match trouble {
            Trouble::TookTooLong => ArchiveError::TookTooLong,
            Trouble::Away { .. } | Trouble::Refused(_) => {
                tracing::debug!(%trouble, "a question to the store was not answered");
                self.unavailable(&trouble.brief())
            }
        }
    }
}

impl From<CountsError> for ArchiveError {
    fn from(error: CountsError) -> Self {
        Self::Local(error.to_string())
    }
}
