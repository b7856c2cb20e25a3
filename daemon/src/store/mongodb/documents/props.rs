//! `props` between compact JSON, as the journal has it, and a document.
//!
//! Whole numbers become 32-bit or 64-bit ones, or a decimal where they have more digits than those;
//! all others are doubles. Each reads back as it was.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr as _;

use mongodb::bson::raw::{CStr, RawBsonRef};
use mongodb::bson::{Decimal128, RawDocument, RawDocumentBuf};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::DocumentError;

/// The document; `None` for a key that no document can have: one with a NUL in it.
pub(super) fn to_document(json: &str) -> Option<RawDocumentBuf> {
    // Reads every double exactly.
    let mut parser = sonic_rs::Deserializer::from_str(json);
    parser.deserialize_map(Props).ok()
}

struct Props;

impl<'de> Visitor<'de> for Props {
    type Value = RawDocumentBuf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of scalars")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawDocumentBuf, A::Error> {
        let mut document = RawDocumentBuf::new();
        while let Some((Text(key), value)) = map.next_entry::<Text<'de>, Scalar<'de>>()? {
            let key: &CStr = (&*key).try_into().map_err(serde::de::Error::custom)?;
            match value {
                Scalar::Text(text) => document.append(key, &*text),
                Scalar::Bool(flag) => document.append(key, flag),
                Scalar::Double(number) => document.append(key, number),
                Scalar::Whole(number) => match i32::try_from(number) {
                    Ok(short) => document.append(key, short),
                    Err(_) => document.append(key, number),
                },
                Scalar::Long(number) => {
                    let decimal = Decimal128::from_str(&number.to_string());
                    document.append(key, decimal.map_err(serde::de::Error::custom)?);
                }
            }
        }
        Ok(document)
    }
}

/// A text, lent where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(AnyScalar)? {
            Scalar::Text(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("a key is a text")),
        }
    }
}

enum Scalar<'a> {
    Text(Cow<'a, str>),
    Bool(bool),
    Whole(i64),
    Long(u64),
    Double(f64),
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyScalar)
    }
}

struct AnyScalar;

impl<'de> Visitor<'de> for AnyScalar {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(i64::try_from(number).map_or(Scalar::Long(number), Scalar::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Double(number))
    }
}

/// Compact JSON of a document of scalars.
pub(super) fn to_text(document: &RawDocument) -> Result<String, DocumentError> {
    let damaged = |error: mongodb::bson::error::Error| DocumentError::Damaged(error.to_string());
    let mut json = String::with_capacity(document.as_bytes().len() + 16);
    for element in document {
        let (key, value) = element.map_err(damaged)?;
        json.push(if json.is_empty() { '{' } else { ',' });
        push_string(&mut json, key.as_str());
        json.push(':');
        match value {
            RawBsonRef::String(text) => push_string(&mut json, text),
            RawBsonRef::Boolean(flag) => json.push_str(if flag { "true" } else { "false" }),
            RawBsonRef::Int32(number) => json.push_str(&number.to_string()),
            RawBsonRef::Int64(number) => json.push_str(&number.to_string()),
            RawBsonRef::Decimal128(number) => json.push_str(&number.to_string()),
            RawBsonRef::Double(number) if number.is_finite() => {
                // Debug is the shortest text that reads back as the same double, and a text takes
                // what is written to it.
                let _ = write!(json, "{number:?}");
            }
            _ => return Err(DocumentError::Field("props")),
        }
    }
    if !json.is_empty() {
        json.push('}');
    }
    Ok(json)
}

fn push_string(json: &mut String, text: &str) {
    json.push_str(&serde_json::to_string(text).expect("a text is JSON"));
}
