//! Stored history: minutes, each the merge of the events whose own time is in it, and tumbling
//! buckets made of them.
//!
//! Each event is in exactly one minute and so in exactly one bucket. A minute may come in parts,
//! which merge; ranges are widened to whole buckets. It stores nothing itself. Used by the daemon's
//! aggregator and by what answers for ranges of time.

mod buckets;
mod plan;
mod scattered;

pub use buckets::Buckets;
pub use plan::{POINTS_MAX, Plan, PlanError};
pub use scattered::Scattered;

use crate::event::EventRef;

/// Seconds in a rollup.
pub const MINUTE: i64 = 60;

/// The minute a tick is in, in minutes of Unix time.
pub fn minute_of(tick: i64) -> i64 {
    tick.div_euclid(MINUTE)
}

/// The minute an event is counted in, whatever its class: that of its own time, or of its arrival
/// when it was ahead of our clock.
pub fn minute_of_event(event: &EventRef<'_>) -> i64 {
    minute_of(event.tick())
}
