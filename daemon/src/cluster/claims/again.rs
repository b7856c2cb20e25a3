//! Events whose ids are claimed after the fact, from the journal.
//!
//! At a start, which waits a moment for Redis before it takes anything: those that no reader had
//! seen when the process before ended. Each is confirmed, or hidden because another instance has
//! it, before readers see it; in order, within a minute, and without waiting long for a Redis that
//! is away. While the daemon runs: those that were accepted
//! with nobody to ask. They are counted already; what another instance has too is only counted as
//! a conflict, for the store to settle. Ranges are merged where there are too many of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pulseboard::event::EventBatch;

use super::Claimant;
use super::rounds::{Kind, Verdict};
use crate::cluster::link::State;
use crate::ingest::{Claims, Confirmed, Fingerprinter};

/// How long a start waits for Redis.
const START_PATIENCE: Duration = Duration::from_secs(3);
/// How long deciding may take in all.
const DECIDE_WITHIN: Duration = Duration::from_mins(1);
/// How often a start looks whether it can begin.
const FIRST_LOOK_EVERY: Duration = Duration::from_millis(5);
/// How often it is looked whether there is somebody to ask.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A pause when nothing could be done.
const PAUSE: Duration = Duration::from_millis(500);
/// Events read from the journal at a time.
const READ_EVENTS: usize = 8_192;
/// Ranges kept apart.
const RANGES_MAX: usize = 1_024;

/// The journal, to read again what was accepted unclaimed.
pub trait Stored: Send + Sync {
    /// Events of a range, the oldest first; blocks on the disk.
    fn events(
        &self,
        from_seq: u64,
        to_seq: u64,
    ) -> Box<dyn Iterator<Item = (u64, Arc<EventBatch>)> + '_>;

    /// The sequence up to which it can be read.
    fn seen_seq(&self) -> u64;
}

/// What no reader has seen yet, to be gone through in order. Blocks on the disk.
pub trait Undecided: Send {
    /// The next events and the sequence of the first.
    fn next_events(&mut self) -> Option<(u64, Arc<EventBatch>)>;
    /// Has readers pass over these, for good.
    fn hide(&mut self, seqs: &[u64]);
    /// Lets readers see what lies below.
    fn let_go_below(&mut self, seq: u64);
    /// Lets readers see what is left, which nobody could be asked about: no start asks again.
    fn let_go_for_good(self: Box<Self>);
    /// The sequence after the last of them.
    fn end_seq(&self) -> u64;
}

/// Ranges of sequences, ascending and apart.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    pub(super) fn add(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let start = self.0.partition_point(|(_, end)| *end < from);
        let end = self.0.partition_point(|(first, _)| *first <= to);
        let joined = self.0[start..end].iter();
        let joined = joined.fold((from, to), |sum, next| (sum.0.min(next.0), sum.1.max(next.1)));
        self.0.splice(start..end, [joined]);
        if self.0.len() > RANGES_MAX {
            // What lies between is confirmed already, and once more does no harm.
            let gap = |at: &usize| self.0[at + 1].0 - self.0[*at].1;
            if let Some(at) = (0..self.0.len() - 1).min_by_key(gap) {
                let (_, to) = self.0.remove(at + 1);
                self.0[at].1 = to;
            }
        }
    }

    /// Takes out the oldest range.
    fn pop(&mut self) -> Option<(u64, u64)> {
        if self.0.is_empty() { None } else { Some(self.0.remove(0)) }
    }

    pub(super) fn events(&self) -> u64 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }
}

impl Claimant {
    /// Waits for the first word on Redis, so that a start does not take ids unclaimed which it could
    /// have claimed a moment later: until they can be, Redis is known to be away, or `most` is over.
    pub async fn first_answer(&self, most: Duration) {
        let began = self.0.clock.elapsed();
        let link = self.0.link.state();
        let is_open = || match *link.borrow() {
            State::Connecting => true,
            State::Up => self.0.key.load().is_none(),
            State::Down { .. } | State::Refused { .. } => false,
        };
        while is_open() && self.0.clock.elapsed().saturating_sub(began) < most {
            tokio::time::sleep(FIRST_LOOK_EVERY).await;
        }
    }

    /// Goes through what no reader has seen, then keeps claiming what was accepted unclaimed: from
    /// `since_seq` on what an earlier process may have. Blocks nobody.
    pub fn follow(
        &self,
        stored: Arc<dyn Stored>,
        undecided: Option<Box<dyn Undecided>>,
        since_seq: u64,
    ) {
        let end_seq = undecided.as_ref().map_or_else(|| stored.seen_seq(), |left| left.end_seq());
        self.0.ranges.lock().add(since_seq, end_seq);
        if let Some(undecided) = undecided {
            let this = self.clone();
            let runtime = tokio::runtime::Handle::current();
            tokio::task::spawn_blocking(move || this.decide(undecided, &runtime));
        }
        tokio::spawn(self.clone().claim_again(stored));
    }

