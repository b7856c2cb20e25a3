//! Who gets a socket, and what each may do on it: tokens in every place they may stand, scopes,
//! and the time there is to show one.

use std::time::Duration;

use pulseboard::claims::Claims;
use pulseboardd::auth::{self, Authority, Key, Keys};
use pulseboardd::clock::Clock;
use serde_json::{Value, json};

use crate::client::{Client, Raw, frame, upgrade};
use crate::daemon::{Daemon, Setup};

/// The daemon's clock stands here, Unix ms.
pub(crate) const NOW_MS: i64 = 1_763_884_000_000;
const SECRET: &str = "a secret of tests, 32 bytes or more";
/// Keys of one secret.
pub(crate) fn keys(secret: &str) -> Keys {
    Keys { key: Key::secret(secret).unwrap(), iss: None, aud: None }
}

/// A daemon that asks for tokens, whose clock stands, and whose keeper comes round often.
pub(crate) struct Guarded {
    pub(crate) daemon: Daemon,
    pub(crate) clock: Clock,
    pub(crate) authority: Authority,
}

impl Guarded {
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(mut setup: Setup) -> Self {
        let clock = Clock::manual(NOW_MS);
        let authority = Authority::tokens(keys(SECRET), clock.clone());
        setup.hub.ping_after = Duration::from_millis(40);
        setup.clock = clock.clone();
        setup.authority = authority.clone();
        let daemon = Daemon::with(setup).await;
        daemon.tick();
        Self { daemon, clock, authority }
    }

    /// A socket with a token of these scopes.
    pub(crate) async fn connect(&self, scope: &str) -> Client {
        self.welcomed(&token(scope)).await.0
    }

    pub(crate) async fn welcomed(&self, token: &str) -> (Client, Value) {
        let bearer = format!("Bearer {token}");
        Client::connect_with(self.daemon.address, &[("authorization", &bearer)]).await
    }
}

/// What tokens of these tests say, for an hour.
pub(crate) fn claims(scope: &str) -> Claims {
    Claims {
        sub: "tester".to_owned(),
        scope: scope.to_owned(),
        iat: NOW_MS / 1_000,
        exp: NOW_MS / 1_000 + 3_600,
        iss: None,
        aud: None,
        rate: None,
        site: None,
    }
}

pub(crate) fn token(scope: &str) -> String {
    sign(&claims(scope))
}

pub(crate) fn sign(claims: &Claims) -> String {
    auth::mint(claims, SECRET.as_bytes())
}

