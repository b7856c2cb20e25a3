//! Numbers to broadcast and a place to publish to, both made up and both repeatable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use pulseboard::filter::Filter;
use pulseboard::route::Normaliser;
use pulseboard::wire::server::{Aggregate, History, Latency, Nodes, OtherRoutes, RouteRow};
use pulseboardd::broadcast::{
    Author, Frames, Histories, HistorySlice, Hub, Publish, Publishing, Refusal, Verdict, View,
    WindowFrame,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Semaphore;

pub(crate) const FIRST_TICK: i64 = 1_763_884_000;

/// An aggregator that makes its numbers up from a seed.
pub(crate) struct Feed {
    state: Mutex<State>,
    /// By canonical text, each with numbers of its own.
    views: Mutex<BTreeMap<String, Arc<Feed>>>,
    /// How many times the hub watches one.
    pub(crate) watched: Arc<AtomicUsize>,
    /// Bytes of text each frame carries besides its numbers, so that buffers fill sooner.
    pub(crate) padding: AtomicUsize,
}

struct State {
    rng: StdRng,
    next: i64,
    windows: Vec<Arc<str>>,
    /// By window, every tick so far, as corrected.
    ticks: BTreeMap<Arc<str>, BTreeMap<i64, Aggregate>>,
    /// By window, ticks that changed, with the tick of the frame that told.
    changed: BTreeMap<Arc<str>, Vec<(i64, i64)>>,
}

impl Feed {
    pub(crate) fn new(seed: u64, windows: &[Arc<str>]) -> Arc<Self> {
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            next: FIRST_TICK,
            windows: windows.to_vec(),
            ticks: BTreeMap::new(),
            changed: BTreeMap::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            views: Mutex::default(),
            watched: Arc::default(),
            padding: AtomicUsize::new(0),
        })
    }

    /// Makes the next tick, now and then with corrections to earlier ones, and frames it.
    pub(crate) fn tick(&self, hub: &Hub) -> i64 {
        let (tick, frames) = self.frame();
        hub.frame(tick, &frames);
        tick
    }

    /// Makes the next tick of a filtered view that somebody watches.
    pub(crate) fn view_tick(&self, hub: &Hub, filter: &str) -> i64 {
        let view = self.view(filter);
        let (tick, frames) = view.frame();
        hub.view_frame(filter, tick, &frames);
        hub.views_framed();
        tick
    }

    /// A filtered view that was ever watched, by its canonical text.
    pub(crate) fn view(&self, filter: &str) -> Arc<Feed> {
        Arc::clone(&self.views.lock()[filter])
    }

    fn frame(&self) -> (i64, Vec<WindowFrame>) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let tick = state.next;
        state.next += 1;
        let mut frames = Vec::new();
        for window in &state.windows {
            let ticks = state.ticks.entry(window.clone()).or_default();
            let mut corrected = Vec::new();
            if state.rng.random_bool(0.3) {
                for (earlier, aggregate) in ticks.iter_mut().rev().take(5) {
                    if state.rng.random_bool(0.5) {
                        aggregate.events += 1;
                        aggregate.active_users += 1;
                        state.changed.entry(window.clone()).or_default().push((*earlier, tick));
                        corrected.push(aggregate.clone());
                    }
                }
                corrected.reverse();
            }
            let padding = self.padding.load(Ordering::Relaxed);
            let aggregate = made_up(&mut state.rng, window, tick, padding);
            ticks.insert(tick, aggregate.clone());
            frames.push(WindowFrame {
                window: window.clone(),
                aggregate: Arc::new(aggregate),
                corrections: (!corrected.is_empty()).then(|| Arc::new(columns(&corrected))),
            });
        }
        (tick, frames)
    }

    /// Lets a tick pass without a frame, as when the machine slept.
    pub(crate) fn skip(&self) {
        self.state.lock().next += 1;
    }

    /// The history of a window as it is now, from a tick on.
    pub(crate) fn truth(&self, window: &str, from: i64) -> History {
        let state = self.state.lock();
        let rows: Vec<_> = state.ticks[window].range(from..).map(|(_, row)| row.clone()).collect();
        columns(&rows)
    }
}

