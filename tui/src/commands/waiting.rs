//! What is said while the daemon's limits hold work up: one sentence, once for the whole command.
//! Waits for nothing itself. Called by whatever sends events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::progress::Progress;

/// Shared by all senders of a command.
#[derive(Clone)]
pub(super) struct Waiting(Arc<Inner>);

struct Inner {
    told: AtomicBool,
    progress: Arc<Progress>,
}

impl Waiting {
    /// Says it beside this progress line.
    pub(super) fn new(progress: Arc<Progress>) -> Self {
        Self(Arc::new(Inner { told: AtomicBool::new(false), progress }))
    }

    /// The daemon takes no more for now; `detail` is its sentence.
    pub(super) fn is_limited(&self, detail: &str) {
        if !self.0.told.swap(true, Ordering::Relaxed) {
            // What comes after is about this one call.
            let limit = detail.split(';').next().unwrap_or_default().trim();
            self.0.progress.aside(format_args!(
                "the daemon holds this back ({limit}): going on as fast as it allows"
            ));
        }
    }
}
