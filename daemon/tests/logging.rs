//! What the log holds and what it never does: levels an operator can act on, a name for each
//! refusal, floods cut short, and no secret at any level.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use support::token::{self, SECRET, Signer};
use support::{Daemon, eventually};

/// A daemon with a key that says everything it ever says.
fn talkative(folder: &std::path::Path, format: &str) -> Daemon {
    Daemon::start_with(
        folder,
        &[
            ("PULSEBOARD_AUTH__SECRET", SECRET),
            ("PULSEBOARD_AUTH__ALLOW_QUERY_TOKEN", "true"),
            ("PULSEBOARD_LOG__LEVEL", "trace"),
            ("PULSEBOARD_LOG__FORMAT", format),
        ],
    )
}

/// Sends a request with these header lines; gives the status and the answer's head.
fn ask(daemon: &Daemon, line: &str, headers: &str) -> support::Answer {
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    daemon.send(&head, b"")
}

/// Opens a socket, says one thing if the daemon lets it, and leaves.
fn socket(daemon: &Daemon, target: &str, headers: &str, text: &str) {
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let upgrade = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(upgrade.as_bytes()).unwrap();
    let mut bytes = [0; 4096];
    let length = stream.read(&mut bytes).unwrap();
    if !bytes[..length].starts_with(b"HTTP/1.1 101") {
        return;
    }
    // A masked text frame under a mask of zeros, then a close frame, and the answer to both.
    let mut frames = vec![0x81, 0xfe];
    frames.extend((text.len() as u16).to_be_bytes());
    frames.extend([0; 4]);
    frames.extend(text.as_bytes());
    frames.extend([0x88, 0x80, 0, 0, 0, 0]);
    stream.write_all(&frames).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
}

/// Every part of a token but its header, which all tokens share.
fn parts(token: &str) -> impl Iterator<Item = &str> {
    token.split('.').skip(1).filter(|part| !part.is_empty())
}

#[test]
fn no_token_and_no_secret_is_ever_logged() {
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let daemon = talkative(folder.path(), format);
        let of = |name: &str, changes: Value| {
            let claims = token::changed(token::claims(name, "read ingest"), &changes);
            Signer::secret(SECRET).token(&claims)
        };
        let tokens = [
            of("good", json!({})),
            of("expired", json!({"exp": 1})),
            of("textual", json!({"exp": "soon"})),
            Signer::secret("another-secret-of-enough-bytes-to-be-one")
                .token(&token::claims("forged", "admin")),
            Signer::Nobody.token(&token::claims("none", "admin")),
            "not.a-token-but.secret-all-the-same".to_owned(),
        ];
        for token in &tokens {
            let bearer = format!("Authorization: Bearer {token}\r\n");
            ask(&daemon, "GET /api/aggregates?window=1s", &bearer);
            ask(&daemon, "GET /api/nothing", &bearer);
            ask(&daemon, &format!("GET /api/events?token={token}"), "");
            ask(&daemon, &format!("POST /api/events?token={token}"), "Content-Length: 0\r\n");
            ask(&daemon, "GET /metrics", &format!("Authorization: Basic {token}\r\n"));
            // Not a request at all, and one with too long a target.
            daemon.send(&format!("GET /?token={token} HTTP/9\r\n\r\n"), b"");
            ask(&daemon, &format!("GET /?token={token}&{}", "x".repeat(9_000)), "");

            let auth = json!({"op": "auth", "token": token}).to_string();
            let garbled = format!("{{\"op\":\"auth\",\"token\":\"{token}\"");
            socket(&daemon, "/ws", &bearer, &auth);
            socket(&daemon, "/ws", "", &auth);
            socket(&daemon, "/ws", "", &garbled);
            socket(&daemon, &format!("/ws?token={token}"), "", &auth);
            let named = format!("Sec-WebSocket-Protocol: pulseboard.v1, bearer.{token}\r\n");
            socket(&daemon, "/ws", &named, &auth);
        }
        eventually("the last socket's end is logged", || {
            let said = daemon.stderr();
            let (opened, ended) = (
                said.matches("a socket opened").count(),
                said.matches("a socket's client left").count()
                    + said.matches("a socket was refused").count()
                    + said.matches("a socket was closed").count(),
            );
            (opened > tokens.len() && opened == ended).then_some(())
        });
        let said = daemon.stderr();
        assert!(said.contains("access was refused"), "it does log: {said}");
        assert!(!said.contains(SECRET), "the secret: {said}");
        assert!(!said.contains("token="), "a query: {said}");
        for part in tokens.iter().flat_map(|token| parts(token)) {
            assert!(!said.contains(part), "a part of a token, {part}: {said}");
        }
    }
}

#[test]
fn a_refusal_is_logged_under_the_name_its_answer_carries() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = talkative(folder.path(), "json");
    let answer = ask(&daemon, "GET /api/aggregates?window=1s", "");
    assert_eq!(answer.status, 401);
    let name = answer.header("x-request-id").unwrap();
    let line: Value = eventually("the refusal's line", || {
        let said = daemon.stderr();
        said.lines()
            .find(|line| line.contains(name))
            .map(|line| serde_json::from_str(line).unwrap())
    });
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["message"], "access was refused");
    assert_eq!(
        [&line["client"], &line["method"], &line["path"], &line["code"]],
        ["127.0.0.1", "GET", "/api/aggregates", "unauthorized"]
    );
    assert_eq!(line["status"], 401);
}

#[test]
fn a_log_for_machines_is_json_from_its_first_line_to_its_last() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = talkative(folder.path(), "json");
    ask(&daemon, "GET /api/nothing", "");
    let said = eventually("the refusal", || {
        Some(daemon.stderr()).filter(|said| said.contains("access was refused"))
    });
    let lines: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let started = lines.iter().find(|line| line["message"] == "started").unwrap();
    assert_eq!(started["auth"], "HS256");
    assert_eq!(started["url"], format!("http://{}", daemon.address));
}

#[test]
fn a_flood_of_refusals_is_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(folder.path(), &[("PULSEBOARD_AUTH__SECRET", SECRET)]);
    let asked = 400;
    for _ in 0..asked {
        assert!(matches!(ask(&daemon, "GET /api/routes", "").status, 401 | 429));
    }
    // An interval lasts ten seconds; on a slow machine the requests may take several.
    let said = daemon.stderr();
    let lines = said.matches("access was refused").count();
    assert!(lines >= 20, "some are there: {lines}");
    assert!(lines < asked / 2, "most are not: {lines}");
}
