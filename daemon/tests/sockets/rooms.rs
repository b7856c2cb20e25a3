//! What subscribers are sent: one frame a room a tick, and a picture without a hole.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::client::{Client, Picture, rows};
use crate::daemon::{Daemon, Setup};
use crate::feed::FIRST_TICK;

#[tokio::test]
async fn deltas_applied_to_a_snapshot_give_the_next_snapshot_over_many_ticks() {
    for seed in 0..8 {
        let daemon = Daemon::with(Setup { seed, ..Setup::default() }).await;
        daemon.tick();
        let mut client = Client::connect_to_rooms(daemon.address, &["window:5s"]).await;
        let mut picture = Picture::default();
        picture.apply(&client.next().await);
        for _ in 0..60 {
            let tick = daemon.tick();
            let message = client.next().await;
            assert_eq!(message["op"], "delta", "a client that reads is never lagged");
            picture.apply(&message);
            assert_eq!(picture.tick, tick);
        }
        client.send(json!({"op": "subscribe", "rooms": ["window:5s"]})).await;
        let snapshot = client.next().await;
        assert_eq!(snapshot["aggregate"], picture.aggregate);
        let truth: BTreeMap<i64, Value> =
            rows(&daemon.feed.truth("5s", FIRST_TICK)).into_iter().collect();
        assert!(picture.history == truth, "corrections included");
    }
}

#[tokio::test]
async fn two_clients_in_a_room_are_sent_the_same_bytes() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let mut one = Client::connect_to_rooms(daemon.address, &["window:1s"]).await;
    let mut other = Client::connect_to_rooms(daemon.address, &["window:1s"]).await;
    assert_eq!(one.text().await, other.text().await);
    for _ in 0..20 {
        daemon.tick();
        assert_eq!(one.text().await, other.text().await);
    }
}

#[tokio::test]
async fn a_session_in_several_rooms_is_sent_one_frame_a_room_a_tick() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let rooms = ["window:1s", "window:5s", "window:60s"];
    let mut client = Client::connect_to_rooms(daemon.address, &rooms).await;
    let mut pictures: BTreeMap<String, Picture> = BTreeMap::new();
    for round in 0..20 {
        for room in rooms {
            let message = client.next().await;
            assert_eq!(message["room"], room);
            assert_eq!(message["op"], if round == 0 { "snapshot" } else { "delta" });
            pictures.entry(room.to_owned()).or_default().apply(&message);
        }
        daemon.tick();
    }
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed_and_what_changed() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let mut client = Client::connect_to_rooms(daemon.address, &["window:1s"]).await;
    let mut picture = Picture::default();
    picture.apply(&client.next().await);
    for _ in 0..10 {
        daemon.tick();
        picture.apply(&client.next().await);
    }
    client.leave().await;
    for _ in 0..40 {
        daemon.tick();
    }
    let mut client = Client::connect(daemon.address).await;
    let since = json!({"window:1s": picture.tick});
    client.send(json!({"op": "subscribe", "rooms": ["window:1s"], "since": since})).await;
    let snapshot = client.next().await;
    assert_eq!(snapshot["historyFrom"].as_i64(), Some(picture.tick + 1));
    assert_eq!(snapshot["lagged"], 0, "it was away, not slow");
    picture.apply(&snapshot);
    daemon.tick();
    picture.apply(&client.next().await);
    let truth: BTreeMap<i64, Value> =
        rows(&daemon.feed.truth("1s", FIRST_TICK)).into_iter().collect();
    assert!(picture.history == truth);
}

#[tokio::test]
async fn without_since_the_last_300_ticks_come_along() {
    let daemon = Daemon::start().await;
    for _ in 0..350 {
        daemon.tick();
    }
    let mut client = Client::connect_to_rooms(daemon.address, &["window:1s"]).await;
    let snapshot = client.next().await;
    assert_eq!(snapshot["historyFrom"], FIRST_TICK + 50);
    assert_eq!(snapshot["history"]["tick"].as_array().unwrap().len(), 300);
}

