//! The top routes as a table: headings in the upper edge, a bar for each share, error share with a
//! mark, p95, and the rest in one row. Columns keep their width whatever the numbers. The lower edge
//! says what is not as it should be where the title has no room: it is there anyway, so nothing moves.

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::pen::{Pen, shorten, width};
use super::{canvas, chart, format, system};
use crate::input::Spot;
use crate::state::routes::Column;
use crate::theme::Meaning;

const MARKER: u16 = 3;
const EVENTS: u16 = 11;
const SHARE: u16 = 8;
const ERRORS: u16 = 11;
const LATENCY: u16 = 10;

/// Where each column ends; the bar starts two cells after the events.
struct Columns {
    route: (u16, u16),
    events: u16,
    bar: (u16, u16),
    share: u16,
    errors: u16,
    latency: u16,
}

impl Columns {
    fn fit(inner: Rect) -> Self {
        let latency = inner.right().saturating_sub(1);
        let errors = latency.saturating_sub(LATENCY);
        let share = errors.saturating_sub(ERRORS);
        let start = inner.x + MARKER;
        // Too narrow for shares: the route's name is worth more.
        if inner.width < 72 {
            let events = share;
            return Self {
                route: (start, events.saturating_sub(EVENTS)),
                events,
                bar: (events, events),
                share: events,
                errors,
                latency,
            };
        }
        let bar_end = share - SHARE;
        let bar_cells = ((inner.width - 44) * 3 / 10).clamp(8, 28);
        let events = bar_end - bar_cells - 2;
        Self {
            route: (start, events - EVENTS),
            events,
            bar: (events + 2, bar_end),
            share,
            errors,
            latency,
        }
    }

    fn has_shares(&self) -> bool {
        self.bar.1 > self.bar.0
    }
}

/// Draws the table in its box.
pub(super) fn draw(pen: &mut Pen<'_>, area: Rect) {
    let inner = pen.frame(area);
    if inner.height == 0 {
        return;
    }
    let columns = Columns::fit(inner);
    headings(pen, area, &columns);
    let state = pen.state;
    let Some(aggregate) = state.shown().and_then(|picture| picture.aggregate.clone()) else {
        return;
    };
    let seconds = state.shown().map_or(1.0, crate::state::Picture::seconds);
    let rows = state.routes.rows(&aggregate);
    let others = aggregate.other_routes;
    if rows.is_empty() {
        lower_edge(pen, area, None, 0, 0, 0);
        let muted = pen.theme.style(Meaning::Muted);
        pen.text(columns.route.0, inner.y, inner.right(), "no events in this window", muted);
        return;
    }
    let has_others = others.routes > 0;
    let places = usize::from(inner.height.saturating_sub(u16::from(has_others)));
    let selected = state.routes.place(&rows);
    let offset = selected.map_or(0, |place| (place + 1).saturating_sub(places));
    let largest =
        rows.iter().map(|row| row.events).chain([others.events]).max().unwrap_or(1).max(1);
    let line = |events: u64, errors: u64| Line {
        events,
        per_second: events as f64 / seconds,
        bar: events as f64 / largest as f64,
        share: events as f64 / aggregate.events.max(1) as f64,
        error_rate: errors as f64 / events.max(1) as f64,
    };
    let mut y = inner.y;
    for (place, row) in rows.iter().enumerate().skip(offset).take(places) {
        let is_selected = selected == Some(place);
        let text = if is_selected {
            pen.text(inner.x + 1, y, inner.right(), "▸", pen.theme.strong(Meaning::Accent));
            pen.theme.strong(Meaning::Accent)
        } else {
            pen.theme.style(Meaning::Text)
        };
        let name = format::clean(&row.route);
        let latency = row.p95.map_or_else(|| "–".to_owned(), format::millis);
        numbers(pen, y, &columns, &line(row.events, row.errors), Some(&latency), text);
        let cells = columns.route.1 - columns.route.0;
        pen.text(columns.route.0, y, columns.route.1, &shorten(&name, cells), text);
        pen.hits.add(Rect { y, height: 1, ..inner }, Spot::Row(place));
        y += 1;
    }
    if has_others && y < inner.bottom() {
        let muted = pen.theme.style(Meaning::Muted);
        let name = format!("other ({})", format::count(others.routes));
        pen.text(columns.route.0, y, columns.route.1, &name, muted);
        numbers(pen, y, &columns, &line(others.events, others.errors), None, muted);
    }
    lower_edge(pen, area, selected.map(|place| &*rows[place].route), offset, places, rows.len());
}

struct Line {
    events: u64,
    per_second: f64,
    bar: f64,
    share: f64,
    error_rate: f64,
}

