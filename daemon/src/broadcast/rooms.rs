//! From a room's name to what it shows: a window of everything, or of what a filter lets through.
//!
//! A [`Channel`] is a filtered view as sessions follow it. It lives as long as a session is in one
//! of its rooms, and lets the view go with the last. Bounded by the views there may be: the
//! aggregator refuses more. A token of one site never gets past [`Hub::find`] without that site.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use pulseboard::filter::Filter;

use super::feed::{Histories, HistorySlice, Refusal, View, WindowFrame};
use super::hub::{Hub, Settings};
use super::room::{self, RoomName, TickSet};
use crate::auth::Grant;

/// Snapshots kept for one tick of a filtered view, bytes; past it they are encoded for each.
const SNAPSHOT_BYTES: usize = 2 * 1024 * 1024;

/// A room that was asked for by a name that means something.
pub(super) struct Asked {
    /// Place of its window in the settings.
    pub(super) window: usize,
    /// What of the events it shows.
    pub(super) filter: Filter,
    /// The name, where it is not the window's plain one.
    pub(super) written: Option<Arc<str>>,
}

/// A room as a session is in it.
#[derive(Clone)]
pub(super) struct Room {
    /// Place of its window in the settings.
    pub(super) window: usize,
    /// The name the client wrote, where it is not the window's plain one.
    pub(super) written: Option<Arc<str>>,
    /// Where its frames come from; `None` for the view of everything.
    pub(super) channel: Option<Arc<Channel>>,
}

/// A filtered view, followed by sessions.
pub(super) struct Channel {
    current: ArcSwapOption<TickSet>,
    /// Held while a tick is encoded: one that is brought may meet the one that was found.
    encoding: Mutex<()>,
    /// Holding it is what keeps the view.
    view: Arc<dyn View>,
}

impl Channel {
    /// The newest tick; `None` while the view is being filled.
    pub(super) fn newest(&self) -> Option<Arc<TickSet>> {
        self.current.load_full()
    }

    fn frame(&self, tick: i64, frames: &[WindowFrame], settings: &Settings) {
        let _one = self.encoding.lock();
        let before = self.current.load_full();
        if before.as_ref().is_some_and(|before| before.tick >= tick) {
            return;
        }
        let kept = settings.snapshot_bytes.min(SNAPSHOT_BYTES);
        let set = TickSet::encode(before.as_deref(), tick, &settings.windows, frames, kept);
        self.current.store(Some(Arc::new(set)));
    }
}

impl Histories for Channel {
    fn history(&self, window: &str, since: Option<i64>, until: i64) -> Option<HistorySlice> {
        self.view.history(window, since, until)
    }
}

/// The channels there are, by their filter's canonical text.
#[derive(Default)]
pub(super) struct Channels(Mutex<HashMap<Arc<str>, Weak<Channel>>>);

impl Hub {
    /// What a room's name means to whoever has `grant`.
    pub(super) fn find(&self, name: &str, grant: &Grant) -> Result<Asked, Refusal> {
        let windows = &self.settings.windows;
        let (window, expression) = match room::parse(name, windows) {
            RoomName::Window(window, expression) => (window, expression),
            RoomName::NotAvailable => {
                let message = "tail and system rooms are not available in this version";
                return Err(Refusal::new("not_available", message));
            }
            RoomName::Unknown => {
                let windows = windows.join(", window:");
                let message = format!(
                    "there is no such room; there are window:{windows}, each also with ?filter="
                );
                return Err(Refusal::new("unknown_room", message));
            }
        };
        let filter = match (expression, self.frames()) {
            (None, _) => Filter::default(),
            (Some(expression), Some(frames)) => frames.filter(expression)?,
            (Some(_), None) => return Err(no_views()),
        };
        let filter = match &grant.site {
            None => filter,
            Some(site) if filter.excludes_site(site) => {
                let message = format!("this token may see site {site:?} only");
                return Err(Refusal::new("wrong_site", message));
            }
            Some(site) => filter.within_site(site),
        };
        let written = expression.map(|_| name.into());
        Ok(Asked { window, filter, written })
    }

    /// A room to be in, its view being watched from now on.
    pub(super) fn room(&self, asked: Asked) -> Result<Room, Refusal> {
        let Asked { window, filter, written } = asked;
        let channel = if filter.is_empty() { None } else { Some(self.channel(filter)?) };
        Ok(Room { window, written, channel })
    }

    fn channel(&self, filter: Filter) -> Result<Arc<Channel>, Refusal> {
        let key: Arc<str> = filter.to_string().into();
        let frames = self.frames().ok_or_else(no_views)?;
        let mut channels = self.channels.0.lock();
        if let Some(channel) = channels.get(&key).and_then(Weak::upgrade) {
            return Ok(channel);
        }
        let (current, encoding) = (ArcSwapOption::empty(), Mutex::default());
        let view = frames.watch(filter)?;
        let channel = Arc::new(Channel { current, encoding, view });
        channels.retain(|_, channel| channel.strong_count() > 0);
        channels.insert(key, Arc::downgrade(&channel));
        drop(channels);
        if let Some((tick, frames)) = channel.view.newest() {
            channel.frame(tick, &frames, &self.settings);
        }
        Ok(channel)
    }

    /// Takes a tick of the view whose filter's canonical text is `key`, or how it stands once it
    /// is filled. Sent when [`Hub::views_framed`] says that all views had their turn.
    pub fn view_frame(&self, key: &str, tick: i64, windows: &[WindowFrame]) {
        let channel = self.channels.0.lock().get(key).and_then(Weak::upgrade);
        if let Some(channel) = channel {
            channel.frame(tick, windows, &self.settings);
        }
    }

    /// Has the views' newest ticks sent.
    pub fn views_framed(&self) {
        self.ring_views();
    }
}

/// There are none before the aggregator is attached.
fn no_views() -> Refusal {
    Refusal::new("not_available", "filtered rooms are not available here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_protocol_writes_them() {
        let windows: Vec<Arc<str>> = vec!["1s".into(), "60s".into()];
        let read = |name| room::parse(name, &windows);
        assert_eq!(read("window:60s"), RoomName::Window(1, None));
        let filtered = RoomName::Window(1, Some("route=/a?b status=5xx"));
        assert_eq!(read("window:60s?filter=route=/a?b status=5xx"), filtered);
        assert_eq!(read("window:1s?filter="), RoomName::Window(0, Some("")));
        for unknown in ["", "window:", "window:2s", "window:1s?", "window:1s?x=1", "1s", "windows"]
        {
            assert_eq!(read(unknown), RoomName::Unknown, "{unknown}");
        }
        for later in ["tail", "tail?filter=site=a", "system"] {
            assert_eq!(read(later), RoomName::NotAvailable, "{later}");
        }
    }
}
