//! `GET /api/export` as a client meets it: every matching event and no other, in both formats,
//! whole or visibly not whole.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use support::{Answer, Daemon, eventually};

const EVENTS: usize = 2_500;

/// Events of two types on five routes, every tenth with a text like a formula.
fn fill(daemon: &Daemon) {
    let mut body = String::new();
    for index in 0..EVENTS {
        let kind = if index % 2 == 0 { "view" } else { "click" };
        let user = if index % 10 == 0 { "=1+1" } else { "u" };
        let _ = writeln!(
            body,
            "{{\"eventId\":\"e{index}\",\"type\":\"{kind}\",\"route\":\"/r{}\",\"status\":200,\
             \"userId\":\"{user}\",\"latencyMs\":{}.5,\"props\":{{\"b\":\"x,y\",\"a\":{index}}}}}",
            index % 5,
            index % 100,
        );
    }
    let answer = daemon.post("application/x-ndjson", body);
    assert_eq!(answer.json()["accepted"], EVENTS);
}

fn lines(answer: &Answer) -> Vec<Value> {
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// All pages of `GET /api/events`, oldest stored first.
fn pages(daemon: &Daemon, query: &str) -> Vec<Value> {
    let mut events = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = daemon.get(&format!("/api/events?limit=1000{query}{cursor}")).json();
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    events.reverse();
    events
}

#[test]
fn an_export_holds_exactly_the_events_that_match() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    fill(&daemon);

    let all = daemon.get("/api/export");
    assert_eq!(all.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(all.header("cache-control"), Some("no-store"));
    let name = all.header("content-disposition").unwrap();
    assert!(name.starts_with("attachment; filename=\"pulseboard-"), "{name}");
    assert!(name.ends_with("Z.ndjson\""), "{name}");
    assert_eq!(lines(&all), pages(&daemon, ""));

    let clicks = lines(&daemon.get("/api/export?filter=type=click%20route=/r1"));
    assert_eq!(clicks.len(), EVENTS / 10);
    assert_eq!(clicks, pages(&daemon, "&type=click&route=/r1"));

    let middle = clicks[100]["timestamp"].as_i64().unwrap() + 1;
    let before = lines(&daemon.get(&format!("/api/export?to={middle}")));
    let after = lines(&daemon.get(&format!("/api/export?from={middle}")));
    assert_eq!(before.len() + after.len(), EVENTS);
    assert_eq!(
        daemon.get("/api/export?from=2000-01-01T00:00:00Z&to=2000-01-02T00:00:00Z").body,
        b""
    );
}

#[test]
fn a_csv_file_has_a_header_and_a_row_an_event() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    fill(&daemon);
    let answer = daemon.get("/api/export?format=csv");
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    let events = pages(&daemon, "");
    let mut reader = csv::Reader::from_reader(&answer.body[..]);
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), events.len());
    for (row, event) in rows.iter().zip(&events) {
        assert_eq!(row["eventId"], event["eventId"].as_str().unwrap());
        assert_eq!(row["latencyMs"].parse::<f64>().unwrap(), event["latencyMs"].as_f64().unwrap());
        assert_eq!(serde_json::from_str::<Value>(&row["props"]).unwrap(), event["props"]);
        let user = event["userId"].as_str().unwrap();
        let expected = if user == "u" { "u" } else { "'=1+1" };
        assert_eq!(row["userId"], expected);
        assert_eq!(row["error"], "");
    }
}

#[test]
fn an_export_is_packed_when_accepted_and_head_sends_headers_alone() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    fill(&daemon);
    let plain = daemon.get("/api/export");
    let head = |method: &str, more: &str| {
        daemon.send(
            &format!(
                "{method} /api/export HTTP/1.1\r\nHost: localhost\r\n{more}Connection: close\r\n\r\n"
            ),
            b"",
        )
    };
    let packed = head("GET", "Accept-Encoding: gzip\r\n");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < plain.body.len() / 4);
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain.body);

    let alone = head("HEAD", "");
    assert_eq!((alone.status, alone.body.len()), (200, 0));
    assert_eq!(alone.header("content-type"), Some("application/x-ndjson"));
    let refused = daemon.get("/api/export?format=xlsx");
    assert_eq!((refused.status, &refused.json()["code"]), (422, &Value::from("bad_format")));
    let refused = daemon.get("/api/export?filter=color%3Dred");
    assert_eq!((refused.status, &refused.json()["code"]), (422, &Value::from("bad_filter")));
}

#[test]
fn the_end_says_how_many_events_the_file_has() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    fill(&daemon);
    let raw = raw(&daemon, "TE: trailers\r\n").1;
    let tail = String::from_utf8_lossy(&raw[raw.len() - 80..]).to_ascii_lowercase();
    assert!(tail.contains("\r\n0\r\npulseboard-events: 2500\r\n"), "{tail}");
    assert!(tail.contains("pulseboard-missed: 0\r\n\r\n"), "{tail}");
}

fn raw(daemon: &Daemon, more: &str) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let request =
        format!("GET /api/export HTTP/1.1\r\nHost: localhost\r\n{more}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    (stream, bytes)
}

#[test]
fn a_client_that_does_not_read_is_cut_off_visibly_when_the_daemon_stops() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    // More than the buffers of a connection hold.
    let wide = "w".repeat(8_000);
    for _ in 0..20 {
        let line =
            format!("{{\"type\":\"t\",\"route\":\"/\",\"props\":{{\"wide\":\"{wide}\"}}}}\n");
        let lines = line.repeat(200);
        assert_eq!(daemon.post("application/x-ndjson", lines).json()["accepted"], 200);
    }
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream.write_all(b"GET /api/export HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    eventually("the export is under way", || {
        (daemon.metric("pulseboard_exports") == 1.0).then_some(())
    });
    assert_eq!(daemon.terminate(), Some(0));
    let mut rest = Vec::new();
    // The connection may be reset; what counts is that no end was sent.
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < 20 * 200 * 8_000);
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a cut file looks whole");
}
