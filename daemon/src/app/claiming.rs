//! Claims on ids, put together: the cluster's way to Redis, the journal's events that are to be
//! claimed again, and ingest. Nothing where this instance is alone.

use std::sync::Arc;
use std::time::Duration;

use pulseboard::event::EventBatch;

use super::node::Node;
use crate::clock::Clock;
use crate::cluster::claims::{Stored, Undecided};
use crate::cluster::{ClaimSettings, Claimant, Cluster};
use crate::config::Config;
use crate::journal::{Journal, ScanRange, Unseen};

/// A start waits so long for the first word on Redis: it is there within a second all the same.
pub(super) const FIRST_ANSWER_WITHIN: Duration = Duration::from_millis(400);
/// Events of an earlier process that are claimed once more, in case it could not: at most these
/// newest ones.
const EARLIER_EVENTS: u64 = 1_000_000;
/// As many of the newest are claimed once more in any case: half a second of Redis's time.
const NEWEST_EVENTS: u64 = 65_536;

/// Begins to claim.
pub(super) fn open(cluster: &Cluster, node: &Node, config: &Config, clock: &Clock) -> Claimant {
    let settings = ClaimSettings {
        node: node.id.to_string(),
        horizon: config.dedupe.horizon,
        ids_max: config.cluster.claims_max as u64,
    };
    Claimant::open(cluster.link().clone(), &settings, clock.clone())
}

/// What is to be claimed again of what is stored.
pub(super) struct Again {
    journal: Journal,
    left: Option<Box<dyn Undecided>>,
    since_seq: u64,
}

/// Holds back what no reader had seen when the process before ended; for a start, before the first
/// reader. Readers had seen everything below `seen_seq`, and counted up to `applied_seq` for good.
pub(super) fn again(journal: &Journal, seen_seq: u64, applied_seq: u64) -> Again {
    let end_seq = journal.next_seq();
    let uncounted_seq = (applied_seq + 1).max(end_seq.saturating_sub(EARLIER_EVENTS));
    let since_seq = uncounted_seq.min(end_seq.saturating_sub(NEWEST_EVENTS)).max(1);
    let left = journal.unseen_from(seen_seq.max(applied_seq + 1)).map(|unseen| {
        let left: Box<dyn Undecided> = Box::new(Left { unseen, journal: journal.clone() });
        left
    });
    Again { journal: journal.clone(), left, since_seq }
}

impl Again {
    /// Has it claimed, beside everything else.
    pub(super) fn follow(self, claims: &Claimant) {
        claims.follow(Arc::new(Kept(self.journal)), self.left, self.since_seq);
    }
}

/// What no reader has seen, as claims go through it.
struct Left {
    unseen: Unseen,
    journal: Journal,
}

impl Undecided for Left {
    fn next_events(&mut self) -> Option<(u64, Arc<EventBatch>)> {
        self.unseen.next_events()
    }

    fn hide(&mut self, seqs: &[u64]) {
        if let Err(error) = self.journal.tombstone(seqs) {
            tracing::error!(%error, "events that another instance took stay in the journal");
        }
    }

    fn let_go_below(&mut self, seq: u64) {
        self.unseen.let_go_below(seq);
    }

    fn let_go_for_good(self: Box<Self>) {
        self.unseen.let_go_for_good();
    }

    fn end_seq(&self) -> u64 {
        self.unseen.end_seq()
    }
}

/// The journal, as claims read it again.
struct Kept(Journal);

impl Stored for Kept {
    fn events(
        &self,
        from_seq: u64,
        to_seq: u64,
    ) -> Box<dyn Iterator<Item = (u64, Arc<EventBatch>)> + '_> {
        Box::new(self.0.forward(ScanRange {
            from_seq: Some(from_seq),
            before_seq: Some(to_seq),
            ..ScanRange::default()
        }))
    }

    fn seen_seq(&self) -> u64 {
        self.0.next_seq()
    }
}
