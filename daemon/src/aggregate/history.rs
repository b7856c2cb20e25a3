//! The history every chart starts from: one point a tick and window, for the last hour.
//!
//! It holds points, never sketches: what a point's numbers are is decided by the windows. A point
//! that changes later remembers with which frame that was sent, so that who comes back is sent what
//! it missed. Written by the aggregator once a tick, read by [`super::Views`].

use std::collections::VecDeque;

use pulseboard::limits::{HISTORY_TICKS, HISTORY_TICKS_DEFAULT};
use pulseboard::window::{Point, columns};
use pulseboard::wire::server::{History, Nodes};

/// What a snapshot carries besides the newest frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistorySlice {
    /// One entry for every tick from `from` to the newest.
    pub history: History,
    /// The first tick of `history`.
    pub from: i64,
    /// Ticks at or before the client's `since` that changed after it.
    pub corrections: Option<History>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// `None` where nobody was up.
    point: Option<Point>,
    /// Whose numbers it has, and how many there were.
    nodes: Nodes,
    /// The tick of the frame with which its last change was sent.
    revised_at: i64,
}

const NEVER: Entry =
    Entry { point: None, nodes: Nodes { reporting: 0, expected: 0 }, revised_at: i64::MIN };

/// One window's points up to the newest tick.
#[derive(Debug)]
pub(super) struct WindowHistory {
    newest: i64,
    entries: VecDeque<Entry>,
}

impl WindowHistory {
    /// A history that ends at `newest`, of which nothing is known.
    pub(super) fn new(newest: i64) -> Self {
        Self { newest, entries: VecDeque::new() }
    }

    /// Moves on to `tick`, its point and whose numbers it has; ticks passed over were nobody's.
    pub(super) fn push(&mut self, tick: i64, point: Option<Point>, nodes: Nodes) {
        if tick - self.newest > HISTORY_TICKS as i64 {
            self.entries.clear();
            self.newest = tick - 1;
        }
        while self.newest + 1 < tick {
            self.newest += 1;
            self.entries.push_back(NEVER);
        }
        self.newest = tick;
        self.entries.push_back(Entry { point, nodes, ..NEVER });
        let surplus = self.entries.len().saturating_sub(HISTORY_TICKS);
        self.entries.drain(..surplus);
    }

    /// Moves on to `tick`, of which nothing is known, unless it is there already.
    pub(super) fn reach(&mut self, tick: i64) {
        if self.newest < tick {
            self.push(tick, None, NEVER.nodes);
        }
    }

    /// A tick's point.
    pub(super) fn get(&self, tick: i64) -> Option<Point> {
        self.index(tick).and_then(|index| self.entries[index].point)
    }

    /// Sets an earlier tick's point, to be sent with the frame of `revised_at`. Whether it changed.
    pub(super) fn revise(&mut self, tick: i64, point: Point, revised_at: i64) -> bool {
        let Some(index) = self.index(tick) else { return false };
        let entry = &mut self.entries[index];
        if entry.point == Some(point) {
            return false;
        }
        *entry = Entry { point: Some(point), revised_at, ..*entry };
        true
    }

    /// Whose numbers a tick has.
    pub(super) fn nodes(&self, tick: i64) -> Nodes {
        self.index(tick).map_or(NEVER.nodes, |index| self.entries[index].nodes)
    }

    /// Sets whose numbers an earlier tick has, as [`Self::revise`] does its point.
    pub(super) fn cover(&mut self, tick: i64, nodes: Nodes, revised_at: i64) -> bool {
        let Some(index) = self.index(tick) else { return false };
        let entry = &mut self.entries[index];
        let is_new = entry.nodes != nodes;
        if is_new {
            (entry.nodes, entry.revised_at) = (nodes, revised_at);
        }
        is_new
    }

    /// As [`Self::revise`], unless there is more in the point there is: what is fuller is right.
    pub(super) fn fill(&mut self, tick: i64, point: Point, revised_at: i64) -> bool {
        let is_less = self.get(tick).is_some_and(|known| known.events > point.events);
        !is_less && self.revise(tick, point, revised_at)
    }

    /// Forgets the points before `tick`.
    pub(super) fn forget_before(&mut self, tick: i64) {
        let known = usize::try_from(self.newest - tick + 1).unwrap_or(0);
        let surplus = self.entries.len().saturating_sub(known);
        self.entries.drain(..surplus);
    }

    /// The ticks somebody was up for.
    pub(super) fn real(&self) -> impl Iterator<Item = i64> {
        let first = self.newest - self.entries.len() as i64 + 1;
        let entries = self.entries.iter().enumerate();
        entries.filter(|(_, entry)| entry.point.is_some()).map(move |(nth, _)| first + nth as i64)
    }

    /// How many ticks after its own a point last changed; 0 for never.
    pub(super) fn revised_after(&self, tick: i64) -> i64 {
        let revised_at = self.index(tick).map_or(i64::MIN, |index| self.entries[index].revised_at);
        revised_at.saturating_sub(tick).max(0)
    }

    /// Sets when a point last changed, whatever it is.
    pub(super) fn mark(&mut self, tick: i64, revised_at: i64) {
        if let Some(index) = self.index(tick) {
            self.entries[index].revised_at = revised_at;
        }
    }

