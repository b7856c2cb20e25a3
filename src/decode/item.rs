//! One event object, read straight into a batch; and an array of them in the same pass.
//!
//! The first thing wrong with an object is what it is refused for, in the order of its text; what
//! is missing comes last. The rest of a refused object is still read, so that malformed JSON is
//! noticed and the next item of an array is found.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::Decoded;
use super::value::{Skip, Value, kind_of_number};
use crate::event::{EventBatch, Row, Span};
use crate::validate::{
    self, Code, DEFAULT_SITE, EVENT_BYTES_MAX, Field, Refusal, Refusals, Rules, Time,
};

/// What became of one item.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A row whose text is in the batch.
    Taken(Row),
    /// The batch is as it was before.
    Refused(Box<Refusal>),
}

impl Outcome {
    #[cold]
    pub(super) fn refused(refusal: Refusal) -> Self {
        Outcome::Refused(Box::new(refusal))
    }
}

/// Reads one object and nothing after it. On an error the batch holds text to be taken back.
pub(super) fn decode(
    text: &str,
    rules: &Rules<'_>,
    batch: &mut EventBatch,
) -> Result<Outcome, sonic_rs::Error> {
    let mut parser = sonic_rs::Deserializer::from_str(text);
    let mut key_at = 0;
    let outcome = ItemSeed { rules, batch, key_at: &mut key_at }.deserialize(&mut parser)?;
    parser.end()?;
    Ok(outcome)
}

/// An array being read.
pub(super) struct Items<'a> {
    rules: &'a Rules<'a>,
    out: &'a mut Decoded,
    /// Items so far.
    pub(super) count: usize,
    pub(super) refusals: Refusals,
    /// Whether it had more items than it may.
    pub(super) full: bool,
    /// Where the last item's first key lies, as an address.
    last_key_at: usize,
    /// The largest distance from one item's first key to the next one's.
    largest_gap: usize,
    body_end: usize,
    bytes_max: usize,
}

impl<'a> Items<'a> {
    pub(super) fn new(body: &str, rules: &'a Rules<'a>, out: &'a mut Decoded) -> Self {
        let start = body.as_ptr() as usize;
        Self {
            rules,
            out,
            count: 0,
            refusals: Refusals::default(),
            full: false,
            last_key_at: start,
            largest_gap: 0,
            body_end: start + body.len(),
            bytes_max: rules.event_bytes.min(EVENT_BYTES_MAX),
        }
    }

    pub(super) fn read(&mut self, body: &str) -> Result<(), sonic_rs::Error> {
        let mut parser = sonic_rs::Deserializer::from_str(body);
        parser.deserialize_seq(&mut *self)?;
        parser.end()
    }

    /// Whether no item can be larger than allowed. An item reaches from after the first key of the
    /// one before it to the first key of the one after it, so it is at most two gaps long. `false`
    /// means: perhaps.
    pub(super) fn sizes_fit(&self) -> bool {
        let last_gap = self.body_end.saturating_sub(self.last_key_at);
        2 * self.largest_gap.max(last_gap) <= self.bytes_max
    }
}

impl<'de> Visitor<'de> for &mut Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        loop {
            let mut key_at = 0;
            let seed =
                ItemSeed { rules: self.rules, batch: &mut self.out.batch, key_at: &mut key_at };
            let Some(outcome) = seq.next_element_seed(seed)? else { return Ok(()) };
            if self.count == self.rules.batch_events {
                self.full = true;
                return Err(A::Error::custom("too many events"));
            }
            self.out.push(outcome, self.count, &mut self.refusals);
            self.count += 1;
            if key_at > 0 {
                self.largest_gap = self.largest_gap.max(key_at.saturating_sub(self.last_key_at));
                self.last_key_at = key_at;
            }
        }
    }
}

/// Reads one item, whatever it is.
struct ItemSeed<'a> {
    rules: &'a Rules<'a>,
    batch: &'a mut EventBatch,
    /// Set to the address of the first key; stays 0 when the body does not hold it as it is.
    key_at: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for ItemSeed<'_> {
    type Value = Outcome;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Outcome, D::Error> {
        parser.deserialize_any(self)
    }
}

macro_rules! not_an_object {
    ($($visit:ident($type:ty) => $kind:expr;)*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Outcome, E> {
            Ok(not_an_object($kind))
        })*
    };
}

impl<'de> Visitor<'de> for ItemSeed<'_> {
    type Value = Outcome;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outcome, A::Error> {
        let text_len = self.batch.text_len();
        let mut event = Event {
            rules: self.rules,
            batch: self.batch,
            row: Row { arrival_ms: self.rules.arrival_ms, ..Row::default() },
            seen: 0,
            timestamped: false,
            refusal: None,
        };
        while let Some(key) = map.next_key_seed(KeySeed { key_at: self.key_at })? {
            match key {
                Key::Known(field) if event.refusal.is_none() => {
                    if event.first_sight_of(field) {
                        map.next_value_seed(Value { event: &mut event, field })?;
                    } else {
                        map.next_value_seed(Skip::default())?;
                    }
                }
                Key::Unknown(name) => {
                    if event.refusal.is_none() {
                        event.refuse(validate::unknown(&name));
                    }
                    map.next_value_seed(Skip::default())?;
                }
                Key::Known(_) => map.next_value_seed(Skip::default())?,
            }
        }
        Ok(event.finish(text_len))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Outcome, A::Error> {
        while seq.next_element_seed(Skip::default())?.is_some() {}
        Ok(not_an_object("an array"))
    }

    not_an_object! {
        visit_str(&str) => "a string";
        visit_bool(bool) => "a boolean";
        visit_u64(u64) => "a number";
        visit_i64(i64) => "a number";
        visit_f64(f64) => "a number";
    }

    fn visit_unit<E>(self) -> Result<Outcome, E> {
        Ok(not_an_object("null"))
    }
}

