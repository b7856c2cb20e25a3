//! What holds for every answer over HTTP, whatever was asked: packing, methods, entity tags, and
//! what browsers are told.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use std::io::Read as _;

use pulseboardd::api::endpoints::{ALL, Id, Verb};
use support::{Answer, Daemon};

/// Paths that answer 200 to a GET without a body, each with what it needs.
const PATHS: [&str; 9] = [
    "/api/events",
    "/api/export",
    "/api/aggregates?window=5s",
    "/api/history",
    "/api/routes?window=60s",
    "/api/openapi.json",
    "/health",
    "/health/ready",
    "/metrics",
];

fn ask(daemon: &Daemon, method: &str, path: &str, headers: &str) -> Answer {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n"
    );
    daemon.send(&head, b"")
}

fn started() -> (tempfile::TempDir, Daemon) {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    let events = "{\"type\":\"t\",\"route\":\"/\"}\n".repeat(50);
    assert_eq!(daemon.post("application/x-ndjson", events).status, 200);
    (dir, daemon)
}

#[test]
fn every_endpoint_of_the_table_is_answered() {
    let (_dir, daemon) = started();
    for endpoint in ALL {
        let answer = ask(&daemon, endpoint.method.as_str(), endpoint.path, "");
        assert!(![404, 405, 500].contains(&answer.status), "{}: {}", endpoint.path, answer.head);
        let listed = endpoint.answers.iter().any(|listed| listed.status == answer.status);
        assert!(listed, "{} {} is not in the table", endpoint.path, answer.status);
        let asked_for = PATHS.iter().any(|path| path.starts_with(endpoint.path));
        let elsewhere = matches!(endpoint.id, Id::OpenPage | Id::OpenSocket);
        assert!(asked_for || elsewhere || endpoint.method == Verb::Post, "{}", endpoint.path);
    }
}

#[test]
fn head_answers_as_get_does_without_the_body() {
    let (_dir, daemon) = started();
    for path in PATHS {
        let (get, head) = (daemon.get(path), ask(&daemon, "HEAD", path, ""));
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert_eq!(head.header("etag"), get.header("etag"), "{path}");
        // A file that is made as it is sent has no length; figures change from call to call.
        if !["/api/export", "/metrics"].contains(&path) {
            assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
            assert!(head.header("content-length").is_some(), "{path}");
        }
        assert!(head.header("date").is_some(), "{path}");
    }
}

#[test]
fn other_methods_are_told_what_a_path_allows() {
    let (_dir, daemon) = started();
    for path in PATHS {
        let allow =
            if path == "/api/events" { "GET, HEAD, OPTIONS, POST" } else { "GET, HEAD, OPTIONS" };
        let refused = ask(&daemon, "DELETE", path, "");
        assert_eq!((refused.status, refused.header("allow")), (405, Some(allow)), "{path}");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(refused.json()["code"], "method_not_allowed");
        let told = ask(&daemon, "OPTIONS", path, "");
        assert_eq!((told.status, told.header("allow")), (204, Some(allow)), "{path}");
    }
    let nothing = daemon.get("/api/nothing");
    assert_eq!((nothing.status, &nothing.json()["code"]), (404, &"not_found".into()));
}

#[test]
fn long_answers_are_packed_for_who_accepts_it_and_short_ones_are_not() {
    let (_dir, daemon) = started();
    // What the others answer so early is short.
    let long =
        PATHS.into_iter().filter(|path| !path.starts_with("/health") && !path.contains("60s"));
    for path in long {
        let plain = daemon.get(path);
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        let vary = plain.header("vary").unwrap_or_default().to_owned();
        let packed = ask(&daemon, "GET", path, "Accept-Encoding: gzip\r\n");
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "{path}");
        assert!(packed.head.to_ascii_lowercase().contains("accept-encoding"), "{path} {vary}");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).unwrap();
        assert!(packed.body.len() < unpacked.len(), "{path}");
        if ["/api/events", "/api/openapi.json", "/api/export"].contains(&path) {
            assert_eq!(unpacked, plain.body, "{path}");
        }
    }
    let browsers = "Accept-Encoding: gzip, deflate, br, zstd\r\n";
    let packed = ask(&daemon, "GET", "/api/openapi.json", browsers);
    assert_eq!(packed.header("content-encoding"), Some("br"));
    let declined = ask(&daemon, "GET", "/api/openapi.json", "Accept-Encoding: gzip;q=0\r\n");
    assert_eq!(declined.header("content-encoding"), None);
    let short = ask(&daemon, "GET", "/api/events?limit=1", "Accept-Encoding: gzip\r\n");
    assert_eq!(short.header("content-encoding"), None);
    let many = "{\"type\":\"t\"}\n".repeat(100);
    let posted = daemon.post_to("/api/events", "application/x-ndjson", browsers, many);
    assert!(posted.body.len() > 2_000);
    assert_eq!(posted.header("content-encoding"), None, "answers to posts are never packed");
}

#[test]
fn a_client_that_has_the_description_gets_304() {
    let (_dir, daemon) = started();
    let path = "/api/openapi.json";
    let etag = daemon.get(path).header("etag").unwrap().to_owned();
    let strong = etag.trim_start_matches("W/");
    for known in [etag.clone(), strong.to_owned(), "*".into(), format!("\"other\", {etag}")] {
        let answer = ask(&daemon, "GET", path, &format!("If-None-Match: {known}\r\n"));
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.header("etag"), Some(&*etag));
        let answer = ask(&daemon, "HEAD", path, &format!("If-None-Match: {known}\r\n"));
        assert_eq!(answer.status, 304);
    }
    let answer = ask(&daemon, "GET", path, "If-None-Match: \"other\"\r\n");
    assert_eq!(answer.status, 200);
}

#[test]
fn every_answer_tells_browsers_to_do_nothing_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let own = [("PULSEBOARD_SERVER__PUBLIC_URL", "https://board.example.org")];
    let behind_tls = Daemon::start_with(dir.path(), &own);
    let (_dir, daemon) = started();
    let long = format!("/{}", "x".repeat(9_000));
    let refused =
        ["/api/nothing", "/api/events?limit=0", "/api/history?step=1x", "/nothing", &*long];
    for path in PATHS.into_iter().chain(refused) {
        let answer = daemon.get(path);
        let says = |name: &str| answer.header(name).unwrap_or_default().to_owned();
        assert_eq!(says("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(says("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(says("cross-origin-resource-policy"), "same-origin", "{path}");
        let policy = "default-src 'none'; frame-ancestors 'none'";
        assert_eq!(says("content-security-policy"), policy, "{path}");
        let cache = if path == "/api/openapi.json" { "no-cache" } else { "no-store" };
        assert_eq!(says("cache-control"), cache, "{path}");
        assert_eq!(says("strict-transport-security"), "", "{path}: this is no https");
    }
    let page = daemon.get("/");
    assert_eq!(page.header("cross-origin-opener-policy"), Some("same-origin"));
    assert!(page.header("permissions-policy").unwrap().contains("camera=()"));
    for path in ["/", "/health", "/api/nothing"] {
        let told = behind_tls.get(path).header("strict-transport-security").map(str::to_owned);
        assert_eq!(told.as_deref(), Some("max-age=31536000"), "{path}");
    }
}
