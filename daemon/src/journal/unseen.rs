//! What an earlier process stored and readers had not seen when it ended: gone through in order and
//! let go bit by bit, while the daemon already runs.
//!
//! Made once, at start, for whoever decides about those events again. What is appended meanwhile
//! waits behind it.

use std::sync::Arc;

use pulseboard::event::EventBatch;

use super::forward::Forward;
use super::holds::Hold;
use super::queue::Shared;
use super::reader::ScanRange;

/// Stored events that no reader sees yet, the oldest first. Dropping it lets all of them go.
pub struct Unseen {
    hold: Hold,
    events: Forward,
}

impl Unseen {
    pub(super) fn new(shared: &Arc<Shared>, from_seq: u64) -> Option<Self> {
        let end_seq = shared.handoff.hold_back(from_seq)?;
        let range = ScanRange { from_seq: Some(from_seq), ..ScanRange::default() };
        Some(Self {
            hold: Hold::new(shared, from_seq, end_seq),
            events: Forward::up_to(Arc::clone(shared), range, end_seq),
        })
    }

    /// The next events, and the sequence of the first of them; `None` after the last. Reads the
    /// disk.
    pub fn next_events(&mut self) -> Option<(u64, Arc<EventBatch>)> {
        self.events.next()
    }

    /// Lets readers see what lies below `seq`.
    pub fn let_go_below(&mut self, seq: u64) {
        self.hold.let_go_below(seq);
    }

    /// Lets readers see what is left: no start decides about it again.
    pub fn let_go_for_good(self) {
        if self.hold.first_seq() < self.hold.end_seq() {
            self.hold.release(true);
        }
    }

    /// The sequence after the last of them.
    pub fn end_seq(&self) -> u64 {
        self.hold.end_seq()
    }
}
