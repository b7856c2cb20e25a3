//! The limits of the contract's table, each met over REST and, where it holds there, over a socket:
//! its answer, its metric, and that it is over when it is over.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Dial, Heard, Request, Socket, frame};
use crate::harness::{Edge, Expect, Meets};
use crate::support::token::{self, Signer};
use crate::support::{Answer, eventually, try_parse};

const JSON: &str = "application/json";
/// Calls a minute where they are few: one more every ten seconds, so that no table is slow enough
/// to be given any.
const CALLS: u32 = 6;
const EVENT: &str = r#"{"type":"hostile","route":"/x"}"#;

fn events(count: usize) -> String {
    format!("[{}]", vec![EVENT; count].join(","))
}

/// A token that may send, of a subject of its own, with a rate of its own if there is one.
fn ingest(subject: &str, rate: Option<u32>) -> String {
    let claims = token::changed(token::claims(subject, "ingest"), &json!({ "rate": rate }));
    Signer::secret(token::SECRET).token(&claims)
}

fn post(token: &str, body: impl AsRef<[u8]>) -> Request {
    Request::post(JSON, body).bearer(token)
}

fn publish(id: u32, events: &str) -> String {
    format!(r#"{{"op":"publish","id":{id},"events":{events}}}"#)
}

fn figure(edge: &Edge, name: &str) -> f64 {
    let request = Request::get("/metrics").bearer(&token::good("figures", "read"));
    let answer = request.header("Accept", JSON).send(edge.address()).expect("an answer");
    answer.json()[name].as_f64().unwrap_or_default()
}

fn is_true(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("not so: {what}")) }
}

fn is_counted(edge: &mut Edge, name: &str) {
    edge.row(name, |edge| is_true(figure(edge, name) >= 1.0, "it is counted"));
}

fn open(edge: &Edge, dial: &Dial) -> Result<Socket, String> {
    dial.open(edge.address()).map_err(|answer| format!("{}\n{}", answer.head, answer.text()))
}

fn send(edge: &Edge, request: &Request) -> Result<Answer, String> {
    request.send(edge.address()).ok_or_else(|| "no answer".to_owned())
}

/// The next message that is an answer, not a frame.
fn reply(socket: &mut Socket) -> Result<Value, String> {
    loop {
        match socket.hear() {
            Heard::Message(message) if message["op"] == "welcome" => {}
            Heard::Message(message) => return Ok(message),
            other => return Err(format!("{other:?}")),
        }
    }
}

/// Says something, and whether the answer has these fields.
fn meets(socket: &mut Socket, text: &str, wanted: &Value) -> Result<Value, String> {
    socket.say(text);
    let heard = reply(socket)?;
    let holds = wanted.as_object().unwrap().iter().all(|(name, value)| heard[name] == *value);
    if holds { Ok(heard) } else { Err(format!("expected {wanted}, heard {heard}")) }
}

