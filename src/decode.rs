//! From the bytes of a call to validated events: one JSON object, an array of them, or NDJSON.
//!
//! One pass: the parser lends each text as it lies in the body, the text is checked, and copied
//! once, into the batch's arena. An item that breaks a rule is refused by itself, with its place
//! and the reason, and its neighbours are taken. An array that is not JSON is refused as a whole;
//! a line of NDJSON that is not JSON is one refused item. Nothing here makes ids, looks for
//! duplicates or reads a clock: times and rules arrive in [`Rules`]. Called by the daemon's ingest
//! on the core that read the body.

mod careful;
mod item;
mod props;
mod value;

use std::ops::Range;

use thiserror::Error;

use crate::event::EventBatch;
use crate::validate::{Code, EVENT_BYTES_MAX, Refusal, Refusals, Rules};

use item::{Items, Outcome};

/// Events as they came out of one or more calls.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// The events that were taken. `eventId` is absent where the client sent none; fingerprints
    /// are 0.
    pub batch: EventBatch,
    /// For each event of the batch its place in its own call, from 0, refused ones counted.
    pub places: Vec<u32>,
}

/// How far a [`Decoded`] had come, to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    rows: usize,
    text_len: usize,
}

/// What one call held.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its events in [`Decoded::batch`].
    pub rows: Range<usize>,
    /// Whether it was one object, not an array or lines.
    pub single: bool,
    /// Its items, refused ones counted.
    pub items: usize,
    /// Those that were refused.
    pub refusals: Refusals,
}

/// Why a whole call was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The body is not what it says it is.
    #[error("{0}")]
    Malformed(String),
    /// More items than one call may hold.
    #[error("the call holds more than {max} events")]
    TooMany {
        /// `limits.batch_events`.
        max: usize,
    },
}

impl Decoded {
    /// Room for the events of a body of this many bytes.
    pub fn for_body(bytes: usize) -> Self {
        let events = bytes / 128 + 1;
        Self { batch: EventBatch::with_capacity(events, bytes), places: Vec::with_capacity(events) }
    }

    fn push(&mut self, outcome: Outcome, place: usize, refusals: &mut Refusals) {
        match outcome {
            Outcome::Taken(row) => {
                self.batch.push(row);
                self.places.push(place as u32);
            }
            Outcome::Refused(refusal) => refusals.add(place, *refusal),
        }
    }

    /// Where it stands.
    pub fn mark(&self) -> Mark {
        Mark { rows: self.batch.len(), text_len: self.batch.text_len() }
    }

    /// Takes back everything that was added after `to`.
    pub fn roll_back(&mut self, to: Mark) {
        self.batch.retain(|index| index < to.rows);
        self.batch.truncate_text(to.text_len);
        self.places.truncate(to.rows);
    }
}

/// Decodes one object or an array of them, and adds its events to `out`; on an error none.
pub fn json(body: &[u8], rules: &Rules<'_>, out: &mut Decoded) -> Result<Report, DecodeError> {
    all_or_none(out, |out| object_or_array(body, rules, out))
}

/// Decodes one object a line, and adds its events to `out`; on an error none. Lines of nothing but
/// space are passed over.
pub fn ndjson(body: &[u8], rules: &Rules<'_>, out: &mut Decoded) -> Result<Report, DecodeError> {
    all_or_none(out, |out| lines(body, rules, out))
}

fn all_or_none(
    out: &mut Decoded,
    decode: impl FnOnce(&mut Decoded) -> Result<Report, DecodeError>,
) -> Result<Report, DecodeError> {
    let before = out.mark();
    let result = decode(out);
    if result.is_err() {
        out.roll_back(before);
    }
    result
}

