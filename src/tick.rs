//! What is known about one second: the tick's summary, which merges.
//!
//! A summary counts what it is given and never asks when that was: placing an event in its tick is
//! the caller's business. The same type joins ticks into rollups and, later, instances into a
//! cluster: merging is associative and commutative, has the empty summary as its identity, and
//! never truncates. Only a summary that admits events one by one is bounded: 20,000 routes and 100
//! types, the rest being counted together. Filled by the daemon's aggregator.

mod codec;
mod names;
mod routes;
mod sample;
mod totals;
mod types;

pub use names::{Names, name_hash};
pub use routes::{RouteStats, RouteTable};
pub use sample::{Sample, class_name};
pub use totals::Totals;
pub(crate) use types::OTHER;
pub use types::TypeCounts;

/// Whether an event was counted under its own names, or together with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Under its route.
    pub route: bool,
    /// Under its type.
    pub kind: bool,
}

/// Everything that is counted of a tick, or of a minute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TickSummary {
    /// Of all events together.
    pub totals: Totals,
    /// Of each route.
    pub routes: RouteTable,
}

impl TickSummary {
    /// Counts an event; `routes_max` is how many distinct routes are told apart. Says under which
    /// names it was counted.
    pub fn add(&mut self, sample: &Sample<'_>, names: &mut Names, routes_max: usize) -> Admitted {
        let kind = self.totals.add(sample, names);
        let route = self.routes.add(sample, names, routes_max);
        Admitted { route, kind }
    }

    /// Adds another summary, whole.
    pub fn merge(&mut self, other: &Self) {
        self.totals.merge(&other.totals);
        self.routes.merge(&other.routes);
    }

    /// Bytes it holds on to, about.
    pub fn heap_bytes(&self) -> usize {
        self.routes.heap_bytes() + 16 * 1024
    }
}

#[cfg(test)]
pub(crate) mod tests;
