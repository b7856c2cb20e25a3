//! The second look, for bodies the fast pass could not finish: it finds out exactly what is wrong
//! and where.
//!
//! It tells malformed JSON from JSON whose values no event can hold, and knows each item's own
//! text, so also its size. It is slower by a factor and only ever runs over one body once. Depth
//! costs it no stack.

use std::fmt;

use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::value::{DEPTH_MAX, TOO_DEEP};
use super::{DecodeError, Decoded, Report, item};
use crate::validate::{Code, Refusal, Refusals, Rules};

/// Decodes an array item by item.
pub(super) fn array(
    body: &str,
    rules: &Rules<'_>,
    out: &mut Decoded,
) -> Result<Report, DecodeError> {
    let first_row = out.batch.len();
    let mut texts = Texts { items: Vec::new(), max: rules.batch_events, full: false };
    let mut parser = serde_json::Deserializer::from_str(body);
    let result = parser.deserialize_seq(&mut texts).and_then(|()| parser.end());
    if texts.full {
        return Err(DecodeError::TooMany { max: rules.batch_events });
    }
    result.map_err(|error| DecodeError::Malformed(format!("the body is not JSON: {error}")))?;
    let mut refusals = Refusals::default();
    for (place, text) in texts.items.iter().enumerate() {
        let outcome = item(text, rules, out);
        out.push(outcome, place, &mut refusals);
    }
    let items = texts.items.len();
    Ok(Report { rows: first_row..out.batch.len(), single: false, items, refusals })
}

/// Why the fast pass could not read one object.
pub(super) fn explain(text: &str, error: &sonic_rs::Error) -> Refusal {
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        return Refusal::of_item(Code::BadJson, format!("not JSON: {error}"));
    }
    // It is JSON, so what failed is what a value says. Only the parser's own sentence tells.
    let said = error.to_string().to_lowercase();
    if said.contains(TOO_DEEP) {
        let message = format!("values are nested more than {DEPTH_MAX} deep");
        return Refusal::of_item(Code::TooDeep, message);
    }
    if said.contains("surrogate") || said.contains("unicode") {
        let message = "a text has half of a surrogate pair, which is no character";
        return Refusal::of_item(Code::BadText, message);
    }
    Refusal::of_item(Code::BadNumber, "a number is beyond what a 64-bit floating point can hold")
}

/// The text of each item of an array.
struct Texts<'de> {
    items: Vec<&'de str>,
    max: usize,
    full: bool,
}

impl<'de> Visitor<'de> for &mut Texts<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(item) = seq.next_element::<&'de RawValue>()? {
            if self.items.len() == self.max {
                self.full = true;
                return Err(A::Error::custom("too many events"));
            }
            self.items.push(item.get());
        }
        Ok(())
    }
}
