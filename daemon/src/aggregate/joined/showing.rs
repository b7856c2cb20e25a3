//! Frames, final frames and corrections of what is joined.

use std::collections::BTreeSet;
use std::sync::Arc;

use pulseboard::window::{Around, Point, Window};
use pulseboard::wire::server::{Aggregate, Notice};

use super::Joined;
use crate::aggregate::state::{Histories, history_from};
use crate::store::embedded::FinalFrame;

impl Joined {
    /// A tick is over: merges, and slides the windows to it. One that does not follow the last one
    /// is a jump.
    pub(crate) fn slide(&mut self, tick: i64) {
        self.merge(tick);
        let before = self.head;
        self.head = tick;
        if tick == before + 1 {
            self.head_windows.iter_mut().for_each(|window| window.slide(&self.merged));
            return;
        }
        let between = self.merged.range(before + 1..=tick - 1);
        self.revised.extend(between.map(|(tick, _)| tick));
        self.stand();
    }

    /// Merges all there is, and the windows anew.
    pub(crate) fn stand(&mut self) {
        self.merge_all(self.head);
        for window in &mut self.head_windows {
            *window = Window::merged(window.secs(), self.head, &self.merged);
        }
    }

    /// The windows at the head.
    pub(crate) fn render(&mut self, behind_ms: u64, notices: Vec<Notice>) -> Vec<Aggregate> {
        let around = Around { behind_ms, notices, ..self.around(self.head) };
        let windows = self.head_windows.iter();
        windows.map(|window| window.render(&mut self.merged, &around)).collect()
    }

    /// This node's own count is final up to `upto`: so are the frames, unless peers say more. Gives
    /// those after `keep_after`.
    pub(crate) fn finish(&mut self, upto: i64, keep_after: i64) -> Vec<FinalFrame> {
        self.merge_all(upto);
        let began = self.final_upto;
        if self.is_view {
            self.final_upto = upto.max(began);
            return Vec::new();
        }
        let mut frames = Vec::new();
        while self.final_upto < upto {
            if self.final_windows.iter().all(Window::is_empty) {
                // Nothing is in any window: on to the next tick somebody was up for.
                let next = self.merged.range(self.final_upto + 1..=upto).next();
                let before_next = next.map_or(upto, |(tick, _)| tick - 1);
                if before_next > self.final_upto {
                    self.final_upto = before_next;
                    for window in &mut self.final_windows {
                        *window = Window::new(window.secs(), before_next);
                    }
                    continue;
                }
            }
            self.final_upto += 1;
            self.final_windows.iter_mut().for_each(|window| window.slide(&self.merged));
            let tick = self.final_upto;
            if tick > keep_after && tick > self.stored_upto && self.merged.get(tick).is_some() {
                let around = self.around(tick);
                for window in &self.final_windows {
                    frames.push(final_frame(
                        tick,
                        window,
                        window.render(&mut self.merged, &around),
                    ));
                }
            }
        }
        // The frames say what these points are; what reaches further is still to be corrected.
        let told = upto - self.longest();
        self.revised.retain(|tick| *tick <= began || *tick > told);
        frames
    }

    /// Computes anew the points that changed ticks are in, and says by window which of them changed,
    /// besides those in `all`.
    pub(crate) fn corrections(&mut self, histories: &mut Histories, all: &mut [BTreeSet<i64>]) {
        let revised = std::mem::take(&mut self.revised);
        let Some(first) = revised.first().copied() else { return };
        let first = first.max(self.stored_upto + 1).max(history_from(self.head));
        for tick in first..self.head {
            if self.merged.get(tick).is_none() {
                continue;
            }
            let windows = self.windows_secs.iter().zip(histories.iter_mut());
            let nodes = revised.contains(&tick).then(|| self.nodes_at(tick));
            let mut is_stale = false;
            for ((secs, history), corrected) in windows.zip(all.iter_mut()) {
                let reaches = tick - i64::from(*secs) + 1..=tick;
                if revised.range(reaches).next().is_some() {
                    is_stale = true;
                    let point = Point::at(&mut self.merged, *secs, tick);
                    // Of what is settled the shared store may have said more.
                    let is_settled = tick <= self.settled;
                    let is_new = if is_settled {
                        history.fill(tick, point, self.head)
                    } else {
                        history.revise(tick, point, self.head)
                    };
                    let nodes = nodes.filter(|_| !is_settled);
                    let is_covered = nodes.is_some_and(|n| history.cover(tick, n, self.head));
                    if is_new || is_covered {
                        corrected.insert(tick);
                    }
                }
            }
            if is_stale && tick <= self.final_upto && !self.is_view {
                self.stale.insert(tick);
            }
        }
    }

    /// The final frames that are not what they were.
    pub(crate) fn final_anew(&mut self) -> Vec<FinalFrame> {
        let stale = std::mem::take(&mut self.stale);
        let mut frames = Vec::new();
        for secs in self.windows_secs.clone() {
            let mut window: Option<Window> = None;
            for tick in stale.iter().copied() {
                let near = window.take().filter(|at| tick - at.tick() < i64::from(secs));
                let mut at = near.unwrap_or_else(|| Window::merged(secs, tick, &self.merged));
                while at.tick() < tick {
                    at.slide(&self.merged);
                }
                let around = self.around(tick);
                frames.push(final_frame(tick, &at, at.render(&mut self.merged, &around)));
                window = Some(at);
            }
        }
        frames
    }

    /// The points of every window at a tick, where anybody was up.
    pub(crate) fn points(&mut self, tick: i64) -> Option<Vec<Point>> {
        self.merged.get(tick)?;
        let secs = self.windows_secs.iter();
        Some(secs.map(|secs| Point::at(&mut self.merged, *secs, tick)).collect())
    }

    /// Forgets which points changed: all were computed.
    pub(crate) fn all_told(&mut self) {
        self.revised.clear();
    }

    /// Time of the newest event up to a tick, as far as is known.
    pub(crate) fn last_event_ms(&self, upto: i64) -> Option<i64> {
        let ticks = self.merged.range(i64::MIN / 2..=upto);
        let newest = ticks.filter_map(|(_, summary)| summary.totals.last_event_ms).max();
        self.last_event_before_ms.max(newest)
    }

    fn around(&self, tick: i64) -> Around {
        let last_event_ms = self.last_event_ms(tick);
        Around { last_event_ms, nodes: self.nodes_at(tick), ..Around::default() }
    }
}

fn final_frame(tick: i64, window: &Window, frame: Aggregate) -> FinalFrame {
    FinalFrame { tick, secs: window.secs(), frame: Arc::new(frame), revised_after: 0 }
}
