//! `pulseboard export` as people and scripts use it: what it writes is whole or says it is not, and
//! can be sent to another daemon.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::daemon::{Daemon, eventually};
use crate::http::Http;

const EVENTS: u64 = 3_000;

fn export(daemon: &Daemon) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulseboard"));
    command.args(["--url", &format!("http://{}", daemon.address()), "export"]);
    command
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

fn filled(folder: &Path) -> Daemon {
    let daemon = Daemon::start(folder).unwrap();
    let lines: String = (0..EVENTS)
        .map(|at| {
            let route = if at % 3 == 0 { "/shop/cart" } else { "/" };
            let props = "x".repeat(at as usize % 500);
            serde_json::json!({
                "eventId": format!("e{at}"), "type": "view", "route": route, "status": 200,
                "props": {"at": at, "text": props},
            })
            .to_string()
                + "\n"
        })
        .collect();
    let (status, answer) = Http::new(daemon.address()).post_events(lines.as_bytes()).unwrap();
    assert_eq!((status, answer["accepted"].as_u64()), (200, Some(EVENTS)));
    daemon
}

#[test]
fn what_was_exported_can_be_sent_to_another_daemon() {
    let (folder, other_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let daemon = filled(folder.path());
    let file = folder.path().join("events.ndjson");
    let output = export(&daemon).arg("--output").arg(&file).output().unwrap();
    let (said, aside) = texts(&output);
    assert!(output.status.success(), "{aside}");
    assert_eq!(
        (said.as_str(), aside.as_str()),
        ("", &*format!("3,000 events to {}\n", file.display()))
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count() as u64, EVENTS);

    let other = Daemon::start(other_folder.path()).unwrap();
    let replayed = Command::new(env!("CARGO_BIN_EXE_pulseboard"))
        .args(["--url", &format!("http://{}", other.address()), "replay", "--keep-time"])
        .args(["--format", "ndjson"])
        .arg(&file)
        .output()
        .unwrap();
    let (said, aside) = texts(&replayed);
    assert!(said.starts_with("3,000 accepted, 0 duplicates, 0 rejected"), "{said}{aside}");
    let without_arrival = |daemon: &Daemon| {
        let text = texts(&export(daemon).output().unwrap()).0;
        let mut events: Vec<Value> = text
            .lines()
            .map(|line| {
                let mut event: Value = serde_json::from_str(line).unwrap();
                assert!(event.as_object_mut().unwrap().remove("storedAt").is_some());
                event
            })
            .collect();
        // Several connections send a replay.
        events.sort_by_key(|event| event["eventId"].as_str().unwrap().to_owned());
        events
    };
    assert_eq!(without_arrival(&other), without_arrival(&daemon));
}

#[test]
fn only_what_matches_is_written_and_nothing_is_said_on_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = filled(folder.path());
    let filter = ["--filter", "route=/shop/* status=2xx", "--from", "-15m"];
    let output = export(&daemon).args(filter).output().unwrap();
    let (said, aside) = texts(&output);
    assert_eq!((said.lines().count() as u64, aside.as_str()), (EVENTS / 3, ""));
    let output = export(&daemon).args(filter).args(["--format", "csv"]).output().unwrap();
    let (said, _) = texts(&output);
    assert!(said.starts_with("eventId,type,route,timestamp,"), "{said}");
    assert_eq!(said.lines().count() as u64, EVENTS / 3 + 1);
    let output = export(&daemon).args(["--to", "-15m"]).output().unwrap();
    assert_eq!((output.status.code(), texts(&output)), (Some(0), (String::new(), String::new())));
}

#[test]
fn what_cannot_be_asked_for_is_a_usage_error_in_the_daemons_words() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = filled(folder.path());
    let output = export(&daemon).args(["--filter", "colour=red"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(texts(&output).1.starts_with("error: column 1: "), "{}", texts(&output).1);
    let output = export(&daemon).args(["--from", "yesterday"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(texts(&output).1.contains("RFC 3339"), "{}", texts(&output).1);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = filled(folder.path());
    let mut child = export(&daemon).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), texts(&output).1.as_str()), (Some(0), ""));
    assert!(line.starts_with('{'));
}

#[test]
fn an_export_that_is_cut_off_fails_and_leaves_no_file_of_that_name() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = filled(folder.path());
    // More than the buffers between the two hold.
    let line = format!(
        "{{\"type\":\"t\",\"route\":\"/\",\"props\":{{\"text\":\"{}\"}}}}\n",
        "y".repeat(8_000)
    );
    let mut http = Http::new(daemon.address());
    for _ in 0..10 {
        http.post_events(line.repeat(500).as_bytes()).unwrap();
    }
    let mut child = export(&daemon).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 1]).unwrap();
    daemon.kill();
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    let aside = texts(&output).1;
    assert_eq!(output.status.code(), Some(1), "{aside}");
    assert!(aside.contains("is not whole"), "{aside}");

    let daemon = Daemon::start(folder.path()).unwrap();
    let file = folder.path().join("cut");
    let part = folder.path().join("cut.part");
    let mut child =
        export(&daemon).arg("--output").arg(&file).stderr(Stdio::null()).spawn().unwrap();
    eventually(&true, || part.exists() || file.exists());
    daemon.kill();
    let whole = child.wait().unwrap().success();
    assert_eq!(file.exists(), whole, "a file that is not whole has the name of one that is");
}
