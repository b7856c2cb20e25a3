//! New events between dedupe and the journal, while their ids are asked for elsewhere.
//!
//! Only with claims. Holds the flight open and the ids that dedupe has taken in: a call that is
//! dropped here gives both back, and what was claimed. What is another's is left out; the rest is
//! appended, and held until its claims are confirmed.

use std::sync::Arc;

use pulseboard::event::EventBatch;

use super::claims::{Claim, Claims, UNCLAIMED};
use super::dedupe::Dedupe;
use super::flights::Flight;
use super::landing::{Landing, Way};
use super::pipeline::{INLINE_BYTES, aside, count};
use super::stats::Added;
use super::{EventLog, IngestError};

/// New events that wait for their claims.
pub(super) struct Boarding(Option<Waiting>);

/// The events, and what is to be done for them.
pub(super) struct Waiting {
    pub(super) batch: EventBatch,
    pub(super) fingerprints: Vec<u128>,
    /// What each is claimed as; [`UNCLAIMED`] where there is no need.
    pub(super) ids: Arc<[u128]>,
    /// The row of each in its departure.
    pub(super) rows: Vec<u32>,
    pub(super) flight: Flight,
    pub(super) dedupe: Arc<Dedupe>,
    pub(super) claims: Arc<dyn Claims>,
    pub(super) arrival_ms: i64,
}

/// What boarding came to.
#[derive(Default)]
pub(super) struct Boarded {
    /// What was appended, if anything, and which rows it holds.
    pub(super) landing: Option<Landing>,
    pub(super) rows: Vec<u32>,
    pub(super) added: Added,
    /// Rows of events that another instance has taken.
    pub(super) taken: Vec<u32>,
    /// Rows of events that another instance is taking.
    pub(super) pending: Vec<u32>,
}

/// How a batch is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// None of its ids needs a claim.
    Plain,
    /// Nobody could be asked.
    Unclaimed,
    /// Its ids are claimed.
    Held,
}

impl Boarding {
    pub(super) fn new(waiting: Waiting) -> Self {
        Self(Some(waiting))
    }

    /// Claims, and appends what is ours.
    pub(super) async fn board(mut self, log: &Arc<dyn EventLog>) -> Result<Boarded, IngestError> {
        let Some(waiting) = self.0.as_ref() else { return Ok(Boarded::default()) };
        let answer = if waiting.ids.iter().all(|id| *id == UNCLAIMED) {
            None
        } else {
            Some(waiting.claims.claim(Arc::clone(&waiting.ids)).await)
        };
        let Some(mut waiting) = self.0.take() else { return Ok(Boarded::default()) };
        let (how, boarded) = match answer {
            None => (How::Plain, Boarded::default()),
            Some(Err(_)) => (How::Unclaimed, Boarded::default()),
            Some(Ok(claims)) => (How::Held, waiting.leave_out(&claims)),
        };
        if waiting.batch.is_empty() {
            return Ok(boarded);
        }
        if waiting.batch.text_len() < INLINE_BYTES {
            return waiting.append(&**log, how, boarded);
        }
        let log = Arc::clone(log);
        aside(move || waiting.append(&*log, how, boarded)).await
    }
}

impl Drop for Boarding {
    fn drop(&mut self) {
        let Some(waiting) = self.0.take() else { return };
        waiting.dedupe.release(&waiting.fingerprints, waiting.arrival_ms);
        waiting.claims.abandon(waiting.ids);
        waiting.flight.fail();
    }
}

impl Waiting {
    /// Leaves out what is another's; what is only pending there is forgotten here.
    fn leave_out(&mut self, claims: &[Claim]) -> Boarded {
        let mut boarded = Boarded::default();
        let claim = |place: usize| claims.get(place).copied().unwrap_or(Claim::Ours);
        if claims.iter().all(|claim| *claim == Claim::Ours) {
            return boarded;
        }
        let mut pending = Vec::new();
        for (place, (row, print)) in self.rows.iter().zip(&self.fingerprints).enumerate() {
            match claim(place) {
                Claim::Ours => {}
                Claim::Taken => boarded.taken.push(*row),
                Claim::Pending => {
                    boarded.pending.push(*row);
                    pending.push(*print);
                }
            }
        }
        if !pending.is_empty() {
            self.dedupe.release(&pending, self.arrival_ms);
            self.flight.will_fail();
        }
        let ours = |place: usize| claim(place) == Claim::Ours;
        self.batch.retain(ours);
        keep(&mut self.fingerprints, ours);
        let kept = self.ids.iter().enumerate().filter(|(place, _)| ours(*place));
        self.ids = kept.map(|(_, id)| *id).collect();
        keep(&mut self.rows, ours);
        boarded
    }

    fn append(
        self,
        log: &dyn EventLog,
        how: How,
        mut boarded: Boarded,
    ) -> Result<Boarded, IngestError> {
        let Self { batch, fingerprints, ids, rows, flight, dedupe, claims, arrival_ms } = self;
        let added = count(&batch);
        let way = match how {
            How::Plain => log.append(batch).map(Way::Plain),
            How::Unclaimed => {
                let appended = log.append_unclaimed(batch);
                appended.map(|durable| Way::Unclaimed(durable, Arc::clone(&claims)))
            }
            How::Held => log
                .append_held(batch)
                .map(|held| Way::Held(held, Arc::clone(&claims), Arc::clone(&ids))),
        };
        match way {
            Ok(way) => {
                boarded.landing = Some(Landing::new(way, flight, dedupe, fingerprints, arrival_ms));
                (boarded.rows, boarded.added) = (rows, added);
                Ok(boarded)
            }
            Err(error) => {
                dedupe.release(&fingerprints, arrival_ms);
                if how == How::Held {
                    claims.abandon(ids);
                }
                flight.fail();
                Err(error.into())
            }
        }
    }
}

fn keep<T>(list: &mut Vec<T>, wanted: impl Fn(usize) -> bool) {
    let mut place = 0;
    list.retain(|_| {
        place += 1;
        wanted(place - 1)
    });
}
