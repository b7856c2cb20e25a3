//! How sessions end, and how many there may be.

use std::time::Duration;

use crate::client::{Client, Raw, frame, upgrade};
use crate::daemon::{Daemon, Setup};

#[tokio::test]
async fn a_client_that_does_not_answer_a_ping_is_closed() {
    let mut setup = Setup::default();
    setup.hub.ping_after = Duration::from_millis(50);
    setup.hub.pong_within = Duration::from_millis(100);
    let daemon = Daemon::with(setup).await;
    let mut dead = Raw::connect(daemon.address).await;
    assert_eq!(dead.frame().await.unwrap(), (0x89, vec![]), "it is pinged");
    assert_eq!(dead.close_code().await, Some(3012));
}

#[tokio::test]
async fn a_client_that_answers_its_pings_stays() {
    let mut setup = Setup::default();
    setup.hub.ping_after = Duration::from_millis(20);
    setup.hub.pong_within = Duration::from_secs(5);
    let daemon = Daemon::with(setup).await;
    let mut quiet = Raw::connect(daemon.address).await;
    for _ in 0..10 {
        assert_eq!(quiet.frame().await.unwrap(), (0x89, vec![]));
        quiet.write(&frame(0x8a, b"")).await;
    }
    assert_eq!(daemon.hub.counters().sockets, 1);
}

#[tokio::test]
async fn shutdown_closes_every_socket_with_1012_and_takes_no_more() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(Client::connect_to_rooms(daemon.address, &["window:1s"]).await);
    }
    let closing = daemon.hub.close_all(1012, Duration::from_secs(5));
    let reading = async {
        for client in &mut clients {
            assert_eq!(client.close_code().await, Some(1012));
        }
        clients.clear();
    };
    let (left, ()) = tokio::join!(closing, reading);
    assert_eq!(left, 0);
    let mut late = Raw::dial(daemon.address).await;
    late.write(upgrade(daemon.address, "").as_bytes()).await;
    assert!(late.head().await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_client_that_does_not_answer() {
    let mut setup = Setup::default();
    setup.hub.linger = Duration::from_millis(100);
    let daemon = Daemon::with(setup).await;
    let mut mute = Raw::connect(daemon.address).await;
    assert_eq!(daemon.hub.close_all(1012, Duration::from_secs(5)).await, 0);
    assert_eq!(mute.close_code().await, Some(1012));
}

#[tokio::test]
async fn sockets_past_the_limit_are_refused_before_the_upgrade() {
    let mut setup = Setup::default();
    setup.hub.limits.sockets = 2;
    let daemon = Daemon::with(setup).await;
    let one = Raw::connect(daemon.address).await;
    let _two = Raw::connect(daemon.address).await;
    let mut three = Raw::dial(daemon.address).await;
    three.write(upgrade(daemon.address, "").as_bytes()).await;
    let head = three.head().await;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: "), "{head}");
    drop(one);
    daemon.sockets(1).await;
    Raw::connect(daemon.address).await;
}

#[tokio::test]
async fn sockets_of_one_address_past_their_limit_are_refused_before_the_upgrade() {
    let mut setup = Setup::default();
    setup.hub.limits.sockets_per_address = 1;
    let daemon = Daemon::with(setup).await;
    let _one = Raw::connect(daemon.address).await;
    let mut two = Raw::dial(daemon.address).await;
    two.write(upgrade(daemon.address, "Connection: close\r\n").as_bytes()).await;
    assert!(two.head().await.starts_with("HTTP/1.1 429 "));
    assert!(two.rest().await.contains(r#""code":"too_many_sockets_of_address""#));
}

#[tokio::test]
async fn a_client_that_answers_the_close_is_not_kept_waiting() {
    let mut setup = Setup::default();
    setup.hub.linger = Duration::from_mins(10);
    let daemon = Daemon::with(setup).await;
    let mut polite = Raw::connect(daemon.address).await;
    let closing = daemon.hub.close_all(1012, Duration::from_secs(20));
    let answering = async {
        assert_eq!(polite.close_code().await, Some(1012));
        polite.write(&frame(0x88, &1012_u16.to_be_bytes())).await;
        assert_eq!(polite.frame().await, None, "it is the daemon that closes the connection");
    };
    assert_eq!(tokio::join!(closing, answering).0, 0);
}
