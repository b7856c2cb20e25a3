//! Messages as they should not be: each is answered with a stable code, and the session goes on.

use serde_json::json;

use crate::client::Client;
use crate::daemon::{Daemon, Setup};
use crate::feed::FIRST_TICK;

#[tokio::test]
async fn the_welcome_says_what_there_is() {
    let daemon = Daemon::start().await;
    let tick = daemon.tick();
    let mut client = Client::connect(daemon.address).await;
    client.send(json!({"op": "auth", "token": "anything"})).await;
    let welcome = client.next().await;
    assert_eq!(
        welcome,
        json!({
            "op": "welcome", "protocol": 1, "node": "test", "tick": tick,
            "windows": ["1s", "5s", "60s"], "auth": "dev", "scope": "read ingest admin",
            "limits": {"publishBytes": 1_048_576, "rooms": 32},
        })
    );
}

#[tokio::test]
async fn every_message_that_is_not_understood_is_answered_and_the_session_goes_on() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let mut client = Client::connect(daemon.address).await;
    for (message, code, id) in [
        ("", "bad_json", None),
        ("{", "bad_json", None),
        ("[]", "not_an_object", None),
        ("\"op\"", "not_an_object", None),
        (r#"{"op":"ping","op":"ping"}"#, "bad_json", None),
        (r#"{"id":4}"#, "missing_field", Some(4)),
        (r#"{"op":1,"id":4}"#, "wrong_type", Some(4)),
        (r#"{"op":"dance","id":4}"#, "unknown_op", Some(4)),
        (r#"{"op":"ping","id":"four"}"#, "wrong_type", None),
        (r#"{"op":"publish","id":4}"#, "missing_field", Some(4)),
        (r#"{"op":"publish","id":4,"events":"no"}"#, "wrong_type", Some(4)),
        (r#"{"op":"subscribe"}"#, "missing_field", None),
        (r#"{"op":"subscribe","rooms":[7]}"#, "wrong_type", None),
        (r#"{"op":"unsubscribe","rooms":{}}"#, "wrong_type", None),
        (r#"{"op":"get","id":4,"room":"window:1s","at":"now"}"#, "wrong_type", Some(4)),
        (r#"{"op":"auth"}"#, "missing_field", None),
    ] {
        client.send_text(message).await;
        let error = client.next().await;
        assert_eq!(error["op"], "error", "{message}");
        assert_eq!(error["code"], code, "{message}");
        assert_eq!(error.get("id").and_then(serde_json::Value::as_u64), id, "{message}");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    client.is_alive().await;
}

#[tokio::test]
async fn deep_nesting_is_no_way_to_hurt_the_daemon() {
    let daemon = Daemon::start().await;
    let mut client = Client::connect(daemon.address).await;
    client.send_text(&format!("{{\"op\":{}", "[".repeat(500_000))).await;
    assert_eq!(client.next().await["code"], "bad_json");
    client.is_alive().await;
}

#[tokio::test]
async fn rooms_that_are_not_there_are_told_apart_from_rooms_to_come() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let mut client = Client::connect(daemon.address).await;
    for (room, code) in [
        ("window:7s", "unknown_room"),
        ("window:", "unknown_room"),
        ("lobby", "unknown_room"),
        ("", "unknown_room"),
        ("window:7s?filter=route=/", "unknown_room"),
        ("tail", "not_available"),
        ("tail?filter=route=/x", "not_available"),
        ("system", "not_available"),
        ("window:1s?filter=route=/x status=7xx", "bad_filter"),
    ] {
        for op in ["subscribe", "unsubscribe"] {
            client.send(json!({"op": op, "rooms": [room]})).await;
            let error = client.next().await;
            assert_eq!((&error["code"], &error["room"]), (&code.into(), &room.into()));
        }
        client.send(json!({"op": "get", "id": 1, "room": room, "at": FIRST_TICK})).await;
        let error = client.next().await;
        assert_eq!((&error["code"], &error["id"]), (&code.into(), &1.into()));
    }
    client.send(json!({"op": "unsubscribe", "rooms": ["window:1s"]})).await;
    assert_eq!(client.next().await["code"], "not_subscribed");
    client.is_alive().await;
}

#[tokio::test]
async fn a_socket_is_in_no_more_rooms_than_the_limit() {
    let mut setup = Setup::default();
    setup.hub.limits.rooms_per_socket = 2;
    let daemon = Daemon::with(setup).await;
    daemon.tick();
    let mut client = Client::connect_to_rooms(daemon.address, &["window:1s", "window:5s"]).await;
    assert_eq!(client.next().await["room"], "window:1s");
    assert_eq!(client.next().await["room"], "window:5s");
    client.send(json!({"op": "subscribe", "rooms": ["window:60s"]})).await;
    let error = client.next().await;
    let told = (&error["code"], &error["room"]);
    assert_eq!(told, (&"too_many_rooms".into(), &"window:60s".into()));
    client.send(json!({"op": "subscribe", "rooms": ["window:5s"]})).await;
    assert_eq!(client.next().await["op"], "snapshot", "a room it is in already is no new one");
    client.send(json!({"op": "unsubscribe", "rooms": ["window:1s"]})).await;
    assert_eq!(client.next().await, json!({"op": "unsubscribed", "room": "window:1s"}));
    client.send(json!({"op": "subscribe", "rooms": ["window:60s"]})).await;
    assert_eq!(client.next().await["room"], "window:60s");
}