/// Status, headers and `code` of an upgrade request that is refused.
async fn refused(daemon: &Daemon, path: &str, headers: &str) -> (u16, String, String) {
    let request = upgrade(daemon.address, &format!("{headers}Connection: close\r\n"));
    let mut raw = Raw::dial(daemon.address).await;
    raw.write(request.replacen("/ws", path, 1).as_bytes()).await;
    let head = raw.head().await;
    assert!(!head.starts_with("HTTP/1.1 101"), "{headers} was let in");
    let problem: Value = serde_json::from_str(&raw.rest().await).unwrap();
    (head[9..12].parse().unwrap(), head, problem["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_is_taken_from_the_header_a_subprotocol_or_a_message() {
    let guarded = Guarded::start().await;
    let address = guarded.daemon.address;
    let token = token("read");
    let (_, by_header) = guarded.welcomed(&token).await;
    let offer = format!("pulseboard.v1, bearer.{token}");
    let (_, by_offer) = Client::connect_with(address, &[("sec-websocket-protocol", &offer)]).await;
    let mut client = Client::connect(address).await;
    let by_message = client.ask(json!({"op": "auth", "token": token})).await;
    for welcome in [by_header, by_offer, by_message] {
        assert_eq!((&welcome["auth"], &welcome["scope"]), (&"ok".into(), &"read".into()));
    }
}

#[tokio::test]
async fn a_subprotocol_that_carries_a_token_is_not_repeated_in_the_answer() {
    let guarded = Guarded::start().await;
    let offer = format!("Sec-WebSocket-Protocol: bearer.{}, pulseboard.v1\r\n", token("read"));
    let mut raw = Raw::dial(guarded.daemon.address).await;
    raw.write(upgrade(guarded.daemon.address, &offer).as_bytes()).await;
    let head = raw.head().await;
    assert!(head.contains("sec-websocket-protocol: pulseboard.v1\r\n"), "{head}");
    assert!(!head.contains("bearer"), "{head}");
}

#[tokio::test]
async fn a_token_in_the_query_is_taken_only_where_the_operator_allows_it() {
    let setup = Setup { query_token: true, ..Setup::default() };
    let guarded = Guarded::with(setup).await;
    let path = format!("/ws?lang=en&token={}", token("ingest"));
    let mut raw = Raw::dial(guarded.daemon.address).await;
    raw.write(upgrade(guarded.daemon.address, "").replacen("/ws", &path, 1).as_bytes()).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 101 "));
    let welcome: Value = serde_json::from_slice(&raw.frame().await.unwrap().1).unwrap();
    assert_eq!(welcome["scope"], "ingest");
    let (status, _, code) = refused(&guarded.daemon, "/ws?token=no.such.token", "").await;
    assert_eq!((status, code.as_str()), (401, "token_malformed"));

    let guarded = Guarded::start().await;
    let (status, head, code) = refused(&guarded.daemon, &path, "").await;
    assert_eq!((status, code.as_str()), (401, "query_token_off"));
    assert!(head.contains("www-authenticate: Bearer"), "{head}");
}

#[tokio::test]
async fn a_bad_token_at_the_upgrade_is_401_wherever_it_stands() {
    let guarded = Guarded::start().await;
    let expired = sign(&Claims { exp: NOW_MS / 1_000 - 31, ..claims("read") });
    let stranger = auth::mint(&claims("read"), b"another secret of 32 bytes or so");
    for (token, code) in [
        ("nonsense", "token_malformed"),
        (&expired, "token_expired"),
        (&stranger, "token_signature"),
    ] {
        for headers in [
            format!("Authorization: Bearer {token}\r\n"),
            format!("Sec-WebSocket-Protocol: pulseboard.v1, bearer.{token}\r\n"),
        ] {
            let (status, head, found) = refused(&guarded.daemon, "/ws", &headers).await;
            assert_eq!((status, found.as_str()), (401, code), "{headers}");
            assert!(head.contains("www-authenticate: Bearer"), "{head}");
        }
    }
}

#[tokio::test]
async fn two_tokens_are_one_too_many() {
    let guarded = Guarded::start().await;
    let token = token("read");
    for headers in [
        format!("Sec-WebSocket-Protocol: pulseboard.v1, bearer.{token}, bearer.{token}\r\n"),
        format!(
            "Authorization: Bearer {token}\r\n\
             Sec-WebSocket-Protocol: pulseboard.v1, bearer.{token}\r\n"
        ),
    ] {
        let (status, _, code) = refused(&guarded.daemon, "/ws", &headers).await;
        assert_eq!((status, code.as_str()), (400, "several_tokens"));
    }
}

#[tokio::test]
async fn what_is_asked_before_a_token_is_refused_and_taken_after_it() {
    let guarded = Guarded::start().await;
    let (mut client, welcome) = Client::connect_with(guarded.daemon.address, &[]).await;
    assert_eq!(welcome["auth"], "required");
    assert_eq!(welcome["scope"], "");
    assert_eq!(welcome["limits"], json!({"publishBytes": 16_384, "rooms": 32}));
    for (message, id, room) in [
        (json!({"op": "subscribe", "rooms": ["window:1s"]}), None, Some("window:1s")),
        (json!({"op": "subscribe", "rooms": ["no such room"]}), None, Some("no such room")),
        (json!({"op": "unsubscribe", "rooms": ["window:1s"]}), None, Some("window:1s")),
        (json!({"op": "get", "id": 3, "room": "window:1s", "at": 1}), Some(3), Some("window:1s")),
        (json!({"op": "publish", "id": 4, "events": [{"a": 1}]}), Some(4), None),
        (json!({"op": "ping", "id": 5}), Some(5), None),
        (json!({"op": "subscribe", "rooms": ["system"]}), None, Some("system")),
    ] {
        let error = client.ask(message.clone()).await;
        assert_eq!((&error["op"], &error["code"]), (&"error".into(), &"unauthorized".into()));
        assert_eq!(error.get("id").and_then(Value::as_u64), id, "{message}");
        assert_eq!(error.get("room").and_then(Value::as_str), room, "{message}");
    }
    assert_eq!(guarded.daemon.sink.groups.lock().len(), 0);
    let welcome = client.ask(json!({"op": "auth", "token": token("read ingest")})).await;
    assert_eq!((&welcome["op"], &welcome["auth"]), (&"welcome".into(), &"ok".into()));
    let snapshot = client.ask(json!({"op": "subscribe", "rooms": ["window:1s"]})).await;
    assert_eq!(snapshot["op"], "snapshot");
    let ack = client.ask(json!({"op": "publish", "id": 6, "events": [{"a": 1}]})).await;
    assert_eq!((&ack["op"], &ack["id"]), (&"ack".into(), &6.into()));
}

#[tokio::test]
async fn a_session_has_ten_seconds_to_show_a_token() {
    let guarded = Guarded::start().await;
    let mut late = Client::connect(guarded.daemon.address).await;
    let mut known = guarded.connect("read").await;
    guarded.clock.set_ms(NOW_MS + 9_999);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(late.ask(json!({"op": "ping"})).await["code"], "unauthorized");
    guarded.clock.set_ms(NOW_MS + 10_000);
    assert_eq!(late.next().await["code"], "unauthorized");
    assert_eq!(late.goodbye().await, Some((1008, "no token came in time".to_owned())));
    known.is_alive().await;
}

#[tokio::test]
async fn a_token_that_ends_closes_its_socket_and_no_other() {
    let guarded = Guarded::start().await;
    let mut brief = guarded.connect("read").await;
    let day = sign(&Claims { exp: NOW_MS / 1_000 + 86_400, ..claims("read") });
    let (mut long, _) = guarded.welcomed(&day).await;
    // The leeway of 30 s counts for the client.
    guarded.clock.set_ms(NOW_MS + 3_629_999);
    tokio::time::sleep(Duration::from_millis(50)).await;
    brief.is_alive().await;
    guarded.clock.set_ms(NOW_MS + 3_630_000);
    assert_eq!(brief.next().await["code"], "token_expired");
    assert_eq!(brief.goodbye().await, Some((1008, "token_expired".to_owned())));
    long.is_alive().await;
}

#[tokio::test]
async fn each_scope_allows_its_own_and_admin_everything() {
    let guarded = Guarded::start().await;
    let subscribe = json!({"op": "subscribe", "rooms": ["window:1s"]});
    let publish = json!({"op": "publish", "id": 1, "events": [{"a": 1}]});
    let get = json!({"op": "get", "id": 1, "room": "window:1s", "at": 1_763_884_000});
    let system = json!({"op": "subscribe", "rooms": ["system"]});
    let unsubscribe = json!({"op": "unsubscribe", "rooms": ["window:1s"]});
    for (scope, answers) in [
        ("read", ["snapshot", "wrong_scope", "snapshot", "wrong_scope", "unsubscribed"]),
        ("ingest", ["wrong_scope", "ack", "wrong_scope", "wrong_scope", "wrong_scope"]),
        ("read ingest", ["snapshot", "ack", "snapshot", "wrong_scope", "unsubscribed"]),
        ("admin", ["snapshot", "ack", "snapshot", "not_available", "unsubscribed"]),
        ("openid", ["wrong_scope"; 5]),
    ] {
        let mut client = guarded.connect(scope).await;
        let asked = [&subscribe, &publish, &get, &system, &unsubscribe];
        for (message, wanted) in asked.into_iter().zip(answers) {
            let answer = client.ask(message.clone()).await;
            let told = if answer["op"] == "error" { &answer["code"] } else { &answer["op"] };
            assert_eq!(told, wanted, "{scope}: {message}");
        }
        client.is_alive().await;
    }
}

#[tokio::test]
async fn the_welcome_says_what_the_token_allows() {
    let guarded = Guarded::start().await;
    for (scope, told, publish_bytes) in [
        ("read", "read", 16_384),
        ("ingest read", "read ingest", 1_048_576),
        ("admin", "admin", 1_048_576),
        ("openid", "", 16_384),
    ] {
        let (_, welcome) = guarded.welcomed(&token(scope)).await;
        assert_eq!((&welcome["auth"], &welcome["scope"]), (&"ok".into(), &told.into()));
        assert_eq!(welcome["limits"]["publishBytes"], publish_bytes);
    }
}

#[tokio::test]
async fn a_frame_may_be_as_long_as_the_scope_says() {
    let guarded = Guarded::start().await;
    let padded = |bytes: usize| format!("{{\"op\":\"ping\"{}}}", " ".repeat(bytes - 13));
    for (scope, most) in [("read", 16_384), ("ingest", 1_048_576)] {
        let mut client = guarded.connect(scope).await;
        client.send_text(&padded(most)).await;
        assert_eq!(client.next().await["op"], "pong");
        client.send_text(&padded(most + 1)).await;
        assert_eq!(client.close_code().await, Some(1009), "{scope}");
    }
}

#[tokio::test]
async fn a_longer_frame_may_follow_the_token_that_allows_it_at_once() {
    let guarded = Guarded::start().await;
    let mut raw = Raw::connect(guarded.daemon.address).await;
    let auth = json!({"op": "auth", "token": token("ingest")}).to_string();
    let publish = json!({"op": "publish", "id": 1, "events": [{"a": "b".repeat(100_000)}]});
    let both = [frame(0x81, auth.as_bytes()), frame(0x81, publish.to_string().as_bytes())];
    raw.write(&both.concat()).await;
    assert!(raw.frame().await.unwrap().1.starts_with(br#"{"op":"welcome""#));
    assert!(raw.frame().await.unwrap().1.starts_with(br#"{"op":"ack","id":1"#));
}

#[tokio::test]
async fn rooms_of_one_site_never_show_the_others() {
    let guarded = Guarded::start().await;
    let shop = sign(&Claims { site: Some("shop".to_owned()), ..claims("read") });
    let (mut client, _) = guarded.welcomed(&shop).await;
    let both = "window:5s?filter=status=5xx";
    let rooms = ["window:1s", both, "window:1s?filter=site=blog", "window:1s?filter=site=sh*"];
    let refused = client.ask(json!({"op": "subscribe", "rooms": rooms})).await;
    assert_eq!((&refused["code"], &refused["room"]), (&"wrong_site".into(), &rooms[2].into()));
    let refused = client.next().await;
    assert_eq!(refused["code"], "too_many_views", "it is a view of its own: {refused}");
    guarded.daemon.tick();
    client.is_alive().await;
    for (filter, room) in [("site=shop", rooms[0]), ("site=shop status=5xx", both)] {
        guarded.daemon.feed.view_tick(&guarded.daemon.hub, filter);
        let snapshot = client.next().await;
        assert_eq!((&snapshot["op"], &snapshot["room"]), (&"snapshot".into(), &room.into()));
    }
    let tick = crate::feed::FIRST_TICK;
    let rewound = client.ask(json!({"op": "get", "id": 1, "room": "window:1s", "at": tick})).await;
    let truth = guarded.daemon.feed.view("site=shop").truth("1s", tick);
    assert_eq!(rewound["aggregate"]["events"], truth.events[0].unwrap());
    let get = json!({"op": "get", "id": 2, "room": "window:1s?filter=site=blog", "at": tick});
    assert_eq!(client.ask(get).await["code"], "wrong_site");
}
