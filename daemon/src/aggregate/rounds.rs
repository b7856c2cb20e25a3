//! When instances tell each other what they counted, and how a view takes part: a few times a
//! second, on the thread that counts it.
//!
//! A tick is told as soon as it is over, and once more shortly before its frame, with what came
//! meanwhile; what changes later once a second. Nothing here waits, and without peers nothing
//! happens.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Settings;
use super::peers::Peers;
use super::state::State;

/// How long after its end a tick is told, ms.
const AFTER_MS: i64 = 5;
/// How long before its frame a tick is told again, ms: what telling takes.
const BEFORE_FRAME_MS: i64 = 100;
/// More unframed ticks than this are not caught up with one by one.
const JUMP: i64 = 10;

/// When the next round is, and what it tells.
#[derive(Debug)]
pub(super) struct Pace {
    /// Unix ms.
    next_ms: i64,
    /// The newest tick with which everything was told.
    whole_upto: i64,
}

impl Pace {
    /// From `now_ms` on; never, where there are no peers.
    pub(super) fn new(settings: &Settings, peers: &dyn Peers, now_ms: i64) -> Self {
        let is_cluster = peers.is_cluster();
        let next_ms = if is_cluster { next_ms(settings, now_ms) } else { i64::MAX };
        Self { next_ms, whole_upto: i64::MIN }
    }

    /// When the next round is due, Unix ms.
    pub(super) fn due_ms(&self) -> i64 {
        self.next_ms
    }

    /// Begins the round that is due.
    pub(super) fn round(&mut self, settings: &Settings, now_ms: i64) -> Round {
        self.next_ms = next_ms(settings, now_ms);
        let upto = (now_ms - AFTER_MS).div_euclid(1_000) - 1;
        // A tick's summary is copied when it changes after it was told: once a second is enough.
        let since = if self.whole_upto < upto { i64::MIN } else { upto };
        self.whole_upto = self.whole_upto.max(upto);
        Round { upto, since }
    }
}

/// What a round tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// The newest tick that is over.
    pub(super) upto: i64,
    /// What changed before this tick waits for a later round.
    pub(super) since: i64,
}

impl Round {
    /// Everything up to a tick.
    pub(super) fn whole(upto: i64) -> Self {
        Self { upto, since: i64::MIN }
    }
}

/// The time of the next round after `now_ms`, Unix ms.
fn next_ms(settings: &Settings, now_ms: i64) -> i64 {
    let second = now_ms.div_euclid(1_000) * 1_000;
    let again = (settings.grace_ms as i64 - BEFORE_FRAME_MS).max(AFTER_MS);
    let rounds = [AFTER_MS, again, 1_000 + AFTER_MS];
    let mut after = rounds.iter().map(|round| second + round).filter(|round| *round > now_ms);
    after.next().unwrap_or(second + 1_000 + AFTER_MS)
}

/// The first tick after `head` that is framed, when the newest that is over is `newest`.
pub(super) fn first_real(head: i64, newest: i64) -> i64 {
    if newest - head > JUMP { newest } else { head + 1 }
}

/// A round: ticks from `first` on are over; tells what changed, and takes in what was heard.
pub(super) fn tell(
    state: &Mutex<State>,
    key: &Arc<str>,
    peers: &dyn Peers,
    first: i64,
    round: Round,
) {
    if !peers.is_cluster() {
        return;
    }
    let heard = peers.take_heard(key);
    let counted = {
        let mut state = state.lock();
        let counted = state.tell(first, round);
        state.hear(heard, round.upto);
        state.finish_anew();
        counted
    };
    if !counted.is_empty() {
        peers.tell(key, counted);
    }
}

/// What precedes the frame of `tick`: takes in what was heard, and tells what no round has.
pub(super) fn hear(
    state: &Mutex<State>,
    key: &Arc<str>,
    peers: &dyn Peers,
    (tick, now_tick): (i64, i64),
) {
    if !peers.is_cluster() {
        return;
    }
    let (heard, nodes) = (peers.take_heard(key), peers.nodes(tick));
    let counted = {
        let mut state = state.lock();
        let is_told = state.told_upto().is_none_or(|told| told >= tick);
        let counted = if is_told { Vec::new() } else { state.tell(tick, Round::whole(tick)) };
        state.hear(heard, now_tick);
        state.expect(tick, nodes);
        counted
    };
    if !counted.is_empty() {
        peers.tell(key, counted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_told_when_it_is_over_and_again_before_its_frame() {
        let settings = |grace_ms| Settings { grace_ms, ..Settings::default() };
        let mut now_ms = 7_000;
        let mut rounds = |grace_ms, count| -> Vec<i64> {
            let next = |_| {
                now_ms = next_ms(&settings(grace_ms), now_ms);
                now_ms
            };
            (0..count).map(next).collect()
        };
        assert_eq!(rounds(250, 4), [7_005, 7_150, 8_005, 8_150]);
        assert_eq!(rounds(0, 2), [9_005, 10_005]);
        assert_eq!(rounds(900, 2), [10_800, 11_005]);
        let mut pace = Pace { next_ms: 0, whole_upto: i64::MIN };
        let mut round = |now_ms| pace.round(&settings(250), now_ms);
        let rounds = [7_004, 7_005, 7_150, 8_160].map(&mut round);
        assert_eq!(
            rounds,
            [Round::whole(5), Round::whole(6), Round { upto: 6, since: 6 }, Round::whole(7)]
        );
        assert_eq!(pace.due_ms(), 9_005);
    }
}
