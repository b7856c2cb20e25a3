//! What peers said, until the aggregator takes it: the newest revision of each node's ticks, of the
//! views that are open here.
//!
//! It also remembers which revisions it has, so that gaps show: a jump in a peer's sequence, or an
//! index in Redis that knows of more. Bounds: ticks of the last [`KEPT_SECS`] seconds, none that has
//! not begun, [`PEER_BYTES_MAX`] of a peer that wait; past it a message is refused and counted, and
//! is a gap to be filled later. Does no I/O.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pulseboard::tick::TickSummary;

use super::outbox::KEPT_SECS;
use crate::aggregate::{Counted, Heard};

/// Encoded bytes of one peer that wait to be taken.
const PEER_BYTES_MAX: usize = 32 << 20;
/// A peer's tick may have so many seconds still before it: clocks differ by that much unsaid.
const AHEAD_SECS: i64 = 1;
/// A little longer than what is told again.
const HELD_SECS: i64 = KEPT_SECS + 30;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// To be joined.
    Taken,
    /// Known already, of a view that is not open here, or too old to matter.
    Passed,
    /// Its tick has not begun: its sender's clock is ahead.
    Future,
    /// Too much of its sender waits.
    Full,
}

#[derive(Default)]
struct Open {
    waiting: BTreeMap<(i64, Arc<str>), Waiting>,
    /// Revisions by node and tick.
    known: HashMap<Arc<str>, BTreeMap<i64, u64>>,
}

struct Waiting {
    revision: u64,
    summary: Arc<TickSummary>,
    bytes: usize,
}

#[derive(Default)]
struct Followed {
    incarnation: u64,
    sequence: u64,
    /// Encoded bytes that wait.
    bytes: usize,
}

/// See the module.
pub(super) struct Inbox {
    views: HashMap<Arc<str>, Open>,
    peers: HashMap<Arc<str>, Followed>,
}

impl Default for Inbox {
    fn default() -> Self {
        let everything = (Arc::from(""), Open::default());
        Self { views: HashMap::from([everything]), peers: HashMap::new() }
    }
}

impl Inbox {
    /// A view is open here. Whether it was not.
    pub(super) fn open(&mut self, view: &str) -> bool {
        let is_new = !self.views.contains_key(view);
        if is_new {
            self.views.insert(view.into(), Open::default());
        }
        is_new
    }

    /// A view begins anew here: nothing of it is known.
    pub(super) fn begin(&mut self, view: &str) {
        if let Some(open) = self.views.insert(view.into(), Open::default()) {
            for ((_, node), waiting) in open.waiting {
                self.release(&node, waiting.bytes);
            }
        }
    }

    /// Only these views, and that of everything, are open here.
    pub(super) fn retain(&mut self, is_open: impl Fn(&str) -> bool) {
        let mut gone = Vec::new();
        self.views.retain(|view, open| {
            let stays = view.is_empty() || is_open(view);
            if !stays {
                let waiting = std::mem::take(&mut open.waiting);
                gone.extend(waiting.into_iter().map(|((_, node), waiting)| (node, waiting.bytes)));
            }
            stays
        });
        for (node, bytes) in gone {
            self.release(&node, bytes);
        }
    }

    /// The open views' filters.
    pub(super) fn views(&self) -> Vec<Arc<str>> {
        self.views.keys().cloned().collect()
    }

    /// Whether a message would be taken, before it is decoded.
    pub(super) fn would_take(
        &self,
        node: &str,
        view: &str,
        (tick, revision): (i64, u64),
        now_tick: i64,
    ) -> Verdict {
        if tick > now_tick + AHEAD_SECS {
            return Verdict::Future;
        }
        let Some(open) = self.views.get(view) else { return Verdict::Passed };
        let known = open.known.get(node).and_then(|ticks| ticks.get(&tick));
        if tick <= now_tick - HELD_SECS || known.is_some_and(|known| *known >= revision) {
            return Verdict::Passed;
        }
        if self.peers.get(node).is_some_and(|peer| peer.bytes > PEER_BYTES_MAX) {
            return Verdict::Full;
        }
        Verdict::Taken
    }

