//! The commands as people and scripts use them: what they print, how they end, and that they go on
//! when the daemon goes away for a while.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::daemon::{self, Daemon, eventually};
use crate::http::Http;

const LINE: &str =
    r#"10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 7 "-" "curl""#;

#[test]
fn a_load_over_rest_is_in_the_history_event_for_event() {
    load_is_counted(&["--rate", "500"]);
}

#[test]
fn a_load_over_sockets_is_in_the_history_event_for_event() {
    load_is_counted(&["--rate", "500", "--via", "ws"]);
}

#[test]
fn a_load_of_single_events_as_fast_as_they_go_is_counted_too() {
    load_is_counted(&["--rate", "max", "--batch", "1"]);
    load_is_counted(&["--rate", "max", "--batch", "1", "--via", "ws"]);
}

#[test]
fn the_same_seed_sends_the_same_events_again() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path()).unwrap();
    // One connection, so that the second run sends what the first sent, and perhaps a little more.
    let arguments = ["--seed", "7", "--rate", "200", "--connections", "1", "--duration"];
    let first = load(&daemon, &[&arguments[..], &["2s"]].concat());
    let second = load(&daemon, &[&arguments[..], &["1s"]].concat());
    assert!(first["accepted"].as_u64().unwrap() > 0, "{first}");
    assert!(second["duplicates"].as_u64().unwrap() > 0, "{second}");
    assert_eq!(second["accepted"], 0, "{second}");
}

#[test]
fn a_replay_goes_on_after_the_daemon_was_killed_and_counts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path()).unwrap();
    let port = daemon.address().port();
    // Ten lines a second for 100 s of the log, at 50 times its pace: two seconds, many calls.
    let lines: Vec<_> = (0..1_000)
        .map(|at| {
            let clock = format!("10:{:02}:{:02}", 5 + at / 600, at / 10 % 60);
            LINE.replace("10:05:03", &clock).replace("/a", &format!("/{at}"))
        })
        .collect();
    let log = folder.path().join("access.log");
    std::fs::write(&log, lines.join("\n")).unwrap();
    let replay = Command::new(env!("CARGO_BIN_EXE_pulseboard"))
        .args(["--url", &format!("http://{}", daemon.address()), "replay", "--speed", "50"])
        .arg(&log)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    daemon.kill();
    let daemon = Daemon::start_at(folder.path(), port).unwrap();
    let output = replay.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut http = Http::new(daemon.address());
    eventually(&1_000, || events_counted(&mut http));
    let rows = http.get("/api/routes?from=-1h&to=now&limit=2000");
    let rows = rows["routes"].as_array().unwrap();
    assert!(rows.len() == 1_000 && rows.iter().all(|row| row["events"] == 1));
}

#[test]
fn a_line_that_cannot_be_read_is_shown_with_its_number_and_is_not_fatal() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path()).unwrap();
    let log = format!("{LINE}\nnonsense\n\n{LINE}\n{}\n", LINE.replace("GET /a HTTP/1.1", "-"));
    let output = replay(&daemon, folder.path(), &log, &[]);
    let (said, troubles) = texts(&output);
    assert!(output.status.success());
    assert!(said.starts_with("3 accepted, 0 duplicates, 0 rejected, 1 unreadable"), "{said}");
    assert!(said.contains("(unreadable at line 2)"), "{said}");
    assert_eq!(troubles, "line 2: no [time] after the host\n");
    let mut http = Http::new(daemon.address());
    eventually(&3, || events_counted(&mut http));
}

#[test]
fn refused_events_are_shown_with_their_lines_and_codes() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path()).unwrap();
    let events = "{\"type\":\"t\",\"route\":\"/\"}\n\
                  {\"type\":\"t\"}\n\
                  {\"type\":\"t\",\"route\":\"/\",\"user_id\":\"u\"}\n";
    let (said, troubles) = texts(&replay(&daemon, folder.path(), events, &[]));
    assert!(said.starts_with("1 accepted, 0 duplicates, 2 rejected"), "{said}");
    assert!(said.contains(" at line 2") && said.contains(" at line 3"), "{said}");
    assert!(troubles.contains("line 3: ") && troubles.contains("user_id"), "{troubles}");
}

#[test]
fn a_daemon_that_takes_less_in_one_call_is_sent_less() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = daemon::command(folder.path(), 0);
    command.env("PULSEBOARD_LIMITS__BATCH_EVENTS", "100");
    let daemon = Daemon::start_by(command, folder.path()).unwrap();
    let long = "x".repeat(600);
    let mut lines: Vec<_> = (0..950).map(|at| LINE.replace("/a", &format!("/{at}"))).collect();
    lines[700] = LINE.replace("/a", &format!("/{long}"));
    let (said, troubles) = texts(&replay(&daemon, folder.path(), &lines.join("\n"), &[]));
    assert!(said.starts_with("949 accepted, 0 duplicates, 1 rejected"), "{said}{troubles}");
    assert!(said.contains("(route_too_long at line 701)"), "{said}");
}

#[test]
fn new_ids_count_a_file_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path()).unwrap();
    let said = |arguments: &[&str]| texts(&replay(&daemon, folder.path(), LINE, arguments)).0;
    assert!(said(&[]).starts_with("1 accepted"));
    assert!(said(&[]).starts_with("1 duplicate; --new-ids sends them again"));
    assert!(said(&["--new-ids"]).starts_with("1 accepted"));
}

#[test]
fn without_a_daemon_it_says_where_it_looked_and_what_to_start() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path()).unwrap();
    let address = daemon.address();
    daemon.kill();
    for arguments in [&["load"][..], &["load", "--via", "ws"], &["replay", "-"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_pulseboard"))
            .args(["--url", &format!("http://{address}")])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (said, error) = texts(&output);
        assert_eq!((output.status.code(), &*said), (Some(1), ""));
        for part in [&address.to_string(), "connection refused", "start one with `pulseboardd`"] {
            assert!(error.contains(part), "{error}");
        }
    }
}

fn load_is_counted(arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path()).unwrap();
    let summary = load(&daemon, &[arguments, &["--duration", "1s"]].concat());
    let accepted = summary["accepted"].as_u64().unwrap();
    assert!(accepted > 0, "{summary}");
    assert_eq!((&summary["duplicates"], &summary["rejected"]), (&0.into(), &0.into()), "{summary}");
    let mut http = Http::new(daemon.address());
    eventually(&accepted, || events_counted(&mut http));
}

/// Runs a load; gives its summary.
fn load(daemon: &Daemon, arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_pulseboard"))
        .args(["--url", &format!("http://{}", daemon.address()), "load", "--json"])
        .args(arguments)
        .output()
        .unwrap();
    let (said, troubles) = texts(&output);
    assert!(output.status.success() && troubles.is_empty(), "{troubles}");
    serde_json::from_str(&said).unwrap()
}

/// Replays `text` from a file.
fn replay(daemon: &Daemon, folder: &Path, text: &str, arguments: &[&str]) -> Output {
    let path = folder.join("input");
    std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_pulseboard"))
        .args(["--url", &format!("http://{}", daemon.address()), "replay"])
        .arg(&path)
        .args(arguments)
        .output()
        .unwrap()
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

fn events_counted(http: &mut Http) -> u64 {
    let history = http.get("/api/history?from=-12h&to=now&step=1d");
    let events = history["history"]["events"].as_array().unwrap();
    events.iter().filter_map(Value::as_u64).sum()
}
