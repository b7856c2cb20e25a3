//! Event types beside the routes, where the terminal is wide: what kinds of events make up the
//! window.

use ratatui::layout::Rect;

use super::pen::{Pen, shorten};
use super::{canvas, format};
use crate::theme::Meaning;

const EVENTS: u16 = 11;
const SHARE: u16 = 9;

/// Draws them in their box, the most frequent first.
pub(super) fn draw(pen: &mut Pen<'_>, area: Rect) {
    let inner = pen.frame(area);
    let Some(picture) = pen.state.shown() else { return };
    let Some(aggregate) = &picture.aggregate else { return };
    if inner.height == 0 || inner.width < 40 {
        return;
    }
    let muted = pen.theme.style(Meaning::Muted);
    let text = pen.theme.style(Meaning::Text);
    let title = format!(" event types, {} ", picture.window);
    pen.text(area.x + 2, area.y, area.right() - 1, &title, text);
    let share = inner.right() - 1;
    let bar_end = share - SHARE;
    let bar_start = bar_end - (inner.width - EVENTS - SHARE) * 4 / 10;
    let events = bar_start - 2;
    pen.right(area.x, area.y, events + 1, " events/s ", muted);
    pen.right(area.x, area.y, share + 1, " share ", muted);
    let mut types: Vec<_> = aggregate.types.iter().collect();
    types.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let largest = types.first().map_or(1, |(_, events)| **events).max(1);
    for (y, (name, count)) in (inner.y..inner.bottom()).zip(types) {
        let cells = (events - EVENTS).saturating_sub(inner.x + 2);
        pen.text(inner.x + 1, y, events, &shorten(&format::clean(name), cells), text);
        let rate = format::rate(*count as f64 / picture.seconds());
        pen.right(inner.x, y, events, &rate, text);
        let bar = canvas::bar(*count as f64 / largest as f64, usize::from(bar_end - bar_start));
        pen.text(bar_start, y, bar_end, &bar, pen.theme.style(Meaning::Accent));
        let of_all = *count as f64 / aggregate.events.max(1) as f64;
        pen.right(bar_end, y, share, &format::percent(of_all), text);
    }
}
