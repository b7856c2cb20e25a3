//! How many ids this instance holds in Redis, about, and so for how long it may confirm more.
//!
//! Counts by when ids run out, in steps. While at least half of the bound is free, ids are confirmed
//! for the longest time; from there on for half as long as the room that is left would take those
//! that come at the rate of now, and never for less than 65 s. At the bound none are claimed. An id that is
//! confirmed again is counted again: the figure may be too high, never too low. Reads no clock.

use std::collections::VecDeque;
use std::time::Duration;

use pulseboard::limits;

const STEP_SECS: u64 = 30;
/// The least an id is confirmed for.
const LEAST: Duration = Duration::from_secs(limits::FINAL_AFTER_SECS as u64);

/// The count.
#[derive(Debug)]
pub(super) struct Held {
    ids_max: u64,
    longest: Duration,
    total: u64,
    /// The step that the first count runs out in.
    first_step: u64,
    running_out: VecDeque<u64>,
    /// Ids that came in the step before, and in this one.
    came: (u64, u64),
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) ids: u64,
    /// For how long ids are confirmed.
    pub(super) horizon: Duration,
}

impl Held {
    pub(super) fn new(ids_max: u64, longest: Duration) -> Self {
        let longest = longest.max(LEAST);
        let ids_max = ids_max.max(1);
        let running_out = VecDeque::new();
        Self { ids_max, longest, total: 0, first_step: 0, running_out, came: (0, 0) }
    }

    pub(super) fn is_full(&mut self, now: Duration) -> bool {
        self.forget(now);
        self.total >= self.ids_max
    }

    pub(super) fn now(&mut self, now: Duration) -> Now {
        self.forget(now);
        Now { ids: self.total, horizon: self.horizon() }
    }

    /// Counts ids that are confirmed now, and says for how long.
    pub(super) fn take(&mut self, ids: u64, now: Duration) -> Duration {
        self.forget(now);
        let horizon = self.horizon();
        let step = (now + horizon).as_secs() / STEP_SECS + 1;
        let index = step.saturating_sub(self.first_step) as usize;
        if index >= self.running_out.len() {
            self.running_out.resize(index + 1, 0);
        }
        self.running_out[index] += ids;
        self.total += ids;
        self.came.1 += ids;
        horizon
    }

    fn horizon(&self) -> Duration {
        let room = self.ids_max.saturating_sub(self.total);
        let came = self.came.0.max(self.came.1);
        if came == 0 || room >= self.ids_max / 2 {
            return self.longest;
        }
        let fills_in_secs = room as f64 / came as f64 * STEP_SECS as f64;
        // Half of it, or all that is confirmed on the way would run out just when it is full.
        Duration::from_secs_f64(fills_in_secs / 2.0).clamp(LEAST, self.longest)
    }

    fn forget(&mut self, now: Duration) {
        let step = now.as_secs() / STEP_SECS;
        if step > self.first_step {
            let next = step == self.first_step + 1;
            self.came = (if next { self.came.1 } else { 0 }, 0);
        }
        while self.first_step < step {
            self.total -= self.running_out.pop_front().unwrap_or(0);
            self.first_step += 1;
            if self.running_out.is_empty() {
                self.first_step = step;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_confirmed_for_less_when_less_than_half_is_free_and_for_all_again_later() {
        let day = Duration::from_hours(24);
        let mut held = Held::new(1_000, day);
        let mut now = Duration::from_secs(1_000_000);
        assert_eq!(held.take(300, now), day);
        assert_eq!(held.take(300, now), day, "half of it is free");
        let shorter = held.take(100, now);
        assert_eq!(shorter, LEAST, "600 in a moment fill the rest in no time");
        now += Duration::from_hours(1);
        assert_eq!(held.now(now).ids, 600);
        held.take(1, now);
        now += Duration::from_secs(STEP_SECS);
        let shorter = held.take(299, now);
        assert_eq!(shorter, Duration::from_secs(399 * STEP_SECS / 2), "one in a step");
        held.take(100, now);
        assert!(held.is_full(now));
        now += day + Duration::from_secs(STEP_SECS);
        assert_eq!(held.now(now), Now { ids: 0, horizon: day });
        assert!(!held.is_full(now));
    }

    #[test]
    fn a_steady_rate_settles_below_the_bound() {
        let mut held = Held::new(100_000, Duration::from_hours(24));
        let mut most = 0;
        for second in 0..40_000 {
            let now = Duration::from_secs(second);
            held.take(100, now);
            most = most.max(held.now(now).ids);
        }
        let now = held.now(Duration::from_secs(40_000));
        assert!(most < 100_000, "{most}");
        assert!(now.ids > 60_000 && now.horizon > Duration::from_mins(1), "{now:?}");
    }
}
