//! The top-routes table: how it is sorted and which row is selected. Pure.

use std::sync::Arc;

use pulseboard::wire::server::{Aggregate, RouteRow};

/// What the table can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// By name.
    Route,
    /// Most events first: as the daemon sends them.
    #[default]
    Events,
    /// Largest share of errors first.
    Errors,
    /// Slowest first.
    Latency,
}

impl Column {
    /// The one after it, around.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Events => Self::Errors,
            Self::Errors => Self::Latency,
            Self::Latency => Self::Route,
            Self::Route => Self::Events,
        }
    }
}

/// Order and selection. The selection holds on to a route, not to a place, since places change
/// every second.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// The order.
    pub column: Column,
    /// The selected route.
    pub selected: Option<Arc<str>>,
}

impl Routes {
    /// The rows in order.
    pub fn rows<'a>(&self, aggregate: &'a Aggregate) -> Vec<&'a RouteRow> {
        let mut rows: Vec<_> = aggregate.top_routes.iter().collect();
        match self.column {
            Column::Events => {}
            Column::Route => rows.sort_by(|a, b| a.route.cmp(&b.route)),
            Column::Errors => rows.sort_by(|a, b| b.error_rate.total_cmp(&a.error_rate)),
            Column::Latency => {
                rows.sort_by(|a, b| b.p95.unwrap_or(-1.0).total_cmp(&a.p95.unwrap_or(-1.0)));
            }
        }
        rows
    }

    /// Where the selected route stands now, if it is among the rows.
    pub fn place(&self, rows: &[&RouteRow]) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        rows.iter().position(|row| row.route == *selected)
    }

    /// Moves the selection by rows, staying inside; from none, to the first or the last.
    pub fn step(&mut self, rows: &[&RouteRow], by: i32) {
        let Some(last) = rows.len().checked_sub(1) else { return };
        let place = match self.place(rows) {
            None if by < 0 => last,
            None => 0,
            Some(place) => place.saturating_add_signed(by as isize).min(last),
        };
        self.select(rows, place);
    }

    /// Selects the row at a place.
    pub fn select(&mut self, rows: &[&RouteRow], place: usize) {
        if let Some(row) = rows.get(place) {
            self.selected = Some(row.route.clone());
        }
    }
}
