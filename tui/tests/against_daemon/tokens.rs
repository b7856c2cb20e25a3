//! With tokens: minted by our command, taken by the daemon, held to their rates and scopes.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::daemon::{self, Daemon, eventually};
use crate::http::Http;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn start(folder: &Path) -> Daemon {
    let mut command = daemon::command(folder, 0);
    command.env("PULSEBOARD_AUTH__SECRET", SECRET);
    Daemon::start_by(command, folder).unwrap()
}

pub(crate) fn mint(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pulseboard"))
        .arg("token")
        .args(arguments)
        .env_remove("PULSEBOARD_AUTH__SECRET_FILE")
        .env("PULSEBOARD_AUTH__SECRET", SECRET)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.lines().count() == 1, "{said}");
    said.trim_end().to_owned()
}

fn pulseboard(daemon: &Daemon, token: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pulseboard"))
        .args(["--url", &format!("http://{}", daemon.address())])
        .args(arguments)
        .env("PULSEBOARD_TOKEN", token)
        .output()
        .unwrap()
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_replay_that_is_held_to_a_rate_arrives_complete() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path());
    let lines: Vec<_> = (0..1_500)
        .map(|at| format!("10.0.0.1 - - [17/May/2015:10:05:03 +0000] \"GET /{at} HTTP/1.1\" 200 7"))
        .collect();
    let log = folder.path().join("access.log");
    std::fs::write(&log, lines.join("\n")).unwrap();
    let token = mint(&["--scope", "ingest", "--rate", "600"]);
    let output = pulseboard(&daemon, &token, &["replay", log.to_str().unwrap()]);
    let (said, troubles) = texts(&output);
    assert!(output.status.success(), "{troubles}");
    assert!(said.starts_with("1,500 accepted, 0 duplicates, 0 rejected"), "{said}{troubles}");
    assert!(!said.contains("sent again"), "a rate is no lost answer: {said}");
    assert_eq!(troubles.lines().count(), 1, "{troubles}");
    assert!(troubles.contains("600 events a second"), "{troubles}");

    let mut http = Http::with_token(daemon.address(), &mint(&["--scope", "read"]));
    eventually(&(1_500, true), || {
        let rows = http.get("/api/routes?from=-1h&to=now&limit=2000");
        let rows = rows["routes"].as_array().unwrap().clone();
        (rows.len(), rows.iter().all(|row| row["events"] == 1))
    });
}

#[test]
fn a_load_over_sockets_in_frames_above_the_burst_goes_on_in_smaller_ones() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path());
    let token = mint(&["--scope", "ingest"]);
    let arguments =
        ["load", "--via", "ws", "--batch", "300", "--rate", "max", "--connections", "1"];
    let output =
        pulseboard(&daemon, &token, &[&arguments[..], &["--duration", "3s", "--json"]].concat());
    let (said, troubles) = texts(&output);
    assert!(output.status.success(), "{troubles}");
    let summary: Value = serde_json::from_str(&said).unwrap();
    // A burst of 100 and 50 a second, whatever the machine's pace.
    assert!(summary["accepted"].as_u64().unwrap() >= 75, "{summary}");
    assert!(summary["rateLimited"].as_u64().unwrap() >= 1, "{summary}");
    assert_eq!(summary["rejected"], 0, "{summary}");
}

#[test]
fn a_snapshot_needs_a_token_for_watching() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path());
    let (said, troubles) = texts(&pulseboard(&daemon, "", &["--once"]));
    assert!(said.is_empty() && troubles.contains("pulseboard token"), "{troubles}");
    let ingest = mint(&["--scope", "ingest"]);
    let (_, troubles) = texts(&pulseboard(&daemon, &ingest, &["--once"]));
    assert!(troubles.contains("403") && !troubles.contains(&ingest), "{troubles}");
    let output = pulseboard(&daemon, &mint(&["--scope", "read"]), &["--once", "--json"]);
    let (said, troubles) = texts(&output);
    assert!(output.status.success(), "{troubles}");
    assert!(serde_json::from_str::<Value>(&said).unwrap()["aggregate"].is_object());
    let (_, troubles) = texts(&pulseboard(&daemon, &ingest, &["replay", "--keep-time", "-"]));
    assert!(!troubles.contains(&ingest), "{troubles}");
}

#[test]
fn a_token_of_another_secret_ends_a_load_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulseboard"));
    command.args(["token", "--scope", "ingest"]).env_remove("PULSEBOARD_AUTH__SECRET_FILE");
    let output = command.env("PULSEBOARD_AUTH__SECRET", SECRET.replace('0', "z")).output().unwrap();
    let (token, _) = texts(&output);
    for via in ["rest", "ws"] {
        let output = pulseboard(&daemon, &token, &["load", "--via", via, "--duration", "5s"]);
        let (_, troubles) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{via}: {troubles}");
        assert!(troubles.contains("not signed with this daemon's key"), "{via}: {troubles}");
    }
}
