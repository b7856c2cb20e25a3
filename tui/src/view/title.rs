//! The first line: whom it watches, how the connection stands, the windows, and badges. What fits
//! is decided by rank, so that the state of the connection is the last to go.

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::format;
use super::pen::{Pen, shorten, width};
use super::system;
use crate::input::Spot;
use crate::state::{Link, Picture, Screen};
use crate::theme::Meaning;

/// Cells between two parts.
const GAP: u16 = 2;
/// The rank of what is not as it should be: it comes and goes, and moves nothing else for it. The
/// lower edge of the routes says it where the title has no room.
const NOTICE: u8 = 0;

struct Part {
    text: String,
    style: Style,
    rank: u8,
    spot: Option<Spot>,
    /// Cells before it.
    gap: u16,
    at_right: bool,
}

/// Draws it.
pub(super) fn draw(pen: &mut Pen<'_>, area: Rect) {
    let room = area.width.saturating_sub(2);
    let mut parts = parts(pen, false);
    drop_until(&mut parts, room, 8);
    if needed(&parts) > room {
        parts = self::parts(pen, true);
        drop_until(&mut parts, room, u8::MAX);
    }
    pen.has_told_notices =
        parts.iter().filter(|part| part.rank == NOTICE).count() == pen.state.notices().len();
    if !pen.has_told_notices {
        // One of several would read as all there is.
        parts.retain(|part| part.rank != NOTICE);
    }
    let mut x = area.x + 1;
    let mut first = true;
    for part in parts.iter().filter(|part| !part.at_right) {
        if !first {
            x += part.gap;
        }
        first = false;
        let start = x;
        x = pen.text(x, area.y, area.right(), &part.text, part.style);
        if let Some(spot) = part.spot {
            pen.hits.add(Rect { x: start, width: x.saturating_sub(start), ..area }, spot);
        }
    }
    let mut end = area.right().saturating_sub(1);
    for part in parts.iter().filter(|part| part.at_right) {
        pen.right(x, area.y, end, &part.text, part.style);
        if let Some(spot) = part.spot {
            let cells = width(&part.text);
            pen.hits.add(Rect { x: end.saturating_sub(cells), width: cells, ..area }, spot);
        }
        end = end.saturating_sub(width(&part.text) + part.gap);
    }
}

fn needed(parts: &[Part]) -> u16 {
    parts.iter().map(|part| width(&part.text) + part.gap).sum::<u16>().saturating_sub(GAP)
}

/// Drops the least important part until the rest fits, none of `keep` and above.
fn drop_until(parts: &mut Vec<Part>, room: u16, keep: u8) {
    while needed(parts) > room {
        let least = parts.iter().enumerate().min_by_key(|(_, part)| part.rank);
        match least {
            Some((place, part)) if part.rank < keep => parts.remove(place),
            _ => return,
        };
    }
}

fn parts(pen: &Pen<'_>, short: bool) -> Vec<Part> {
    let (theme, state) = (pen.theme, pen.state);
    let mut parts = Vec::new();
    let mut add = |text: String, style: Style, rank: u8| {
        parts.push(Part { text, style, rank, spot: None, gap: GAP, at_right: false });
        parts.len() - 1
    };
    add("pulseboard".to_owned(), theme.strong(Meaning::Text), 3);
    add(shorten(&state.setup.authority, 28), theme.style(Meaning::Muted), 4);
    let (text, style) = standing(pen, short);
    let live = add(text, style, 10);
    let mut tabs = Vec::new();
    for (place, picture) in state.pictures().iter().enumerate() {
        let style = if place == state.window() {
            theme.chosen(Meaning::Accent)
        } else {
            theme.style(Meaning::Muted)
        };
        tabs.push((add(format!(" {} ", picture.window), style, 9), place));
    }
    if let Some(aggregate) = state.shown().and_then(|picture| picture.aggregate.as_ref()) {
        let nodes = aggregate.nodes;
        if nodes.expected > 1 || state.is_cluster() {
            let unit = if short { "" } else { " instances" };
            let text = format!("{} of {}{unit}", nodes.reporting, nodes.expected);
            let is_alone =
                nodes.expected <= 1 && state.notices().iter().any(|each| each.check == "cluster");
            // One width in every state, so that nothing beside it moves.
            let text =
                if is_alone { format!("{:<1$}", "alone", width(&text).into()) } else { text };
            let missing = is_alone || nodes.reporting < nodes.expected;
            let meaning = if missing { Meaning::Warn } else { Meaning::Muted };
            let style = if missing { theme.strong(meaning) } else { theme.style(meaning) };
            add(text, style, 7);
        }
    }
    let first_badge = parts.len();
    let mut badge = |text: String, meaning: Meaning, rank: u8| {
        let style = theme.style(meaning);
        parts.push(Part { text, style, rank, spot: None, gap: GAP, at_right: true });
    };
    if state.is_dev_mode() {
        badge(if short { "dev" } else { "dev mode" }.to_owned(), Meaning::Warn, 5);
    }
    match state.token_ending_in_secs() {
        None => {}
        Some(0) => badge("token ended".to_owned(), Meaning::Warn, 6),
        Some(secs) => {
            let left = format::left(secs);
            let text =
                if short { format!("token {left}") } else { format!("token ends in {left}") };
            badge(text, Meaning::Warn, 6);
        }
    }
    if state.demo {
        badge("demo".to_owned(), Meaning::Accent, 2);
    }
    if let Some(ticks) = state.lagged() {
        let ticks = format::count(ticks);
        let text =
            if short { "lagging".to_owned() } else { format!("lagging, {ticks} ticks merged") };
        badge(text, Meaning::Warn, 7);
    }
    if let Some(behind_ms) = state
        .shown()
        .and_then(|picture| picture.aggregate.as_ref())
        .map(|aggregate| aggregate.behind_ms)
        .filter(|behind_ms| *behind_ms > 0)
    {
        badge(format!("counts {} behind", format::millis(behind_ms as f64)), Meaning::Warn, 6);
    }
    if state.screen == Screen::Overview {
        // What stands at the right is drawn from its end.
        for notice in state.notices().iter().rev() {
            parts.push(Part {
                text: system::brief(notice),
                style: theme.strong(system::meaning(notice)),
                rank: NOTICE,
                spot: Some(Spot::Notices),
                gap: GAP,
                at_right: true,
            });
        }
    }
    debug_assert!(parts[first_badge..].iter().all(|part| part.at_right));
    if matches!(state.link, Link::Live) || state.is_paused() {
        parts[live].spot = state.shown().map(|_| Spot::Live);
    }
    for (part, place) in tabs {
        parts[part].spot = Some(Spot::Window(place));
        if place > 0 {
            parts[part].gap = 0;
        }
    }
    parts
}

