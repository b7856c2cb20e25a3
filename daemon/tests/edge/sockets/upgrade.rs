//! Requests to `/ws` that are no proper upgrade, or come from a page that has no business here.

use super::reader;
use crate::client::{Dial, Request, frame};
use crate::harness::{Edge, Expect, Meets};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn upgrade(method: &str, lines: &[(&str, &str)]) -> Request {
    let request = Request::new(method, "/ws").header("Connection", "Upgrade, close");
    lines.iter().fold(request, |request, (name, value)| request.header(name, value))
}

#[test]
fn requests_that_are_no_upgrade_are_told_what_is_missing() {
    let mut edge = Edge::start(&[]);
    let (websocket, version) = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"));
    let key = ("Sec-WebSocket-Key", KEY);
    let need = Expect::problem(426, "upgrade_required").header("upgrade", "websocket");
    for (name, lines) in [
        ("no upgrade at all", vec![]),
        ("an upgrade to something else", vec![("Upgrade", "h2c"), version, key]),
        ("a look-alike of websocket", vec![("Upgrade", "websockets"), version, key]),
    ] {
        edge.rest(name, &upgrade("GET", &lines), &need);
    }
    let plain = Request::get("/ws").header("Upgrade", "websocket");
    let plain = plain.header("Sec-WebSocket-Version", "13").header("Sec-WebSocket-Key", KEY);
    edge.rest("a connection that is not to be upgraded", &plain, &need);
    let old = format!(
        "GET /ws HTTP/1.0\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
        edge.address()
    );
    edge.rest("an upgrade by HTTP/1.0", &Request::raw(old), &need);

    let spoken = Expect::problem(426, "websocket_version").header("sec-websocket-version", "13");
    for (name, versions) in [
        ("no version", vec![]),
        ("an old version", vec!["8"]),
        ("a version that is no number", vec!["thirteen"]),
        ("two versions in a line", vec!["13, 8"]),
        ("two versions in two lines", vec!["13", "13"]),
    ] {
        let versions = versions.into_iter().map(|version| ("Sec-WebSocket-Version", version));
        let lines: Vec<_> = [websocket, key].into_iter().chain(versions).collect();
        edge.rest(name, &upgrade("GET", &lines), &spoken);
    }

    let keyed = Expect::problem(400, "websocket_key");
    for (name, keys) in [
        ("no key", vec![]),
        ("an empty key", vec![""]),
        ("a short key", vec!["c2hvcnQ="]),
        ("a long key", vec!["dGhpcyBpcyBsb25nZXIgdGhhbiAxNiBieXRlcw=="]),
        ("a key that is no base64", vec!["!!!!!!!!!!!!!!!!!!!!!!=="]),
        ("two keys", vec![KEY, KEY]),
    ] {
        let keys = keys.into_iter().map(|key| ("Sec-WebSocket-Key", key));
        let lines: Vec<_> = [websocket, version].into_iter().chain(keys).collect();
        edge.rest(name, &upgrade("GET", &lines), &keyed);
    }

    for method in ["POST", "PUT", "DELETE"] {
        let request = upgrade(method, &[websocket, version, key]);
        let expect = Expect::status(405).header("allow", "GET");
        edge.rest(&format!("an upgrade by {method}"), &request, &expect);
    }
    let deflate = Dial::bearer(&reader()).header(
        "Sec-WebSocket-Extensions",
        "permessage-deflate; client_max_window_bits=8; server_max_window_bits=99",
    );
    let ping = [r#"{"op":"ping"}"#.to_owned()];
    edge.socket("extensions nobody speaks", &deflate, &ping, &Meets::Pong);
    edge.row("an upgrade with a body", |edge| {
        // It is a socket; what it says begins after the body: a goodbye.
        let request = upgrade("GET", &[websocket, version, key]).header("Content-Length", "4");
        let request = request.body([b"body".to_vec(), frame(0x88, b"")].concat());
        let status = request.send(edge.address()).map(|answer| answer.status);
        if status == Some(101) { Ok(()) } else { Err(format!("answered by {status:?}")) }
    });
    edge.finish();
}

#[test]
fn pages_of_other_origins_get_no_socket() {
    let mut edge =
        Edge::start(&[("PULSEBOARD_SERVER__ALLOWED_ORIGINS", "https://wall.example.org")]);
    let own = format!("http://{}", edge.address());
    let port = edge.address().port();
    let dial = |origins: &[&str]| {
        let dial = Dial::bearer(&reader());
        origins.iter().fold(dial, |dial, origin| dial.header("Origin", origin))
    };
    for origin in [own.as_str(), "https://wall.example.org", "https://WALL.example.org:443"] {
        edge.socket(origin, &dial(&[origin]), &[], &Meets::Welcome("ok", "read"));
    }
    edge.socket("no origin", &dial(&[]), &[], &Meets::Welcome("ok", "read"));
    let refused = Meets::Refused(Expect::problem(403, "origin_not_allowed"));
    for origin in [
        "http://example.org",
        "null",
        "",
        "file://",
        "*",
        "https://wall.example.org.evil.example",
        "https://evil.example/https://wall.example.org",
        "https://wall.example.org@evil.example",
        "https://evil.example#https://wall.example.org",
        "http://wall.example.org",
        "https://wall.example.org:444",
        "https://wallxexample.org",
        "wss://wall.example.org",
        "http://127.0.0.1",
        &format!("https://127.0.0.1:{port}"),
        &format!("http://localhost:{port}"),
        &format!("http://127.0.0.1:{port}.evil.example"),
        &format!("http://evil.example@127.0.0.1:{port}"),
        &format!("{own} https://wall.example.org"),
    ] {
        edge.socket(&format!("origin {origin:?}"), &dial(&[origin]), &[], &refused);
    }
    edge.socket("two origins, both fine", &dial(&[&own, &own]), &[], &refused);
    edge.finish();
}
