//! Each limit that SIGHUP changes: it holds where it did not before and no longer does afterwards,
//! on sockets that stay open, and the neighbour misses nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Dial, Heard, Request, Socket, frame};
use crate::harness::{Edge, Expect};
use crate::support::eventually;
use crate::support::token::{self, SECRET, Signer};

const EVENT: &str = r#"{"type":"hostile","route":"/x"}"#;
/// Nothing is in anybody's way.
const WIDE: &str = "auth.secret_file = \"secret\"\nlimits.api_per_minute = 1000000\n";

fn with(more: &str) -> String {
    format!("{WIDE}{more}")
}

/// A token that may send as many as it likes.
fn sends() -> String {
    let claims =
        token::changed(token::claims("sender", "ingest read"), &json!({ "rate": 1_000_000 }));
    Signer::secret(SECRET).token(&claims)
}

fn reads() -> Dial {
    Dial::bearer(&token::good("reader", "read"))
}

fn post(body: &str) -> Request {
    Request::post("application/json", body).bearer(&sends())
}

fn events(count: usize) -> String {
    format!("[{}]", vec![EVENT; count].join(","))
}

fn publish(id: u32, events: &str) -> String {
    format!(r#"{{"op":"publish","id":{id},"events":{events}}}"#)
}

/// Reads these settings in the middle of a table.
fn reload(edge: &mut Edge, toml: &str, takes_effect: &[&str]) {
    edge.write("pulseboard.toml", toml);
    edge.row("a reload", |edge| {
        let said = edge.reload();
        let line = said.lines().find(|line| line.contains("now in effect: ")).unwrap_or_default();
        let missing: Vec<_> = takes_effect.iter().filter(|key| !line.contains(*key)).collect();
        if missing.is_empty() && !said.contains("need a restart") {
            Ok(())
        } else {
            Err(format!("{missing:?} is missing in {said}"))
        }
    });
}

/// Says something; the next message that is neither a frame nor a welcome.
fn ask(socket: &mut Socket, text: &str) -> Result<Value, String> {
    socket.say(text);
    reply(socket)
}

fn reply(socket: &mut Socket) -> Result<Value, String> {
    loop {
        match socket.hear() {
            Heard::Message(message)
                if matches!(message["op"].as_str(), Some("welcome" | "snapshot" | "delta")) => {}
            Heard::Message(message) => return Ok(message),
            other => return Err(format!("{other:?}")),
        }
    }
}

fn holds(value: &Value, wanted: &Value) -> Result<(), String> {
    let fits = wanted.as_object().unwrap().iter().all(|(name, field)| value[name] == *field);
    if fits { Ok(()) } else { Err(format!("expected {wanted}, heard {value}")) }
}

/// A row on a socket that is open: what is said, and what the answer holds.
fn says(edge: &mut Edge, name: &str, socket: &mut Socket, text: &str, wanted: &Value) {
    edge.row(name, |_| holds(&ask(socket, text)?, wanted));
}

#[test]
fn sizes_of_requests() {
    let mut edge = Edge::with_config(WIDE);
    let large = format!(r#"{{"type":"t","route":"/a","props":{{"a":"{}"}}}}"#, "x".repeat(300));
    let body = format!("{EVENT}{}", " ".repeat(1_024));
    let target = format!("/api/history?step=1s&{}", "x".repeat(300));
    let uri = Request::get(&target).bearer(&sends());
    let head = Request::get("/health").header("X-Pad", &"x".repeat(9_000));
    let narrow = with(
        "limits.event_bytes = 256\nlimits.body_bytes = \"1 KiB\"\nlimits.batch_events = 2\n\
         limits.uri_bytes = 256\nlimits.header_bytes = \"8 KiB\"\n",
    );
    let keys = ["event_bytes", "body_bytes", "batch_events", "uri_bytes", "header_bytes"];
    let mut socket = Dial::bearer(&sends()).open(edge.address()).unwrap();
    for round in ["before", "narrow", "after"] {
        let is_narrow = round == "narrow";
        let expect = |status, refused, code| {
            if is_narrow { Expect::problem(refused, code) } else { Expect::status(status) }
        };
        edge.rest(round, &post(&large), &expect(201, 400, "event_too_large"));
        edge.rest(round, &post(&body), &expect(201, 413, "body_too_large"));
        edge.rest(round, &post(&events(3)), &expect(200, 413, "too_many_events"));
        edge.rest(round, &head, &expect(200, 431, "headers_too_large"));
        // A parameter nobody knows is refused as well, by the one who reads it.
        edge.rest(round, &uri, &Expect::status(if is_narrow { 414 } else { 422 }));
        let (one, three) = if is_narrow {
            (json!({"op": "ack", "rejectedTotal": 1}), json!({"code": "too_many_events"}))
        } else {
            (json!({"op": "ack", "accepted": 1}), json!({"op": "ack", "accepted": 3}))
        };
        says(&mut edge, round, &mut socket, &publish(1, &format!("[{large}]")), &one);
        says(&mut edge, round, &mut socket, &publish(2, &events(3)), &three);
        match round {
            "before" => reload(&mut edge, &narrow, &keys),
            "narrow" => reload(&mut edge, WIDE, &keys),
            _ => {}
        }
    }
    edge.finish();
}

#[test]
fn times_and_bytes_in_work() {
    let mut edge = Edge::with_config(WIDE);
    let large = events(10_000);
    edge.rest("a large body", &post(&large), &Expect::status(200));
    reload(&mut edge, &with("limits.inflight_bytes = \"1 MiB\"\n"), &["inflight_bytes"]);
    let mut slow = TcpStream::connect(edge.address()).unwrap();
    edge.row("most of it is taken", |edge| {
        let bytes = post(&format!("{EVENT}{}", " ".repeat(950_000))).bytes(edge.address());
        slow.write_all(&bytes[..bytes.len() - 1]).unwrap();
        let request =
            Request::get("/metrics").bearer(&sends()).header("Accept", "application/json");
        eventually("its bytes are counted", || {
            let figures = request.send(edge.address()).unwrap().json();
            (figures["pulseboard_inflight_bytes"].as_f64() > Some(900_000.0)).then_some(())
        });
        Ok(())
    });
    edge.rest("a second body", &post(&large), &Expect::problem(503, "busy"));
    let short = with("limits.body_timeout = \"1s\"\nlimits.header_timeout = \"1s\"\n");
    reload(&mut edge, &short, &["inflight_bytes", "body_timeout", "header_timeout"]);
    edge.rest("a second body again", &post(&large), &Expect::status(200));
    edge.row("a body that does not end", |edge| {
        let bytes = post(EVENT).bytes(edge.address());
        let cut = Request::raw(&bytes[..bytes.len() - 1]);
        Expect::problem(408, "body_timeout").check(cut.send(edge.address()).as_ref())
    });
    edge.rest("a head that does not end", &Request::raw("GET / HTTP/1.1\r\n"), &Expect::closed());
    edge.row("what began before has the time it began with", |_| {
        slow.write_all(b" ").unwrap();
        let mut answer = String::new();
        let _ = slow.read_to_string(&mut answer);
        let is_taken = answer.starts_with("HTTP/1.1 201 ");
        if is_taken { Ok(()) } else { Err(answer) }
    });
    reload(&mut edge, WIDE, &["body_timeout", "header_timeout"]);
    edge.finish();
}

#[test]
fn messages_and_rooms_of_sockets_that_are_open() {
    let mut edge = Edge::with_config(WIDE);
    let reader = || reads().open(edge.address()).unwrap();
    let (mut stays, mut goes) = (reader(), reader());
    let mut sender = Dial::bearer(&sends()).open(edge.address()).unwrap();
    let mut too_much = Dial::bearer(&sends()).open(edge.address()).unwrap();
    let ping = |bytes: usize| format!(r#"{{"op":"ping","id":9,"pad":"{}"}}"#, "x".repeat(bytes));
    let pong = json!({"op": "pong", "id": 9});
    let padded = |bytes: usize| publish(3, &format!("[{EVENT}{}]", " ".repeat(bytes)));
    let ack = json!({"op": "ack", "id": 3, "accepted": 1});
    for socket in [&mut stays, &mut goes] {
        says(&mut edge, "a message", socket, &ping(2_000), &pong);
    }
    for socket in [&mut sender, &mut too_much] {
        says(&mut edge, "a publish", socket, &padded(8_000), &ack);
    }
    let subscribe = json!({"op": "subscribe", "rooms": ["window:1s"]}).to_string();
    stays.say(&subscribe);
    assert!(matches!(stays.hear_op("snapshot"), Heard::Message(_)));

    let narrow = with(
        "limits.frame_bytes = \"1 KiB\"\nlimits.publish_bytes = \"4 KiB\"\n\
         limits.rooms_per_socket = 1\nlimits.views = 0\nlimits.socket_inflight = 1\n",
    );
    let keys = ["frame_bytes", "publish_bytes", "rooms_per_socket", "views", "socket_inflight"];
    reload(&mut edge, &narrow, &keys);
    edge.row("clients are told", |_| match (stays.hear_op("welcome"), sender.hear_op("welcome")) {
        (Heard::Message(reader), Heard::Message(sender)) => {
            holds(&reader["limits"], &json!({"publishBytes": 1_024, "rooms": 1}))?;
            holds(&sender["limits"], &json!({"publishBytes": 4_096, "rooms": 1}))
        }
        other => Err(format!("{other:?}")),
    });
    says(&mut edge, "a short message", &mut stays, &ping(100), &pong);
    says(&mut edge, "a short publish", &mut sender, &padded(3_000), &ack);
    for (name, socket, text) in
        [("a message", &mut goes, ping(2_000)), ("a publish", &mut too_much, padded(8_000))]
    {
        socket.say(&text);
        edge.row(name, |_| {
            loop {
                match socket.hear() {
                    Heard::Message(message) if message["op"] == "welcome" => {}
                    Heard::Close(Some(1009), _) => return Ok(()),
                    other => return Err(format!("{other:?}")),
                }
            }
        });
    }
    let second = json!({"op": "subscribe", "rooms": ["window:5s"]}).to_string();
    let too_many = json!({"op": "error", "room": "window:5s", "code": "too_many_rooms"});
    says(&mut edge, "a second room", &mut stays, &second, &too_many);
    let view = r#"{"op":"subscribe","rooms":["window:1s?filter=route=/x"]}"#;
    let mut viewer = reads().open(edge.address()).unwrap();
    says(&mut edge, "a view", &mut viewer, view, &json!({"code": "too_many_views"}));
    let burst = [publish(1, &events(1)), publish(2, &events(1)), ping(1)]
        .map(|text| frame(0x81, text.as_bytes()))
        .concat();
    let order = |socket: &mut Socket| -> Result<Vec<String>, String> {
        let op = |message: Value| message["op"].as_str().unwrap_or_default().to_owned();
        socket.bytes(&burst);
        (0..3).map(|_| reply(socket).map(op)).collect()
    };
    edge.row("a publish at a time", |_| match &*order(&mut sender)? {
        [first, second, third] if (&**first, &**second, &**third) == ("ack", "ack", "pong") => {
            Ok(())
        }
        other => Err(format!("{other:?}")),
    });

    reload(&mut edge, WIDE, &keys);
    says(&mut edge, "a message again", &mut stays, &ping(2_000), &pong);
    says(&mut edge, "a publish again", &mut sender, &padded(8_000), &ack);
    edge.row("several publishes at a time", |_| match &*order(&mut sender)? {
        [first, ..] if first == "pong" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    for (name, socket, text) in
        [("a second room", &mut stays, &*second), ("a view", &mut viewer, view)]
    {
        socket.say(text);
        edge.row(name, |_| {
            loop {
                match socket.hear() {
                    Heard::Message(message) if message["op"] == "snapshot" => return Ok(()),
                    Heard::Message(message) if message["op"] != "error" => {}
                    other => return Err(format!("{other:?}")),
                }
            }
        });
    }
    edge.finish();
}

#[test]
fn how_many_sockets_and_where_their_tokens_may_stand() {
    // The neighbour has one.
    let mut edge = Edge::with_config(WIDE);
    let mine = reads().open(edge.address()).unwrap();
    for (key, status, code) in [
        ("sockets", 503, "too_many_sockets"),
        ("sockets_per_address", 429, "too_many_sockets_of_address"),
    ] {
        reload(&mut edge, &with(&format!("limits.{key} = 1\n")), &[key]);
        edge.row(code, |edge| match reads().open(edge.address()) {
            Ok(_) => Err("a third socket".to_owned()),
            Err(answer) => Expect::problem(status, code).check(Some(&answer)),
        });
        reload(&mut edge, WIDE, &[key]);
        edge.row("and again", |edge| {
            reads().open(edge.address()).map(drop).map_err(|no| no.text())
        });
    }
    let queried = || Dial::query(&token::good("reader", "read"));
    let off = |edge: &Edge| match queried().open(edge.address()) {
        Ok(_) => Err("a socket".to_owned()),
        Err(answer) => Expect::problem(401, "query_token_off").check(Some(&answer)),
    };
    let key = "auth.allow_query_token";
    edge.row("in the query", off);
    reload(&mut edge, &with("auth.allow_query_token = true\n"), &[key]);
    edge.row("when it may", |edge| {
        queried().open(edge.address()).map(drop).map_err(|no| no.text())
    });
    reload(&mut edge, WIDE, &[key]);
    edge.row("when it no longer may", off);
    drop(mine);
    edge.finish();
}

fn is_served(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0)
}

fn comes(what: &str, stream: &mut TcpStream) {
    eventually(what, || is_served(stream).then_some(()));
}

#[test]
fn how_many_connections() {
    // The neighbour has two.
    let mut edge = Edge::with_config(WIDE);
    let ask = |edge: &Edge| {
        let mut stream = TcpStream::connect(edge.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream
    };
    let mut first = ask(&edge);
    comes("one without a limit", &mut first);
    reload(&mut edge, &with("limits.connections = 3\n"), &["connections"]);
    let mut second = ask(&edge);
    edge.row("a second has to wait", |_| {
        if is_served(&mut second) { Err("it was served".to_owned()) } else { Ok(()) }
    });
    reload(&mut edge, &with("limits.connections = 4\n"), &["connections"]);
    comes("its turn, though none ended", &mut second);
    reload(&mut edge, &with("limits.connections = 3\n"), &["connections"]);
    let mut third = ask(&edge);
    drop(first);
    edge.row("one that ends makes no room where there are too many", |_| {
        if is_served(&mut third) { Err("it was served".to_owned()) } else { Ok(()) }
    });
    drop(second);
    comes("the turn of the third", &mut third);
    reload(&mut edge, WIDE, &["connections"]);
    edge.finish();
}