    /// Takes a count in, as [`Inbox::would_take`] has it.
    pub(super) fn take_in(
        &mut self,
        node: &Arc<str>,
        view: &str,
        counted: Counted,
        bytes: usize,
        now_tick: i64,
    ) -> Verdict {
        let Counted { tick, revision, summary } = counted;
        let verdict = self.would_take(node, view, (tick, revision), now_tick);
        let Some(open) = self.views.get_mut(view).filter(|_| verdict == Verdict::Taken) else {
            return verdict;
        };
        let known = open.known.entry(Arc::clone(node)).or_default();
        known.insert(tick, revision);
        *known = known.split_off(&(now_tick - HELD_SECS));
        let waiting = Waiting { revision, summary, bytes };
        let before = open.waiting.insert((tick, Arc::clone(node)), waiting);
        self.peers.entry(Arc::clone(node)).or_default().bytes += bytes;
        self.release(node, before.map_or(0, |before| before.bytes));
        verdict
    }

    /// What was said about a view since it was last asked for.
    pub(super) fn take(&mut self, view: &str) -> Vec<Heard> {
        let Some(open) = self.views.get_mut(view) else { return Vec::new() };
        let waiting = std::mem::take(&mut open.waiting);
        let mut heard = Vec::with_capacity(waiting.len());
        for ((tick, node), Waiting { revision, summary, bytes }) in waiting {
            self.release(&node, bytes);
            heard.push(Heard { node, counted: Counted { tick, revision, summary } });
        }
        heard
    }

    /// Which ticks an index knows in newer revisions, the newest first.
    pub(super) fn missing(
        &self,
        node: &str,
        view: &str,
        index: &[(i64, u64)],
        now_tick: i64,
    ) -> Vec<i64> {
        let is_missing = |(tick, revision): &&(i64, u64)| {
            self.would_take(node, view, (*tick, *revision), now_tick) == Verdict::Taken
        };
        let mut ticks: Vec<i64> = index.iter().filter(is_missing).map(|(tick, _)| *tick).collect();
        ticks.sort_unstable_by(|a, b| b.cmp(a));
        ticks
    }

    /// A message of this number came. Whether some before it did not.
    pub(super) fn follow(&mut self, node: &Arc<str>, incarnation: u64, sequence: u64) -> bool {
        let followed = self.peers.entry(Arc::clone(node)).or_default();
        if followed.incarnation != incarnation {
            (followed.incarnation, followed.sequence) = (incarnation, sequence);
            return sequence > 1;
        }
        let is_gap = sequence > followed.sequence + 1;
        followed.sequence = followed.sequence.max(sequence);
        is_gap
    }

    /// Whether messages up to this number have come, or were read.
    pub(super) fn has(&self, node: &str, incarnation: u64, sequence: u64) -> bool {
        self.peers.get(node).is_some_and(|followed| {
            followed.incarnation == incarnation && followed.sequence >= sequence
        })
    }

    /// All that was sent up to this number has been read.
    pub(super) fn caught_up(&mut self, node: &Arc<str>, incarnation: u64, sequence: u64) {
        let followed = self.peers.entry(Arc::clone(node)).or_default();
        if followed.incarnation != incarnation {
            (followed.incarnation, followed.sequence) = (incarnation, 0);
        }
        followed.sequence = followed.sequence.max(sequence);
    }

    /// How many peers have said what they counted of a tick.
    pub(super) fn reporting(&self, tick: i64) -> u32 {
        let known = self.views.get("").map(|open| open.known.values());
        let has = |ticks: &&BTreeMap<i64, u64>| ticks.contains_key(&tick);
        known.map_or(0, |known| known.filter(has).count() as u32)
    }

    /// Only these peers matter any more.
    pub(super) fn forget_others(&mut self, is_known: impl Fn(&str) -> bool) {
        let stays = |node: &Arc<str>, bytes: usize| bytes > 0 || is_known(node);
        self.peers.retain(|node, followed| stays(node, followed.bytes));
        for open in self.views.values_mut() {
            open.known.retain(|node, _| is_known(node));
        }
    }

    fn release(&mut self, node: &str, bytes: usize) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.bytes = peer.bytes.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 10_000;

    fn say(inbox: &mut Inbox, node: &str, view: &str, (tick, revision): (i64, u64)) -> Verdict {
        let counted = Counted { tick, revision, summary: Arc::default() };
        inbox.take_in(&node.into(), view, counted, 1_000, NOW)
    }

