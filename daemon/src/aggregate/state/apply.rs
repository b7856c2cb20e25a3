//! Counting events: each in its tick, or in its minute.

use std::sync::Arc;

use pulseboard::event::{Class, EventBatch, EventRef};
use pulseboard::rollup::minute_of_event;
use pulseboard::tick::{Sample, TickSummary};
use pulseboard::window::Window;

use super::{AHEAD_MAX, State};

impl State {
    /// Counts the events of a batch that were not counted yet. `now_ms` bounds what their arrival
    /// times can make of the watermark.
    pub(crate) fn apply(&mut self, first_seq: u64, batch: &EventBatch, now_ms: i64) {
        let seen = (self.applied_seq + 1).saturating_sub(first_seq) as usize;
        let index = seen;
        if index >= batch.len() {
            return;
        }
        if self.is_new {
            self.start_at(batch.get(index).arrival_tick());
        }
        self.changes.at(first_seq);
        // Events of one tick together: what is held of a tick is looked up once for all of them.
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        let all = self.filter.is_empty();
        for (index, event) in batch.iter().enumerate().skip(index) {
            if !all && !self.filter.matches(&event) {
                continue;
            }
            match self.tick_for(&event) {
                Some(tick) => order.push((tick, index as u32)),
                None => self.count_aside(&event),
            }
        }
        if !order.is_sorted_by_key(|(tick, _)| *tick) {
            order.sort_unstable();
        }
        for run in order.chunk_by(|(one, _), (other, _)| one == other) {
            self.count_run(run, batch);
        }
        self.order = order;
        self.applied_seq = first_seq + batch.len() as u64 - 1;
        let rows = &batch.rows()[seen..];
        let newest = rows.iter().map(|row| row.arrival_ms).max().unwrap_or(i64::MIN);
        self.pass(newest.min(now_ms), now_ms);
    }

    /// The tick an event is counted in; `None` when it is for its minute alone.
    fn tick_for(&self, event: &EventRef<'_>) -> Option<i64> {
        let tick = event.tick();
        let open = self.final_upto + 1..=self.head + AHEAD_MAX;
        (event.row().class == Class::Live && open.contains(&tick)).then_some(tick)
    }

    /// Counts events of one tick: a tick and the event's place in the batch each.
    fn count_run(&mut self, run: &[(i64, u32)], batch: &EventBatch) {
        let Some(tick) = run.first().map(|(tick, _)| *tick) else { return };
        let is_framed = tick <= self.head;
        let summary = self.ticks.change(tick);
        for (_, index) in run {
            let sample = Sample::from(batch.get(*index as usize));
            let admitted = summary.add(&sample, &mut self.names, self.routes_max);
            self.skewed_total += u64::from(sample.is_skewed);
            if !is_framed {
                continue;
            }
            for window in &mut self.head_windows {
                if (window.first()..=window.tick()).contains(&tick) {
                    window.add(&sample, admitted, &mut self.names);
                }
            }
        }
        self.dirty.insert(tick);
        self.mark_untold(tick);
        self.changes.tick(tick);
        if is_framed {
            self.changed.insert(tick);
        }
    }

    /// Counts an event in its minute, and as late where it arrived.
    fn count_aside(&mut self, event: &EventRef<'_>) {
        if !self.is_view {
            self.count_in_minute(event);
        }
        if event.row().class == Class::Import {
            return;
        }
        self.late_total += 1;
        let tick = event.arrival_tick().max(self.final_upto + 1).min(self.head + AHEAD_MAX);
        self.ticks.change(tick).totals.late += 1;
        self.dirty.insert(tick);
        self.mark_untold(tick);
        self.changes.tick(tick);
        if tick <= self.head {
            self.changed.insert(tick);
            for window in &mut self.head_windows {
                if (window.first()..=window.tick()).contains(&tick) {
                    window.add_late();
                }
            }
        }
    }

    fn count_in_minute(&mut self, event: &EventRef<'_>) {
        self.changes.minute(minute_of_event(event));
        let minute = self.minutes.entry(minute_of_event(event)).or_insert_with(|| {
            self.minutes_weight += 8;
            Arc::default()
        });
        let minute = Arc::make_mut(minute);
        let routes = minute.routes.rows().len();
        minute.add(&Sample::from(*event), &mut self.names, self.settings.routes_per_tick);
        self.minutes_weight += minute.routes.rows().len() - routes;
    }

    /// Adds a summary to its minute.
    pub(super) fn add_to_minute(&mut self, minute: i64, summary: &Arc<TickSummary>) {
        self.minutes_weight += 8 + summary.routes.rows().len();
        match self.minutes.entry(minute) {
            std::collections::hash_map::Entry::Occupied(mut mine) => {
                Arc::make_mut(mine.get_mut()).merge(summary);
            }
            std::collections::hash_map::Entry::Vacant(slot) => {
                slot.insert(Arc::clone(summary));
            }
        }
    }

    /// Starts where the events start, if nothing is final yet: a journal is counted from its start.
    fn start_at(&mut self, arrival_tick: i64) {
        self.is_new = false;
        if arrival_tick - super::FINAL_AFTER_SECS <= self.final_upto {
            self.final_upto = arrival_tick - super::FINAL_AFTER_SECS - 1;
            self.folded_upto = self.final_upto;
            let windows = self.settings.windows_secs.iter();
            self.final_windows = windows.map(|secs| Window::new(*secs, self.final_upto)).collect();
            debug_assert!(self.open_minute.is_none(), "nothing was final yet");
            self.start_joining_at(self.final_upto);
        }
    }
}
