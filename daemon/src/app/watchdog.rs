//! What the service manager hears while all is well, so that it can end a daemon that hangs and
//! start another.
//!
//! A report goes out only while a new daemon would be no better: the runtime runs this task, the
//! journal's writer takes its rounds, and each second's frame leaves. It does not judge what a
//! restart cannot mend: a full disk, a store that fails, a client that is slow. Does nothing where
//! no watchdog is set (`WATCHDOG_USEC`); run by [`super::run`].

use std::fmt;
use std::time::Duration;

use super::notify;
use super::stages::Running;

/// The writer beats every two seconds and after each sync; one sync may take its time.
const JOURNAL_SILENT_MAX: Duration = Duration::from_secs(10);
/// A frame leaves a quarter of a second after its tick; counting a large batch may delay it.
const FRAME_LATE_MS_MAX: i64 = 10_000;

/// The signs of life as they are now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    /// How long the journal's writer has not begun a round.
    pub(super) journal_silent: Duration,
    /// How long ago the newest framed tick ended, ms.
    pub(super) frame_age_ms: i64,
}

/// What does not move.
#[derive(Debug, PartialEq, Eq)]
enum Stuck {
    Journal { secs: u64 },
    Frames { secs: i64 },
}

impl Pulse {
    fn check(self) -> Result<(), Stuck> {
        if self.journal_silent > JOURNAL_SILENT_MAX {
            return Err(Stuck::Journal { secs: self.journal_silent.as_secs() });
        }
        if self.frame_age_ms > FRAME_LATE_MS_MAX {
            return Err(Stuck::Frames { secs: self.frame_age_ms / 1_000 });
        }
        Ok(())
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal { secs } => {
                write!(f, "the journal's writer has not moved for {secs} s; does its disk hang?")
            }
            Self::Frames { secs } => write!(f, "no frame has left for {secs} s"),
        }
    }
}

/// Reports three times within each period the service manager allows, until dropped.
pub(super) async fn report(running: Running) {
    let Some(allowed) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval((allowed / 3).max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match running.pulse().check() {
            Ok(()) => notify(&[sd_notify::NotifyState::Watchdog]),
            Err(stuck) => tracing::error!(
                "{stuck}; the service manager is not told that all is well, and restarts the \
                 daemon unless this ends"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Pulse = Pulse { journal_silent: Duration::from_secs(2), frame_age_ms: 900 };

    #[test]
    fn a_heart_that_beats_is_reported() {
        assert_eq!(WELL.check(), Ok(()));
        // A clock that was set back by less than a minute: the newest tick has not ended yet.
        assert_eq!(Pulse { frame_age_ms: -40_000, ..WELL }.check(), Ok(()));
    }

    #[test]
    fn a_writer_that_hangs_and_frames_that_stay_away_are_not() {
        let hangs = Pulse { journal_silent: Duration::from_secs(11), ..WELL };
        assert_eq!(hangs.check(), Err(Stuck::Journal { secs: 11 }));
        let still = Pulse { frame_age_ms: 12_345, ..WELL };
        assert_eq!(still.check(), Err(Stuck::Frames { secs: 12 }));
        assert_eq!(still.check().unwrap_err().to_string(), "no frame has left for 12 s");
    }
}