    fn taken(inbox: &mut Inbox, view: &str) -> Vec<(String, i64, u64)> {
        let heard = inbox.take(view).into_iter();
        heard.map(|h| (h.node.to_string(), h.counted.tick, h.counted.revision)).collect()
    }

    #[test]
    fn the_newest_revision_is_taken_once_in_whatever_order_they_come() {
        let mut inbox = Inbox::default();
        assert_eq!(say(&mut inbox, "b", "", (NOW - 1, 5)), Verdict::Taken);
        assert_eq!(say(&mut inbox, "b", "", (NOW - 1, 7)), Verdict::Taken);
        assert_eq!(say(&mut inbox, "b", "", (NOW - 1, 6)), Verdict::Passed);
        assert_eq!(taken(&mut inbox, ""), [("b".to_owned(), NOW - 1, 7)]);
        assert!(taken(&mut inbox, "").is_empty());
        assert_eq!(say(&mut inbox, "b", "", (NOW - 1, 7)), Verdict::Passed);
        assert_eq!([NOW - 1, NOW].map(|tick| inbox.reporting(tick)), [1, 0]);
    }

    #[test]
    fn ticks_that_have_not_begun_or_are_long_over_are_not_taken() {
        let mut inbox = Inbox::default();
        assert_eq!(say(&mut inbox, "b", "", (NOW + 1, 1)), Verdict::Taken);
        assert_eq!(say(&mut inbox, "b", "", (NOW + 2, 1)), Verdict::Future);
        assert_eq!(say(&mut inbox, "b", "", (NOW - 500, 1)), Verdict::Passed);
    }

    #[test]
    fn a_view_is_heard_while_it_is_open() {
        let mut inbox = Inbox::default();
        assert_eq!(say(&mut inbox, "b", "route=/x", (NOW, 1)), Verdict::Passed);
        assert!(inbox.open("route=/x") && !inbox.open("route=/x"));
        assert_eq!(say(&mut inbox, "b", "route=/x", (NOW, 1)), Verdict::Taken);
        inbox.begin("route=/x");
        assert!(taken(&mut inbox, "route=/x").is_empty());
        assert_eq!(say(&mut inbox, "b", "route=/x", (NOW, 1)), Verdict::Taken, "it is told again");
        inbox.retain(|_| false);
        assert!(taken(&mut inbox, "route=/x").is_empty());
        assert_eq!(inbox.peers["b"].bytes, 0);
    }

    #[test]
    fn a_jump_in_the_sequence_is_a_gap_until_it_is_read() {
        let mut inbox = Inbox::default();
        let b = "b".into();
        assert!(!inbox.follow(&b, 1, 1));
        assert!(!inbox.follow(&b, 1, 2));
        assert!(inbox.follow(&b, 1, 4), "the third is missing");
        assert!(inbox.has(&b, 1, 4) && !inbox.has(&b, 1, 5) && !inbox.has(&b, 2, 1));
        inbox.caught_up(&b, 1, 9);
        assert!(inbox.has(&b, 1, 9) && !inbox.follow(&b, 1, 10));
        assert!(inbox.follow(&b, 2, 3), "it was started again, and two are missing");
    }

    #[test]
    fn an_index_tells_what_is_missing() {
        let mut inbox = Inbox::default();
        say(&mut inbox, "b", "", (NOW - 3, 5));
        let index = [(NOW - 3, 5), (NOW - 2, 6), (NOW - 1, 6), (NOW + 9, 7), (NOW - 900, 1)];
        assert_eq!(inbox.missing("b", "", &index, NOW), [NOW - 1, NOW - 2]);
        assert_eq!(inbox.missing("b", "", &[(NOW - 3, 6)], NOW), [NOW - 3]);
    }

    #[test]
    fn a_peer_that_says_too_much_waits_until_it_is_taken() {
        let mut inbox = Inbox::default();
        let counted = |revision| Counted { tick: NOW, revision, summary: Arc::default() };
        let b = Arc::from("b");
        inbox.take_in(&b, "", counted(1), PEER_BYTES_MAX + 1, NOW);
        assert_eq!(say(&mut inbox, "b", "", (NOW - 1, 1)), Verdict::Full);
        assert_eq!(say(&mut inbox, "c", "", (NOW - 1, 1)), Verdict::Taken);
        inbox.take("");
        assert_eq!(say(&mut inbox, "b", "", (NOW - 1, 1)), Verdict::Taken);
    }
}
