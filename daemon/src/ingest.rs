//! From bytes to acknowledged events: decode, validate, dedupe, journal, verdict.
//!
//! The ways in (REST, the socket) hand bodies to [`Ingest`] and get verdicts back, after the sync.
//! Ingest knows the journal only as an [`EventLog`] and reads time only from the daemon's clock.
//! It keeps no queue: what it is working on is bounded in bytes, past which it answers `busy`.
//! What a sender may send is charged to its budget once it is known how many events there are.

pub mod claims;
pub mod dedupe;
pub mod fingerprint;
pub mod flights;
pub mod pipeline;
pub mod rest;
pub mod socket;

mod boarding;
mod ids;
mod inflight;
mod landing;
mod stats;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use pulseboard::event::EventBatch;
use pulseboard::wire::server::Rejection;
use thiserror::Error;

use crate::auth::Grant;
use crate::rate_limit::{EventBudget, Exceeded, Standing};

pub use claims::{Asked, Away, Claim, Claims, Confirmed};
pub use dedupe::Dedupe;
pub use fingerprint::Fingerprinter;
pub use inflight::Share;
pub use pipeline::{Ingest, Limits, Options};
pub use stats::Stats;

/// Where events go to become durable: the journal, as ingest sees it.
pub trait EventLog: Send + Sync {
    /// Takes a batch that is not empty, in order, without waiting for the disk; the answer
    /// resolves after the sync. What was taken is written whether or not anyone waits for it.
    fn append(&self, batch: EventBatch) -> Result<Durable, AppendError>;

    /// The same for a batch whose ids nobody could be asked about: what readers have seen of it is
    /// never decided about again.
    fn append_unclaimed(&self, batch: EventBatch) -> Result<Durable, AppendError> {
        self.append(batch)
    }

    /// The same for a batch that no reader sees, once it is on disk, before it is let go.
    fn append_held(&self, batch: EventBatch) -> Result<DurableHeld, AppendError>;
}

/// Resolves when a held batch is on disk, or cannot be.
pub type DurableHeld = Pin<Box<dyn Future<Output = Result<Box<dyn Held>, AppendError>> + Send>>;

/// A batch that is on disk and that no reader sees yet. Dropping it lets readers see all of it.
pub trait Held: Send + Sync {
    /// Where it stands.
    fn appended(&self) -> Appended;

    /// Lets readers see its events, once they see what was written before, but never those at these
    /// places. Resolves when that is sure; not only when they do.
    fn let_go<'a>(self: Box<Self>, but: &'a [u32])
    -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

    /// The same where some of them could not be asked about: what readers have seen of it is never
    /// decided about again.
    fn let_go_unclaimed<'a>(
        self: Box<Self>,
        but: &'a [u32],
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        self.let_go(but)
    }
}

/// Resolves when a batch is on disk, or cannot be.
pub type Durable = Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + Send>>;

/// A batch that is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The sequence number of its first event.
    pub first_seq: u64,
    /// Its events.
    pub count: u32,
}

/// Why the log did not take a batch, or could not write it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AppendError {
    /// No space left on the device.
    #[error("the disk is full")]
    DiskFull,
    /// The store is away and the journal holds all it may keep for it.
    #[error("the store is away and the journal has reached its bound")]
    SpoolFull,
    /// More is queued than the writer may hold.
    #[error("more events are being written than the journal queues")]
    Busy,
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Closed,
}

/// The body of a call.
#[derive(Clone, Debug)]
pub enum Body {
    /// One object, or an array of them.
    Json(Bytes),
    /// One object a line.
    Ndjson(Bytes),
}

