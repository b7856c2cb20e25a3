//! The stages between a body and its verdicts, in order, for one call.
//!
//! Everything up to the journal's queue happens at once on one core, without an await: decode,
//! charge, ids, fingerprints, dedupe, append. With other instances, new ids are claimed before the
//! append ([`super::boarding`]). Then the call waits for its sync and the confirmation, and, when
//! it held duplicates of events that other calls may still be writing, for theirs. A call that is
//! dropped while it waits changes nothing about what lands.

mod parts;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use pulseboard::decode::Decoded;
use pulseboard::event::{Class, EventBatch, EventRef};
use pulseboard::limits;
use pulseboard::route::Normaliser;
use pulseboard::validate::Rules;

use parts::{Known, Part, single_verdict, take_part};

use super::boarding::{Boarding, Waiting};
use super::claims::{Claims, UNCLAIMED};
use super::dedupe::Dedupe;
use super::fingerprint::Fingerprinter;
use super::flights::{Flights, Others};
use super::ids::{self, Ids};
use super::inflight::{Inflight, Share};
use super::landing::{Landing, Way};
use super::stats::{Added, Counters, Stats};
use super::{Body, EventLog, IngestError, SingleVerdict, Source, Verdicts};
use crate::clock::Clock;

/// Bodies up to this many bytes are decoded where they were read; larger ones, which take over a
/// millisecond, on a thread that no connection waits for.
pub(super) const INLINE_BYTES: usize = 512 * 1024;
/// How often a call looks again at duplicates of events that then failed to be written.
const LOOKS_MAX: usize = 8;

/// Bounds that may change while the daemon runs.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `limits.event_bytes`.
    pub event_bytes: usize,
    /// `limits.batch_events`.
    pub batch_events: usize,
    /// `limits.inflight_bytes`: bytes of bodies being worked on in all; past it, `busy`.
    pub inflight_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes: limits::EVENT_BYTES,
            batch_events: limits::BATCH_EVENTS,
            inflight_bytes: 128 * 1024 * 1024,
        }
    }
}

/// What an operator may set.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Bounds at the start.
    pub limits: Limits,
    /// `import.max_age`, ms; `None`: any age.
    pub import_age_ms_max: Option<i64>,
    /// `routes.normalise` and `routes.patterns`.
    pub routes: Normaliser,
    /// Who keeps the claims on ids of all instances; none: this one is alone.
    pub claims: Option<Arc<dyn Claims>>,
}

/// The way in for events. Cheap to clone.
#[derive(Clone)]
pub struct Ingest(Arc<Inner>);

struct Inner {
    clock: Clock,
    log: Arc<dyn EventLog>,
    dedupe: Arc<Dedupe>,
    flights: Arc<Flights>,
    fingerprints: Fingerprinter,
    ids: Ids,
    limits: ArcSwap<Limits>,
    import_age_ms_max: Option<i64>,
    routes: Normaliser,
    claims: Option<Arc<dyn Claims>>,
    counters: Counters,
    inflight: Inflight,
    ack_seconds: metrics::Histogram,
}

/// A call up to the journal's queue, or to what is asked of others before.
struct Departure {
    arrival_ms: i64,
    parts: Vec<Result<Part, IngestError>>,
    /// By row as decoded: its place in its part.
    places: Vec<u32>,
    look: Look,
    /// For a body of one object.
    single: Option<SingleVerdict>,
}

/// Duplicates to be looked at again.
struct Unsure {
    others: Others,
    batch: EventBatch,
    /// The row of each in its departure.
    rows: Vec<u32>,
}

/// What one look at the ids and one append came to.
#[derive(Default)]
struct Look {
    /// By row as decoded.
    duplicates: Vec<bool>,
    /// Rows that look like duplicates, where another call may be writing their first.
    unsure: Option<Unsure>,
    /// New events whose ids are to be claimed before they are appended.
    boarding: Option<Boarding>,
    /// New events that were appended.
    landing: Option<Landing>,
    added: Added,
}

