//! Fills new views back from the journal, aside: the thread that counts and the one that frames
//! views never wait for it.
//!
//! Views are filled in turns of some ms each, so that a small one does not wait for a large one. One
//! that takes too long begins again with less history; its windows are always whole. Bound: one
//! block of the journal a view at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::FrameSink;
use super::open_views::Filled;
use super::shared::Shared;
use super::source::{Item, Source};
use super::view::{SPANS_SECS, View, complete_from};

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

/// A view on its way.
struct Filling {
    view: Arc<View>,
    source: Box<dyn Source>,
    /// Place in [`SPANS_SECS`].
    span: usize,
    /// Its windows are whole from this tick on.
    complete_from: i64,
    spent: Duration,
    /// When it was first begun.
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

    /// Gives the next view its turn; waits for one at most `wait`. Whether there is more to do.
    pub(super) fn step(&mut self, wait: Duration) -> bool {
        let wait = if self.filling.is_empty() { wait } else { Duration::ZERO };
        for view in self.shared.open.take_to_fill(wait) {
            let shared = &self.shared;
            let since = shared.clock.elapsed();
            // It is given less of the past, should the main view be further behind than that.
            let _ = shared.wait_applied(shared.past.newest_seq(), CAUGHT_UP_WITHIN);
            self.filling.push_back(Filling::begin(shared, view, 0, since));
        }
        let Some(mut filling) = self.filling.pop_front() else { return false };
        if !self.shared.open.is_open(&filling.view) {
            return true;
        }
        if filling.turn(&self.shared) {
            let frame = filling.view.stand(filling.complete_from);
            self.sink.view_frame(&filling.view.key, &frame);
            self.sink.views_framed();
            let Filling { view, source, since, .. } = filling;
            let took = self.shared.clock.elapsed().saturating_sub(since);
            self.shared.stats.lock().view_fill_ms = took.as_secs_f64() * 1e3;
            self.shared.open.hand_on(Filled { view, source });
        } else if filling.spent > LONGEST && filling.span + 1 < SPANS_SECS.len() {
            tracing::info!(
                filter = %filling.view.key,
                "an hour of so many events takes too long to read; the view begins with less"
            );
            let next = Filling::begin(&self.shared, filling.view, filling.span + 1, filling.since);
            self.filling.push_back(next);
        } else {
            self.filling.push_back(filling);
            if self.shared.stats.lock().behind_ms > 0 {
                // The main view wants the core more.
                std::thread::sleep(TURN);
            }
        }
        true
    }
}

impl Filling {
    fn begin(shared: &Shared, view: Arc<View>, span: usize, since: Duration) -> Self {
        let from = view.begin(shared, SPANS_SECS[span]);
        let kept_from = shared.past.kept_from_ms().map(|ms| ms.div_euclid(1_000) + 1);
        let source = shared.past.since(from * 1_000);
        let complete_from = complete_from(&shared.settings, from.max(kept_from.unwrap_or(from)));
        Self { view, source, span, complete_from, spent: Duration::ZERO, since }
    }

    /// Counts for a while. Whether all that is durable is counted.
    fn turn(&mut self, shared: &Shared) -> bool {
        let started = shared.clock.elapsed();
        loop {
            let now_ms = shared.clock.now_ms();
            match self.source.next(Duration::ZERO) {
                Item::Events { first_seq, batch } => self.view.count(first_seq, &batch, now_ms),
                Item::Idle | Item::Closed => {
                    self.view.pass(now_ms);
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
