//! What a daemon finds not as it should be, as everyone who looks at it is told: in every window over
//! REST and the socket, through a filter too, and never in what is looked back at.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

#[path = "support/shared.rs"]
mod shared;
mod support;

use std::net::TcpStream;

use pulseboard::wire;
use serde_json::{Value, json};
use shared::mongod::Mongod;
use support::token::{SECRET, good};
use support::{Daemon, eventually};
use tokio_tungstenite::tungstenite::{self, Message};

const WINDOWS: [&str; 3] = ["1s", "5s", "60s"];
/// Nobody listens there.
const NOBODY: &str = "mongodb://127.0.0.1:1/pulseboard?serverSelectionTimeoutMS=300";

/// A daemon whose store cannot be reached.
fn without_its_store(folder: &std::path::Path) -> Daemon {
    let settings =
        [("PULSEBOARD_STORE__KIND", "mongodb"), ("PULSEBOARD_STORE__MONGODB__URI", NOBODY)];
    Daemon::start_with(folder, &settings)
}

fn notices(aggregate: &Value) -> Vec<(String, String)> {
    let all = aggregate["notices"].as_array().cloned().unwrap_or_default();
    let text = |notice: &Value, field: &str| notice[field].as_str().unwrap().to_owned();
    all.iter().map(|notice| (text(notice, "check"), text(notice, "detail"))).collect()
}

#[test]
fn a_daemon_that_is_well_has_nothing_to_say() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    for window in WINDOWS {
        assert_eq!(daemon.aggregate(window).get("notices"), None);
    }
}

#[test]
fn a_store_that_is_away_is_said_with_every_number_as_readiness_says_it() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = without_its_store(folder.path());
    daemon.post("application/json", r#"{"type":"view","route":"/a"}"#);
    let told = eventually("the windows say so", || {
        let told = notices(&daemon.aggregate("5s"));
        let is_told = told.iter().any(|(_, detail)| detail.contains("store.mongodb.uri"));
        is_told.then_some(told)
    });
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, "store");
    let ready = daemon.get("/health/ready").json();
    assert_eq!(ready["checks"]["store"]["status"], "degraded");
    for path in ["window=1s", "window=60s", "window=5s&filter=route=/a"] {
        eventually(path, || {
            let answer = daemon.get(&format!("/api/aggregates?{path}")).json();
            let told = notices(&answer["aggregate"]);
            (told.len() == 1 && told[0].0 == "store").then_some(())
        });
    }
    let then = daemon.aggregate("1s")["tick"].as_i64().unwrap();
    eventually("two ticks have passed", || {
        (daemon.aggregate("1s")["tick"].as_i64() > Some(then + 1)).then_some(())
    });
    let then = daemon.get(&format!("/api/aggregates?window=1s&at={then}")).json();
    assert_eq!(notices(&then["aggregate"]), [], "what was is not what holds now");
}

#[test]
fn whoever_watches_is_told_and_told_again_when_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut mongod = Mongod::standalone().prepare();
    let uri = mongod.uri();
    let settings =
        [("PULSEBOARD_STORE__KIND", "mongodb"), ("PULSEBOARD_STORE__MONGODB__URI", &uri)];
    let daemon = Daemon::start_with(folder.path(), &settings);
    let mut watched = Watched::of(&daemon);
    watched.until(|aggregate| notices(aggregate).iter().any(|(check, _)| check == "store"));
    mongod.start();
    watched.until(|aggregate| aggregate.get("notices").is_none());
}

/// The window of 5 s as a socket keeps it up: a snapshot, then deltas.
struct Watched {
    socket: tungstenite::WebSocket<tungstenite::stream::MaybeTlsStream<TcpStream>>,
    aggregate: Value,
}

impl Watched {
    fn of(daemon: &Daemon) -> Self {
        let url = format!("ws://{}/ws", daemon.address);
        let (mut socket, _) = tungstenite::connect(url).unwrap();
        let subscribe = json!({"op": "subscribe", "rooms": ["window:5s"]}).to_string();
        socket.send(Message::text(subscribe)).unwrap();
        Self { socket, aggregate: Value::Null }
    }

    /// Follows until the aggregate is as wanted; a frame comes every second.
    fn until(&mut self, is_wanted: impl Fn(&Value) -> bool) {
        for _ in 0..600 {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            match message["op"].as_str() {
                Some("snapshot") => self.aggregate = message["aggregate"].clone(),
                Some("delta") => wire::merge_patch(&mut self.aggregate, &message["aggregate"]),
                _ => continue,
            }
            if is_wanted(&self.aggregate) {
                return;
            }
        }
        panic!("still {}", self.aggregate);
    }
}

#[test]
fn a_token_of_one_site_is_told_too() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("PULSEBOARD_STORE__KIND", "mongodb"),
        ("PULSEBOARD_STORE__MONGODB__URI", NOBODY),
        ("PULSEBOARD_AUTH__SECRET", SECRET),
    ];
    let daemon = Daemon::start_with(folder.path(), &settings);
    let claims = support::token::claims("watcher", "read");
    let claims = support::token::changed(claims, &json!({"site": "shop"}));
    let token = support::token::Signer::secret(SECRET).token(&claims);
    assert_ne!(token, good("watcher", "read"));
    let head = format!(
        "GET /api/aggregates?window=5s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    eventually("the site's window says so", || {
        let answer = daemon.send(&head, b"");
        (answer.status == 200 && !notices(&answer.json()["aggregate"]).is_empty()).then_some(())
    });
}
