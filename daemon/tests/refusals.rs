//! Every refusal of the contract's event table, over REST and over a socket, each with its exact
//! answer, and what is malformed altogether. The daemon and its neighbours go on after each.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::{Daemon, now_ms};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

struct Row {
    event: String,
    code: &'static str,
    field: Option<&'static str>,
}

fn row(event: impl Into<String>, code: &'static str, field: &'static str) -> Row {
    Row { event: event.into(), code, field: (!field.is_empty()).then_some(field) }
}

/// An event with one field set to the JSON given.
fn with(field: &str, value: impl std::fmt::Display) -> String {
    match field {
        "type" => format!(r#"{{"type":{value},"route":"/a"}}"#),
        "route" => format!(r#"{{"type":"t","route":{value}}}"#),
        _ => format!(r#"{{"type":"t","route":"/a","{field}":{value}}}"#),
    }
}

fn text(length: usize) -> String {
    format!("\"{}\"", "x".repeat(length))
}

fn table() -> Vec<Row> {
    let now = now_ms();
    let mut rows = vec![
        row(r#"{"route":"/a"}"#, "missing_field", "type"),
        row(r#"{"type":"t"}"#, "missing_field", "route"),
        row(with("user_id", "\"u\""), "unknown_field", "user_id"),
        row(with("type", "1"), "wrong_type", "type"),
        row(with("type", "\"\""), "empty", "type"),
        row(with("type", text(65)), "too_long", "type"),
        row(with("route", "null"), "wrong_type", "route"),
        row(with("route", "\"?only=query\""), "empty", "route"),
        row(with("route", text(513)), "route_too_long", "route"),
        row(with("timestamp", now / 1_000), "timestamp_in_seconds", "timestamp"),
        row(with("timestamp", "\"yesterday\""), "bad_timestamp", "timestamp"),
        row(with("timestamp", now - 25 * 3_600_000), "too_old", "timestamp"),
        row(with("timestamp", now + 6 * 60_000), "too_far_ahead", "timestamp"),
        row(with("timestamp", "true"), "wrong_type", "timestamp"),
        row(with("status", "99"), "bad_status", "status"),
        row(with("status", "600"), "bad_status", "status"),
        row(with("status", "200.5"), "bad_status", "status"),
        row(with("status", "\"200\""), "wrong_type", "status"),
        row(with("error", "\"true\""), "wrong_type", "error"),
        row(with("latencyMs", "-1"), "bad_latency", "latencyMs"),
        row(with("latencyMs", "86400001"), "bad_latency", "latencyMs"),
        row(with("latencyMs", "\"12\""), "wrong_type", "latencyMs"),
        row(with("site", "\"Shop!\""), "bad_site", "site"),
        row(with("props", "[]"), "wrong_type", "props"),
        row(with("props", r#"{"a":{}}"#), "props_not_scalar", "props.a"),
        row(with("props", r#"{"a":null}"#), "props_not_scalar", "props.a"),
        row(with("props", r#"{"a":1,"a":2}"#), "props_duplicate_key", "props"),
        row(with("props", r#"{"":1}"#), "props_key_length", "props"),
        row(with("userId", r#""\ud800""#), "bad_text", ""),
        row(with("latencyMs", "1e999"), "bad_number", ""),
        row(with("status", "200,\"status\":201"), "duplicate_field", "status"),
        row("[1]", "not_an_object", ""),
        row("\"event\"", "not_an_object", ""),
        row(with("props", format!("{{\"a\":{}}}", text(17_000))), "event_too_large", ""),
    ];
    for id in ["eventId", "userId", "sessionId", "clientId"] {
        rows.push(row(with(id, text(129)), "too_long", id));
        rows.push(row(with(id, "\"\""), "empty", id));
        rows.push(row(with(id, "7"), "wrong_type", id));
    }
    rows
}

#[test]
fn a_refused_event_over_rest_is_a_problem_that_names_field_and_rule() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    for row in table() {
        if row.event.starts_with(['[', '"']) {
            continue; // Over REST an array is a batch; the socket's test has these.
        }
        let answer = daemon.post("application/json", &row.event);
        let problem = answer.json();
        let shown = &row.event[..row.event.len().min(80)];
        assert_eq!(
            (answer.status, problem["code"].as_str()),
            (400, Some(row.code)),
            "{shown}: {problem}"
        );
        assert_eq!(problem["field"].as_str(), row.field, "{shown}: {problem}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.len() > 10, "{detail}");
        if let Some(field) = row.field {
            assert!(detail.contains(field), "the sentence names the field: {detail}");
        }
    }
    let message =
        daemon.post("application/json", with("user_id", "\"u\"")).json()["detail"].clone();
    assert_eq!(message, "`user_id` is unknown; did you mean `userId`? extras go in `props`");
    assert_eq!(daemon.metric("pulseboard_events_accepted_total"), 0.0);
    let good = daemon.post("application/json", r#"{"type":"t","route":"/a/7?x=1"}"#);
    assert_eq!(good.status, 201, "{}", good.text());
    assert_eq!(good.json()["route"], "/a/:id");
}

#[test]
fn a_batch_gives_each_item_its_verdict_and_takes_the_good_ones() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let rows = table();
    let good = |id: &str| format!(r#"{{"eventId":"{id}","type":"t","route":"/good"}}"#);
    let mut items: Vec<String> = rows.iter().map(|row| row.event.clone()).collect();
    items.insert(0, good("a"));
    items.push(good("b"));
    items.push(good("a"));
    for (kind, body) in [
        ("application/json", format!("[{}]", items.join(","))),
        ("application/x-ndjson", items.join("\n")),
    ] {
        let answer = daemon.post(kind, body);
        let verdicts = answer.json();
        assert_eq!(answer.status, 200, "{verdicts}");
        let first = kind == "application/json";
        assert_eq!(verdicts["accepted"], if first { 2 } else { 0 }, "{verdicts}");
        assert_eq!(verdicts["duplicates"], if first { 1 } else { 3 });
        assert_eq!(verdicts["rejectedTotal"], rows.len());
        assert_eq!(verdicts["durable"], true);
        for (number, row) in rows.iter().enumerate() {
            let rejection = &verdicts["rejected"][number];
            assert_eq!(rejection["index"], number + 1);
            assert_eq!(rejection["code"], row.code, "{rejection}");
            assert_eq!(rejection["field"].as_str(), row.field, "{rejection}");
        }
    }
    let all_bad = daemon.post("application/json", r#"[{"type":"t"},{"route":"/"}]"#);
    assert_eq!((all_bad.status, all_bad.header("content-type")), (400, Some("application/json")));
    assert_eq!(all_bad.json()["rejectedTotal"], 2);
}

#[test]
fn what_is_not_a_body_of_events_is_answered_by_one_problem() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let deep = "[".repeat(100_000);
    let many = format!("[{}]", vec![r#"{"type":"t","route":"/"}"#; 10_001].join(","));
    let huge = vec![b' '; 8 * 1024 * 1024 + 1];
    let cases: Vec<(&str, &[u8], u16, &str)> = vec![
        ("application/json", b"[]", 400, "empty_batch"),
        ("application/x-ndjson", b"\n\n", 400, "empty_batch"),
        ("application/json", b"[{\"type\":\"t\",\"route\":\"/\"}", 400, "bad_json"),
        ("application/json", b"{\"type\":", 400, "bad_json"),
        ("application/json", b"\xff\xfe", 400, "bad_json"),
        ("application/json", deep.as_bytes(), 400, "bad_json"),
        ("application/json", many.as_bytes(), 413, "too_many_events"),
        ("application/json", &huge, 413, "body_too_large"),
        ("application/xml", b"<event/>", 415, "unsupported_media_type"),
    ];
    for (kind, body, status, code) in cases {
        let answer = daemon.post(kind, body);
        let problem = answer.json();
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!(
            (answer.status, problem["code"].as_str()),
            (status, Some(code)),
            "{shown}: {problem}"
        );
    }
    let gzip = "Content-Encoding: gzip\r\n";
    let bomb = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b' '; 64 * 1024 * 1024]).unwrap();
        encoder.finish().unwrap()
    };
    let answer = daemon.post_to("/api/events", "application/json", gzip, bomb);
    assert_eq!((answer.status, answer.json()["code"].as_str()), (413, Some("body_too_large")));
    let answer = daemon.post_to("/api/events", "application/json", gzip, b"not gzip at all");
    assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("bad_gzip")));
    let allowed = daemon
        .send("DELETE /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"");
    assert_eq!((allowed.status, allowed.header("allow")), (405, Some("GET, HEAD, OPTIONS, POST")));
    assert_eq!(daemon.get("/api/nothing").status, 404);
    for (query, code) in [
        ("/api/events?limit=0", "bad_number"),
        ("/api/events?limt=5", "unknown_parameter"),
        ("/api/events?from=soon", "bad_time"),
        ("/api/events?filter=colour=red", "bad_filter"),
        ("/api/events?cursor=zzz", "bad_cursor"),
        ("/api/aggregates?window=7s", "unknown_window"),
        ("/api/aggregates", "missing_parameter"),
        ("/api/history?from=-30d&step=1s", "step_too_fine"),
        ("/api/history?step=7x", "bad_step"),
        ("/api/routes?sort=size", "bad_sort"),
    ] {
        let answer = daemon.get(query);
        assert_eq!((answer.status, answer.json()["code"].as_str()), (422, Some(code)), "{query}");
    }
    assert_eq!(daemon.get("/health").status, 200);
}

#[tokio::test]
async fn a_refused_event_over_a_socket_has_the_same_verdict_and_the_socket_stays() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let url = format!("ws://{}/ws", daemon.address);
    let (mut socket, _) = connect_async(url).await.unwrap();
    let mut ask = async |message: String| -> Value {
        socket.send(Message::text(message)).await.unwrap();
        loop {
            let answer = socket.next().await.unwrap().unwrap();
            let Message::Text(answer) = answer else { continue };
            let answer: Value = serde_json::from_str(&answer).unwrap();
            if answer["op"] != "welcome" {
                return answer;
            }
        }
    };
    for (id, row) in table().into_iter().enumerate() {
        let publish = format!(r#"{{"op":"publish","id":{id},"events":[{}]}}"#, row.event);
        let ack = ask(publish).await;
        assert_eq!((&ack["op"], &ack["id"]), (&json!("ack"), &json!(id)), "{ack}");
        assert_eq!(ack["rejectedTotal"], 1, "{ack}");
        assert_eq!(ack["rejected"][0]["code"], row.code, "{ack}");
        assert_eq!(ack["rejected"][0]["field"].as_str(), row.field, "{ack}");
    }
    for (message, code) in [
        ("{", "bad_json"),
        (r#"{"op":"dance"}"#, "unknown_op"),
        (r#"{"op":"subscribe","rooms":["window:7s"]}"#, "unknown_room"),
        (r#"{"op":"subscribe","rooms":["tail"]}"#, "not_available"),
        (r#"{"op":"subscribe","rooms":["window:5s?filter=colour=red"]}"#, "bad_filter"),
        (r#"{"op":"publish","id":1,"events":[]}"#, "empty_batch"),
    ] {
        let answer = ask(message.to_owned()).await;
        assert_eq!(
            (&answer["op"], &answer["code"]),
            (&json!("error"), &json!(code)),
            "{message}: {answer}"
        );
    }
    let pong = ask(r#"{"op":"ping","id":9}"#.to_owned()).await;
    assert_eq!(pong, json!({"op": "pong", "id": 9}));
}
