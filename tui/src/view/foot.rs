//! The last line: the keys that work now, or for a while a sentence about the last one.

use ratatui::layout::Rect;

use super::pen::{Pen, width};
use crate::state::keys;
use crate::theme::Meaning;

/// Draws it.
pub(super) fn draw(pen: &mut Pen<'_>, area: Rect) {
    let (start, end) = (area.x + 1, area.right().saturating_sub(1));
    if let Some(notice) = &pen.state.notice {
        let style = if notice.bad {
            pen.theme.strong(Meaning::Bad)
        } else {
            pen.theme.style(Meaning::Text)
        };
        pen.text(start, area.y, end, &super::format::clean(&notice.text), style);
        return;
    }
    let keys: Vec<_> = keys::of_screen(pen.state)
        .into_iter()
        .filter(|key| key.at_foot)
        .chain(keys::everywhere(pen.state))
        .collect();
    let cells = |gap: u16, count: usize| -> u16 {
        keys[..count]
            .iter()
            .chain(&keys[keys.len() - 2..])
            .map(|key| width(&key.keys) + 1 + width(key.does) + gap)
            .sum()
    };
    // Help and quit always stand there; the others as far as they fit.
    let room = end.saturating_sub(start);
    let others = keys.len() - 2;
    let gap = if cells(3, others) <= room + 3 { 3 } else { 2 };
    let count = (0..=others).rev().find(|count| cells(gap, *count) <= room + gap).unwrap_or(0);
    let mut x = start;
    for key in keys[..count].iter().chain(&keys[others..]) {
        let strong = pen.theme.strong(Meaning::Text);
        x = pen.text(x, area.y, end, &key.keys, strong) + 1;
        let muted = pen.theme.style(Meaning::Muted);
        x = pen.text(x, area.y, end, key.does, muted) + gap;
    }
}
