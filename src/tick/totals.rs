//! What is counted of all events together.

use super::{Names, Sample, TypeCounts};
use crate::sketch::{Distinct, LatencyBins};

/// Counts of all events of a tick, or of a minute.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Events.
    pub events: u64,
    /// Of these, errors.
    pub errors: u64,
    /// Of these, by status class: `1xx` to `5xx`.
    pub classes: [u64; 5],
    /// Of these, by type.
    pub types: TypeCounts,
    /// Whom active users counts.
    pub users: Distinct,
    /// Distinct sessionId.
    pub sessions: Distinct,
    /// Latencies.
    pub latency: LatencyBins,
    /// Events that arrived in this time and were too late for their own.
    pub late: u64,
    /// Events from clocks ahead of ours.
    pub skewed: u64,
    /// Time of the newest event, Unix ms.
    pub last_event_ms: Option<i64>,
}

impl Totals {
    /// Counts an event. Whether it was counted under its own type.
    pub fn add(&mut self, sample: &Sample<'_>, names: &mut Names) -> bool {
        self.events += 1;
        self.errors += u64::from(sample.is_error);
        if let Some(class) = sample.class {
            self.classes[usize::from(class)] += 1;
        }
        let admitted = self.types.add(sample.kind_hash, sample.kind, names);
        if let Some(actor) = sample.actor {
            self.users.add(actor);
        }
        if let Some(session) = sample.session {
            self.sessions.add(session);
        }
        if let Some((bin, ms)) = sample.latency {
            self.latency.add_bin(bin, ms);
        }
        self.skewed += u64::from(sample.is_skewed);
        self.last_event_ms = self.last_event_ms.max(Some(sample.at_ms));
        admitted
    }

    /// Adds another.
    pub fn merge(&mut self, other: &Self) {
        self.merge_counts(other);
        self.types.merge(&other.types);
        self.users.merge(&other.users);
        self.sessions.merge(&other.sessions);
    }

    /// Adds another without its types and distinct counts: what a history point needs, these being
    /// unioned elsewhere.
    pub(crate) fn merge_counts(&mut self, other: &Self) {
        self.events += other.events;
        self.errors += other.errors;
        self.classes.iter_mut().zip(other.classes).for_each(|(mine, theirs)| *mine += theirs);
        self.latency.merge(&other.latency);
        self.late += other.late;
        self.skewed += other.skewed;
        self.last_event_ms = self.last_event_ms.max(other.last_event_ms);
    }
}

/// Equal when every number is; of the distinct counts, the counts.
impl PartialEq for Totals {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |t: &Self| {
            let distinct = (t.users.count(), t.sessions.count());
            (t.events, t.errors, t.classes, distinct, t.late, t.skewed, t.last_event_ms)
        };
        numbers(self) == numbers(other)
            && self.types == other.types
            && self.latency == other.latency
    }
}
