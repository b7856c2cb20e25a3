//! The aggregator's thread: pulls events, counts them, and lets frames leave on time.
//!
//! It never waits for the disk: commits go to a thread of the store, at most two at a time. When the
//! store cannot keep up, what is to be written gathers up to a bound; past it the worker pulls no
//! more events until the store has caught up, while frames go on (and say `behindMs`): the journal
//! keeps what was not pulled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use pulseboard::event::EventBatch;

use super::rounds::{self, Pace, Round};
use super::shared::Shared;
use super::source::{Item, Source};
use super::{FrameSink, TickFrame};
use crate::clock::Clock;
use crate::store::embedded::{Commit, Writer};

/// Rows to be written at which a commit does not wait for the next frame.
const COMMIT_AT: usize = 50_000;
/// Rows to be written at which no more events are pulled.
const FULL_AT: usize = 400_000;
/// The longest wait for events: how soon a clock that was set is noticed, and a stop.
const WAIT: Duration = Duration::from_millis(100);
/// The first and the longest pause after a commit that failed.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What goes on after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There may be more to do.
    Went,
    /// All that is durable is counted.
    Idle,
    /// The source has ended.
    Ended,
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    clock: Clock,
    source: Box<dyn Source>,
    sink: Arc<dyn FrameSink>,
    commits: SyncSender<Arc<Commit>>,
    store: Option<JoinHandle<()>>,
    closing: Arc<AtomicBool>,
    /// Pulled and not yet counted.
    pending: Option<(u64, Arc<EventBatch>)>,
    /// The key of the view of everything.
    key: Arc<str>,
    pace: Pace,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        clock: Clock,
        source: Box<dyn Source>,
        sink: Arc<dyn FrameSink>,
        writer: Writer,
    ) -> std::io::Result<Self> {
        // Never full: the state gives at most two commits at a time.
        let (commits, receiver) = sync_channel::<Arc<Commit>>(2);
        let closing = Arc::new(AtomicBool::new(false));
        let (theirs, there, time) = (Arc::clone(&shared), Arc::clone(&closing), clock.clone());
        let store = std::thread::Builder::new().name("store".into()).spawn(move || {
            let mut writer = writer;
            while let Ok(commit) = receiver.recv() {
                // What follows a commit that was given up must not be written either.
                if !write(&mut writer, &commit, &theirs, &time, &there) {
                    return;
                }
            }
        })?;
        let store = Some(store);
        let (pending, key) = (None, "".into());
        let pace = Pace::new(&shared.settings, &*shared.peers, clock.now_ms());
        Ok(Self { shared, clock, source, sink, commits, store, closing, pending, key, pace })
    }

    /// Runs until the source ends or `stop` is set; then counts what is durable, and waits until all
    /// of it is stored.
    pub(super) fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if self.step(WAIT) == Step::Ended {
                break;
            }
        }
        let until = self.clock.elapsed() + Duration::from_secs(5);
        while self.clock.elapsed() < until && self.step(Duration::ZERO) == Step::Went {}
        self.tell_last();
        self.close();
    }

    /// Does what is due: frames, else the next events, waiting for them at most `wait`.
    pub(super) fn step(&mut self, wait: Duration) -> Step {
        let now_ms = self.clock.now_ms();
        let due_ms = self.shared.settings.due_ms(self.shared.latest.load().tick + 1);
        if now_ms >= due_ms {
            self.frames(now_ms);
            self.commit(now_ms);
            return Step::Went;
        }
        if now_ms >= self.pace.due_ms() {
            self.tell(now_ms);
            return Step::Went;
        }
        let wait =
            wait.min(Duration::from_millis((due_ms.min(self.pace.due_ms()) - now_ms) as u64));
        if self.shared.state.lock().backlog() > FULL_AT {
            std::thread::sleep(wait.min(Duration::from_millis(10)));
            self.commit(now_ms);
            return Step::Went;
        }
        match self.pull(wait) {
            Step::Went => {
                self.count(now_ms);
                Step::Went
            }
            Step::Idle => {
                let mut state = self.shared.state.lock();
                state.pass(now_ms, now_ms);
                self.shared.reconcile(&mut state);
                Step::Idle
            }
            Step::Ended => Step::Ended,
        }
    }

    /// Makes sure that there is a pending batch, if there is any.
    fn pull(&mut self, wait: Duration) -> Step {
        if self.pending.is_some() {
            return Step::Went;
        }
        match self.source.next(wait) {
            Item::Events { first_seq, batch } => {
                self.pending = Some((first_seq, batch));
                Step::Went
            }
            Item::Idle => Step::Idle,
            Item::Closed => Step::Ended,
        }
    }

    fn count(&mut self, now_ms: i64) {
        let Some((first_seq, batch)) = self.pending.take() else { return };
        let mut state = self.shared.state.lock();
        state.apply(first_seq, &batch, now_ms);
        self.shared.reconcile(&mut state);
        let (seq, backlog) = (state.applied_seq, state.backlog());
        drop(state);
        self.shared.set_applied(seq);
        if backlog > COMMIT_AT {
            self.commit(now_ms);
        }
    }

    /// Lets every frame leave that is due.
    fn frames(&mut self, now_ms: i64) {
        let _ = self.pull(Duration::ZERO);
        let oldest = self.pending.as_ref().and_then(|(_, batch)| batch.rows().first());
        let age_ms = oldest.map_or(0, |row| (now_ms - row.arrival_ms).max(0) as u64);
        // What arrived within the grace is not behind.
        let behind_ms = if age_ms > self.shared.settings.grace_ms { age_ms } else { 0 };
        let newest = self.shared.settings.due_tick(now_ms);
        let head = self.shared.latest.load().tick;
        let first = rounds::first_real(head, newest);
        for tick in first..=newest {
            let started = self.clock.elapsed();
            let peers = &*self.shared.peers;
            rounds::hear(&self.shared.state, &self.key, peers, (tick, newest));
            let mut state = self.shared.state.lock();
            let frame = {
                let mut histories = self.shared.histories.write();
                Arc::new(state.frame(tick, behind_ms, &mut histories))
            };
            let (late_total, skewed_total) = (state.late_total, state.skewed_total);
            let (heard_refused, heard_bytes) = state.heard_stats();
            let written_upto = state.written_upto();
            drop(state);
            peers.written(written_upto);
            self.leave(&frame);
            let mut stats = self.shared.stats.lock();
            stats.tick = tick;
            stats.behind_ms = behind_ms;
            stats.frame_work_ms = self.clock.elapsed().saturating_sub(started).as_secs_f64() * 1e3;
            let due_ms = self.shared.settings.due_ms(tick);
            stats.frame_delay_ms = (self.clock.now_ms() - due_ms).max(0) as f64;
            (stats.late_total, stats.skewed_total) = (late_total, skewed_total);
            (stats.heard_refused, stats.heard_bytes) = (heard_refused, heard_bytes);
        }
    }

    /// Ticks are over: the peers are told.
    fn tell(&mut self, now_ms: i64) {
        let round = self.pace.round(&self.shared.settings, now_ms);
        let first = rounds::first_real(self.shared.latest.load().tick, round.upto);
        rounds::tell(&self.shared.state, &self.key, &*self.shared.peers, first, round);
    }

    /// The end: the peers are told of the tick that is not over too, since no later round does.
    fn tell_last(&self) {
        let upto = self.clock.now_ms().div_euclid(1_000);
        let first = rounds::first_real(self.shared.latest.load().tick, upto);
        let round = Round::whole(upto);
        rounds::tell(&self.shared.state, &self.key, &*self.shared.peers, first, round);
    }

    fn leave(&self, frame: &Arc<TickFrame>) {
        self.shared.latest.store(Arc::clone(frame));
        self.sink.frame(frame);
    }

    /// Gives the store what is to be written, unless it is busy.
    pub(super) fn commit(&mut self, now_ms: i64) {
        let commit = self.shared.state.lock().take_commit(now_ms.div_euclid(1_000));
        if let Some(commit) = commit {
            // The other end is only gone when its thread panicked; its numbers are in the journal.
            let _ = self.commits.try_send(commit);
        }
    }

    /// Writes the rest, and ends the store's thread.
    pub(super) fn close(mut self) {
        self.closing.store(true, Ordering::Relaxed);
        let until = self.clock.elapsed() + Duration::from_secs(5);
        let now_ms = self.clock.now_ms();
        while self.shared.state.lock().inflight.len() >= 2 && self.clock.elapsed() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.commit(now_ms);
        drop(self.commits);
        if let Some(store) = self.store.take() {
            // A panic there was reported by its thread.
            let _ = store.join();
        }
        self.shared.set_stopped();
    }
}

/// Writes a commit, again and again until it is written or the daemon closes. Whether it is.
fn write(
    writer: &mut Writer,
    commit: &Arc<Commit>,
    shared: &Shared,
    clock: &Clock,
    closing: &AtomicBool,
) -> bool {
    let mut pause = RETRY.0;
    loop {
        let started = clock.elapsed();
        match writer.write(commit) {
            Ok(()) => {
                shared.state.lock().committed(commit.position.commit);
                let mut stats = shared.stats.lock();
                stats.stored_seq = commit.position.applied_seq;
                stats.commit_ms = clock.elapsed().saturating_sub(started).as_secs_f64() * 1e3;
                stats.store_fails = false;
                return true;
            }
            Err(error) => {
                tracing::error!(%error, "aggregates cannot be stored; trying again");
                shared.stats.lock().store_fails = true;
                if closing.load(Ordering::Relaxed) {
                    return false;
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(RETRY.1);
            }
        }
    }
}

impl Shared {
    /// Carries what became final into the histories.
    fn reconcile(&self, state: &mut super::state::State) {
        if !state.is_reconciled() {
            state.reconcile(&mut self.histories.write());
        }
    }
}
