//! Which ticks and minutes changed since they were last written to the shared store.
//!
//! Nothing is noted until somebody follows. Bounded: past its bound only the sequence is noted from
//! which on changes are missing, and whoever follows reads the events from there again.

use std::collections::BTreeSet;

use pulseboard::rollup::{MINUTE, minute_of};

use crate::store::drain::{is_whole_minutes, start_of};

/// Ticks and minutes noted in all; past it, see above.
const NOTED_MAX: usize = 200_000;

/// What changed.
#[derive(Debug, Default)]
pub(in crate::aggregate) struct Changes {
    follows: bool,
    open: Noted,
    /// Given to who writes, and not written yet.
    taken: Noted,
    /// Sequence of the batch that is being counted.
    at_seq: u64,
    /// The minute noted last, so that a run of events looks it up once.
    last_minute: Option<i64>,
    missed_from: Option<u64>,
    /// What was taken since something was written was not all.
    misses: bool,
    /// Whether all that is not noted is written.
    is_whole: bool,
}

/// Ticks and minutes.
#[derive(Clone, Debug, Default)]
pub(in crate::aggregate) struct Noted {
    pub(in crate::aggregate) ticks: BTreeSet<i64>,
    pub(in crate::aggregate) minutes: BTreeSet<i64>,
}

impl Noted {
    fn len(&self) -> usize {
        self.ticks.len() + self.minutes.len()
    }

    fn merge(&mut self, mut other: Self) {
        self.ticks.append(&mut other.ticks);
        self.minutes.append(&mut other.minutes);
    }
}

impl Changes {
    /// From now on changes are noted.
    pub(in crate::aggregate) fn follow(&mut self) {
        self.follows = true;
    }

    pub(super) fn at(&mut self, first_seq: u64) {
        self.at_seq = first_seq;
    }

    /// A tick changed, and with it its minute.
    pub(super) fn tick(&mut self, tick: i64) {
        if self.has_room() {
            self.open.ticks.insert(tick);
            self.open.minutes.insert(minute_of(tick));
        }
    }

    /// A minute changed.
    pub(super) fn minute(&mut self, minute: i64) {
        if self.last_minute != Some(minute) && self.has_room() {
            self.open.minutes.insert(minute);
            self.last_minute = Some(minute);
        }
    }

    fn has_room(&mut self) -> bool {
        if !self.follows {
            return false;
        }
        let room = self.open.len() < NOTED_MAX;
        if !room {
            self.missed_from.get_or_insert(self.at_seq);
        }
        room
    }

    /// Notes what somebody who read events again found.
    pub(in crate::aggregate) fn mark(&mut self, ticks: &[i64], minutes: &[i64]) {
        self.open.ticks.extend(ticks);
        self.open.minutes.extend(minutes);
    }

    /// Takes what was noted, and the sequence from which on changes were not.
    pub(in crate::aggregate) fn take(&mut self) -> (Noted, Option<u64>) {
        self.last_minute = None;
        self.taken.merge(std::mem::take(&mut self.open));
        self.misses |= self.missed_from.is_some();
        (self.taken.clone(), self.missed_from.take())
    }

    /// What was taken is written.
    pub(in crate::aggregate) fn written(&mut self) {
        self.taken = Noted::default();
        self.is_whole = !std::mem::take(&mut self.misses);
    }

    /// The newest tick up to which everything is written; `None` while that is not known.
    pub(super) fn written_upto(&self, final_upto: i64) -> Option<i64> {
        let is_known = self.is_whole && self.missed_from.is_none();
        let noted = self.unwritten().into_iter().filter_map(|noted| noted.ticks.first()).min();
        is_known.then(|| noted.map_or(final_upto, |noted| final_upto.min(noted - 1)))
    }

    /// How many buckets of windows of these lengths what is noted and not written is in. Ticks
    /// before `oldest_tick` are in none.
    pub(in crate::aggregate) fn buckets(&self, windows_secs: &[u32], oldest_tick: i64) -> u64 {
        let starts = |secs: u32| {
            let start = move |tick: &i64| start_of(secs, *tick);
            let buckets = if is_whole_minutes(secs) {
                let minutes = self.taken.minutes.union(&self.open.minutes);
                runs(minutes.map(|minute| start(&(minute * MINUTE))))
            } else {
                let ticks = self.taken.ticks.union(&self.open.ticks);
                runs(ticks.map(start).filter(|start| *start >= oldest_tick))
            };
            buckets as u64
        };
        windows_secs.iter().map(|secs| starts(*secs)).sum()
    }

    /// Everything that is noted and not written.
    pub(in crate::aggregate) fn unwritten(&self) -> [&Noted; 2] {
        [&self.taken, &self.open]
    }
}

/// How many different ones there are of ascending numbers.
fn runs(numbers: impl Iterator<Item = i64>) -> usize {
    let mut last = None;
    numbers.filter(|number| last.replace(*number) != Some(*number)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_counts_once_whatever_changed_in_it_and_however_often() {
        let mut changes = Changes::default();
        changes.follow();
        // The last second of one minute and the first two of the next.
        for tick in [119, 120, 121] {
            changes.tick(tick);
        }
        let count = |changes: &Changes| [1, 5, 60, 300].map(|secs| changes.buckets(&[secs], 0));
        assert_eq!(count(&changes), [3, 2, 2, 1]);
        changes.take();
        changes.tick(120);
        changes.minute(9);
        assert_eq!(count(&changes), [3, 2, 3, 2], "noted again while it is being written");
        assert_eq!(changes.buckets(&[1, 60], 120), 2 + 3, "older seconds are not made any more");
        changes.written();
        assert_eq!(count(&changes), [1, 1, 2, 2]);
    }
}
