//! What all instances counted, made one: of each tick this node's count and what each peer said of
//! its own, and the windows over their merge.
//!
//! A tick is merged anew when one of its parts changed, and its difference goes through the windows:
//! work happens a few times a second, never an event. A part is absolute: a later revision takes the
//! place of the earlier one, so that loss, repetition and order of messages do not matter once the
//! last one is here. Ticks up to *settled* have let go of their parts and do not change any more;
//! until then whatever comes is a correction, whether or not this node's own count is final.
//!
//! Bounds, past which what is heard is refused and counted: [`NODES_MAX`] peers, ticks from the
//! settled edge to [`AHEAD_SECS`] ahead, [`BYTES_MAX`] of summaries. Past [`BYTES_KEPT`] of them ticks
//! settle as soon as they are final. The merge holds no more rows than its parts. Does no I/O and
//! reads no clock. Held by [`super::state::State`].

mod filling;
mod merging;
mod parts;
mod showing;
mod unfilled;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulseboard::tick::TickSummary;
use pulseboard::window::{Ticks, Window};
use pulseboard::wire::server::Nodes;

pub(super) use filling::ToFill;
use parts::Parts;
use unfilled::Unfilled;

use super::state::history_from;

/// How long what a peer says of a tick is taken in: what an instance may be frozen or cut off for,
/// and still have its seconds joined.
pub(super) const SETTLE_SECS: i64 = 300;
/// A peer's clock may be this far ahead of ours.
const AHEAD_SECS: i64 = 15;
/// Peers that are told apart in a tick.
const NODES_MAX: usize = 63;
/// Memory of what was heard past which ticks settle early, about: for the view of everything, and for
/// a filtered one.
const BYTES_KEPT: [usize; 2] = [128 << 20, 16 << 20];
/// Memory of what was heard past which more is refused, about: of 13 peers with 20,000 routes each,
/// for the 65 s that ticks are not final; and for a filtered view.
const BYTES_MAX: [usize; 2] = [2 << 30, 64 << 20];
/// Rows of routes that are merged at a time; what is left waits for the next time, oldest last.
const ROWS_AT_ONCE: usize = 400_000;

/// See the module.
pub(super) struct Joined {
    windows_secs: Vec<u32>,
    /// Whether this is a filtered view's: it makes no final frames.
    is_view: bool,
    /// How long a tick keeps its parts.
    settle_secs: i64,
    bytes_kept: usize,
    bytes_max: usize,
    /// The newest framed tick.
    head: i64,
    /// Ticks up to it are merged for good.
    settled: i64,
    /// Points up to it were stored before this process began, and stay as they are.
    stored_upto: i64,
    /// The newest tick that has its final frame.
    final_upto: i64,
    /// The parts of ticks after `settled`.
    parts: BTreeMap<i64, Parts>,
    /// Bytes of what was heard in `parts`, about.
    heard_bytes: usize,
    /// Ticks whose parts changed since they were merged.
    changed: BTreeSet<i64>,
    merged: Ticks,
    head_windows: Vec<Window>,
    final_windows: Vec<Window>,
    /// Framed ticks that were merged anew since the last frame.
    revised: BTreeSet<i64>,
    /// Ticks whose final frame is to be made again.
    stale: BTreeSet<i64>,
    /// Time of the newest event of ticks that are gone from `merged`.
    last_event_before_ms: Option<i64>,
    /// Own ticks that changed since the peers were told.
    pub(super) untold: BTreeSet<i64>,
    /// Own ticks up to it are real, or nobody was up.
    pub(super) told_upto: i64,
    /// What was heard and not taken in, since start.
    pub(super) refused: u64,
    /// What the shared store may know more of; a filtered view asks nobody.
    unfilled: Option<Unfilled>,
    /// This node is up from the tick after it on.
    began: i64,
}

/// Where joining begins.
pub(super) struct Beginning<'a> {
    pub(super) windows_secs: &'a [u32],
    pub(super) is_view: bool,
    /// This node's own count.
    pub(super) ticks: &'a Ticks,
    pub(super) head: i64,
    pub(super) final_upto: i64,
    /// Ticks up to it are taken as they are.
    pub(super) settled: i64,
    /// Final frames up to it are stored.
    pub(super) stored_upto: i64,
    pub(super) last_event_ms: Option<i64>,
    /// How many instances there were when this one was last up.
    pub(super) expected: u32,
}

