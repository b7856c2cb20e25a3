//! The bodies of a call: each decoded and paid for on its own, and in the end counted and answered
//! on its own, though their events are looked up and written together.

use pulseboard::decode::{self, DecodeError, Decoded, Report};
use pulseboard::event::EventBatch;
use pulseboard::validate::{Code, Field, Refusal, Rules};

use super::super::stats::Counters;
use super::super::{Body, IngestError, SingleVerdict, Source, Verdicts};
use crate::rate_limit::Standing;

/// When an event is worth sending again whose id another instance is taking, ms.
const CLAIM_PENDING_MS: u64 = 1_000;

/// One body of a call, decoded and paid for.
pub(super) struct Part {
    pub(super) report: Report,
    pub(super) standing: Option<Standing>,
}

/// Verdicts on the rows of a call.
pub(super) struct Known {
    pub(super) duplicates: Vec<bool>,
    /// Rows whose id another instance is taking just now.
    pub(super) pending: Vec<u32>,
}

/// Decodes one body and charges its items to the sender, refused ones too: they cost as much. What
/// the budget does not allow leaves nothing behind, and the bodies beside it go on.
pub(super) fn take_part(
    body: &Body,
    rules: &Rules<'_>,
    source: &Source,
    decoded: &mut Decoded,
) -> Result<Part, IngestError> {
    let before = decoded.mark();
    let report = decode_part(body, rules, decoded)?;
    match source.budget.charge(report.items as u32) {
        Ok(standing) => Ok(Part { report, standing }),
        Err(exceeded) => {
            decoded.roll_back(before);
            Err(IngestError::OverBudget(exceeded))
        }
    }
}

fn decode_part(
    body: &Body,
    rules: &Rules<'_>,
    decoded: &mut Decoded,
) -> Result<Report, IngestError> {
    let report = match body {
        Body::Json(bytes) => decode::json(bytes, rules, decoded),
        Body::Ndjson(bytes) => decode::ndjson(bytes, rules, decoded),
    };
    match report {
        Ok(report) if report.items == 0 => Err(IngestError::EmptyBatch),
        Ok(report) => Ok(report),
        Err(DecodeError::Malformed(what)) => Err(IngestError::Malformed(what)),
        Err(DecodeError::TooMany { max }) => Err(IngestError::TooManyEvents { max }),
    }
}

pub(super) fn single_verdict(batch: &EventBatch) -> Option<SingleVerdict> {
    let event = batch.iter().next()?;
    Some(SingleVerdict {
        event_id: event.event_id().into(),
        route: event.route().into(),
        tick: event.tick(),
        duplicate: false,
    })
}

/// Counts the verdicts of each part.
pub(super) fn conclude(
    counters: &Counters,
    parts: Vec<Result<Part, IngestError>>,
    places: &[u32],
    known: Known,
    single: Option<SingleVerdict>,
) -> Vec<Result<Verdicts, IngestError>> {
    let Known { duplicates, mut pending } = known;
    pending.sort_unstable();
    let mut single = single
        .map(|verdict| SingleVerdict { duplicate: duplicates.first() == Some(&true), ..verdict });
    if !pending.is_empty() {
        single = None;
    }
    let conclude = |Part { mut report, standing }: Part| {
        let rows = &duplicates[report.rows.clone()];
        let known = rows.iter().filter(|known| **known).count() as u64;
        let mut elsewhere = 0;
        for row in pending.iter().filter(|row| report.rows.contains(&(**row as usize))) {
            report.refusals.add(places[*row as usize] as usize, claim_pending());
            elsewhere += 1;
        }
        counters.add_duplicates(known);
        counters.add_refusals(&report.refusals);
        Verdicts {
            accepted: rows.len() as u64 - known - elsewhere,
            duplicates: known,
            rejected_total: report.refusals.total(),
            rejected: report.refusals.into_listed(),
            is_single: report.single,
            single: single.take(),
            standing,
        }
    };
    let mut conclude = conclude;
    parts.into_iter().map(|part| part.map(&mut conclude)).collect()
}

#[cold]
fn claim_pending() -> Refusal {
    let message = "another instance is just taking an event with this `eventId`: send it again in \
                   a second, and it is taken or found to be a duplicate";
    Refusal::of_field(Code::ClaimPending, Field::EventId, message).after_ms(CLAIM_PENDING_MS)
}