    /// What goes with the frame of tick `until`.
    pub(super) fn slice(&self, since: Option<i64>, until: i64) -> HistorySlice {
        let until = until.min(self.newest);
        let oldest = until - HISTORY_TICKS as i64 + 1;
        // Who is ahead of us knows another clock's ticks: it starts anew.
        let since = since.filter(|since| *since <= until);
        let from = since.unwrap_or(until - HISTORY_TICKS_DEFAULT as i64) + 1;
        let from = from.max(oldest);
        let history = self.columns(from..=until);
        let corrections = since.and_then(|since| {
            let changed = (oldest..from).filter(|tick| {
                let index = self.index(*tick);
                // What changed after `until` is told by the frames after it.
                let told = since + 1..=until;
                index.is_some_and(|index| told.contains(&self.entries[index].revised_at))
            });
            self.columns_of(&changed.collect::<Vec<_>>())
        });
        HistorySlice { history, from, corrections }
    }

    /// Columns of some ticks; `None` for none.
    pub(super) fn columns_of(&self, ticks: &[i64]) -> Option<History> {
        (!ticks.is_empty()).then(|| self.columns(ticks.iter().copied()))
    }

    fn columns(&self, ticks: impl Iterator<Item = i64> + Clone) -> History {
        let mut history = columns(&ticks.clone().map(|tick| (tick, self.get(tick))));
        let is_part = |tick: i64| self.get(tick).is_some() && !self.nodes(tick).is_whole();
        if ticks.clone().any(is_part) {
            let nodes = ticks.map(|tick| self.get(tick).map(|_| self.nodes(tick)));
            history.reporting = nodes.clone().map(|nodes| Some(nodes?.reporting)).collect();
            history.expected = nodes.map(|nodes| Some(nodes?.expected)).collect();
        }
        history
    }

    fn index(&self, tick: i64) -> Option<usize> {
        let back = usize::try_from(self.newest.checked_sub(tick)?).ok()?;
        self.entries.len().checked_sub(back + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Nodes = Nodes { reporting: 2, expected: 2 };

    #[allow(clippy::unnecessary_wraps, reason = "histories take points that may be absent")]
    fn point(events: u64) -> Option<Point> {
        Some(Point { events, ..Point::default() })
    }

    fn of(ticks: std::ops::RangeInclusive<i64>) -> WindowHistory {
        let mut history = WindowHistory::new(*ticks.start() - 1);
        ticks.for_each(|tick| history.push(tick, point(tick as u64), WHOLE));
        history
    }

    #[test]
    fn a_resume_gets_every_tick_after_its_own_and_what_changed_before() {
        let mut history = of(1_000..=1_100);
        assert!(history.revise(1_050, point(7).unwrap(), 1_081));
        assert!(!history.revise(1_050, point(7).unwrap(), 1_090), "nothing changed");
        assert!(history.revise(1_060, point(8).unwrap(), 1_079));
        let slice = history.slice(Some(1_080), 1_100);
        assert_eq!(slice.from, 1_081);
        assert_eq!(slice.history.tick, (1_081..=1_100).collect::<Vec<_>>());
        let corrections = slice.corrections.unwrap();
        assert_eq!((corrections.tick, corrections.events), (vec![1_050], vec![Some(7)]));
        assert_eq!(history.slice(Some(1_081), 1_100).corrections, None, "that one was sent it");
    }

    #[test]
    fn without_since_it_is_the_last_300_and_gaps_are_null() {
        let mut history = of(1_000..=1_100);
        history.push(1_105, point(5), WHOLE);
        let slice = history.slice(None, 1_105);
        assert_eq!((slice.from, slice.history.tick.len()), (806, 300));
        assert_eq!(slice.history.events[0], None);
        assert_eq!(slice.history.events[294..], [Some(1_100), None, None, None, None, Some(5)]);
        let ahead = history.slice(Some(2_000), 1_105);
        assert_eq!(ahead, slice, "who is ahead starts anew");
        assert_eq!(history.slice(Some(1_105), 1_105).history.tick, [0i64; 0]);
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let mut history = of(1..=5_000);
        let slice = history.slice(Some(3), 5_000);
        assert_eq!((slice.from, slice.history.tick.len()), (1_401, 3_600));
        history.push(50_000, point(1), WHOLE);
        assert_eq!(history.slice(Some(3), 50_000).history.events[3_598..], [None, Some(1)]);
    }

    #[test]
    fn ticks_that_lack_somebody_say_so_and_only_where_there_are_any() {
        let mut history = of(1_000..=1_003);
        assert!(history.cover(1_001, Nodes { reporting: 1, expected: 3 }, 1_004));
        history.push(1_006, point(6), WHOLE);
        let slice = history.slice(Some(999), 1_006);
        let of = |column: &[u32]| column.iter().map(|n| (*n > 0).then_some(*n)).collect::<Vec<_>>();
        assert_eq!(slice.history.reporting, of(&[2, 1, 2, 2, 0, 0, 2]));
        assert_eq!(slice.history.expected, of(&[2, 3, 2, 2, 0, 0, 2]));
        assert_eq!(history.slice(Some(1_001), 1_006).history.reporting, []);
        assert_eq!(history.slice(Some(1_004), 1_006).corrections, None);
        assert_eq!(history.slice(Some(1_003), 1_006).corrections.unwrap().reporting, [Some(1)]);
    }

    #[test]
    fn what_is_read_later_never_takes_anything_away() {
        let mut history = of(10..=12);
        assert!(!history.fill(11, point(10).unwrap(), 13));
        assert!(history.fill(11, point(30).unwrap(), 13));
        history.push(15, point(15), WHOLE);
        assert!(history.fill(14, point(0).unwrap(), 16), "nothing was known of it");
    }
}
