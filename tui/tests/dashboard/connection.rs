//! The connection against a socket that behaves as told: resume by tick, deltas out of step,
//! refusals, silence.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use pulseboard_tui::connection::{self, Ask, Handle};
use pulseboard_tui::event::Feed;
use pulseboard_tui::target::Target;
use pulseboard_tui::token::Source;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::fixture::{NOW, WINDOWS, aggregate, history};

const PATIENCE: Duration = Duration::from_secs(20);

type Served = WebSocketStream<TcpStream>;

struct Daemon {
    listener: TcpListener,
}

impl Daemon {
    async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn target(&self) -> Target {
        Target::parse(&self.listener.local_addr().unwrap().to_string(), Source::None).unwrap()
    }

    async fn accept(&self) -> Served {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let echo = |_: &Request, mut response: Response| {
            let name = HeaderValue::from_static(pulseboard::wire::SUBPROTOCOL);
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
            Ok(response)
        };
        accept_hdr_async(stream, echo).await.unwrap()
    }

    /// Accepts, welcomes, and returns what the client subscribes with.
    async fn serve(&self) -> (Served, Value) {
        let mut socket = self.accept().await;
        send(&mut socket, welcome("dev")).await;
        let subscribe = hear(&mut socket).await;
        assert_eq!(subscribe["op"], "subscribe");
        (socket, subscribe)
    }
}

fn welcome(auth: &str) -> Value {
    json!({"op": "welcome", "protocol": 1, "node": "n", "tick": NOW, "windows": WINDOWS,
        "auth": auth, "scope": "admin", "limits": {"publishBytes": 1 << 20, "rooms": 32}})
}

fn snapshot(window: &str, from: i64, tick: i64) -> Value {
    json!({"op": "snapshot", "room": format!("window:{window}"), "tick": tick, "lagged": 0,
        "aggregate": aggregate(window, tick), "history": history(window, from, tick),
        "historyFrom": from})
}

fn delta(window: &str, tick: i64) -> Value {
    let (from, to) = (aggregate(window, tick - 1), aggregate(window, tick));
    json!({"op": "delta", "room": format!("window:{window}"), "tick": tick, "base": tick - 1,
        "aggregate": pulseboard::wire::diff(&from, &to)})
}

