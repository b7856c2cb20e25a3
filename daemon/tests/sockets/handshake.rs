//! Upgrade requests: which become a socket, and what the others are told.

use std::net::SocketAddr;

use crate::client::{KEY, Raw, upgrade};
use crate::daemon::{Daemon, Setup};
use pulseboardd::server::origin::Origins;

async fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut raw = Raw::dial(address).await;
    raw.write(request.as_bytes()).await;
    let head = raw.head().await;
    let body = if head.starts_with("HTTP/1.1 101 ") { String::new() } else { raw.rest().await };
    (head, body)
}

fn status(head: &str) -> u16 {
    head[9..12].parse().unwrap()
}

async fn refused(address: SocketAddr, request: &str) -> (u16, String) {
    let (head, body) = ask(address, request).await;
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["status"], status(&head));
    (status(&head), problem["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_proper_request_switches_protocols() {
    let daemon = Daemon::start().await;
    let (head, _) = ask(daemon.address, &upgrade(daemon.address, "")).await;
    assert_eq!(status(&head), 101);
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    assert!(!head.contains("sec-websocket-protocol"), "none was offered");
}

#[tokio::test]
async fn the_subprotocol_is_named_when_it_was_offered() {
    let daemon = Daemon::start().await;
    for offered in ["pulseboard.v1", "chat, pulseboard.v1", "bearer.abc, pulseboard.v1"] {
        let more = format!("Sec-WebSocket-Protocol: {offered}\r\n");
        let (head, _) = ask(daemon.address, &upgrade(daemon.address, &more)).await;
        assert!(head.contains("sec-websocket-protocol: pulseboard.v1\r\n"), "{offered}: {head}");
    }
    for (offered, code) in [("chat", "unknown_subprotocol"), ("bearer.abc", "subprotocol_missing")]
    {
        let more = format!("Sec-WebSocket-Protocol: {offered}\r\nConnection: close\r\n");
        let told = refused(daemon.address, &upgrade(daemon.address, &more)).await;
        assert_eq!(told, (400, code.to_owned()));
    }
}

#[tokio::test]
async fn a_request_that_is_no_upgrade_is_told_what_is_missing() {
    let daemon = Daemon::start().await;
    let address = daemon.address;
    let get = |lines: &str| {
        format!("GET /ws HTTP/1.1\r\nHost: {address}\r\n{lines}Connection: close\r\n\r\n")
    };
    let upgrade = "Upgrade: websocket\r\nConnection: upgrade\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let key = format!("Sec-WebSocket-Key: {KEY}\r\n");
    for (lines, answer) in [
        (String::new(), (426, "upgrade_required")),
        ("Upgrade: h2c\r\nConnection: upgrade\r\n".to_owned(), (426, "upgrade_required")),
        (format!("{upgrade}{key}"), (426, "websocket_version")),
        (format!("{upgrade}{key}Sec-WebSocket-Version: 8\r\n"), (426, "websocket_version")),
        (format!("{upgrade}{version}"), (400, "websocket_key")),
        (format!("{upgrade}{version}Sec-WebSocket-Key: short\r\n"), (400, "websocket_key")),
    ] {
        let (status, code) = refused(address, &get(&lines)).await;
        assert_eq!((status, code.as_str()), answer, "{lines}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_kept_out() {
    let origins = Origins::new(None, vec!["http://wall.example.org".to_owned()]);
    let daemon = Daemon::with(Setup { origins, ..Setup::default() }).await;
    let address = daemon.address;
    let with =
        |origin: &str| upgrade(address, &format!("Origin: {origin}\r\nConnection: close\r\n"));
    for origin in ["http://example.org", "null", "http://localhost:1", "file://"] {
        let told = refused(address, &with(origin)).await;
        assert_eq!(told, (403, "origin_not_allowed".to_owned()), "{origin}");
    }
    for origin in [format!("http://{address}"), "http://wall.example.org".to_owned()] {
        assert_eq!(status(&ask(address, &with(&origin)).await.0), 101, "{origin}");
    }
}

#[tokio::test]
async fn in_dev_mode_only_this_machine_gets_a_socket() {
    let daemon = Daemon::start().await;
    let request = upgrade(daemon.address, "X-Forwarded-For: 10.0.0.1\r\nConnection: close\r\n");
    let told = refused(daemon.address, &request).await;
    assert_eq!(told, (403, "dev_mode_is_local".to_owned()));
    let request = upgrade(daemon.address, "Connection: close\r\n")
        .replace(&daemon.address.to_string(), "rebound.example.org:3000");
    let told = refused(daemon.address, &request).await;
    assert_eq!(told, (403, "dev_mode_is_local".to_owned()));
}
