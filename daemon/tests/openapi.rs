//! The description of the API held against what the daemon answers, by a tool that is not ours:
//! Schemathesis makes requests from `/api/openapi.json` alone, and checks that every answer has a
//! status, a type, headers and a body that are described, and that none is our fault.
//!
//! It is that of the PATH, where `cargo xtask test` puts it; without it the test says so, and fails
//! under CI. What it sends follows from a fixed seed.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use support::{Daemon, now_ms, token};

/// Requests that are made up for each operation, beside those of every rule of its schemas.
const EXAMPLES: &str = "60";

fn schemathesis() -> bool {
    let found = Command::new("schemathesis").arg("--version").stdout(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "schemathesis is needed here");
    eprintln!("left out: schemathesis is not installed (pip install schemathesis)");
    false
}

fn filled(daemon: &Daemon, admin: &str) {
    let events: String = (0..200).fold(String::new(), |mut lines, at| {
        let _ = writeln!(
            lines,
            "{{\"type\":\"t{}\",\"route\":\"/r{}\",\"userId\":\"u{at}\",\"status\":{},\
             \"latencyMs\":{at}.5,\"timestamp\":{},\"props\":{{\"a\":true,\"b\":\"c\"}}}}",
            at % 3,
            at % 7,
            200 + at % 5 * 75,
            now_ms() - at * 200,
        );
        lines
    });
    let bearer = format!("Authorization: Bearer {admin}\r\n");
    let answer = daemon.post_to("/api/events", "application/x-ndjson", &bearer, events);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_stranger_finds_nothing_that_is_not_described() {
    if !schemathesis() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(
        &folder.path().join("data"),
        &[
            ("PULSEBOARD_AUTH__SECRET", token::SECRET),
            ("PULSEBOARD_LIMITS__API_PER_MINUTE", "1000000"),
            ("PULSEBOARD_LIMITS__INGEST_EVENTS_PER_SECOND", "1000000"),
        ],
    );
    let admin = token::good("stranger", "admin");
    filled(&daemon, &admin);
    let url = format!("http://{}", daemon.address);
    let output = Command::new("schemathesis")
        .current_dir(folder.path())
        .args(["run", &format!("{url}/api/openapi.json"), "--url", &url])
        .args(["--header", &format!("Authorization: Bearer {admin}")])
        .args(["--phases", "examples,coverage,fuzzing", "--checks", "all"])
        // Some questions depend on more than a schema can say (what is kept, which parameters
        // exclude each other), and an empty parameter is as if left out.
        .args(["--exclude-checks", "positive_data_acceptance,negative_data_rejection"])
        // A socket takes an upgrade, which it does not make.
        .args(["--exclude-path", "/ws"])
        .args(["--seed", "1", "--max-examples", EXAMPLES, "--generation-deterministic"])
        .args(["--suppress-health-check", "all", "--continue-on-failure", "--no-color"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Tested: 10"), "it tests every operation but the socket: {said}");
    let log = daemon.stderr();
    assert!(!log.contains("panicked") && !log.contains(" ERROR "), "{log}");
    assert_eq!(daemon.get("/health").status, 200, "it still answers");
}