fn numbers(
    pen: &mut Pen<'_>,
    y: u16,
    columns: &Columns,
    line: &Line,
    latency: Option<&str>,
    text: Style,
) {
    pen.right(columns.route.1, y, columns.events, &format::rate(line.per_second), text);
    if columns.has_shares() {
        let (start, end) = columns.bar;
        let bar = canvas::bar(line.bar, usize::from(end - start));
        let accent = pen.theme.style(Meaning::Accent);
        pen.text(start, y, end, &bar, accent);
        pen.right(end, y, columns.share, &format::percent(line.share), text);
    }
    // The mark has its own two cells, so that the digits stand below one another.
    let meaning = chart::of_rate(line.error_rate);
    let mark = match meaning {
        Meaning::Bad => "!!",
        Meaning::Warn => "!",
        _ => "",
    };
    let style = match meaning {
        Meaning::Ok if line.events == 0 || line.error_rate == 0.0 => {
            pen.theme.style(Meaning::Muted)
        }
        Meaning::Ok => text,
        meaning => pen.theme.strong(meaning),
    };
    let digits_end = columns.errors - 3;
    pen.right(columns.share, y, digits_end, &format::percent(line.error_rate), style);
    pen.text(digits_end + 1, y, columns.errors, mark, style);
    if let Some(latency) = latency {
        pen.right(columns.errors, y, columns.latency, latency, text);
    }
}

/// The upper edge: the title, then each heading at the end of its column.
fn headings(pen: &mut Pen<'_>, area: Rect, columns: &Columns) {
    let title = match pen.state.shown() {
        Some(picture) => format!(" top routes, {} ", picture.window),
        None => " top routes ".to_owned(),
    };
    let text = pen.theme.style(Meaning::Text);
    let start = area.x + 2;
    let end = pen.text(start, area.y, area.right() - 1, &title, text);
    let sorted = pen.state.routes.column;
    if sorted == Column::Route {
        let accent = pen.theme.strong(Meaning::Accent);
        pen.text(start, area.y, area.right() - 1, "▾", accent);
    }
    pen.hits.add(
        Rect { x: start, width: end - start, height: 1, ..area },
        Spot::Heading(Column::Route),
    );
    let mut heading = |name: &str, end: u16, column: Option<Column>| {
        let is_sorted = column == Some(sorted);
        let label = format!(" {}{name} ", if is_sorted { "▾" } else { "" });
        let style = if is_sorted {
            pen.theme.strong(Meaning::Accent)
        } else {
            pen.theme.style(Meaning::Muted)
        };
        let x = (end + 1).saturating_sub(width(&label));
        pen.text(x, area.y, end + 1, &label, style);
        if let Some(column) = column {
            let place = Rect { x, y: area.y, width: width(&label), height: 1 };
            pen.hits.add(place, Spot::Heading(column));
        }
    };
    heading("events/s", columns.events, Some(Column::Events));
    if columns.has_shares() {
        heading("share", columns.share, None);
    }
    heading("errors", columns.errors - 3, Some(Column::Errors));
    heading("p95", columns.latency, Some(Column::Latency));
}

/// The lower edge: the selected route in full, and which rows these are where not all fit.
fn lower_edge(
    pen: &mut Pen<'_>,
    area: Rect,
    selected: Option<&str>,
    offset: usize,
    places: usize,
    rows: usize,
) {
    let y = area.bottom() - 1;
    let muted = pen.theme.style(Meaning::Muted);
    let mut end = area.right() - 2;
    if rows > places {
        let text = format!(" {}–{} of {rows} ", offset + 1, (offset + places).min(rows));
        pen.right(area.x + 2, y, end, &text, muted);
        end -= width(&text);
    }
    if let Some(route) = selected {
        let cells = end.saturating_sub(area.x + 2).saturating_sub(3);
        let text = format!(" {} ", shorten(&format::clean(route), cells));
        let style = pen.theme.style(Meaning::Accent);
        pen.text(area.x + 2, y, end, &text, style);
    } else if !pen.has_told_notices {
        notices(pen, Rect { x: area.x + 2, y, width: end.saturating_sub(area.x + 3), height: 1 });
    }
}

/// What is not as it should be, where the title had no room for it: as many as fit, in full words.
fn notices(pen: &mut Pen<'_>, area: Rect) {
    let all = pen.state.notices();
    let mut x = area.x;
    for (place, notice) in all.iter().enumerate() {
        let text = format!(" {} ", system::brief(notice));
        let left = all.len() - place - 1;
        // Room to say that there are more.
        let reserved = if left > 0 { width(" +9 more ") } else { 0 };
        if x + width(&text) + reserved > area.right() {
            let more = format!(" +{} more ", left + 1);
            let muted = pen.theme.style(Meaning::Muted);
            x = pen.text(x, area.y, area.right(), &more, muted);
            break;
        }
        let style = pen.theme.strong(system::meaning(notice));
        x = pen.text(x, area.y, area.right(), &text, style);
    }
    pen.hits.add(Rect { width: x - area.x, ..area }, Spot::Notices);
}
