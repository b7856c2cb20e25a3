//! What a client said, taken apart leniently: a message that is not understood is answered with
//! what is wrong with it, never with the end of the session.
//!
//! Pure: text in, [`Request`] or a refusal out. Called by the session for every text message.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use super::admission::Token;
use super::feed::Refusal;

/// A client's request.
#[derive(Debug, PartialEq)]
pub(super) enum Request {
    Auth { token: Token },
    Subscribe { rooms: Vec<String>, since: BTreeMap<String, i64> },
    Unsubscribe { rooms: Vec<String> },
    Get { id: Option<u64>, room: String, at: i64 },
    Publish { id: Option<u64>, events: Bytes },
    Ping { id: Option<u64> },
}

/// A refusal, with what the client needs to find the message at fault.
#[derive(Debug, PartialEq)]
pub(super) struct Misunderstood {
    pub(super) id: Option<u64>,
    pub(super) refusal: Refusal,
}

/// Every field of every message, none of them looked into yet.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    op: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    events: Option<&'a RawValue>,
    #[serde(borrow)]
    rooms: Option<&'a RawValue>,
    #[serde(borrow)]
    since: Option<&'a RawValue>,
    #[serde(borrow)]
    room: Option<&'a RawValue>,
    #[serde(borrow)]
    at: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<&'a RawValue>,
}

/// Reads a message; `text` is UTF-8 JSON as received.
pub(super) fn parse(text: &Bytes) -> Result<Request, Misunderstood> {
    let envelope: Envelope<'_> = serde_json::from_slice(text)
        .map_err(|error| Misunderstood { id: None, refusal: unreadable(text, &error) })?;
    let (id, id_error) = match field::<Option<u64>>("id", "an unsigned integer", envelope.id) {
        Ok(id) => (id.flatten(), None),
        Err(refusal) => (None, Some(refusal)),
    };
    let request = match id_error {
        Some(refusal) => Err(refusal),
        None => request(&envelope, id, text),
    };
    request.map_err(|refusal| Misunderstood { id, refusal })
}

fn request(envelope: &Envelope<'_>, id: Option<u64>, text: &Bytes) -> Result<Request, Refusal> {
    let op = envelope.op.map(RawValue::get).unwrap_or_default();
    // Escapes are rare; what they stand for is what counts.
    let plain = op.contains('\\').then(|| serde_json::from_str::<String>(op).ok()).flatten();
    let plain = plain.map(|op| serde_json::Value::from(op).to_string());
    match plain.as_deref().unwrap_or(op) {
        "\"publish\"" => {
            let events = envelope.events.ok_or_else(|| missing("events", "an array of events"))?;
            if !events.get().starts_with('[') {
                return Err(wrong("events", "an array of events"));
            }
            Ok(Request::Publish { id, events: text.slice_ref(events.get().as_bytes()) })
        }
        "\"ping\"" => Ok(Request::Ping { id }),
        "\"subscribe\"" => Ok(Request::Subscribe {
            rooms: required("rooms", "an array of room names", envelope.rooms)?,
            since: field("since", "an object of ticks by room", envelope.since)?
                .unwrap_or_default(),
        }),
        "\"unsubscribe\"" => Ok(Request::Unsubscribe {
            rooms: required("rooms", "an array of room names", envelope.rooms)?,
        }),
        "\"get\"" => Ok(Request::Get {
            id,
            room: required("room", "a room name", envelope.room)?,
            at: required("at", "a tick, Unix seconds", envelope.at)?,
        }),
        "\"auth\"" => {
            let token: String = required("token", "a string", envelope.token)?;
            Ok(Request::Auth { token: Token::new(token) })
        }
        "" => Err(missing("op", "a string")),
        other => match serde_json::from_str::<Cow<'_, str>>(other) {
            Ok(op) => {
                let op: String = op.chars().take(64).collect();
                Err(Refusal::new(
                    "unknown_op",
                    format!(
                        "`{op}` is no operation; there are auth, subscribe, unsubscribe, get, \
                         publish and ping"
                    ),
                ))
            }
            Err(_) => Err(wrong("op", "a string")),
        },
    }
}

