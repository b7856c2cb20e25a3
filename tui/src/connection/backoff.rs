//! How long to wait before the next attempt: exponential with full jitter, so that a thousand
//! terminals do not come back in the same moment. Pure but for the dice.

use std::time::Duration;

use rand::Rng as _;

const BASE_MS: u64 = 500;
const CAP_MS: u64 = 10_000;
/// Below this a retry would be a busy loop.
const FLOOR_MS: u64 = 200;

/// Attempts since the last success.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The number of the attempt that comes next, from 1.
    pub fn attempt(self) -> u32 {
        self.failures + 1
    }

    /// A success: the next failure starts from the shortest wait.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// A failure: how long to wait, at least as long as the daemon asked for.
    pub fn failed(&mut self, asked: Option<Duration>) -> Duration {
        let ceiling_ms = BASE_MS.saturating_mul(1 << self.failures.min(16)).min(CAP_MS);
        self.failures = self.failures.saturating_add(1);
        let wait = Duration::from_millis(rand::rng().random_range(FLOOR_MS..=ceiling_ms));
        wait.max(asked.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_between_the_floor_and_a_doubling_ceiling() {
        for _ in 0..100 {
            let mut backoff = Backoff::default();
            for ceiling_ms in [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000] {
                let wait = backoff.failed(None).as_millis() as u64;
                assert!((FLOOR_MS..=ceiling_ms).contains(&wait), "{wait} of {ceiling_ms}");
            }
            assert_eq!(backoff.attempt(), 8);
            backoff.succeeded();
            assert_eq!(backoff.attempt(), 1);
        }
    }

    #[test]
    fn a_daemon_that_names_a_time_is_not_asked_before() {
        let asked = Duration::from_mins(1);
        assert_eq!(Backoff::default().failed(Some(asked)), asked);
    }
}
