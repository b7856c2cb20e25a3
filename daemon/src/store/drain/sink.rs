//! The shared store as the drain needs it: few calls, each whole or failed, each safe to repeat.
//!
//! Implemented over MongoDB in [`super::mongo`], and by fakes in tests. Every call is a future that
//! is run to its end by a task of its own, whatever becomes of who waits for it.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use mongodb::bson::RawDocumentBuf;
use pulseboard::tick::TickSummary;
use tokio::sync::watch;

use super::counts::Bucket;

/// Codes that say a document can never be taken: not BSON, too large.
pub(super) const NEVER: [i32; 2] = [22, 10_334];
/// Codes about the document itself: values, types, names of fields, keys, indexes, validation.
const ABOUT_IT: [i32; 13] = [2, 9, 14, 52, 55, 56, 57, 61, 121, 171, 11_000, 16_755, 17_280];

/// A call under way.
pub(super) type Doing<T> = BoxFuture<'static, Result<T, Failure>>;

/// Why a call did nothing, or may have done all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// No answer, a broken connection, no primary: again when the store is there.
    #[error("{0}")]
    Away(String),
    /// It answers, and takes nothing: rights, a full disk, a lock. Again later.
    #[error("{0}")]
    Refused(String),
    /// It is about what was sent: again in smaller parts.
    #[error("{0}")]
    Malformed(String),
}

/// A document of a batch that was not taken, and not because it is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    /// Its place in the batch.
    pub index: u32,
    /// The server's code.
    pub code: i32,
    /// What the server says.
    pub message: String,
}

impl Unfit {
    /// Whether it is about the document itself, so that it may never be taken. Anything else, such
    /// as a disk that has no room for it, passes.
    pub(super) fn is_about_it(&self) -> bool {
        NEVER.contains(&self.code) || ABOUT_IT.contains(&self.code)
    }

    /// Whether it is for certain that it will never be taken.
    pub(super) fn is_for_ever(&self) -> bool {
        NEVER.contains(&self.code)
    }
}

/// What became of a batch. What is in neither list is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Places of documents whose `_id` is there already.
    pub duplicates: Vec<u32>,
    /// Documents that were not taken.
    pub unfit: Vec<Unfit>,
}

/// Whose event a stored document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub node: String,
    pub seq: u64,
}

/// A bucket to be written.
#[derive(Clone, Debug)]
pub(super) struct Put {
    pub bucket: Bucket,
    /// Counted from the stored events, not from what was counted live.
    pub recounted: bool,
}

/// What is stored of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub revision: u64,
    pub recounted: bool,
}

/// Who holds a node's id: one process, once started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holder {
    /// From chance, at each start.
    pub incarnation: String,
    /// Where its data directory is: equal only for the same directory of the same machine.
    pub place: String,
    /// For people.
    pub name: String,
    /// The build that runs.
    pub version: String,
    /// Grows while it lives.
    pub beat: i64,
    /// It has stopped, and will write no more.
    pub left: bool,
}

/// The shared store.
pub(super) trait Sink: Send + Sync {
    /// Whether it can be written.
    fn ready(&self) -> watch::Receiver<bool>;

    /// Inserts these documents of a batch, in any order, durably with a majority.
    fn insert(&self, documents: Arc<Vec<RawDocumentBuf>>, which: Vec<u32>) -> Doing<Answer>;

    /// Whose the events of these ids are; those that are not there are left out.
    fn owners(&self, ids: Vec<String>) -> Doing<HashMap<String, Owner>>;

    /// Writes buckets of a node, but none over one of a higher revision: those are `duplicates`.
    /// Recounted ones are never written over by others.
    fn put(&self, node: Arc<str>, puts: Vec<Put>) -> Doing<Answer>;

    /// What is stored of buckets of a node, by length and first tick.
    fn standings(
        &self,
        node: Arc<str>,
        which: Vec<(u32, i64)>,
    ) -> Doing<HashMap<(u32, i64), Standing>>;

    /// Counts a node's stored events of the minutes of `secs` from tick `start` on, none with a
    /// sequence above `upto_seq`.
    fn recount(&self, node: Arc<str>, bucket: (u32, i64), upto_seq: u64) -> Doing<TickSummary>;

    /// Who holds a node's id.
    fn holder(&self, node: Arc<str>) -> Doing<Option<Holder>>;

    /// Sets who holds a node's id, if it is still held as expected: by nobody, or by an incarnation
    /// at a beat. Whether it was.
    fn hold(&self, node: Arc<str>, expected: Option<(String, i64)>, holder: Holder) -> Doing<bool>;
}
