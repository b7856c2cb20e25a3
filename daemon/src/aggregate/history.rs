//! The history every chart starts from: one point a tick and window, for the last hour.
//!
//! It holds points, never sketches: what a point's numbers are is decided by the windows.
//! Written by the aggregator once a tick, read by [`super::Views`].

use pulseboard::wire::server::History;

/// What a snapshot carries besides the newest frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistorySlice {
    /// One entry for every tick from `from` to the newest.
    pub history: History,
    /// The first tick of `history`.
    pub from: i64,
    /// Ticks at or before the client's `since` that changed after it.
    pub corrections: Option<History>,
}