async fn send(socket: &mut Served, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

async fn hear(socket: &mut Served) -> Value {
    loop {
        let message = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
        if let Message::Text(text) = message {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// The first feed that `pick` takes; others are passed over.
async fn until<T>(handle: &mut Handle, pick: impl Fn(Feed) -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = pick(handle.feed.recv().await.unwrap()) {
                return found;
            }
        }
    };
    timeout(PATIENCE, search).await.expect("what was looked for came in time")
}

fn frame_tick(feed: Feed) -> Option<i64> {
    match feed {
        Feed::Frame(frame) => Some(frame.tick),
        _ => None,
    }
}

#[tokio::test]
async fn it_resumes_after_the_tick_it_holds_and_is_sent_what_it_missed() {
    let daemon = Daemon::start().await;
    let mut handle = connection::start(daemon.target());
    let (mut socket, subscribe) = daemon.serve().await;
    assert_eq!(subscribe["rooms"], json!(["window:1s", "window:5s", "window:60s"]));
    assert_eq!(subscribe.get("since"), None, "nothing is held yet");
    send(&mut socket, snapshot("5s", NOW - 299, NOW)).await;
    send(&mut socket, delta("5s", NOW + 1)).await;
    assert_eq!(until(&mut handle, frame_tick).await, NOW);
    assert_eq!(until(&mut handle, frame_tick).await, NOW + 1);

    drop(socket);
    let reason = until(&mut handle, |feed| match feed {
        Feed::Waiting { reason, .. } => Some(reason),
        _ => None,
    });
    assert!(!reason.await.is_empty());
    let (mut socket, subscribe) = daemon.serve().await;
    assert_eq!(subscribe["since"], json!({"window:5s": NOW + 1}));
    send(&mut socket, snapshot("5s", NOW + 2, NOW + 9)).await;
    let frame = until(&mut handle, |feed| match feed {
        Feed::Frame(frame) => Some(frame),
        _ => None,
    })
    .await;
    assert_eq!(frame.tick, NOW + 9);
    assert_eq!(frame.history.unwrap().tick.first(), Some(&(NOW + 2)));
}

#[tokio::test]
async fn a_delta_after_one_that_never_came_makes_it_subscribe_anew() {
    let daemon = Daemon::start().await;
    let mut handle = connection::start(daemon.target());
    let (mut socket, _) = daemon.serve().await;
    send(&mut socket, snapshot("1s", NOW - 299, NOW)).await;
    send(&mut socket, delta("1s", NOW + 2)).await;
    let again = hear(&mut socket).await;
    assert_eq!(again["op"], "subscribe");
    assert_eq!(again["rooms"], json!(["window:1s"]));
    assert_eq!(again["since"], json!({"window:1s": NOW}));
    send(&mut socket, snapshot("1s", NOW + 1, NOW + 2)).await;
    assert_eq!(until(&mut handle, frame_tick).await, NOW);
    assert_eq!(until(&mut handle, frame_tick).await, NOW + 2);
}

#[tokio::test]
async fn it_starts_before_its_daemon_and_connects_when_there_is_one() {
    let daemon = Daemon::start().await;
    let address = daemon.listener.local_addr().unwrap();
    let target = daemon.target();
    drop(daemon);
    let mut handle = connection::start(target);
    let (attempt, reason) = until(&mut handle, |feed| match feed {
        Feed::Waiting { attempt, reason, .. } => Some((attempt, reason)),
        _ => None,
    })
    .await;
    assert_eq!((attempt, reason.as_str()), (2, "connection refused"));
    let daemon = Daemon { listener: TcpListener::bind(address).await.unwrap() };
    handle.asks.send(Ask::Retry).await.unwrap();
    daemon.serve().await;
    until(&mut handle, |feed| matches!(feed, Feed::Welcome(_)).then_some(())).await;
}

#[tokio::test]
async fn a_policy_close_is_final_until_somebody_asks() {
    let daemon = Daemon::start().await;
    let mut handle = connection::start(daemon.target());
    let (mut socket, _) = daemon.serve().await;
    let close = CloseFrame { code: 1008.into(), reason: "the token expired".into() };
    socket.close(Some(close)).await.unwrap();
    let denied = until(&mut handle, |feed| match feed {
        Feed::Denied(denial) => Some(denial.reason),
        Feed::Waiting { .. } => panic!("came back with a bad token"),
        _ => None,
    });
    assert_eq!(denied.await, "the token expired");
    handle.asks.send(Ask::Retry).await.unwrap();
    daemon.serve().await;
}

#[tokio::test]
async fn a_daemon_that_asks_for_a_token_is_not_waited_for() {
    let daemon = Daemon::start().await;
    let mut handle = connection::start(daemon.target());
    let mut socket = daemon.accept().await;
    send(&mut socket, welcome("required")).await;
    let denied = until(&mut handle, |feed| match feed {
        Feed::Denied(denial) => Some(denial.reason),
        _ => None,
    });
    assert!(denied.await.contains("token"));
}

#[tokio::test]
async fn a_restart_is_called_a_restart() {
    let daemon = Daemon::start().await;
    let mut handle = connection::start(daemon.target());
    let (mut socket, _) = daemon.serve().await;
    socket.close(Some(CloseFrame { code: 1012.into(), reason: "".into() })).await.unwrap();
    let reason = until(&mut handle, |feed| match feed {
        Feed::Waiting { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason.await, "the daemon restarts");
}

#[tokio::test]
async fn demo_traffic_is_published_while_it_is_wanted() {
    let daemon = Daemon::start().await;
    let handle = connection::start(daemon.target());
    let (mut socket, _) = daemon.serve().await;
    handle.asks.send(Ask::Demo(true)).await.unwrap();
    let publish = hear(&mut socket).await;
    assert_eq!(publish["op"], "publish");
    assert!(publish["events"][0]["route"].as_str().unwrap().starts_with('/'));
}

#[tokio::test]
async fn messages_it_does_not_know_are_passed_over() {
    let daemon = Daemon::start().await;
    let mut handle = connection::start(daemon.target());
    let (mut socket, _) = daemon.serve().await;
    for nonsense in ["{\"op\":\"tomorrow\"}", "[]", "", "{"] {
        socket.send(Message::text(nonsense)).await.unwrap();
    }
    send(&mut socket, snapshot("5s", NOW - 9, NOW)).await;
    assert_eq!(until(&mut handle, frame_tick).await, NOW);
}
