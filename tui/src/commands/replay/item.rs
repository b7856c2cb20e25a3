//! One line as one event. Pure; called by the replay's reading thread.
//!
//! An access log's line becomes an event of type `request`: the target is its route (the daemon
//! cuts the query), the client its `clientId` and nothing else, method, size, referer and agent
//! its props. An event's line stays as it is but for its times and its id.
//!
//! The id is a 128-bit SipHash of the line's bytes and its number, the same in every replay of the
//! same file, under any name and over a pipe, also when the file has grown meanwhile.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::Hasher as _;

use pulseboard::accesslog;
use pulseboard::limits;
use serde::Serialize;
use serde_json::value::RawValue;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// Part of what ids are made from: never change it, or a replayed file counts again.
const ID_KEY: [u8; 16] = *b"pulseboard lines";
/// Referer and agent are cut to this many bytes.
const PROP_BYTES: usize = 512;

/// How lines become events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    /// Whether lines are events, and not an access log's.
    pub(super) ndjson: bool,
    /// Whether an event carries its line's time.
    pub(super) keep_time: bool,
    /// Makes all ids differ from those of another replay.
    pub(super) salt: Option<u64>,
}

/// Why a line is not an event.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ItemError {
    /// Not an access log's line.
    #[error("{0}")]
    Line(accesslog::LineError),
    /// Not a JSON object.
    #[error("not a JSON object: {0}")]
    Json(String),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    event_id: &'a str,
    r#type: &'static str,
    route: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    props: Props<'a>,
}

#[derive(Serialize)]
struct Props<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a str>,
}

impl Recipe {
    /// Appends the event of `line` and a line feed to `body`, and gives the line's time, Unix ms,
    /// where it has one. `body` is left alone when the line is none.
    pub(super) fn append(
        &self,
        line: &[u8],
        number: u64,
        body: &mut Vec<u8>,
    ) -> Result<Option<i64>, ItemError> {
        let line = line.trim_ascii_end();
        if self.ndjson { self.event(line, number, body) } else { self.request(line, number, body) }
    }

    fn request(
        &self,
        line: &[u8],
        number: u64,
        body: &mut Vec<u8>,
    ) -> Result<Option<i64>, ItemError> {
        let entry = accesslog::parse(line).map_err(ItemError::Line)?;
        // A query that alone fills an event would have it refused; the daemon cuts it anyway.
        let query = entry.target.find('?').filter(|at| *at > 0);
        let route = match query {
            Some(at) if entry.target.len() > limits::ROUTE_BYTES => &entry.target[..at],
            _ => &*entry.target,
        };
        let request = Request {
            event_id: &self.id(line, number),
            r#type: "request",
            route,
            timestamp: self.keep_time.then_some(entry.time_ms),
            client_id: &entry.client,
            status: entry.status,
            props: Props {
                method: entry.method.as_deref(),
                bytes: entry.bytes,
                referer: entry.referer.as_deref().map(shortened),
                agent: entry.agent.as_deref().map(shortened),
            },
        };
        write_line(body, &request);
        Ok(Some(entry.time_ms))
    }

    fn event(
        &self,
        line: &[u8],
        number: u64,
        body: &mut Vec<u8>,
    ) -> Result<Option<i64>, ItemError> {
        let text = String::from_utf8_lossy(line);
        let not_json = |error: serde_json::Error| ItemError::Json(error.to_string());
        let mut event: BTreeMap<Cow<'_, str>, &RawValue> =
            serde_json::from_str(&text).map_err(not_json)?;
        let time_ms = event.get("timestamp").and_then(|time| time_ms(time.get()));
        if !self.keep_time {
            event.remove("timestamp");
        }
        // An exported event carries when it was stored, which is for the daemon to say.
        event.remove("storedAt");
        let own_id = event.get("eventId").is_some_and(|id| id.get() != "null");
        let id = format!("\"{}\"", self.id(line, number));
        let id: &RawValue = serde_json::from_str(&id).map_err(not_json)?;
        if !own_id || self.salt.is_some() {
            event.insert(Cow::Borrowed("eventId"), id);
        }
        write_line(body, &event);
        Ok(time_ms)
    }

    fn id(&self, line: &[u8], number: u64) -> String {
        let mut hasher = SipHasher13::new_with_key(&ID_KEY);
        hasher.write(line);
        hasher.write(&number.to_le_bytes());
        if let Some(salt) = self.salt {
            hasher.write(&salt.to_le_bytes());
        }
        format!("{:032x}", hasher.finish128().as_u128())
    }
}

fn write_line(body: &mut Vec<u8>, event: &impl Serialize) {
    serde_json::to_writer(&mut *body, event).expect("text and numbers always make JSON");
    body.push(b'\n');
}

/// At most [`PROP_BYTES`] of it, whole characters.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(PROP_BYTES)]
}

