//! Ingest over REST against the ceiling of only reading and parsing the same bodies: the same
//! driver, the same two cores, one after the other in one run, three rounds, the median.

mod support;

use support::body::{ndjson, post};
use support::http::{Reached, drive};
use support::process::Server;

struct Case {
    name: &'static str,
    connections: u32,
    events: usize,
    wanted: f64,
}

fn main() {
    if std::env::args().any(|argument| argument == "--ceiling") {
        return support::ceiling::serve();
    }
    println!(
        "ingest over REST ({}), events/s, daemon with everything on / parse-only",
        support::machine()
    );
    let cases = [
        Case {
            name: "NDJSON by 1,000, 8 connections",
            connections: 8,
            events: 1_000,
            wanted: 0.20,
        },
        Case {
            name: "one event a request, 128 connections",
            connections: 128,
            events: 1,
            wanted: 0.40,
        },
    ];
    for case in cases {
        run(&case);
    }
}

fn run(case: &Case) {
    let mut rounds = Vec::new();
    let request = |connection: u32| {
        let kind = if case.events == 1 { "application/json" } else { "application/x-ndjson" };
        post(&ndjson(case.events, connection), kind)
    };
    for round in 0..3 {
        let measure = |server: &Server| -> Reached {
            drive(server.address, case.connections, case.events, request, support::seconds(), round)
        };
        let ceiling = Server::ceiling();
        let parse_only = measure(&ceiling);
        drop(ceiling);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let daemon = Server::daemon(folder.path(), &[("PULSEBOARD_DEDUPE__MAX_IDS", "200000000")]);
        let everything = measure(&daemon);
        drop(daemon);
        rounds.push((
            everything.events_per_second / parse_only.events_per_second,
            everything,
            parse_only,
        ));
    }
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, everything, parse_only) = &rounds[1];
    println!(
        "  {}: {:.0} / {:.0} = {ratio:.2} (wanted {:.2}); ack p50 {:.2} ms, p99 {:.2} ms",
        case.name,
        everything.events_per_second,
        parse_only.events_per_second,
        case.wanted,
        support::quantile(&everything.latencies_us, 0.50) as f64 / 1e3,
        support::quantile(&everything.latencies_us, 0.99) as f64 / 1e3,
    );
}