impl Ingest {
    /// Puts the stages together. The recorder of metrics must have been installed before.
    pub fn new(
        clock: Clock,
        log: Arc<dyn EventLog>,
        dedupe: Arc<Dedupe>,
        fingerprints: Fingerprinter,
        options: Options,
    ) -> Self {
        let Options { limits, import_age_ms_max, routes, claims } = options;
        let inflight = Inflight::new(limits.inflight_bytes);
        Self(Arc::new(Inner {
            clock,
            log,
            dedupe,
            flights: Arc::default(),
            fingerprints,
            ids: Ids::new(),
            limits: ArcSwap::from_pointee(limits),
            import_age_ms_max,
            routes,
            claims,
            counters: Counters::default(),
            inflight,
            ack_seconds: metrics::histogram!("pulseboard_ingest_ack_seconds"),
        }))
    }

    /// Puts other bounds in place, from the next call on.
    pub fn reload(&self, limits: Limits) {
        self.0.inflight.bound(limits.inflight_bytes);
        self.0.limits.store(Arc::new(limits));
    }

    /// A share of the bytes that may be worked on, for a body that is still being read.
    pub fn share(&self) -> Share {
        self.0.inflight.share()
    }

    /// Takes the events of one call. Returns when what was accepted is on disk.
    pub async fn submit(&self, body: Body, source: &Source) -> Result<Verdicts, IngestError> {
        let mut share = self.share();
        share.grow(body.len())?;
        self.submit_read(body, source, share).await
    }

    /// The same for a body whose bytes `share` stands for.
    pub async fn submit_read(
        &self,
        body: Body,
        source: &Source,
        share: Share,
    ) -> Result<Verdicts, IngestError> {
        let started = self.0.clock.elapsed();
        let departure = if body.len() <= INLINE_BYTES {
            self.0.depart(&[body], source)?
        } else {
            let (inner, source) = (Arc::clone(&self.0), source.clone());
            aside(move || inner.depart(&[body], &source)).await?
        };
        let mut verdicts = self.0.arrive(departure).await?;
        drop(share);
        self.0.ack_seconds.record(self.0.clock.elapsed().saturating_sub(started).as_secs_f64());
        // One body, one part.
        verdicts.pop().unwrap_or(Err(IngestError::EmptyBatch))
    }

    /// Takes the events of several publishes, each a JSON array, in one append. Answers for each
    /// in order, when what was accepted of all of them is on disk.
    pub async fn submit_many(
        &self,
        publishes: Vec<Bytes>,
        source: &Source,
    ) -> Vec<Result<Verdicts, IngestError>> {
        let count = publishes.len();
        let verdicts = match self.try_submit_many(publishes, source).await {
            Ok(verdicts) => verdicts,
            Err(error) => vec![Err(error); count],
        };
        for error in verdicts.iter().filter_map(|verdict| verdict.as_ref().err()) {
            metrics::counter!("pulseboard_publishes_refused_total", "code" => error.code())
                .increment(1);
        }
        verdicts
    }

    async fn try_submit_many(
        &self,
        publishes: Vec<Bytes>,
        source: &Source,
    ) -> Result<Vec<Result<Verdicts, IngestError>>, IngestError> {
        let started = self.0.clock.elapsed();
        let bodies: Vec<Body> = publishes.into_iter().map(Body::Json).collect();
        let bytes = bodies.iter().map(Body::len).sum();
        let mut share = self.share();
        share.grow(bytes)?;
        let departure = if bytes <= INLINE_BYTES {
            self.0.depart(&bodies, source)?
        } else {
            let (inner, source) = (Arc::clone(&self.0), source.clone());
            aside(move || inner.depart(&bodies, &source)).await?
        };
        let verdicts = self.0.arrive(departure).await?;
        self.0.ack_seconds.record(self.0.clock.elapsed().saturating_sub(started).as_secs_f64());
        Ok(verdicts)
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        let inner = &self.0;
        Stats {
            in_flight: inner.flights.len(),
            inflight_bytes: inner.inflight.used(),
            dedupe_ids: inner.dedupe.ids(),
            dedupe_bytes: inner.dedupe.bytes(),
            dedupe_horizon_secs: (inner.dedupe.horizon_ms(inner.clock.now_ms()) / 1_000) as u64,
            ..inner.counters.read()
        }
    }
}

/// Runs long work on a thread of its own. It is carried through even when nobody waits for it.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IngestError> + Send + 'static,
) -> Result<T, IngestError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(IngestError::Closed),
    }
}

