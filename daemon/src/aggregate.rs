//! Turns journaled events into ticks, windows and rollups, and frames of them every second.
//!
//! One thread owns all of that state: it pulls events by sequence number, cuts time in ticks, and
//! hands a [`TickFrame`] to its [`FrameSink`] when a tick is over. Everyone else reads through
//! [`Views`]. It never waits for readers or for the disk, and it never decides whether an event
//! counts: that was decided when the event was journaled. Started by `app`.

mod history;
mod views;

use std::sync::Arc;

use pulseboard::wire::server::{Aggregate, History};

pub use history::HistorySlice;
pub use views::{
    AtError, RangeError, RangeHistory, RouteSort, Routes, Stats, Views, ViewsError, WindowError,
};

/// What the aggregator is told at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Lengths of the windows, in seconds, each at least 1; `[1, 5, 60]`.
    pub windows_secs: Vec<u32>,
    /// How long after a tick's end its frame leaves, in ms; at most 900.
    pub grace_ms: u64,
    /// Distinct routes a tick admits; the events of others are counted in `otherRoutes`.
    pub routes_per_tick: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            windows_secs: vec![1, 5, 60],
            grace_ms: 250,
            routes_per_tick: pulseboard::limits::ROUTES_PER_TICK,
        }
    }
}

/// Every window as it stood when a tick was over. `tick` grows by one from frame to frame, except
/// after the machine slept or the aggregator was stopped for over 10 s: then it jumps, once.
#[derive(Clone, Debug)]
pub struct TickFrame {
    /// The tick that is over.
    pub tick: i64,
    /// One for each window, in the order of the settings.
    pub windows: Vec<WindowFrame>,
}

/// One window of a [`TickFrame`].
#[derive(Clone, Debug)]
pub struct WindowFrame {
    /// `5s`.
    pub window: Arc<str>,
    /// Its numbers.
    pub aggregate: Arc<Aggregate>,
    /// History columns of earlier ticks that changed since the last frame.
    pub corrections: Option<Arc<History>>,
}

/// Who is given every frame: the broadcast hub. Called on the aggregator's thread, so it must
/// only hand the frame on.
pub trait FrameSink: Send + Sync {
    /// A tick is over.
    fn frame(&self, frame: &Arc<TickFrame>);
}

/// A sink for those who only read through [`Views`].
impl FrameSink for () {
    fn frame(&self, _: &Arc<TickFrame>) {}
}

/// The name of a window of so many seconds: `5s`.
pub fn window_name(secs: u32) -> Arc<str> {
    format!("{secs}s").into()
}
