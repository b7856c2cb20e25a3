//! The panel a token is pasted into: why one is needed, which command mints one, the field with
//! nothing of the token but its last characters, and what it says of itself.

use pulseboard::claims::Scope;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::format;
use super::panel::MINT;
use super::pen::{Pen, shorten, width, wrap};
use crate::state::Link;
use crate::state::field::{Field, Stage};
use crate::theme::Meaning;
use crate::token::Says;

const WIDTH_MAX: u16 = 64;
/// Dots that stand for the token at most; its length says nothing anyone needs.
const DOTS_MAX: usize = 24;

/// Draws it over what stands in `area`.
pub(super) fn draw(pen: &mut Pen<'_>, area: Rect, field: &Field) {
    let text = pen.theme.style(Meaning::Text);
    let muted = pen.theme.style(Meaning::Muted);
    let accent = pen.theme.strong(Meaning::Accent);
    let wide = WIDTH_MAX.min(area.width.saturating_sub(2));
    let cells = wide.saturating_sub(4);

    let mut above: Vec<(String, Style)> = Vec::new();
    headline(pen, cells, &mut above);
    above.push((String::new(), text));
    above.push(("Mint one on the daemon's machine:".to_owned(), muted));
    above.push((format!("  {MINT}"), accent));
    above.push((String::new(), text));
    let below = said(pen, field, cells);

    // The room below the field is reserved, so that nothing jumps when it speaks.
    let height = (above.len() as u16 + 1 + 2 + 2).min(area.height);
    let place = Rect {
        x: area.x + (area.width - wide) / 2,
        y: area.y + (area.height - height) * 2 / 5,
        width: wide,
        height,
    };
    let margin = Rect { x: place.x - 1, width: place.width + 2, ..place };
    for cell in margin.positions() {
        pen.buffer[cell].reset();
    }
    pen.buffer.set_style(margin, pen.theme.ground().remove_modifier(Modifier::DIM));
    let inner = pen.frame(place);
    let strong = pen.theme.strong(Meaning::Text);
    pen.text(place.x + 2, place.y, place.right() - 1, " token ", strong);
    pen.right(place.x, place.bottom() - 1, place.right() - 2, " kept in memory alone ", muted);

    let (left, right) = (inner.x + 1, inner.right() - 1);
    let mut y = inner.y;
    for (line, style) in &above {
        if y + 3 <= inner.bottom() {
            pen.text(left, y, right, line, *style);
            y += 1;
        }
    }
    entry(pen, Rect { x: left, y, width: right - left, height: 1 }, field);
    for (line, style) in &below {
        y += 1;
        if y < inner.bottom() {
            pen.text(left, y, right, line, *style);
        }
    }
}

/// Why the panel is open.
fn headline(pen: &Pen<'_>, cells: u16, lines: &mut Vec<(String, Style)>) {
    let state = pen.state;
    let strong = pen.theme.strong(Meaning::Text);
    if let Link::Denied { reason, .. } = &state.link {
        let bad = pen.theme.strong(Meaning::Bad);
        lines.push((shorten(&format!("Not watching {}", state.setup.url), cells), strong));
        lines.extend(wrap(&format::clean(reason), cells, 2).into_iter().map(|line| (line, bad)));
        return;
    }
    lines.push(("Go on with a new token; the picture stays".to_owned(), strong));
    let mut now = match state.held() {
        Some(held) if held.from_file => "The one in use comes from a file".to_owned(),
        Some(held) if !held.tail.is_empty() => format!("The one in use, …{}", held.tail),
        _ => "The one in use".to_owned(),
    };
    now = match state.token_ends_in_secs() {
        Some(0) => format!("{now}, has ended"),
        Some(secs) => format!("{now}, ends in {}", format::left(secs)),
        None => format!("{now}, does not say when it ends"),
    };
    lines.push((shorten(&now, cells), pen.theme.style(Meaning::Muted)));
}

/// The field itself: dots, the token's last characters, and the cursor.
fn entry(pen: &mut Pen<'_>, area: Rect, field: &Field) {
    let accent = pen.theme.strong(Meaning::Accent);
    let text = pen.theme.style(Meaning::Text);
    let mut x = pen.text(area.x, area.y, area.right(), "▸ ", accent);
    if *field.stage() == Stage::Sent {
        return;
    }
    let tail = field.tail();
    let dots = field.length().saturating_sub(tail.len()).min(DOTS_MAX);
    x = pen.text(x, area.y, area.right() - 1, &"•".repeat(dots), text);
    x = pen.text(x, area.y, area.right() - 1, &tail, text);
    pen.buffer[(x, area.y)].set_style(text.add_modifier(Modifier::REVERSED));
    if field.is_empty() {
        let muted = pen.theme.style(Meaning::Muted);
        pen.text(x + 2, area.y, area.right(), "paste it here", muted);
    }
}

/// What the token in the field says of itself, or what became of the last one.
fn said(pen: &Pen<'_>, field: &Field, cells: u16) -> Vec<(String, Style)> {
    let muted = pen.theme.style(Meaning::Muted);
    match field.stage() {
        Stage::Sent => {
            let what = match &pen.state.link {
                Link::Waiting { .. } => "the daemon is away; it will be tried",
                _ => "trying it …",
            };
            vec![(what.to_owned(), muted)]
        }
        Stage::Refused(reason) => {
            let warn = pen.theme.strong(Meaning::Warn);
            wrap(&format::clean(reason), cells, 2).into_iter().map(|line| (line, warn)).collect()
        }
        Stage::Writing => match field.says() {
            Some(says) => claims(pen, &says, cells),
            None => Vec::new(),
        },
    }
}

fn claims(pen: &Pen<'_>, says: &Says, cells: u16) -> Vec<(String, Style)> {
    let warn = pen.theme.strong(Meaning::Warn);
    let scopes = says.scopes.to_string();
    let mut whom = format!("for {}", format::clean(&says.subject));
    if !scopes.is_empty() {
        whom = format!("{whom}, to {}", scopes.replace(' ', " and "));
    }
    if let Some(site) = &says.site {
        whom = format!("{whom} site {}", format::clean(site));
    }
    let can_watch = says.scopes.allow(Scope::Read);
    let style = if can_watch { pen.theme.style(Meaning::Ok) } else { warn };
    let mut lines = vec![(shorten(&whom, cells), style)];
    let ends = says.expires_ms.map(|expires_ms| (expires_ms - pen.state.unix_ms()) / 1_000);
    lines.push(match ends {
        Some(secs) if secs > 0 => {
            let text = format!("ends in {}", format::left(secs.unsigned_abs()));
            (text, pen.theme.style(Meaning::Muted))
        }
        Some(secs) => {
            let text =
                format!("ended {} ago, by this machine's clock", format::left(secs.unsigned_abs()));
            (text, warn)
        }
        None => ("does not say when it ends".to_owned(), warn),
    });
    debug_assert!(lines.iter().all(|(line, _)| width(line) <= cells));
    lines
}
