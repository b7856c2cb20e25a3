//! One chart in its box: what it measures and its window in the upper edge with the value now, a
//! scale at the left, the time along the lower edge. Columns stand at multiples of their width in
//! time, so that the picture shifts as a whole and no bar changes its mind.

use pulseboard::wire::server::Nodes;
use ratatui::layout::Rect;

use super::pen::{Pen, width};
use super::{canvas, format};
use crate::state::{Measure, Picture};
use crate::theme::Meaning;

/// Cells for the labels of the scale, the tick mark included.
const GUTTER: u16 = 5;
/// Seconds between labels of the time axis, and the cells each needs.
const STEPS_SECS: [i64; 5] = [15, 30, 60, 120, 300];
const LABEL_CELLS: i64 = 10;
/// What the axis has under seconds that lack somebody's counts.
const LACKING: char = '×';

/// Draws a chart of the chosen window.
pub(super) fn draw(pen: &mut Pen<'_>, area: Rect, measure: Measure) {
    let inner = pen.frame(area);
    if inner.height == 0 || inner.width <= GUTTER {
        return;
    }
    let shown = pen.state.shown();
    heading(pen, area, measure, shown);
    let plot = Rect { x: inner.x + GUTTER, width: inner.width - GUTTER, ..inner };
    let wide = canvas::values_a_cell(pen.look.charts);
    let count = usize::from(plot.width) * wide;
    let ticks_a_value = (crate::state::picture::SPAN_TICKS / count as i64).max(1);
    time_axis(pen, plot, ticks_a_value * wide as i64);
    let Some(picture) = shown else { return };
    scale_labels(pen, plot, measure, picture);
    let Some(tick) = picture.tick() else { return };
    let values = columns(picture, measure, tick, count as i64, ticks_a_value);
    let parts = parts(picture, tick, usize::from(plot.width), wide as i64, ticks_a_value);
    mark_lacking(pen, plot, &parts);
    let top = picture.scale(measure).top;
    let shares: Vec<_> = values.iter().map(|value| value.map(|value| value / top)).collect();
    let cells = canvas::area(&shares, usize::from(plot.height), pen.look.charts);
    for (y, row) in (plot.y..plot.bottom()).zip(cells) {
        for (place, (x, cell)) in (plot.x..plot.right()).zip(row).enumerate() {
            if cell.character == ' ' {
                continue;
            }
            let meaning = match measure {
                Measure::Errors => {
                    let here = &values[place * wide..(place * wide + wide).min(values.len())];
                    of_rate(here.iter().flatten().copied().fold(0.0, f64::max) / 100.0)
                }
                _ => of_measure(measure),
            };
            let style = match parts[place] {
                Some(_) => pen.theme.style(Meaning::Muted),
                None if cell.crest => pen.theme.style(meaning),
                None => pen.theme.faint(meaning),
            };
            pen.buffer[(x, y)].set_char(cell.character).set_style(style);
        }
    }
}

/// The value now, with its unit.
pub(super) fn value_now(picture: &Picture, measure: Measure) -> String {
    let Some(aggregate) = &picture.aggregate else { return "–".to_owned() };
    match measure {
        Measure::Events => format::rate(aggregate.events_per_second),
        Measure::Users => format::count(aggregate.active_users),
        Measure::Errors => aggregate.error_rate.map_or_else(
            || "–".to_owned(),
            |rate| format!("{}{}", mark(rate), format::percent(rate)),
        ),
        Measure::Latency => aggregate
            .latency_ms
            .map_or_else(|| "–".to_owned(), |latency| format::millis(latency.p95)),
    }
}

/// The colour of a value now.
pub(super) fn meaning_now(picture: Option<&Picture>, measure: Measure) -> Meaning {
    match measure {
        Measure::Errors => {
            let aggregate = picture.and_then(|picture| picture.aggregate.as_ref());
            of_rate(aggregate.and_then(|aggregate| aggregate.error_rate).unwrap_or(0.0))
        }
        _ => of_measure(measure),
    }
}

/// The colour of an error rate of 0..1, decided by the rate as it is written, so that no 1.0 % has
/// a mark and another none.
pub(super) fn of_rate(rate: f64) -> Meaning {
    match (rate * 1_000.0).round() {
        tenths if tenths >= 50.0 => Meaning::Bad,
        tenths if tenths >= 10.0 => Meaning::Warn,
        _ => Meaning::Ok,
    }
}

fn of_measure(measure: Measure) -> Meaning {
    match measure {
        Measure::Events => Meaning::Accent,
        Measure::Users => Meaning::Users,
        Measure::Errors => Meaning::Ok,
        Measure::Latency => Meaning::Latency,
    }
}