impl Histories for Feed {
    fn history(&self, window: &str, since: Option<i64>, until: i64) -> Option<HistorySlice> {
        let state = self.state.lock();
        let ticks = state.ticks.get(window)?;
        let from = match since {
            Some(since) => (since + 1).max(until - 3_599),
            None => until - 299,
        };
        let end = (until + 1).max(from);
        let rows: Vec<_> = ticks.range(from..end).map(|(_, row)| row.clone()).collect();
        let corrected: Vec<_> = since
            .map(|since| {
                let changed = state.changed.get(window).map(Vec::as_slice).unwrap_or_default();
                let mut ticks_changed: Vec<_> = changed
                    .iter()
                    .filter(|(tick, told)| *tick <= since && *told > since && *told <= until)
                    .map(|(tick, _)| *tick)
                    .collect();
                ticks_changed.sort_unstable();
                ticks_changed.dedup();
                ticks_changed.iter().map(|tick| ticks[tick].clone()).collect()
            })
            .unwrap_or_default();
        let corrections = (!corrected.is_empty()).then(|| columns(&corrected));
        Some(HistorySlice { history: columns(&rows), corrections })
    }
}

impl Frames for Feed {
    fn at(&self, window: &str, filter: &Filter, tick: i64) -> Result<Aggregate, Refusal> {
        if !filter.is_empty() {
            let view = self.views.lock().get(&filter.to_string()).cloned();
            let view = view.ok_or_else(|| Refusal::new("tick_unknown", "nobody watches"))?;
            return view.at(window, &Filter::default(), tick);
        }
        let state = self.state.lock();
        let found = state.ticks.get(window).and_then(|ticks| ticks.get(&tick));
        found.cloned().ok_or_else(|| Refusal::new("tick_unknown", "no such tick"))
    }

    fn filter(&self, expression: &str) -> Result<Filter, Refusal> {
        let plain = Normaliser::new::<&str>(false, &[]).unwrap();
        let filter = Filter::parse(expression, &plain);
        filter.map_err(|error| Refusal::new("bad_filter", error.to_string()))
    }

    fn watch(&self, filter: Filter) -> Result<Arc<dyn View>, Refusal> {
        let mut views = self.views.lock();
        if views.len() == VIEWS_MAX && !views.contains_key(&filter.to_string()) {
            return Err(Refusal::new("too_many_views", "there are as many as there may be"));
        }
        let seed = filter.to_string().bytes().map(u64::from).sum();
        let windows = self.state.lock().windows.clone();
        let view = views.entry(filter.to_string()).or_insert_with(|| Feed::new(seed, &windows));
        self.watched.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Watched { view: Arc::clone(view), watched: Arc::clone(&self.watched) }))
    }
}

/// Views there may be.
pub(crate) const VIEWS_MAX: usize = 2;

/// A filtered view: numbers made up from another seed.
struct Watched {
    view: Arc<Feed>,
    watched: Arc<AtomicUsize>,
}

impl Histories for Watched {
    fn history(&self, window: &str, since: Option<i64>, until: i64) -> Option<HistorySlice> {
        self.view.history(window, since, until)
    }
}

impl View for Watched {
    fn newest(&self) -> Option<(i64, Vec<WindowFrame>)> {
        let state = self.view.state.lock();
        let tick = state.next - 1;
        let frame = |window: &Arc<str>| {
            let aggregate = Arc::new(state.ticks.get(window)?.get(&tick)?.clone());
            Some(WindowFrame { window: window.clone(), aggregate, corrections: None })
        };
        Some((tick, state.windows.iter().map(frame).collect::<Option<_>>()?))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watched.fetch_sub(1, Ordering::Relaxed);
    }
}