impl Inner {
    /// Everything up to the journal's queue.
    fn depart(&self, bodies: &[Body], source: &Source) -> Result<Departure, IngestError> {
        let arrival_ms = self.clock.now_ms();
        let limits = **self.limits.load();
        let rules = Rules {
            arrival_ms,
            horizon_ms: self.dedupe.horizon_ms(arrival_ms),
            import: source.import,
            import_age_ms_max: self.import_age_ms_max,
            site: source.grant.site.as_deref(),
            routes: &self.routes,
            event_bytes: limits.event_bytes,
            batch_events: limits.batch_events,
        };
        let mut decoded = Decoded::for_body(bodies.iter().map(Body::len).sum());
        let parts: Vec<_> =
            bodies.iter().map(|body| take_part(body, &rules, source, &mut decoded)).collect();
        let made = self.complete(&mut decoded, source, arrival_ms);
        let single = match parts.as_slice() {
            [Ok(part)] if part.report.single => single_verdict(&decoded.batch),
            _ => None,
        };
        let look = self.look(decoded.batch, arrival_ms, &made)?;
        Ok(Departure { arrival_ms, parts, places: decoded.places, look, single })
    }

    /// Gives every event its id and fingerprint. Returns the rows whose id was made here, from
    /// chance; where that matters to nobody, none.
    fn complete(&self, decoded: &mut Decoded, source: &Source, arrival_ms: i64) -> Vec<u32> {
        let batch = &mut decoded.batch;
        let mut from_chance = Vec::new();
        let nameless = batch.rows().iter().filter(|row| row.event_id.len == 0).count();
        if nameless > 0 {
            let made = self.ids.reserve(arrival_ms, nameless as u64);
            let mut next = 0;
            for index in 0..batch.len() {
                if batch.rows()[index].event_id.len > 0 {
                    continue;
                }
                let id = if let Some(key) = &source.idempotency_key {
                    let site = batch.get(index).site();
                    ids::derived(site, &source.grant.subject, key, decoded.places[index])
                } else {
                    if self.claims.is_some() {
                        from_chance.push(index as u32);
                    }
                    made.nth(next)
                };
                next += 1;
                batch.rows_mut()[index].event_id = batch.add_text(id.as_str());
            }
        }
        for index in 0..batch.len() {
            let event = batch.get(index);
            batch.rows_mut()[index].fingerprint =
                self.fingerprints.of(event.site(), event.event_id());
        }
        from_chance
    }

    /// Looks each event up, and appends the new ones or has them wait for their claims. `made` are
    /// the rows with an id of our own.
    fn look(
        &self,
        mut batch: EventBatch,
        arrival_ms: i64,
        made: &[u32],
    ) -> Result<Look, IngestError> {
        let mut duplicates = Vec::new();
        if batch.is_empty() {
            return Ok(Look::default());
        }
        let mut fingerprints: Vec<u128> = batch.rows().iter().map(|row| row.fingerprint).collect();
        let flight = self.flights.open();
        let new = self
            .dedupe
            .check_and_insert(&fingerprints, arrival_ms, &mut duplicates)
            .map_err(|_| IngestError::DedupeFull)?;
        let mut unsure = None;
        if new < batch.len() {
            unsure = flight.others().map(|others| Unsure::of(others, &batch, &duplicates));
            batch.retain(|index| !duplicates[index]);
            let mut known = duplicates.iter();
            fingerprints.retain(|_| known.next() == Some(&false));
        }
        if new == 0 {
            return Ok(Look { duplicates, unsure, ..Look::default() });
        }
        let dedupe = Arc::clone(&self.dedupe);
        if let Some(claims) = &self.claims {
            let rows: Vec<u32> = (0_u32..)
                .zip(&duplicates)
                .filter(|(_, known)| !**known)
                .map(|(row, _)| row)
                .collect();
            let claims = Arc::clone(claims);
            let ids = claim_ids(&*claims, &batch, &rows, made);
            let waiting =
                Waiting { batch, fingerprints, ids, rows, flight, dedupe, claims, arrival_ms };
            let boarding = Some(Boarding::new(waiting));
            return Ok(Look { duplicates, unsure, boarding, ..Look::default() });
        }
        let added = count(&batch);
        match self.log.append(batch) {
            Ok(durable) => {
                let way = Way::Plain(durable);
                let landing = Some(Landing::new(way, flight, dedupe, fingerprints, arrival_ms));
                Ok(Look { duplicates, unsure, landing, added, ..Look::default() })
            }
            Err(error) => {
                self.dedupe.release(&fingerprints, arrival_ms);
                flight.fail();
                Err(error.into())
            }
        }
    }