impl Body {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Body::Json(bytes) | Body::Ndjson(bytes) => bytes.len(),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Who sends, and how.
#[derive(Clone, Debug)]
pub struct Source {
    /// What the sender may do: its subject, and the site it is restricted to.
    pub grant: Arc<Grant>,
    /// What it may still send.
    pub budget: EventBudget,
    /// Whether this is an import: events of any age, into stored history only.
    pub import: bool,
    /// The `Idempotency-Key` header.
    pub idempotency_key: Option<String>,
}

/// What became of the items of a call. What was accepted is on disk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    /// New events.
    pub accepted: u64,
    /// Events that had been taken before, or twice in this call.
    pub duplicates: u64,
    /// The first 100 refused items.
    pub rejected: Vec<Rejection>,
    /// All refused items.
    pub rejected_total: u64,
    /// Whether the body was one object and not an array or lines: then one of `single` and
    /// `rejected` holds its answer.
    pub is_single: bool,
    /// The verdict on the event, when the body was one object and the event was not refused.
    pub single: Option<SingleVerdict>,
    /// Where the sender stands with its budget, if it has one.
    pub standing: Option<Standing>,
}

/// The verdict on one event sent by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleVerdict {
    /// As sent, or as made here.
    pub event_id: String,
    /// As normalised.
    pub route: String,
    /// The tick of its time.
    pub tick: i64,
    /// Whether it had been taken before.
    pub duplicate: bool,
}

/// Why a whole call was not taken. None of its events was, unless they come back as duplicates
/// when it is sent again.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IngestError {
    /// The body is not what it says it is.
    #[error("{0}")]
    Malformed(String),
    /// There is no event in it.
    #[error("the call holds no event")]
    EmptyBatch,
    /// More events than one call may hold.
    #[error("the call holds more than {max} events: send them in several")]
    TooManyEvents {
        /// `limits.batch_events`.
        max: usize,
    },
    /// More bytes are being worked on than `limits.inflight_bytes`, or the journal's queue is full.
    #[error("more events are coming in than can be written right now: try again")]
    Busy,
    /// No space left on the device.
    #[error("the disk is full: no event is taken until there is space")]
    DiskFull,
    /// The store is away and the journal has reached its bound.
    #[error("the store is away and `limits.spool_bytes` are waiting for it: try again later")]
    SpoolFull,
    /// More ids in the last 65 s than `dedupe.max_ids`.
    #[error("more events in the last 65 s than `dedupe.max_ids` remembers: try again later")]
    DedupeFull,
    /// The daemon is stopping.
    #[error("the daemon is stopping: try again")]
    Closed,
    /// The sender's budget of events does not allow it.
    #[error("{}", over_budget(.0))]
    OverBudget(Exceeded),
}

fn over_budget(exceeded: &Exceeded) -> String {
    match exceeded {
        Exceeded::Rate { quota, retry_after_ms, .. } => {
            format!("more than {quota} events a second; try again in {retry_after_ms} ms")
        }
        Exceeded::Burst { burst, .. } => {
            format!("at most {burst} events are taken at once: send fewer in a call")
        }
    }
}

impl IngestError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            IngestError::Malformed(_) => "bad_json",
            IngestError::EmptyBatch => "empty_batch",
            IngestError::TooManyEvents { .. } => "too_many_events",
            IngestError::Busy => "busy",
            IngestError::DiskFull => "disk_full",
            IngestError::SpoolFull => "spool_full",
            IngestError::DedupeFull => "dedupe_full",
            IngestError::Closed => "stopping",
            IngestError::OverBudget(Exceeded::Rate { .. }) => "rate_limited",
            IngestError::OverBudget(Exceeded::Burst { .. }) => "batch_exceeds_burst",
        }
    }

    /// Whether the same call may be taken later, and after how long to try, ms.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            IngestError::Malformed(_)
            | IngestError::EmptyBatch
            | IngestError::TooManyEvents { .. }
            | IngestError::OverBudget(Exceeded::Burst { .. }) => None,
            IngestError::OverBudget(Exceeded::Rate { retry_after_ms, .. }) => Some(*retry_after_ms),
            IngestError::Busy => Some(250),
            IngestError::Closed => Some(2_000),
            IngestError::DiskFull | IngestError::SpoolFull | IngestError::DedupeFull => Some(5_000),
        }
    }
}

impl From<AppendError> for IngestError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::DiskFull => IngestError::DiskFull,
            AppendError::SpoolFull => IngestError::SpoolFull,
            AppendError::Busy => IngestError::Busy,
            AppendError::Closed => IngestError::Closed,
        }
    }
}
