//! The value of one field, of whatever JSON type it came, and values that are passed over.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::item::Event;
use super::props;
use crate::validate::{self, Field, Time};

/// What a message calls a number.
pub(super) fn kind_of_number() -> &'static str {
    "a number"
}

/// Reads a field's value into its event, or leaves the refusal there.
pub(super) struct Value<'x, 'a> {
    pub(super) event: &'x mut Event<'a>,
    pub(super) field: Field,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.expects())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.event.text(self.field, value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        let whole = i64::try_from(value).unwrap_or(i64::MAX);
        self.event.number(self.field, Time::Whole(whole), value as f64);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.event.number(self.field, Time::Whole(value), value as f64);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.event.number(self.field, Time::Float(value), value);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        if self.field == Field::Error {
            self.event.row.error = Some(value);
        } else {
            self.event.refuse(validate::wrong_type(self.field, "a boolean"));
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.event.refuse(validate::wrong_type(self.field, "null"));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.event.refuse(validate::wrong_type(self.field, "an array"));
        Skip::default().visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        if self.field == Field::Props {
            return props::read(self.event, map);
        }
        self.event.refuse(validate::wrong_type(self.field, "an object"));
        Skip::default().visit_map(map)
    }
}

/// How deep values may be nested. No field holds more than an object of scalars, so that this is
/// what a refused event may hold and still be told what else is wrong with it.
pub(super) const DEPTH_MAX: u8 = 32;
/// What the parser is told where values are nested deeper.
pub(super) const TOO_DEEP: &str = "nested too deep";

/// Reads a value and forgets it. Bounded in depth, as the parser's own way of ignoring a value is
/// not.
#[derive(Clone, Copy, Default)]
pub(super) struct Skip {
    depth: u8,
}

impl Skip {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(TOO_DEEP));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while map.next_key_seed(inner)?.is_some() {
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}