    /// Waits until the verdicts are certain.
    async fn arrive(
        &self,
        departure: Departure,
    ) -> Result<Vec<Result<Verdicts, IngestError>>, IngestError> {
        let Departure { arrival_ms, parts, places, mut look, single } = departure;
        let pending = self.carry(&mut look).await?;
        let Look { duplicates, mut unsure, .. } = look;
        let mut known = Known { duplicates, pending };
        let mut looks = 0;
        while let Some(Unsure { others, batch, rows }) = unsure {
            if self.flights.settled(others).await {
                break;
            }
            looks += 1;
            if looks == LOOKS_MAX {
                return Err(IngestError::Busy);
            }
            let mut look = self.look(batch, arrival_ms, &[])?;
            let pending = self.carry(&mut look).await?;
            known.pending.extend(pending.iter().map(|row| rows[*row as usize]));
            for (row, duplicate) in rows.iter().zip(&look.duplicates) {
                known.duplicates[*row as usize] = *duplicate;
            }
            unsure = look.unsure.map(|next| Unsure {
                rows: next.rows.iter().map(|row| rows[*row as usize]).collect(),
                ..next
            });
        }
        Ok(parts::conclude(&self.counters, parts, &places, known, single))
    }

    /// Sees the new events of a look through to their acknowledgement. What was taken elsewhere
    /// becomes a duplicate; returns the rows whose id is being taken there.
    async fn carry(&self, look: &mut Look) -> Result<Vec<u32>, IngestError> {
        let (mut rows, mut pending) = (Vec::new(), Vec::new());
        if let Some(boarding) = look.boarding.take() {
            let boarded = boarding.board(&self.log).await?;
            for row in boarded.taken {
                look.duplicates[row as usize] = true;
            }
            (rows, pending) = (boarded.rows, boarded.pending);
            (look.landing, look.added) = (boarded.landing, boarded.added);
        }
        if let Some(landing) = look.landing.take() {
            let taken = landing.land().await?;
            for place in &taken {
                look.duplicates[rows[*place as usize] as usize] = true;
            }
            self.counters.add(look.added.less(taken.len() as u64));
        }
        Ok(pending)
    }
}

impl Unsure {
    fn of(others: Others, batch: &EventBatch, duplicates: &[bool]) -> Self {
        let rows: Vec<u32> =
            (0_u32..).zip(duplicates).filter(|(_, known)| **known).map(|(row, _)| row).collect();
        let mut held = EventBatch::with_capacity(rows.len(), 0);
        for row in &rows {
            held.push_from(batch, *row as usize);
        }
        Self { others, batch: held, rows }
    }
}

/// What the new events of a batch are claimed as. `rows` are their rows, `made` those with an id
/// of our own, both ascending.
fn claim_ids(claims: &dyn Claims, batch: &EventBatch, rows: &[u32], made: &[u32]) -> Arc<[u128]> {
    // Without a key nobody can be asked, and any id will do to find that out.
    let key = claims.key();
    let id = |(event, row): (EventRef<'_>, &u32)| match &key {
        _ if made.binary_search(row).is_ok() => UNCLAIMED,
        Some(key) => key.of(event.site(), event.event_id()),
        None => event.row().fingerprint,
    };
    batch.iter().zip(rows).map(id).collect()
}

pub(super) fn count(batch: &EventBatch) -> Added {
    let mut added = Added { accepted: batch.len() as u64, late: 0, skewed: 0 };
    for event in batch.iter() {
        added.late += u64::from(event.row().class == Class::Late);
        added.skewed += u64::from(event.row().class == Class::Live && event.is_skewed());
    }
    added
}

#[cfg(test)]
mod tests;
