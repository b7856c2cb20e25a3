//! How the daemon starts, and how it refuses to: one clear line, an exit code, nothing touched.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use support::{Daemon, command, eventually, plain};

/// Its exit code and the one line it said.
fn refusal(output: &Output) -> (i32, String) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.stdout.is_empty(), "it never became ready");
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    (output.status.code().unwrap(), said.trim_end().to_owned())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn malformed_settings_are_one_line_with_their_place_and_touch_nothing() {
    for (text, said) in [
        (
            "[limits]\nbatch_events = \"ten\"\n",
            "error: limits.batch_events: \"ten\" is not a number (pulseboard.toml, line 2)",
        ),
        (
            "\n[limits]\nbatch_event = 10\n",
            "error: limits.batch_event: no such setting; did you mean limits.batch_events? \
             (pulseboard.toml, line 3)",
        ),
        (
            "[store]\nkind = \"mongodb\"\n",
            "error: store.kind: mongodb takes store.mongodb.uri or store.mongodb.uri_file, and \
             neither is set; they look like mongodb://HOST:27017/pulseboard (pulseboard.toml, \
             line 2)",
        ),
        (
            "[store.mongodb]\nuri = \"mongodb://localhost\"\n",
            "error: store.mongodb.uri: is set, and store.kind is embedded: set store.kind to \
             mongodb, or remove it (pulseboard.toml, line 2)",
        ),
        (
            "[store]\nkind = \"mongodb\"\n[store.mongodb]\nuri = \"localhost:27017\"\n",
            "error: store.mongodb.uri: is not a connection string: connection string contains no \
             scheme; it looks like mongodb://HOST:27017/pulseboard (pulseboard.toml, line 4)",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pulseboard.toml"), text).unwrap();
        let mut command = plain();
        command.current_dir(folder.path()).args(["--config", "pulseboard.toml"]);
        assert_eq!(refusal(&command.output().unwrap()), (2, said.to_owned()));
        assert_eq!(names(folder.path()), ["pulseboard.toml"]);
    }
}

#[test]
fn a_broken_or_missing_file_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("broken.toml"), "[server\nbind = 1\n").unwrap();
    for (file, end) in [("broken.toml", "(broken.toml, line 1)"), ("missing.toml", "(os error 2)")]
    {
        let mut command = plain();
        let output = command.current_dir(folder.path()).args(["--config", file]).output().unwrap();
        let (code, said) = refusal(&output);
        assert_eq!(code, 2);
        assert!(said.starts_with("error: ") && said.ends_with(end), "{said}");
    }
    assert_eq!(names(folder.path()), ["broken.toml"]);
}

#[test]
fn a_bad_variable_and_a_bad_flag_name_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = plain();
    command.current_dir(folder.path()).env("PULSEBOARD_LIMITS__BODY_BYTES", "lots");
    let (code, said) = refusal(&command.output().unwrap());
    assert_eq!(code, 2);
    assert_eq!(
        said,
        "error: limits.body_bytes: \"lots\" is not a size such as 65536 or 64 KiB \
         (environment, PULSEBOARD_LIMITS__BODY_BYTES)"
    );
    let mut command = plain();
    command.current_dir(folder.path()).args(["--bind", "3000"]);
    let (code, said) = refusal(&command.output().unwrap());
    assert_eq!(code, 2);
    assert!(said.ends_with("(command line, --bind)"), "{said}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn an_address_others_can_reach_is_refused_without_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = plain();
    command.current_dir(folder.path()).args(["--bind", "0.0.0.0:0"]);
    let (code, said) = refusal(&command.output().unwrap());
    assert_eq!(code, 2);
    assert!(said.contains("--init-auth"), "{said}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn check_and_print_say_what_holds_and_touch_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pulseboard.toml"), "[limits]\nroutes = 7\n").unwrap();
    let run = |flag: &str| {
        let output = plain().current_dir(folder.path()).arg(flag).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run("--check-config").contains("./pulseboard.toml"));
    let printed = run("--print-config");
    let line = printed.lines().find(|line| line.starts_with("limits.routes")).unwrap();
    assert!(line.starts_with("limits.routes = 7 "), "{line}");
    assert!(line.ends_with("# ./pulseboard.toml, line 2"), "{line}");
    assert_eq!(names(folder.path()), ["pulseboard.toml"]);
}

#[test]
fn a_data_directory_that_cannot_be_made_or_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    fs::write(&in_the_way, "mine").unwrap();
    // Nobody may write in /proc, not even root.
    for path in [&in_the_way, &in_the_way.join("below"), Path::new("/proc/sys")] {
        let (code, said) = refusal(&command(path).output().unwrap());
        assert_eq!(code, 2, "{said}");
        assert!(said.starts_with("error: data_dir: "), "{said}");
        assert!(said.contains(&path.display().to_string()), "{said}");
    }
    assert_eq!(fs::read_to_string(&in_the_way).unwrap(), "mine");
}

#[test]
fn a_data_directory_in_use_is_refused_and_its_daemon_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let first = Daemon::start(folder.path());
    let (code, said) = refusal(&command(folder.path()).output().unwrap());
    assert_eq!(code, 2);
    assert!(said.contains("in use by another daemon"), "{said}");
    let answer = first.post("application/json", r#"{"type":"t","route":"/a"}"#);
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[test]
fn a_data_directory_of_a_newer_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("VERSION"), "1000\n").unwrap();
    let (code, said) = refusal(&command(folder.path()).output().unwrap());
    assert_eq!(code, 2);
    assert!(said.contains("newer version"), "{said}");
    assert_eq!(names(folder.path()), ["VERSION"]);
    assert_eq!(fs::read_to_string(folder.path().join("VERSION")).unwrap(), "1000\n");
}

#[test]
fn a_port_in_use_fails_with_what_to_try() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = plain();
    command.args(["--bind", &address, "--data-dir"]).arg(folder.path().join("data"));
    let (code, said) = refusal(&command.output().unwrap());
    assert_eq!(code, 1);
    assert!(said.contains(&address) && said.contains("--bind"), "{said}");
    assert!(names(folder.path()).is_empty(), "nothing is made");
}

#[test]
fn a_daemon_says_what_it_found_and_stops_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let says = |daemon: &Daemon, part: &str| {
        eventually(part, || daemon.stderr().contains(part).then_some(()));
    };
    let daemon = Daemon::start(folder.path());
    let absolute = fs::canonicalize(folder.path()).unwrap().display().to_string();
    for part in [absolute.as_str(), "fresh", "embedded", "dev mode"] {
        says(&daemon, part);
    }
    let answer = daemon.post("application/json", r#"{"type":"t","route":"/a"}"#);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(daemon.terminate(), Some(0));
    says(&Daemon::start(folder.path()), "1 event");
}
