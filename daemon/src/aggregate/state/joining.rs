//! In a cluster what is shown is not this node's own count but what all instances counted: here the
//! one is handed to the other, and asked instead of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use pulseboard::wire::server::Nodes;

use super::{FRAMES_KEPT, Histories, State};
use crate::aggregate::joined::{Beginning, Joined, SETTLE_SECS};
use crate::aggregate::peers::{Counted, Heard};
use crate::aggregate::rounds::Round;
use crate::aggregate::{TickFrame, WindowFrame};
use pulseboard::window::{Point, Ticks};

impl State {
    /// From now on peers' counts are joined to this one. A view wants them from the ticks after
    /// `settled` on.
    pub(crate) fn join_peers(&mut self, settled: Option<i64>) {
        // What was stored was joined when it was; its parts are gone.
        let stored_upto = if self.is_new || self.is_view { i64::MIN / 2 } else { self.final_upto };
        let open = (self.head - SETTLE_SECS).max(stored_upto.saturating_sub(self.longest()));
        let joined = Joined::begin(&Beginning {
            windows_secs: &self.settings.windows_secs,
            is_view: self.is_view,
            ticks: &self.ticks,
            head: self.head,
            final_upto: self.final_upto,
            settled: settled.unwrap_or(open),
            stored_upto,
            last_event_ms: self.final_last_event_ms,
            expected: self.expected,
        });
        self.joined = Some(Box::new(joined));
        // The joined ones slide instead.
        self.head_windows.clear();
        self.final_windows.clear();
    }

    /// The ticks that are shown.
    pub(crate) fn shown(&self) -> &Ticks {
        self.joined.as_ref().map_or(&self.ticks, |joined| joined.merged())
    }

    /// Whether anything of a tick is shown.
    pub(crate) fn is_real(&self, tick: i64) -> bool {
        self.shown().get(tick).is_some()
    }

    /// Instances in what is shown of a tick.
    pub(crate) fn nodes_at(&self, tick: i64) -> Nodes {
        self.joined.as_ref().map_or(Nodes::ALONE, |joined| joined.nodes_at(tick))
    }

    /// Says how many instances there are as a tick is framed.
    pub(crate) fn expect(&mut self, tick: i64, nodes: Nodes) {
        if let Some(joined) = &mut self.joined {
            joined.expect(tick, nodes.expected);
        }
    }

    /// Up to which tick the peers were told what was counted.
    pub(crate) fn told_upto(&self) -> Option<i64> {
        self.joined.as_ref().map(|joined| joined.told_upto)
    }

    /// Ticks from `first` on are over and this node was up. Gives what changed since the last time,
    /// to be told to the peers; it is what the next frame counts of this node, so that all show the
    /// same. What comes after it is a correction with all of them.
    pub(crate) fn tell(&mut self, first: i64, round: Round) -> Vec<Counted> {
        let Round { upto, since } = round;
        let Some(joined) = &mut self.joined else { return Vec::new() };
        for tick in first.max(joined.told_upto + 1)..=upto {
            joined.untold.insert(tick);
            if self.ticks.get(tick).is_none() {
                self.ticks.insert(tick, Arc::default());
                self.dirty.insert(tick);
            }
        }
        joined.told_upto = joined.told_upto.max(upto);
        let mut untold = joined.untold.split_off(&since);
        joined.untold.extend(untold.split_off(&(upto + 1)));
        let mut counted = Vec::with_capacity(untold.len());
        for tick in untold {
            let own = self.ticks.get(tick).filter(|_| tick > self.final_upto).map(Arc::clone);
            if let Some(own) = &own {
                joined.count(tick, Arc::clone(own));
            }
            // A final one was handed over when it became that.
            let summary = own.or_else(|| joined.own(tick).map(Arc::clone));
            if let Some(summary) = summary.filter(|_| tick > joined.oldest_told(upto)) {
                counted.push(Counted { tick, revision: self.applied_seq, summary });
            }
        }
        counted
    }

    /// Takes in what peers counted, and merges what changed.
    pub(crate) fn hear(&mut self, heard: Vec<Heard>, now_tick: i64) {
        let Some(joined) = &mut self.joined else { return };
        for heard in heard {
            joined.hear(heard, now_tick);
        }
        joined.merge(self.head);
    }

