//! From the journal to the shared store: events in order and in batches, aggregates as they change.
//!
//! Pulls at its own pace; a store that is slow or gone costs nothing but disk. What it has made
//! durable there is a sequence number, kept beside the journal, below which the journal may be
//! trimmed.

mod counts;

pub use counts::{Bucket, Changed, Counts, CountsError, is_whole_minutes, start_of};
