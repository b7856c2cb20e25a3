//! Claims on ids, as ingest asks for them: what makes an id count once across instances.
//!
//! An id is claimed before its event is written and confirmed after the sync; until then no reader
//! sees the event. Ingest knows nothing of who keeps the claims. Without anybody to ask it goes on:
//! an event is then accepted unclaimed, and its range is handed over to be claimed later.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use thiserror::Error;

use super::Fingerprinter;

/// Who keeps the claims of all instances.
pub trait Claims: Send + Sync + fmt::Debug {
    /// What names an id in all instances: a keyed hash with a secret they share. `None` while
    /// nobody can be asked.
    fn key(&self) -> Option<Fingerprinter>;

    /// Claims ids for a short while, an answer for each. Never waits long: an answer, or nobody is
    /// there. [`UNCLAIMED`] is ours without being asked for, here and below.
    fn claim(&self, ids: Arc<[u128]>) -> Asked<Vec<Claim>>;

    /// Claims ids of durable events for the whole horizon.
    fn confirm(&self, ids: Arc<[u128]>) -> Asked<Confirmed>;

    /// Gives up what was claimed and not confirmed: its events were not written.
    fn abandon(&self, ids: Arc<[u128]>);

    /// These events were accepted without their claims being confirmed.
    fn unconfirmed(&self, first_seq: u64, end_seq: u64);
}

/// An answer on its way.
pub type Asked<T> = Pin<Box<dyn Future<Output = Result<T, Away>> + Send>>;

/// Nobody keeps claims right now: calls go on without.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("ids cannot be claimed right now")]
pub struct Away;

/// What became of confirmations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confirmed {
    /// Which of them, by place, were taken elsewhere meanwhile: this instance must not count them.
    pub taken: Vec<u32>,
    /// Whether nobody could be asked about some of the others.
    pub some_unasked: bool,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is ours, for a while; or nobody could be asked about this one.
    Ours,
    /// Another instance is taking an event of this id just now: try again in a second.
    Pending,
    /// Another instance has taken an event of this id.
    Taken,
}

/// Stands for an id that needs no claim: the daemon made it, from chance. No hash is this.
pub const UNCLAIMED: u128 = 0;