    /// Makes the final frames anew that were changed by what came after them.
    pub(crate) fn finish_anew(&mut self) {
        if let Some(joined) = &mut self.joined {
            self.frames.extend(joined.final_anew());
        }
    }

    /// What was heard and not taken in, since start, and bytes that are held of what was.
    pub(crate) fn heard_stats(&self) -> (u64, usize) {
        self.joined.as_ref().map_or((0, 0), |joined| (joined.refused, joined.heard_bytes()))
    }

    /// What is joined.
    #[cfg(test)]
    pub(crate) fn joined_for_test(&mut self) -> &mut Joined {
        self.joined.as_mut().expect("the test has peers")
    }

    /// This node counts a tick anew: it is to be told again.
    pub(super) fn mark_untold(&mut self, tick: i64) {
        if let Some(joined) = &mut self.joined {
            joined.untold.insert(tick);
        }
    }

    /// This node's journal is counted from its start: ticks after `final_upto` are not final.
    pub(super) fn start_joining_at(&mut self, final_upto: i64) {
        if let Some(joined) = &mut self.joined {
            joined.go_back_to(final_upto);
            self.final_windows.clear();
        }
    }

    /// This node's count of a tick is final.
    pub(super) fn hand_over(&mut self, tick: i64) {
        let (Some(joined), Some(own)) = (&mut self.joined, self.ticks.get(tick)) else { return };
        if joined.untold.contains(&tick) || joined.own(tick).is_none() {
            joined.count(tick, Arc::clone(own));
        }
    }

    /// This node's final edge has moved.
    pub(super) fn finish_joined(&mut self, now_tick: i64) {
        let Some(joined) = &mut self.joined else { return };
        self.frames.extend(joined.finish(self.final_upto, now_tick - FRAMES_KEPT));
        self.final_last_event_ms = joined.last_event_ms(self.final_upto);
    }

    /// As [`State::frame`], of what is joined.
    pub(super) fn frame_joined(
        &mut self,
        mut joined: Box<Joined>,
        (tick, behind_ms): (i64, u64),
        histories: &mut Histories,
    ) -> TickFrame {
        self.head = tick;
        self.changed.clear();
        joined.slide(tick);
        let frames = joined.render(behind_ms, self.settings.board.read());
        for (history, frame) in histories.iter_mut().zip(&frames) {
            history.push(tick, Some(Point::of(frame)), frame.nodes);
        }
        let windows = self.settings.windows_secs.len();
        let mut corrected = std::mem::replace(&mut self.overdue, vec![BTreeSet::new(); windows]);
        joined.corrections(histories, &mut corrected);
        joined.settle();
        self.joined = Some(joined);
        let windows = self.settings.windows_secs.iter().zip(frames).zip(corrected).zip(histories);
        let windows = windows.map(|(((secs, frame), corrected), history)| WindowFrame {
            window: crate::aggregate::window_name(*secs),
            aggregate: Arc::new(frame),
            corrections: history.columns_of(&Vec::from_iter(corrected)).map(Arc::new),
        });
        TickFrame { tick, windows: windows.collect() }
    }

    /// As [`State::standing`], of what is joined.
    pub(super) fn standing_joined(&mut self) -> Option<TickFrame> {
        let joined = self.joined.as_mut()?;
        let windows = joined
            .render(0, self.settings.board.read())
            .into_iter()
            .zip(&self.settings.windows_secs);
        let windows = windows.map(|(frame, secs)| WindowFrame {
            window: crate::aggregate::window_name(*secs),
            aggregate: Arc::new(frame),
            corrections: None,
        });
        Some(TickFrame { tick: self.head, windows: windows.collect() })
    }

    /// As [`State::told`], of what is joined: every point there is.
    pub(super) fn tell_points(&mut self, complete_from: i64, histories: &mut Histories) {
        let Some(joined) = &mut self.joined else { return };
        joined.stand();
        for tick in joined.first_open().max(complete_from)..=self.head {
            let Some(points) = joined.points(tick) else { continue };
            let nodes = joined.nodes_at(tick);
            for (history, point) in histories.iter_mut().zip(points) {
                history.revise(tick, point, self.head);
                history.cover(tick, nodes, self.head);
            }
        }
        joined.all_told();
    }
}
