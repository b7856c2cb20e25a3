//! Buckets that are counted from the stored events instead of what was counted live: those in which
//! the store had an event already, of another instance or from before our memory of ids, and those
//! this instance did not count from their beginning.
//!
//! A bucket waits until every event counted when it was marked is drained. One that is marked again
//! meanwhile waits anew after its turn. Kept over restarts with the drain's position; bounded: when
//! full, draining waits until some are counted, unless all of them wait for events to be drained.

use std::collections::BTreeMap;
use std::time::Duration;

/// Buckets that wait at a time, about: one batch more may come on top.
const WAITING_MAX: usize = 10_000;
/// A bucket that goes on changing is counted anew this often at most.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Its turn comes when events up to this are drained.
    first_need: u64,
    /// It is right when events up to this are counted.
    last_need: u64,
    not_before: Duration,
}

/// Those that wait.
#[derive(Debug, Default)]
pub(super) struct Recounts(BTreeMap<(u32, i64), Waiting>);

impl Recounts {
    pub(super) fn of(buckets: &[(u32, i64)], need: u64) -> Self {
        let mut recounts = Self::default();
        for bucket in buckets {
            recounts.mark(*bucket, need);
        }
        recounts
    }

    /// Has a bucket counted from the stored events once those up to `need` are there.
    pub(super) fn mark(&mut self, bucket: (u32, i64), need: u64) {
        let new = Waiting { first_need: need, last_need: need, not_before: Duration::ZERO };
        let waiting = self.0.entry(bucket).or_insert(new);
        waiting.last_need = waiting.last_need.max(need);
    }

    /// Whether there are as many as may wait, and some can be counted with what is drained.
    /// Where none can, draining must go on, or none ever will be.
    pub(super) fn holds_up(&self, drained_seq: u64) -> bool {
        self.0.len() >= WAITING_MAX
            && self.0.values().any(|waiting| waiting.first_need <= drained_seq)
    }

    pub(super) fn contains(&self, bucket: (u32, i64)) -> bool {
        self.0.contains_key(&bucket)
    }

    pub(super) fn list(&self) -> Vec<(u32, i64)> {
        self.0.keys().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// One whose turn it is.
    pub(super) fn next(&self, drained_seq: u64, now: Duration) -> Option<(u32, i64)> {
        let ready =
            |waiting: &Waiting| waiting.first_need <= drained_seq && waiting.not_before <= now;
        self.0.iter().find(|(_, waiting)| ready(waiting)).map(|(bucket, _)| *bucket)
    }

    /// A bucket was counted from events up to `upto_seq`, and that is durable.
    pub(super) fn counted(&mut self, bucket: (u32, i64), upto_seq: u64, now: Duration) {
        let Some(waiting) = self.0.get_mut(&bucket) else { return };
        if waiting.last_need <= upto_seq {
            self.0.remove(&bucket);
        } else {
            waiting.first_need = waiting.last_need;
            waiting.not_before = now + AGAIN_AFTER;
        }
    }

    /// A bucket could not be counted: its turn comes again later.
    pub(super) fn put_off(&mut self, bucket: (u32, i64), now: Duration) {
        if let Some(waiting) = self.0.get_mut(&bucket) {
            waiting.not_before = now + AGAIN_AFTER;
        }
    }

    /// A bucket is left as it is.
    pub(super) fn give_up(&mut self, bucket: (u32, i64)) {
        self.0.remove(&bucket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn a_bucket_waits_until_what_was_counted_is_drained() {
        let mut recounts = Recounts::default();
        recounts.mark((60, 120), 10);
        assert_eq!(recounts.next(9, NOW), None);
        assert_eq!(recounts.next(10, NOW), Some((60, 120)));
        recounts.counted((60, 120), 10, NOW);
        assert_eq!(recounts.len(), 0);
    }

    #[test]
    fn draining_is_held_up_only_while_some_can_be_counted() {
        let mut recounts = Recounts::default();
        for minute in 0..WAITING_MAX as i64 {
            recounts.mark((60, minute * 60), 1_000);
        }
        assert!(!recounts.holds_up(999), "all of them wait for the drain");
        assert!(recounts.holds_up(1_000));
        recounts.counted((60, 0), 1_000, NOW);
        assert!(!recounts.holds_up(1_000), "there is room");
    }

    #[test]
    fn a_bucket_that_is_marked_all_the_time_has_its_turn_all_the_same() {
        let mut recounts = Recounts::default();
        recounts.mark((60, 120), 10);
        recounts.mark((60, 120), 30);
        assert_eq!(recounts.next(12, NOW), Some((60, 120)));
        recounts.counted((60, 120), 12, NOW);
        assert_eq!(recounts.next(29, NOW + AGAIN_AFTER), None);
        assert_eq!(recounts.next(30, NOW), None);
        assert_eq!(recounts.next(30, NOW + AGAIN_AFTER), Some((60, 120)));
        recounts.counted((60, 120), 30, NOW + AGAIN_AFTER);
        assert_eq!(recounts.len(), 0);
    }
}
