//! The recipes of README.md that turn other data into events, run as they stand there on the
//! reference data. Found by `PULSEBOARD_DATA`, else in `../shared/data` beside the repository.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The shell command in README.md that starts with `start`, without the replay it is piped into.
fn recipe(start: &str) -> String {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let from = readme.find(&format!("    {start}")).expect("the recipe stands in README.md");
    let end = readme[from..].find("|\n      pulseboard replay").expect("it is piped into replay");
    readme[from..from + end].lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What a recipe prints where its data lies; `None`, said aloud, where there is no data or no tool.
fn run(start: &str, data: &str, tool: &str) -> Option<String> {
    let beside = || root().join("../shared/data");
    let folder = std::env::var_os("PULSEBOARD_DATA").map_or_else(beside, PathBuf::from).join(data);
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !folder.is_dir() || !found {
        assert!(std::env::var_os("CI").is_none(), "{} and {tool} are needed", folder.display());
        eprintln!("left out: {} or {tool} is not here", folder.display());
        return None;
    }
    let output =
        Command::new("sh").arg("-c").arg(recipe(start)).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_nasa_trace_becomes_common_log_line_for_line() {
    let Some(log) = run("awk -F", "nasa-http-1995-08-01", "awk") else { return };
    assert_eq!(log.lines().count(), 30_969);
    assert_eq!(
        log.lines().next().unwrap(),
        "pppa006.compuserve.com - - [01/Aug/1995:06:00:00 +0000] \
         \"GET /images/launch-logo.gif HTTP/1.0\" 200 1713"
    );
    let missing = log.lines().filter(|line| line.contains("\" 404 ")).count();
    assert_eq!(missing, 221, "as many as the reference says");
}

#[test]
fn wikipedia_edits_become_events_one_route_a_channel() {
    let Some(events) = run("zcat events", "wikipedia-edits-2015-09-12", "jq") else { return };
    assert_eq!(events.lines().count(), 39_244);
    let route = |channel: &str| format!("\"route\":\"/{channel}\",");
    let count = |channel: &str| events.matches(&route(channel)).count();
    assert_eq!([count("en.wikipedia"), count("vi.wikipedia")], [11_549, 9_747]);
    assert_eq!(events.matches("\"page\":\"Jeremy Corbyn\"").count(), 27);
}