/// What stands before a rate worth a look, whatever the colours.
fn mark(rate: f64) -> &'static str {
    match of_rate(rate) {
        Meaning::Bad => "!! ",
        Meaning::Warn => "! ",
        _ => "",
    }
}

/// What a chart is called.
pub(super) fn name(measure: Measure) -> &'static str {
    match measure {
        Measure::Events => "events/s",
        Measure::Users => "active users",
        Measure::Errors => "error rate",
        Measure::Latency => "latency p95",
    }
}

/// The upper edge: name and window, what else is worth knowing where it fits, the value now.
fn heading(pen: &mut Pen<'_>, area: Rect, measure: Measure, shown: Option<&Picture>) {
    let name = match shown {
        Some(picture) => format!(" {}, {} ", name(measure), picture.window),
        None => format!(" {} ", name(measure)),
    };
    let end = area.right() - 2;
    let text = pen.theme.style(Meaning::Text);
    let x = pen.text(area.x + 2, area.y, end, &name, text);
    let Some(picture) = shown else { return };
    let value = format!(" {} ", value_now(picture, measure));
    let meaning = meaning_now(shown, measure);
    let style = pen.theme.strong(meaning);
    pen.right(x, area.y, end, &value, style);
    let room = end.saturating_sub(x + width(&value));
    let since = |tick: i64| fewest(picture, tick - crate::state::picture::SPAN_TICKS + 1, tick);
    let lacking = picture.tick().and_then(since).map(lacking).unwrap_or_default();
    let details = details(picture, measure);
    let (note, detail) = fitting(&lacking, &details, room);
    let mut x = x + 1;
    for (text, meaning) in [(note, Meaning::Warn), (detail, Meaning::Muted)] {
        if let Some(text) = text {
            let style = pen.theme.style(meaning);
            x = pen.text(x, area.y, end, &format!(" {text} "), style) + 1;
        }
    }
}

/// That seconds of the chart lack somebody's counts, the fullest first.
fn lacking(nodes: Nodes) -> Vec<String> {
    let few = format!("{LACKING} {} of {}", nodes.reporting, nodes.expected);
    vec![format!("{few} instances"), few]
}

/// What an edge of so many cells has room for, of a note and of details, each the fullest first. Who is
/// missing qualifies all the chart shows, so that the note stays where only one of the two fits; where
/// both do, the details lose nothing for its longer form.
fn fitting<'a>(
    notes: &'a [String],
    details: &'a [String],
    room: u16,
) -> (Option<&'a String>, Option<&'a String>) {
    // Each stands between two spaces, with the edge's line before, and the line goes on behind.
    let cells = |text: &String| width(text) + 3;
    let fits = |cells: u16| cells < room;
    if notes.is_empty() {
        return (None, details.iter().find(|detail| fits(cells(detail))));
    }
    let mut pairs = details.iter().flat_map(|detail| notes.iter().map(move |note| (note, detail)));
    match pairs.find(|(note, detail)| fits(cells(note) + cells(detail))) {
        Some((note, detail)) => (Some(note), Some(detail)),
        None => (notes.iter().find(|note| fits(cells(note))), None),
    }
}

/// What goes with the value, the fullest first.
fn details(picture: &Picture, measure: Measure) -> Vec<String> {
    let Some(aggregate) = &picture.aggregate else { return Vec::new() };
    match measure {
        Measure::Events => vec![format!("{} events", format::count(aggregate.events))],
        Measure::Users => vec![format!("{} sessions", format::count(aggregate.active_sessions))],
        Measure::Errors => vec![
            format!("{} of {}", format::count(aggregate.errors), format::count(aggregate.events)),
            format!("{} errors", format::count(aggregate.errors)),
        ],
        Measure::Latency => aggregate.latency_ms.map_or_else(Vec::new, |latency| {
            let [p50, p99, max] = [latency.p50, latency.p99, latency.max].map(format::millis);
            vec![
                format!("p50 {p50}  p99 {p99}  max {max}"),
                format!("p50 {p50}  p99 {p99}"),
                format!("p99 {p99}"),
            ]
        }),
    }
}

