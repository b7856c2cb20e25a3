//! Readers that do not keep up: they cost a constant, are told, and nobody else notices.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use pulseboardd::clock::Clock;

use crate::client::{Client, Picture, Raw, frame, rows};
use crate::daemon::{Daemon, Setup};
use crate::feed::FIRST_TICK;

const SUBSCRIBE: &[u8] = br#"{"op":"subscribe","rooms":["window:1s"]}"#;
/// Where a clock stands until a test moves it, Unix ms.
const THEN_MS: i64 = 1_763_884_000_000;
/// How long somebody may read nothing.
const SLOW_AFTER_MS: i64 = 100;

fn setup() -> Setup {
    let mut setup = Setup::default();
    setup.hub.send_buffer_bytes = 4 * 1024;
    setup
}

/// The same with a clock that stands: nobody is slow before it is moved.
fn setup_with_clock() -> (Setup, Clock) {
    let clock = Clock::manual(THEN_MS);
    let mut setup = setup();
    setup.clock = clock.clone();
    setup.hub.slow_after = Duration::from_millis(SLOW_AFTER_MS as u64);
    (setup, clock)
}

/// Frames ticks of some size until the slow client's connection takes no more, and so many more.
async fn overflow(daemon: &Daemon, neighbour: &mut Client, ticks: usize) {
    daemon.feed.padding.store(100_000, Ordering::Relaxed);
    for _ in 0..ticks {
        let tick = daemon.tick();
        let delta = neighbour.next().await;
        assert_eq!((&delta["op"], delta["tick"].as_i64()), (&"delta".into(), Some(tick)));
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed_and_its_neighbour_misses_nothing() {
    let daemon = Daemon::with(setup()).await;
    daemon.tick();
    let mut neighbour = Client::connect_to_rooms(daemon.address, &["window:1s"]).await;
    neighbour.next().await;
    let mut slow = Raw::connect(daemon.address).await;
    slow.write(&frame(0x81, SUBSCRIBE)).await;
    let mut picture = Picture::default();
    picture.apply(&serde_json::from_slice(&slow.frame().await.unwrap().1).unwrap());

    overflow(&daemon, &mut neighbour, 150).await;
    let newest = daemon.tick();
    daemon.walked(152).await;

    let (mut frames, mut lagged) = (0, 0);
    while picture.tick < newest {
        let (_, payload) = slow.frame().await.unwrap();
        let message: Value = serde_json::from_slice(&payload).unwrap();
        frames += 1;
        lagged += message.get("lagged").and_then(Value::as_u64).unwrap_or(0);
        picture.apply(&message);
    }
    assert!(lagged > 0, "it did fall behind");
    assert_eq!(frames + lagged, 151, "every tick is sent or counted");
    assert_eq!(picture.lagged, daemon.hub.counters().frames_lagged);
    let truth: BTreeMap<i64, Value> =
        rows(&daemon.feed.truth("1s", FIRST_TICK)).into_iter().collect();
    assert!(picture.history == truth, "what it was not sent is in its history");

    daemon.tick();
    let (_, payload) = slow.frame().await.unwrap();
    let message: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(message["op"], "delta", "having caught up it is like everyone");
    picture.apply(&message);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_closed_and_its_neighbour_misses_nothing() {
    let (mut setup, clock) = setup_with_clock();
    setup.hub.linger = Duration::from_millis(100);
    let daemon = Daemon::with(setup).await;
    daemon.tick();
    let mut neighbour = Client::connect_to_rooms(daemon.address, &["window:1s"]).await;
    neighbour.next().await;
    let mut stuck = Raw::connect(daemon.address).await;
    stuck.write(&frame(0x81, SUBSCRIBE)).await;
    stuck.frame().await.unwrap();
    overflow(&daemon, &mut neighbour, 150).await;
    assert_eq!(daemon.hub.counters().sockets, 2);
    clock.set_ms(THEN_MS + SLOW_AFTER_MS);
    daemon.sockets(1).await;
    daemon.tick();
    neighbour.next().await;
}

#[tokio::test]
async fn a_reader_that_wakes_up_while_it_is_being_closed_learns_why() {
    let (mut setup, clock) = setup_with_clock();
    setup.hub.linger = Duration::from_mins(10);
    let daemon = Daemon::with(setup).await;
    daemon.tick();
    let mut neighbour = Client::connect_to_rooms(daemon.address, &["window:1s"]).await;
    neighbour.next().await;
    let mut stuck = Raw::connect(daemon.address).await;
    stuck.write(&frame(0x81, SUBSCRIBE)).await;
    stuck.frame().await.unwrap();
    overflow(&daemon, &mut neighbour, 150).await;
    clock.set_ms(THEN_MS + SLOW_AFTER_MS);
    // Each is a turn of the runtime's one thread, in which the keeper has its turn too: the close is
    // asked for before anything is read.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(stuck.close_code().await, Some(3008));
}

#[tokio::test]
async fn a_client_that_asks_much_and_reads_nothing_stops_being_read() {
    let daemon = Daemon::with(setup()).await;
    daemon.tick();
    let mut greedy = Raw::connect(daemon.address).await;
    let ping = frame(0x81, br#"{"op":"dance"}"#);
    let many = ping.repeat(1_000);
    let mut sent = 0;
    // The connection fills up: what it would be answered is bounded, so what it may ask is.
    let write = async {
        loop {
            tokio::io::AsyncWriteExt::write_all(&mut greedy.0, &many).await.unwrap();
            sent += many.len();
        }
    };
    let filled = tokio::time::timeout(Duration::from_secs(3), write).await;
    assert!(filled.is_err(), "it cannot write for ever");
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes were taken");
    let mut neighbour = Client::connect(daemon.address).await;
    neighbour.is_alive().await;
    neighbour.send(json!({"op": "ping"})).await;
}
