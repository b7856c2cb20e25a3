//! The connection and its token, against a socket that behaves as told: given while it runs,
//! renewed on the open socket, refused, ended, replaced in its file.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use pulseboard_tui::connection::{self, Ask, Handle};
use pulseboard_tui::event::Feed;
use pulseboard_tui::socket::Denial;
use pulseboard_tui::target::Target;
use pulseboard_tui::token::{Source, Token};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::fixture::{NOW, WINDOWS, aggregate, history, jwt};

const PATIENCE: Duration = Duration::from_secs(20);

struct Daemon(TcpListener);

struct Session {
    socket: WebSocketStream<TcpStream>,
    /// The token it came with.
    token: Option<String>,
}

impl Daemon {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn target(&self, source: Source) -> Target {
        Target::parse(&self.0.local_addr().unwrap().to_string(), source).unwrap()
    }

    async fn accept(&self) -> Session {
        let (stream, _) = timeout(PATIENCE, self.0.accept()).await.unwrap().unwrap();
        let mut token = None;
        let look = |request: &Request, mut response: Response| {
            let bearer = request.headers().get(AUTHORIZATION);
            token = bearer.map(|value| value.to_str().unwrap().replace("Bearer ", ""));
            let name = HeaderValue::from_static(pulseboard::wire::SUBPROTOCOL);
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
            Ok(response)
        };
        let socket = accept_hdr_async(stream, look).await.unwrap();
        Session { socket, token }
    }

    /// Accepts, welcomes and returns what the client subscribes with.
    async fn serve(&self, scope: &str) -> (Session, Value) {
        let mut session = self.accept().await;
        session.send(welcome("ok", scope)).await;
        let subscribe = session.hear().await;
        assert_eq!(subscribe["op"], "subscribe");
        (session, subscribe)
    }
}

