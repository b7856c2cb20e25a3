//! How many ids this instance holds in Redis, about, and so for how long it may confirm more.
//!
//! Counts by when ids run out, in steps. While three quarters of the bound are free or less is held,
//! ids are confirmed for the longest time; from there on for less, in proportion to the room that
//! is left, down to 65 s. At the bound none are claimed. An id that is confirmed again is counted
//! again: the figure may be too high, never too low. Reads no clock.

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
        Self { ids_max, longest, total: 0, first_step: 0, running_out: VecDeque::new() }
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
        horizon
    }

    fn horizon(&self) -> Duration {
        let room = self.ids_max.saturating_sub(self.total);
        let share = (room as f64 / self.ids_max as f64 * 4.0).min(1.0);
        LEAST + self.longest.saturating_sub(LEAST).mul_f64(share)
    }

    fn forget(&mut self, now: Duration) {
        let step = now.as_secs() / STEP_SECS;
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
    fn ids_are_confirmed_for_less_as_the_bound_comes_near_and_for_all_again_when_they_run_out() {
        let day = Duration::from_hours(24);
        let mut held = Held::new(1_000, day);
        let mut now = Duration::from_secs(1_000_000);
        assert_eq!(held.take(700, now), day);
        assert_eq!(held.take(200, now), day, "up to three quarters nothing changes");
        let shorter = held.take(100, now);
        assert!(shorter > LEAST && shorter < day / 2, "{shorter:?}");
        assert!(held.is_full(now));
        assert_eq!(held.now(now), Now { ids: 1_000, horizon: LEAST });
        now += shorter + Duration::from_secs(2 * STEP_SECS);
        assert_eq!(held.now(now).ids, 900);
        now += day;
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
        assert!(now.ids > 60_000 && now.horizon > Duration::from_mins(10), "{now:?}");
    }
}
