//! The System screen: what is not as it should be, in full, and below it the daemon's own figures.

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::format;
use super::pen::{Pen, cut, shorten, width, wrap};
use crate::state::system::{self, Row};
use crate::theme::Meaning;
use pulseboard::wire::server::{Notice, NoticeLevel};

/// From this width on the figures stand in two columns.
const TWO_FROM: u16 = 132;
/// Cells of what a row is about, and of its name.
const ABOUT: u16 = 10;
const NAME: u16 = 15;
/// Cells a value's number ends in, so that units stand below one another and do not move when it
/// grows a digit.
const NUMBER: u16 = 9;
/// Lines of one notice at most: as many as its longest text takes.
const NOTICE_LINES: usize = 8;
/// Rows the box of figures has at least.
const FIGURES_MIN: u16 = 6;

/// The meaning of a notice's level.
pub(super) fn meaning(notice: &Notice) -> Meaning {
    match notice.level {
        NoticeLevel::Degraded => Meaning::Warn,
        NoticeLevel::Failed => Meaning::Bad,
    }
}

/// A notice's sign and few words; a check that has none is named.
pub(super) fn brief(notice: &Notice) -> String {
    let sign = match notice.level {
        NoticeLevel::Degraded => "!",
        NoticeLevel::Failed => "!!",
    };
    match &*notice.brief {
        "" => format!("{sign} {}", format::clean(&notice.check)),
        brief => format!("{sign} {}", format::clean(brief)),
    }
}

/// Draws it between the title and the foot.
pub(super) fn draw(pen: &mut Pen<'_>, area: Rect) {
    let lines = notices(pen, area.width.saturating_sub(4));
    let wanted = lines.len() as u16 + 2;
    if wanted + FIGURES_MIN <= area.height {
        let upper = Rect { height: wanted, ..area };
        let inner = pen.frame(upper);
        title(pen, upper, &headline(pen));
        for (y, (line, style)) in (inner.y..inner.bottom()).zip(&lines) {
            pen.text(inner.x + 1, y, inner.right(), line, *style);
        }
        figures(pen, Rect { y: upper.bottom(), height: area.height - wanted, ..area });
    } else {
        together(pen, area, &lines);
    }
}

/// Too little room for two boxes: all in one, to be scrolled through.
fn together(pen: &mut Pen<'_>, area: Rect, lines: &[(String, Style)]) {
    let inner = pen.frame(area);
    title(pen, area, &headline(pen));
    let rows = system::rows(pen.state);
    let places = usize::from(inner.height);
    let count = lines.len() + rows.len();
    let offset = pen.state.scrolled.min(count.saturating_sub(places));
    let above = lines.len().saturating_sub(offset);
    for (y, (line, style)) in (inner.y..inner.bottom()).zip(&lines[lines.len() - above..]) {
        pen.text(inner.x + 1, y, inner.right(), line, *style);
    }
    let skipped = offset.saturating_sub(lines.len());
    let place = Rect { x: inner.x + 1, width: inner.width.saturating_sub(1), ..inner };
    column(pen, place, above as u16, rows.iter().skip(skipped));
    part_shown(pen, area, offset, places, count);
}

fn headline(pen: &Pen<'_>) -> String {
    match pen.state.notices().len() {
        0 => " all is well ".to_owned(),
        1 => " 1 notice ".to_owned(),
        count => format!(" {count} notices "),
    }
}

fn title(pen: &mut Pen<'_>, area: Rect, text: &str) {
    let strong = pen.theme.strong(Meaning::Text);
    pen.text(area.x + 2, area.y, area.right() - 1, text, strong);
}

/// At the lower edge: which rows these are, where not all fit.
fn part_shown(pen: &mut Pen<'_>, area: Rect, offset: usize, places: usize, count: usize) {
    pen.hits.scroll_max = count.saturating_sub(places);
    if count > places {
        let muted = pen.theme.style(Meaning::Muted);
        let text = format!(" {}–{} of {count} ", offset + 1, (offset + places).min(count));
        pen.right(area.x + 2, area.bottom() - 1, area.right() - 2, &text, muted);
    }
}

/// Every notice in full: its few words, then its sentence.
fn notices(pen: &Pen<'_>, cells: u16) -> Vec<(String, Style)> {
    let text = pen.theme.style(Meaning::Text);
    let notices = pen.state.notices();
    if notices.is_empty() {
        let said = match pen.state.nodes() {
            Some(nodes) if nodes.expected > 1 => {
                format!("{} of {} instances report", nodes.reporting, nodes.expected)
            }
            _ => "every check of this instance is ok".to_owned(),
        };
        return vec![(said, text)];
    }
    let mut lines = Vec::new();
    for notice in notices {
        lines.push((brief(notice), pen.theme.strong(meaning(notice))));
        let detail = wrap(&format::clean(&notice.detail), cells.saturating_sub(2), NOTICE_LINES);
        lines.extend(detail.into_iter().map(|line| (format!("  {line}"), text)));
    }
    lines
}