/// How the connection stands, with a sign, a word and a colour.
fn standing(pen: &Pen<'_>, short: bool) -> (String, Style) {
    let (theme, state) = (pen.theme, pen.state);
    let tick = state.shown().and_then(Picture::tick);
    let at = tick.map(|tick| format::clock(tick, &pen.look.zone));
    let away = away(pen, short);
    if state.is_paused() {
        let mut text = format!("‖ paused {}", at.unwrap_or_default());
        if let Some(behind) = state.behind_secs().filter(|_| !short || away.is_none()) {
            text = format!("{text} ({} behind)", format::duration(behind));
        }
        if let Some(away) = away {
            text = format!("{text}  {away}");
        }
        return (text, theme.strong(Meaning::Warn));
    }
    if let Some(away) = away {
        let seen = if short { "seen" } else { "last seen" };
        let seen = at.map(|at| format!(", {seen} {at}")).unwrap_or_default();
        let meaning =
            if matches!(state.link, Link::Denied { .. }) { Meaning::Bad } else { Meaning::Warn };
        return (format!("{away}{seen}"), theme.strong(meaning));
    }
    match (at, state.stale_secs()) {
        (Some(at), Some(age)) if short => {
            (format!("● {at}, {age} s old"), theme.strong(Meaning::Warn))
        }
        (Some(at), Some(age)) => {
            (format!("● live {at}, no frame for {age} s"), theme.strong(Meaning::Warn))
        }
        (Some(at), None) => (format!("● live {at}"), theme.strong(Meaning::Accent)),
        (None, Some(age)) => {
            (format!("● connected, no frame for {age} s"), theme.strong(Meaning::Warn))
        }
        (None, None) => ("● connected".to_owned(), theme.strong(Meaning::Accent)),
    }
}

/// The words for not being connected.
fn away(pen: &Pen<'_>, short: bool) -> Option<String> {
    let state = pen.state;
    let known = state.shown().is_some();
    Some(match &state.link {
        Link::Live => return None,
        Link::Connecting { attempt: 1 } if !known => "○ connecting".to_owned(),
        Link::Connecting { attempt } if short => format!("○ attempt {attempt}"),
        Link::Connecting { attempt } => {
            let verb = if known { "reconnecting" } else { "connecting" };
            format!("○ {verb} now (attempt {attempt})")
        }
        Link::Waiting { attempt, .. } => {
            let seconds = state.retry_in_secs().unwrap_or(0);
            match (short, known) {
                (true, _) => format!("○ retry in {seconds} s"),
                (false, true) => format!("○ reconnecting in {seconds} s (attempt {attempt})"),
                (false, false) => format!("○ trying again in {seconds} s (attempt {attempt})"),
            }
        }
        Link::Denied { about_token: true, .. } => "✕ token needed".to_owned(),
        Link::Denied { .. } => "✕ denied".to_owned(),
    })
}
