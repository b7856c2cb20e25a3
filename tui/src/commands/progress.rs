//! The progress line of long work: drawn on a terminal, nothing on a pipe. Called by `replay` and
//! `load`.

use std::fmt;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::say;

/// A line that shows how far the work is.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Work of a known length: a bar, and what is left of the time.
    pub(super) fn of(total: u64, json: bool) -> Self {
        let template = "{bar:30.blue/238} {percent:>3} %  {msg}  {eta} left";
        Self::drawn(ProgressBar::with_draw_target(Some(total), target(json)), template)
    }

    /// Work that goes on until it is stopped.
    pub(super) fn endless(json: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, target(json));
        let progress = Self::drawn(bar, "{spinner:.blue} {elapsed}  {msg}");
        progress.bar.enable_steady_tick(Duration::from_millis(200));
        progress
    }

    fn drawn(bar: ProgressBar, template: &str) -> Self {
        let style = ProgressStyle::with_template(template).expect("our templates are valid");
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        Self { bar }
    }

    /// How far it is, and in words: rate and counts.
    pub(super) fn set(&self, done: u64, words: impl fmt::Display) {
        if !self.bar.is_hidden() {
            self.bar.set_position(done);
            self.bar.set_message(words.to_string());
        }
    }

    /// A line on stderr beside the progress line.
    pub(super) fn aside(&self, text: fmt::Arguments<'_>) {
        self.bar.suspend(|| say::aside(text));
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// stderr, when people look at it.
fn target(json: bool) -> ProgressDrawTarget {
    if json || !std::io::stderr().is_terminal() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr_with_hz(10)
    }
}
