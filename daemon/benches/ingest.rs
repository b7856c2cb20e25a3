//! What ingest costs before the journal: everything done to an event of about 200 bytes, against
//! the same parser reading the same bytes into a borrowed struct and nothing else.
//!
//! `cargo bench -p pulseboardd --bench ingest`. Prints ns of this thread's processor time an event,
//! which a busy machine stretches less than the clock on the wall, and ratios of one run.

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used, reason = "a bench")]

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Instant;

use pulseboard::decode::{self, Decoded};
use pulseboard::limits;
use pulseboard::route::Normaliser;
use pulseboard::validate::Rules;
use pulseboardd::ingest::{Dedupe, Fingerprinter};
use serde::Deserialize;

const NOW_MS: i64 = 1_763_884_800_000;
const BATCH: usize = 1_000;
const BATCHES: usize = 400;

/// As little as a parser can do and still have read every field.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "read by the parser")]
struct Borrowed<'a> {
    event_id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    route: &'a str,
    timestamp: i64,
    user_id: &'a str,
    session_id: &'a str,
    status: u16,
    latency_ms: f64,
    #[serde(borrow)]
    props: Option<Props<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read by the parser")]
struct Props<'a> {
    #[serde(borrow)]
    region: Cow<'a, str>,
    plan: Option<u32>,
}

fn line(n: usize) -> String {
    format!(
        r#"{{"eventId":"evt-{:016x}","type":"page_view","route":"/shop/item/{}?ref=home","timestamp":{},"userId":"user-{}","sessionId":"s-{:08x}","status":{},"latencyMs":{}.5,"props":{{"region":"eu","plan":{}}}}}"#,
        n as u64 * 0x9e37_79b9,
        n % 500,
        NOW_MS - (n % 1_000) as i64,
        n % 20_000,
        n % 7_000,
        if n.is_multiple_of(50) { 500 } else { 200 },
        n % 300,
        n % 3,
    )
}

/// Time this thread has spent on a processor, ns.
fn cpu_ns() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

fn best(runs: usize, events: usize, mut run: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..runs {
        let start = cpu_ns();
        run();
        best = best.min((cpu_ns() - start) / events as f64);
    }
    best
}

