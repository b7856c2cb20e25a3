//! Fills new views back from the journal, aside: the thread that counts and the one that frames
//! views never wait for it.
//!
//! Views that are asked for together are filled by one reading. Readings take turns of some ms, so
//! that a short one does not wait for a long one. One that takes too long begins again with less
//! history; windows are always whole. Bound: one block of the journal a reading at a time, and no
//! more readings than views.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::FrameSink;
use super::open_views::Filled;
use super::shared::Shared;
use super::source::{Item, Source};
use super::view::{SLACK_SECS, SPANS_SECS, View, complete_from};

/// How long a view's turn is.
const TURN: Duration = Duration::from_millis(50);
/// Filling longer than this begins again with less.
const LONGEST: Duration = Duration::from_secs(20);
/// How long filling waits for the main view, so that it knows when somebody was up.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Filler {
    shared: Arc<Shared>,
    sink: Arc<dyn FrameSink>,
    filling: VecDeque<Filling>,
}

/// Views on their way: those that were asked for together are filled by one reading.
struct Filling {
    /// Each with the first tick whose windows will be whole.
    views: Vec<(Arc<View>, i64)>,
    source: Box<dyn Source>,
    /// Place in [`SPANS_SECS`].
    span: usize,
    spent: Duration,
    /// When they were first begun.
    since: Duration,
}

impl Filler {
    pub(super) fn new(shared: Arc<Shared>, sink: Arc<dyn FrameSink>) -> Self {
        Self { shared, sink, filling: VecDeque::new() }
    }

    /// Runs until `stop` is set.
    pub(super) fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.step(Duration::from_secs(1));
        }
    }

    /// Gives the next views their turn; waits for some at most `wait`. Whether there is more to do.
    pub(super) fn step(&mut self, wait: Duration) -> bool {
        let wait = if self.filling.is_empty() { wait } else { Duration::ZERO };
        let shared = &self.shared;
        let views: Vec<Arc<View>> = shared.open.take_to_fill(wait).into();
        if !views.is_empty() {
            let since = shared.clock.elapsed();
            // They are given less of the past, should the main view be further behind than that.
            let _ = shared.wait_applied(shared.past.newest_seq(), CAUGHT_UP_WITHIN);
            self.filling.push_back(Filling::begin(shared, views, 0, since));
        }
        let Some(mut filling) = self.filling.pop_front() else { return false };
        filling.views.retain(|(view, _)| shared.open.is_open(view));
        if filling.views.is_empty() {
            return true;
        }
        if filling.turn(shared) {
            self.finish(filling);
        } else if filling.spent > LONGEST && filling.span + 1 < SPANS_SECS.len() {
            tracing::info!(
                "an hour of so many events takes too long to read; views begin with less"
            );
            let views = filling.views.into_iter().map(|(view, _)| view).collect();
            let next = Filling::begin(shared, views, filling.span + 1, filling.since);
            self.filling.push_back(next);
        } else {
            self.filling.push_back(filling);
            if shared.stats.lock().behind_ms > 0 {
                // The main view wants the core more.
                std::thread::sleep(TURN);
            }
        }
        true
    }

    /// Has the views framed as they stand, and hands them on.
    fn finish(&self, filling: Filling) {
        let Filling { views, source, since, .. } = filling;
        for (view, complete_from) in &views {
            self.sink.view_frame(&view.key, &view.stand(*complete_from, &*self.shared.peers));
        }
        self.sink.views_framed();
        let took = self.shared.clock.elapsed().saturating_sub(since);
        self.shared.stats.lock().view_fill_ms = took.as_secs_f64() * 1e3;
        let views = views.into_iter().map(|(view, _)| view).collect();
        self.shared.open.hand_on(Filled { views, source });
    }
}

impl Filling {
    fn begin(shared: &Shared, views: Vec<Arc<View>>, span: usize, since: Duration) -> Self {
        let kept_from = shared.past.kept_from_ms().map(|ms| ms.div_euclid(1_000) + 1);
        let mut wanted = i64::MAX;
        let begun = views.into_iter().map(|view| {
            let from = view.begin(shared, SPANS_SECS[span]);
            wanted = wanted.min(from);
            let is_cluster = shared.peers.is_cluster();
            let slack = if is_cluster { SLACK_SECS.min(SPANS_SECS[span] - 1) } else { 0 };
            let from = (from + slack).max(kept_from.unwrap_or(from));
            (view, complete_from(&shared.settings, from))
        });
        let views = begun.collect();
        let source = shared.past.since(wanted.saturating_mul(1_000));
        Self { views, source, span, spent: Duration::ZERO, since }
    }

    /// Counts for a while. Whether all that is durable is counted.
    fn turn(&mut self, shared: &Shared) -> bool {
        let started = shared.clock.elapsed();
        loop {
            let now_ms = shared.clock.now_ms();
            match self.source.next(Duration::ZERO) {
                Item::Events { first_seq, batch } => {
                    for (view, _) in &self.views {
                        view.count(first_seq, &batch, now_ms);
                    }
                }
                Item::Idle | Item::Closed => {
                    self.views.iter().for_each(|(view, _)| view.pass(now_ms));
                    return true;
                }
            }
            let took = shared.clock.elapsed().saturating_sub(started);
            if took >= TURN {
                self.spent += took;
                return false;
            }
        }
    }
}
