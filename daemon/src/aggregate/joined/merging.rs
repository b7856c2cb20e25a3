//! Taking parts in, merging the ticks that changed, and letting go.

use std::sync::Arc;

use pulseboard::tick::TickSummary;

use super::{AHEAD_SECS, Joined, NODES_MAX, ROWS_AT_ONCE};
use crate::aggregate::peers::{Counted, Heard};

impl Joined {
    /// This node counted a tick: in it from the next merge on.
    pub(crate) fn count(&mut self, tick: i64, own: Arc<TickSummary>) {
        if tick > self.settled {
            self.parts.entry(tick).or_default().own = Some(own);
            self.changed.insert(tick);
        } else {
            // Counted long after: no peer's part of it was ever here, or it would not have settled
            // before it was final.
            self.exchange(tick, own);
            self.mark_unfilled(tick);
        }
    }

    /// A peer counted a tick. What cannot be taken in is counted as refused.
    pub(crate) fn hear(&mut self, heard: Heard, now_tick: i64) {
        let Heard { node, counted: Counted { tick, revision, summary } } = heard;
        if tick <= self.settled || tick > now_tick.max(self.head) + AHEAD_SECS {
            self.refused += 1;
            if tick <= self.settled {
                self.mark_unfilled(tick);
            }
            return;
        }
        if self.parts.get(&tick).is_some_and(|parts| !parts.is_news(&node, revision)) {
            return;
        }
        let bytes = bytes_of(&summary);
        while self.heard_bytes + bytes > self.bytes_kept && self.settle_oldest() {}
        if tick <= self.settled || self.heard_bytes + bytes > self.bytes_max {
            self.refused += 1;
            return;
        }
        let parts = self.parts.entry(tick).or_default();
        if !parts.has_room_for(&node, NODES_MAX) {
            self.refused += 1;
            return;
        }
        self.heard_bytes = self.heard_bytes + bytes - parts.set(node, revision, summary, bytes);
        self.changed.insert(tick);
    }

    /// Merges the ticks up to `upto` that changed, the newest first. The oldest may be left for the
    /// next time when there is much; `upto` itself never is.
    pub(crate) fn merge(&mut self, upto: i64) {
        let due: Vec<i64> = self.changed.range(..=upto).rev().copied().collect();
        let mut rows = 0;
        for tick in due {
            if rows > ROWS_AT_ONCE {
                return;
            }
            rows += self.merge_tick(tick);
        }
    }

    /// Merges every tick up to `upto` that changed.
    pub(super) fn merge_all(&mut self, upto: i64) {
        while let Some(tick) = self.changed.first().copied().filter(|tick| *tick <= upto) {
            self.merge_tick(tick);
        }
    }

    /// Merges a tick's parts. Rows of routes it went through.
    fn merge_tick(&mut self, tick: i64) -> usize {
        self.changed.remove(&tick);
        let Some(parts) = self.parts.get(&tick) else { return 0 };
        let rows = parts.rows();
        if let Some(merged) = parts.merged() {
            self.exchange(tick, merged);
        }
        rows
    }

    /// Puts a tick's summary in the place of the one there was, in the windows too.
    fn exchange(&mut self, tick: i64, new: Arc<TickSummary>) {
        self.put(tick, new);
        if tick <= self.head {
            self.revised.insert(tick);
        }
    }

    /// The same, without having points made anew.
    pub(super) fn put(&mut self, tick: i64, new: Arc<TickSummary>) {
        let old = self.merged.get(tick);
        for window in self.head_windows.iter_mut().chain(&mut self.final_windows) {
            if (window.first()..=window.tick()).contains(&tick) {
                window.exchange(old.map(|old| &**old), &new);
            }
        }
        self.merged.insert(tick, new);
    }

    /// Lets go of what is old enough, after a frame.
    pub(crate) fn settle(&mut self) {
        let target = self.final_upto.min(self.head - self.settle_secs);
        while self.parts.first_key_value().is_some_and(|(tick, _)| *tick <= target) {
            self.settle_oldest();
        }
        self.settled = self.settled.max(target);
        if let Some(unfilled) = &mut self.unfilled {
            unfilled.forget_before(super::history_from(self.head));
        }
        let marked = [self.revised.first(), self.stale.first()].into_iter().flatten().min();
        let needed = self.settled.min(self.final_upto).min(self.head);
        let before = marked.map_or(needed, |marked| needed.min(*marked)) - self.longest();
        let gone = self.merged.range(i64::MIN / 2..=before - 1);
        let newest_ms = gone.filter_map(|(_, summary)| summary.totals.last_event_ms).max();
        self.last_event_before_ms = self.last_event_before_ms.max(newest_ms);
        self.merged.forget_before(before);
    }

    /// Merges the oldest tick for good. Whether there is one that may be.
    fn settle_oldest(&mut self) -> bool {
        let Some((tick, _)) = self.parts.first_key_value() else { return false };
        let tick = *tick;
        if tick > self.final_upto {
            return false;
        }
        if self.changed.contains(&tick) {
            self.merge_tick(tick);
        }
        let parts = self.parts.remove(&tick).unwrap_or_default();
        self.heard_bytes -= parts.heard_bytes();
        if parts.reporting() < parts.expected {
            self.mark_unfilled(tick);
        }
        self.settled = self.settled.max(tick);
        true
    }
}

/// Memory a summary takes, about: sketches of few are small.
fn bytes_of(summary: &TickSummary) -> usize {
    let sketches = (summary.totals.events as usize).saturating_mul(40).min(12 * 1024);
    summary.routes.heap_bytes() + sketches + 1024
}
