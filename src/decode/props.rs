//! `props`: an object of scalars, written to the arena as compact JSON while it is read.
//!
//! Whole numbers keep their digits; other numbers are kept as the shortest text that reads back as
//! the same double. An empty object is the same as none.

use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::item::Event;
use super::value::Skip;
use crate::event::{EventBatch, Span};
use crate::limits;
use crate::validate::{Code, Field, Refusal, shown};

/// Reads the entries of `props` into the event, or leaves the refusal there.
pub(super) fn read<'de, A: MapAccess<'de>>(
    event: &mut Event<'_>,
    mut map: A,
) -> Result<(), A::Error> {
    let offset = event.batch.text_len();
    let mut keys = Keys::default();
    while let Some(()) = map.next_key_seed(PropKey { event: &mut *event, keys: &mut keys })? {
        if event.refusal.is_some() {
            map.next_value_seed(Skip::default())?;
        } else {
            map.next_value_seed(PropValue { event: &mut *event, keys: &keys })?;
        }
    }
    if keys.count > 0 && event.refusal.is_none() {
        event.batch.add_text("}");
        let len = (event.batch.text_len() - offset) as u16;
        event.row.props = Span { offset: offset as u32, len };
    }
    Ok(())
}

/// The keys read so far, as they lie in the arena with their quotes.
#[derive(Default)]
struct Keys {
    spans: [Span; limits::PROPS_ENTRIES],
    count: usize,
}

impl Keys {
    /// The newest key as messages say it: `props.plan`.
    fn path(&self, batch: &EventBatch) -> String {
        let key = batch.text(self.spans[self.count - 1]);
        format!("props.{}", key.trim_matches('"'))
    }
}

struct PropKey<'x, 'a> {
    event: &'x mut Event<'a>,
    keys: &'x mut Keys,
}

impl<'de> DeserializeSeed<'de> for PropKey<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_str(self)
    }
}

impl PropKey<'_, '_> {
    fn check(&self, key: &str) -> Result<(), Refusal> {
        if self.keys.count == limits::PROPS_ENTRIES {
            let message = format!("`props` has more than {} entries", limits::PROPS_ENTRIES);
            return Err(Refusal::of_field(Code::PropsTooMany, Field::Props, message));
        }
        if key.is_empty() || key.len() > limits::PROPS_KEY_BYTES {
            let message = format!(
                "the key {} of `props` is {} bytes long: it must be 1 to {}",
                shown(key),
                key.len(),
                limits::PROPS_KEY_BYTES
            );
            return Err(Refusal::of_field(Code::PropsKeyLength, Field::Props, message));
        }
        Ok(())
    }

    fn take(self, key: &str, escape: bool) {
        if self.event.refusal.is_some() {
            return;
        }
        if let Err(refusal) = self.check(key) {
            return self.event.refuse(refusal);
        }
        let batch = &mut *self.event.batch;
        batch.add_text(if self.keys.count == 0 { "{" } else { "," });
        let span = add_string(batch, key, escape);
        let text = batch.text(span);
        if self.keys.spans[..self.keys.count].iter().any(|known| batch.text(*known) == text) {
            let message = format!("the key {} is in `props` twice", shown(key));
            let refusal = Refusal::of_field(Code::PropsDuplicateKey, Field::Props, message);
            return self.event.refuse(refusal);
        }
        batch.add_text(":");
        self.keys.spans[self.keys.count] = span;
        self.keys.count += 1;
    }
}

impl<'de> Visitor<'de> for PropKey<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<(), E> {
        self.take(key, false);
        Ok(())
    }

    fn visit_str<E>(self, key: &str) -> Result<(), E> {
        self.take(key, true);
        Ok(())
    }
}

struct PropValue<'x, 'a> {
    event: &'x mut Event<'a>,
    keys: &'x Keys,
}

impl PropValue<'_, '_> {
    #[cold]
    fn refuse(self, kind: &str) {
        let path = self.keys.path(self.event.batch);
        let message = format!("`{path}` must be a string, a number or a boolean, not {kind}");
        self.event.refuse(Refusal::of_name(Code::PropsNotScalar, &path, message));
    }

    fn display(self, value: impl fmt::Display) {
        let mut text = Digits::default();
        // Digits has room for every number, and says so otherwise by leaving the text short.
        let _ = write!(text, "{value}");
        self.event.batch.add_text(text.as_str());
    }
}

impl<'de> DeserializeSeed<'de> for PropValue<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PropValue<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<(), E> {
        add_string(self.event.batch, value, false);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        add_string(self.event.batch, value, true);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.display(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.display(value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        // Debug is the shortest text that reads back as the same double, with an exponent where
        // that is shorter: valid JSON for every finite number.
        self.display(format_args!("{value:?}"));
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.event.batch.add_text(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.refuse("null");
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.refuse("an array");
        Skip::default().visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.refuse("an object");
        Skip::default().visit_map(map)
    }
}

/// Adds a JSON string, quotes and all. What the parser lent from the body had no escapes, so it
/// needs none here either.
fn add_string(batch: &mut EventBatch, value: &str, escape: bool) -> Span {
    let offset = batch.text_len();
    batch.add_text("\"");
    if escape {
        add_escaped(batch, value);
    } else {
        batch.add_text(value);
    }
    batch.add_text("\"");
    Span { offset: offset as u32, len: (batch.text_len() - offset) as u16 }
}

fn add_escaped(batch: &mut EventBatch, value: &str) {
    let mut kept = 0;
    for (at, byte) in value.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        batch.add_text(&value[kept..at]);
        if escape.is_empty() {
            batch.add_text(&format!("\\u{byte:04x}"));
        } else {
            batch.add_text(escape);
        }
        kept = at + 1;
    }
    batch.add_text(&value[kept..]);
}

/// Room for the text of any number.
#[derive(Default)]
struct Digits {
    text: [u8; 32],
    len: usize,
}

impl Digits {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.len]).unwrap_or_default()
    }
}

impl fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let to = self.len + text.len();
        self.text.get_mut(self.len..to).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = to;
        Ok(())
    }
}
