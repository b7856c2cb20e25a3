//! Frames: a tick is over at the head, and earlier ticks that changed are corrected with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use pulseboard::window::{Around, Point, Window};

use super::{Histories, State, history_from};
use crate::aggregate::{TickFrame, WindowFrame};

impl State {
    /// Tick `tick` is over: slides the windows to it, and says what it and the ticks before it that
    /// changed are now. A tick that does not follow the last one is a jump: nobody was up between.
    pub(crate) fn frame(
        &mut self,
        tick: i64,
        behind_ms: u64,
        histories: &mut Histories,
    ) -> TickFrame {
        if let Some(joined) = self.joined.take() {
            return self.frame_joined(joined, (tick, behind_ms), histories);
        }
        let before = self.head;
        self.head = tick;
        self.ticks.change(tick);
        self.dirty.insert(tick);
        if tick == before + 1 {
            self.head_windows.iter_mut().for_each(|window| window.slide(&self.ticks));
        } else {
            let between = self.ticks.range(before + 1..=tick - 1);
            self.changed.extend(between.map(|(tick, _)| tick));
            for window in &mut self.head_windows {
                *window = Window::merged(window.secs(), tick, &self.ticks);
            }
        }
        let frames = self.render(behind_ms);
        for (history, frame) in histories.iter_mut().zip(&frames) {
            history.push(tick, Some(Point::of(frame)), frame.nodes);
        }
        let corrections = self.corrections(histories);
        let windows = self.head_windows.iter().zip(frames).zip(corrections);
        let windows = windows.zip(histories).map(|(((window, frame), changed), history)| {
            let changed: Vec<i64> = changed.into_iter().collect();
            WindowFrame {
                window: Arc::clone(window.name()),
                aggregate: Arc::new(frame),
                corrections: history.columns_of(&changed).map(Arc::new),
            }
        });
        TickFrame { tick, windows: windows.collect() }
    }

    /// The head as it stands, without moving on.
    pub(crate) fn standing(&mut self) -> TickFrame {
        if let Some(frame) = self.standing_joined() {
            return frame;
        }
        let frames = self.render(0);
        let windows = self.head_windows.iter().zip(frames).map(|(window, frame)| WindowFrame {
            window: Arc::clone(window.name()),
            aggregate: Arc::new(frame),
            corrections: None,
        });
        TickFrame { tick: self.head, windows: windows.collect() }
    }

    fn render(&mut self, behind_ms: u64) -> Vec<pulseboard::wire::server::Aggregate> {
        let last_event_ms = self.last_event_ms(self.head);
        let notices = self.settings.board.read();
        let around = Around { last_event_ms, behind_ms, notices, ..Around::default() };
        let windows = self.head_windows.iter();
        windows.map(|window| window.render(&mut self.ticks, &around)).collect()
    }

    /// Computes anew the points that changed ticks are in, and says by window which of them changed.
    /// A point that nobody was up for stays so, whatever its window reaches into.
    fn corrections(&mut self, histories: &mut Histories) -> Vec<BTreeSet<i64>> {
        let mut all = std::mem::take(&mut self.overdue);
        self.overdue = vec![BTreeSet::new(); all.len()];
        let changed = std::mem::take(&mut self.changed);
        let Some(first) = changed.first().copied() else { return all };
        let first = first.max(self.final_upto + 1).max(history_from(self.head));
        for tick in first..self.head {
            if self.ticks.get(tick).is_none() {
                continue;
            }
            let windows = self.settings.windows_secs.iter().zip(histories.iter_mut());
            for ((secs, history), corrected) in windows.zip(&mut all) {
                let reaches = tick - i64::from(*secs) + 1..=tick;
                if changed.range(reaches).next().is_some() {
                    let point = Point::at(&mut self.ticks, *secs, tick);
                    if history.revise(tick, point, self.head) {
                        corrected.insert(tick);
                    }
                }
            }
        }
        all
    }

    /// Compares what became final with what was shown: they differ where a backlog was counted.
    pub(crate) fn reconcile(&mut self, histories: &mut Histories) {
        for frame in &mut self.frames[self.unreconciled..] {
            let mut secs = self.settings.windows_secs.iter();
            let Some(index) = secs.position(|secs| *secs == frame.secs) else { continue };
            let history = &mut histories[index];
            if history.revise(frame.tick, Point::of(&frame.frame), self.head + 1) {
                self.overdue[index].insert(frame.tick);
            }
            frame.revised_after = history.revised_after(frame.tick);
        }
        self.unreconciled = self.frames.len();
        for (tick, index, point) in self.final_points.drain(..) {
            if histories[index].revise(tick, point, self.head + 1) {
                self.overdue[index].insert(tick);
            }
        }
    }

    /// Whether there is anything to [`State::reconcile`].
    pub(crate) fn is_reconciled(&self) -> bool {
        self.unreconciled == self.frames.len() && self.final_points.is_empty()
    }
}
