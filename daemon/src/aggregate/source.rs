//! Where the aggregator pulls events from, and reads them again: the journal, as it needs to know it.

use std::sync::Arc;
use std::time::Duration;

use pulseboard::event::EventBatch;
use pulseboard::filter::Filter;

use super::scan::ScanError;

/// What a pull gave.
#[derive(Clone, Debug)]
pub enum Item {
    /// Durable events in order of sequence, none twice.
    Events {
        /// Sequence of the first.
        first_seq: u64,
        /// The events.
        batch: Arc<EventBatch>,
    },
    /// Nothing new in that time: all that is durable was given.
    Idle,
    /// There will be no more.
    Closed,
}

/// A pulling reader of events.
pub trait Source: Send {
    /// The next events; waits for them at most `timeout`.
    fn next(&mut self, timeout: Duration) -> Item;
}

/// Which events a look into the past wants. Events outside may be given too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// First and last arrival, Unix ms.
    pub arrived_ms: (i64, i64),
    /// Least and greatest own timestamp, Unix ms; `None` for any.
    pub timed_ms: Option<(i64, i64)>,
}

/// Batches of stored events with the sequence of each one's first, the newest stored first.
pub type Stored<'a> = Box<dyn Iterator<Item = (u64, Arc<EventBatch>)> + 'a>;

/// Stored events as they are counted again for a filter: the journal's, or a shared store's.
pub trait Events: Send + Sync {
    /// Gives wanted events, batch by batch; what the filter does not let through may be among them.
    /// Without own timestamps in `wanted` the newest arrived come first, as far as they are of one
    /// instance. `visit` may end it.
    fn each(
        &self,
        filter: &Filter,
        wanted: Wanted,
        visit: &mut dyn FnMut(&EventBatch) -> bool,
    ) -> Result<(), ScanError>;

    /// Every event that arrived from then on (Unix ms) is there; `None` when all ever were.
    fn kept_from_ms(&self) -> Option<i64>;
}

/// What is kept of the events.
pub trait Past: Send + Sync {
    /// A reader of every event that arrived at or after `arrived_ms` (Unix ms), then of those that
    /// come; it may begin a little before.
    fn since(&self, arrived_ms: i64) -> Box<dyn Source>;

    /// Stored events.
    fn stored(&self, wanted: Wanted) -> Stored<'_>;

    /// Every event that arrived from then on (Unix ms) is there; `None` when all ever were.
    fn kept_from_ms(&self) -> Option<i64>;

    /// The last durable event's sequence.
    fn newest_seq(&self) -> u64;
}

/// Nothing is kept: for an aggregator without filtered views.
impl Past for () {
    fn since(&self, _: i64) -> Box<dyn Source> {
        Box::new(())
    }

    fn stored(&self, _: Wanted) -> Stored<'_> {
        Box::new(std::iter::empty())
    }

    fn kept_from_ms(&self) -> Option<i64> {
        Some(i64::MAX)
    }

    fn newest_seq(&self) -> u64 {
        0
    }
}

impl Source for () {
    fn next(&mut self, _: Duration) -> Item {
        Item::Closed
    }
}
