//! Who is there: what each instance's signs of life say, and what follows from their absence.
//!
//! An instance counts from its first sign of life, from the first whole second on; one that says
//! goodbye stops counting at once, one that falls silent after a minute. While Redis is away nobody
//! is heard, and nobody is taken for gone. At most [`PEERS_MAX`] peers are known; more are refused and
//! counted. Pure: it is told what time it is. Held by the heart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::messages::{Beat, Sender};

/// Instances besides this one.
pub(super) const PEERS_MAX: usize = 63;
/// After so long a silence an instance is gone.
pub(super) const GONE_AFTER: Duration = Duration::from_mins(1);
/// After so long a silence it is said.
const SILENT_AFTER: Duration = Duration::from_secs(3);

/// A peer as it was last heard.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) sender: Sender,
    pub(super) beat: Beat,
    /// When Redis noted its last sign of life, by Redis's clock.
    noted_ms: i64,
    /// When it was noted here, by our own.
    heard_at: Duration,
}

/// What is known of a node in Redis.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    /// When, by Redis's clock.
    pub(super) at_ms: i64,
    pub(super) sender: Sender,
    /// None when it said goodbye.
    pub(super) beat: Option<Beat>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Members {
    peers: BTreeMap<Arc<str>, Peer>,
    /// Peers that were one too many.
    pub(super) refused: u64,
}

impl Members {
    /// Takes in what Redis holds, its clock standing at `redis_ms` and ours at `now`. Gives the nodes
    /// that are new, or were started anew.
    pub(super) fn take(
        &mut self,
        noted: Vec<Noted>,
        redis_ms: i64,
        now: Duration,
    ) -> Vec<Arc<str>> {
        let mut new = Vec::new();
        for Noted { at_ms, sender, beat } in noted {
            let is_full = self.peers.len() >= PEERS_MAX;
            let Some(beat) = beat else {
                self.leave(&sender);
                continue;
            };
            let age = Duration::from_millis((redis_ms - at_ms).max(0) as u64);
            match self.peers.get_mut(&sender.node) {
                Some(peer) => {
                    if peer.noted_ms != at_ms {
                        (peer.noted_ms, peer.heard_at) = (at_ms, now);
                    }
                    if peer.sender.incarnation != sender.incarnation {
                        new.push(Arc::clone(&sender.node));
                    }
                    (peer.sender, peer.beat) = (sender, beat);
                }
                None if age >= GONE_AFTER => {}
                None if is_full => self.refused += 1,
                None => {
                    new.push(Arc::clone(&sender.node));
                    let heard_at = now.saturating_sub(age);
                    let peer = Peer { noted_ms: at_ms, heard_at, beat, sender };
                    self.peers.insert(Arc::clone(&peer.sender.node), peer);
                }
            }
        }
        self.peers.retain(|_, peer| now.saturating_sub(peer.heard_at) < GONE_AFTER);
        new
    }

    /// An instance said goodbye; one that was started since stays.
    pub(super) fn leave(&mut self, sender: &Sender) {
        let is_it = |peer: &Peer| peer.sender.incarnation == sender.incarnation;
        if self.peers.get(&sender.node).is_some_and(is_it) {
            self.peers.remove(&sender.node);
        }
    }

    /// Nobody could be heard for so long: that is nobody's silence.
    pub(super) fn was_deaf(&mut self, span: Duration) {
        self.peers.values_mut().for_each(|peer| peer.heard_at += span);
    }

    /// How many there are in a tick, this one too.
    pub(super) fn expected(&self, tick: i64) -> u32 {
        1 + self.peers.values().filter(|peer| peer.beat.first_tick <= tick).count() as u32
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    pub(super) fn get(&self, node: &str) -> Option<&Peer> {
        self.peers.get(node)
    }

    /// Those that have not been heard for a while, and for how long.
    pub(super) fn silent(&self, now: Duration) -> Vec<(&Peer, Duration)> {
        let silence = |peer: &'_ Peer| now.saturating_sub(peer.heard_at);
        let silent = self.peers.values().map(|peer| (peer, silence(peer)));
        silent.filter(|(_, silence)| *silence > SILENT_AFTER).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn noted(node: &str, incarnation: u64, at_ms: i64) -> Noted {
        let sender = Sender { node: node.into(), name: node.into(), incarnation };
        let beat = Beat {
            version: "0".into(),
            wall_ms: at_ms,
            ahead_ms: Some(0),
            sequence: 0,
            first_tick: 100,
            written_upto: None,
        };
        Noted { at_ms, sender, beat: Some(beat) }
    }

    fn names(members: &Members) -> Vec<&str> {
        members.peers().map(|peer| &*peer.sender.node).collect()
    }

    #[test]
    fn a_peer_counts_from_its_first_whole_second() {
        let mut members = Members::default();
        assert_eq!(
            members.take(vec![noted("b", 1, 5_000)], 5_000, SECOND),
            [Arc::<str>::from("b")]
        );
        assert_eq!([99, 100, 101].map(|tick| members.expected(tick)), [1, 2, 2]);
        assert!(members.take(vec![noted("b", 1, 6_000)], 6_000, SECOND * 2).is_empty());
        let anew = members.take(vec![noted("b", 2, 7_000)], 7_000, SECOND * 3);
        assert_eq!(anew, [Arc::<str>::from("b")], "a restart is to be read from its start");
    }

    #[test]
    fn a_goodbye_counts_at_once_and_a_silence_after_a_minute() {
        let mut members = Members::default();
        members.take(vec![noted("b", 1, 0), noted("c", 1, 0)], 0, SECOND);
        members.take(vec![Noted { beat: None, ..noted("b", 1, 1_000) }], 1_000, SECOND * 2);
        assert_eq!(names(&members), ["c"]);
        // It was started again, and its old goodbye comes late.
        members.take(vec![noted("b", 2, 2_000)], 2_000, SECOND * 3);
        members.leave(&noted("b", 1, 0).sender);
        assert_eq!(names(&members), ["b", "c"]);
        members.take(vec![noted("b", 2, 60_000)], 60_000, SECOND * 60);
        assert_eq!(names(&members), ["b", "c"]);
        let silent = members.silent(SECOND * 60);
        assert_eq!((&*silent[0].0.sender.node, silent[0].1), ("c", SECOND * 59));
        members.take(vec![noted("b", 2, 61_000)], 61_000, SECOND * 61);
        assert_eq!(names(&members), ["b"]);
    }

    #[test]
    fn while_nobody_is_heard_nobody_is_gone() {
        let mut members = Members::default();
        members.take(vec![noted("b", 1, 0)], 0, SECOND);
        members.was_deaf(SECOND * 200);
        members.take(Vec::new(), 200_000, SECOND * 201);
        assert_eq!(names(&members), ["b"], "Redis came back empty");
        members.take(Vec::new(), 261_000, SECOND * 262);
        assert!(names(&members).is_empty());
    }

    #[test]
    fn who_was_silent_for_a_minute_is_no_newcomer() {
        let mut members = Members::default();
        assert!(members.take(vec![noted("b", 1, 0)], 61_000, SECOND).is_empty());
        assert_eq!(members.expected(1_000), 1);
    }

    #[test]
    fn peers_past_the_most_there_may_be_are_refused() {
        let mut members = Members::default();
        let many = (0..70).map(|number| noted(&format!("n{number}"), 1, 0)).collect();
        members.take(many, 0, SECOND);
        assert_eq!((members.expected(1_000), members.refused), (64, 7));
    }
}