/// One value a column, oldest first. Counts are averaged over a column's ticks; of rates and
/// latencies the highest is kept, since a spike is what they are watched for.
fn columns(
    picture: &Picture,
    measure: Measure,
    tick: i64,
    count: i64,
    ticks_a_value: i64,
) -> Vec<Option<f64>> {
    let newest = tick.div_euclid(ticks_a_value);
    (newest - count + 1..=newest)
        .map(|column| {
            let from = column * ticks_a_value;
            let to = (from + ticks_a_value - 1).min(tick);
            let known =
                (from..=to).filter_map(|tick| picture.value(measure, picture.series.at(tick)));
            match measure {
                Measure::Events | Measure::Users => {
                    let (sum, of) =
                        known.fold((0.0, 0u32), |(sum, of), value| (sum + value, of + 1));
                    (of > 0).then(|| sum / f64::from(of))
                }
                Measure::Errors | Measure::Latency => known.reduce(f64::max),
            }
        })
        .collect()
}

/// Who is missing in each cell's ticks, the fewest of them.
fn parts(
    picture: &Picture,
    tick: i64,
    cells: usize,
    values_a_cell: i64,
    ticks_a_value: i64,
) -> Vec<Option<Nodes>> {
    let after = tick.div_euclid(ticks_a_value) + 1;
    (0..cells as i64)
        .map(|cell| {
            let from = (after - (cells as i64 - cell) * values_a_cell) * ticks_a_value;
            fewest(picture, from, (from + values_a_cell * ticks_a_value - 1).min(tick))
        })
        .collect()
}

fn fewest(picture: &Picture, from: i64, to: i64) -> Option<Nodes> {
    (from..=to).filter_map(|tick| picture.series.at(tick).part).min_by_key(|nodes| nodes.reporting)
}

/// Marks the axis under cells that lack somebody's counts; its labels stay.
fn mark_lacking(pen: &mut Pen<'_>, plot: Rect, parts: &[Option<Nodes>]) {
    let warn = pen.theme.style(Meaning::Warn);
    for (x, part) in (plot.x..plot.right()).zip(parts) {
        let cell = &mut pen.buffer[(x, plot.bottom())];
        if part.is_some() && cell.symbol() == "─" {
            cell.set_char(LACKING).set_style(warn);
        }
    }
}

fn scale_labels(pen: &mut Pen<'_>, plot: Rect, measure: Measure, picture: &Picture) {
    let scale = picture.scale(measure);
    let steps = (scale.top / scale.step).round() as u16;
    let style = pen.theme.style(Meaning::Muted);
    let mut free_below = plot.bottom();
    for step in 0..=steps {
        // A value's row is the one whose upper end it is; zero is the lower end of the last.
        let rows_up = (f64::from(plot.height) * f64::from(step) / f64::from(steps)).ceil() as u16;
        let y = plot.bottom() - rows_up.clamp(1, plot.height);
        let is_end = step == 0 || step == steps;
        if y >= free_below || (!is_end && (plot.height < 6 || y < plot.y + 2)) {
            continue;
        }
        free_below = y.saturating_sub(1).max(plot.y + 1);
        let value = f64::from(step) * scale.step;
        let label = match measure {
            Measure::Errors => format!("{}%", format::axis(value)),
            Measure::Latency if value >= 1_000.0 => format!("{}s", format::axis(value / 1_000.0)),
            _ => format::axis(value),
        };
        pen.right(plot.x - GUTTER, y, plot.x - 1, &label, style);
        pen.text(plot.x - 1, y, plot.x, "┤", style);
    }
}

/// The lower edge: how long ago, and at its end now, or when while paused or cut off.
fn time_axis(pen: &mut Pen<'_>, plot: Rect, secs_a_cell: i64) {
    let y = plot.bottom();
    let muted = pen.theme.style(Meaning::Muted);
    let state = pen.state;
    let held = state.is_paused() || state.link != crate::state::Link::Live;
    let end = match state.shown().and_then(Picture::tick) {
        Some(tick) if held => format!(" {} ", format::clock(tick, &pen.look.zone)),
        _ => " now ".to_owned(),
    };
    pen.right(plot.x, y, plot.right(), &end, muted);
    let free = plot.right().saturating_sub(width(&end) + 1);
    let step = STEPS_SECS
        .into_iter()
        .find(|step| step / secs_a_cell >= LABEL_CELLS)
        .unwrap_or(STEPS_SECS[STEPS_SECS.len() - 1]);
    for ago in (1..).map(|turn| turn * step) {
        let cells = (ago / secs_a_cell) as u16;
        let label = format!(" -{} ", ago_label(ago));
        let Some(x) = (plot.right() - 1).checked_sub(cells + width(&label) / 2) else { break };
        if x < plot.x.saturating_sub(GUTTER) {
            break;
        }
        if x + width(&label) <= free {
            pen.text(x, y, plot.right(), &label, muted);
        }
    }
}

fn ago_label(seconds: i64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, 0) => format!("{minutes}m"),
        (minutes, seconds) => format!("{minutes}m{seconds}"),
    }
}
