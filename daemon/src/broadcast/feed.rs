//! What broadcast needs of the stages around it, as narrow as it needs them: frames to send,
//! history to go with them, and somewhere to bring what sessions publish. The app implements these.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use pulseboard::filter::Filter;
use pulseboard::wire::server::{Aggregate, History, Rejection};

use super::admission::Author;

/// One window at a tick, as the aggregator framed it.
#[derive(Clone, Debug)]
pub struct WindowFrame {
    /// `1s`, `5s`, `60s`.
    pub window: Arc<str>,
    /// Its numbers.
    pub aggregate: Arc<Aggregate>,
    /// Columns for earlier ticks that changed since the frame before.
    pub corrections: Option<Arc<History>>,
}

/// History for a snapshot.
#[derive(Clone, Debug, Default)]
pub struct HistorySlice {
    /// The ticks asked for.
    pub history: History,
    /// Columns for ticks at or before `since` that changed after it.
    pub corrections: Option<History>,
}

/// What came before a frame.
pub trait Histories: Send + Sync + 'static {
    /// The ticks of a window after `since`, at most 3,600, or the last 300, up to the frame of
    /// `until`; `None` for a window there is none of. Must not block for long: it is called from
    /// the runtime.
    fn history(&self, window: &str, since: Option<i64>, until: i64) -> Option<HistorySlice>;
}

/// The read side of aggregation.
pub trait Frames: Histories {
    /// A window of what a filter lets through, as it stood at a tick. May read the disk: it is
    /// called where blocking is allowed.
    fn at(&self, window: &str, filter: &Filter, tick: i64) -> Result<Aggregate, Refusal>;
    /// Reads a filter expression as this daemon normalises routes.
    fn filter(&self, expression: &str) -> Result<Filter, Refusal>;
    /// Watches the view of a filter, opening it when there is none. Its frames are brought to
    /// [`super::Hub::view_frame`] for as long as what this gives is held. Must not block for long.
    fn watch(&self, filter: Filter) -> Result<Arc<dyn View>, Refusal>;
}

/// A filtered view that is watched.
pub trait View: Histories {
    /// Its newest frame; `None` while it is being filled.
    fn newest(&self) -> Option<(i64, Vec<WindowFrame>)>;
}

/// The write side: where what a socket publishes goes.
pub trait Publish: Send + Sync + 'static {
    /// Takes several publishes, each the JSON array of its `events`, at once, and answers each, in
    /// order, when what was accepted is on disk. The future is run to its end even if the socket
    /// that published is gone.
    fn publish(&self, publishes: Vec<Bytes>, by: &Author) -> Publishing;
}

/// A group of publishes on its way to disk.
pub type Publishing = Pin<Box<dyn Future<Output = Vec<Result<Verdict, Refusal>>> + Send>>;

/// What became of a publish's events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// New, now on disk.
    pub accepted: u64,
    /// Taken before.
    pub duplicates: u64,
    /// The first 100 that were refused.
    pub rejected: Vec<Rejection>,
    /// All that were refused.
    pub rejected_total: u64,
}

/// A refusal, as the socket tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable snake_case.
    pub code: Cow<'static, str>,
    /// A sentence.
    pub message: String,
    /// When to try again, for what may pass.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal that will not pass by itself.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retry_after_ms: None }
    }
}
