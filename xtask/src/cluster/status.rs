//! What runs where, and what each daemon says of itself, as a table.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::parts::{Part, Parts};

/// How long a daemon is waited for: one that is frozen never answers.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// The table.
pub(super) fn table(parts: &mut Parts) -> String {
    let mut text = format!("{:10} {:>6} {:>8}  {}\n", "part", "port", "pid", "state");
    for part in &mut parts.all {
        let port = if part.port == 0 { "–".to_owned() } else { part.port.to_string() };
        let pid = part.pid().map_or("–".to_owned(), |pid| pid.to_string());
        let state = state(part);
        let _ = writeln!(text, "{:10} {port:>6} {pid:>8}  {state}", part.name);
    }
    if let Some(part) = parts.all.first() {
        let logs = part.log.parent().expect("logs lie in a folder");
        let _ = writeln!(text, "logs: {}", logs.display());
        let data = logs.with_file_name("data");
        let _ = writeln!(text, "data: {}, a folder for each", data.display());
    }
    text
}

/// Whether every daemon is ready, and counts them all.
pub(super) fn is_well(parts: &Parts) -> bool {
    let count = parts.ports.daemons.len();
    let well = format!("ready, {count} of {count} instances");
    parts.ports.daemons.iter().all(|port| daemon(*port).is_some_and(|said| said == well))
}

fn state(part: &mut Part) -> String {
    if !part.is_running() {
        return "does not run".to_owned();
    }
    if part.is_frozen {
        return "frozen".to_owned();
    }
    if !part.name.starts_with("daemon") {
        return "runs".to_owned();
    }
    daemon(part.port).unwrap_or_else(|| "runs, and does not answer".to_owned())
}

/// Readiness, instances in the numbers, and every check that is not well.
fn daemon(port: u16) -> Option<String> {
    let ready = get(port, "/health/ready")?;
    let nodes = get(port, "/api/aggregates?window=5s")?["aggregate"]["nodes"].clone();
    let mut text = format!(
        "{}, {} of {} instances",
        ready["status"].as_str()?,
        nodes["reporting"].as_u64().unwrap_or(0),
        nodes["expected"].as_u64().unwrap_or(0),
    );
    for (check, found) in ready["checks"].as_object()? {
        if found["status"] != "ok" {
            let _ = write!(text, "\n{:28}{check}: {}", "", found["detail"].as_str().unwrap_or(""));
        }
    }
    Some(text)
}

/// The JSON body of an answer, whatever its status.
fn get(port: u16, path: &str) -> Option<Value> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    // HTTP/1.0, so that the body is everything up to the end.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let start = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    serde_json::from_slice(&bytes[start..]).ok()
}
