//! The hour that is shown, filled with what the shared store knows and nobody told: which ticks are to
//! be read, and what was read put in the place of less.

use std::sync::Arc;

use pulseboard::tick::TickSummary;
use pulseboard::window::Point;
use pulseboard::wire::server::Nodes;

use super::{Histories, State};
use crate::aggregate::joined::ToFill;
use crate::aggregate::peers::Heard;

/// What the shared store knows of some ticks.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Points of settled ticks somebody was up for, by window.
    pub(crate) points: Vec<FoundPoint>,
    /// Sums of the last settled ticks.
    pub(crate) sums: Vec<(i64, Arc<TickSummary>)>,
    /// What peers counted in ticks that are not settled.
    pub(crate) heard: Vec<Heard>,
    /// Instances that are there, this one too.
    pub(crate) members: u32,
    /// Up to this tick every peer that is there has written what it counted.
    pub(crate) written: i64,
}

/// A tick's points.
#[derive(Debug)]
pub(crate) struct FoundPoint {
    pub(crate) tick: i64,
    /// Whose counts are in them, and who was there.
    pub(crate) nodes: Nodes,
    /// One for each window.
    pub(crate) points: Vec<Point>,
}

impl State {
    /// What this node counted up to there is in the shared store, as far as is known.
    pub(crate) fn written_upto(&self) -> Option<i64> {
        self.changes.written_upto(self.final_upto)
    }

    /// The next ticks to read. Up to `written` every peer has written what it counted.
    pub(crate) fn next_unfilled(&mut self, written: i64) -> Option<ToFill> {
        // While this node's own events are being counted, what it shows is not whole either.
        self.joined.as_mut()?.next_unfilled(written)
    }

    /// A peer is there that was not for a while, last in tick `since`.
    pub(crate) fn came_back(&mut self, since: i64) {
        let head = self.head;
        if let Some(joined) = &mut self.joined {
            joined.mark_all_unfilled(since..=head);
        }
    }

    /// Ticks whose points are to be read from the shared store.
    pub(crate) fn unfilled(&self) -> usize {
        self.joined.as_ref().map_or(0, |joined| joined.unfilled())
    }

    /// Takes in what was found. What changes is sent with the next frame.
    pub(crate) fn fill(&mut self, asked: &ToFill, found: Found, histories: &mut Histories) {
        let head = self.head;
        let Some(joined) = &mut self.joined else { return };
        joined.was_read(asked.ticks.clone(), found.written);
        for heard in found.heard {
            joined.hear(heard, head);
        }
        joined.lay_under(found.sums);
        for FoundPoint { tick, nodes, points } in found.points {
            let is_told = tick <= found.written;
            for ((index, history), point) in histories.iter_mut().enumerate().zip(points) {
                let nodes = together(history.nodes(tick), nodes, is_told.then_some(found.members));
                let is_new = history.fill(tick, point, head + 1);
                if history.cover(tick, nodes, head + 1) || is_new {
                    self.overdue[index].insert(tick);
                }
            }
        }
    }
}

/// Whose counts are in a tick, by what was known and what was found. `members`: how many there are,
/// when all of them have written what they have of it: then nobody is missing, unless there were more.
fn together(known: Nodes, found: Nodes, members: Option<u32>) -> Nodes {
    let reporting = known.reporting.max(found.reporting);
    if members.is_some_and(|members| members >= known.expected) {
        return Nodes { reporting, expected: reporting };
    }
    Nodes { reporting, expected: known.expected.max(found.expected).max(reporting) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_missing_once_all_there_were_have_written_what_they_have() {
        let nodes = |reporting, expected| Nodes { reporting, expected };
        let none = nodes(0, 0);
        assert_eq!(together(none, nodes(2, 2), Some(3)), nodes(2, 2), "this one was down");
        assert_eq!(together(nodes(1, 3), nodes(3, 3), Some(3)), nodes(3, 3));
        assert_eq!(together(nodes(1, 3), nodes(2, 2), Some(2)), nodes(2, 3), "one never came back");
        assert_eq!(together(nodes(1, 3), nodes(2, 3), None), nodes(2, 3), "one has not written");
        assert_eq!(together(nodes(2, 3), nodes(2, 2), Some(3)), nodes(2, 2), "it was down");
    }
}