    fn decide(&self, mut undecided: Box<dyn Undecided>, runtime: &tokio::runtime::Handle) {
        let began = self.0.clock.elapsed();
        let (mut decided, mut hidden) = (0, 0);
        while let Some((first_seq, batch)) = undecided.next_events() {
            let Some(Confirmed { taken, some_unasked }) =
                runtime.block_on(self.confirmed(&batch, began))
            else {
                break;
            };
            decided += batch.len();
            hidden += taken.len();
            if !taken.is_empty() {
                let seqs: Vec<u64> = taken.iter().map(|at| first_seq + u64::from(*at)).collect();
                undecided.hide(&seqs);
            }
            if some_unasked {
                break;
            }
            undecided.let_go_below(first_seq + batch.len() as u64);
        }
        undecided.let_go_for_good();
        tracing::info!(
            decided,
            hidden,
            "events that were not confirmed when the daemon ended were decided about again"
        );
    }

    /// What becomes of these events; `None` when nobody can be asked.
    async fn confirmed(&self, batch: &EventBatch, began: Duration) -> Option<Confirmed> {
        loop {
            let key = self.reached(began).await?;
            let spent = || self.0.clock.elapsed().saturating_sub(began);
            if spent() > DECIDE_WITHIN {
                return None;
            }
            match self.confirm(ids(&key, batch).into()).await {
                Ok(confirmed) if !confirmed.some_unasked || spent() > START_PATIENCE => {
                    return Some(confirmed);
                }
                Ok(_) | Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// The key to claim with, after waiting for Redis for a while from the start on.
    async fn reached(&self, began: Duration) -> Option<Fingerprinter> {
        loop {
            if let Some(key) = self.key() {
                return Some(key);
            }
            if self.0.clock.elapsed().saturating_sub(began) > START_PATIENCE {
                return None;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Claims what was accepted unclaimed, whenever there is somebody to ask.
    async fn claim_again(self, stored: Arc<dyn Stored>) {
        loop {
            if self.0.link.is_stopped() {
                return;
            }
            let full = self.0.held.lock().is_full(self.0.clock.elapsed());
            let key = self.key().filter(|_| !full);
            let range = key.as_ref().and_then(|_| self.0.ranges.lock().pop());
            let (Some(key), Some((from, to))) = (key, range) else {
                let _ = tokio::time::timeout(PAUSE, self.0.again.notified()).await;
                continue;
            };
            let reading = Arc::clone(&stored);
            let read = tokio::task::spawn_blocking(move || read(&*reading, &key, from, to)).await;
            let Ok((ids, reached)) = read else { return };
            let mut ranges = (reached, to);
            if !ids.is_empty() {
                match self.ask(Kind::Confirm, ids.into()).await {
                    Ok(others) if others.iter().all(|(_, verdict)| *verdict != Verdict::Away) => {
                        self.conflicts(&others);
                    }
                    Ok(_) | Err(_) => ranges.0 = from,
                }
            }
            self.0.ranges.lock().add(ranges.0, ranges.1);
            if ranges.0 == from {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn conflicts(&self, others: &[(u32, Verdict)]) {
        if others.is_empty() {
            return;
        }
        self.0.counts.conflicts.fetch_add(others.len() as u64, Ordering::Relaxed);
        tracing::warn!(
            ids = others.len(),
            "ids that were accepted while Redis was away were accepted by another instance too"
        );
    }
}

/// The ids of some events from `from` on, and how far they reach.
fn read(stored: &dyn Stored, key: &Fingerprinter, from: u64, to: u64) -> (Vec<u128>, u64) {
    let end = to.min(stored.seen_seq());
    if end <= from {
        return (Vec::new(), from);
    }
    let mut found = Vec::new();
    for (first_seq, batch) in stored.events(from, end) {
        found.extend(ids(key, &batch));
        if found.len() >= READ_EVENTS {
            return (found, first_seq + batch.len() as u64);
        }
    }
    (found, end)
}

fn ids(key: &Fingerprinter, batch: &EventBatch) -> Vec<u128> {
    batch.iter().map(|event| key.of(event.site(), event.event_id())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_where_they_touch_and_are_merged_where_they_are_too_many() {
        let mut ranges = Ranges::default();
        for (from, to) in [(10, 20), (40, 50), (20, 25), (5, 5), (24, 41), (60, 61)] {
            ranges.add(from, to);
        }
        assert_eq!((ranges.0.as_slice(), ranges.events()), ([(10, 50), (60, 61)].as_slice(), 41));
        assert_eq!(ranges.pop(), Some((10, 50)));
        let mut ranges = Ranges::default();
        for number in 0..2_000 {
            ranges.add(number * 10, number * 10 + 1);
        }
        assert_eq!(ranges.0.len(), RANGES_MAX);
        assert_eq!((ranges.0[0].0, ranges.0.last().unwrap().1), (0, 19_991));
    }
}
