//! How many ids came when, and so how far back they can all be remembered.
//!
//! Time is cut in steps of 5 s. The ledger decides the cutoff before which ids are forgotten: 24 h
//! and 65 s ago, or later when there are more than `max_ids` since; never later than 65 s ago.

use std::collections::VecDeque;

use pulseboard::limits;

use super::{DedupeFull, LEAST_SECS};

const STEP_SECS: u32 = 5;
/// The slack ids are remembered beyond the horizon, while there is room.
const SLACK_SECS: u32 = limits::FINAL_AFTER_SECS as u32;

/// Counts by step of arrival.
#[derive(Debug)]
pub(super) struct Ledger {
    max_ids: u64,
    /// The longest an id is remembered: the horizon and the slack.
    remembered_secs: u32,
    total: u64,
    /// The step of the first count; everything before is forgotten.
    first_step: u32,
    counts: VecDeque<u32>,
    /// The end of the newest step that was forgotten for want of room; 0 if none was.
    crowded_out_secs: u32,
}

impl Ledger {
    pub(super) fn new(max_ids: u64, horizon_secs: u32, now_secs: u32) -> Self {
        let remembered_secs = horizon_secs + SLACK_SECS;
        let first_step = now_secs.saturating_sub(remembered_secs) / STEP_SECS;
        Self {
            max_ids,
            remembered_secs,
            total: 0,
            first_step,
            counts: VecDeque::new(),
            crowded_out_secs: 0,
        }
    }

    /// Ids that came before this are forgotten.
    pub(super) fn cutoff_secs(&self) -> u32 {
        self.first_step * STEP_SECS
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn horizon_secs(&self, now_secs: u32) -> i64 {
        let kept_secs = match self.crowded_out_secs {
            0 => self.remembered_secs,
            from => now_secs.saturating_sub(from).min(self.remembered_secs),
        };
        i64::from(kept_secs.saturating_sub(SLACK_SECS).max(LEAST_SECS))
    }

    /// Whether not even one id more can be counted now: there are as many as there may be, and
    /// none is old enough to be forgotten.
    pub(super) fn is_full(&self, now_secs: u32) -> bool {
        if self.total < self.max_ids {
            return false;
        }
        let old = youngest(now_secs).saturating_sub(self.first_step) as usize;
        self.counts.iter().take(old).all(|count| *count == 0)
    }

    /// Counts ids that come now, and forgets old ones where it must.
    pub(super) fn reserve(&mut self, count: u64, now_secs: u32) -> Result<(), DedupeFull> {
        let oldest = now_secs.saturating_sub(self.remembered_secs) / STEP_SECS;
        while self.first_step < oldest && !self.counts.is_empty() {
            self.forget_first();
        }
        self.first_step = self.first_step.max(oldest);
        if self.total + count > self.max_ids {
            // An eighth more than needed, so that tables are not swept for a few ids each.
            let goal = self.max_ids - self.max_ids / 8;
            let youngest = youngest(now_secs);
            while self.total + count > goal && self.first_step < youngest {
                self.crowd_out_first();
            }
            if self.total + count > self.max_ids {
                return Err(DedupeFull);
            }
        }
        *self.count_of(now_secs) += count as u32;
        self.total += count;
        Ok(())
    }

    /// Takes back ids that were counted as of this time.
    pub(super) fn give_back(&mut self, count: u64, at_secs: u32) {
        let step = (at_secs / STEP_SECS).max(self.first_step);
        if let Some(counted) = self.counts.get_mut((step - self.first_step) as usize) {
            let taken = (*counted).min(count as u32);
            *counted -= taken;
            self.total -= u64::from(taken);
        }
    }

    /// Counts one id of the past, if it is not forgotten.
    pub(super) fn add(&mut self, arrival_secs: u32) {
        if arrival_secs >= self.cutoff_secs() {
            *self.count_of(arrival_secs) += 1;
            self.total += 1;
        }
    }

    /// Forgets the oldest of what was added until the rest fits.
    pub(super) fn fit(&mut self) {
        let newest = self.first_step + self.counts.len().saturating_sub(1) as u32;
        let youngest = newest.saturating_sub(LEAST_SECS / STEP_SECS);
        while self.total > self.max_ids && self.first_step < youngest {
            self.crowd_out_first();
        }
    }

    fn count_of(&mut self, at_secs: u32) -> &mut u32 {
        // A clock set back a little counts in the oldest step there is; one ahead is followed as
        // far as ids are remembered at all.
        let step = (at_secs / STEP_SECS).max(self.first_step);
        let index = ((step - self.first_step) as usize).min(self.steps_max() - 1);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        &mut self.counts[index]
    }

    /// Steps there can be: what is remembered, the step now, and five minutes of clocks set ahead.
    fn steps_max(&self) -> usize {
        (self.remembered_secs / STEP_SECS) as usize + 64
    }

    fn forget_first(&mut self) {
        self.total -= u64::from(self.counts.pop_front().unwrap_or(0));
        self.first_step += 1;
    }

    fn crowd_out_first(&mut self) {
        let held = self.counts.front().is_some_and(|count| *count > 0);
        self.forget_first();
        if held {
            self.crowded_out_secs = self.cutoff_secs();
        }
    }
}

/// The first step that is never forgotten for want of room.
fn youngest(now_secs: u32) -> u32 {
    now_secs.saturating_sub(LEAST_SECS) / STEP_SECS
}