#[tokio::test]
async fn a_client_ahead_of_the_daemon_gets_a_snapshot_without_history() {
    let daemon = Daemon::start().await;
    let tick = daemon.tick();
    let mut client = Client::connect(daemon.address).await;
    for since in [tick, tick + 1_000_000, i64::MAX] {
        let since = json!({"window:1s": since});
        client.send(json!({"op": "subscribe", "rooms": ["window:1s"], "since": since})).await;
        let snapshot = client.next().await;
        assert_eq!((&snapshot["tick"], snapshot.get("history")), (&tick.into(), None));
    }
}

#[tokio::test]
async fn whoever_subscribes_before_the_first_tick_gets_it_when_it_comes() {
    let daemon = Daemon::start().await;
    let mut client = Client::connect_to_rooms(daemon.address, &["window:1s"]).await;
    client.is_alive().await;
    daemon.tick();
    let mut picture = Picture::default();
    picture.apply(&client.next().await);
    daemon.tick();
    picture.apply(&client.next().await);
}

#[tokio::test]
async fn nobody_is_lagged_by_ticks_that_nobody_was_sent() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let mut client = Client::connect_to_rooms(daemon.address, &["window:1s"]).await;
    client.next().await;
    daemon.feed.skip();
    daemon.feed.skip();
    let tick = daemon.tick();
    let snapshot = client.next().await;
    assert_eq!(snapshot["op"], "snapshot", "there is no base for a delta");
    assert_eq!((&snapshot["tick"], &snapshot["lagged"]), (&tick.into(), &0.into()));
}

#[tokio::test]
async fn whoever_left_a_room_is_sent_nothing_more_of_it() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let mut client = Client::connect_to_rooms(daemon.address, &["window:1s", "window:5s"]).await;
    client.next().await;
    client.next().await;
    client.send(json!({"op": "unsubscribe", "rooms": ["window:1s"]})).await;
    assert_eq!(client.next().await, json!({"op": "unsubscribed", "room": "window:1s"}));
    for _ in 0..5 {
        daemon.tick();
        assert_eq!(client.next().await["room"], "window:5s");
    }
}

#[tokio::test]
async fn a_window_can_be_had_as_it_was_at_a_tick() {
    let daemon = Daemon::start().await;
    let tick = daemon.tick();
    let mut watcher = Client::connect_to_rooms(daemon.address, &["window:5s"]).await;
    let then = watcher.next().await;
    for _ in 0..5 {
        daemon.tick();
    }
    let mut client = Client::connect(daemon.address).await;
    client.send(json!({"op": "get", "id": 3, "room": "window:5s", "at": tick})).await;
    client.send(json!({"op": "ping", "id": 4})).await;
    let snapshot = client.next().await;
    assert_eq!((&snapshot["op"], &snapshot["id"]), (&"snapshot".into(), &3.into()));
    assert_eq!(snapshot["tick"], tick);
    assert_eq!(snapshot["aggregate"]["from"], then["aggregate"]["from"]);
    assert_eq!(client.next().await, json!({"op": "pong", "id": 4}), "what came behind is answered");
    client.send(json!({"op": "get", "id": 5, "room": "window:5s", "at": 17})).await;
    let error = client.next().await;
    assert_eq!((&error["id"], &error["code"]), (&5.into(), &"tick_unknown".into()));
}

#[tokio::test]
async fn subscribers_that_join_while_ticks_leave_see_no_hole() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect_to_rooms(daemon.address, &["window:1s"]).await;
        daemon.tick();
        clients.push(tokio::spawn(async move {
            let mut picture = Picture::default();
            while picture.tick < FIRST_TICK + 60 {
                picture.apply(&client.next().await);
            }
            (picture.history, picture.lagged)
        }));
    }
    while daemon.tick() < FIRST_TICK + 60 {
        tokio::task::yield_now().await;
        daemon.walked(1).await;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let truth: BTreeMap<i64, Value> =
        rows(&daemon.feed.truth("1s", FIRST_TICK)).into_iter().collect();
    for client in clients {
        let (history, _) = client.await.unwrap();
        assert!(history == truth);
    }
}
