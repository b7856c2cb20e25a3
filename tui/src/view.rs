//! Draws the state: reads it, never writes it, and keeps nothing between two pictures. Returns what
//! stands where, so that a click finds its meaning. `app` calls it when something visible changed.

mod canvas;
mod chart;
mod foot;
pub mod format;
mod help;
mod overview;
mod panel;
mod pen;
mod routes;
mod system;
mod title;
mod token;
mod types;

use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};

use crate::cli::Charts;
use crate::input::Spot;
use crate::state::{Link, Screen, Shape, State};
use crate::theme::{Depth, Theme};
use pen::Pen;

pub use panel::curl_lines;

/// What the terminal can do and where it stands; does not change while the dashboard runs.
#[derive(Clone, Debug)]
pub struct Look {
    /// Its colours.
    pub depth: Depth,
    /// How charts are drawn.
    pub charts: Charts,
    /// The zone times are written in.
    pub zone: TimeZone,
}

/// What stands where, for clicks, and what did not fit.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    spots: Vec<(Rect, Spot)>,
    scroll_max: usize,
}

impl Hits {
    /// What stands at a cell.
    pub fn at(&self, x: u16, y: u16) -> Option<Spot> {
        let cell = Position { x, y };
        self.spots.iter().find(|(area, _)| area.contains(cell)).map(|(_, spot)| *spot)
    }

    fn add(&mut self, area: Rect, spot: Spot) {
        self.spots.push((area, spot));
    }

    /// How many rows of the screen did not fit, where it can be scrolled.
    pub fn scroll_max(&self) -> usize {
        self.scroll_max
    }
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, state: &State, look: &Look) -> Hits {
    let area = frame.area();
    let theme = Theme::new(state.theme, look.depth);
    let mut hits = Hits::default();
    let buffer = frame.buffer_mut();
    buffer.set_style(area, theme.ground());
    let shape = Shape::of(area.width, area.height);
    let mut pen =
        Pen { buffer, theme, look, state, shape, hits: &mut hits, has_told_notices: false };
    if shape == Shape::TooSmall {
        panel::too_small(&mut pen, area);
        return hits;
    }
    let top = Rect { height: 1, ..area };
    let foot = Rect { y: area.bottom().saturating_sub(1), height: 1, ..area };
    let middle = Rect { y: area.y + 1, height: area.height.saturating_sub(2), ..area };
    title::draw(&mut pen, top);
    if state.is_without_daemon() && state.field.is_some() {
        // The panel says it all.
    } else if state.is_without_daemon() {
        panel::no_daemon(&mut pen, middle);
    } else if state.screen == Screen::System && state.shown().is_some() {
        system::draw(&mut pen, middle);
        if state.link != Link::Live {
            pen.buffer.set_style(middle, theme.old());
        }
    } else if state.is_first_run() {
        panel::first_run(&mut pen, middle);
    } else {
        overview::draw(&mut pen, middle);
        if state.link != Link::Live && state.shown().is_some() {
            pen.buffer.set_style(middle, theme.old());
        }
    }
    foot::draw(&mut pen, foot);
    if let Some(field) = &state.field {
        token::draw(&mut pen, middle, field);
    } else if state.help {
        help::draw(&mut pen, area);
    }
    hits
}
