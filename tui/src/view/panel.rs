//! What stands in the middle of the screen when there is no picture to draw: no daemon, no token,
//! no events yet, too little room. Each says what to do next.

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::format;
use super::pen::{Pen, shorten, width, wrap};
use crate::state::{Link, State};
use crate::theme::Meaning;

/// The command that mints a token for watching.
pub(super) const MINT: &str = "pulseboard token --scope read";

/// Nothing sensible fits.
pub(super) fn too_small(pen: &mut Pen<'_>, area: Rect) {
    let (has, needs) =
        (format!("this terminal is {} x {}", area.width, area.height), "pulseboard needs 60 x 16");
    let y = area.y + area.height.saturating_sub(2) / 2;
    let strong = pen.theme.strong(Meaning::Text);
    if area.height > 0 {
        pen.centre(area, y, needs, strong);
    }
    if area.height > 1 {
        let muted = pen.theme.style(Meaning::Muted);
        pen.centre(area, y + 1, &has, muted);
    }
}

/// Never connected: where it looked, when it tries next, how to start one; or why it is refused.
pub(super) fn no_daemon(pen: &mut Pen<'_>, area: Rect) {
    let [text, strong, muted, accent] = styles(pen);
    let state = pen.state;
    let url = &state.setup.url;
    let cells = area.width.saturating_sub(4).min(72);
    let mut lines: Vec<(String, Style)> = Vec::new();
    match &state.link {
        Link::Denied { reason, about_token } => {
            let bad = pen.theme.strong(Meaning::Bad);
            let refused = format!("The daemon at {url} refused");
            lines.push((shorten(&refused, cells), bad));
            lines.extend(
                wrap(&format::clean(reason), cells, 4).into_iter().map(|line| (line, text)),
            );
            lines.push((String::new(), text));
            if *about_token {
                lines.push(("Mint a token on the daemon's machine:".to_owned(), muted));
                lines.push((MINT.to_owned(), accent));
                lines.push(("then press T here, or start with it:".to_owned(), muted));
                lines.push(("PULSEBOARD_TOKEN=… pulseboard".to_owned(), accent));
            } else {
                lines.push(("r tries again".to_owned(), muted));
            }
        }
        link => {
            let again = match link {
                Link::Connecting { attempt } => format!("trying again now (attempt {attempt})"),
                Link::Waiting { attempt, .. } => {
                    let seconds = state.retry_in_secs().unwrap_or(0);
                    format!("trying again in {seconds} s (attempt {attempt})")
                }
                _ => String::new(),
            };
            let reason = state.lost.as_deref().unwrap_or_default();
            lines.push((shorten(&format!("Not connected to {url}"), cells), strong));
            lines.extend(
                wrap(&format::clean(reason), cells, 4).into_iter().map(|line| (line, text)),
            );
            lines.push((again, muted));
            lines.push((String::new(), text));
            lines.push(("Start a daemon on this machine:".to_owned(), muted));
            lines.push(("pulseboardd".to_owned(), accent));
            lines.push(("or look elsewhere:".to_owned(), muted));
            lines.push(("pulseboard --url http://HOST:3000".to_owned(), accent));
        }
    }
    block(pen, area, &lines);
}

/// Connected, and nobody ever sent an event.
pub(super) fn first_run(pen: &mut Pen<'_>, area: Rect) {
    let [text, strong, muted, accent] = styles(pen);
    let mut lines = vec![
        ("No events yet".to_owned(), strong),
        (String::new(), text),
        ("Send the first one from another terminal:".to_owned(), muted),
        (String::new(), text),
    ];
    lines.extend(curl_lines(pen.state, area.width).into_iter().map(|line| (line, accent)));
    lines.push((String::new(), text));
    if pen.state.may_demo() {
        lines.push(("or press d for demo traffic; d again stops it".to_owned(), muted));
    }
    block(pen, area, &lines);
}

/// The command that sends an event to this daemon: one line where it fits, else two that paste as
/// one.
pub fn curl_lines(state: &State, cells: u16) -> Vec<String> {
    let event = r#"curl --json '{"type":"view","route":"/"}'"#;
    let token =
        if state.is_dev_mode() { "" } else { r#"-H "Authorization: Bearer $PULSEBOARD_TOKEN" "# };
    let address = format!("{}/api/events", state.setup.url);
    let one = format!("{event} {token}{address}");
    if width(&one) + 2 <= cells {
        return vec![one];
    }
    let mut lines = vec![format!("{event} \\")];
    if !token.is_empty() {
        lines.push(format!("  {token}\\"));
    }
    lines.push(format!("  {address}"));
    lines
}

fn styles(pen: &Pen<'_>) -> [Style; 4] {
    [
        pen.theme.style(Meaning::Text),
        pen.theme.strong(Meaning::Text),
        pen.theme.style(Meaning::Muted),
        pen.theme.strong(Meaning::Accent),
    ]
}

/// Lines in the middle of the area, with one left edge: a line to paste has nothing beside it.
fn block(pen: &mut Pen<'_>, area: Rect, lines: &[(String, Style)]) {
    let widest = lines.iter().map(|(line, _)| width(line)).max().unwrap_or(0).min(area.width);
    let x = area.x + (area.width - widest) / 2;
    let above = area.height.saturating_sub(lines.len() as u16) * 2 / 5;
    for (y, (line, style)) in (area.y + above..area.bottom()).zip(lines) {
        pen.text(x, y, area.right(), line, *style);
    }
}