fn made_up(rng: &mut StdRng, window: &str, tick: i64, padding: usize) -> Aggregate {
    let events = rng.random_range(0..50);
    let errors = rng.random_range(0..=events / 4);
    let classes = ["2xx", "3xx", "4xx", "5xx"];
    let mut status_classes = BTreeMap::new();
    for class in classes {
        if rng.random_bool(0.5) {
            status_classes.insert(class.to_owned(), rng.random_range(1..20));
        }
    }
    let latency = events > 0 && rng.random_bool(0.8);
    let route = format!("/r{}{}", rng.random_range(0..3), "x".repeat(padding));
    Aggregate {
        window: window.to_owned(),
        tick,
        from: tick * 1_000,
        to: (tick + 1) * 1_000,
        events,
        events_per_second: short(events as f64 / 7.0),
        active_users: rng.random_range(0..20),
        active_sessions: rng.random_range(0..2),
        errors,
        error_rate: (events > 0).then(|| short(errors as f64 / events as f64)),
        status_classes,
        types: BTreeMap::from([("page_view".to_owned(), events)]),
        latency_ms: latency.then(|| Latency {
            count: events,
            p50: short(rng.random_range(0.0..10.0)),
            p95: short(rng.random_range(10.0..20.0)),
            p99: short(rng.random_range(20.0..30.0)),
            max: 31.5,
        }),
        top_routes: vec![RouteRow {
            route: route.into(),
            events,
            errors,
            error_rate: 0.25,
            p95: None,
        }],
        other_routes: OtherRoutes::default(),
        late: 0,
        skewed: 0,
        last_event_at: (events > 0).then_some(tick * 1_000 + 5),
        behind_ms: 0,
        nodes: Nodes { reporting: 1, expected: 1 },
        notices: Vec::new(),
    }
}

/// A number of few digits, which every JSON reader reads back as it was.
fn short(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

fn columns(rows: &[Aggregate]) -> History {
    let mut history = History::default();
    let classes: std::collections::BTreeSet<&String> =
        rows.iter().flat_map(|row| row.status_classes.keys()).collect();
    for row in rows {
        history.tick.push(row.tick);
        history.events.push(Some(row.events));
        history.active_users.push(Some(row.active_users));
        history.errors.push(Some(row.errors));
        history.p50.push(row.latency_ms.map(|latency| latency.p50));
        history.p95.push(row.latency_ms.map(|latency| latency.p95));
        history.p99.push(row.latency_ms.map(|latency| latency.p99));
    }
    for class in classes {
        let column =
            rows.iter().map(|row| Some(row.status_classes.get(class).copied().unwrap_or(0)));
        history.status_classes.insert(class.clone(), column.collect());
    }
    history
}

/// A pipeline that takes everything: each item of a publish counts as accepted, in groups that
/// wait for the gate where it is shut.
pub(crate) struct Sink {
    pub(crate) groups: Mutex<Vec<usize>>,
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) finished: Arc<AtomicUsize>,
    /// Who published, group by group.
    pub(crate) subjects: Mutex<Vec<Arc<str>>>,
}

impl Sink {
    pub(crate) fn open() -> Arc<Self> {
        Self::with_gate(Semaphore::MAX_PERMITS)
    }

    /// Lets so many groups through; more when the test adds permits.
    pub(crate) fn with_gate(groups: usize) -> Arc<Self> {
        Arc::new(Self {
            groups: Mutex::default(),
            gate: Arc::new(Semaphore::new(groups)),
            finished: Arc::default(),
            subjects: Mutex::default(),
        })
    }
}

impl Publish for Sink {
    fn publish(&self, publishes: Vec<Bytes>, by: &Author) -> Publishing {
        self.subjects.lock().push(by.grant.subject.clone());
        self.groups.lock().push(publishes.len());
        let (gate, finished) = (self.gate.clone(), self.finished.clone());
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            finished.fetch_add(1, Ordering::SeqCst);
            publishes.iter().map(verdict).collect()
        })
    }
}

fn verdict(events: &Bytes) -> Result<Verdict, Refusal> {
    let Ok(items) = serde_json::from_slice::<Vec<serde_json::Value>>(events) else {
        return Err(Refusal::new("bad_json", "not an array of events"));
    };
    if items.is_empty() {
        let mut refusal = Refusal::new("busy", "try later");
        refusal.retry_after_ms = Some(120);
        return Err(refusal);
    }
    Ok(Verdict { accepted: items.len() as u64, ..Verdict::default() })
}
