//! Rooms of filtered views: each like a room of everything, under the name its client wrote.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, PATIENCE, Picture, Raw, frame, rows, rows_of};
use crate::daemon::{Daemon, Setup};
use crate::feed::{FIRST_TICK, VIEWS_MAX};

/// A filter as clients write it, and its canonical text.
const WRITTEN: &str = "status=5xx route=/a\\b";
const FILTER: &str = "route=/ab status=5xx";

fn room(window: &str) -> String {
    format!("window:{window}?filter={WRITTEN}")
}

impl Daemon {
    fn view_tick(&self) -> i64 {
        self.feed.view_tick(&self.hub, FILTER)
    }

    fn truth(&self, window: &str) -> BTreeMap<i64, Value> {
        rows(&self.feed.view(FILTER).truth(window, FIRST_TICK)).into_iter().collect()
    }

    async fn watched(&self, times: usize) {
        let wait = async {
            while self.feed.watched.load(Ordering::Relaxed) != times {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.expect("views are watched and let go");
    }
}

#[tokio::test]
async fn a_filtered_room_waits_for_its_view_while_others_go_on_then_has_no_hole() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let name = room("5s");
    let mut client = Client::connect_to_rooms(daemon.address, &[&name, "window:5s"]).await;
    assert_eq!(client.next().await["room"], "window:5s", "the view is being filled");
    daemon.tick();
    assert_eq!(client.next().await["room"], "window:5s");
    let mut picture = Picture::default();
    for round in 0..40 {
        let tick = daemon.view_tick();
        let message = client.next().await;
        assert_eq!((&message["room"], message["tick"].as_i64()), (&json!(name), Some(tick)));
        assert_eq!(message["op"], if round == 0 { "snapshot" } else { "delta" });
        picture.apply(&message);
        daemon.tick();
        assert_eq!(client.next().await["room"], "window:5s");
    }
    assert!(picture.history == daemon.truth("5s"), "corrections included");
    client.send(json!({"op": "subscribe", "rooms": [name]})).await;
    let snapshot = client.next().await;
    assert_eq!((&snapshot["room"], &snapshot["aggregate"]), (&json!(name), &picture.aggregate));
}

#[tokio::test]
async fn one_view_serves_every_spelling_and_each_client_reads_its_own() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let names = [room("1s"), format!("window:1s?filter={FILTER}"), "window:1s?filter=".to_owned()];
    let rooms: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut client = Client::connect_to_rooms(daemon.address, &rooms).await;
    let all = client.next().await;
    assert_eq!(all["room"], names[2], "an empty filter is everything");
    daemon.watched(1).await;
    for round in 0..5 {
        daemon.view_tick();
        let (mut one, mut other) = (client.next().await, client.next().await);
        assert_eq!((&one["room"], &other["room"]), (&json!(names[0]), &json!(names[1])));
        assert_eq!(one["op"], if round == 0 { "snapshot" } else { "delta" });
        one["room"].take();
        other["room"].take();
        assert_eq!(one, other);
    }
    client.send(json!({"op": "unsubscribe", "rooms": [names[0]]})).await;
    assert_eq!(client.next().await, json!({"op": "unsubscribed", "room": names[0]}));
    daemon.view_tick();
    assert_eq!(client.next().await["room"], names[1], "the other spelling stays");
    daemon.watched(1).await;
    client.leave().await;
    daemon.watched(0).await;
}

#[tokio::test]
async fn a_view_that_lingered_is_there_at_once_and_goes_on_from_a_tick() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let name = room("1s");
    let mut first = Client::connect_to_rooms(daemon.address, &[&name]).await;
    first.is_alive().await;
    let mut held = daemon.view_tick();
    let mut picture = Picture::default();
    picture.apply(&first.next().await);
    first.leave().await;
    daemon.watched(0).await;
    for _ in 0..7 {
        held = daemon.view_tick();
    }
    let mut back = Client::connect(daemon.address).await;
    let since = json!({ &name: FIRST_TICK });
    back.send(json!({"op": "subscribe", "rooms": [name], "since": since})).await;
    let snapshot = back.next().await;
    assert_eq!((snapshot["tick"].as_i64(), snapshot["lagged"].as_u64()), (Some(held), Some(0)));
    let ticks: Vec<i64> = rows_of(&snapshot).into_iter().map(|(tick, _)| tick).collect();
    assert_eq!(ticks, (FIRST_TICK + 1..=held).collect::<Vec<_>>());
    picture.apply(&snapshot);
    daemon.view_tick();
    let delta = back.next().await;
    assert_eq!(delta["op"], "delta");
    picture.apply(&delta);
    assert!(picture.history == daemon.truth("1s"));
}

#[tokio::test]
async fn what_cannot_be_joined_says_why_with_the_column_at_fault() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let mut client = Client::connect(daemon.address).await;
    for (room, code) in [
        ("window:5s?filter=route=/a colour=red", "bad_filter"),
        ("window:5s?filter=status=700", "bad_filter"),
        ("window:5s?route=/a", "unknown_room"),
        ("window:9s?filter=status=500", "unknown_room"),
        ("tail?filter=status=500", "not_available"),
    ] {
        let error = client.ask(json!({"op": "subscribe", "rooms": [room]})).await;
        assert_eq!((&error["code"], &error["room"]), (&json!(code), &json!(room)));
        let names_column = error["message"].as_str().unwrap().starts_with("column ");
        assert_eq!(names_column, code == "bad_filter", "{error}");
    }
    let rooms: Vec<String> =
        (0..=VIEWS_MAX).map(|nth| format!("window:1s?filter=userId=u{nth}")).collect();
    let error = client.ask(json!({"op": "subscribe", "rooms": rooms})).await;
    assert_eq!(error["code"], "too_many_views");
    assert_eq!(error["room"], rooms[VIEWS_MAX], "the others are joined");
    daemon.watched(VIEWS_MAX).await;
}

#[tokio::test]
async fn a_slow_reader_of_a_view_is_told_what_it_missed() {
    let mut setup = Setup::default();
    setup.hub.send_buffer_bytes = 4 * 1024;
    let daemon = Daemon::with(setup).await;
    daemon.tick();
    let subscribe = json!({"op": "subscribe", "rooms": [room("1s")]}).to_string();
    let mut slow = Raw::connect(daemon.address).await;
    slow.write(&frame(0x81, subscribe.as_bytes())).await;
    daemon.watched(1).await;
    let mut newest = daemon.view_tick();
    let (mut picture, mut frames, mut lagged) = (Picture::default(), 1, 0);
    picture.apply(&serde_json::from_slice(&slow.frame().await.unwrap().1).unwrap());
    let mut neighbour = Client::connect_to_rooms(daemon.address, &[&room("1s")]).await;
    neighbour.next().await;
    daemon.feed.view(FILTER).padding.store(100_000, Ordering::Relaxed);
    for _ in 0..150 {
        newest = daemon.view_tick();
        assert_eq!(neighbour.next().await["op"], "delta");
    }
    while picture.tick < newest {
        let (_, payload) = slow.frame().await.unwrap();
        let message: Value = serde_json::from_slice(&payload).unwrap();
        frames += 1;
        lagged += message.get("lagged").and_then(Value::as_u64).unwrap_or(0);
        picture.apply(&message);
    }
    assert!(lagged > 0, "it did fall behind");
    assert_eq!(frames + lagged, 151, "every tick is sent or counted");
    assert!(picture.history == daemon.truth("1s"), "what it was not sent is in its history");
}