fn object_or_array(
    body: &[u8],
    rules: &Rules<'_>,
    out: &mut Decoded,
) -> Result<Report, DecodeError> {
    let body = std::str::from_utf8(without_bom(body)).map_err(|error| {
        let at = error.valid_up_to();
        DecodeError::Malformed(format!("the body is not valid UTF-8 from byte {at} on"))
    })?;
    let body = body.trim_matches(JSON_SPACE);
    match body.as_bytes().first() {
        Some(b'{') => one(body, rules, out),
        Some(b'[') => array(body, rules, out),
        Some(_) => Err(DecodeError::Malformed(
            "the body is neither a JSON object nor an array of them".into(),
        )),
        None => Err(DecodeError::Malformed(
            "the body is empty: it must be a JSON object or an array of them".into(),
        )),
    }
}

fn lines(body: &[u8], rules: &Rules<'_>, out: &mut Decoded) -> Result<Report, DecodeError> {
    let body = without_bom(body);
    let first_row = out.batch.len();
    let mut refusals = Refusals::default();
    let mut items = 0;
    // Checked once for all lines; where that fails, line by line, so that only some are refused.
    let whole = std::str::from_utf8(body).ok();
    let mut from = 0;
    for end in memchr::memchr_iter(b'\n', body).chain([body.len()]) {
        let line = match whole {
            Some(text) => Ok(&text[from..end]),
            None => std::str::from_utf8(&body[from..end]),
        };
        from = end + 1;
        let outcome = match line.map(|line| line.trim_matches(JSON_SPACE)) {
            Ok("") => continue,
            Ok(line) => item(line, rules, out),
            Err(error) => {
                let at = error.valid_up_to() + 1;
                let message = format!("the line is not valid UTF-8 from byte {at} on");
                Outcome::refused(Refusal::of_item(Code::BadJson, message))
            }
        };
        if items == rules.batch_events {
            return Err(DecodeError::TooMany { max: rules.batch_events });
        }
        out.push(outcome, items, &mut refusals);
        items += 1;
    }
    Ok(Report { rows: first_row..out.batch.len(), single: false, items, refusals })
}

fn one(body: &str, rules: &Rules<'_>, out: &mut Decoded) -> Result<Report, DecodeError> {
    let first_row = out.batch.len();
    let mut refusals = Refusals::default();
    let outcome = item(body, rules, out);
    if let Outcome::Refused(refusal) = &outcome
        && refusal.code == Code::BadJson
    {
        return Err(DecodeError::Malformed(refusal.message.clone()));
    }
    out.push(outcome, 0, &mut refusals);
    Ok(Report { rows: first_row..out.batch.len(), single: true, items: 1, refusals })
}

/// One object as text.
fn item(text: &str, rules: &Rules<'_>, out: &mut Decoded) -> Outcome {
    if text.len() > rules.event_bytes.min(EVENT_BYTES_MAX) {
        return Outcome::refused(too_large(text.len(), rules));
    }
    let text_len = out.batch.text_len();
    item::decode(text, rules, &mut out.batch).unwrap_or_else(|error| {
        out.batch.truncate_text(text_len);
        Outcome::refused(careful::explain(text, &error))
    })
}

fn array(body: &str, rules: &Rules<'_>, out: &mut Decoded) -> Result<Report, DecodeError> {
    let before = out.mark();
    let mut items = Items::new(body, rules, out);
    let result = items.read(body);
    let (count, refusals, too_many) =
        (items.count, std::mem::take(&mut items.refusals), items.full);
    let exact = items.sizes_fit();
    if too_many {
        return Err(DecodeError::TooMany { max: rules.batch_events });
    }
    match result {
        Ok(()) if exact => {
            let rows = before.rows..out.batch.len();
            Ok(Report { rows, single: false, items: count, refusals })
        }
        // Not JSON, or JSON with a value this parser cannot hold, or perhaps an oversized item.
        _ => {
            out.roll_back(before);
            careful::array(body, rules, out)
        }
    }
}

#[cold]
fn too_large(bytes: usize, rules: &Rules<'_>) -> Refusal {
    let max = rules.event_bytes.min(EVENT_BYTES_MAX);
    let message = format!("the event is {bytes} bytes of JSON: at most {max}");
    Refusal::of_item(Code::EventTooLarge, message)
}

const JSON_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

#[cfg(test)]
mod tests;
