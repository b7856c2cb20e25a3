//! Fan-out: one room to many sockets, against one thread that writes the same frame to as many
//! sockets and does nothing else. Both in one run, both read by the same process on the same cores,
//! and only what that process received is counted. Before it the memory of a subscribed socket.

use std::fmt;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use bytes::Bytes;
use pulseboard::filter::Filter;
use pulseboard::wire::server::{Aggregate, History, Latency, Nodes, OtherRoutes, RouteRow};
use pulseboardd::auth::Authority;
use pulseboardd::broadcast::{
    Admission, Author, Frames, Histories, HistorySlice, Hub, Publish, Publishing, Refusal,
    Settings, Verdict, View, WindowFrame,
};
use pulseboardd::clock::Clock;
use pulseboardd::gate::{self, Gate};
use pulseboardd::ingest::socket::Endpoint;
use pulseboardd::rate_limit::RateLimits;
use pulseboardd::server::{self, origin::Origins, rlimit};

use reader::{Kind, Reader};

#[path = "fanout/reader.rs"]
mod reader;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long each side is counted, and how long it runs before that.
const COUNTED: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_millis(500);
/// Each side runs so often, in turns; the median counts.
const ROUNDS: usize = 3;
/// What the issue asks for.
const RATIO_MIN: f64 = 0.7;
const SOCKET_BYTES_MAX: f64 = 12.0 * 1024.0;
const MEMORY_SOCKETS: usize = 5_000;
const FIRST_TICK: i64 = 1_763_884_000;

fn main() -> Result<()> {
    rlimit::raise_open_files();
    if let Some(result) = reader::run_if_asked() {
        return result;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut missed = Vec::new();
    // First, while nothing was allocated and given back that sockets could be put into.
    let socket_bytes = memory(&runtime)?;
    println!(
        "memory of a subscribed socket at {MEMORY_SOCKETS}: {:.1} KiB (at most {:.0})",
        socket_bytes / 1024.0,
        SOCKET_BYTES_MAX / 1024.0
    );
    if socket_bytes > SOCKET_BYTES_MAX {
        missed.push("memory of a socket".to_owned());
    }
    for sockets in [1_000, 4_000] {
        let (mut bare, mut ours, mut lagged) = (Vec::new(), Vec::new(), 0);
        let mut frame_bytes = 0;
        for _ in 0..ROUNDS {
            let (speed, frame, lag) = hub(&runtime, sockets)?;
            ours.push(speed);
            lagged += lag;
            frame_bytes = frame;
            bare.push(writer(sockets, frame)?);
        }
        let (bare, ours) = (median(&mut bare), median(&mut ours));
        let ratio = ours.per_second / bare.per_second;
        println!(
            "fan-out of {frame_bytes} B to {sockets} sockets: bare writer {bare}, hub {ours}, \
             ratio {ratio:.2} (at least {RATIO_MIN}), {lagged} ticks lagged"
        );
        if ratio < RATIO_MIN {
            missed.push(format!("fan-out to {sockets} sockets"));
        }
    }
    ensure!(missed.is_empty(), "missed: {}", missed.join(", "));
    Ok(())
}

/// What arrived, and what sending it took.
#[derive(Clone, Copy)]
struct Speed {
    per_second: f64,
    /// Of the sending process, in all its threads.
    cpu_us: f64,
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}/s at {:.1} us of CPU each", self.per_second, self.cpu_us)
    }
}

fn median(speeds: &mut [Speed]) -> Speed {
    speeds.sort_by(|left, right| left.per_second.total_cmp(&right.per_second));
    speeds[speeds.len() / 2]
}

/// Messages a second that arrive when one thread writes a frame to every socket, over and over.
fn writer(sockets: usize, frame_bytes: usize) -> Result<Speed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let reader = Reader::spawn(Kind::Bare, listener.local_addr()?, sockets)?;
    let mut streams = Vec::with_capacity(sockets);
    for _ in 0..sockets {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let frame = frame_of(frame_bytes);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let writing = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            for stream in &mut streams {
                if stream.write_all(&frame).is_err() {
                    return;
                }
            }
        }
    });
    let rate = count(&reader)?;
    stop.store(true, Ordering::Relaxed);
    reader.end();
    let _ = writing.join();
    Ok(rate)
}

