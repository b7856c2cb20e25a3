//! How a stage looks to its neighbour: the adapters between the narrow handles each stage asks for
//! and what the next one offers. Translates, decides nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pulseboard::event::EventBatch;
use pulseboard::filter::Filter;
use pulseboard::route::Normaliser;
use pulseboard::wire::server::Aggregate;

use crate::aggregate::{
    self, AtError, FrameSink, Item, Past, Source, Stored, StoredTick, StoredTicks, TickFrame,
    Views, Wanted, Watch,
};
use crate::broadcast::{
    Author, Frames, Histories, HistorySlice, Hub, Publish, Publishing, Refusal, Verdict, View,
    WindowFrame,
};
use crate::clock::Clock;
use crate::ingest::{self, Appended, Durable, DurableHeld, EventLog, Held, Ingest};
use crate::journal::{self, Hold, Journal, ScanRange, Tail, TailItem};
use crate::store::mongodb::Archive;

/// The journal as ingest sees it.
pub(super) struct Log(pub Journal);

impl EventLog for Log {
    fn append(&self, batch: EventBatch) -> Result<Durable, ingest::AppendError> {
        Ok(durable(self.0.append(batch).map_err(append_error)?))
    }

    fn append_unclaimed(&self, batch: EventBatch) -> Result<Durable, ingest::AppendError> {
        Ok(durable(self.0.append_for_good(batch).map_err(append_error)?))
    }

    fn append_held(&self, batch: EventBatch) -> Result<DurableHeld, ingest::AppendError> {
        let pending = self.0.append_held(batch).map_err(append_error)?;
        let journal = self.0.clone();
        Ok(Box::pin(async move {
            let hold = pending.await.map_err(append_error)?;
            Ok(Box::new(Unconfirmed { hold, journal }) as Box<dyn Held>)
        }))
    }
}

fn durable(pending: journal::Pending) -> Durable {
    Box::pin(async move {
        let appended = pending.await.map_err(append_error)?;
        Ok(Appended { first_seq: appended.first_seq, count: appended.count })
    })
}

/// The shared store's seconds as the aggregator sees them.
pub(super) struct Seconds(pub Archive);

impl StoredTicks for Seconds {
    fn node(&self) -> &Arc<str> {
        self.0.node()
    }

    fn each(
        &self,
        range: (i64, i64),
        with_routes: bool,
        visit: &mut dyn FnMut(StoredTick),
    ) -> Result<(), String> {
        let read = self.0.ticks(range, with_routes, &mut |node, tick, revision, summary| {
            visit(StoredTick { node, tick, revision, summary });
        });
        read.map_err(|error| error.to_string())
    }
}

/// Events of the journal that nobody sees yet, as ingest sees them.
struct Unconfirmed {
    hold: Hold,
    journal: Journal,
}

impl Held for Unconfirmed {
    fn appended(&self) -> Appended {
        let (first_seq, end_seq) = (self.hold.first_seq(), self.hold.end_seq());
        Appended { first_seq, count: (end_seq - first_seq) as u32 }
    }

    fn let_go<'a>(
        self: Box<Self>,
        but: &'a [u32],
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        self.release(but, false)
    }

    fn let_go_unclaimed<'a>(
        self: Box<Self>,
        but: &'a [u32],
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        self.release(but, true)
    }
}

impl Unconfirmed {
    /// Nobody waits until readers see them: that depends on what others wrote before.
    fn release<'a>(
        self: Box<Self>,
        but: &'a [u32],
        for_good: bool,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        if but.is_empty() {
            self.hold.release(for_good);
            return Box::pin(std::future::ready(()));
        }
        Box::pin(async move { self.hide(but).await.release(for_good) })
    }

    /// Has readers pass over the events at these places.
    async fn hide(self, places: &[u32]) -> Hold {
        let Self { hold, journal } = self;
        if !places.is_empty() {
            let first_seq = hold.first_seq();
            let seqs: Vec<u64> = places.iter().map(|place| first_seq + u64::from(*place)).collect();
            let written = tokio::task::spawn_blocking(move || journal.tombstone(&seqs)).await;
            if let Ok(Err(error)) = written {
                tracing::error!(%error, "events that another instance took stay in the journal");
            }
        }
        hold
    }
}

fn append_error(error: journal::AppendError) -> ingest::AppendError {
    match error {
        journal::AppendError::DiskFull => ingest::AppendError::DiskFull,
        journal::AppendError::SpoolFull => ingest::AppendError::SpoolFull,
        journal::AppendError::Busy => ingest::AppendError::Busy,
        journal::AppendError::Closed | journal::AppendError::Failed => ingest::AppendError::Closed,
    }
}

/// The journal as the aggregator sees it.
pub(super) struct Counted(pub Tail);

impl Source for Counted {
    fn next(&mut self, timeout: Duration) -> Item {
        match self.0.next(timeout) {
            TailItem::Events { first_seq, batch } => Item::Events { first_seq, batch },
            TailItem::Idle => Item::Idle,
            TailItem::Closed => Item::Closed,
        }
    }
}

/// The journal as views read it again.
pub(super) struct Kept(pub Journal);

impl Past for Kept {
    fn since(&self, arrived_ms: i64) -> Box<dyn Source> {
        Box::new(Counted(self.0.tail_since(arrived_ms)))
    }

