//! The final edge: ticks that can no longer change get their final frames, and go to their minute.

use std::sync::Arc;

use pulseboard::limits::FINAL_AFTER_SECS;
use pulseboard::rollup::minute_of;
use pulseboard::tick::TickSummary;
use pulseboard::window::{Around, Window};

use super::{FRAMES_KEPT, SPARE, State};
use crate::store::embedded::FinalFrame;

impl State {
    /// All that arrived up to `watermark_ms` is applied: moves the final edge.
    pub(crate) fn pass(&mut self, watermark_ms: i64, now_ms: i64) {
        self.watermark_ms = self.watermark_ms.max(watermark_ms);
        let upto = self.watermark_ms.div_euclid(1_000) - FINAL_AFTER_SECS;
        if upto > self.final_upto {
            self.finish_ticks(upto, now_ms.div_euclid(1_000));
        }
    }

    /// Makes every tick up to `upto` final.
    pub(super) fn finish_ticks(&mut self, upto: i64, now_tick: i64) {
        while self.final_upto < upto {
            if self.final_windows.iter().any(|window| !window.is_empty()) {
                self.finish_next(now_tick);
                continue;
            }
            // Nothing is in any window: on to the next tick somebody was up for.
            let next = self.ticks.range(self.final_upto + 1..=upto).next();
            let before_next = next.map_or(upto, |(tick, _)| tick - 1);
            if before_next > self.final_upto {
                self.final_upto = before_next;
                for window in &mut self.final_windows {
                    *window = Window::new(window.secs(), before_next);
                }
            } else {
                self.finish_next(now_tick);
            }
        }
        self.finish_joined(now_tick);
        let current = minute_of(self.final_upto + 1);
        if self.open_minute.as_ref().is_none_or(|(minute, _)| *minute != current) {
            self.close_minute();
            self.folded_upto = self.final_upto;
        }
        self.forget();
    }

    /// Makes the next tick final.
    fn finish_next(&mut self, now_tick: i64) {
        let tick = self.final_upto + 1;
        self.final_upto = tick;
        self.hand_over(tick);
        if self.is_view {
            self.finish_point(tick);
            return;
        }
        for window in &mut self.final_windows {
            window.slide(&self.ticks);
        }
        let Some(summary) = self.ticks.get(tick).map(Arc::clone) else { return };
        self.final_last_event_ms = self.final_last_event_ms.max(summary.totals.last_event_ms);
        if tick > now_tick - FRAMES_KEPT {
            let last_event_ms = self.final_last_event_ms;
            let around = Around { last_event_ms, ..Around::default() };
            for window in &self.final_windows {
                let frame = Arc::new(window.render(&mut self.ticks, &around));
                let secs = window.secs();
                self.frames.push(FinalFrame { tick, secs, frame, revised_after: 0 });
            }
        }
        self.fold(tick, &summary);
    }

    /// Adds a final tick to its minute.
    pub(super) fn fold(&mut self, tick: i64, summary: &Arc<TickSummary>) {
        self.is_new = false;
        let minute = minute_of(tick);
        if self.open_minute.as_ref().is_some_and(|(open, _)| *open != minute) {
            self.close_minute();
        }
        match &mut self.open_minute {
            Some((_, sum)) => Arc::make_mut(sum).merge(summary),
            None => self.open_minute = Some((minute, Arc::clone(summary))),
        }
    }

    /// The open minute is whole: it goes with the next commit.
    fn close_minute(&mut self) {
        if let Some((minute, sum)) = self.open_minute.take() {
            self.add_to_minute(minute, &sum);
            self.folded_upto = (minute + 1) * pulseboard::rollup::MINUTE - 1;
        }
    }

    /// Closes the open minute though it is not whole: what follows it is counted anew.
    pub(super) fn close_minute_early(&mut self) {
        self.close_minute();
        self.folded_upto = self.final_upto;
    }

    /// Lets go of ticks that no window needs any more.
    fn forget(&mut self) {
        let before = self.first_needed();
        let keep = self.final_upto.min(self.folded_upto) - SPARE;
        while let Some(tick) = self.dirty.first().copied().filter(|tick| *tick < before) {
            self.dirty.remove(&tick);
            if let Some(summary) = self.ticks.get(tick).filter(|_| tick >= keep - super::TICKS_KEPT)
            {
                self.departed.insert(tick, Arc::clone(summary));
            }
        }
        self.ticks.forget_before(before);
    }
}
