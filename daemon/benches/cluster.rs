//! What being one of several costs an instance: posts to a daemon that shares a Redis against posts
//! to one that is alone, in turns, the median of five. First events without ids, which need no claim:
//! what is left is telling ticks, joining them and holding events until their release. Then events
//! with ids, each claimed and confirmed.
//!
//! `cargo bench -p pulseboardd --bench cluster`. Needs redis-server (`REDIS_SERVER`, or on the PATH),
//! which shares the machine's cores with the daemon and the driver.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a benchmark")]

mod support;

use support::body::{Template, nameless, ndjson, post};
use support::http::drive;
use support::process::Server;
use support::redis::Redis;

const ROUNDS: usize = 5;

struct Reached {
    events_per_second: f64,
    cpu_us: f64,
}

fn main() {
    println!("posts to one of a cluster ({}), against one that is alone", support::machine());
    for (connections, events, name) in
        [(8, 1_000, "NDJSON by 1,000, 8 connections"), (128, 1, "one event, 128 connections")]
    {
        compare(&format!("{name}, no ids to claim"), "0.85", connections, events, |_| {
            nameless(events)
        });
        compare(&format!("{name}, ids claimed"), "none", connections, events, |connection| {
            ndjson(events, connection)
        });
    }
}

fn compare(
    name: &str,
    wanted: &str,
    connections: u32,
    events: usize,
    body: impl Fn(u32) -> Template + Sync,
) {
    let kind = if events == 1 { "application/json" } else { "application/x-ndjson" };
    let measure = |shares: bool, round: usize| -> Reached {
        let folder = tempfile::tempdir().unwrap();
        let redis = shares.then(|| Redis::start(folder.path()));
        let mut settings = vec![("PULSEBOARD_DEDUPE__MAX_IDS", "200000000")];
        if let Some(redis) = &redis {
            settings.push(("PULSEBOARD_CLUSTER__REDIS_URL", redis.url()));
        }
        let daemon = Server::daemon(&folder.path().join("data"), &settings);
        // The first seconds of a cluster are its joining.
        std::thread::sleep(std::time::Duration::from_secs(2));
        let request = |connection: u32| -> Template { post(&body(connection), kind) };
        let before = daemon.cpu_seconds();
        let seconds = support::seconds();
        let reached = drive(daemon.address, connections, events, request, seconds, round as u64);
        let requests = reached.latencies_us.len() as f64;
        let cpu_us = (daemon.cpu_seconds() - before) * 1e6 / requests;
        Reached { events_per_second: reached.events_per_second, cpu_us }
    };
    let mut rates = Vec::new();
    let mut costs = Vec::new();
    let (mut alone, mut shared) = (0.0, 0.0);
    for round in 0..ROUNDS {
        let (one, of_many) = (measure(false, round), measure(true, round));
        alone = one.events_per_second;
        shared = of_many.events_per_second;
        rates.push(of_many.events_per_second / one.events_per_second);
        costs.push(of_many.cpu_us / one.cpu_us);
    }
    rates.sort_by(f64::total_cmp);
    costs.sort_by(f64::total_cmp);
    println!(
        "  {name}: last round {shared:.0} / {alone:.0} events/s, median ratio {:.3} (wanted \
         {wanted}); processor time a request, median ratio {:.3}",
        rates[ROUNDS / 2],
        costs[ROUNDS / 2]
    );
}
