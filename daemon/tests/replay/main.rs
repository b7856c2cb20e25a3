//! Real traffic through `pulseboard replay --keep-time` into a daemon that keeps its events in
//! MongoDB: every count there, read by a client in another language, is that of the reference facts.
//!
//! The data is that of `PULSEBOARD_DATA`, else beside the repository; where it is missing the tests
//! say so, and fail under CI. The client is that of `PULSEBOARD`, else `pulseboard` beside the
//! daemon; build it first with `cargo build -p pulseboard-tui`.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

#[path = "../support/shared.rs"]
mod shared;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use shared::mongod::Mongod;
use support::{Daemon, eventually};

#[test]
fn apache_traffic_is_in_mongodb_line_for_line() {
    // One line's route is too long to be taken.
    replayed("apache-combined-2015", "cat \"$DATA/access.log\"", 9_999);
}

#[test]
fn nasa_traffic_is_in_mongodb_line_for_line() {
    let shell = "awk -f docs/recipes/nasa-to-common.awk \"$DATA/requests.tsv\"";
    replayed("nasa-http-1995-08-01", shell, 30_969);
}

#[test]
fn wikipedia_edits_are_in_mongodb_one_for_one() {
    let shell = "gunzip -c \"$DATA/events.ndjson.gz\" \
                 | jq -c -f docs/recipes/wikipedia-to-events.jq";
    replayed("wikipedia-edits-2015-09-12", shell, 39_244);
}

fn replayed(name: &str, shell: &str, events: usize) {
    let Some(data) = data(name) else { return };
    let mongod = Mongod::set(1).start();
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(
        folder.path(),
        &[
            ("PULSEBOARD_STORE__KIND", "mongodb"),
            ("PULSEBOARD_STORE__MONGODB__URI", &mongod.uri()),
            // The facts count routes as they stand in the file.
            ("PULSEBOARD_ROUTES__NORMALISE", "false"),
        ],
    );
    let url = format!("http://{}", daemon.address);
    replay(&url, &data, shell);
    // The same again: nothing is stored or counted twice.
    replay(&url, &data, shell);
    eventually("all is in MongoDB", || {
        (mongod.ids("events").len() == events
            && daemon.metric("pulseboard_store_lag_events") == 0.0)
            .then_some(())
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/replay/counts.py");
    let counts = Command::new(python()).arg(script).args([&mongod.uri(), &url]).arg(&data).output();
    let counts = counts.unwrap();
    print!("{}", String::from_utf8_lossy(&counts.stdout));
    assert!(counts.status.success(), "{}", String::from_utf8_lossy(&counts.stderr));
}

fn replay(url: &str, data: &Path, shell: &str) {
    let mut source = Command::new("sh")
        .args(["-c", shell])
        .env("DATA", data)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let replay = Command::new(client())
        .args(["--url", url, "replay", "-", "--speed", "max", "--keep-time"])
        .stdin(source.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(source.wait().unwrap().success(), "{shell}");
    assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stderr));
    print!("{}", String::from_utf8_lossy(&replay.stdout));
}

fn client() -> PathBuf {
    let beside = || Path::new(env!("CARGO_BIN_EXE_pulseboardd")).with_file_name("pulseboard");
    let client = std::env::var_os("PULSEBOARD").map_or_else(beside, PathBuf::from);
    assert!(client.is_file(), "build the client first: cargo build -p pulseboard-tui");
    client
}

/// A Python with pymongo.
fn python() -> PathBuf {
    let named = std::env::var_os("PYMONGO_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| PathBuf::from("python3"));
    let has = Command::new(&python).args(["-c", "import pymongo"]).output();
    assert!(
        has.is_ok_and(|output| output.status.success()),
        "this test needs Python with pymongo: pip install pymongo, or set PYMONGO_PYTHON to its \
         interpreter"
    );
    python
}

fn data(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("PULSEBOARD_DATA").map_or_else(beside, PathBuf::from).join(name);
    if folder.is_dir() {
        return Some(folder.canonicalize().unwrap());
    }
    assert!(std::env::var_os("CI").is_none(), "no reference data at {}", folder.display());
    eprintln!("skipped: no reference data at {}", folder.display());
    None
}