fn unreadable(text: &Bytes, error: &serde_json::Error) -> Refusal {
    let is_object = text.trim_ascii_start().starts_with(b"{");
    if !is_object && serde_json::from_slice::<IgnoredAny>(text).is_ok() {
        return Refusal::new("not_an_object", "a message is a JSON object with an `op`");
    }
    Refusal::new("bad_json", format!("not JSON: {error}"))
}

fn required<T: DeserializeOwned>(
    name: &str,
    what: &str,
    raw: Option<&RawValue>,
) -> Result<T, Refusal> {
    field(name, what, raw)?.ok_or_else(|| missing(name, what))
}

fn field<T: DeserializeOwned>(
    name: &str,
    what: &str,
    raw: Option<&RawValue>,
) -> Result<Option<T>, Refusal> {
    raw.map(|raw| serde_json::from_str(raw.get()).map_err(|_| wrong(name, what))).transpose()
}

fn missing(name: &str, what: &str) -> Refusal {
    Refusal::new("missing_field", format!("`{name}` is missing: {what}"))
}

fn wrong(name: &str, what: &str) -> Refusal {
    Refusal::new("wrong_type", format!("`{name}` must be {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Request, Misunderstood> {
        parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    fn code(text: &str) -> (Option<u64>, String) {
        let misunderstood = read(text).unwrap_err();
        (misunderstood.id, misunderstood.refusal.code.into_owned())
    }

    #[test]
    fn every_operation_is_read() {
        assert_eq!(
            read(r#"{"op":"publish","id":7,"events":[{"a":1}]}"#),
            Ok(Request::Publish { id: Some(7), events: Bytes::from_static(b"[{\"a\":1}]") })
        );
        assert_eq!(
            read(r#"{"rooms":["window:1s"],"since":{"window:1s":5},"op":"subscribe"}"#),
            Ok(Request::Subscribe {
                rooms: vec!["window:1s".into()],
                since: BTreeMap::from([("window:1s".into(), 5)])
            })
        );
        assert_eq!(
            read(r#"{"op":"unsubscribe","rooms":[]}"#),
            Ok(Request::Unsubscribe { rooms: vec![] })
        );
        assert_eq!(
            read(r#"{"op":"get","id":3,"room":"window:5s","at":1763884000}"#),
            Ok(Request::Get { id: Some(3), room: "window:5s".into(), at: 1_763_884_000 })
        );
        assert_eq!(read(r#"{"op":"ping","id":9}"#), Ok(Request::Ping { id: Some(9) }));
        assert_eq!(read(r#"{"op":"ping"}"#), Ok(Request::Ping { id: None }));
        assert_eq!(read(r#"{"op":"p\u0069ng"}"#), Ok(Request::Ping { id: None }));
        let token = Token::new("x");
        assert_eq!(read(r#"{"op":"auth","token":"x"}"#), Ok(Request::Auth { token }));
    }

    #[test]
    fn what_is_wrong_is_named_with_the_id_it_came_with() {
        assert_eq!(code("{"), (None, "bad_json".into()));
        assert_eq!(code("[]"), (None, "not_an_object".into()));
        assert_eq!(code("7"), (None, "not_an_object".into()));
        assert_eq!(code(r#"{"id":1}"#), (Some(1), "missing_field".into()));
        assert_eq!(code(r#"{"op":7,"id":1}"#), (Some(1), "wrong_type".into()));
        assert_eq!(code(r#"{"op":"ping","id":-1}"#), (None, "wrong_type".into()));
        assert_eq!(code(r#"{"op":"dance","id":1}"#), (Some(1), "unknown_op".into()));
        assert_eq!(code(r#"{"op":"publish","id":1}"#), (Some(1), "missing_field".into()));
        assert_eq!(code(r#"{"op":"publish","id":1,"events":{}}"#), (Some(1), "wrong_type".into()));
        assert_eq!(code(r#"{"op":"subscribe","rooms":"window:1s"}"#), (None, "wrong_type".into()));
        assert_eq!(
            code(r#"{"op":"subscribe","rooms":[],"since":{"a":"b"}}"#),
            (None, "wrong_type".into())
        );
        assert_eq!(code(r#"{"op":"get","room":"window:1s"}"#), (None, "missing_field".into()));
        assert_eq!(code(r#"{"op":"auth"}"#), (None, "missing_field".into()));
    }
}
