//! Claims on ids: how many a second one redis-server on this machine carries, pending and confirmed
//! counted as one, beside bare pipelined SETs in the same run; and what the path costs ingest
//! itself, with claims that are granted at once by nobody.
//!
//! `cargo bench -p pulseboardd --bench claims`. Needs redis-server (`REDIS_SERVER`, or on the PATH).

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used, reason = "a bench")]

mod support;

use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pulseboard::event::EventBatch;
use pulseboardd::auth::Grant;
use pulseboardd::clock::Clock;
use pulseboardd::cluster::{ClaimSettings, Claimant, Link, LinkSettings};
use pulseboardd::ingest::pipeline::Options;
use pulseboardd::ingest::{
    AppendError, Appended, Asked, Body, Claim, Claims, Confirmed, Dedupe, Durable, DurableHeld,
    EventLog, Fingerprinter, Held, Ingest, Source,
};
use pulseboardd::journal::{self, Hold, Journal, OsDisk};
use pulseboardd::rate_limit::EventBudget;
use support::redis::Redis;

const ROUND: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
const BATCH: usize = 1_000;
const CALLERS: usize = 8;

/// Processor time of this process, s.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit_once(") ").unwrap().1;
    let mut fields = after.split(' ').skip(11).map(|field| field.parse::<f64>().unwrap());
    (fields.next().unwrap() + fields.next().unwrap()) / 100.0
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}

fn ids(from: u64) -> Arc<[u128]> {
    let id = |n: u64| u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(n);
    (from..from + BATCH as u64).map(id).collect()
}

#[tokio::main]
async fn main() {
    claims().await;
    ingest().await;
}

async fn claims() {
    let dir = tempfile::tempdir().unwrap();
    let redis = Redis::start(dir.path());
    let clock = Clock::system();
    let settings = LinkSettings::parse("cluster.redis_url", redis.url()).unwrap();
    let link = Link::open(&settings, clock.clone()).unwrap();
    let horizon = Duration::from_hours(24);
    let settings = ClaimSettings { node: "0123456789ab".into(), horizon, ids_max: 1 << 40 };
    let claimant = Claimant::open(link, &settings, clock);
    while !claimant.is_up() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let client = redis::Client::open(redis.url()).unwrap();
    let next = Arc::new(AtomicU64::new(1));
    let (mut sets, mut claimed, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let bare = {
            let connection = client.get_multiplexed_async_connection().await.unwrap();
            run(&next, move |from| {
                let mut connection = connection.clone();
                async move {
                    let mut pipeline = redis::pipe();
                    for id in ids(from).iter() {
                        let key: &[u8] = &id.to_be_bytes();
                        pipeline
                            .cmd("SET")
                            .arg(key)
                            .arg("value12345")
                            .arg("PX")
                            .arg(60_000)
                            .ignore();
                    }
                    pipeline.query_async::<()>(&mut connection).await.unwrap();
                }
            })
            .await
        };
        let claiming = claimant.clone();
        let ours = run(&next, move |from| {
            let claimant = claiming.clone();
            async move {
                let ids = ids(from);
                let claims = claimant.claim(Arc::clone(&ids)).await.unwrap();
                assert!(claims.iter().all(|claim| *claim == Claim::Ours));
                assert_eq!(claimant.confirm(ids).await.unwrap(), Confirmed::default());
            }
        })
        .await;
        sets.push(bare);
        claimed.push(ours);
        ratios.push(ours / bare);
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: u64 = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
        let info: String =
            redis::cmd("INFO").arg("memory").query_async(&mut connection).await.unwrap();
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        let used: f64 = used.trim().parse().unwrap();
        println!("  {:.0} bytes of Redis's memory a key", used / keys as f64);
    }
    println!(
        "bare pipelined SETs {:.0} ids/s; claimed and confirmed {:.0} ids/s (150,000 wanted); ratio {:.2}",
        median(sets),
        median(claimed),
        median(ratios)
    );
}

