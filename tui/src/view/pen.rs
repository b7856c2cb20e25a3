//! What every part of the picture draws with: text at a place, boxes, and the means to look things
//! up. Keeps inside the area it is given whatever the text.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Hits, Look, format};
use crate::state::{Shape, State};
use crate::theme::{Meaning, Theme};

/// A picture in the making.
pub(super) struct Pen<'a> {
    pub(super) buffer: &'a mut Buffer,
    pub(super) theme: Theme,
    pub(super) look: &'a Look,
    pub(super) state: &'a State,
    /// What fits the area as it is now; the state may not have heard of a resize yet.
    pub(super) shape: Shape,
    pub(super) hits: &'a mut Hits,
    /// Whether the title had room for what is not as it should be.
    pub(super) has_told_notices: bool,
}

impl Pen<'_> {
    /// Writes from `x` to before `end`; returns where it stopped.
    pub(super) fn text(&mut self, x: u16, y: u16, end: u16, text: &str, style: Style) -> u16 {
        if x >= end {
            return x;
        }
        self.buffer.set_stringn(x, y, text, usize::from(end - x), style).0
    }

    /// Writes so that the text ends before `end`, not before `start`.
    pub(super) fn right(&mut self, start: u16, y: u16, end: u16, text: &str, style: Style) {
        let x = end.saturating_sub(width(text)).max(start);
        self.text(x, y, end, text, style);
    }

    /// Writes in the middle of an area's row.
    pub(super) fn centre(&mut self, area: Rect, y: u16, text: &str, style: Style) {
        let x = area.x + area.width.saturating_sub(width(text)) / 2;
        self.text(x, y, area.right(), text, style);
    }

    /// Draws a box and returns what is inside.
    pub(super) fn frame(&mut self, area: Rect) -> Rect {
        let style = self.theme.style(Meaning::Muted);
        if area.width < 2 || area.height < 2 {
            return Rect { width: 0, height: 0, ..area };
        }
        let (right, bottom) = (area.right() - 1, area.bottom() - 1);
        for x in area.x + 1..right {
            self.buffer[(x, area.y)].set_symbol("─").set_style(style);
            self.buffer[(x, bottom)].set_symbol("─").set_style(style);
        }
        for y in area.y + 1..bottom {
            self.buffer[(area.x, y)].set_symbol("│").set_style(style);
            self.buffer[(right, y)].set_symbol("│").set_style(style);
        }
        for (x, y, corner) in [
            (area.x, area.y, "╭"),
            (right, area.y, "╮"),
            (area.x, bottom, "╰"),
            (right, bottom, "╯"),
        ] {
            self.buffer[(x, y)].set_symbol(corner).set_style(style);
        }
        Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 }
    }
}

/// Cells a text takes.
pub(super) fn width(text: &str) -> u16 {
    format::cells(text) as u16
}

/// The text, or its head and tail around an ellipsis where it is wider than `cells`.
pub(super) fn shorten(text: &str, cells: u16) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let head_cells = cells.saturating_sub(1).div_ceil(2);
    let tail_cells = cells.saturating_sub(1) - head_cells;
    let head = take(text.chars(), head_cells);
    let tail: String = take(text.chars().rev(), tail_cells).chars().rev().collect();
    if cells == 0 { String::new() } else { format!("{head}…{tail}") }
}

/// The text, or its head and an ellipsis where it is wider than `cells`: for what is read from its
/// start, and whose middle would mislead.
pub(super) fn cut(text: &str, cells: u16) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let head = take(text.chars(), cells.saturating_sub(1));
    if cells == 0 { String::new() } else { format!("{head}…") }
}

/// The text in lines of at most `cells`, broken at blanks; a longer word is cut. At most `most`
/// lines, the last one shortened.
pub(super) fn wrap(text: &str, cells: u16, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let count = lines.len();
        match lines.last_mut() {
            // What is left goes on in the last line, to be shortened.
            Some(line) if count == most || width(line) + 1 + width(word) <= cells => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    for line in &mut lines {
        *line = shorten(line, cells);
    }
    lines
}

fn take(characters: impl Iterator<Item = char>, cells: u16) -> String {
    let mut left = cells;
    let mut taken = String::new();
    for character in characters {
        let wide = width(character.encode_utf8(&mut [0; 4]));
        if wide > left {
            break;
        }
        left -= wide;
        taken.push(character);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_route_keeps_its_head_and_its_tail() {
        assert_eq!(shorten("/api/v1/products/:id/reviews", 15), "/api/v1…reviews");
        assert_eq!(shorten("/short", 15), "/short");
        assert_eq!(shorten("/日本語日本語日本語", 9), "/日…本語");
        assert_eq!(shorten("/abc", 0), "");
    }

    #[test]
    fn a_value_keeps_its_head() {
        assert_eq!(cut("0.0/s pending, 12.0/s taken", 16), "0.0/s pending, …");
        assert_eq!((cut("84 ms", 5), cut("84 ms", 0)), ("84 ms".to_owned(), String::new()));
    }

    #[test]
    fn a_sentence_breaks_between_words_and_ends_in_its_last_line() {
        assert_eq!(wrap("one two three", 8, 3), ["one two", "three"]);
        assert_eq!(wrap("one two three four", 8, 2), ["one two", "thre…our"]);
        assert_eq!(wrap("", 8, 2), Vec::<String>::new());
    }
}
