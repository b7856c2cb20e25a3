//! What counting costs: ns an event with realistic mixtures, how long frames and what follows them
//! take, and what an hour of many users and routes holds in memory. The aggregator runs as it does
//! in the daemon, over a source that always has more, on a clock that the source moves on. Then the
//! same among peers that say of each tick what they counted, in time for its frame.
//!
//! Run with `cargo bench -p pulseboardd --bench aggregate`.
#![allow(clippy::unwrap_used, reason = "a bench may end by panicking")]
#![allow(clippy::disallowed_methods, reason = "what is measured is real time")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pulseboard::event::{Class, EventBatch, Row, Span};
use pulseboard::tick::{Names, Sample, TickSummary};
use pulseboard::wire::server::Nodes;
use pulseboardd::aggregate::{
    self, Counted, FrameSink, Heard, Item, Peers, Settings, Source, TickFrame,
};
use pulseboardd::clock::Clock;
use pulseboardd::store::embedded::Store;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 1_000;
const START_MS: i64 = 1_763_884_800_000;

/// A mixture of events.
#[derive(Clone, Copy)]
struct Mix {
    name: &'static str,
    routes: u64,
    users: u64,
    /// Oldest age of an event when it arrives, ms; ages are spread evenly.
    age_ms: i64,
    class: Class,
    events_per_tick: usize,
    ticks: usize,
    /// Batches made in advance, used in turn.
    pool: usize,
}

fn main() {
    let live = Mix {
        name: "live: 500 routes, 10,000 users",
        routes: 500,
        users: 10_000,
        age_ms: 200,
        class: Class::Live,
        events_per_tick: 100_000,
        ticks: 100,
        pool: 100,
    };
    if std::env::args().any(|argument| argument == "peers") {
        return among_peers(live);
    }
    println!("aggregation, one thread, everything on (store included, on a thread of its own)");
    run(live);
    run(Mix { name: "most for a tick that was framed", age_ms: 900, ..live });
    run(Mix { name: "batching clients: ages of up to 5 s", age_ms: 5_000, ..live });
    run(Mix { name: "ages of up to 60 s", age_ms: 60_000, ..live });
    run(Mix { name: "slow: 1,000 events a tick", events_per_tick: 1_000, ticks: 1_000, ..live });
    run(Mix {
        name: "import of a month, in order of nothing",
        age_ms: 30 * 86_400_000,
        class: Class::Import,
        ticks: 30,
        ..live
    });
    run(Mix {
        name: "an hour of 1,000,000 users and 100,000 routes",
        routes: 100_000,
        users: 1_000_000,
        events_per_tick: 5_000,
        ticks: 3_600,
        pool: 2_000,
        ..live
    });
    among_peers(live);
}

/// What it costs to be one of several: alone, so that all there is to it is telling, and with peers.
fn among_peers(live: Mix) {
    println!("among peers: each first without, then with them");
    for (name, age_ms) in
        [("live", 200), ("ages of up to 5 s", 5_000), ("ages of up to 60 s", 60_000)]
    {
        let mix = Mix { name, age_ms, ..live };
        for _ in 0..2 {
            let without = run(mix);
            let with = Company::new(mix, 0, 0);
            let cost = |one: f64, other: f64| (one / other - 1.0) * 100.0;
            let alone = run_among(Mix { name: "  alone in a cluster", ..mix }, &with);
            println!(
                "{:48} {:+.1} % a counted event, {:+.1} % all in all",
                "",
                cost(alone.0, without.0),
                cost(alone.1, without.1)
            );
        }
    }
    for routes in [1_000, 20_000] {
        let name = "2 peers";
        let mix = Mix { name, routes, events_per_tick: 4 * routes as usize, ..live };
        println!("{routes} routes a tick on each");
        run(Mix { name: "without", ..mix });
        run_among(mix, &Company::new(mix, 2, routes));
    }
}

/// Peers that count the same mixture.
struct Company {
    /// What a peer counts of a tick; ticks take them in turn.
    summaries: Vec<Arc<TickSummary>>,
    peers: usize,
    clock: Mutex<Clock>,
    heard_upto: Mutex<i64>,
    /// What was told is encoded as it would be, on a thread of its own.
    told: std::sync::mpsc::SyncSender<Vec<Counted>>,
}

