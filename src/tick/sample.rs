//! What counting needs of an event, worked out once: every table it is counted in reuses its hash
//! and its latency bin.

use super::name_hash;
use crate::event::EventRef;
use crate::sketch::bin_of;

/// The names of the status classes, by index.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The name of a status class by its index, 0 to 4: `2xx` is 1.
pub fn class_name(index: usize) -> &'static str {
    CLASSES[index]
}

/// An event as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// As normalised.
    pub route: &'a str,
    /// [`name_hash`] of it.
    pub route_hash: u64,
    /// `type`.
    pub kind: &'a str,
    /// [`name_hash`] of it.
    pub kind_hash: u64,
    /// Whether it counts as an error.
    pub is_error: bool,
    /// Index of the status class, see [`class_name`].
    pub class: Option<u8>,
    /// Bin and latency in ms.
    pub latency: Option<(i16, f64)>,
    /// Whom active users counts.
    pub actor: Option<&'a str>,
    /// `sessionId`.
    pub session: Option<&'a str>,
    /// Its time, Unix ms: its own, or its arrival when that was earlier.
    pub at_ms: i64,
    /// Whether it came from a clock ahead of ours.
    pub is_skewed: bool,
}

impl<'a> From<EventRef<'a>> for Sample<'a> {
    fn from(event: EventRef<'a>) -> Self {
        let route = event.route();
        let class = event.status().map(|status| status / 100);
        Self {
            route,
            route_hash: name_hash(route),
            kind: event.kind(),
            kind_hash: name_hash(event.kind()),
            is_error: event.is_error(),
            class: class.filter(|class| (1..=5).contains(class)).map(|class| class as u8 - 1),
            latency: event.latency_ms().map(|ms| (bin_of(ms), ms)),
            actor: event.actor(),
            session: event.session_id(),
            at_ms: event.row().timestamp_ms.min(event.row().arrival_ms),
            is_skewed: event.is_skewed(),
        }
    }
}
