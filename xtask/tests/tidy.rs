//! What holds about the code as a whole, as tests: who may name whom, what every file carries, and
//! what no file may hold. ARCHITECTURE.md says why; the page's own layers are kept by
//! `web/src/layers.test.ts`.

#[path = "tidy/source.rs"]
mod source;

use source::{Source, rust, texts};

/// Names that stand for a library's module, and the places that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("jsonwebtoken", &["daemon/src/auth", "tui/src/token", "tui/src/commands/token"]),
    ("base64", &["daemon/src/auth"]),
    ("governor", &["daemon/src/rate_limit"]),
    ("schemars", &["src", "daemon/src/api"]),
    ("csv", &["daemon/src/api/export"]),
    ("tokio_rustls", &["tui/src/tls"]),
    ("rustls_native_certs", &["tui/src/tls"]),
    ("rusqlite", &["daemon/src/store/embedded"]),
    ("mongodb", &["daemon/src/store/mongodb", "daemon/src/store/drain"]),
    ("redis", &["daemon/src/cluster"]),
    ("hyper", EDGE),
    ("hyper_util", EDGE),
    ("axum", EDGE),
    ("tower_http", EDGE),
    ("tungstenite", SOCKETS),
    ("tokio_tungstenite", SOCKETS),
    ("ratatui", &["tui/src/terminal.rs", "tui/src/theme.rs", "tui/src/view", "tui/src/app.rs"]),
    ("pulseboardd", &["daemon/src/main.rs", "daemon/src/logging.rs"]),
    ("pulseboard_tui", &["tui/src/main.rs"]),
];

/// Where HTTP is spoken: the daemon's edge, and app, which hands the router to the server; the
/// terminal's two clients.
const EDGE: &[&str] = &[
    "daemon/src/ingest/rest",
    "daemon/src/ingest/socket",
    "daemon/src/api",
    "daemon/src/gate",
    "daemon/src/server",
    "daemon/src/app",
    "tui/src/rest.rs",
    "tui/src/commands/http.rs",
];

/// Where WebSocket frames are read and written.
const SOCKETS: &[&str] = &[
    "daemon/src/ingest/socket",
    "daemon/src/broadcast",
    "tui/src/socket.rs",
    "tui/src/connection.rs",
    "tui/src/commands",
];

/// Modules of the daemon and which others each may name. Only `app` names them all.
const STAGES: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("config", &[]),
    ("shutdown", &[]),
    ("journal", &["clock"]),
    // The drain follows the journal.
    ("store", &["clock", "journal"]),
    ("aggregate", &["clock", "journal", "store"]),
    // What it carries between instances are the aggregator's summaries and ingest's claims.
    ("cluster", &["aggregate", "clock", "ingest"]),
    // Grants and budgets are values every way in carries.
    ("auth", &["clock"]),
    ("rate_limit", &["auth", "clock"]),
    // Networks of proxies are values of the settings.
    ("gate", &["api", "auth", "clock", "config", "rate_limit", "server"]),
    ("broadcast", &["aggregate", "auth", "clock", "rate_limit"]),
    ("ingest", &["api", "auth", "broadcast", "clock", "gate", "journal", "rate_limit", "server"]),
    // For the one shape of a refusal, the problem document.
    ("server", &["api", "clock", "shutdown"]),
    (
        "api",
        &[
            "aggregate",
            "auth",
            "broadcast",
            "clock",
            // How it stands is part of readiness and metrics.
            "cluster",
            "gate",
            "ingest",
            "journal",
            "rate_limit",
            "server",
            "store",
        ],
    ),
];

/// What the domain library never names, since it is pure.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "tokio::",
    "Instant",
    "SystemTime",
    "println!",
    "eprintln!",
];

/// The longest file written by hand, in lines.
const LINES_MAX: usize = 500;

fn nothing(found: &[String], why: &str) {
    assert!(found.is_empty(), "{why}:\n  {}", found.join("\n  "));
}

fn in_one_of(file: &Source, places: &[&str]) -> bool {
    places.iter().any(|place| file.path.starts_with(place))
}

#[test]
fn each_library_is_named_only_where_it_belongs() {
    let mut found = Vec::new();
    for file in rust(&["src", "daemon/src", "tui/src"]) {
        for (library, homes) in HOMES {
            if !in_one_of(&file, homes) && file.names_crate(library) {
                found.push(format!("{} names {library}", file.path));
            }
        }
    }
    nothing(&found, "a library has one home, so that it can be replaced there");
}

#[test]
fn the_domain_does_no_input_and_no_output() {
    let mut found = Vec::new();
    for file in rust(&["src"]) {
        found.extend(
            IMPURE
                .iter()
                .filter(|name| file.code.contains(*name))
                .map(|name| format!("{} names {name}", file.path)),
        );
    }
    nothing(&found, "src/ is pure: no I/O, no clock, no runtime");
}

