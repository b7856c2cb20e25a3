//! What tokens and limits cost. First alone, on one thread: a token that is remembered, a call and
//! an event charged to their buckets, the fields of an answer. Then as posts feel it: a daemon with
//! a key, its clients with a token, against one in dev mode, in turns, the median of five.
//!
//! `cargo bench -p pulseboardd --bench tokens`. Rates swing on a busy machine; the processor time
//! of the daemon a request swings less, and is what the ratio to trust is made of.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a benchmark")]

mod support;

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Instant;

use http::HeaderMap;
use jsonwebtoken::{EncodingKey, Header, encode};
use pulseboard::claims::Claims;
use pulseboardd::auth::{Authority, Key, Keys};
use pulseboardd::clock::Clock;
use pulseboardd::gate;
use pulseboardd::rate_limit::{Limits, RateLimits, Who};
use support::body::{Template, ndjson, post_with};
use support::http::drive;
use support::process::Server;

const SECRET: &str = "a secret of benchmarks that nobody else has";
const ROUNDS: usize = 5;

fn main() {
    alone();
    println!("posts with tokens and limits ({}), against dev mode", support::machine());
    posts("NDJSON by 1,000, 8 connections", 8, 1_000);
    posts("one event a request, 128 connections", 128, 1);
}

fn token(subject: &str) -> String {
    let now = Clock::system().now_ms() / 1_000;
    let claims = Claims {
        sub: subject.to_owned(),
        scope: "ingest".to_owned(),
        iat: now,
        exp: now + 3_600,
        iss: None,
        aud: None,
        rate: Some(1_000_000_000),
        site: None,
    };
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

fn alone() {
    let clock = Clock::system();
    let key = Key::secret(SECRET).unwrap();
    let authority = Authority::tokens(Keys { key, iss: None, aud: None }, clock.clone());
    let many = NonZeroU32::new(1_000_000_000).unwrap();
    let rates = RateLimits::new(Limits { api_per_minute: many, ..Limits::default() }, clock);
    let tokens: Vec<String> = (0..1_000).map(|n| token(&format!("subject-{n}"))).collect();
    let grants: Vec<_> = tokens.iter().map(|token| authority.verify(token).unwrap()).collect();
    let each = |name: &str, wanted: u32, work: &dyn Fn(usize)| {
        const TIMES: usize = 2_000_000;
        let best = (0..5)
            .map(|_| {
                let started = Instant::now();
                (0..TIMES).for_each(|n| work(n % tokens.len()));
                started.elapsed().as_nanos() as f64 / TIMES as f64
            })
            .fold(f64::MAX, f64::min);
        println!("  {name}: {best:.0} ns (wanted {wanted})");
    };
    println!("on one thread, 1,000 tokens in turns");
    each("a token that is remembered", 3_000, &|n| {
        black_box(authority.verify(&tokens[n]).unwrap());
    });
    each("a call", 500, &|n| {
        black_box(rates.call(Who::Subject(&grants[n].subject)).unwrap());
    });
    each("a post of one event", 500, &|n| {
        black_box(rates.events(&grants[n]).charge(1).unwrap());
    });
    let standing = rates.call(Who::Subject("one")).unwrap().unwrap();
    each("the fields of its answer", 500, &|_| {
        let mut headers = HeaderMap::new();
        gate::put_quota(&mut headers, &standing);
        black_box(headers);
    });
}

struct Reached {
    events_per_second: f64,
    cpu_us: f64,
}

fn posts(name: &str, connections: u32, events: usize) {
    let kind = if events == 1 { "application/json" } else { "application/x-ndjson" };
    let measure = |token: Option<&str>, round: usize| -> Reached {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = vec![("PULSEBOARD_DEDUPE__MAX_IDS", "200000000")];
        let mut header = String::new();
        if let Some(token) = token {
            settings.push(("PULSEBOARD_AUTH__SECRET", SECRET));
            header = format!("Authorization: Bearer {token}\r\n");
        }
        let daemon = Server::daemon(folder.path(), &settings);
        let request =
            |connection: u32| -> Template { post_with(&ndjson(events, connection), kind, &header) };
        let salt = round as u64;
        let seconds = support::seconds();
        let before = daemon.cpu_seconds();
        let reached = drive(daemon.address, connections, events, request, seconds, salt);
        let requests = reached.latencies_us.len() as f64;
        let cpu_us = (daemon.cpu_seconds() - before) * 1e6 / requests;
        Reached { events_per_second: reached.events_per_second, cpu_us }
    };
    let token = token("bench");
    let mut rounds: Vec<(f64, f64, Reached, Reached)> = (0..ROUNDS)
        .map(|round| {
            let dev = measure(None, round);
            let with = measure(Some(&token), round);
            let rate = with.events_per_second / dev.events_per_second;
            (with.cpu_us / dev.cpu_us, rate, with, dev)
        })
        .collect();
    rounds.sort_by(|a, b| a.1.total_cmp(&b.1));
    let rate = rounds[ROUNDS / 2].1;
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (cpu, _, with, dev) = &rounds[ROUNDS / 2];
    println!(
        "  {name}: {:.0} / {:.0} events/s, median ratio {rate:.3} (wanted 0.95); processor time a \
         request {:.2} / {:.2} us, median ratio {cpu:.3}",
        with.events_per_second, dev.events_per_second, with.cpu_us, dev.cpu_us
    );
}
