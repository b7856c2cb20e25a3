//! Messages that are not of the protocol: each is answered with its code, and the session goes on.

use serde_json::json;

use super::{reader, sender};
use crate::client::Dial;
use crate::harness::{Edge, Meets};

#[test]
fn messages_that_are_none_are_answered_and_the_session_goes_on() {
    let mut edge = Edge::start(&[]);
    let read = Dial::bearer(&reader());
    let deep = |open: &str, times: usize| format!("{{\"op\":\"ping\",\"x\":{}", open.repeat(times));
    let rooms = |count: usize| json!({"op": "subscribe", "rooms": vec!["window:1s"; count]});
    for (name, message, code) in [
        ("nothing", String::new(), "bad_json"),
        ("half an object", "{".to_owned(), "bad_json"),
        ("two objects", r#"{"op":"ping"}{"op":"ping"}"#.to_owned(), "bad_json"),
        ("a comma too many", r#"{"op":"ping",}"#.to_owned(), "bad_json"),
        ("single quotes", "{'op':'ping'}".to_owned(), "bad_json"),
        ("NaN", r#"{"op":"ping","id":NaN}"#.to_owned(), "bad_json"),
        ("NUL at the end", "{\"op\":\"ping\"}\0".to_owned(), "bad_json"),
        ("NUL in a string", "{\"op\":\"pi\0ng\"}".to_owned(), "bad_json"),
        ("a mark of byte order", "\u{feff}{\"op\":\"ping\"}".to_owned(), "bad_json"),
        ("an array", "[]".to_owned(), "not_an_object"),
        ("a string", "\"ping\"".to_owned(), "not_an_object"),
        ("null", "null".to_owned(), "not_an_object"),
        ("arrays in arrays", deep("[", 16_000), "bad_json"),
        ("objects in objects", deep("{\"a\":", 3_000), "bad_json"),
        ("a key twice", r#"{"op":"ping","op":"ping"}"#.to_owned(), "bad_json"),
        ("an id twice", r#"{"op":"ping","id":1,"id":2}"#.to_owned(), "bad_json"),
        ("no operation", "{}".to_owned(), "missing_field"),
        ("an operation that is no text", r#"{"op":["ping"]}"#.to_owned(), "wrong_type"),
        ("an unknown operation", r#"{"op":"dance"}"#.to_owned(), "unknown_op"),
        ("an empty operation", r#"{"op":""}"#.to_owned(), "unknown_op"),
        ("an operation in capitals", r#"{"op":"PING"}"#.to_owned(), "unknown_op"),
        ("an operation with NUL", r#"{"op":"ping\u0000"}"#.to_owned(), "unknown_op"),
        ("half a surrogate", r#"{"op":"\ud800"}"#.to_owned(), "wrong_type"),
        ("a long operation", json!({"op": "x".repeat(10_000)}).to_string(), "unknown_op"),
        ("a negative id", r#"{"op":"ping","id":-1}"#.to_owned(), "wrong_type"),
        ("half an id", r#"{"op":"ping","id":1.5}"#.to_owned(), "wrong_type"),
        ("an id of 65 bits", r#"{"op":"ping","id":18446744073709551616}"#.to_owned(), "wrong_type"),
        (
            "an id of 10,000 digits",
            format!("{{\"op\":\"ping\",\"id\":{}}}", "9".repeat(10_000)),
            "wrong_type",
        ),
        ("an id past every number", r#"{"op":"ping","id":1e999}"#.to_owned(), "wrong_type"),
        ("an id that is a text", r#"{"op":"ping","id":"7"}"#.to_owned(), "wrong_type"),
        ("no rooms", r#"{"op":"subscribe"}"#.to_owned(), "missing_field"),
        ("rooms that are none", r#"{"op":"subscribe","rooms":[1]}"#.to_owned(), "wrong_type"),
        ("an unknown room", r#"{"op":"subscribe","rooms":["lobby"]}"#.to_owned(), "unknown_room"),
        ("a room without a name", r#"{"op":"subscribe","rooms":[""]}"#.to_owned(), "unknown_room"),
        (
            "a room with NUL",
            r#"{"op":"subscribe","rooms":["window:1s\u0000"]}"#.to_owned(),
            "unknown_room",
        ),
        ("33 rooms", rooms(33).to_string(), "too_many_rooms"),
        ("a thousand rooms", rooms(1_000).to_string(), "too_many_rooms"),
        (
            "since when",
            r#"{"op":"subscribe","rooms":[],"since":{"window:1s":"then"}}"#.to_owned(),
            "wrong_type",
        ),
        (
            "leaving a room one is not in",
            r#"{"op":"unsubscribe","rooms":["window:1s"]}"#.to_owned(),
            "not_subscribed",
        ),
        ("get of nothing", r#"{"op":"get","at":1}"#.to_owned(), "missing_field"),
        ("get at no time", r#"{"op":"get","room":"window:1s"}"#.to_owned(), "missing_field"),
        (
            "get from the future",
            r#"{"op":"get","room":"window:1s","at":9223372036854775807}"#.to_owned(),
            "tick_ahead",
        ),
        (
            "get from before time",
            r#"{"op":"get","room":"window:1s","at":-9223372036854775808}"#.to_owned(),
            "tick_too_old",
        ),
        (
            "get at 64 bits",
            r#"{"op":"get","room":"window:1s","at":9223372036854775808}"#.to_owned(),
            "wrong_type",
        ),
    ] {
        edge.socket(name, &read, &[message], &Meets::Error(code));
    }
    let since =
        r#"{"op":"subscribe","rooms":["window:1s"],"since":{"window:1s":-9223372036854775808}}"#;
    let ping = r#"{"op":"p\u0069ng"}"#;
    let odd = [since.to_owned(), ping.to_owned()];
    edge.socket("since before time, and an escaped ping", &read, &odd, &Meets::Pong);
    edge.finish();
}

#[test]
fn publishes_that_are_none_are_answered_and_the_session_goes_on() {
    let mut edge = Edge::start(&[]);
    let send = Dial::bearer(&sender());
    let events = |events: &str| format!("{{\"op\":\"publish\",\"id\":1,\"events\":{events}}}");
    for (name, message, code) in [
        ("no events", r#"{"op":"publish"}"#.to_owned(), "missing_field"),
        ("events that are an object", events("{}"), "wrong_type"),
        ("events that are a text", events("\"[]\""), "wrong_type"),
        ("an empty list", events("[]"), "empty_batch"),
        ("10,001 events", events(&format!("[{}0]", "0,".repeat(10_000))), "too_many_events"),
        ("lists in lists", events(&"[".repeat(100_000)), "bad_json"),
    ] {
        edge.socket(name, &send, &[message], &Meets::Error(code));
    }
    edge.finish();
}