/// Unix ms of a timestamp as an event carries it: a number, or RFC 3339 in quotes.
fn time_ms(json: &str) -> Option<i64> {
    if let Ok(time_ms) = json.parse() {
        return Some(time_ms);
    }
    let text: String = serde_json::from_str(json).ok()?;
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const LINE: &str =
        r#"10.0.0.1 - joe [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 404 71 "-" "curl/8""#;
    const PLAIN: Recipe = Recipe { ndjson: false, keep_time: false, salt: None };
    const EVENTS: Recipe = Recipe { ndjson: true, ..PLAIN };

    fn event(recipe: Recipe, line: &str, number: u64) -> Value {
        let mut body = Vec::new();
        recipe.append(line.as_bytes(), number, &mut body).unwrap();
        assert_eq!(body.pop(), Some(b'\n'));
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn a_request_gives_its_address_to_the_client_id_alone_and_no_time() {
        let mut event = event(PLAIN, LINE, 1);
        assert_eq!(event["eventId"].take().as_str().map(str::len), Some(32));
        let expected = json!({
            "eventId": null, "type": "request", "route": "/a?b=c", "clientId": "10.0.0.1",
            "status": 404, "props": {"method": "GET", "bytes": 71, "agent": "curl/8"},
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn with_keep_time_it_carries_the_time_of_its_line() {
        let keep = Recipe { keep_time: true, ..PLAIN };
        assert_eq!(event(keep, LINE, 1)["timestamp"], 1_431_857_103_000i64);
    }

    #[test]
    fn an_id_follows_from_content_and_position() {
        let id = |recipe, line: &str, number| event(recipe, line, number)["eventId"].clone();
        assert_eq!(id(PLAIN, LINE, 1), id(PLAIN, &format!("{LINE}\r"), 1));
        assert_eq!(id(PLAIN, LINE, 1), id(Recipe { keep_time: true, ..PLAIN }, LINE, 1));
        assert_ne!(id(PLAIN, LINE, 1), id(PLAIN, LINE, 2));
        assert_ne!(id(PLAIN, LINE, 1), id(PLAIN, &LINE.replace("404", "200"), 1));
        assert_ne!(id(PLAIN, LINE, 1), id(Recipe { salt: Some(1), ..PLAIN }, LINE, 1));
        // Written down, since it may never change.
        assert_eq!(id(PLAIN, LINE, 1), "5366bdbd8c8a57f32a6a402654019885");
    }

    #[test]
    fn an_event_keeps_what_it_says_and_loses_its_times() {
        let line = r#"{"eventId":"e1","type":"t","route":"/","timestamp":1431857103000,"storedAt":5,"latencyMs":1.50,"odd":[1]}"#;
        let expected = json!({"eventId":"e1","type":"t","route":"/","latencyMs":1.5,"odd":[1]});
        assert_eq!(event(EVENTS, line, 1), expected);
        let kept = event(Recipe { keep_time: true, ..EVENTS }, line, 1);
        assert_eq!(kept["timestamp"], 1_431_857_103_000i64);
        assert!(kept.get("storedAt").is_none());
    }

    #[test]
    fn an_event_without_an_id_is_given_one_and_new_ids_replace_its_own() {
        let line = r#"{"type":"t","route":"/"}"#;
        assert!(event(EVENTS, line, 1)["eventId"].is_string());
        let line = r#"{"eventId":"e1","type":"t","route":"/"}"#;
        let salted = Recipe { salt: Some(9), ..EVENTS };
        assert_ne!(event(salted, line, 1)["eventId"], "e1");
    }

    #[test]
    fn a_line_gives_its_time_for_the_pace() {
        let time = |recipe: Recipe, line: &str| recipe.append(line.as_bytes(), 1, &mut Vec::new());
        assert_eq!(time(PLAIN, LINE), Ok(Some(1_431_857_103_000)));
        let line = r#"{"type":"t","route":"/","timestamp":"2015-05-17T10:05:03Z"}"#;
        assert_eq!(time(EVENTS, line), Ok(Some(1_431_857_103_000)));
        assert_eq!(time(EVENTS, r#"{"type":"t","route":"/"}"#), Ok(None));
    }

    #[test]
    fn a_line_that_is_no_event_leaves_the_body_alone() {
        let mut body = b"before".to_vec();
        let error = PLAIN.append(b"garbage", 1, &mut body).unwrap_err();
        assert_eq!(error, ItemError::Line(accesslog::LineError::NoTime));
        assert!(matches!(EVENTS.append(b"[1]", 1, &mut body), Err(ItemError::Json(_))));
        assert!(matches!(EVENTS.append(b"{\"a\":", 1, &mut body), Err(ItemError::Json(_))));
        assert_eq!(body, b"before");
    }

    #[test]
    fn what_is_too_long_for_an_event_is_cut_where_nobody_counts_it() {
        let long = "q".repeat(30_000);
        let line = LINE.replace("b=c", &long).replace("curl/8", &long);
        let event = event(PLAIN, &line, 1);
        assert_eq!(event["route"], "/a");
        assert!(event.to_string().len() < limits::EVENT_BYTES);
    }
}