/// A text frame of so many bytes in all.
fn frame_of(bytes: usize) -> Vec<u8> {
    let payload = bytes - 4;
    let mut frame = vec![0x81, 126];
    frame.extend((payload as u16).to_be_bytes());
    frame.resize(bytes, b'x');
    frame
}

/// Messages a second that arrive when the hub is given ticks as fast as it walks its sessions;
/// with the size of a frame, and how many ticks sessions were not sent.
fn hub(runtime: &tokio::runtime::Runtime, sockets: usize) -> Result<(Speed, usize, u64)> {
    let daemon = Daemon::start(runtime)?;
    let mut next = FIRST_TICK;
    let mut tick = || {
        daemon.hub.frame(next, &[window(next)]);
        next += 1;
    };
    tick();
    let reader = Reader::spawn(Kind::Subscribed, daemon.address, sockets)?;
    Daemon::settle(&reader, sockets)?;
    let bytes_before = reader.totals()?;
    tick();
    while reader.totals()?.messages < bytes_before.messages + sockets as u64 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let frame_bytes = (reader.totals()?.bytes - bytes_before.bytes) as usize / sockets;
    let stop = AtomicBool::new(false);
    let rate = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut framed = daemon.hub.walked();
            while !stop.load(Ordering::Relaxed) {
                tick();
                framed += 1;
                while daemon.hub.walked() < framed && !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_micros(20));
                }
            }
        });
        let rate = count(&reader);
        stop.store(true, Ordering::Relaxed);
        rate
    })?;
    let lagged = daemon.hub.counters().frames_lagged;
    reader.end();
    daemon.stop(runtime);
    Ok((rate, frame_bytes, lagged))
}

fn count(reader: &Reader) -> Result<Speed> {
    std::thread::sleep(WARM_UP);
    let clock = Clock::system();
    let (from, before, cpu_before) = (clock.elapsed(), reader.totals()?.messages, cpu()?);
    std::thread::sleep(COUNTED);
    let (to, after, cpu_after) = (clock.elapsed(), reader.totals()?.messages, cpu()?);
    let messages = (after - before) as f64;
    Ok(Speed {
        per_second: messages / to.saturating_sub(from).as_secs_f64(),
        cpu_us: cpu_after.saturating_sub(cpu_before).as_micros() as f64 / messages,
    })
}

/// CPU time of this process so far.
fn cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("no process name")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_secs(ticks) / rustix::param::clock_ticks_per_second() as u32)
}

/// Resident bytes a socket adds, everything in: subscribed, with its history, at one tick a second.
fn memory(runtime: &tokio::runtime::Runtime) -> Result<f64> {
    let daemon = Daemon::start(runtime)?;
    for tick in 0..10 {
        daemon.hub.frame(FIRST_TICK + tick, &[window(FIRST_TICK + tick)]);
    }
    let before = resident_bytes()?;
    let reader = Reader::spawn(Kind::Subscribed, daemon.address, MEMORY_SOCKETS)?;
    Daemon::settle(&reader, MEMORY_SOCKETS)?;
    for tick in 10..15 {
        daemon.hub.frame(FIRST_TICK + tick, &[window(FIRST_TICK + tick)]);
        std::thread::sleep(Duration::from_secs(1));
    }
    let after = resident_bytes()?;
    reader.end();
    daemon.stop(runtime);
    Ok(after.saturating_sub(before) as f64 / MEMORY_SOCKETS as f64)
}

fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kib * 1024)
}

/// The part of the daemon that connections meet.
struct Daemon {
    hub: Arc<Hub>,
    address: SocketAddr,
    stop: tokio::sync::oneshot::Sender<()>,
}

impl Daemon {
    fn start(runtime: &tokio::runtime::Runtime) -> Result<Self> {
        let _inside = runtime.enter();
        let mut settings = Settings::new("bench", vec!["1s".into()]);
        settings.limits.sockets_per_address = settings.limits.sockets;
        let hub = Hub::new(Arc::new(Nowhere), admission(), settings, Clock::system());
        hub.attach(Arc::new(Past));
        let endpoint = Endpoint::new(hub.clone(), Origins::default());
        let upgrade = move |request: Request| async move { endpoint.upgrade(request) };
        let gate = Gate::new(
            Authority::dev(),
            RateLimits::default(),
            Origins::default(),
            gate::Settings::default(),
        );
        let router = Router::new()
            .route("/ws", any(upgrade))
            .layer(axum::middleware::from_fn_with_state(gate, gate::layer));
        let listener = server::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        runtime.spawn(server::serve(listener, router, server::Settings::default(), async {
            // Dropped or sent: either way it is over.
            let _ = stopped.await;
        }));
        Ok(Self { hub, address, stop })
    }

