//! All that is counted: the ticks, the windows at both ends of them, and the minutes.
//!
//! Time has two edges here. The *head* is the newest tick that was framed; it follows the clock.
//! The *final edge* follows the watermark (the arrival time up to which all events are applied) 65 s
//! behind: ticks up to it can no longer change. Each edge has windows of its own: those at the head
//! make frames, those at the final edge make the final frames that are stored. What becomes final is
//! added to its minute. An event that comes too late for its tick goes to its minute directly.
//!
//! Does no I/O and reads no clock. Driven by the aggregator's thread.

mod apply;
mod changes;
mod filling;
mod finality;
mod frame;
mod joining;
mod restore;
mod through;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use pulseboard::filter::Filter;
use pulseboard::limits::{FINAL_AFTER_SECS, HISTORY_TICKS};
use pulseboard::tick::{Names, TickSummary};
use pulseboard::window::{Point, Ticks, Window};

use super::Settings;
use super::history::WindowHistory;
use super::joined::Joined;
use crate::store::embedded::{Commit, FinalFrame, Position};
use changes::Changes;
pub(super) use filling::{Found, FoundPoint};

/// Ticks that are kept as ticks, for fine history: two hours.
pub(super) const TICKS_KEPT: i64 = 7_200;
/// Final frames are kept for a day.
pub(super) const FRAMES_KEPT: i64 = 86_400;
/// Ticks kept before the final edge: the longest window there may be, for a restart.
const SPARE: i64 = 3_700;
/// An event this far ahead of the head is from a clock that was wrong; it goes to its minute.
const AHEAD_MAX: i64 = 600;

/// The state.
pub(super) struct State {
    settings: Settings,
    /// What peers counted besides, and what is shown of both; none without peers.
    joined: Option<Box<Joined>>,
    /// Which events are counted.
    filter: Filter,
    /// Whether this is a filtered view's: it keeps no minutes, and nothing of it is stored.
    is_view: bool,
    /// Distinct routes a tick admits.
    routes_max: usize,
    names: Names,
    pub(super) ticks: Ticks,
    /// The newest framed tick.
    pub(super) head: i64,
    head_windows: Vec<Window>,
    /// The newest tick that can no longer change.
    pub(super) final_upto: i64,
    final_windows: Vec<Window>,
    /// Time of the newest event up to `final_upto`.
    final_last_event_ms: Option<i64>,
    /// Arrival time up to which all is applied, Unix ms.
    watermark_ms: i64,
    /// Nothing was ever counted: the final edge goes to where the events start.
    is_new: bool,
    pub(super) applied_seq: u64,
    /// The minute the final edge is in, as far as it is final, and the last tick before it.
    pub(super) open_minute: Option<(i64, Arc<TickSummary>)>,
    folded_upto: i64,
    /// What is to be added to minutes with the next commit.
    pub(super) minutes: HashMap<i64, Arc<TickSummary>>,
    /// Routes in `minutes`, and minutes, about: what bounds it.
    minutes_weight: usize,
    /// Ticks that changed since the last commit.
    dirty: BTreeSet<i64>,
    /// Of these, those that left `ticks`.
    pub(super) departed: BTreeMap<i64, Arc<TickSummary>>,
    /// What changed since it was last written to the shared store.
    pub(super) changes: Changes,
    /// Framed ticks that changed since the last frame.
    changed: BTreeSet<i64>,
    /// Instances there were when this one was last up.
    expected: u32,
    /// Points that became final with other numbers than they had, by window; sent with the next frame.
    overdue: Vec<BTreeSet<i64>>,
    /// Final frames for the next commit.
    pub(super) frames: Vec<FinalFrame>,
    /// Of these, the first that was not compared with the histories.
    unreconciled: usize,
    /// A view's points of ticks that became final, with the place of their window.
    final_points: Vec<(i64, usize, Point)>,
    /// Commits given to the store that are not on disk yet.
    pub(super) inflight: VecDeque<Arc<Commit>>,
    /// Room to put a batch's events in order of their ticks.
    order: Vec<(i64, u32)>,
    commit: u64,
    forget_after: Option<i64>,
    pub(super) late_total: u64,
    pub(super) skewed_total: u64,
}

impl State {
    /// The longest window, in ticks.
    fn longest(&self) -> i64 {
        self.settings.windows_secs.iter().copied().max().map_or(1, i64::from)
    }

    /// The first tick that is kept in memory.
    pub(super) fn first_needed(&self) -> i64 {
        self.final_upto.min(self.head - FINAL_AFTER_SECS) - self.longest()
    }

    /// How much waits to be added to minutes, in rows.
    pub(super) fn backlog(&self) -> usize {
        self.minutes_weight + self.frames.len() + self.departed.len() * 64
    }

    /// Takes what is to be written; `None` while two commits wait for the disk. Ticks that are older
    /// than `now_tick` by two hours are only written where a restart needs them.
    pub(super) fn take_commit(&mut self, now_tick: i64) -> Option<Arc<Commit>> {
        if self.inflight.len() >= 2 {
            return None;
        }
        let forget_ticks_before =
            (now_tick - TICKS_KEPT).min(self.final_upto.min(self.folded_upto) - SPARE);
        let mut ticks: Vec<_> = std::mem::take(&mut self.departed).into_iter().collect();
        for tick in std::mem::take(&mut self.dirty) {
            if let Some(summary) = self.ticks.get(tick) {
                ticks.push((tick, Arc::clone(summary)));
            }
        }
        ticks.retain(|(tick, _)| *tick >= forget_ticks_before);
        ticks.sort_unstable_by_key(|(tick, _)| *tick);
        let mut minutes: Vec<_> = std::mem::take(&mut self.minutes).into_iter().collect();
        minutes.sort_unstable_by_key(|(minute, _)| *minute);
        self.minutes_weight = 0;
        self.unreconciled = 0;
        self.commit += 1;
        let commit = Arc::new(Commit {
            position: Position {
                commit: self.commit,
                applied_seq: self.applied_seq,
                final_upto: self.final_upto,
                folded_upto: self.folded_upto,
                last_event_ms: self.final_last_event_ms,
            },
            ticks,
            frames: std::mem::take(&mut self.frames),
            minutes,
            forget_ticks_before,
            forget_frames_before: now_tick - FRAMES_KEPT,
            forget_after: self.forget_after.take(),
        });
        self.inflight.push_back(Arc::clone(&commit));
        Some(commit)
    }

    /// A commit is on disk.
    pub(super) fn committed(&mut self, commit: u64) {
        self.inflight.retain(|waiting| waiting.position.commit > commit);
    }

    /// Time of the newest event up to a tick, as far as is known.
    fn last_event_ms(&self, upto: i64) -> Option<i64> {
        let ticks = self.ticks.range(self.final_upto + 1..=upto);
        let newest = ticks.filter_map(|(_, summary)| summary.totals.last_event_ms).max();
        self.final_last_event_ms.max(newest)
    }

    /// What [`State::last_event_ms`] is, for one who holds a copy of the ticks.
    pub(super) fn last_event_base(&self) -> (i64, Option<i64>) {
        (self.final_upto, self.final_last_event_ms)
    }
}

/// Histories of all windows, in the order of the settings.
pub(super) type Histories = Vec<WindowHistory>;

/// The first tick that a history may hold.
pub(super) fn history_from(head: i64) -> i64 {
    head - HISTORY_TICKS as i64 + 1
}
