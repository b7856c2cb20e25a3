//! The help over everything: this screen's keys first, then those of every screen, then what the
//! signs mean.

use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::pen::Pen;
use crate::state::Screen;
use crate::state::keys::{self, Binding};
use crate::theme::Meaning;

const WIDTH_MAX: u16 = 60;
const SIGNS: [(&str, &str, Meaning); 4] = [
    ("!  !!", "error rate from 1 %, from 5 % on", Meaning::Warn),
    ("▾", "the column the routes are sorted by", Meaning::Accent),
    ("late", "events too late for the seconds shown", Meaning::Text),
    ("skewed", "events from clocks ahead of the daemon's", Meaning::Text),
];

/// Draws it.
pub(super) fn draw(pen: &mut Pen<'_>, area: Rect) {
    let here: Vec<_> = keys::of_screen(pen.state);
    let everywhere = keys::everywhere(pen.state);
    let rows = (here.len() + everywhere.len() + SIGNS.len()) as u16;
    let headings = if area.height >= rows + 10 { 3 } else { 0 };
    let height = (rows + headings * 2 + 2).min(area.height);
    let wide = WIDTH_MAX.min(area.width.saturating_sub(2));
    let place = Rect {
        x: area.x + (area.width - wide) / 2,
        y: area.y + (area.height - height) / 2,
        width: wide,
        height,
    };
    let margin = Rect { x: place.x - 1, width: place.width + 2, ..place };
    for cell in margin.positions() {
        pen.buffer[cell].reset();
    }
    pen.buffer.set_style(margin, pen.theme.ground().remove_modifier(Modifier::DIM));
    let inner = pen.frame(place);
    let text = pen.theme.strong(Meaning::Text);
    pen.text(place.x + 2, place.y, place.right() - 1, " help ", text);
    let muted = pen.theme.style(Meaning::Muted);
    pen.right(place.x, place.bottom() - 1, place.right() - 2, " ? or esc closes ", muted);
    let mut y = inner.y;
    let heading = |pen: &mut Pen<'_>, y: &mut u16, name: &str, is_first: bool| {
        if headings > 0 {
            *y += u16::from(!is_first);
            pen.text(inner.x + 1, *y, inner.right(), name, text);
            *y += 1;
        }
    };
    let screen = match pen.state.screen {
        Screen::Overview => "overview",
        Screen::System => "system",
    };
    heading(pen, &mut y, screen, true);
    let line = |pen: &mut Pen<'_>, y: &mut u16, key: &Binding| {
        if *y < inner.bottom() {
            let strong = pen.theme.strong(Meaning::Accent);
            pen.text(inner.x + 2, *y, inner.x + 12, &key.keys, strong);
            let text = pen.theme.style(Meaning::Text);
            pen.text(inner.x + 12, *y, inner.right(), key.explained, text);
            *y += 1;
        }
    };
    for key in &here {
        line(pen, &mut y, key);
    }
    heading(pen, &mut y, "everywhere", false);
    for key in &everywhere {
        line(pen, &mut y, key);
    }
    heading(pen, &mut y, "signs", false);
    for (sign, means, meaning) in SIGNS {
        if y < inner.bottom() {
            let style = pen.theme.strong(meaning);
            pen.text(inner.x + 2, y, inner.x + 12, sign, style);
            let style = pen.theme.style(Meaning::Text);
            pen.text(inner.x + 12, y, inner.right(), means, style);
            y += 1;
        }
    }
}
