//! Tokens that change on an open socket: renewed, exchanged for others, withdrawn with their key.

use std::time::Duration;

use pulseboard::claims::Claims;
use serde_json::{Value, json};

use crate::client::{Client, Raw, frame, rows, rows_of};
use crate::tokens::{Guarded, NOW_MS, claims, keys, sign, token};

async fn in_rooms(guarded: &Guarded, scope: &str, rooms: &[&str]) -> Client {
    let mut client = guarded.connect(scope).await;
    client.send(json!({"op": "subscribe", "rooms": rooms})).await;
    for room in rooms {
        let snapshot = client.next().await;
        assert_eq!((&snapshot["op"], &snapshot["room"]), (&"snapshot".into(), &(*room).into()));
    }
    client
}

#[tokio::test]
async fn a_renewed_token_keeps_the_rooms_and_outlives_the_first() {
    let guarded = Guarded::start().await;
    let mut client = in_rooms(&guarded, "read", &["window:1s"]).await;
    let longer = sign(&Claims { exp: NOW_MS / 1_000 + 86_400, ..claims("read") });
    let welcome = client.ask(json!({"op": "auth", "token": longer})).await;
    assert_eq!((&welcome["op"], &welcome["auth"]), (&"welcome".into(), &"ok".into()));
    guarded.clock.set_ms(NOW_MS + 7_200_000);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let tick = guarded.daemon.tick();
    let delta = client.next().await;
    assert_eq!((&delta["op"], delta["tick"].as_i64()), (&"delta".into(), Some(tick)));
}

#[tokio::test]
async fn a_token_that_may_read_no_more_ends_the_rooms_and_not_the_socket() {
    let guarded = Guarded::start().await;
    let mut client = in_rooms(&guarded, "read", &["window:1s", "window:5s"]).await;
    let welcome = client.ask(json!({"op": "auth", "token": token("ingest")})).await;
    assert_eq!((&welcome["op"], &welcome["scope"]), (&"welcome".into(), &"ingest".into()));
    for room in ["window:1s", "window:5s"] {
        assert_eq!(client.next().await, json!({"op": "unsubscribed", "room": room}));
        let error = client.next().await;
        assert_eq!((&error["code"], &error["room"]), (&"wrong_scope".into(), &room.into()));
    }
    guarded.daemon.tick();
    let ack = client.ask(json!({"op": "publish", "id": 1, "events": [{"a": 1}]})).await;
    assert_eq!(ack["op"], "ack", "and no frame came before it");
}

#[tokio::test]
async fn a_token_of_one_site_makes_its_rooms_that_sites() {
    let guarded = Guarded::start().await;
    let mut client = in_rooms(&guarded, "read", &["window:1s"]).await;
    let shop = sign(&Claims { site: Some("shop".to_owned()), ..claims("read") });
    let welcome = client.ask(json!({"op": "auth", "token": shop})).await;
    assert_eq!(welcome["op"], "welcome");
    guarded.daemon.tick();
    assert_eq!(client.ask(json!({"op": "ping"})).await["op"], "pong", "no frame of all came");
    let feed = &guarded.daemon.feed;
    let tick = feed.view_tick(&guarded.daemon.hub, "site=shop");
    let snapshot = client.next().await;
    assert_eq!((&snapshot["op"], &snapshot["room"]), (&"snapshot".into(), &"window:1s".into()));
    assert_eq!(rows_of(&snapshot), rows(&feed.view("site=shop").truth("1s", tick)));
    // And back: what it holds of one site is not the beginning of all.
    client.ask(json!({"op": "auth", "token": sign(&claims("read"))})).await;
    let snapshot = client.next().await;
    assert_eq!(rows_of(&snapshot), rows(&feed.truth("1s", 0)));
    feed.view_tick(&guarded.daemon.hub, "site=shop");
    assert_eq!(client.ask(json!({"op": "ping"})).await["op"], "pong");
}

#[tokio::test]
async fn a_bad_token_in_a_message_closes_the_socket_at_first_and_in_a_renewal() {
    let guarded = Guarded::start().await;
    let expired = sign(&Claims { exp: NOW_MS / 1_000 - 31, ..claims("read") });
    let mut stranger = Client::connect(guarded.daemon.address).await;
    let mut known = in_rooms(&guarded, "read", &["window:1s"]).await;
    for client in [&mut stranger, &mut known] {
        let error = client.ask(json!({"op": "auth", "token": expired})).await;
        assert_eq!((&error["op"], &error["code"]), (&"error".into(), &"token_expired".into()));
        assert_eq!(client.goodbye().await, Some((1008, "token_expired".to_owned())));
    }
}