fn figures(pen: &mut Pen<'_>, area: Rect) {
    let inner = pen.frame(area);
    let muted = pen.theme.style(Meaning::Muted);
    let node = pen.state.welcome.as_ref().map(|welcome| format::clean(&welcome.node));
    let name = match node {
        Some(node) if !node.is_empty() => format!(" figures of {} ", shorten(&node, 24)),
        _ => " figures ".to_owned(),
    };
    title(pen, area, &name);
    let state = pen.state;
    if state.figures.is_empty() {
        let said = state.figures.trouble().unwrap_or("reading them …");
        let cells = inner.width.saturating_sub(2);
        let lines = wrap(&format::clean(said), cells, usize::from(inner.height));
        for (y, line) in (inner.y..inner.bottom()).zip(lines) {
            pen.text(inner.x + 1, y, inner.right(), &line, muted);
        }
        return;
    }
    if let Some(trouble) = state.figures.trouble() {
        let cells = area.width.saturating_sub(8 + width(&name));
        let said = format!(" not newer: {} ", shorten(&format::clean(trouble), cells));
        let warn = pen.theme.style(Meaning::Warn);
        pen.right(area.x + 2 + width(&name), area.y, area.right() - 2, &said, warn);
    }
    let rows = system::rows(state);
    let columns: u16 = if area.width >= TWO_FROM { 2 } else { 1 };
    let places = usize::from(inner.height) * usize::from(columns);
    let offset = state.scrolled.min(rows.len().saturating_sub(places));
    let wide = inner.width / columns;
    let each = rows.len().div_ceil(usize::from(columns)).min(inner.height.into());
    for nth in 0..columns {
        let place = Rect { x: inner.x + 1 + wide * nth, width: wide - 1, ..inner };
        let from = offset + each * usize::from(nth);
        column(pen, place, 0, rows.iter().skip(from).take(each));
    }
    part_shown(pen, area, offset, places, rows.len());
}

/// Rows below one another, as many as fit below the first `skipped` lines.
fn column<'a>(pen: &mut Pen<'_>, area: Rect, skipped: u16, rows: impl Iterator<Item = &'a Row>) {
    let mut before = "";
    for (y, row) in (area.y + skipped..area.bottom()).zip(rows) {
        line(pen, Rect { y, height: 1, ..area }, row, row.about != before);
        before = row.about;
    }
}

fn line(pen: &mut Pen<'_>, area: Rect, row: &Row, is_first: bool) {
    let muted = pen.theme.style(Meaning::Muted);
    let text = pen.theme.style(Meaning::Text);
    if is_first {
        pen.text(area.x, area.y, area.x + ABOUT, row.about, text);
    }
    let name = area.x + ABOUT;
    pen.text(name, area.y, name + NAME, row.name, muted);
    let style = if row.is_noticed {
        pen.theme.strong(Meaning::Warn)
    } else {
        pen.theme.strong(Meaning::Text)
    };
    let start = name + NAME;
    if row.is_noticed {
        pen.text(start - 1, area.y, start, "!", style);
    }
    let (number, rest) = number_of(&row.value);
    pen.right(start, area.y, start + NUMBER, number, style);
    let start = start + NUMBER.max(width(number));
    // Words stand where units do.
    let blank = if number.is_empty() { " " } else { "" };
    let rest = cut(&format!("{blank}{rest}"), area.right().saturating_sub(start));
    pen.text(start, area.y, area.right(), &rest, style);
}

/// A value's number, if it begins with one or with the sign for none yet, and what follows it.
fn number_of(value: &str) -> (&str, &str) {
    let is_number = |letter: char| letter.is_ascii_digit() || ",.–".contains(letter);
    let end = value.find(|letter| !is_number(letter)).unwrap_or(value.len());
    // A comma after it is the sentence's.
    let number = value[..end].trim_end_matches(',');
    value.split_at(number.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_its_number_and_what_it_counts() {
        for (value, parts) in [
            ("48,210 events, 31.4 MB", ("48,210", " events, 31.4 MB")),
            ("1,250.0/s", ("1,250.0", "/s")),
            ("3, so far", ("3", ", so far")),
            ("answers", ("", "answers")),
            ("– pending", ("–", " pending")),
        ] {
            assert_eq!(number_of(value), parts);
        }
    }
}
