//! Which ticks of the last hour may lack what other instances counted: what is asked of the shared
//! store once it has that, and asked again when an instance had not written yet.
//!
//! At most an hour of ticks. Pure.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Ticks that are read at a time, at least.
const CHUNK_SECS: i64 = 300;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Unfilled {
    /// To be read.
    due: BTreeSet<i64>,
    /// Read, and to be read again when everybody has written them.
    later: BTreeSet<i64>,
}

impl Unfilled {
    /// These ticks are to be read.
    pub(super) fn mark(&mut self, ticks: RangeInclusive<i64>) {
        for tick in ticks {
            self.later.remove(&tick);
            self.due.insert(tick);
        }
    }

    /// Ticks before that one are no longer shown.
    pub(super) fn forget_before(&mut self, tick: i64) {
        self.due = self.due.split_off(&tick);
        self.later = self.later.split_off(&tick);
    }

    /// The newest ticks up to `upto` to be read, at least `longest` at a time. Up to `written` every
    /// instance has written what it counted.
    pub(super) fn next(
        &mut self,
        upto: i64,
        written: i64,
        longest: i64,
    ) -> Option<RangeInclusive<i64>> {
        let rest = self.later.split_off(&(written.saturating_add(1)));
        self.due.append(&mut std::mem::replace(&mut self.later, rest));
        let last = *self.due.range(..=upto).next_back()?;
        let first = *self.due.range(last - CHUNK_SECS.max(longest) + 1..=last).next()?;
        Some(first..=last)
    }

    /// These were read, when every instance had written what it counted up to `written`.
    pub(super) fn read(&mut self, ticks: RangeInclusive<i64>, written: i64) {
        for tick in ticks {
            if self.due.remove(&tick) && tick > written {
                self.later.insert(tick);
            }
        }
    }

    /// How many ticks are to be read, now or later.
    pub(super) fn len(&self) -> usize {
        self.due.len() + self.later.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_read_first_and_each_once_unless_somebody_had_not_written_it() {
        let mut unfilled = Unfilled::default();
        unfilled.mark(1_000..=1_700);
        assert_eq!(unfilled.next(1_650, 1_500, 60), Some(1_351..=1_650));
        unfilled.read(1_351..=1_650, 1_500);
        assert_eq!(unfilled.next(1_650, 1_500, 60), Some(1_051..=1_350));
        unfilled.read(1_051..=1_350, 1_500);
        assert_eq!(unfilled.next(1_650, 1_500, 60), Some(1_000..=1_050));
        unfilled.read(1_000..=1_050, 1_500);
        assert_eq!(unfilled.next(1_650, 1_500, 60), None);
        assert_eq!(unfilled.next(1_650, 1_600, 60), Some(1_501..=1_600));
        assert_eq!(unfilled.len(), 200);
        unfilled.forget_before(1_640);
        assert_eq!(unfilled.len(), 61);
    }

    #[test]
    fn a_long_window_is_read_in_long_chunks() {
        let mut unfilled = Unfilled::default();
        unfilled.mark(0..=5_000);
        assert_eq!(unfilled.next(5_000, 5_000, 3_600), Some(1_401..=5_000));
    }
}