#[tokio::test]
async fn an_auth_message_without_a_token_is_a_mistake_and_the_session_goes_on() {
    let guarded = Guarded::start().await;
    let mut client = Client::connect(guarded.daemon.address).await;
    for (message, code) in [
        (json!({"op": "auth"}), "missing_field"),
        (json!({"op": "auth", "token": 7}), "wrong_type"),
        (json!({"op": "auth", "token": null}), "missing_field"),
        (json!({"op": "auth", "token": ["a"]}), "wrong_type"),
    ] {
        assert_eq!(client.ask(message).await["code"], code);
    }
    assert_eq!(client.ask(json!({"op": "auth", "token": token("read")})).await["auth"], "ok");
}

#[tokio::test]
async fn what_was_published_before_a_renewal_was_published_with_the_token_before() {
    let guarded = Guarded::start().await;
    let mut raw = Raw::connect(guarded.daemon.address).await;
    let auth = |sub: &str| {
        let token = sign(&Claims { sub: sub.to_owned(), ..claims("ingest") });
        frame(0x81, json!({"op": "auth", "token": token}).to_string().as_bytes())
    };
    let publish = frame(0x81, br#"{"op":"publish","events":[{"a":1}]}"#);
    raw.write(&[auth("first"), publish.clone(), auth("second"), publish].concat()).await;
    let mut acks = 0;
    while acks < 2 {
        let (_, payload) = raw.frame().await.unwrap();
        acks += usize::from(payload.starts_with(br#"{"op":"ack""#));
    }
    let subjects = guarded.daemon.sink.subjects.lock().clone();
    assert_eq!(subjects.iter().map(|subject| &**subject).collect::<Vec<_>>(), ["first", "second"]);
}

#[tokio::test]
async fn keys_that_change_close_the_sockets_whose_tokens_they_do_not_verify() {
    let guarded = Guarded::start().await;
    let mut old = in_rooms(&guarded, "read", &["window:1s"]).await;
    let mut waiting = Client::connect(guarded.daemon.address).await;
    let mut issued = keys("a secret of tests, 32 bytes or more");
    issued.iss = Some("pulse.example.org".to_owned());
    let named = sign(&Claims { iss: issued.iss.clone(), ..claims("read") });
    let (mut kept, _) = guarded.welcomed(&named).await;
    kept.send(json!({"op": "subscribe", "rooms": ["window:1s"]})).await;
    assert_eq!(kept.next().await["op"], "snapshot");

    guarded.authority.reload(Some(issued)).unwrap();
    assert_eq!(old.next().await["code"], "token_claim_missing");
    assert_eq!(old.goodbye().await, Some((1008, "token_claim_missing".to_owned())));
    guarded.daemon.tick();
    assert_eq!(kept.next().await["op"], "delta", "a token that is still good keeps its rooms");
    assert_eq!(waiting.ask(json!({"op": "auth", "token": named})).await["auth"], "ok");

    guarded.authority.reload(Some(keys("quite another secret of 32 bytes or so"))).unwrap();
    for client in [&mut kept, &mut waiting] {
        assert_eq!(client.next().await["code"], "token_signature");
        assert_eq!(client.goodbye().await.unwrap().0, 1008);
    }
}

#[tokio::test]
async fn a_snapshot_comes_before_the_answer_to_what_was_asked_after_it() {
    let guarded = Guarded::start().await;
    let mut raw = Raw::connect(guarded.daemon.address).await;
    let auth = json!({"op": "auth", "token": token("read")}).to_string();
    let asked = [
        auth.as_str(),
        r#"{"op":"subscribe","rooms":["window:1s"]}"#,
        r#"{"op":"ping","id":1}"#,
        r#"{"op":"subscribe","rooms":["window:5s"]}"#,
        r#"{"op":"get","id":2,"room":"window:1s","at":1763884000}"#,
        r#"{"op":"ping","id":3}"#,
    ];
    let frames: Vec<u8> = asked.iter().flat_map(|text| frame(0x81, text.as_bytes())).collect();
    raw.write(&frames).await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        let answer: Value = serde_json::from_slice(&raw.frame().await.unwrap().1).unwrap();
        let id = answer.get("id").map(ToString::to_string).unwrap_or_default();
        answers.push(format!("{}{id}", answer["op"].as_str().unwrap()));
    }
    assert_eq!(answers, ["welcome", "snapshot", "pong1", "snapshot", "snapshot2", "pong3"]);
}
