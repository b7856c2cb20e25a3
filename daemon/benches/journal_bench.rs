//! What the journal costs, beside the bare disk in the same run: encoding, group commit of single
//! events and of batches, opening with ten million events, reading fingerprints, following.
//!
//! `cargo bench --bench journal_bench [-- open-events]`; the data goes to `PULSEBOARD_BENCH_DIR`,
//! else to a temporary directory.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and may panic")]
#![allow(clippy::unchecked_time_subtraction, reason = "the clock never goes back")]

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pulseboard::event::{Class, EventBatch, Row};
use pulseboardd::clock::Clock;
use pulseboardd::journal::{Journal, Options, OsDisk, Recovery, TailItem, open};

const ROUND: Duration = Duration::from_secs(2);

fn main() {
    let events = std::env::args().find_map(|arg| arg.parse().ok());
    let dir = std::env::var_os("PULSEBOARD_BENCH_DIR");
    let dir = dir.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let clock = Clock::system();
    encoding(&clock, dir.path());
    bare(&clock, dir.path(), 32 * 480, "32 small blocks");
    singles(&clock, &dir.path().join("singles"), 32);
    tasks(&clock, &dir.path().join("tasks32"), 32);
    tasks(&clock, &dir.path().join("tasks512"), 512);
    bare(&clock, dir.path(), 100_000, "a block of 1,000 events");
    batches(&clock, &dir.path().join("batches"), 8);
    opening(&clock, &dir.path().join("opening"), events.unwrap_or(10_000_000));
}

/// Events as a web application sends them: about 200 bytes of text each.
fn batch(clock: &Clock, first: u64, events: u64) -> EventBatch {
    let mut batch = EventBatch::with_capacity(events as usize, events as usize * 200);
    let arrival_ms = clock.now_ms();
    for number in first..first + events {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ number;
        let wide = u128::from(mixed) << 64 | u128::from(mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        let route = format!("/shop/category-{}/item", mixed % 200);
        let row = Row {
            fingerprint: wide,
            arrival_ms,
            timestamp_ms: arrival_ms - (mixed % 900) as i64,
            latency_ms: (mixed % 4_000) as f64 / 8.0,
            event_id: batch.add_text(&format!("{wide:032x}")),
            kind: batch.add_text(["page_view", "api_call", "click"][(mixed % 3) as usize]),
            route: batch.add_text(&route),
            site: batch.add_text("default"),
            user_id: batch.add_text(&format!("user-{}", mixed % 50_000)),
            session_id: batch.add_text(&format!("{:016x}", mixed % 100_000)),
            client_id: batch.add_text(&format!("10.0.{}.{}", mixed % 256, mixed / 256 % 256)),
            props: batch
                .add_text("{\"browser\":\"firefox\",\"country\":\"DE\",\"version\":\"1.2.3\"}"),
            status: [200, 200, 200, 304, 404, 500][(mixed % 6) as usize],
            class: Class::Live,
            ..Row::default()
        };
        batch.push(row);
    }
    batch
}

fn journal(dir: &Path) -> (Journal, Recovery) {
    open(Arc::new(OsDisk), Options::new(dir), Clock::system()).unwrap()
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn encoding(clock: &Clock, dir: &Path) {
    let (journal, _) = journal(&dir.join("encoding"));
    for events in [1, 10, 100, 1_000, 5_000] {
        let batch = batch(clock, 0, events);
        let text = batch.text_len() as u64 / events;
        let rounds = (1_000_000 / events).min(20_000);
        let mut spent = Duration::ZERO;
        let mut queued = std::collections::VecDeque::new();
        for _ in 0..rounds {
            let copy = batch.clone();
            let started = clock.elapsed();
            let pending = journal.append(copy).unwrap();
            spent += clock.elapsed() - started;
            queued.push_back(pending);
            if queued.len() > 16 {
                queued.pop_front().unwrap().wait().unwrap();
            }
        }
        let each = spent.as_nanos() as u64 / (rounds * events);
        println!("append() of {events} events of {text} bytes of text: {each} ns an event");
    }
    let stats = journal.stats();
    let bytes = stats.written_bytes / stats.events.max(1);
    println!("  {bytes} bytes written an event, {} blocks", stats.blocks);
}

/// The floor: a preallocated file, written and synced by nobody else.
fn bare(clock: &Clock, dir: &Path, bytes: usize, what: &str) {
    let path = dir.join(format!("bare{bytes}"));
    let file = OpenOptions::new().create_new(true).write(true).read(true).open(&path).unwrap();
    let len = 256_u64 << 20;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len).unwrap();
    let block: Vec<u8> = (0..bytes).map(|byte| (byte * 31 % 251) as u8).collect();
    let (mut at, mut commits, mut times) = (4_096, 0, Vec::new());
    let started = clock.elapsed();
    while clock.elapsed() - started < ROUND {
        let before = clock.elapsed();
        file.write_all_at(&block, at).unwrap();
        file.sync_data().unwrap();
        times.push(clock.elapsed() - before);
        at = if at + 2 * bytes as u64 > len { 4_096 } else { at + bytes as u64 };
        commits += 1;
    }
    let rate = per_second(commits, clock.elapsed() - started);
    let (p50, p99) = quantiles(&mut times);
    println!(
        "bare write and fdatasync of {what} ({bytes} B): {rate:.0}/s, p50 {p50}, p99 {p99} us"
    );
    std::fs::remove_file(path).unwrap();
}

fn quantiles(times: &mut [Duration]) -> (u128, u128) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_micros();
    (at(50), at(99))
}

