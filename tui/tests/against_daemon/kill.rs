//! kill -9 at random moments under load: no acknowledged event may be missing, none may be counted
//! twice, and every start must come up.
//!
//! `PULSEBOARD_KILLS` says how often (25 without it, 200 for a full run), `PULSEBOARD_SEED` repeats
//! a run's moments and batches. A kill leaves the kernel's caches alone: what a power failure does
//! is for the journal's own tests on a disk that lies.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::daemon::{self, Daemon, eventually};
use crate::http::Http;

const CLIENTS: u64 = 3;
const BATCH_EVENTS_MAX: u64 = 200;

/// One client's batches: what it sends, until when it was acknowledged.
struct Client {
    number: u64,
    rng: SmallRng,
    /// Batches made; the name of each event says client, batch and place.
    batches: u64,
    /// The batch whose fate is not known: it goes out again, unchanged.
    open: Option<Vec<String>>,
    acknowledged: Vec<String>,
    repeated: u64,
}

#[test]
fn no_acknowledged_event_is_lost_or_counted_twice_when_the_daemon_is_killed() {
    let kills = number("PULSEBOARD_KILLS").unwrap_or(25);
    let seed = number("PULSEBOARD_SEED").unwrap_or_else(rand::random);
    eprintln!("{kills} kills, PULSEBOARD_SEED={seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|number| Client {
            number,
            rng: SmallRng::seed_from_u64(seed.wrapping_add(number + 1)),
            batches: 0,
            open: None,
            acknowledged: Vec::new(),
            repeated: 0,
        })
        .collect();

    for kill in 0..kills {
        if rng.random_bool(0.2) {
            kill_while_starting(folder.path(), Duration::from_millis(rng.random_range(0..60)));
        }
        let daemon = Daemon::start(folder.path()).unwrap_or_else(|error| {
            panic!("start {kill} of {kills} (PULSEBOARD_SEED={seed}): {error}")
        });
        for client in &clients {
            client.last_batch_is_remembered(daemon.address());
        }
        let moment = Duration::from_millis(rng.random_range(1..250));
        let orderly = rng.random_bool(0.1);
        clients = under_load(clients, daemon.address(), moment, || {
            if orderly {
                assert!(daemon.terminate().success(), "SIGTERM ends in an orderly stop");
            } else {
                daemon.kill();
            }
        });
    }

    let daemon = Daemon::start(folder.path()).expect("the last start comes up");
    let mut http = Http::new(daemon.address());
    let stored = stored(&mut http);
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times > 1).take(5).collect();
    assert!(twice.is_empty(), "stored twice: {twice:?}");
    let acknowledged: usize = clients.iter().map(|client| client.acknowledged.len()).sum();
    for id in clients.iter().flat_map(|client| &client.acknowledged) {
        assert!(stored.contains_key(id), "acknowledged and gone: {id} (PULSEBOARD_SEED={seed})");
    }
    let sent: HashSet<_> = clients
        .iter()
        .flat_map(|client| client.acknowledged.iter().chain(client.open.iter().flatten()))
        .collect();
    assert!(stored.keys().all(|id| sent.contains(id)), "an event that nobody sent");
    // Counted as often as stored: the aggregates were rebuilt and replayed many times by now.
    eventually(&(stored.len() as u64), || {
        let history = http.get("/api/history?from=-12h&to=now&step=1d");
        let events = history["history"]["events"].as_array().unwrap();
        events.iter().filter_map(Value::as_u64).sum()
    });
    let repeated: u64 = clients.iter().map(|client| client.repeated).sum();
    eprintln!(
        "{} events stored, {acknowledged} acknowledged, {repeated} sent again after a kill",
        stored.len()
    );
    assert!(acknowledged > 0 && daemon.terminate().success());
}

/// Sends from all clients until `kill` is done, a moment after the start.
fn under_load(
    clients: Vec<Client>,
    address: SocketAddr,
    moment: Duration,
    kill: impl FnOnce(),
) -> Vec<Client> {
    let ended = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let ended = Arc::clone(&ended);
            thread::spawn(move || {
                client.send(address, &ended);
                client
            })
        })
        .collect();
    thread::sleep(moment);
    kill();
    ended.store(true, Ordering::SeqCst);
    threads.into_iter().map(|thread| thread.join().expect("clients do not panic")).collect()
}

/// A daemon that dies while it recovers must leave everything as it was.
fn kill_while_starting(folder: &std::path::Path, after: Duration) {
    let mut child = daemon::command(folder, 0).spawn().unwrap();
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

impl Client {
    /// One batch after the other, each until it has its verdict or the daemon is gone.
    fn send(&mut self, address: SocketAddr, ended: &AtomicBool) {
        let mut http = Http::new(address);
        while !ended.load(Ordering::SeqCst) {
            let again = self.open.is_some();
            let ids = self.open.take().unwrap_or_else(|| self.next_batch());
            let answer = http.post_events(&body(&ids));
            let Ok((status, verdict)) = answer else {
                self.open = Some(ids);
                return;
            };
            if status == 503 {
                // Stopping: this batch goes to the next daemon.
                self.open = Some(ids);
                return;
            }
            assert_eq!(status, 200, "{verdict}");
            let (accepted, duplicates) =
                (verdict["accepted"].as_u64().unwrap(), verdict["duplicates"].as_u64().unwrap());
            assert_eq!(accepted + duplicates, ids.len() as u64, "{verdict}");
            // Only what went out before may have been there before.
            assert!(again || duplicates == 0, "a new event taken for a duplicate: {verdict}");
            self.repeated += if again { ids.len() as u64 } else { 0 };
            self.acknowledged.extend(ids);
        }
    }

    fn next_batch(&mut self) -> Vec<String> {
        self.batches += 1;
        // Mostly small: single events make the journal merge small blocks.
        let events =
            if self.rng.random_bool(0.5) { 1 } else { self.rng.random_range(1..=BATCH_EVENTS_MAX) };
        (0..events).map(|at| format!("{}-{}-{at}", self.number, self.batches)).collect()
    }

    /// The last acknowledged events, sent again, are duplicates, every one.
    fn last_batch_is_remembered(&self, address: SocketAddr) {
        let from = self.acknowledged.len().saturating_sub(50);
        let ids = &self.acknowledged[from..];
        if ids.is_empty() {
            return;
        }
        let (status, verdict) = Http::new(address).post_events(&body(ids)).expect("it is up");
        assert_eq!((status, verdict["duplicates"].as_u64()), (200, Some(ids.len() as u64)));
    }
}

fn body(ids: &[String]) -> Vec<u8> {
    let mut body = String::new();
    for id in ids {
        let user = id.split('-').next().unwrap_or_default();
        let _ = writeln!(
            body,
            r#"{{"eventId":"{id}","type":"request","route":"/kill","userId":"{user}","status":200,"latencyMs":1.5}}"#
        );
    }
    body.into_bytes()
}

/// How often each event is stored.
fn stored(http: &mut Http) -> HashMap<String, u32> {
    let mut stored = HashMap::new();
    let mut path = "/api/events?limit=1000".to_owned();
    loop {
        let page = http.get(&path);
        for event in page["events"].as_array().unwrap() {
            *stored.entry(event["eventId"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
        let Some(cursor) = page["next"].as_str() else { return stored };
        path = format!("/api/events?limit=1000&cursor={cursor}");
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}
