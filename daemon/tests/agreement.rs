//! Everyone who watches a room sees the same numbers for the same tick, corrections by late events
//! included: two of our own clients, and one in another language that shares no code with us.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use futures_util::{SinkExt, StreamExt};
use pulseboard::wire;
use serde_json::{Value, json};
use support::{Daemon, now_ms};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const FRAMES: usize = 9;
const ROOM: &str = "window:5s";

/// What a watcher held at the end: the aggregate by tick, and its last history by tick.
#[derive(Default)]
struct Seen {
    aggregates: BTreeMap<i64, Value>,
    history: BTreeMap<i64, Value>,
}

fn overwrite(history: &mut BTreeMap<i64, Value>, columns: &Value) {
    for (at, tick) in columns["tick"].as_array().unwrap().iter().enumerate() {
        let values =
            ["events", "activeUsers", "errors", "p95"].map(|name| columns[name][at].clone());
        history.insert(tick.as_i64().unwrap(), json!(values));
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A socket on its way into the room.
async fn join(url: &str) -> Socket {
    let (mut socket, _) = connect_async(url).await.unwrap();
    let subscribe = json!({"op": "subscribe", "rooms": [ROOM]}).to_string();
    socket.send(Message::text(subscribe)).await.unwrap();
    socket
}

async fn watch(mut socket: Socket) -> Seen {
    let mut seen = Seen::default();
    let mut aggregate = Value::Null;
    while seen.aggregates.len() < FRAMES {
        let Message::Text(text) = socket.next().await.unwrap().unwrap() else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        match frame["op"].as_str().unwrap() {
            "snapshot" => {
                aggregate = frame["aggregate"].clone();
                overwrite(&mut seen.history, &frame["history"]);
            }
            "delta" => {
                wire::merge_patch(&mut aggregate, &frame["aggregate"]);
                let p95 = aggregate["latencyMs"]["p95"].clone();
                let now = json!([
                    aggregate["events"],
                    aggregate["activeUsers"],
                    aggregate["errors"],
                    p95
                ]);
                seen.history.insert(frame["tick"].as_i64().unwrap(), now);
            }
            _ => continue,
        }
        if !frame["corrections"].is_null() {
            overwrite(&mut seen.history, &frame["corrections"]);
        }
        seen.aggregates.insert(frame["tick"].as_i64().unwrap(), aggregate.clone());
    }
    seen
}

/// The watcher in another language, and what it prints: a line for each frame.
struct Python {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Starts it, and waits until it has seen a frame.
fn python(address: std::net::SocketAddr) -> Option<Python> {
    let has = Command::new("python3").args(["-c", "import websockets"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "python3 with websockets is needed here");
        eprintln!("left out: python3 with websockets is not installed (pip install websockets)");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/third_party.py");
    let mut child = Command::new("python3")
        .args([script, &format!("ws://{address}/ws"), ROOM])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().expect("the watcher failed").unwrap();
    Some(Python { child, lines })
}

/// What it saw up to this tick.
fn seen_by_python(mut python: Python, upto: i64) -> Seen {
    let mut seen = Seen::default();
    while seen.aggregates.keys().last() < Some(&upto) {
        let line = python.lines.next().expect("the watcher failed").unwrap();
        let frame: Value = serde_json::from_str(&line).unwrap();
        seen.aggregates.insert(frame["tick"].as_i64().unwrap(), frame["aggregate"].clone());
        seen.history = frame["history"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(tick, values)| (tick.parse().unwrap(), values.clone()))
            .collect();
    }
    python.child.kill().unwrap();
    python.child.wait().unwrap();
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_watchers_of_a_room_see_the_same_numbers_for_the_same_tick() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let url = format!("ws://{}/ws", daemon.address);
    let third = python(daemon.address);
    let (first, second) = (join(&url).await, join(&url).await);
    let (first, second) = (tokio::spawn(watch(first)), tokio::spawn(watch(second)));

    // Traffic with events that are 0 to 9 s late, until everyone has seen enough.
    let done = std::sync::atomic::AtomicBool::new(false);
    let (first, second, third) = std::thread::scope(|scope| {
        let (daemon, done) = (&daemon, &done);
        scope.spawn(move || {
            let mut number = 0_u64;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let events: Vec<Value> = (0..20)
                    .map(|_| {
                        number += 1;
                        json!({
                            "type": "page_view", "route": format!("/r{}", number % 13),
                            "userId": format!("u{}", number % 97), "latencyMs": number % 400,
                            "status": if number.is_multiple_of(50) { 500 } else { 200 },
                            "timestamp": now_ms() - (number % 10 * 1_000) as i64,
                        })
                    })
                    .collect();
                assert_eq!(daemon.post("application/json", json!(events).to_string()).status, 200);
                std::thread::sleep(std::time::Duration::from_millis(30));
            }
        });
        let all = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let (first, second) = (first.await.unwrap(), second.await.unwrap());
                let upto = *first.aggregates.keys().last().unwrap();
                (first, second, third.map(|python| seen_by_python(python, upto)))
            })
        });
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        all
    });

    let mut others = vec![second];
    others.extend(third);
    for other in others {
        let common: Vec<_> =
            first.aggregates.keys().filter(|tick| other.aggregates.contains_key(tick)).collect();
        assert!(common.len() >= 3, "they watched at the same time");
        for tick in common {
            assert_eq!(first.aggregates[tick], other.aggregates[tick], "tick {tick}");
        }
        // Ticks that both stopped correcting at the same frame agree column for column.
        if first.aggregates.keys().last() == other.aggregates.keys().last() {
            let from =
                other.history.keys().next().unwrap().max(first.history.keys().next().unwrap());
            for (tick, values) in first.history.range(*from..) {
                assert_eq!(Some(values), other.history.get(tick), "history of tick {tick}");
            }
        }
    }
    let newest = first.aggregates.values().last().unwrap();
    assert!(newest["events"].as_u64() > Some(0), "{newest}");

    // What corrections made of a tick is what a newcomer is told of it.
    let snapshot = daemon.get("/api/aggregates?window=5s").json();
    let mut told = BTreeMap::new();
    overwrite(&mut told, &snapshot["history"]);
    let last = *first.aggregates.keys().last().unwrap();
    let settled = first.history.range(..last - 15);
    for (tick, values) in settled.filter(|(tick, _)| told.contains_key(tick)) {
        assert_eq!(Some(values), told.get(tick), "history of tick {tick}");
    }
}