#[cold]
fn not_an_object(kind: &str) -> Outcome {
    let message = format!("an event is a JSON object, not {kind}");
    Outcome::refused(Refusal::of_item(Code::NotAnObject, message))
}

enum Key {
    Known(Field),
    Unknown(Box<str>),
}

struct KeySeed<'a> {
    key_at: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Key, D::Error> {
        parser.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key, E> {
        if *self.key_at == 0 {
            *self.key_at = key.as_ptr() as usize;
        }
        Ok(Field::of(key).map_or_else(|| Key::Unknown(key.into()), Key::Known))
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(Field::of(key).map_or_else(|| Key::Unknown(key.into()), Key::Known))
    }
}

/// An event being read.
pub(super) struct Event<'a> {
    pub(super) rules: &'a Rules<'a>,
    pub(super) batch: &'a mut EventBatch,
    pub(super) row: Row,
    seen: u16,
    timestamped: bool,
    pub(super) refusal: Option<Box<Refusal>>,
}

impl Event<'_> {
    #[cold]
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert_with(|| Box::new(refusal));
    }

    fn first_sight_of(&mut self, field: Field) -> bool {
        let bit = 1 << field as u16;
        if self.seen & bit != 0 {
            let message = format!("`{}` is there twice", field.name());
            self.refuse(Refusal::of_field(Code::DuplicateField, field, message));
            return false;
        }
        self.seen |= bit;
        true
    }

    pub(super) fn text(&mut self, field: Field, value: &str) {
        let result = match field {
            Field::Route => self.route(value),
            Field::Site => self.site(value),
            Field::Timestamp => self.timestamp(Time::Text(value)),
            Field::EventId | Field::Type | Field::UserId | Field::SessionId | Field::ClientId => {
                validate::text(field, value).map(|()| {
                    let span = self.batch.add_text(value);
                    *self.span_of(field) = span;
                })
            }
            Field::Status | Field::Error | Field::LatencyMs | Field::Props => {
                Err(validate::wrong_type(field, "a string"))
            }
        };
        if let Err(refusal) = result {
            self.refuse(refusal);
        }
    }

    pub(super) fn number(&mut self, field: Field, number: Time<'_>, value: f64) {
        let result = match field {
            Field::Timestamp => self.timestamp(number),
            Field::Status => validate::status(value).map(|status| self.row.status = status),
            Field::LatencyMs => validate::latency_ms(value).map(|ms| self.row.latency_ms = ms),
            _ => Err(validate::wrong_type(field, kind_of_number())),
        };
        if let Err(refusal) = result {
            self.refuse(refusal);
        }
    }

    fn span_of(&mut self, field: Field) -> &mut Span {
        match field {
            Field::EventId => &mut self.row.event_id,
            Field::Type => &mut self.row.kind,
            Field::UserId => &mut self.row.user_id,
            Field::SessionId => &mut self.row.session_id,
            Field::ClientId => &mut self.row.client_id,
            Field::Site => &mut self.row.site,
            Field::Props => &mut self.row.props,
            _ => &mut self.row.route,
        }
    }

    fn route(&mut self, value: &str) -> Result<(), Refusal> {
        let route = crate::route::cut(value);
        validate::text(Field::Route, route)?;
        let offset = self.batch.text_len();
        self.rules.routes.write(route, |piece| {
            self.batch.add_text(piece);
        });
        let len = (self.batch.text_len() - offset) as u16;
        self.row.route = Span { offset: offset as u32, len };
        Ok(())
    }

    fn site(&mut self, value: &str) -> Result<(), Refusal> {
        validate::site(value, self.rules.site)?;
        self.row.site = self.batch.add_text(value);
        Ok(())
    }

    fn timestamp(&mut self, time: Time<'_>) -> Result<(), Refusal> {
        self.row.timestamp_ms = time.read()?;
        self.row.class = validate::class_of(self.row.timestamp_ms, self.rules)?;
        self.timestamped = true;
        Ok(())
    }

    fn finish(mut self, text_len: usize) -> Outcome {
        for field in [Field::Type, Field::Route] {
            if self.refusal.is_none() && self.seen & (1 << field as u16) == 0 {
                self.refuse(validate::missing(field));
            }
        }
        if let Some(refusal) = self.refusal {
            self.batch.truncate_text(text_len);
            return Outcome::Refused(refusal);
        }
        if self.row.site.len == 0 {
            self.row.site = self.batch.add_text(self.rules.site.unwrap_or(DEFAULT_SITE));
        }
        if !self.timestamped {
            self.row.timestamp_ms = self.rules.arrival_ms;
            if self.rules.import {
                self.row.class = crate::event::Class::Import;
            }
        }
        Outcome::Taken(self.row)
    }
}
