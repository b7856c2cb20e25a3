//! Where the aggregator pulls events from: the journal, as it needs to know it.

use std::sync::Arc;
use std::time::Duration;

use pulseboard::event::EventBatch;

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