    fn stored(&self, wanted: Wanted) -> Stored<'_> {
        let (arrived_from_ms, arrived_to_ms) = wanted.arrived_ms;
        Box::new(self.0.scan(ScanRange {
            arrived_from_ms: Some(arrived_from_ms),
            arrived_to_ms: Some(arrived_to_ms.saturating_add(1)),
            from_ms: wanted.timed_ms.map(|(from_ms, _)| from_ms),
            to_ms: wanted.timed_ms.map(|(_, to_ms)| to_ms.saturating_add(1)),
            ..ScanRange::default()
        }))
    }

    fn kept_from_ms(&self) -> Option<i64> {
        self.0.kept_from_ms()
    }

    fn newest_seq(&self) -> u64 {
        self.0.next_seq() - 1
    }
}

/// Ingest as sockets see it.
pub(super) struct Publisher(pub Ingest);

impl Publish for Publisher {
    fn publish(&self, publishes: Vec<Bytes>, by: &Author) -> Publishing {
        let ingest = self.0.clone();
        let source = ingest::Source {
            grant: Arc::clone(&by.grant),
            budget: by.budget.clone(),
            import: false,
            idempotency_key: None,
        };
        Box::pin(async move {
            let verdicts = ingest.submit_many(publishes, &source).await;
            verdicts.into_iter().map(|verdict| verdict.map(told).map_err(|e| refused(&e))).collect()
        })
    }
}

fn told(verdicts: ingest::Verdicts) -> Verdict {
    Verdict {
        accepted: verdicts.accepted,
        duplicates: verdicts.duplicates,
        rejected: verdicts.rejected,
        rejected_total: verdicts.rejected_total,
    }
}

fn refused(error: &ingest::IngestError) -> Refusal {
    Refusal {
        code: error.code().into(),
        message: error.to_string(),
        retry_after_ms: error.retry_after_ms(),
    }
}

/// The aggregator's read side as the hub sees it.
pub(super) struct Windows {
    pub views: Views,
    pub normaliser: Arc<Normaliser>,
}

impl Histories for Windows {
    fn history(&self, window: &str, since: Option<i64>, until: i64) -> Option<HistorySlice> {
        self.views.history_until(window, since, until).map(history)
    }
}

impl Frames for Windows {
    fn at(&self, window: &str, filter: &Filter, tick: i64) -> Result<Aggregate, Refusal> {
        let found = self.views.through(filter).at(window, tick);
        found.map_err(|error| Refusal::new(at_code(&error), error.to_string()))
    }

    fn filter(&self, expression: &str) -> Result<Filter, Refusal> {
        let filter = Filter::parse(expression, &self.normaliser);
        filter.map_err(|error| Refusal::new("bad_filter", error.to_string()))
    }

    fn watch(&self, filter: Filter) -> Result<Arc<dyn View>, Refusal> {
        match self.views.watch(filter) {
            Ok(watch) => Ok(Arc::new(Watched(watch))),
            Err(error) => Err(Refusal::new("too_many_views", error.to_string())),
        }
    }
}

/// A filtered view as the hub sees it.
struct Watched(Watch);

impl Histories for Watched {
    fn history(&self, window: &str, since: Option<i64>, until: i64) -> Option<HistorySlice> {
        self.0.history_until(window, since, until).map(history)
    }
}

impl View for Watched {
    fn newest(&self) -> Option<(i64, Vec<WindowFrame>)> {
        self.0.latest().map(|frame| (frame.tick, windows(&frame)))
    }
}

fn history(slice: aggregate::HistorySlice) -> HistorySlice {
    HistorySlice { history: slice.history, corrections: slice.corrections }
}

fn windows(frame: &TickFrame) -> Vec<WindowFrame> {
    let window = |window: &aggregate::WindowFrame| WindowFrame {
        window: Arc::clone(&window.window),
        aggregate: Arc::clone(&window.aggregate),
        corrections: window.corrections.clone(),
    };
    frame.windows.iter().map(window).collect()
}

fn at_code(error: &AtError) -> &'static str {
    match error {
        AtError::UnknownWindow => "unknown_room",
        AtError::Ahead { .. } => "tick_ahead",
        AtError::TooOld { .. } => "tick_too_old",
        AtError::Gap { .. } => "tick_gap",
        AtError::Scan(error) => error.code(),
        AtError::Store(_) => "store_unreadable",
    }
}

/// The hub as the aggregator sees it.
pub(super) struct Sockets {
    pub hub: Arc<Hub>,
    pub clock: Clock,
}

impl FrameSink for Sockets {
    fn frame(&self, frame: &Arc<TickFrame>) {
        self.hub.frame(frame.tick, &windows(frame));
        let delay_ms = self.clock.now_ms() - (frame.tick + 1) * 1_000;
        metrics::histogram!("pulseboard_tick_delay_seconds").record(delay_ms.max(0) as f64 / 1e3);
    }

    fn view_frame(&self, key: &Arc<str>, frame: &Arc<TickFrame>) {
        self.hub.view_frame(key, frame.tick, &windows(frame));
    }

    fn views_framed(&self) {
        self.hub.views_framed();
    }
}
