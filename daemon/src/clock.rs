//! The only module that reads the clock: monotonic time, anchored to wall time.
//!
//! Slews of the wall clock of up to 60 s are followed; a larger jump back keeps monotonic time and
//! reports [`Status::Skewed`]; a jump ahead by more than 5 minutes suspends retention for 10.
//! It never blocks. Every stage holds a [`Clock`]; tests hold a manual one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// The largest difference between wall and monotonic time that is followed.
const SLEW_MS: i64 = 60_000;
/// A jump ahead beyond this suspends retention.
const AHEAD_MS: i64 = 5 * 60_000;
/// How long retention rests after such a jump.
const RETENTION_REST_MS: i64 = 10 * 60_000;

/// What the clock thinks of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Wall and monotonic time agree.
    Ok,
    /// The wall clock jumped back by more than a minute; monotonic time is kept.
    Skewed {
        /// How far the wall clock is behind, ms.
        behind_ms: i64,
    },
}

/// A shared clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Source>);

#[derive(Debug)]
enum Source {
    System { start: Instant, anchor: Mutex<Anchor> },
    Manual { now_ms: AtomicI64 },
}

#[allow(clippy::struct_field_names, reason = "units stand last in names")]
#[derive(Debug)]
struct Anchor {
    /// Unix ms at `start`, as adjusted since.
    offset_ms: i64,
    behind_ms: i64,
    no_retention_until_ms: i64,
}

impl Anchor {
    /// Decides what time it is from both clocks: `elapsed_ms` since start, `wall_ms` as the system
    /// says.
    fn read(&mut self, elapsed_ms: i64, wall_ms: i64) -> i64 {
        let expected_ms = self.offset_ms + elapsed_ms;
        let drift_ms = wall_ms - expected_ms;
        self.behind_ms = 0;
        if drift_ms < -SLEW_MS {
            self.behind_ms = -drift_ms;
            return expected_ms;
        }
        if drift_ms > AHEAD_MS {
            self.no_retention_until_ms = wall_ms + RETENTION_REST_MS;
        }
        self.offset_ms = wall_ms - elapsed_ms;
        wall_ms
    }
}

impl Clock {
    /// The system's clock.
    #[allow(clippy::disallowed_methods, reason = "this is the module that reads the clock")]
    pub fn system() -> Self {
        let anchor = Anchor { offset_ms: wall_ms(), behind_ms: 0, no_retention_until_ms: i64::MIN };
        Self(Arc::new(Source::System { start: Instant::now(), anchor: Mutex::new(anchor) }))
    }

    /// A clock that stands at `now_ms` until [`Clock::set_ms`] moves it.
    pub fn manual(now_ms: i64) -> Self {
        Self(Arc::new(Source::Manual { now_ms: AtomicI64::new(now_ms) }))
    }

    /// Moves a manual clock; a system clock stays as it is.
    pub fn set_ms(&self, to_ms: i64) {
        if let Source::Manual { now_ms } = &*self.0 {
            now_ms.store(to_ms, Ordering::SeqCst);
        }
    }

    /// Unix time in ms.
    pub fn now_ms(&self) -> i64 {
        match &*self.0 {
            Source::System { start, anchor } => {
                let mut anchor = anchor.lock();
                anchor.read(start.elapsed().as_millis() as i64, wall_ms())
            }
            Source::Manual { now_ms } => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Time since this clock was made; never goes back. For measuring durations.
    pub fn elapsed(&self) -> Duration {
        match &*self.0 {
            Source::System { start, .. } => start.elapsed(),
            Source::Manual { now_ms } => {
                Duration::from_millis(now_ms.load(Ordering::SeqCst).max(0) as u64)
            }
        }
    }

    /// Whether wall and monotonic time agree, as of the last reading.
    pub fn status(&self) -> Status {
        match &*self.0 {
            Source::System { anchor, .. } => match anchor.lock().behind_ms {
                0 => Status::Ok,
                behind_ms => Status::Skewed { behind_ms },
            },
            Source::Manual { .. } => Status::Ok,
        }
    }

    /// Whether retention may delete: not for 10 minutes after a jump ahead of over 5.
    pub fn retention_allowed(&self) -> bool {
        let now_ms = self.now_ms();
        match &*self.0 {
            Source::System { anchor, .. } => now_ms >= anchor.lock().no_retention_until_ms,
            Source::Manual { .. } => true,
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the module that reads the clock")]
fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor() -> Anchor {
        Anchor { offset_ms: 1_000_000, behind_ms: 0, no_retention_until_ms: i64::MIN }
    }

    #[test]
    fn a_slew_of_up_to_a_minute_is_followed_both_ways() {
        let mut anchor = anchor();
        assert_eq!(anchor.read(1_000, 1_031_000), 1_031_000);
        assert_eq!(anchor.read(2_000, 1_002_000), 1_002_000);
        assert_eq!(anchor.behind_ms, 0);
    }

    #[test]
    fn a_jump_back_keeps_monotonic_time_and_says_so() {
        let mut anchor = anchor();
        assert_eq!(anchor.read(1_000, 901_000), 1_001_000);
        assert_eq!(anchor.behind_ms, 100_000);
        assert_eq!(anchor.read(2_000, 1_002_000), 1_002_000);
        assert_eq!(anchor.behind_ms, 0, "it recovers when the wall clock comes back");
    }

    #[test]
    fn a_jump_ahead_suspends_retention_for_ten_minutes() {
        let mut anchor = anchor();
        assert_eq!(anchor.read(1_000, 1_401_000), 1_401_000);
        assert_eq!(anchor.no_retention_until_ms, 1_401_000 + 600_000);
    }
}
