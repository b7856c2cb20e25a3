//! An aggregator on a clock that stands, and a log of events that outlives it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pulseboard::event::{Class, EventBatch, Row};
use tempfile::TempDir;

use crate::aggregate::backfill::{Backfill, PAUSE, StoredTicks};
use crate::aggregate::filler::Filler;
use crate::aggregate::shared::Shared;
use crate::aggregate::view_worker::ViewWorker;
use crate::aggregate::worker::{Step, Worker};
use crate::aggregate::{
    FrameSink, Item, Past, Peers, Settings, Source, Stages, Stored, TickFrame, Views, Wanted, build,
};
use crate::clock::Clock;
use crate::store::embedded::Store;

/// The first tick of every test; the start of a minute.
pub(super) const START: i64 = 1_763_884_800;

/// An event of a test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) arrival_ms: i64,
    pub(super) at_ms: i64,
    pub(super) class: Class,
    pub(super) route: u8,
    pub(super) user: u16,
    pub(super) status: u16,
    pub(super) latency_ms: f64,
}

impl Event {
    pub(super) fn at(ms: i64) -> Self {
        let class = Class::Live;
        Self { arrival_ms: ms, at_ms: ms, class, route: 1, user: 1, status: 200, latency_ms: 20.0 }
    }
}

pub(super) fn batch(events: &[Event]) -> EventBatch {
    let mut batch = EventBatch::default();
    for event in events {
        let row = Row {
            arrival_ms: event.arrival_ms,
            timestamp_ms: event.at_ms,
            latency_ms: event.latency_ms,
            kind: batch.add_text("view"),
            route: batch.add_text(&format!("/r/{}", event.route)),
            user_id: batch.add_text(&format!("u{}", event.user)),
            status: event.status,
            class: event.class,
            ..Row::default()
        };
        batch.push(row);
    }
    batch
}

/// What the journal is to an aggregator.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<Item>>>);

impl Log {
    fn push(&self, events: &[Event]) -> u64 {
        let first_seq = self.next_seq();
        let batch = Arc::new(batch(events));
        self.0.lock().push(Item::Events { first_seq, batch });
        self.next_seq() - 1
    }

    pub(super) fn next_seq(&self) -> u64 {
        let last = self.0.lock().last().cloned();
        match last {
            Some(Item::Events { first_seq, batch }) => first_seq + batch.len() as u64,
            _ => 1,
        }
    }
}

struct Tail {
    log: Log,
    read: usize,
}

impl Source for Tail {
    fn next(&mut self, _: Duration) -> Item {
        let item = self.log.0.lock().get(self.read).cloned();
        self.read += usize::from(item.is_some());
        item.unwrap_or(Item::Idle)
    }
}

impl Past for Log {
    fn since(&self, arrived_ms: i64) -> Box<dyn Source> {
        let arrived = |item: &Item| match item {
            Item::Events { batch, .. } => batch.rows().iter().any(|r| r.arrival_ms >= arrived_ms),
            _ => true,
        };
        let first = self.0.lock().iter().position(arrived);
        Box::new(Tail { log: self.clone(), read: first.unwrap_or(self.0.lock().len()) })
    }

    fn stored(&self, wanted: Wanted) -> Stored<'_> {
        let outside = |(from, to): (i64, i64), ms: i64| ms < from || ms > to;
        let items = self.0.lock().clone();
        let batches = items.into_iter().rev().filter_map(move |item| match item {
            Item::Events { first_seq, batch } => Some((first_seq, batch)),
            _ => None,
        });
        Box::new(batches.filter(move |(_, batch)| {
            let arrived = batch.rows().iter().any(|r| !outside(wanted.arrived_ms, r.arrival_ms));
            let timed = |timed_ms| batch.rows().iter().any(|r| !outside(timed_ms, r.timestamp_ms));
            arrived && wanted.timed_ms.is_none_or(timed)
        }))
    }

    fn kept_from_ms(&self) -> Option<i64> {
        None
    }

    fn newest_seq(&self) -> u64 {
        self.next_seq() - 1
    }
}

#[derive(Default)]
struct Frames {
    main: Mutex<VecDeque<Arc<TickFrame>>>,
    views: Mutex<Vec<(Arc<str>, Arc<TickFrame>)>>,
}

impl FrameSink for Frames {
    fn frame(&self, frame: &Arc<TickFrame>) {
        self.main.lock().push_back(Arc::clone(frame));
    }

    fn view_frame(&self, key: &Arc<str>, frame: &Arc<TickFrame>) {
        self.views.lock().push((Arc::clone(key), Arc::clone(frame)));
    }
}

pub(super) struct Aggregator {
    pub(super) dir: TempDir,
    pub(super) clock: Clock,
    pub(super) views: Views,
    pub(super) log: Log,
    pub(super) shared: Arc<Shared>,
    worker: Option<Worker>,
    filler: Filler,
    view_worker: ViewWorker,
    backfill: Backfill,
    frames: Arc<Frames>,
    peers: Arc<dyn Peers>,
}

