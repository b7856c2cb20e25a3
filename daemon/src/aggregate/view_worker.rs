//! Keeps the filtered views up: one thread that pulls events once for all of them, and frames them
//! right after the main view's frame of a tick.
//!
//! It follows the main view's ticks and never makes one of its own. The main view does not wait for
//! it; when it is behind, its frames say so. While no view is open it reads nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pulseboard::event::EventBatch;

use super::FrameSink;
use super::open_views::{Filled, OpenViews};
use super::rounds::{Pace, Round};
use super::shared::Shared;
use super::source::{Item, Source};
use super::view::View;
use super::worker::Step;

/// The longest wait for events or views: how soon a new view and a stop are noticed.
const WAIT: Duration = Duration::from_millis(100);
/// The wait for a frame of the main view that is due.
const DUE_WAIT: Duration = Duration::from_millis(2);

pub(super) struct ViewWorker {
    shared: Arc<Shared>,
    sink: Arc<dyn FrameSink>,
    views: Vec<Arc<View>>,
    /// The reader they share; none while there is no view.
    source: Option<Box<dyn Source>>,
    /// Sequence after what it gave.
    position: u64,
    /// Pulled and not yet counted.
    pending: Option<(u64, Arc<EventBatch>)>,
    pace: Pace,
}

impl ViewWorker {
    pub(super) fn new(shared: Arc<Shared>, sink: Arc<dyn FrameSink>) -> Self {
        let pace = Pace::new(&shared.settings, &*shared.peers, shared.clock.now_ms());
        Self { shared, sink, views: Vec::new(), source: None, position: 0, pending: None, pace }
    }

    /// Runs until the events end or `stop` is set.
    pub(super) fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if self.step(WAIT) == Step::Ended {
                break;
            }
        }
        // The end: the peers are told of the tick that is not over too, since no later round does.
        let upto = self.shared.clock.now_ms().div_euclid(1_000);
        self.views.iter().for_each(|view| view.tell(&*self.shared.peers, Round::whole(upto)));
    }

    /// Does what is due: takes in views, frames, else counts, waiting for events at most `wait`.
    pub(super) fn step(&mut self, wait: Duration) -> Step {
        let is_idle = self.views.is_empty();
        let filled = self.shared.open.take_filled(if is_idle { wait } else { Duration::ZERO });
        for filled in filled {
            self.take_in(filled);
        }
        if self.views.is_empty() {
            self.source = None;
            self.pending = None;
            OpenViews::sweep(&self.shared, self.shared.clock.elapsed());
            return Step::Idle;
        }
        let tick = self.shared.latest.load().tick;
        if self.views.iter().any(|view| view.head() < tick) {
            self.frames(tick);
            return Step::Went;
        }
        let now_ms = self.shared.clock.now_ms();
        if now_ms >= self.pace.due_ms() {
            let round = self.pace.round(&self.shared.settings, now_ms);
            self.views.iter().for_each(|view| view.tell(&*self.shared.peers, round));
            return Step::Went;
        }
        let due_ms = self.shared.settings.due_ms(tick + 1).min(self.pace.due_ms());
        let until_due = Duration::from_millis((due_ms - now_ms).max(0) as u64);
        let wait = wait.min(until_due.max(DUE_WAIT));
        match self.pull(wait) {
            Step::Went => {
                if let Some((first_seq, batch)) = self.pending.take() {
                    self.views.iter().for_each(|view| view.count(first_seq, &batch, now_ms));
                }
                Step::Went
            }
            Step::Idle => {
                self.views.iter().for_each(|view| view.pass(now_ms));
                Step::Idle
            }
            Step::Ended => Step::Ended,
        }
    }

    /// Takes in views that were filled. Their own reader brings them to where the others are.
    fn take_in(&mut self, filled: Filled) {
        let Filled { views, mut source } = filled;
        let reached = views.iter().map(|view| view.applied_seq() + 1).max().unwrap_or(0);
        if self.source.is_none() {
            self.position = reached;
            self.source = Some(source);
            self.views.extend(views);
            return;
        }
        let mut reached = reached;
        while reached < self.position {
            let now_ms = self.shared.clock.now_ms();
            let Item::Events { first_seq, batch } = source.next(Duration::ZERO) else { break };
            reached = first_seq + batch.len() as u64;
            for view in &views {
                view.count(first_seq, &batch, now_ms);
            }
        }
        self.views.extend(views);
    }

    /// Makes sure that there is a pending batch, if there is any.
    fn pull(&mut self, wait: Duration) -> Step {
        if self.pending.is_some() {
            return Step::Went;
        }
        let Some(source) = &mut self.source else { return Step::Idle };
        match source.next(wait) {
            Item::Events { first_seq, batch } => {
                self.position = first_seq + batch.len() as u64;
                self.pending = Some((first_seq, batch));
                Step::Went
            }
            Item::Idle => Step::Idle,
            Item::Closed => Step::Ended,
        }
    }

    /// Frames every view up to the main view's newest tick: the ticks that it framed.
    fn frames(&mut self, newest: i64) {
        let open = &self.shared.open;
        OpenViews::sweep(&self.shared, self.shared.clock.elapsed());
        self.views.retain(|view| open.is_open(view));
        OpenViews::bound_routes(&self.views, self.shared.settings.routes_per_tick);
        let _ = self.pull(Duration::ZERO);
        let now_ms = self.shared.clock.now_ms();
        let oldest = self.pending.as_ref().and_then(|(_, batch)| batch.rows().first());
        let age_ms = oldest.map_or(0, |row| (now_ms - row.arrival_ms).max(0) as u64);
        let behind_ms = if age_ms > self.shared.settings.grace_ms { age_ms } else { 0 };
        for view in &self.views {
            for tick in view.head() + 1..=newest {
                let is_real = tick == newest || {
                    let histories = self.shared.histories.read();
                    histories.first().is_some_and(|main| main.get(tick).is_some())
                };
                if is_real {
                    let frame = view.frame(&*self.shared.peers, (tick, newest), behind_ms);
                    self.sink.view_frame(&view.key, &frame);
                }
            }
        }
        self.sink.views_framed();
    }
}