impl Session {
    async fn send(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.unwrap().unwrap().unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// As the daemon ends a session whose token it does not take.
    async fn turn_out(&mut self, code: &'static str, message: &str) {
        self.send(json!({"op": "error", "code": code, "message": message})).await;
        let close = CloseFrame { code: 1008.into(), reason: code.into() };
        self.socket.close(Some(close)).await.unwrap();
    }
}

fn welcome(auth: &str, scope: &str) -> Value {
    json!({"op": "welcome", "protocol": 1, "node": "n", "tick": NOW, "windows": WINDOWS,
        "auth": auth, "scope": scope, "limits": {"publishBytes": 1 << 14, "rooms": 32}})
}

fn snapshot(from: i64, tick: i64) -> Value {
    json!({"op": "snapshot", "room": "window:5s", "tick": tick, "lagged": 0,
        "aggregate": aggregate("5s", tick), "history": history("5s", from, tick),
        "historyFrom": from})
}

fn token(text: &str) -> Token {
    Token::read(text, "--token").unwrap().unwrap()
}

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

async fn denied(handle: &mut Handle) -> Denial {
    until(handle, |feed| match feed {
        Feed::Denied(denial) => Some(denial),
        Feed::Waiting { reason, .. } => panic!("came back unasked: {reason}"),
        _ => None,
    })
    .await
}

fn frame_tick(feed: Feed) -> Option<i64> {
    match feed {
        Feed::Frame(frame) => Some(frame.tick),
        _ => None,
    }
}

#[tokio::test]
async fn a_token_given_while_it_waits_opens_the_way() {
    let daemon = Daemon::start().await;
    let mut handle = connection::start(daemon.target(Source::None));
    let mut session = daemon.accept().await;
    assert_eq!(session.token, None);
    session.send(welcome("required", "")).await;
    let denial = denied(&mut handle).await;
    assert!(denial.about_token && denial.reason.contains("none was given"), "{denial:?}");
    let jwt = jwt("read", 60, 3_600);
    handle.asks.send(Ask::Token(token(&jwt))).await.unwrap();
    let (session, _) = daemon.serve("read").await;
    assert_eq!(session.token, Some(jwt));
    let held = until(&mut handle, |feed| match feed {
        Feed::Token(held) => held,
        _ => None,
    })
    .await;
    assert_eq!((held.tail.as_str(), held.lasts_ms), ("Xy9Q", Some(3_660_000)));
}

#[tokio::test]
async fn a_renewal_goes_over_the_open_socket_and_the_rooms_stay() {
    let daemon = Daemon::start().await;
    let old = Source::given(&jwt("read", 60, 3_600)).unwrap();
    let mut handle = connection::start(daemon.target(old));
    let (mut session, _) = daemon.serve("read").await;
    session.send(snapshot(NOW - 9, NOW)).await;
    assert_eq!(until(&mut handle, frame_tick).await, NOW);
    let new = jwt("read", 0, 7_200);
    handle.asks.send(Ask::Token(token(&new))).await.unwrap();
    assert_eq!(session.hear().await, json!({"op": "auth", "token": new}));
    session.send(welcome("ok", "read")).await;
    session.send(snapshot(NOW + 1, NOW + 1)).await;
    assert_eq!(until(&mut handle, frame_tick).await, NOW + 1);
    // Lost, it comes back with the new one, and resumes.
    drop(session);
    let (session, subscribe) = daemon.serve("read").await;
    assert_eq!((session.token, &subscribe["since"]["window:5s"]), (Some(new), &json!(NOW + 1)));
}

#[tokio::test]
async fn a_renewal_that_is_refused_leaves_the_token_that_held() {
    let daemon = Daemon::start().await;
    let old = jwt("read", 60, 3_600);
    let mut handle = connection::start(daemon.target(Source::given(&old).unwrap()));
    let (mut session, _) = daemon.serve("read").await;
    session.send(snapshot(NOW - 9, NOW)).await;
    handle.asks.send(Ask::Token(token(&jwt("read", 0, 60)))).await.unwrap();
    assert_eq!(session.hear().await["op"], "auth");
    session.turn_out("token_signature", "its signature does not fit").await;
    let reason = until(&mut handle, |feed| match feed {
        Feed::TokenRefused { reason } => Some(reason),
        Feed::Denied(denial) => panic!("{denial:?}"),
        _ => None,
    });
    assert_eq!(reason.await, "its signature does not fit");
    let (session, subscribe) = daemon.serve("read").await;
    assert_eq!((session.token, &subscribe["since"]["window:5s"]), (Some(old), &json!(NOW)));
}

#[tokio::test]
async fn after_its_end_a_new_token_resumes_where_the_picture_stood() {
    let daemon = Daemon::start().await;
    let old = Source::given(&jwt("read", 60, 1)).unwrap();
    let mut handle = connection::start(daemon.target(old));
    let (mut session, _) = daemon.serve("read").await;
    session.send(snapshot(NOW - 9, NOW)).await;
    session.turn_out("token_expired", "the token has expired").await;
    assert_eq!(denied(&mut handle).await.reason, "the token has expired");
    let new = jwt("read", 0, 60);
    handle.asks.send(Ask::Token(token(&new))).await.unwrap();
    let (session, subscribe) = daemon.serve("read").await;
    assert_eq!((session.token, &subscribe["since"]["window:5s"]), (Some(new), &json!(NOW)));
}

#[tokio::test]
async fn a_token_that_was_replaced_in_its_file_is_used_without_asking() {
    let daemon = Daemon::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let (old, new) = (jwt("read", 60, 1), jwt("read", 0, 3_600));
    std::fs::write(file.path(), &old).unwrap();
    let mut handle = connection::start(daemon.target(Source::file(file.path()).unwrap()));
    let (mut session, _) = daemon.serve("read").await;
    assert_eq!(session.token, Some(old));
    std::fs::write(file.path(), format!("{new}\n")).unwrap();
    // Before its end it is renewed on the open socket, after it by a new connection.
    let auth = session.hear().await;
    assert_eq!(auth, json!({"op": "auth", "token": new}));
    session.send(welcome("ok", "read")).await;
    let newest = jwt("read", 0, 7_200);
    std::fs::write(file.path(), &newest).unwrap();
    session.turn_out("token_expired", "the token has expired").await;
    let (session, _) = daemon.serve("read").await;
    assert_eq!(session.token, Some(newest));
    while let Ok(feed) = handle.feed.try_recv() {
        assert!(!matches!(feed, Feed::Denied(_)), "nobody needs to be asked");
    }
}

#[tokio::test]
async fn a_token_that_may_not_watch_is_told_so() {
    let daemon = Daemon::start().await;
    let mut handle = connection::start(daemon.target(Source::given("a.b.c").unwrap()));
    let mut session = daemon.accept().await;
    session.send(welcome("ok", "ingest")).await;
    let denial = denied(&mut handle).await;
    assert_eq!(denial.reason, "the token is for ingest; watching needs the scope read");
}

#[tokio::test]
async fn a_token_of_another_site_starts_another_picture() {
    let daemon = Daemon::start().await;
    let mut handle = connection::start(daemon.target(Source::None));
    let (mut session, _) = daemon.serve("read").await;
    session.send(snapshot(NOW - 9, NOW)).await;
    assert_eq!(until(&mut handle, frame_tick).await, NOW);
    // `{"sub":"x","scope":"read","site":"shop"}`
    let shop = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4Iiwic2NvcGUiOiJyZWFkIiwic2l0ZSI6InNob3AifQ.c2ln";
    handle.asks.send(Ask::Token(token(shop))).await.unwrap();
    assert_eq!(session.hear().await["op"], "auth");
    session.send(welcome("ok", "read")).await;
    until(&mut handle, |feed| matches!(feed, Feed::OtherSite).then_some(())).await;
}
