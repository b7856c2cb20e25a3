//! The read side: what the socket's snapshots and the REST API ask of the aggregator.
//!
//! A [`Views`] is cheap to clone and to call from anywhere. It takes the aggregator's lock only to
//! copy pointers, and does its merging on the caller's thread; calls that may read the store say
//! so, and belong on a thread that may block.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pulseboard::filter::Filter;
use pulseboard::rollup::PlanError;
use pulseboard::window::{RouteSort, Routes};
use pulseboard::wire::server::Aggregate;

use super::history::HistorySlice;
use super::open_views::{OpenError, OpenViews};
use super::scan::ScanError;
use super::shared::Shared;
use super::through::Through;
use super::view::Watch;
use super::{TickFrame, looking_back, ranges};
use crate::store::embedded::StoreError;

/// No window of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such window")]
pub struct WindowError;

/// A question about a range that has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// `from` is not before `to`.
    #[error("`from` must be before `to`")]
    Empty,
    /// Steps over a minute are whole minutes.
    #[error("a step of {step_secs} s does not fit: below 60 s any, above it whole minutes")]
    BadStep {
        /// As asked for.
        step_secs: u32,
    },
    /// Seconds are kept for two hours.
    #[error(
        "steps under 60 s reach back to {oldest_ms} (Unix ms); from before it, the smallest is 60s"
    )]
    TooFine {
        /// The earliest `from` such a step may have, Unix ms.
        oldest_ms: i64,
    },
    /// More than 10,000 points.
    #[error("that would be {points} points, of 10,000 allowed; the smallest step is {step_secs}s")]
    TooManyPoints {
        /// What was asked for.
        points: u64,
        /// The smallest step that is allowed for this range, in seconds.
        step_secs: u32,
    },
    /// A filtered one that cannot be answered.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The store could not be read.
    #[error("the store could not be read: {0}")]
    Store(String),
}

/// Why there is no aggregate of that tick.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AtError {
    /// No window of that name.
    #[error("there is no such window")]
    UnknownWindow,
    /// That tick is not over.
    #[error("tick {tick} is not over; the newest is {newest}")]
    Ahead {
        /// As asked for.
        tick: i64,
        /// The newest framed tick.
        newest: i64,
    },
    /// Older than what is kept.
    #[error("tick {tick} is no longer kept; the oldest is {oldest}")]
    TooOld {
        /// As asked for.
        tick: i64,
        /// The oldest tick that could be kept.
        oldest: i64,
    },
    /// Nobody was up then.
    #[error("nobody was up at tick {tick}")]
    Gap {
        /// As asked for.
        tick: i64,
    },
    /// It would have to be counted from the events.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The store could not be read.
    #[error("the store could not be read: {0}")]
    Store(String),
}

/// A wait that ended without what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewsError {
    /// Not in time.
    #[error("not yet counted")]
    TimedOut,
    /// The aggregator has stopped.
    #[error("the aggregator has stopped")]
    Stopped,
}

/// Tumbling buckets of a range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RangeHistory {
    /// Length of a bucket, in seconds.
    pub step_secs: u32,
    /// Start of the first bucket, Unix ms.
    pub from_ms: i64,
    /// End of the last bucket, Unix ms.
    pub to_ms: i64,
    /// One entry a bucket; `tick` is the bucket's first second.
    pub history: pulseboard::wire::server::History,
}

/// Figures for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// The last event counted.
    pub applied_seq: u64,
    /// The last event whose numbers are in the store.
    pub stored_seq: u64,
    /// The newest framed tick.
    pub tick: i64,
    /// How far counting was behind accepting at the last frame, ms.
    pub behind_ms: u64,
    /// How long after its deadline the last frame left, ms.
    pub frame_delay_ms: f64,
    /// How long the last frame took to make, ms.
    pub frame_work_ms: f64,
    /// Events that came too late for their tick, since start.
    pub late_total: u64,
    /// Events from clocks ahead of ours, since start.
    pub skewed_total: u64,
    /// How long the last commit took, ms.
    pub commit_ms: f64,
    /// The last commit failed and is being tried again.
    pub store_fails: bool,
    /// Ticks of peers that were heard and not joined, being too old or too many, since start.
    pub heard_refused: u64,
    /// Memory of peers' ticks that is held to join them, about.
    pub heard_bytes: usize,
    /// Filtered views that are open.
    pub views: usize,
    /// Views that were not opened, there being as many as there may be, since start.
    pub views_refused: u64,
    /// How long the last view took to fill, from its opening, ms.
    pub view_fill_ms: f64,
}

