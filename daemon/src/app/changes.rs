//! Says in the log when a check of readiness changes: once, with what the check says, at the level
//! of what an operator must do. Asked by the upkeep every few seconds.

use crate::api::health::Readiness;

/// The checks as they were; a start finds them well.
#[derive(Default)]
pub(super) struct Changes {
    before: Vec<(&'static str, f64)>,
}

impl Changes {
    /// Compares with the last time.
    pub(super) fn look(&mut self, now: &Readiness) {
        let levels = now.checks().map(|(name, check)| {
            let level = check.level();
            let before = self.before.iter().find(|(known, _)| *known == name);
            let before = before.map_or(0.0, |(_, level)| *level);
            if level != before {
                let detail = check.detail();
                match level {
                    0.0 => tracing::info!(check = name, detail, "well again"),
                    1.0 => tracing::warn!(check = name, detail, "degraded"),
                    _ => tracing::error!(check = name, detail, "failed: events are refused"),
                }
            }
            (name, level)
        });
        self.before = levels.into_iter().collect();
    }
}
