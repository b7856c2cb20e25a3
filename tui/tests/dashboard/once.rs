//! `pulseboard --once` as a script runs it.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::fixture::{NOW, aggregate};

/// Answers one request with `body`; returns the request line and what the program printed.
async fn ask(arguments: &[&str], status: &str, body: &str) -> (String, Output) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let child = Command::new(env!("CARGO_BIN_EXE_pulseboard"))
        .args(["--url", &url])
        .args(arguments)
        .env("TZ", "UTC")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
    }
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap();
    let request = String::from_utf8(request).unwrap();
    (request.lines().next().unwrap().to_owned(), output)
}

fn snapshot() -> String {
    json!({"room": "window:60s", "tick": NOW, "aggregate": aggregate("60s", NOW), "lagged": 0})
        .to_string()
}

#[tokio::test]
async fn json_is_printed_as_the_daemon_sent_it() {
    let (request, output) =
        ask(&["--once", "--json", "--window", "60s"], "200 OK", &snapshot()).await;
    assert_eq!(request, "GET /api/aggregates?window=60s HTTP/1.1");
    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.trim_end(), snapshot());
}

#[tokio::test]
async fn people_get_a_summary() {
    let (_, output) = ask(&["--once", "--window", "60s"], "200 OK", &snapshot()).await;
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!("once-summary", String::from_utf8(output.stdout).unwrap());
}

#[tokio::test]
async fn a_script_and_a_person_are_told_what_is_wrong_and_who_reports() {
    let mut aggregate = aggregate("5s", NOW);
    aggregate["nodes"] = json!({"reporting": 2, "expected": 3});
    aggregate["notices"] = json!([{"check": "store", "level": "degraded", "brief": "MongoDB away",
        "detail": "store.mongodb.uri: nothing answers; events wait on disk"}]);
    let body = json!({"room": "window:5s", "tick": NOW, "aggregate": aggregate, "lagged": 0});
    let (_, output) = ask(&["--once"], "200 OK", &body.to_string()).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("14:03:27, the last 5s, 2 of 3 instances\n"), "{said}");
    let wrong = "! MongoDB away: store.mongodb.uri: nothing answers; events wait on disk\n";
    assert!(said.contains(wrong), "{said}");
    let (_, output) = ask(&["--once", "--json"], "200 OK", &body.to_string()).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["aggregate"]["notices"][0]["check"], "store");
}

#[tokio::test]
async fn a_refusal_is_a_sentence_and_exit_code_1() {
    let problem: Value = json!({"status": 422, "code": "unknown_window",
        "detail": "there is no window 7s; there are 1s, 5s, 60s"});
    let (_, output) =
        ask(&["--once", "--window", "7s"], "422 Unprocessable Content", &problem.to_string()).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("there is no window 7s"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn without_a_daemon_it_says_where_it_looked() {
    let output = Command::new(env!("CARGO_BIN_EXE_pulseboard"))
        .args(["--once", "--json", "--url", "http://127.0.0.1:9"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: no daemon answers at http://127.0.0.1:9"), "{said}");
    assert!(said.contains("pulseboardd"), "{said}");
}

#[test]
fn on_a_pipe_the_dashboard_names_the_command_for_scripts() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_pulseboard")).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--once --json"), "{said}");
}

#[test]
fn an_address_that_is_none_is_a_usage_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_pulseboard"))
        .args(["--once", "--url", "ftp://h"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--url"), "{said}");
}