impl Company {
    fn new(mix: Mix, peers: usize, routes: u64) -> Arc<Self> {
        let (told, telling) = std::sync::mpsc::sync_channel::<Vec<Counted>>(64);
        std::thread::spawn(move || {
            for counted in telling {
                for counted in counted {
                    std::hint::black_box(counted.summary.encode());
                }
            }
        });
        let mut dice = Dice(11);
        let mut summary = || {
            let (mut summary, mut names) = (TickSummary::default(), Names::default());
            let events = 4 * routes as usize;
            for _ in 0..events.div_ceil(BATCH) {
                for event in batch(mix, &mut dice).iter() {
                    summary.add(&Sample::from(event), &mut names, 20_000);
                }
            }
            Arc::new(summary)
        };
        let summaries = (0..if peers == 0 { 0 } else { 6 }).map(|_| summary()).collect();
        let (clock, heard_upto) = (Mutex::new(Clock::manual(0)), Mutex::new(START_MS / 1_000 - 1));
        Arc::new(Self { summaries, peers, clock, heard_upto, told })
    }
}

impl Peers for Company {
    fn is_cluster(&self) -> bool {
        true
    }

    fn tell(&self, _: &Arc<str>, ticks: Vec<Counted>) {
        let _ = self.told.try_send(ticks);
    }

    fn take_heard(&self, _: &str) -> Vec<Heard> {
        let over = (self.clock.lock().now_ms() - 250).div_euclid(1_000) - 1;
        let mut heard_upto = self.heard_upto.lock();
        let ticks = *heard_upto + 1..=over;
        *heard_upto = over.max(*heard_upto);
        let heard = |(tick, peer): (i64, usize)| {
            let nth = (tick as usize + peer * 3) % self.summaries.len();
            let summary = Arc::clone(&self.summaries[nth]);
            let counted = Counted { tick, revision: 1, summary };
            Heard { node: format!("{peer:012x}").into(), counted }
        };
        let each = |tick| (0..self.peers).map(move |peer| (tick, peer));
        ticks.flat_map(each).map(heard).collect()
    }

    fn nodes(&self, _: i64) -> Nodes {
        let nodes = self.peers as u32 + 1;
        Nodes { reporting: nodes, expected: nodes }
    }
}

fn run(mix: Mix) -> (f64, f64) {
    run_in(mix, None)
}

fn run_among(mix: Mix, company: &Arc<Company>) -> (f64, f64) {
    run_in(mix, Some(company))
}

/// Nanoseconds an event: of the counting thread's core while it counts, and all in all.
fn run_in(mix: Mix, company: Option<&Arc<Company>>) -> (f64, f64) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(START_MS + 250);
    let times = Arc::new(Mutex::new(Times::default()));
    let source = Endless::new(mix, clock.clone(), Arc::clone(&times));
    let store = Store::open(dir.path(), 1, 60).unwrap();
    let sink = Arc::new(Timed(Arc::clone(&times)));
    let before = resident();
    let started = Instant::now();
    let (settings, past) = (Settings::default(), Arc::new(()));
    let peers: Arc<dyn Peers> = match company {
        Some(company) => {
            *company.clock.lock() = clock.clone();
            Arc::clone(company) as Arc<dyn Peers>
        }
        None => Arc::new(()),
    };
    let handle = aggregate::spawn(source, past, clock, settings, store, peers, sink).unwrap();
    let events = (mix.ticks * mix.events_per_tick) as u64;
    handle.views().wait_applied(events, Duration::from_mins(10)).unwrap();
    let took = started.elapsed();
    let resident = resident();
    let asked = Instant::now();
    let routes = handle.views().window_routes("60s", aggregate::RouteSort::P95, 50).unwrap();
    let asked = asked.elapsed();
    assert!(mix.class == Class::Import || !routes.routes.is_empty());
    handle.stop();
    let times = times.lock();
    let counting = times.counting.as_nanos() as f64 / events as f64;
    let all = took.as_nanos() as f64 / events as f64;
    println!(
        "{:48} {:6.0} ns/event counting, {:6.0} all in all; frame p50 {:.2} ms, worst {:.2} ms; \
         then p50 {:.2} ms, worst {:.2} ms; resident {:.0} MB (+{:.0}); routes asked {:.1} ms; store {:.1} MB",
        mix.name,
        counting,
        all,
        at(&times.frames, 0.5),
        at(&times.frames, 1.0),
        at(&times.passes, 0.5),
        at(&times.passes, 1.0),
        resident,
        resident - before,
        asked.as_secs_f64() * 1e3,
        stored(dir.path()),
    );
    (counting, all)
}

#[derive(Default)]
struct Times {
    /// When the source last gave something, what the thread had used of its core by then, and
    /// whether it gave events.
    gave: Option<(Instant, Duration, bool)>,
    /// Time on the core, so that neighbours do not count.
    counting: Duration,
    frames: Vec<Duration>,
    passes: Vec<Duration>,
}

