//! HTTP connections: what is refused before any route, how many there may be, how they end.

use std::time::Duration;

use crate::client::Raw;
use crate::daemon::{Daemon, Setup};
use pulseboardd::server::{self, BindError, Drained, Limits, Live};

async fn get(daemon: &Daemon, path: &str, more: &str) -> (u16, String) {
    let mut raw = Raw::dial(daemon.address).await;
    let host = daemon.address;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
    raw.write(request.as_bytes()).await;
    let head = raw.head().await;
    (head[9..12].parse().unwrap(), raw.rest().await)
}

fn code(body: &str) -> String {
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    problem["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_uri_over_8_kib_is_too_long() {
    let daemon = Daemon::start().await;
    let (status, body) = get(&daemon, &format!("/?{}", "q".repeat(8 * 1024)), "").await;
    assert_eq!((status, code(&body)), (414, "uri_too_long".to_owned()));
    let (status, body) = get(&daemon, &format!("/?{}", "q".repeat(8 * 1024 - 2)), "").await;
    assert_eq!((status, body.as_str()), (200, "home"));
}

#[tokio::test]
async fn a_header_block_over_16_kib_is_too_large() {
    let daemon = Daemon::start().await;
    let (status, body) = get(&daemon, "/", &format!("X: {}\r\n", "x".repeat(16 * 1024))).await;
    assert_eq!((status, code(&body)), (431, "headers_too_large".to_owned()));
    let (status, _) = get(&daemon, "/", &format!("X: {}\r\n", "x".repeat(15 * 1024))).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn in_dev_mode_every_route_is_for_this_machine_alone() {
    let daemon = Daemon::start().await;
    for more in ["Forwarded: for=10.0.0.1\r\n", "X-Real-IP: 10.0.0.1\r\n", "Via: 1.1 p\r\n"] {
        let (status, body) = get(&daemon, "/", more).await;
        assert_eq!((status, code(&body)), (403, "dev_mode_is_local".to_owned()), "{more}");
    }
    let mut raw = Raw::dial(daemon.address).await;
    raw.write(b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n").await;
    assert!(raw.head().await.starts_with("HTTP/1.1 403 "));
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_headers_is_cut_off() {
    let mut setup = Setup::default();
    let header_timeout = Duration::from_millis(100);
    setup.server.limits = Live::new(Limits { header_timeout, ..Limits::default() });
    let daemon = Daemon::with(setup).await;
    let mut raw = Raw::dial(daemon.address).await;
    raw.write(b"GET / HTTP/1.1\r\nHost: local").await;
    raw.rest().await;
}

#[tokio::test]
async fn past_the_limit_connections_wait_until_one_ends() {
    let mut setup = Setup::default();
    setup.server.limits = Live::new(Limits { connections: 2, ..Limits::default() });
    let daemon = Daemon::with(setup).await;
    let socket = Raw::connect(daemon.address).await;
    let idle = Raw::dial(daemon.address).await;
    let mut waiting = Raw::dial(daemon.address).await;
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.address);
    waiting.write(request.as_bytes()).await;
    let early = tokio::time::timeout(Duration::from_millis(200), waiting.0.readable()).await;
    assert!(early.is_err(), "an upgraded socket counts as well");
    drop(socket);
    assert!(waiting.head().await.starts_with("HTTP/1.1 200 "));
    drop(idle);
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_says_what_to_try() {
    let taken = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let error = server::bind(taken.local_addr().unwrap()).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)));
    assert!(error.to_string().contains("--bind"), "{error}");
}

#[tokio::test]
async fn shutdown_lets_a_request_finish_and_ends_idle_connections() {
    let mut daemon = Daemon::start().await;
    let mut idle = Raw::dial(daemon.address).await;
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.address);
    idle.write(request.as_bytes()).await;
    idle.head().await;
    let mut busy = Raw::dial(daemon.address).await;
    let request = format!("GET /slow HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.address);
    busy.write(request.as_bytes()).await;
    daemon.reached().await;
    assert_eq!(daemon.stop().await, Drained { finished: 2, cut: 0 });
    assert!(busy.head().await.starts_with("HTTP/1.1 200 "));
    assert!(tokio::net::TcpStream::connect(daemon.address).await.is_err());
}

#[tokio::test]
async fn shutdown_cuts_off_what_does_not_finish() {
    let mut setup = Setup::default();
    setup.server.drain = Duration::from_millis(100);
    let mut daemon = Daemon::with(setup).await;
    let mut stuck = Raw::dial(daemon.address).await;
    let request = format!("GET /stuck HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.address);
    stuck.write(request.as_bytes()).await;
    daemon.reached().await;
    daemon.begin_stop();
    assert_eq!(daemon.stopped().await, Drained { finished: 0, cut: 1 });
    stuck.rest().await;
}
