//! What the shared store knows of ticks that peers did not tell in time: taken in as what they would
//! have told where ticks are not settled, and put in the place of less where they are.

use std::ops::RangeInclusive;
use std::sync::Arc;

use pulseboard::tick::TickSummary;

use super::Joined;

/// Ticks to be read from the shared store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToFill {
    /// The ticks whose points are wanted.
    pub(crate) ticks: RangeInclusive<i64>,
    /// The first tick their windows reach back to.
    pub(crate) from: i64,
    /// Ticks up to it are settled: their points are wanted; of later ones what each peer counted.
    pub(crate) settled: i64,
    /// Whether windows that are still made anew reach into them, and want their routes too.
    pub(crate) with_routes: bool,
    /// This node was up in the ticks after it.
    pub(crate) began: i64,
}

impl Joined {
    /// The next ticks to read. Up to `written` every peer has written what it counted.
    pub(crate) fn next_unfilled(&mut self, written: i64) -> Option<ToFill> {
        let (longest, upto, settled) =
            (self.longest(), self.final_upto.min(self.head), self.settled);
        let ticks = self.unfilled.as_mut()?.next(upto, written, longest)?;
        let with_routes = *ticks.end() > settled - longest;
        let from = ticks.start() - longest + 1;
        Some(ToFill { from, settled, with_routes, began: self.began, ticks })
    }

    /// Ticks were read, when every peer had written what it counted up to `written`.
    pub(crate) fn was_read(&mut self, ticks: RangeInclusive<i64>, written: i64) {
        if let Some(unfilled) = &mut self.unfilled {
            unfilled.read(ticks, written);
        }
    }

    /// More may be known of the points a tick is in.
    pub(super) fn mark_unfilled(&mut self, tick: i64) {
        let upto = tick + self.longest() - 1;
        self.mark_all_unfilled(tick..=upto);
    }

    /// More may be known of these points.
    pub(crate) fn mark_all_unfilled(&mut self, ticks: RangeInclusive<i64>) {
        let from = super::history_from(self.head).max(*ticks.start());
        if let Some(unfilled) = &mut self.unfilled {
            unfilled.mark(from..=*ticks.end());
        }
    }

    /// Ticks whose points are to be read from the shared store.
    pub(crate) fn unfilled(&self) -> usize {
        self.unfilled.as_ref().map_or(0, super::unfilled::Unfilled::len)
    }

    /// Puts whole sums in the place of less where they are settled and the windows of later ticks
    /// still reach into them.
    pub(crate) fn lay_under(&mut self, sums: Vec<(i64, Arc<TickSummary>)>) {
        let reached = self.settled - self.longest() + 2..=self.settled;
        let mut is_changed = false;
        for (tick, sum) in sums.into_iter().filter(|(tick, _)| reached.contains(tick)) {
            let known = self.merged.get(tick).map_or(0, |known| known.totals.events);
            if sum.totals.events > known {
                self.put(tick, sum);
                is_changed = true;
            }
        }
        if is_changed {
            let upto = (self.settled + self.longest() - 1).min(self.head);
            let reaching = self.merged.range(self.settled + 1..=upto).map(|(tick, _)| tick);
            self.revised.extend(reaching);
        }
    }
}
