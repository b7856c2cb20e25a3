//! The Overview: four charts, the top routes, status classes; in a small terminal one line of
//! numbers, one chart and the routes.

use ratatui::layout::Rect;

use super::pen::{Pen, width};
use super::{chart, format, routes, types};
use crate::input::Spot;
use crate::state::{Measure, Picture, Shape};
use crate::theme::Meaning;

/// Rows the routes want: ten, the others, two edges.
const ROUTES_ROWS: u16 = 13;
/// Rows of a chart at least: three of plot, two edges.
const CHART_ROWS_MIN: u16 = 5;
/// From this width on the event types stand beside the routes.
const TYPES_FROM: u16 = 132;
/// From this width on, and up to this height, the four charts stand in one row.
const ONE_ROW_FROM: u16 = 160;
const ONE_ROW_TO: u16 = 27;

/// Draws it between the title and the foot.
pub(super) fn draw(pen: &mut Pen<'_>, area: Rect) {
    match pen.shape {
        Shape::Full => full(pen, area),
        _ => compact(pen, area),
    }
}

fn full(pen: &mut Pen<'_>, area: Rect) {
    let height = area.height - 1;
    let one_row = area.width >= ONE_ROW_FROM && height < ONE_ROW_TO;
    let rows = if one_row { 1 } else { 2 };
    let chart_rows = (height.saturating_sub(ROUTES_ROWS) / rows).max(CHART_ROWS_MIN);
    let columns = 4 / rows;
    for (place, measure) in Measure::ALL.into_iter().enumerate() {
        let (row, column) = (place as u16 / columns, place as u16 % columns);
        let left = area.width * column / columns;
        let right = area.width * (column + 1) / columns;
        let cell = Rect {
            x: area.x + left,
            y: area.y + row * chart_rows,
            width: right - left,
            height: chart_rows,
        };
        chart::draw(pen, cell, measure);
    }
    let table = Rect { y: area.y + rows * chart_rows, height: height - rows * chart_rows, ..area };
    if area.width >= TYPES_FROM {
        let left = area.width * 5 / 8;
        routes::draw(pen, Rect { width: left, ..table });
        types::draw(pen, Rect { x: table.x + left, width: table.width - left, ..table });
    } else {
        routes::draw(pen, table);
    }
    classes(pen, Rect { y: area.bottom() - 1, height: 1, ..area });
}

fn compact(pen: &mut Pen<'_>, area: Rect) {
    numbers(pen, Rect { height: 1, ..area });
    let chart_rows = (area.height / 2).clamp(CHART_ROWS_MIN, 16);
    let cell = Rect { y: area.y + 1, height: chart_rows - 1, ..area };
    chart::draw(pen, cell, pen.state.chart);
    pen.hits.add(cell, Spot::Chart);
    let table = Rect { y: cell.bottom(), height: area.bottom() - cell.bottom(), ..area };
    routes::draw(pen, table);
}

/// Where each of the four numbers of the compact layout starts, in sixtieths of the width: wide
/// enough for `99,999.9 events/s`, `9,999 users`, `!! 100.0 % errors`, so that none jumps.
const NUMBERS_AT: [u16; 5] = [0, 19, 32, 50, 60];

/// The four numbers in one line.
fn numbers(pen: &mut Pen<'_>, area: Rect) {
    let Some(picture) = pen.state.shown() else { return };
    for (place, measure) in Measure::ALL.into_iter().enumerate() {
        let unit = match measure {
            Measure::Events => "events/s",
            Measure::Users => "users",
            Measure::Errors => "errors",
            Measure::Latency => "p95",
        };
        let at = |place: usize| area.x + 1 + (area.width - 2) * NUMBERS_AT[place] / 60;
        let (start, end) = (at(place), at(place + 1));
        let value = chart::value_now(picture, measure);
        let style = pen.theme.strong(chart::meaning_now(Some(picture), measure));
        let x = pen.text(start, area.y, end, &value, style);
        let muted = pen.theme.style(Meaning::Muted);
        pen.text(x + 1, area.y, end, unit, muted);
    }
}

/// What events without a status stand under.
const NO_STATUS: &str = "none";

/// Shares of the status classes among all events, as the page shows them, and what came late or
/// from clocks ahead.
fn classes(pen: &mut Pen<'_>, area: Rect) {
    let Some(aggregate) = pen.state.shown().and_then(|picture| picture.aggregate.clone()) else {
        return;
    };
    let muted = pen.theme.style(Meaning::Muted);
    let end = area.right().saturating_sub(1);
    let with_status: u64 = aggregate.status_classes.values().sum();
    let none = aggregate.events.saturating_sub(with_status);
    let total = with_status + none;
    // Five classes stand closer, so that 80 columns still say what came late.
    let (digits, gap) = if none > 0 && area.width < 100 { (6, 1) } else { (7, 3) };
    let mut x = area.x + 1;
    if with_status == 0 {
        let window = pen.state.shown().map(|picture: &Picture| picture.window.clone());
        let text = format!("no status codes in the last {}", window.as_deref().unwrap_or("window"));
        pen.text(x, area.y, end, &text, muted);
    } else {
        let known = ["1xx", "2xx", "3xx", "4xx", "5xx", NO_STATUS];
        for class in known {
            let events = match class {
                NO_STATUS => none,
                _ => aggregate.status_classes.get(class).copied().unwrap_or(0),
            };
            if (class == "1xx" || class == NO_STATUS) && events == 0 {
                continue;
            }
            let meaning = match class {
                "2xx" => Meaning::Ok,
                "4xx" => Meaning::Warn,
                "5xx" => Meaning::Bad,
                _ => Meaning::Text,
            };
            x = pen.text(x, area.y, end, class, muted) + 1;
            let share = format!("{:>digits$}", format::percent(events as f64 / total as f64));
            let style = if events == 0 { muted } else { pen.theme.style(meaning) };
            x = pen.text(x, area.y, end, &share, style) + gap;
        }
    }
    let counted = [("skewed", aggregate.skewed), ("late", aggregate.late)];
    let mut right = end;
    for (name, events) in counted {
        let text = format!("{name} {}", format::count(events));
        let style = if events == 0 { muted } else { pen.theme.style(Meaning::Warn) };
        if right.saturating_sub(width(&text)) > x {
            pen.right(x, area.y, right, &text, style);
            right = right.saturating_sub(width(&text) + 3);
        }
    }
}
