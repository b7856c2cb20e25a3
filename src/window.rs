//! Sliding windows over ticks: each ends at the newest tick and slides every tick.
//!
//! Counts and latency bins slide by adding the tick that enters and subtracting the one that leaves;
//! distinct counts, which cannot be subtracted, are unions of blocks of 5 ticks ([`Ticks`]). A
//! window is bounded only when it is rendered. It reads no clock: the caller says which tick it is.
//! Driven by the daemon's aggregator.

mod codec;
mod point;
mod ranked;
mod render;
mod routes;
#[cfg(test)]
mod tests;
mod ticks;

pub use codec::{decode_frame, decode_point, encode_frame};
pub use point::{Point, columns};
pub use ranked::{RouteSort, Routes, ranked};
pub use render::Around;
pub use ticks::Ticks;

use std::sync::Arc;

use crate::sketch::LatencyBins;
use crate::tick::{Admitted, Names, OTHER, Sample, TickSummary, TypeCounts, name_hash};
use routes::WindowRoutes;

/// The counts of `secs` ticks up to and with `tick`.
#[derive(Clone, Debug)]
pub struct Window {
    name: Arc<str>,
    secs: u32,
    tick: i64,
    events: u64,
    errors: u64,
    classes: [u64; 5],
    types: TypeCounts,
    latency: LatencyBins,
    late: u64,
    skewed: u64,
    routes: WindowRoutes,
}

impl Window {
    /// An empty window of `secs` seconds that ends at `tick`.
    pub fn new(secs: u32, tick: i64) -> Self {
        Self {
            name: format!("{secs}s").into(),
            secs,
            tick,
            events: 0,
            errors: 0,
            classes: [0; 5],
            types: TypeCounts::default(),
            latency: LatencyBins::default(),
            late: 0,
            skewed: 0,
            routes: WindowRoutes::default(),
        }
    }

    /// The window that ends at `tick`, merged anew: for looking back.
    pub fn merged(secs: u32, tick: i64, ticks: &Ticks) -> Self {
        let mut window = Self::new(secs, tick);
        ticks.range(window.first()..=tick).for_each(|(_, summary)| window.enter(summary));
        window
    }

    /// `5s`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its length in seconds.
    pub fn secs(&self) -> u32 {
        self.secs
    }

    /// The newest tick in it.
    pub fn tick(&self) -> i64 {
        self.tick
    }

    /// The oldest tick in it.
    pub fn first(&self) -> i64 {
        self.tick - i64::from(self.secs) + 1
    }

    /// Whether nothing was counted in it.
    pub fn is_empty(&self) -> bool {
        self.events == 0 && self.late == 0
    }

    /// Moves on by one tick.
    pub fn slide(&mut self, ticks: &Ticks) {
        let leaving = ticks.get(self.first());
        self.tick += 1;
        if self.secs == 1 {
            *self = Self { name: Arc::clone(&self.name), ..Self::new(1, self.tick) };
        } else if let Some(summary) = leaving {
            self.leave(summary);
        }
        if let Some(summary) = ticks.get(self.tick) {
            self.enter(summary);
        }
    }

    /// Counts an event that was added to one of its ticks after that had entered.
    pub fn add(&mut self, sample: &Sample<'_>, admitted: Admitted, names: &mut Names) {
        let errors = u64::from(sample.is_error);
        self.events += 1;
        self.errors += errors;
        if let Some(class) = sample.class {
            self.classes[usize::from(class)] += 1;
        }
        if admitted.kind {
            self.types.add_admitted(sample.kind_hash, sample.kind, names);
        } else {
            self.types.add_admitted(name_hash(OTHER), OTHER, names);
        }
        if let Some((bin, ms)) = sample.latency {
            self.latency.add_bin(bin, ms);
        }
        self.skewed += u64::from(sample.is_skewed);
        if admitted.route {
            let name = || names.intern(sample.route_hash, sample.route);
            self.routes.add(sample.route_hash, sample.route, name, (1, errors));
        } else {
            self.routes.other_events += 1;
            self.routes.other_errors += errors;
        }
    }

    /// Counts an event that arrived in one of its ticks, too late for its own.
    pub fn add_late(&mut self) {
        self.late += 1;
    }

    /// Counts another summary of one of its ticks in place of the one it counted; `old` must be that
    /// one, `None` where nobody was up.
    pub fn exchange(&mut self, old: Option<&TickSummary>, new: &TickSummary) {
        if let Some(old) = old {
            self.leave(old);
        }
        self.enter(new);
    }

    fn enter(&mut self, summary: &TickSummary) {
        let totals = &summary.totals;
        self.events += totals.events;
        self.errors += totals.errors;
        self.classes.iter_mut().zip(totals.classes).for_each(|(mine, theirs)| *mine += theirs);
        self.types.merge(&totals.types);
        self.latency.merge(&totals.latency);
        self.late += totals.late;
        self.skewed += totals.skewed;
        self.routes.enter(&summary.routes);
    }

    fn leave(&mut self, summary: &TickSummary) {
        let totals = &summary.totals;
        self.events -= totals.events;
        self.errors -= totals.errors;
        self.classes.iter_mut().zip(totals.classes).for_each(|(mine, theirs)| *mine -= theirs);
        self.types.subtract(&totals.types);
        self.latency.subtract(&totals.latency);
        self.late -= totals.late;
        self.skewed -= totals.skewed;
        self.routes.leave(&summary.routes);
    }
}
