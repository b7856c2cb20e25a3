//! A view: the same counting through a filter, begun in the past. It is given the events of the last
//! hour again, then those that come, and keeps nothing but its ticks and windows: no minutes, no
//! final frames.

use std::collections::BTreeSet;

use pulseboard::filter::Filter;
use pulseboard::limits::FINAL_AFTER_SECS;
use pulseboard::window::Point;

use super::{Histories, Settings, State, history_from};
use crate::store::embedded::Loaded;

impl State {
    /// A view that ends at tick `head` and knows nothing yet; it wants every event that arrived in
    /// tick `from` or after it. Windows are complete from `from` and the longest window on.
    pub(crate) fn through(
        settings: &Settings,
        filter: Filter,
        head: i64,
        from: i64,
    ) -> (Self, Histories) {
        let (mut state, histories) =
            Self::restore(settings, Loaded::default(), settings.due_ms(head));
        debug_assert_eq!(state.head, head, "the frame of `head` is due when it is due");
        state.filter = filter;
        state.is_view = true;
        state.is_new = false;
        // What arrives in `from` may be a minute old, and counts in its own tick.
        state.final_upto = from - FINAL_AFTER_SECS - 1;
        state.folded_upto = state.final_upto;
        // Only the main view's slide at the final edge.
        state.final_windows.clear();
        (state, histories)
    }

    /// Somebody was up in these ticks, whether or not there are events for the view.
    pub(crate) fn was_up(&mut self, ticks: impl Iterator<Item = i64>) {
        let final_upto = self.final_upto;
        for tick in ticks.filter(|tick| *tick > final_upto) {
            self.ticks.change(tick);
            self.mark_untold(tick);
        }
    }

    /// The past is told: points of ticks that are not final, and when each point may have changed
    /// last, so that who comes back is sent it. `complete_from` is the first tick whose windows
    /// are whole.
    pub(crate) fn told(&mut self, complete_from: i64, histories: &mut Histories) {
        self.reconcile(histories);
        self.tell_points(complete_from, histories);
        let (first, head) = (self.final_upto + 1, self.head);
        for (history, secs) in histories.iter_mut().zip(&self.settings.windows_secs) {
            history.forget_before(complete_from);
            for tick in first.max(history_from(head)).max(complete_from)..=head {
                if self.joined.is_none() && self.ticks.get(tick).is_some() {
                    history.revise(tick, Point::at(&mut self.ticks, *secs, tick), head);
                }
            }
            for tick in history_from(head)..=head {
                history.mark(tick, head.min(tick + FINAL_AFTER_SECS + i64::from(*secs)));
            }
        }
        self.changed.clear();
        self.overdue = vec![BTreeSet::new(); histories.len()];
        self.let_go();
    }

    /// Forgets what would be stored: a view is not.
    pub(crate) fn let_go(&mut self) {
        self.dirty.clear();
        self.departed.clear();
    }

    /// A tick of a view became final: its points.
    pub(super) fn finish_point(&mut self, tick: i64) {
        let Some(summary) = self.ticks.get(tick) else { return };
        self.final_last_event_ms = self.final_last_event_ms.max(summary.totals.last_event_ms);
        if tick < history_from(self.head) || self.joined.is_some() {
            return;
        }
        for (index, secs) in self.settings.windows_secs.iter().enumerate() {
            let point = Point::at(&mut self.ticks, *secs, tick);
            self.final_points.push((tick, index, point));
        }
    }

    /// How many routes a tick may tell apart from now on.
    pub(crate) fn set_routes_max(&mut self, routes_max: usize) {
        self.routes_max = routes_max;
    }

    /// Rows of routes held in all ticks: what most of a view's memory is.
    pub(crate) fn routes_held(&self) -> usize {
        let ticks = self.ticks.range(i64::MIN / 2..=i64::MAX / 2);
        ticks.map(|(_, summary)| summary.routes.rows().len()).sum()
    }
}