#[test]
fn stages_meet_in_app_and_know_only_their_neighbours() {
    let mut found = Vec::new();
    for (stage, neighbours) in STAGES {
        let places = [format!("daemon/src/{stage}.rs"), format!("daemon/src/{stage}/")];
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        for file in rust(&["daemon/src"]).into_iter().filter(|file| in_one_of(file, &places)) {
            for (other, _) in STAGES.iter().chain(&[("app", &[] as &[&str])]) {
                if other != stage && !neighbours.contains(other) && file.names_module(other) {
                    found.push(format!("{} names crate::{other}", file.path));
                }
            }
        }
    }
    nothing(&found, "a stage knows the next one as a narrow handle");
}

#[test]
fn only_clock_modules_read_the_clock() {
    // The command-line tools measure rates and delays, on tokio's clock, which tests can pause.
    let homes = ["daemon/src/clock.rs", "tui/src/clock.rs", "tui/src/commands/"];
    let mut found = Vec::new();
    for file in rust(&["src", "daemon/src", "tui/src"]) {
        let reads = file.code.contains("Instant::now") || file.code.contains("SystemTime::now");
        if reads && !in_one_of(&file, &homes) {
            found.push(file.path);
        }
    }
    nothing(&found, "time comes from a clock that tests can set");
}

#[test]
fn what_the_terminal_shows_is_known_without_a_terminal() {
    let mut found = Vec::new();
    for file in rust(&["tui/src/state", "tui/src/event"]) {
        found.extend(
            ["ratatui", "crossterm"]
                .iter()
                .filter(|name| file.names_crate(name))
                .map(|name| format!("{} names {name}", file.path)),
        );
        if file.names_module("view") {
            found.push(format!("{} names crate::view", file.path));
        }
    }
    nothing(&found, "view reads state, and state never knows its view");
}

#[test]
fn journal_files_are_opened_behind_its_disk_alone() {
    let mut found = Vec::new();
    for file in rust(&["daemon/src/journal"]) {
        let opens = ["std::fs", "File::open", "File::create", "OpenOptions", "rustix::fs"];
        if !file.path.ends_with("/disk.rs") && !file.path.contains("/disk/") {
            found.extend(
                opens
                    .iter()
                    .filter(|name| file.names(name))
                    .map(|name| format!("{} names {name}", file.path)),
            );
        }
    }
    nothing(&found, "the disk is a trait, so that tests can make it fail");
}

#[test]
fn every_module_opens_with_what_it_is_for() {
    let mut found = Vec::new();
    for file in rust(&["src", "daemon", "tui", "xtask"]) {
        if !file.text.starts_with("//!") {
            found.push(file.path);
        }
    }
    nothing(&found, "a file's first line is //! and says what the file is for");
}

#[test]
fn no_file_outgrows_its_noun() {
    let mut found = Vec::new();
    for file in texts() {
        let by_hand = !file.path.contains("generated") && !file.path.contains("lock");
        let code = [".rs", ".ts", ".tsx", ".mjs"].iter().any(|end| file.path.ends_with(end));
        let lines = file.text.lines().count();
        if by_hand && code && lines > LINES_MAX {
            found.push(format!("{}: {lines} lines", file.path));
        }
    }
    nothing(&found, "past 400 lines look for the second noun; 500 is the end");
}

#[test]
fn no_file_names_a_machine_or_holds_a_conflict() {
    // Put together here, so that this file does not hold them.
    let never = [
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("<<<<", "<<< "),
        concat!(">>>>", ">>> "),
    ];
    let mut found = Vec::new();
    for file in texts() {
        found.extend(
            never
                .iter()
                .filter(|text| file.text.contains(*text))
                .map(|text| format!("{} holds {text}", file.path)),
        );
    }
    nothing(&found, "the repository speaks of itself alone");
}

#[test]
fn every_crate_takes_its_dependencies_and_lints_from_the_workspace() {
    let mut found = Vec::new();
    for file in texts() {
        if !file.path.ends_with("Cargo.toml") {
            continue;
        }
        if !file.text.contains("[lints]\nworkspace = true") {
            found.push(format!("{}: no workspace lints", file.path));
        }
        let other = |line: &&str| line.contains("tui = { path") || line.contains("daemon\" }");
        found.extend(file.text.lines().filter(other).map(|line| format!("{}: {line}", file.path)));
    }
    nothing(&found, "one list of versions, one list of lints");
}

#[test]
fn the_rules_see_what_they_look_for() {
    let file = |text: &str| Source::new("a.rs".to_owned(), text.to_owned());
    for names in
        ["use axum::Router;", "use axum;", "let x = axum::serve(y);", "fn f() -> axum::X {}"]
    {
        assert!(file(names).names_crate("axum"), "{names}");
    }
    for other in
        ["// use axum::Router;", "use crate::axum::X;", "my_axum::x()", "a.axum.b", "\"axum\""]
    {
        assert!(!file(other).names_crate("axum"), "{other}");
    }
    assert!(!file("fn f() {}\n#[cfg(test)]\nmod tests {\nuse axum::X;\n}\n").names_crate("axum"));
    for names in ["use crate::api::X;", "use crate::{app, api};", "crate::api::f()"] {
        assert!(file(names).names_module("api"), "{names}");
    }
    for other in ["use crate::apis::X;", "use crate::{clock::api, server};", "use hyper::api;"] {
        assert!(!file(other).names_module("api"), "{other}");
    }
}