/// Ids a second that callers get through, `CALLERS` at a time.
async fn run<F: Future<Output = ()> + Send + 'static>(
    next: &Arc<AtomicU64>,
    work: impl Fn(u64) -> F + Clone + Send + Sync + 'static,
) -> f64 {
    let done = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (next, done, work) = (Arc::clone(next), Arc::clone(&done), work.clone());
            tokio::spawn(async move {
                while started.elapsed() < ROUND {
                    work(next.fetch_add(BATCH as u64, Ordering::Relaxed)).await;
                    done.fetch_add(BATCH as u64, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

/// Grants everything at once.
struct Granted(Fingerprinter);

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Granted")
    }
}

impl Claims for Granted {
    fn key(&self) -> Option<Fingerprinter> {
        Some(self.0.clone())
    }

    fn claim(&self, ids: Arc<[u128]>) -> Asked<Vec<Claim>> {
        Box::pin(std::future::ready(Ok(vec![Claim::Ours; ids.len()])))
    }

    fn confirm(&self, _ids: Arc<[u128]>) -> Asked<Confirmed> {
        Box::pin(std::future::ready(Ok(Confirmed::default())))
    }

    fn abandon(&self, _ids: Arc<[u128]>) {}

    fn unconfirmed(&self, _first_seq: u64, _end_seq: u64) {}
}

/// The journal as ingest sees it.
struct Log(Journal);

struct Unseen(Hold);

impl Held for Unseen {
    fn appended(&self) -> Appended {
        let count = (self.0.end_seq() - self.0.first_seq()) as u32;
        Appended { first_seq: self.0.first_seq(), count }
    }

    fn let_go<'a>(
        self: Box<Self>,
        _but: &'a [u32],
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        self.0.release(false);
        Box::pin(std::future::ready(()))
    }
}

impl EventLog for Log {
    fn append(&self, batch: EventBatch) -> Result<Durable, AppendError> {
        let pending = self.0.append(batch).map_err(|_| AppendError::Busy)?;
        Ok(Box::pin(async move {
            let appended = pending.await.map_err(|_| AppendError::Closed)?;
            Ok(Appended { first_seq: appended.first_seq, count: appended.count })
        }))
    }

    fn append_held(&self, batch: EventBatch) -> Result<DurableHeld, AppendError> {
        let pending = self.0.append_held(batch).map_err(|_| AppendError::Busy)?;
        Ok(Box::pin(async move {
            let hold = pending.await.map_err(|_| AppendError::Closed)?;
            Ok(Box::new(Unseen(hold)) as Box<dyn Held>)
        }))
    }
}

async fn ingest() {
    for (events, callers) in [(BATCH, CALLERS), (1, 64)] {
        let mut rates = [Vec::new(), Vec::new()];
        let mut costs = [Vec::new(), Vec::new()];
        let (mut ratios, mut cpu_ratios) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let mut round = [(0.0, 0.0); 2];
            for (with, figures) in round.iter_mut().enumerate() {
                *figures = take_in(with == 1, events, callers).await;
                rates[with].push(figures.0);
                costs[with].push(figures.1);
            }
            ratios.push(round[1].0 / round[0].0);
            cpu_ratios.push(round[0].1 / round[1].1);
        }
        let [alone, among] = rates.map(median);
        let [alone_us, among_us] = costs.map(|costs| median(costs) * 1e6);
        println!(
            "ingest, {events} events a call: alone {alone:.0}/s, {alone_us:.2} us of processor an \
             event; with claims granted at once {among:.0}/s, {among_us:.2} us; ratio {:.2} \
             (0.85 wanted), by processor time {:.2}",
            median(ratios),
            median(cpu_ratios)
        );
    }
}

/// Events a second, and processor time an event, s, with a reader that follows.
async fn take_in(claims: bool, events: usize, callers: usize) -> (f64, f64) {
    let dir = std::env::var_os("PULSEBOARD_BENCH_DIR");
    let dir = dir.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let clock = Clock::system();
    let options = journal::Options::new(dir.path().join("journal"));
    let (journal, _) = journal::open(Arc::new(OsDisk), options, clock.clone()).unwrap();
    let mut tail = journal.tail(1);
    let reader = std::thread::spawn(move || {
        while !matches!(tail.next(Duration::from_secs(1)), journal::TailItem::Closed) {}
    });
    let dedupe = Arc::new(Dedupe::new(100_000_000, clock.now_ms()));
    let claims: Option<Arc<dyn Claims>> =
        if claims { Some(Arc::new(Granted(Fingerprinter::new(&[3; 16])))) } else { None };
    let options = Options { claims, ..Options::default() };
    let log = Arc::new(Log(journal.clone()));
    let ingest = Ingest::new(clock, log, dedupe, Fingerprinter::new(&[5; 16]), options);
    let done = Arc::new(AtomicU64::new(0));
    let next = Arc::new(AtomicU64::new(0));
    let (started, cpu) = (Instant::now(), cpu_secs());
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (ingest, done, next) = (ingest.clone(), Arc::clone(&done), Arc::clone(&next));
            tokio::spawn(async move {
                let source = Source {
                    grant: Arc::new(Grant::dev()),
                    budget: EventBudget::unlimited(),
                    import: false,
                    idempotency_key: None,
                };
                while started.elapsed() < ROUND {
                    let body = body(next.fetch_add(events as u64, Ordering::Relaxed), events);
                    let verdicts = ingest.submit(Body::Ndjson(body), &source).await.unwrap();
                    assert_eq!(verdicts.accepted, events as u64);
                    done.fetch_add(events as u64, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (took, cpu) = (started.elapsed().as_secs_f64(), cpu_secs() - cpu);
    drop(ingest);
    journal.close();
    reader.join().unwrap();
    let done = done.load(Ordering::Relaxed) as f64;
    (done / took, cpu / done)
}

fn body(from: u64, events: usize) -> Bytes {
    let mut text = String::with_capacity(events * 200);
    for n in from..from + events as u64 {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let _ = writeln!(
            text,
            r#"{{"eventId":"evt-{mixed:016x}","type":"page_view","route":"/shop/item/{}","userId":"user-{}","sessionId":"s-{:08x}","status":200,"latencyMs":{}.5,"props":{{"region":"eu"}}}}"#,
            n % 500,
            mixed % 20_000,
            mixed % 7_000,
            n % 300,
        );
    }
    text.into()
}