    /// Waits until every socket has its welcome and its snapshot.
    fn settle(reader: &Reader, sockets: usize) -> Result<()> {
        while reader.totals()?.messages < 2 * sockets as u64 {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn stop(self, runtime: &tokio::runtime::Runtime) {
        runtime.block_on(self.hub.close_all(1012, Duration::from_secs(10)));
        let _ = self.stop.send(());
    }
}

fn admission() -> Admission {
    Admission { authority: Authority::dev(), rates: RateLimits::default() }
}

/// History of 300 ticks.
struct Past;

impl Histories for Past {
    fn history(&self, _: &str, _since: Option<i64>, _until: i64) -> Option<HistorySlice> {
        let ticks: Vec<i64> = (FIRST_TICK - 300..FIRST_TICK).collect();
        let counts: Vec<Option<u64>> = ticks.iter().map(|tick| Some(*tick as u64 % 977)).collect();
        let times: Vec<Option<f64>> =
            ticks.iter().map(|tick| Some((*tick % 997) as f64 / 8.0)).collect();
        let history = History {
            tick: ticks,
            events: counts.clone(),
            active_users: counts.clone(),
            errors: counts.clone(),
            status_classes: [("2xx".to_owned(), counts.clone()), ("5xx".to_owned(), counts)].into(),
            p50: times.clone(),
            p95: times.clone(),
            p99: times,
            ..History::default()
        };
        Some(HistorySlice { history, corrections: None })
    }
}

impl Frames for Past {
    fn at(&self, _window: &str, _: &Filter, _tick: i64) -> Result<Aggregate, Refusal> {
        Err(Refusal::new("tick_unknown", "a bench has no past"))
    }

    fn filter(&self, _expression: &str) -> Result<Filter, Refusal> {
        Err(Refusal::new("bad_filter", "a bench has no filters"))
    }

    fn watch(&self, _: Filter) -> Result<Arc<dyn View>, Refusal> {
        Err(Refusal::new("too_many_views", "a bench has no views"))
    }
}

/// Nobody publishes here.
struct Nowhere;

impl Publish for Nowhere {
    fn publish(&self, publishes: Vec<Bytes>, _by: &Author) -> Publishing {
        Box::pin(async move { publishes.iter().map(|_| Ok(Verdict::default())).collect() })
    }
}

/// A window of a busy site, whose every number moves with the tick.
fn window(tick: i64) -> WindowFrame {
    let events = 4_000 + tick as u64 % 997;
    let row = |rank: u64| RouteRow {
        route: format!("/shop/item/{rank}").into(),
        events: events / (rank + 2),
        errors: rank,
        error_rate: rank as f64 / 64.0,
        p95: Some(40.5 + rank as f64),
    };
    let aggregate = Aggregate {
        window: "1s".to_owned(),
        tick,
        from: tick * 1_000,
        to: (tick + 1) * 1_000,
        events,
        events_per_second: events as f64,
        active_users: events / 3,
        active_sessions: events / 2,
        errors: events / 50,
        error_rate: Some((events / 50) as f64 / events as f64),
        status_classes: [("2xx".to_owned(), events - 100), ("5xx".to_owned(), 100)].into(),
        types: [("page_view".to_owned(), events)].into(),
        latency_ms: Some(Latency {
            count: events,
            p50: 12.25 + (tick % 7) as f64,
            p95: 80.5 + (tick % 11) as f64,
            p99: 200.75,
            max: 512.0,
        }),
        top_routes: (0..4).map(row).collect(),
        other_routes: OtherRoutes { routes: 120, events: events / 4, errors: 3 },
        late: 0,
        skewed: 0,
        last_event_at: Some(tick * 1_000 + 998),
        behind_ms: 0,
        nodes: Nodes { reporting: 1, expected: 1 },
        notices: Vec::new(),
    };
    WindowFrame { window: "1s".into(), aggregate: Arc::new(aggregate), corrections: None }
}
