//! What the daemon takes and how fast it is there: ready on an empty directory, resident when
//! idle, resident with a million users, 100,000 routes and dedupe full, and ready again after
//! kill -9 with ten million events in the journal.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod support;

use std::time::{Duration, Instant};

use support::body::{post, wide};
use support::http::drive;
use support::process::Server;

const EVENTS: f64 = 10_000_000.0;

fn main() {
    println!("footprint ({})", support::machine());
    let mut ready_ms: Vec<f64> = (0..5).map(|_| ready_on_empty_ms()).collect();
    ready_ms.sort_by(f64::total_cmp);
    println!("  ready on an empty directory: {:.0} ms (wanted 150)", ready_ms[2]);

    let folder = tempfile::tempdir().expect("a temporary folder");
    // They come in seconds here, and ids of the last 65 s are never forgotten: more room
    // than the default of ten million, as much as the last second may bring on top.
    let room = [("PULSEBOARD_DEDUPE__MAX_IDS", "13000000")];
    let daemon = Server::daemon(folder.path(), &room);
    std::thread::sleep(Duration::from_secs(5));
    println!("  resident when idle: {:.1} MB (wanted 25)", mb(daemon.resident_bytes()));

    let mut sent = 0.0;
    let mut most = 0;
    for salt in 0.. {
        let request = |connection| post(&wide(1_000, connection), "application/x-ndjson");
        let reached = drive(daemon.address, 1, 1_000, request, 1, salt);
        sent += 1_000.0 * reached.latencies_us.len() as f64;
        most = most.max(daemon.resident_bytes());
        if sent >= EVENTS {
            break;
        }
    }
    std::thread::sleep(Duration::from_secs(3));
    println!(
        "  resident after {:.1} M events of a million users on 100,000 routes, every id remembered: {:.0} MB, \
         {:.0} MB at most (wanted 600)",
        sent / 1e6,
        mb(daemon.resident_bytes()),
        mb(most)
    );
    daemon.kill();

    let started = Instant::now();
    let again = Server::daemon(folder.path(), &room);
    println!(
        "  ready after kill -9 with {:.1} M events in the journal: {:.2} s (wanted 3)",
        sent / 1e6,
        started.elapsed().as_secs_f64()
    );
    drop(again);
}

fn ready_on_empty_ms() -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let started = Instant::now();
    let daemon = Server::daemon(folder.path(), &[]);
    let took = started.elapsed();
    drop(daemon);
    took.as_secs_f64() * 1e3
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