impl Joined {
    /// Begins with this node's own count.
    pub(super) fn begin(from: &Beginning<'_>) -> Self {
        let windows_secs = from.windows_secs.to_vec();
        let longest = windows_secs.iter().copied().max().map_or(1, i64::from);
        let merged = from.ticks.span(i64::MIN / 2..=from.head);
        let windows = |tick: i64| -> Vec<Window> {
            windows_secs.iter().map(|secs| Window::merged(*secs, tick, &merged)).collect()
        };
        let (head_windows, final_windows) = (windows(from.head), windows(from.final_upto));
        let mut parts = BTreeMap::<i64, Parts>::new();
        for (tick, own) in merged.range(from.settled + 1..=from.head) {
            let parts = parts.entry(tick).or_default();
            (parts.own, parts.expected) = (Some(Arc::clone(own)), from.expected);
        }
        let mut unfilled = Unfilled::default();
        unfilled.mark(history_from(from.head)..=from.head);
        let open = from.ticks.range(from.final_upto + 1..=i64::MAX / 2);
        let slack = if from.is_view { longest + super::view::SLACK_SECS } else { 0 };
        Self {
            is_view: from.is_view,
            settle_secs: SETTLE_SECS + slack,
            bytes_kept: BYTES_KEPT[usize::from(from.is_view)],
            bytes_max: BYTES_MAX[usize::from(from.is_view)],
            head: from.head,
            settled: from.settled,
            stored_upto: from.stored_upto,
            final_upto: from.final_upto,
            parts,
            heard_bytes: 0,
            changed: BTreeSet::new(),
            head_windows,
            final_windows: if from.is_view { Vec::new() } else { final_windows },
            revised: BTreeSet::new(),
            stale: BTreeSet::new(),
            last_event_before_ms: from.last_event_ms,
            untold: open.map(|(tick, _)| tick).collect(),
            told_upto: from.head,
            refused: 0,
            unfilled: (!from.is_view).then_some(unfilled),
            began: from.head,
            windows_secs,
            merged,
        }
    }

    /// The merged ticks.
    pub(super) fn merged(&self) -> &Ticks {
        &self.merged
    }

    /// How many are in a tick's numbers, and how many there were when it was framed.
    pub(super) fn nodes_at(&self, tick: i64) -> Nodes {
        let Some(parts) = self.parts.get(&tick) else {
            return Nodes::ALONE;
        };
        let reporting = parts.reporting();
        Nodes { reporting, expected: parts.expected.max(reporting).max(1) }
    }

    /// Says how many instances there are as a tick is framed.
    pub(super) fn expect(&mut self, tick: i64, expected: u32) {
        if tick > self.settled {
            self.parts.entry(tick).or_default().expected = expected;
        }
    }

    /// Ticks after `final_upto` are not final after all: events of before begin to be counted.
    pub(super) fn go_back_to(&mut self, final_upto: i64) {
        self.final_upto = final_upto;
        for window in &mut self.final_windows {
            *window = Window::merged(window.secs(), final_upto, &self.merged);
        }
    }

    /// What this node counted of a tick.
    pub(super) fn own(&self, tick: i64) -> Option<&Arc<TickSummary>> {
        self.parts.get(&tick).and_then(|parts| parts.own.as_ref())
    }

    /// The oldest tick that peers still take in.
    pub(super) fn oldest_told(&self, upto: i64) -> i64 {
        upto - self.settle_secs
    }

    /// The first tick whose parts are all here to be had.
    pub(super) fn first_open(&self) -> i64 {
        self.settled + 1
    }

    /// Bytes of what was heard, about.
    pub(super) fn heard_bytes(&self) -> usize {
        self.heard_bytes
    }

    fn longest(&self) -> i64 {
        self.windows_secs.iter().copied().max().map_or(1, i64::from)
    }
}