struct Timed(Arc<Mutex<Times>>);

impl FrameSink for Timed {
    fn frame(&self, _: &Arc<TickFrame>) {
        let mut times = self.0.lock();
        if let Some((since, ..)) = times.gave.take() {
            times.frames.push(since.elapsed());
        }
    }
}

/// Gives batches of a pool for ever, moving the clock on when a tick has had its events.
struct Endless {
    mix: Mix,
    clock: Clock,
    times: Arc<Mutex<Times>>,
    pool: Vec<Arc<EventBatch>>,
    ages_ms: Vec<i64>,
    given: usize,
    in_tick: usize,
}

impl Endless {
    fn new(mix: Mix, clock: Clock, times: Arc<Mutex<Times>>) -> Self {
        let mut dice = Dice(7);
        let pool = (0..mix.pool).map(|_| Arc::new(batch(mix, &mut dice))).collect();
        let ages_ms = (0..BATCH).map(|_| dice.below(mix.age_ms as u64) as i64).collect();
        Self { mix, clock, times, pool, ages_ms, given: 0, in_tick: 0 }
    }

    fn give(&mut self) -> Item {
        let now_ms = self.clock.now_ms();
        if self.given == self.mix.ticks * self.mix.events_per_tick {
            return Item::Idle;
        }
        if self.in_tick >= self.mix.events_per_tick {
            self.in_tick = 0;
            self.clock.set_ms(now_ms + 1_000);
            return Item::Idle;
        }
        let nth = self.given / BATCH % self.pool.len();
        let ages = &self.ages_ms;
        // The aggregator is done with a batch long before its turn comes again.
        let batch = Arc::get_mut(&mut self.pool[nth]).unwrap();
        let turn = self.given / BATCH;
        for (row, age) in batch.rows_mut().iter_mut().zip(ages.iter().cycle().skip(turn % BATCH)) {
            row.arrival_ms = now_ms;
            row.timestamp_ms = now_ms - age;
        }
        let first_seq = self.given as u64 + 1;
        self.given += BATCH;
        self.in_tick += BATCH;
        Item::Events { first_seq, batch: Arc::clone(&self.pool[nth]) }
    }
}

impl Source for Endless {
    fn next(&mut self, _: Duration) -> Item {
        {
            let mut times = self.times.lock();
            match times.gave.take() {
                Some((_, used, true)) => times.counting += on_core().saturating_sub(used),
                Some((since, _, false)) => times.passes.push(since.elapsed()),
                None => {}
            }
        }
        let item = self.give();
        let is_events = matches!(item, Item::Events { .. });
        self.times.lock().gave = Some((Instant::now(), on_core(), is_events));
        item
    }
}

fn batch(mix: Mix, dice: &mut Dice) -> EventBatch {
    let mut batch = EventBatch::with_capacity(BATCH, BATCH * 80);
    for _ in 0..BATCH {
        let user = dice.below(mix.users);
        // Few routes have most of the traffic: the square of an even spread.
        let spread = dice.below(1 << 20) as f64 / f64::from(1 << 20);
        let route = (spread * spread * mix.routes as f64) as u64;
        let status = [200, 200, 200, 200, 304, 404, 500][dice.below(7) as usize];
        let text = |batch: &mut EventBatch, text: String| -> Span { batch.add_text(&text) };
        let row = Row {
            route: text(&mut batch, format!("/shop/section-{}/item/{route}", route % 40)),
            kind: text(&mut batch, ["page_view", "api", "click"][dice.below(3) as usize].into()),
            user_id: text(&mut batch, format!("user-{user:08}")),
            session_id: text(&mut batch, format!("session-{user:08}-{}", dice.below(3))),
            latency_ms: (dice.below(1_000) as f64 / 250.0).exp() * 8.0,
            status,
            class: mix.class,
            ..Row::default()
        };
        batch.push(row);
    }
    batch
}

/// Numbers that look random, the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % bound
    }
}

fn at(durations: &[Duration], quantile: f64) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let rank = (quantile * sorted.len().saturating_sub(1) as f64) as usize;
    sorted.get(rank).map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
}

/// How long this thread has been on a core.
fn on_core() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Resident memory, MB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}

/// Size of a directory's files, MB.
fn stored(dir: &std::path::Path) -> f64 {
    let files = std::fs::read_dir(dir).unwrap().filter_map(Result::ok);
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len() as f64 / 1e6).sum()
}