fn main() {
    let bodies: Vec<String> = (0..BATCHES)
        .map(|batch| (0..BATCH).map(|n| line(batch * BATCH + n)).collect::<Vec<_>>().join("\n"))
        .collect();
    let arrays: Vec<String> =
        bodies.iter().map(|body| format!("[{}]", body.replace('\n', ","))).collect();
    let events = BATCH * BATCHES;
    let bytes: usize = bodies.iter().map(String::len).sum();
    println!("{events} events of {} bytes, {BATCH} a call", bytes / events);

    let routes = Normaliser::default();
    let rules = Rules {
        arrival_ms: NOW_MS,
        horizon_ms: limits::HORIZON_MS,
        import: false,
        import_age_ms_max: None,
        site: None,
        routes: &routes,
        event_bytes: limits::EVENT_BYTES,
        batch_events: limits::BATCH_EVENTS,
    };

    let parse_only = best(7, events, || {
        for body in &bodies {
            for line in body.as_bytes().split(|b| *b == b'\n') {
                black_box(sonic_rs::from_slice::<Borrowed<'_>>(line).unwrap());
            }
        }
    });
    let decode_lines = best(7, events, || {
        for body in &bodies {
            let mut out = Decoded::for_body(body.len());
            decode::ndjson(body.as_bytes(), &rules, &mut out).unwrap();
            black_box(out);
        }
    });
    let decode_array = best(7, events, || {
        for body in &arrays {
            let mut out = Decoded::for_body(body.len());
            decode::json(body.as_bytes(), &rules, &mut out).unwrap();
            black_box(out);
        }
    });
    println!("parse only                {parse_only:7.0} ns");
    let show = |what: &str, ns: f64| println!("{what:25} {ns:7.0} ns  {:5.2} x", ns / parse_only);
    show("decode NDJSON", decode_lines);
    show("decode array", decode_array);

    let prints = Fingerprinter::new(&[7; 16]);
    let mut decoded = Decoded::default();
    for body in &bodies {
        decode::ndjson(body.as_bytes(), &rules, &mut decoded).unwrap();
    }
    let fingerprint = best(7, events, || {
        for event in decoded.batch.iter() {
            black_box(prints.of(event.site(), event.event_id()));
        }
    });
    show("fingerprint", fingerprint);

    let ids: Vec<u128> =
        decoded.batch.iter().map(|event| prints.of(event.site(), event.event_id())).collect();
    let mut known = Vec::new();
    let dedupe_small = best(7, events, || {
        let dedupe = Dedupe::new(10_000_000, NOW_MS);
        for ids in ids.chunks(BATCH) {
            dedupe.check_and_insert(ids, NOW_MS, &mut known).unwrap();
        }
    });
    show("dedupe, growing to 400,000", dedupe_small);
    show("all before the journal", decode_lines + fingerprint + dedupe_small);

    large_dedupe();
}

/// The table at its default bound.
fn large_dedupe() {
    const IDS: usize = 10_000_000;
    let prints = Fingerprinter::new(&[9; 16]);
    let ids: Vec<u128> = (0..IDS).map(|n| prints.of("default", &format!("evt-{n}"))).collect();
    let dedupe = Dedupe::new(IDS as u64, NOW_MS);
    let mut known = Vec::new();
    let start = cpu_ns();
    for (batch, ids) in ids.chunks(BATCH).enumerate() {
        let at_ms = NOW_MS + batch as i64 * 20;
        assert_eq!(dedupe.check_and_insert(ids, at_ms, &mut known), Ok(ids.len()));
    }
    let grow = (cpu_ns() - start) / IDS as f64;
    println!("10 M ids: grown at {grow:.0} ns an id, {} MB", dedupe.bytes() / 1_000_000);
    let start = cpu_ns();
    for ids in ids[5_000_000..7_000_000].chunks(BATCH) {
        assert_eq!(dedupe.check_and_insert(ids, NOW_MS + 200_000, &mut known), Ok(0));
    }
    let hit = (cpu_ns() - start) / 2e6;
    let start = cpu_ns();
    for ids in ids[5_000_000..5_500_000].chunks(1) {
        assert_eq!(dedupe.check_and_insert(ids, NOW_MS + 200_000, &mut known), Ok(0));
    }
    let hit_alone = (cpu_ns() - start) / 5e5;
    println!("          known ones at {hit:.0} ns in calls of 1,000, {hit_alone:.0} ns alone");
    let more: Vec<u128> =
        (0..1_000_000).map(|n| prints.of("default", &format!("more-{n}"))).collect();
    let mut slowest = 0.0_f64;
    let start = cpu_ns();
    for (batch, ids) in more.chunks(BATCH).enumerate() {
        let at_ms = NOW_MS + 200_000 + batch as i64 * 20;
        let call = cpu_ns();
        assert_eq!(dedupe.check_and_insert(ids, at_ms, &mut known), Ok(ids.len()));
        slowest = slowest.max((cpu_ns() - call) / 1e6);
    }
    let full = (cpu_ns() - start) / 1e6;
    println!(
        "          new ones at the bound at {full:.0} ns, slowest call {slowest:.1} ms, {} MB, horizon {} s",
        dedupe.bytes() / 1_000_000,
        dedupe.horizon_ms(NOW_MS + 220_000) / 1_000
    );
    drop(dedupe);
    let rebuilt = Dedupe::new(IDS as u64, NOW_MS);
    let arrivals: Vec<i64> = (0..IDS).map(|n| NOW_MS - 200_000 + n as i64 / 50).collect();
    let start = Instant::now();
    rebuilt.reserve(IDS as u64);
    let blocks: Vec<(&[u128], &[i64])> = ids.chunks(10_000).zip(arrivals.chunks(10_000)).collect();
    let (left, right) = blocks.split_at(blocks.len() / 2);
    std::thread::scope(|threads| {
        for half in [left, right] {
            let rebuilt = &rebuilt;
            threads.spawn(move || {
                let cpu = cpu_ns();
                for (ids, at) in half {
                    rebuilt.load(ids, at);
                }
                println!("          half a rebuild takes {:.2} s", (cpu_ns() - cpu) / 1e9);
            });
        }
    });
    println!(
        "          rebuilt by two threads in {:.2} s, {} ids, {} MB",
        start.elapsed().as_secs_f64(),
        rebuilt.ids(),
        rebuilt.bytes() / 1_000_000
    );
}
