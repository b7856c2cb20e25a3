//! Reading stored events the oldest first, from block to block, at the reader's own pace.
//!
//! Takes no part in retention: a reader that is slow enough is overtaken by it, goes on behind the
//! gap and says how much it missed. Used by exports through [`super::Journal::forward`].

use std::sync::Arc;

use pulseboard::event::EventBatch;

use super::queue::Shared;
use super::reader::{ScanRange, first_run, load_in_time, part};

/// Batches of stored events, the oldest stored first; made by [`super::Journal::forward`].
///
/// Each item is the sequence of a batch's first event and the batch. Ends at what was stored when
/// it was made. Sequences are exactly within the range; times are not: a block is skipped when
/// none of its events can match, and its reader looks at each event.
pub struct Forward {
    shared: Arc<Shared>,
    range: ScanRange,
    next_seq: u64,
    end_seq: u64,
    missed: u64,
}

impl Forward {
    pub(super) fn new(shared: Arc<Shared>, range: ScanRange) -> Self {
        let end_seq = shared.handoff.end_seq();
        Self::up_to(shared, range, end_seq)
    }

    /// The same, up to `end_seq`: beyond what readers see.
    pub(super) fn up_to(shared: Arc<Shared>, range: ScanRange, end_seq: u64) -> Self {
        let end_seq = end_seq.min(range.before_seq.unwrap_or(u64::MAX));
        let oldest = shared.index.read().first_seq().unwrap_or(end_seq);
        let next_seq = range.from_seq.unwrap_or(0).max(oldest);
        Self { shared, range, next_seq, end_seq, missed: 0 }
    }

    /// Events that were there when this was made and could not be read any more: let go by
    /// retention meanwhile, or found damaged.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl Iterator for Forward {
    type Item = (u64, Arc<EventBatch>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.next_seq < self.end_seq {
            let (found, trimmed_to) = {
                let index = self.shared.index.read();
                (index.at_or_after(self.next_seq), index.trimmed_to)
            };
            let gone_to = trimmed_to.min(self.end_seq);
            self.missed += gone_to.saturating_sub(self.next_seq);
            self.next_seq = self.next_seq.max(gone_to);
            let found = found.filter(|found| found.first_seq() < self.end_seq)?;
            let (from, to) = (found.first_seq().max(self.next_seq), found.end_seq());
            let Some((from, to)) = first_run(&self.shared, from, to.min(self.end_seq)) else {
                self.next_seq = to.max(self.next_seq);
                continue;
            };
            self.next_seq = to;
            if !self.range.may_match(found.timestamp_ms(), found.arrival_ms()) {
                continue;
            }
            match load_in_time(&self.shared, &found) {
                Some(batch) => {
                    if let Some(part) = part(found.first_seq(), batch, &(from..=to - 1)) {
                        return Some(part);
                    }
                }
                None => self.missed += to - from,
            }
        }
        None
    }
}
