//! Turns journaled events into ticks, windows and rollups, and frames of them every second.
//!
//! One thread owns all of that state: it pulls events by sequence number, cuts time in ticks, and
//! hands a [`TickFrame`] to its [`FrameSink`] when a tick is over. Everyone else reads through
//! [`Views`]. Filtered views are counted by the same code on a thread of their own, after a third has
//! filled them back from the journal. It never waits for readers or for the disk, and it never decides whether an event
//! counts: that was decided when the event was journaled. Started by `app`.

mod backfill;
mod board;
mod buckets;
mod filler;
mod history;
mod joined;
mod looking_back;
mod open_views;
mod peers;
mod ranges;
mod rounds;
mod scan;
mod shared;
mod source;
mod state;
#[cfg(test)]
mod tests;
mod through;
mod view;
mod view_worker;
mod views;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use pulseboard::wire::server::{Aggregate, History};

use crate::clock::Clock;
use crate::store::embedded::Store;
use backfill::Backfill;
use filler::Filler;
use shared::Shared;
use state::State;
use view_worker::ViewWorker;
use worker::Worker;

pub use backfill::{StoredTick, StoredTicks};
pub use board::Board;
pub use history::HistorySlice;
pub use open_views::OpenError;
pub use peers::{Counted, Heard, Peers, Standing};
pub use pulseboard::window::{RouteSort, Routes};
pub use scan::ScanError;
pub use source::{Events, Item, Past, Source, Stored, Wanted};
pub use through::{RoutesError, Through};
pub use view::Watch;
pub use views::{AtError, RangeError, RangeHistory, Stats, Views, ViewsError, WindowError};

/// What the aggregator is told at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Lengths of the windows, in seconds, each at least 1; `[1, 5, 60]`.
    pub windows_secs: Vec<u32>,
    /// How long after a tick's end its frame leaves, in ms; at most 900.
    pub grace_ms: u64,
    /// Distinct routes a tick admits; the events of others are counted in `otherRoutes`.
    pub routes_per_tick: usize,
    /// Filtered views open at a time, at the start.
    pub views: usize,
    /// What frames say is not as it should be.
    pub board: Board,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            windows_secs: vec![1, 5, 60],
            grace_ms: 250,
            routes_per_tick: pulseboard::limits::ROUTES_PER_TICK,
            views: 64,
            board: Board::default(),
        }
    }
}

impl Settings {
    /// When the frame of a tick leaves, Unix ms.
    fn due_ms(&self, tick: i64) -> i64 {
        (tick + 1) * 1_000 + self.grace_ms as i64
    }

    /// The newest tick whose frame is due.
    fn due_tick(&self, now_ms: i64) -> i64 {
        (now_ms - self.grace_ms as i64).div_euclid(1_000) - 1
    }
}

/// Starts counting behind what the store holds. `source` must give the events after
/// `store.applied_seq()`; `past` is where views are filled from; `peers` are the other instances, `()`
/// where there are none; `sink` is given every frame.
pub fn spawn(
    source: impl Source + 'static,
    past: Arc<dyn Past>,
    clock: Clock,
    settings: Settings,
    store: Store,
    peers: Arc<dyn Peers>,
    sink: Arc<dyn FrameSink>,
) -> std::io::Result<Handle> {
    let stages = build(Box::new(source), past, clock, settings, store, peers, sink)?;
    let Stages { shared, worker, filler, view_worker, backfill } = stages;
    let stop = Arc::new(AtomicBool::new(false));
    let start = |name: &str, run: Box<dyn FnOnce(&AtomicBool) + Send>| {
        let seen = Arc::clone(&stop);
        std::thread::Builder::new().name(name.into()).spawn(move || run(&seen))
    };
    let threads = vec![
        start("aggregate", Box::new(|stop| worker.run(stop)))?,
        start("views", Box::new(|stop| view_worker.run(stop)))?,
        start("view-fill", Box::new(|stop| filler.run(stop)))?,
        start("backfill", Box::new(|stop| backfill.run(stop)))?,
    ];
    Ok(Handle { views: Views(shared), stop, threads: Mutex::new(threads) })
}

/// What the threads run.
struct Stages {
    shared: Arc<Shared>,
    worker: Worker,
    filler: Filler,
    view_worker: ViewWorker,
    backfill: Backfill,
}

fn build(
    source: Box<dyn Source>,
    past: Arc<dyn Past>,
    clock: Clock,
    settings: Settings,
    store: Store,
    peers: Arc<dyn Peers>,
    sink: Arc<dyn FrameSink>,
) -> std::io::Result<Stages> {
    let (loaded, writer, reader) = store.into_parts();
    let (mut state, histories) = State::restore(&settings, loaded, clock.now_ms());
    if peers.is_cluster() {
        state.join_peers(None);
    }
    let shared = Shared::new(settings, (state, histories), reader, clock.clone(), past, peers);
    let shared = Arc::new(shared);
    let filler = Filler::new(Arc::clone(&shared), Arc::clone(&sink));
    let view_worker = ViewWorker::new(Arc::clone(&shared), Arc::clone(&sink));
    let worker = Worker::new(Arc::clone(&shared), clock, source, sink, writer)?;
    let backfill = Backfill::new(Arc::clone(&shared));
    Ok(Stages { shared, worker, filler, view_worker, backfill })
}

/// A running aggregator.
pub struct Handle {
    views: Views,
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Handle {
    /// The read side.
    pub fn views(&self) -> Views {
        self.views.clone()
    }

    /// From now on the hour that is shown is filled from this store where peers told nothing.
    pub fn fill_from(&self, stored: Arc<dyn StoredTicks>) {
        // A second one is not looked at.
        let _ = self.views.0.stored_ticks.set(stored);
    }

    /// Counts what is durable by now, stores it, and ends. Blocks, some ms as a rule, 10 s at most;
    /// a second call does nothing.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.views.0.open.stop();
        for thread in self.threads.lock().drain(..) {
            // A panic there was reported by its thread.
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
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

    /// A tick is over in the view of a filter, given as [`Watch::key`]; or the view was filled, and
    /// this is how it stands. Called on the views' threads.
    fn view_frame(&self, _key: &Arc<str>, _frame: &Arc<TickFrame>) {}

    /// All views there are have framed.
    fn views_framed(&self) {}
}

/// A sink for those who only read through [`Views`].
impl FrameSink for () {
    fn frame(&self, _: &Arc<TickFrame>) {}
}

/// The name of a window of so many seconds: `5s`.
pub fn window_name(secs: u32) -> Arc<str> {
    format!("{secs}s").into()
}