/// The read side of the aggregator.
#[derive(Clone)]
pub struct Views(pub(super) Arc<Shared>);

impl Views {
    /// The newest frame. Never blocks.
    pub fn latest(&self) -> Arc<TickFrame> {
        self.0.latest.load_full()
    }

    /// The history that goes with the frame of tick `until` (pass that of [`Views::latest`]): every
    /// tick after `since`, at most 3,600 of them, or the last 300; and, with `since`, corrections
    /// of what was before it. `None` for an unknown window. Never blocks for long.
    pub fn history_until(
        &self,
        window: &str,
        since: Option<i64>,
        until: i64,
    ) -> Option<HistorySlice> {
        let index = self.0.window(window)?;
        Some(self.0.histories.read()[index].slice(since, until))
    }

    /// [`Views::history_until`] the newest frame.
    pub fn history(&self, window: &str, since: Option<i64>) -> Option<HistorySlice> {
        self.history_until(window, since, self.latest().tick)
    }

    /// A window as it was at a tick of the last 24 hours. May read the store.
    pub fn at(&self, window: &str, tick: i64) -> Result<Aggregate, AtError> {
        looking_back::at(&self.0, window, tick)
    }

    /// The routes of a live window, at most `limit` of them (20,000 is the most). Merges on the
    /// caller's thread: some ms for thousands of routes.
    pub fn window_routes(
        &self,
        window: &str,
        sort: RouteSort,
        limit: usize,
    ) -> Result<Routes, WindowError> {
        looking_back::window_routes(&self.0, window, sort, limit)
    }

    /// The routes of every minute that touches `from_ms..to_ms`. Reads the store.
    pub fn range_routes(
        &self,
        from_ms: i64,
        to_ms: i64,
        sort: RouteSort,
        limit: usize,
    ) -> Result<Routes, RangeError> {
        ranges::routes(&self.0, (from_ms, to_ms), sort, limit)
    }

    /// Tumbling buckets of `from_ms..to_ms`, each event in exactly one; no step: one that gives
    /// 300 to 1,000 points where the range allows it. Reads the store.
    pub fn range_history(
        &self,
        from_ms: i64,
        to_ms: i64,
        step_secs: Option<u32>,
    ) -> Result<RangeHistory, RangeError> {
        ranges::history(&self.0, (from_ms, to_ms), step_secs)
    }

    /// The same questions of what a filter lets through.
    pub fn through<'a>(&'a self, filter: &'a Filter) -> Through<'a> {
        Through { views: self, filter, events: None }
    }

    /// Watches the view of a filter, which is opened when nobody does yet: it is filled back from
    /// the journal meanwhile. Never blocks for long.
    pub fn watch(&self, filter: Filter) -> Result<Watch, OpenError> {
        OpenViews::watch(&self.0, filter)
    }

    /// Sets how many filtered views may be open from now on. Those that are watched stay.
    pub fn allow_views(&self, views: usize) {
        self.0.views_max.store(views, Ordering::Relaxed);
    }

    /// Blocks until event `seq` is in the numbers, so that a query after it sees it.
    pub fn wait_applied(&self, seq: u64, timeout: Duration) -> Result<(), ViewsError> {
        self.0.wait_applied(seq, timeout)
    }

    /// The last event counted; 0 before the first.
    pub fn applied_seq(&self) -> u64 {
        self.0.applied_seq()
    }

    /// Figures for metrics.
    pub fn stats(&self) -> Stats {
        let views = self.0.open.len();
        Stats { applied_seq: self.applied_seq(), views, ..*self.0.stats.lock() }
    }
}

impl From<PlanError> for RangeError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Empty => Self::Empty,
            PlanError::BadStep { step_secs } => Self::BadStep { step_secs },
            PlanError::TooFine { oldest_ms } => Self::TooFine { oldest_ms },
            PlanError::TooManyPoints { points, step_secs } => {
                Self::TooManyPoints { points, step_secs }
            }
        }
    }
}

impl From<StoreError> for RangeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}