impl Aggregator {
    /// In an empty directory, when the frame before tick [`START`] was due.
    pub(super) fn fresh() -> Self {
        Self::open(TempDir::new().unwrap(), Log::default(), START * 1_000 + 250)
    }

    /// In a directory, over a log, at a time.
    pub(super) fn open(dir: TempDir, log: Log, now_ms: i64) -> Self {
        Self::among(Arc::new(()), dir, log, now_ms)
    }

    /// The same, among peers.
    pub(super) fn among(peers: Arc<dyn Peers>, dir: TempDir, log: Log, now_ms: i64) -> Self {
        let clock = Clock::manual(now_ms);
        let store = Store::open(dir.path(), log.next_seq(), 60).unwrap();
        let frames = Arc::new(Frames::default());
        // The log is read from its start: what is counted already must be passed over.
        let tail = Box::new(Tail { log: log.clone(), read: 0 });
        let sink = Arc::clone(&frames) as Arc<dyn FrameSink>;
        let settings = Settings { views: 3, ..Settings::default() };
        let past = Arc::new(log.clone());
        let Stages { shared, worker, filler, view_worker, backfill } =
            build(tail, past, clock.clone(), settings, store, Arc::clone(&peers), sink).unwrap();
        let views = Views(Arc::clone(&shared));
        let worker = Some(worker);
        Self {
            dir,
            clock,
            views,
            log,
            shared,
            worker,
            filler,
            view_worker,
            backfill,
            frames,
            peers,
        }
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Journals events. The last one's sequence number.
    pub(super) fn send(&self, events: &[Event]) -> u64 {
        self.log.push(events)
    }

    pub(super) fn step(&mut self) -> bool {
        self.worker.as_mut().unwrap().step(Duration::ZERO) == Step::Went
    }

    /// Fills views and brings them to where the main view is.
    pub(super) fn step_views(&mut self) {
        while self.filler.step(Duration::ZERO) {}
        while self.view_worker.step(Duration::ZERO) == Step::Went {}
    }

    /// Fills the hour from a store that was not known before.
    pub(super) fn fill_from(&mut self, stored: Arc<dyn StoredTicks>) {
        assert!(self.shared.stored_ticks.set(stored).is_ok());
    }

    /// Reads from the shared store all that is to be read now.
    pub(super) fn backfill(&mut self) {
        while self.backfill.step() == PAUSE {}
    }

    /// Counts what was sent, and then does all that is due at a time.
    pub(super) fn run_to(&mut self, now_ms: i64) {
        while self.step() {}
        self.step_views();
        self.clock.set_ms(now_ms);
        while self.step() {}
        self.step_views();
    }

    /// Lets ticks pass, one by one, and leaves a moment after the last one's frame.
    pub(super) fn run_ticks(&mut self, ticks: usize) {
        for _ in 0..ticks {
            let next = self.views.latest().tick + 1;
            self.run_to((next + 1) * 1_000 + 250);
        }
    }

    /// Time passes while nobody is up.
    pub(super) fn jump_secs(&mut self, secs: i64) {
        self.run_to(self.now_ms() + secs * 1_000);
    }

    /// The frames that left since the last call.
    pub(super) fn frames(&self) -> Vec<Arc<TickFrame>> {
        self.frames.main.lock().drain(..).collect()
    }

    /// The frames of a view that left since the last call; the others' are dropped.
    pub(super) fn view_frames(&self, key: &str) -> Vec<Arc<TickFrame>> {
        let frames = std::mem::take(&mut *self.frames.views.lock());
        frames.into_iter().filter(|(of, _)| **of == *key).map(|(_, frame)| frame).collect()
    }

    /// Waits until all that is counted is on disk.
    pub(super) fn settle(&mut self) {
        let shared = Arc::clone(&self.shared);
        let written = || {
            while !shared.state.lock().inflight.is_empty() {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        written();
        let now_ms = self.clock.now_ms();
        self.worker.as_mut().unwrap().commit(now_ms);
        written();
    }

    /// The files as they would be found after a kill.
    pub(super) fn copy_files(&self) -> TempDir {
        let copy = TempDir::new().unwrap();
        for file in std::fs::read_dir(self.dir.path()).unwrap() {
            let path: PathBuf = file.unwrap().path();
            let name: &Path = path.file_name().unwrap().as_ref();
            if !name.to_string_lossy().ends_with("-shm") {
                std::fs::copy(&path, copy.path().join(name)).unwrap();
            }
        }
        copy
    }

    /// Ends in order, and starts again in the same directory.
    pub(super) fn restart(mut self, after_ms: i64) -> Self {
        self.worker.take().unwrap().close();
        Self::among(self.peers, self.dir, self.log, self.clock.now_ms() + after_ms)
    }

    /// Dies, and starts again on what is found in its directory.
    pub(super) fn die(self, after_ms: i64) -> Self {
        let now_ms = self.clock.now_ms() + after_ms;
        Self::among(Arc::clone(&self.peers), self.copy_files(), self.log.clone(), now_ms)
    }
}
