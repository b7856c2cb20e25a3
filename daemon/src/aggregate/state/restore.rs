//! Where counting goes on from: nothing, or what the store held.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use pulseboard::filter::Filter;
use pulseboard::limits::FINAL_AFTER_SECS;
use pulseboard::tick::Names;
use pulseboard::window::{Point, Ticks, Window};
use pulseboard::wire::server::Nodes;

use super::{Histories, Settings, State, WindowHistory, history_from};
use crate::store::embedded::Loaded;

impl State {
    /// The state as of `now_ms`, and its histories. Ticks between what was stored and now are gaps
    /// until an event says otherwise.
    pub(crate) fn restore(settings: &Settings, loaded: Loaded, now_ms: i64) -> (Self, Histories) {
        let head = settings.due_tick(now_ms);
        let is_new = loaded.position.commit == 0;
        let position = loaded.position;
        let final_upto = if is_new { head - FINAL_AFTER_SECS - 1 } else { position.final_upto };
        let windows = |upto: i64| -> Vec<Window> {
            settings.windows_secs.iter().map(|secs| Window::new(*secs, upto)).collect()
        };
        let mut state = Self {
            settings: settings.clone(),
            joined: None,
            filter: Filter::default(),
            is_view: false,
            routes_max: settings.routes_per_tick,
            names: Names::default(),
            ticks: Ticks::default(),
            head,
            head_windows: windows(head),
            final_upto,
            final_windows: windows(final_upto),
            final_last_event_ms: position.last_event_ms,
            watermark_ms: i64::MIN,
            is_new,
            applied_seq: position.applied_seq,
            open_minute: None,
            folded_upto: if is_new { final_upto } else { position.folded_upto },
            minutes: HashMap::new(),
            minutes_weight: 0,
            dirty: BTreeSet::new(),
            departed: BTreeMap::new(),
            changes: super::Changes::default(),
            changed: BTreeSet::new(),
            expected: 1,
            overdue: vec![BTreeSet::new(); settings.windows_secs.len()],
            frames: Vec::new(),
            unreconciled: 0,
            final_points: Vec::new(),
            inflight: VecDeque::new(),
            order: Vec::new(),
            commit: position.commit,
            forget_after: None,
            late_total: 0,
            skewed_total: 0,
        };
        let points = state.take_over(loaded);
        state.expected = points.last().map_or(1, |point| point.nodes.expected.max(1));
        if state.final_upto > head {
            state.clock_went_back();
        }
        for window in &mut state.head_windows {
            *window = Window::merged(window.secs(), head, &state.ticks);
        }
        let histories = state.histories(&points);
        (state, histories)
    }

    fn take_over(&mut self, loaded: Loaded) -> Vec<crate::store::embedded::LoadedPoint> {
        self.names = loaded.names;
        for (tick, summary) in loaded.ticks {
            if tick > self.folded_upto && tick <= self.final_upto {
                self.fold(tick, &summary);
            }
            self.ticks.insert(tick, summary);
        }
        for window in &mut self.final_windows {
            *window = Window::merged(window.secs(), self.final_upto, &self.ticks);
        }
        loaded.points
    }

    /// What was stored is from the future: its ticks go to their minutes, and counting starts anew
    /// at the present.
    fn clock_went_back(&mut self) {
        let last = self.ticks.range(i64::MIN / 2..=i64::MAX / 2).next_back().map(|(tick, _)| tick);
        self.finish_ticks(last.unwrap_or(self.final_upto), self.head);
        self.close_minute_early();
        self.frames.clear();
        self.ticks = Ticks::default();
        self.final_upto = self.head - FINAL_AFTER_SECS - 1;
        self.folded_upto = self.final_upto;
        self.final_last_event_ms = None;
        for window in &mut self.final_windows {
            *window = Window::new(window.secs(), self.final_upto);
        }
        self.forget_after = Some(self.head);
    }

    fn histories(&mut self, points: &[crate::store::embedded::LoadedPoint]) -> Histories {
        let (from, head) = (history_from(self.head), self.head);
        let mut histories = Histories::new();
        for secs in self.settings.windows_secs.clone() {
            let mut history = WindowHistory::new(from - 1);
            let known = from..=self.final_upto.min(head);
            for stored in points.iter().filter(|p| p.secs == secs && known.contains(&p.tick)) {
                history.push(stored.tick, Some(stored.point), stored.nodes);
                if stored.revised_after > 0 {
                    history.mark(stored.tick, stored.tick + stored.revised_after);
                }
            }
            for tick in from.max(self.final_upto + 1)..=head {
                if self.ticks.get(tick).is_some() {
                    // What peers counted is not known any more.
                    let nodes = Nodes { reporting: 1, expected: self.expected };
                    history.push(tick, Some(Point::at(&mut self.ticks, secs, tick)), nodes);
                    // When these last changed is not known: whoever comes back is sent them.
                    history.mark(tick, head);
                }
            }
            history.reach(head);
            histories.push(history);
        }
        histories
    }
}
