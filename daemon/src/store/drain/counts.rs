//! What the drain and the shared store's readers ask of the aggregator: what this instance counted,
//! bucket by bucket, and which buckets changed since they were last written.

use std::sync::Arc;

use pulseboard::rollup::MINUTE;
use pulseboard::tick::TickSummary;

/// What changed since it was last written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// All of it that events up to this sequence number made is named.
    pub applied_seq: u64,
    /// Ticks.
    pub ticks: Vec<i64>,
    /// Minutes of Unix time.
    pub minutes: Vec<i64>,
    /// Too much changed: what events from this sequence number on made is not named.
    pub missed_from: Option<u64>,
}

/// One window's tumbling bucket, as this instance counted it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// Length, in seconds.
    pub secs: u32,
    /// Its first tick, a multiple of the length.
    pub start: i64,
    /// The last event counted when it was looked at.
    pub revision: u64,
    /// All that is counted in it.
    pub summary: Arc<TickSummary>,
}

/// The counts of this instance. Calls may read the local store, and block for as long as that takes.
pub trait Counts: Send + Sync {
    /// Notes what changes from now on; what events up to the sequence number returned made is not
    /// noted.
    fn follow_changes(&self) -> u64;

    /// Takes what changed, and what was taken before and never said to be written.
    fn take_changes(&self) -> Changed;

    /// What was taken is durable in the shared store.
    fn changes_written(&self);

    /// Has these written again: ticks, and minutes of Unix time.
    fn mark_changed(&self, ticks: &[i64], minutes: &[i64]);

    /// These buckets, a window's length and a first tick each, as many of the first as fit in some
    /// megabytes, at least one. One nothing was counted in is empty.
    fn buckets(&self, wanted: &[(u32, i64)]) -> Result<Vec<Bucket>, CountsError>;

    /// The buckets of `from..to` (ticks) that changed since they were last written, as they are
    /// now. Whoever joins this with what was read elsewhere asks here first, and of two buckets of
    /// this instance takes the one with the higher revision.
    fn unwritten(&self, secs: u32, range: (i64, i64)) -> Result<Vec<Bucket>, CountsError>;

    /// How many buckets of windows of these lengths changed since they were last written, of those
    /// that can still be made. Takes some ms when there are hundreds of thousands.
    fn unwritten_buckets(&self, windows_secs: &[u32]) -> u64;

    /// Minutes that anything is stored of locally, ascending, after `after`; at most `limit`.
    fn stored_minutes(&self, after: i64, limit: usize) -> Result<Vec<i64>, CountsError>;

    /// The first tick that buckets finer than a minute can be made of.
    fn oldest_tick(&self) -> i64;

    /// The last event counted.
    fn applied_seq(&self) -> u64;

    /// The last event whose counts are in the local store.
    fn stored_seq(&self) -> u64;
}

/// The local store could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CountsError(pub String);

/// Whether a window's buckets are made of minutes: these hold late events and imports too.
pub fn is_whole_minutes(secs: u32) -> bool {
    i64::from(secs) % MINUTE == 0
}

/// The first tick of the bucket a tick is in.
pub fn start_of(secs: u32, tick: i64) -> i64 {
    tick.div_euclid(i64::from(secs)) * i64::from(secs)
}
