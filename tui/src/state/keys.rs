//! The keys that work at this moment, in the order people should learn them. The line at the foot
//! of the screen and the help both read this, so that neither draws a key that does nothing.

use super::{Link, Screen, Shape, State};

/// A key and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// As drawn: `space`.
    pub keys: String,
    /// For the line at the foot: `pause`.
    pub does: &'static str,
    /// For the help.
    pub explained: &'static str,
    /// Whether the line at the foot shows it.
    pub at_foot: bool,
}

fn key(keys: &str, does: &'static str, explained: &'static str) -> Binding {
    Binding { keys: keys.to_owned(), does, explained, at_foot: true }
}

fn quiet(keys: &str, explained: &'static str) -> Binding {
    Binding { keys: keys.to_owned(), does: "", explained, at_foot: false }
}

/// The keys of this screen as it stands.
pub fn of_screen(state: &State) -> Vec<Binding> {
    let mut keys = Vec::new();
    if state.field.is_some() {
        keys.push(key("enter", "use it", "go on with this token"));
        keys.push(key("ctrl-u", "clear", "empty the field"));
        return keys;
    }
    let denied = matches!(state.link, Link::Denied { about_token: true, .. });
    if denied {
        keys.push(key("T", "give a token", "paste a token"));
    } else if state.token_ending_in_secs().is_some() {
        keys.push(key("T", "renew token", "paste a new token; the picture stays"));
    }
    if matches!(state.link, Link::Waiting { .. } | Link::Denied { .. }) {
        keys.push(key("r", "try now", "connect now, without waiting"));
    }
    if state.may_demo() && (state.is_first_run() || state.demo) {
        let does = if state.demo { "stop demo" } else { "demo traffic" };
        keys.push(key("d", does, "start or stop gentle demo traffic"));
    } else if state.may_demo() {
        keys.push(quiet("d", "start or stop gentle demo traffic"));
    }
    if state.asks_for_tokens() && !keys.iter().any(|key| key.keys == "T") {
        keys.push(quiet("T", "paste a new token; the picture stays"));
    }
    if state.shown().is_none() {
        return keys;
    }
    if state.screen == Screen::System {
        keys.push(key("tab", "overview", "back to the windows' numbers (so does esc)"));
        keys.push(key("↑↓", "scroll", "scroll the figures; also j k, wheel"));
        return keys;
    }
    keys.push(key("tab", "system", "notices in full, and the daemon's own figures"));
    if state.pictures().len() > 1 {
        let digits: Vec<_> =
            (1..=state.pictures().len().min(9)).map(|place| place.to_string()).collect();
        keys.push(key(&digits.join(" "), "window", "choose the window the numbers cover"));
    }
    if state.is_paused() {
        keys.push(key("g", "live", "go back to live (so does space)"));
    } else {
        keys.push(key("space", "pause", "hold the picture; nothing is lost meanwhile"));
    }
    if state.shape() == Shape::Compact {
        keys.push(key("c", "chart", "show the next chart"));
    }
    if state.has_routes() {
        keys.push(key("s", "sort", "sort by the next column, or click a heading"));
        keys.push(key("↑↓", "select", "select a route; also j k, wheel, click"));
    }
    if state.routes.selected.is_some() {
        keys.push(quiet("esc", "let go of the selected route"));
    }
    keys
}

/// The keys of every screen; in a field letters are letters.
pub fn everywhere(state: &State) -> Vec<Binding> {
    if state.field.is_some() {
        return vec![
            key("esc", "leave", "leave the field"),
            key("ctrl-c", "quit", "leave the dashboard"),
        ];
    }
    vec![
        key("t", "theme", "dark, light, high contrast, terminal's own"),
        key("?", "help", "this help"),
        key("q", "quit", "quit; Ctrl-Z suspends, Ctrl-L draws anew"),
    ]
}
