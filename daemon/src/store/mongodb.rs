//! The shared store: events and aggregates of all instances in MongoDB.
//!
//! Makes its collections, indexes and validators, turns events into documents and back, and answers
//! what REST asks of stored things. Writes nothing by itself: `drain` does. The only module, with
//! the drain, that names mongodb.
//!
//! A [`Mongo`] never makes its caller wait for the network: a task of its own connects, looks at
//! what is there, sets it up, and goes on looking. Everybody else asks [`Mongo::state`], and neither
//! reads nor writes before it is [`State::Ready`]. No future of the driver is dropped before its
//! end, since that may leave a connection in the middle of a message: whoever waits no longer leaves
//! the task to itself.

mod archive;
mod buckets;
mod check;
mod documents;
pub mod queries;
mod reason;
mod schema;
mod settings;
mod setup;
mod supervisor;

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::RawDocumentBuf;
use mongodb::{Collection, Database};
use tokio::sync::watch;

use crate::clock::Clock;

pub use archive::{Archive, ArchiveError, Export, Own, Page, PageAsked, Spot};
pub use buckets::{Bucket, BucketError, read_bucket};
pub use documents::{DocumentError, Place, event_document, event_id, read_event};
pub use reason::{Trouble, trouble};
pub use schema::{AGGREGATES, EVENTS, META, NODES};
pub use settings::{Settings, SettingsError};

use supervisor::Supervisor;

/// How it stands with the store.
#[derive(Clone, Debug)]
pub enum State {
    /// The first attempt is under way.
    Connecting,
    /// Everything is there.
    Ready(Arc<Ready>),
    /// Nobody answers, or not in time.
    Unreachable {
        /// Since when, as [`Clock::elapsed`].
        since: Duration,
        /// One line that names the setting.
        reason: Arc<str>,
    },
    /// Somebody answers, and it is not a store for us.
    Refused {
        /// One line that names the setting.
        reason: Arc<str>,
    },
}

impl State {
    /// Which of the four, to see a change.
    fn rank(&self) -> u8 {
        match self {
            Self::Connecting => 0,
            Self::Ready(_) => 1,
            Self::Unreachable { .. } => 2,
            Self::Refused { .. } => 3,
        }
    }
}

/// A store that can be read and written.
#[derive(Debug)]
pub struct Ready {
    /// The database; its collections have the write concern that counts.
    pub database: Database,
    /// Raw events.
    pub events: Collection<RawDocumentBuf>,
    /// Tumbling buckets.
    pub aggregates: Collection<RawDocumentBuf>,
    /// Under which places in a list of events are written as cursors; the same for all instances.
    pub cursor_key: [u8; 16],
    /// When the database was laid out, Unix ms: no event was ever stored before.
    pub made_ms: i64,
    /// The server's version.
    pub version: String,
    /// What an operator should know and need not mend: a standalone server.
    pub notes: Vec<String>,
    /// What differs from what was made, each a line that names the setting. It is left as it is.
    pub differs: Vec<String>,
    /// What was made or found, a line each.
    pub report: Vec<String>,
}

impl Ready {
    /// The same again.
    fn again(&self) -> Self {
        Self {
            database: self.database.clone(),
            events: self.events.clone(),
            aggregates: self.aggregates.clone(),
            version: self.version.clone(),
            notes: self.notes.clone(),
            differs: self.differs.clone(),
            report: self.report.clone(),
            ..*self
        }
    }
}

/// Why nothing can be read or written now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub Arc<str>);

/// The shared store; cheap to clone. Its task ends with the last handle.
#[derive(Clone, Debug)]
pub struct Mongo {
    state: watch::Receiver<State>,
    settings: Arc<Settings>,
}

impl Mongo {
    /// Begins to connect, on the runtime this is called on, and returns. The error names the
    /// setting, and never holds what is secret in it.
    pub fn open(settings: Settings, clock: Clock) -> Result<Self, SettingsError> {
        let connection = settings.connection()?;
        let settings = Arc::new(settings);
        let (told, state) = watch::channel(State::Connecting);
        let supervisor = Supervisor::new(Arc::clone(&settings), connection, told, clock);
        tokio::spawn(supervisor.run());
        Ok(Self { state, settings })
    }

    /// How it stands.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Told of every change.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// The store, when it is ready.
    pub fn ready(&self) -> Result<Arc<Ready>, Unavailable> {
        match &*self.state.borrow() {
            State::Ready(ready) => Ok(Arc::clone(ready)),
            State::Connecting => {
                Err(Unavailable(format!("{}: not connected yet", self.settings.key).into()))
            }
            State::Unreachable { reason, .. } | State::Refused { reason } => {
                Err(Unavailable(Arc::clone(reason)))
            }
        }
    }

    /// Waits until the store is ready.
    pub async fn wait_ready(&self) -> Arc<Ready> {
        let mut watch = self.watch();
        loop {
            if let State::Ready(ready) = &*watch.borrow_and_update() {
                return Arc::clone(ready);
            }
            if watch.changed().await.is_err() {
                // The task lives as long as this handle does; on a runtime that ends, so do we.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The first outcome: anything but [`State::Connecting`].
    pub async fn first_outcome(&self) -> State {
        let mut watch = self.watch();
        match watch.wait_for(|state| state.rank() != 0).await {
            Ok(state) => state.clone(),
            Err(_) => self.state(),
        }
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