/// Threads that append one event and wait for it.
fn singles(clock: &Clock, dir: &Path, appenders: u64) {
    let (journal, _) = journal(dir);
    let done = AtomicU64::new(0);
    let started = clock.elapsed();
    std::thread::scope(|scope| {
        for appender in 0..appenders {
            let (journal, done) = (&journal, &done);
            scope.spawn(move || {
                let mut number = appender << 32;
                while clock.elapsed() - started < ROUND {
                    journal.append(batch(clock, number, 1)).unwrap().wait().unwrap();
                    number += 1;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    report(clock, &journal, started, done.into_inner(), &format!("{appenders} threads, one each"));
}

/// Async tasks that append one event and await it.
fn tasks(clock: &Clock, dir: &Path, appenders: u64) {
    let (journal, _) = journal(dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let done = Arc::new(AtomicU64::new(0));
    let started = clock.elapsed();
    let tasks: Vec<_> = (0..appenders)
        .map(|appender| {
            let (journal, clock, done) = (journal.clone(), clock.clone(), Arc::clone(&done));
            runtime.spawn(async move {
                let mut number = appender << 32;
                let mut times = Vec::new();
                while clock.elapsed() - started < ROUND {
                    let before = clock.elapsed();
                    journal.append(batch(&clock, number, 1)).unwrap().await.unwrap();
                    times.push(clock.elapsed() - before);
                    number += 1;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(runtime.block_on(task).unwrap());
    }
    let (p50, p99) = quantiles(&mut times);
    let what = format!("{appenders} tasks, one each (ack p50 {p50}, p99 {p99} us)");
    report(clock, &journal, started, done.load(Ordering::Relaxed), &what);
}

/// Threads that append 1,000 events and wait for them.
fn batches(clock: &Clock, dir: &Path, appenders: u64) {
    let (journal, _) = journal(dir);
    let done = AtomicU64::new(0);
    let times = std::sync::Mutex::new(Vec::new());
    let started = clock.elapsed();
    std::thread::scope(|scope| {
        for appender in 0..appenders {
            let (journal, done, times) = (&journal, &done, &times);
            scope.spawn(move || {
                let ready = batch(clock, appender << 32, 1_000);
                let mut own = Vec::new();
                while clock.elapsed() - started < ROUND {
                    let before = clock.elapsed();
                    journal.append(ready.clone()).unwrap().wait().unwrap();
                    own.push(clock.elapsed() - before);
                    done.fetch_add(1_000, Ordering::Relaxed);
                }
                times.lock().unwrap().extend(own);
            });
        }
    });
    let (p50, p99) = quantiles(&mut times.into_inner().unwrap());
    let what = format!("{appenders} threads, 1,000 each (ack p50 {p50}, p99 {p99} us)");
    report(clock, &journal, started, done.into_inner(), &what);
}

fn report(clock: &Clock, journal: &Journal, started: Duration, events: u64, what: &str) {
    let took = clock.elapsed() - started;
    let stats = journal.stats();
    let (rate, syncs) = (per_second(events, took), per_second(stats.syncs, took));
    let sync_us = stats.sync_ns / stats.syncs.max(1) / 1_000;
    let mb = per_second(stats.written_bytes, took) / 1e6;
    println!("{what}: {rate:.0} events/s, {syncs:.0} syncs/s of {sync_us} us, {mb:.0} MB/s");
}

fn opening(clock: &Clock, dir: &Path, events: u64) {
    let started = clock.elapsed();
    let (journal, _) = journal(dir);
    println!("made an empty journal in {:?}", clock.elapsed() - started);
    let started = clock.elapsed();
    let mut pending = std::collections::VecDeque::new();
    for number in 0..events / 1_000 {
        pending.push_back(journal.append(batch(clock, number * 1_000, 1_000)).unwrap());
        if pending.len() > 8 {
            pending.pop_front().unwrap().wait().unwrap();
        }
    }
    for pending in pending {
        pending.wait().unwrap();
    }
    println!("{events} events written in {:?}", clock.elapsed() - started);
    let stats = journal.stats();
    journal.close();
    let per_event = stats.written_bytes / stats.events.max(1);

    let started = clock.elapsed();
    let (journal, recovery) = self::journal(dir);
    let opened = clock.elapsed() - started;
    assert_eq!(recovery.events, events / 1_000 * 1_000);
    println!("opened {} events ({per_event} B each) in {opened:?}", recovery.events);
    for workers in [1, 2] {
        let started = clock.elapsed();
        let sum = AtomicU64::new(0);
        let sink = |prints: &[u128], _: &[i64]| {
            let part = prints.iter().fold(0_u64, |sum, print| sum.wrapping_add(*print as u64));
            sum.fetch_add(part, Ordering::Relaxed);
        };
        let read = journal.fingerprints(0, workers, &sink).unwrap();
        let took = clock.elapsed() - started;
        println!("{} fingerprints by {workers} workers in {took:?}", read.events);
    }
    let started = clock.elapsed();
    let mut tail = journal.tail(1);
    let mut seen = 0;
    while let TailItem::Events { batch, .. } = tail.next(Duration::ZERO) {
        seen += batch.len() as u64;
    }
    let took = clock.elapsed() - started;
    println!("followed {seen} events from the blocks: {:.0} ns each", {
        took.as_nanos() as f64 / seen as f64
    });
}