#[test]
fn calls_a_minute() {
    let mut edge = Edge::start(&[("PULSEBOARD_LIMITS__API_PER_MINUTE", &CALLS.to_string())]);
    let asked = |subject: &str| {
        Request::get("/api/aggregates?window=1s").bearer(&token::good(subject, "read"))
    };
    for left in (0..CALLS).rev() {
        let expect = Expect::status(200)
            .header("ratelimit-policy", "\"calls\";q=6;w=60")
            .header("ratelimit", &format!("\"calls\";r={left};t=10"));
        edge.rest(&format!("{left} are left"), &asked("ada"), &expect);
    }
    let refused = Expect::problem(429, "rate_limited")
        .header("ratelimit-policy", "\"calls\";q=6;w=60")
        .header("ratelimit", "\"calls\";r=0;t=")
        .header("retry-after", "");
    edge.rest("one too many", &asked("ada"), &refused);
    edge.rest("another subject", &asked("bob"), &Expect::status(200));
    let wrong = asked("eve").header("X-Pad", "1");
    edge.rest("whatever the headers", &wrong, &Expect::status(200));
    for n in 0..2 * CALLS {
        let sent = post(&token::good("ada", "ingest"), EVENT);
        edge.rest(&format!("post {n} is none"), &sent, &Expect::status(201));
        edge.rest(&format!("health {n} is none"), &Request::get("/health"), &Expect::status(200));
    }
    let nameless = Request::get("/api/events");
    let forged = Request::get("/api/events").bearer("a.b.c");
    for n in 0..CALLS / 2 {
        let unauthorized = Expect::problem(401, "unauthorized");
        edge.rest(&format!("without a token, {n}"), &nameless, &unauthorized);
        edge.rest(&format!("a forged token, {n}"), &forged, &Expect::status(401));
    }
    edge.rest("without a token once too often", &nameless, &refused);
    edge.rest("a forged token once too often", &forged, &refused);
    let sent = post("a.b.c", EVENT);
    edge.rest("a forged token with events", &sent, &Expect::problem(429, "rate_limited"));
    edge.row("a forged token on a socket", |edge| {
        match Dial::bearer("a.b.c").open(edge.address()) {
            Ok(_) => Err("a socket".to_owned()),
            Err(answer) => Expect::problem(429, "rate_limited").check(Some(&answer)),
        }
    });
    edge.rest("a good token from the same address", &asked("carl"), &Expect::status(200));
    is_counted(&mut edge, r#"pulseboard_rate_limited_total{limit="api_per_minute"}"#);
    is_counted(&mut edge, r#"pulseboard_requests_refused_total{code="rate_limited"}"#);
    edge.finish();
}

#[test]
fn bad_tokens_in_messages_are_calls_of_their_address() {
    let mut edge = Edge::start(&[("PULSEBOARD_LIMITS__API_PER_MINUTE", &CALLS.to_string())]);
    let auth = |token: &str| [json!({"op": "auth", "token": token}).to_string()];
    let (plain, bad) = (Dial::plain(), auth("a.b.c"));
    for n in 0..CALLS {
        let ended = Meets::Ended("token_malformed", 1008);
        edge.socket(&format!("try {n}"), &plain, &bad, &ended);
    }
    edge.socket("one too many", &plain, &bad, &Meets::Ended("rate_limited", 1008));
    let refused = Expect::problem(429, "rate_limited");
    edge.rest("the same over REST", &Request::get("/api/events").bearer("a.b.c"), &refused);
    let good = auth(&token::good("ann", "read"));
    edge.socket("a good one", &plain, &good, &Meets::Welcome("ok", "read"));
    is_counted(&mut edge, r#"pulseboard_sockets_refused_total{code="token_malformed"}"#);
    is_counted(&mut edge, r#"pulseboard_sockets_refused_total{code="rate_limited"}"#);
    edge.finish();
}

#[test]
fn addresses_behind_a_trusted_proxy() {
    let mut edge = Edge::start(&[
        ("PULSEBOARD_LIMITS__API_PER_MINUTE", &CALLS.to_string()),
        ("PULSEBOARD_LIMITS__SOCKETS_PER_ADDRESS", "2"),
        ("PULSEBOARD_SERVER__TRUSTED_PROXIES", "127.0.0.0/8"),
    ]);
    let from = |hops: &str| Request::get("/api/events").header("X-Forwarded-For", hops);
    let (refused, unauthorized) =
        (Expect::problem(429, "rate_limited"), Expect::problem(401, "unauthorized"));
    for n in 0..CALLS {
        let spoofed = format!("198.51.100.{n}, 203.0.113.9");
        edge.rest(&format!("try {n}"), &from(&spoofed), &unauthorized);
    }
    edge.rest("one too many", &from("203.0.113.9"), &refused);
    edge.rest("what stands left of it is no help", &from("1.2.3.4, 203.0.113.9"), &refused);
    edge.rest("nor an inner proxy", &from("203.0.113.9, 127.0.0.5"), &refused);
    edge.rest("nor a port", &from("203.0.113.9:4711"), &refused);
    edge.rest("nor IPv6", &from("::ffff:203.0.113.9"), &refused);
    edge.rest("another address", &from("203.0.113.10"), &unauthorized);
    let forwarded = from("203.0.113.9").header("Forwarded", "for=203.0.113.11");
    edge.rest("Forwarded is not read", &forwarded, &refused);
    for n in 0..CALLS {
        let address = format!("2001:db8:1:2::{n:x}");
        edge.rest(&address, &from(&address), &unauthorized);
    }
    edge.rest("the same /64", &from("2001:db8:1:2:ffff::1"), &refused);
    edge.rest("another /64", &from("2001:db8:1:3::1"), &unauthorized);
    edge.row("sockets are counted by address too", |edge| {
        let dial = |address: &str| {
            Dial::bearer(&token::good("watch", "read")).header("X-Forwarded-For", address)
        };
        let mine = [open(edge, &dial("203.0.113.20"))?, open(edge, &dial("203.0.113.20"))?];
        let Err(third) = dial("1.2.3.4, 203.0.113.20").open(edge.address()) else {
            return Err("a third socket".to_owned());
        };
        let too_many = Expect::problem(429, "too_many_sockets_of_address");
        too_many.header("retry-after", "").check(Some(&third))?;
        let other = open(edge, &dial("203.0.113.21"))?;
        drop((mine, other));
        Ok(())
    });
    edge.finish();
}

#[test]
fn a_header_from_a_stranger_is_ignored_and_told_of_once() {
    let mut edge = Edge::start(&[("PULSEBOARD_LIMITS__API_PER_MINUTE", &CALLS.to_string())]);
    for n in 0..2 * CALLS {
        let request = Request::get("/api/events").header("X-Forwarded-For", &format!("1.2.3.{n}"));
        let (status, code) = if n < CALLS { (401, "unauthorized") } else { (429, "rate_limited") };
        edge.rest(&format!("try {n}"), &request, &Expect::problem(status, code));
    }
    edge.row("the log", |edge| {
        let told = || {
            let log = edge.daemon.stderr();
            log.matches("add \"127.0.0.1\" to server.trusted_proxies").count()
        };
        eventually("it is told of", || (told() > 0).then_some(()));
        is_true(told() == 1, "told of once")
    });
    edge.finish();
}

#[test]
fn events_a_second_of_a_token() {
    let mut edge = Edge::start(&[("PULSEBOARD_LIMITS__INGEST_EVENTS_PER_SECOND", "200")]);
    let mine = ingest("mine", None);
    let burst = Expect::problem(429, "batch_exceeds_burst").without("retry-after");
    edge.rest("more than ever fit", &post(&mine, events(201)), &burst);
    edge.row("two seconds' worth in one", |edge| {
        // A machine that stands still for a second fills the bucket meanwhile.
        for _ in 0..10 {
            let first = send(edge, &post(&mine, events(200)))?;
            let second = send(edge, &post(&mine, events(200)))?;
            if second.status == 429 {
                let fields = "\"events\";q=200;w=1;pulseboard-unit=\"events\"";
                return Expect::problem(429, "rate_limited")
                    .header("retry-after", "1")
                    .header("ratelimit-policy", fields)
                    .header("ratelimit", "\"events\";r=0;t=1")
                    .check(Some(&second));
            }
            is_true(first.status == 200 || first.status == 429, "taken or limited")?;
        }
        Err("never refused".to_owned())
    });
    edge.rest("another subject", &post(&ingest("other", None), events(200)), &Expect::status(200));
    let own = ingest("own", Some(5));
    let fields = Expect::status(200).header("ratelimit-policy", "\"events\";q=5;w=1");
    edge.rest("a rate of its own", &post(&own, events(5)), &fields);
    edge.rest("more than its own rate", &post(&own, events(6)), &burst);
    let rich = ingest("rich", Some(5_000));
    edge.rest("a higher rate of its own", &post(&rich, events(3_000)), &Expect::status(200));
    edge.row("the same over a socket", |edge| {
        let mut socket = open(edge, &Dial::bearer(&ingest("on a socket", Some(500))))?;
        let wanted = json!({"op": "error", "id": 1, "code": "batch_exceeds_burst"});
        meets(&mut socket, &publish(1, &events(501)), &wanted)?;
        let wanted = json!({"op": "ack", "id": 2, "accepted": 500});
        meets(&mut socket, &publish(2, &events(500)), &wanted)?;
        for id in 3..13 {
            socket.say(&publish(id, &events(500)));
            let heard = reply(&mut socket)?;
            if heard["code"] == "rate_limited" {
                return is_true(heard["retryAfterMs"].as_u64() > Some(0), "when to come back");
            }
        }
        Err("never refused".to_owned())
    });
    is_counted(&mut edge, r#"pulseboard_rate_limited_total{limit="ingest_events_per_second"}"#);
    is_counted(&mut edge, r#"pulseboard_publishes_refused_total{code="rate_limited"}"#);
    edge.finish();
}

#[test]
fn events_a_second_of_a_socket() {
    let mut edge = Edge::start(&[
        ("PULSEBOARD_LIMITS__SOCKET_EVENTS_PER_SECOND", "1"),
        ("PULSEBOARD_LIMITS__SOCKET_EVENTS_BURST", "100"),
    ]);
    let mine = ingest("mine", None);
    edge.row("more than ever fit", |edge| {
        let mut socket = open(edge, &Dial::bearer(&mine))?;
        let wanted = json!({"op": "error", "id": 1, "code": "batch_exceeds_burst"});
        meets(&mut socket, &publish(1, &events(101)), &wanted).map(drop)
    });
    edge.row("one too many in a group takes no other with it", |edge| {
        let mut socket = open(edge, &Dial::bearer(&mine))?;
        let frames = [(1, 60), (2, 60), (3, 30)]
            .map(|(id, count)| frame(0x81, publish(id, &events(count)).as_bytes()));
        socket.bytes(&frames.concat());
        let heard = [reply(&mut socket)?, reply(&mut socket)?, reply(&mut socket)?];
        let said = heard.each_ref().map(|message| {
            (message["id"].as_u64(), message["accepted"].as_u64(), message["code"].as_str())
        });
        let wanted = [
            (Some(1), Some(60), None),
            (Some(2), None, Some("rate_limited")),
            (Some(3), Some(30), None),
        ];
        is_true(said == wanted, &format!("{wanted:?}: {said:?}"))?;
        is_true(heard[1]["retryAfterMs"].as_u64() > Some(1_000), "when to come back")?;
        let wanted = json!({"op": "pong", "id": 9});
        meets(&mut socket, r#"{"op":"ping","id":9}"#, &wanted).map(drop)
    });
    edge.row("another socket of the same token", |edge| {
        let mut socket = open(edge, &Dial::bearer(&mine))?;
        let wanted = json!({"op": "ack", "accepted": 100});
        meets(&mut socket, &publish(1, &events(100)), &wanted)?;
        let auth = format!(r#"{{"op":"auth","token":"{}"}}"#, ingest("mine", None));
        socket.say(&auth);
        let wanted = json!({"op": "error", "id": 2, "code": "rate_limited"});
        meets(&mut socket, &publish(2, &events(100)), &wanted).map(drop)
    });
    edge.row("a token with a rate of its own", |edge| {
        let mut socket = open(edge, &Dial::bearer(&ingest("own", Some(2_000))))?;
        let wanted = json!({"op": "ack", "accepted": 2_000});
        meets(&mut socket, &publish(1, &events(2_000)), &wanted).map(drop)
    });
    let sent = post(&mine, events(2_000));
    edge.rest("REST knows nothing of a socket's limit", &sent, &Expect::status(200));
    is_counted(&mut edge, r#"pulseboard_rate_limited_total{limit="socket_events_per_second"}"#);
    is_counted(&mut edge, r#"pulseboard_publishes_refused_total{code="batch_exceeds_burst"}"#);
    edge.finish();
}

#[test]
fn sizes_and_counts() {
    let mut edge = Edge::start(&[
        ("PULSEBOARD_LIMITS__EVENT_BYTES", "1 KiB"),
        ("PULSEBOARD_LIMITS__BATCH_EVENTS", "10"),
        ("PULSEBOARD_LIMITS__BODY_BYTES", "64 KiB"),
        ("PULSEBOARD_LIMITS__FRAME_BYTES", "2 KiB"),
        ("PULSEBOARD_LIMITS__PUBLISH_BYTES", "64 KiB"),
        ("PULSEBOARD_LIMITS__ROOMS_PER_SOCKET", "2"),
    ]);
    let (sends, reads) = (ingest("mine", None), token::good("mine", "read"));
    let large = format!(r#"{{"type":"t","route":"/a","props":{{"a":"{}"}}}}"#, "x".repeat(1_000));
    edge.rest("an event", &post(&sends, &large), &Expect::problem(400, "event_too_large"));
    edge.rest("events", &post(&sends, events(11)), &Expect::problem(413, "too_many_events"));
    let lines =
        Request::post("application/x-ndjson", format!("{EVENT}\n").repeat(11)).bearer(&sends);
    edge.rest("lines", &lines, &Expect::problem(413, "too_many_events"));
    let too_large = Expect::problem(413, "body_too_large");
    edge.rest("a body", &post(&sends, " ".repeat(64 * 1024 + 1)), &too_large);
    edge.row("the same over a socket", |edge| {
        let mut socket = open(edge, &Dial::bearer(&sends))?;
        let heard = meets(
            &mut socket,
            &publish(1, &format!("[{large},{EVENT}]")),
            &json!({"op": "ack", "accepted": 1, "rejectedTotal": 1}),
        )?;
        is_true(heard["rejected"][0]["code"] == "event_too_large", "which it was")?;
        let wanted = json!({"op": "error", "id": 2, "code": "too_many_events"});
        meets(&mut socket, &publish(2, &events(11)), &wanted).map(drop)
    });
    let too_big = |dial: Dial, bytes: usize| {
        move |edge: &Edge| {
            let mut socket = open(edge, &dial)?;
            socket.say(&format!(r#"{{"op":"ping","id":9,"pad":"{}"}}"#, "x".repeat(bytes)));
            loop {
                match socket.hear() {
                    Heard::Message(message) if message["op"] == "welcome" => {}
                    Heard::Close(Some(1009), _) => return Ok(()),
                    other => return Err(format!("{other:?}")),
                }
            }
        }
    };
    edge.row("a frame of a reader", too_big(Dial::bearer(&reads), 2 * 1024));
    edge.row("a frame of a sender", too_big(Dial::bearer(&sends), 64 * 1024));
    edge.row("rooms", |edge| {
        let mut socket = open(edge, &Dial::bearer(&reads))?;
        let rooms = r#"{"op":"subscribe","rooms":["window:1s","window:5s","window:60s"]}"#;
        socket.say(rooms);
        match socket.hear_op("error") {
            Heard::Message(message) => is_true(
                message["code"] == "too_many_rooms" && message["room"] == "window:60s",
                "the third is too many",
            ),
            other => Err(format!("{other:?}")),
        }
    });
    is_counted(&mut edge, r#"pulseboard_events_rejected_total{code="event_too_large"}"#);
    is_counted(&mut edge, r#"pulseboard_requests_refused_total{code="body_too_large"}"#);
    is_counted(&mut edge, r#"pulseboard_publishes_refused_total{code="too_many_events"}"#);
    edge.finish();
}

#[test]
fn bytes_being_worked_on_have_one_bound_for_all_ways_in() {
    let mut edge = Edge::start(&[("PULSEBOARD_LIMITS__INFLIGHT_BYTES", "1 MiB")]);
    let sends = ingest("mine", Some(100_000));
    let held = 950_000;
    let mut slow = TcpStream::connect(edge.address()).unwrap();
    edge.row("a body that is not complete", |edge| {
        let body = format!("{EVENT}{}", " ".repeat(held + 1 - EVENT.len()));
        let bytes = post(&sends, body).bytes(edge.address());
        slow.write_all(&bytes[..bytes.len() - 1]).unwrap();
        eventually("its bytes are counted", || {
            (figure(edge, "pulseboard_inflight_bytes") >= held as f64).then_some(())
        });
        Ok(())
    });
    let large = events(4_000);
    let busy = Expect::problem(503, "busy").header("retry-after", "1");
    edge.rest("a second body", &post(&sends, &large), &busy);
    edge.rest("a small one", &post(&sends, EVENT), &Expect::status(201));
    edge.row("a publish", |edge| {
        let mut socket = open(edge, &Dial::bearer(&sends))?;
        let wanted = json!({"op": "error", "id": 1, "code": "busy"});
        let heard = meets(&mut socket, &publish(1, &large), &wanted)?;
        is_true(heard["retryAfterMs"].as_u64() > Some(0), "when to come back")?;
        meets(&mut socket, &publish(2, &events(1)), &json!({"op": "ack", "id": 2})).map(drop)
    });
    edge.row("the first body, when it is complete", |_| {
        slow.write_all(b" ").unwrap();
        let mut answer = Vec::new();
        let _ = slow.read_to_end(&mut answer);
        Expect::status(201).check(try_parse(&answer).as_ref())
    });
    edge.rest("the second again", &post(&sends, &large), &Expect::status(200));
    edge.row("nothing stays reserved", |edge| {
        eventually("all is given back", || {
            (figure(edge, "pulseboard_inflight_bytes") < 10_000.0).then_some(())
        });
        Ok(())
    });
    is_counted(&mut edge, r#"pulseboard_requests_refused_total{code="busy"}"#);
    is_counted(&mut edge, r#"pulseboard_publishes_refused_total{code="busy"}"#);
    edge.finish();
}

#[test]
fn sockets_of_all_and_of_one_address() {
    // The neighbour has one.
    for (setting, status, code) in [
        ("PULSEBOARD_LIMITS__SOCKETS", 503, "too_many_sockets"),
        ("PULSEBOARD_LIMITS__SOCKETS_PER_ADDRESS", 429, "too_many_sockets_of_address"),
    ] {
        let mut edge = Edge::start(&[(setting, "2")]);
        edge.row(code, |edge| {
            let dial = Dial::bearer(&token::good("mine", "read"));
            let socket = open(edge, &dial)?;
            let Err(refused) = dial.open(edge.address()) else {
                return Err("a third socket".to_owned());
            };
            Expect::problem(status, code).header("retry-after", "5").check(Some(&refused))?;
            drop(socket);
            eventually("there is room again", || dial.open(edge.address()).ok());
            Ok(())
        });
        is_counted(&mut edge, &format!("pulseboard_requests_refused_total{{code=\"{code}\"}}"));
        edge.finish();
    }
}

#[test]
fn connections() {
    // The neighbour has two.
    let mut edge = Edge::start(&[("PULSEBOARD_LIMITS__CONNECTIONS", "4")]);
    edge.row("past the limit none is accepted until one ends", |edge| {
        let connect = || {
            let stream = TcpStream::connect(edge.address()).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            stream
        };
        let hello = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut held: Vec<TcpStream> = (0..2).map(|_| connect()).collect();
        for stream in &mut held {
            stream.write_all(hello).unwrap();
            let mut some = [0; 1024];
            eventually("it is served", || stream.read(&mut some).ok().filter(|read| *read > 0));
        }
        let mut waiting = connect();
        waiting.write_all(hello).unwrap();
        let mut some = [0; 1024];
        is_true(waiting.read(&mut some).is_err(), "it has to wait")?;
        drop(held);
        eventually("its turn comes", || waiting.read(&mut some).ok().filter(|read| *read > 0));
        Ok(())
    });
    edge.finish();
}
