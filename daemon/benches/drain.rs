//! How fast the daemon's journal goes into MongoDB, against a bare loop that inserts the same documents
//! into the same server; and whether acknowledgements notice that MongoDB is gone.
//!
//! Needs `mongod` (on PATH, or named by `MONGOD`). `cargo bench -p pulseboardd --bench drain`; numbers
//! after it are events to drain and seconds of posting.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "measuring needs a clock")]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _};
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::options::{Acknowledgment, InsertManyOptions, WriteConcern};
use mongodb::{Client, Collection, Database};

/// Events of one post, and of one insert of the bare loop.
const BATCH: usize = 1_000;
/// What the bare loop inserts at a time, and how many of these are under way: what did best.
const BARE: (usize, usize) = (4_000, 4);

struct Server {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let port = free_port();
        let dir = tempfile::tempdir().unwrap();
        Self { child: mongod(port, dir.path()), port, dir }
    }

    fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/pulseboard?directConnection=true", self.port)
    }

    fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }

    fn again(&mut self) {
        self.child = mongod(self.port, self.dir.path());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mongod(port: u16, dir: &Path) -> Child {
    let program = std::env::var_os("MONGOD").unwrap_or_else(|| "mongod".into());
    let child = Command::new(program)
        .args(["--bind_ip", "127.0.0.1", "--port", &port.to_string(), "--quiet", "--nounixsocket"])
        .args(["--wiredTigerCacheSizeGB", "0.5", "--dbpath"])
        .arg(dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct Daemon {
    child: Child,
    address: SocketAddr,
}

impl Daemon {
    fn start(dir: &Path, uri: &str) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut child = Command::new(env!("CARGO_BIN_EXE_pulseboardd"))
            .args(["--bind", &address.to_string(), "--log-level", "error", "--data-dir"])
            .arg(dir)
            .env("PULSEBOARD_STORE__KIND", "mongodb")
            .env("PULSEBOARD_STORE__MONGODB__URI", uri)
            .env("PULSEBOARD_DEDUPE__MAX_IDS", "50000000")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = [0; 64];
        let _ = child.stdout.as_mut().unwrap().read(&mut line).unwrap();
        Self { child, address }
    }

    fn metric(&self, name: &str) -> f64 {
        let answer = call(self.address, "GET /metrics HTTP/1.1", b"");
        let line = answer.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.rsplit(' ').next()?.trim().parse().ok()).unwrap_or(-1.0)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn call(address: SocketAddr, first_line: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "{first_line}\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn body(first: usize, events: usize) -> String {
    let mut body = String::new();
    for number in first..first + events {
        writeln!(
            body,
            r#"{{"eventId":"event-{number}-a94f3c","type":"page_view","route":"/shop/{}","userId":"user{}","sessionId":"session{}","clientId":"client{}","status":200,"latencyMs":{}.5}}"#,
            ["cart", "checkout", "items", "search", "help"][number % 5],
            number % 9_973,
            number % 20_011,
            number % 5_003,
            number % 300,
        )
        .unwrap();
    }
    body
}

fn post(address: SocketAddr, first: usize, events: usize) -> Duration {
    let body = body(first, events);
    let started = Instant::now();
    let answer = call(address, "POST /api/events HTTP/1.1", body.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    started.elapsed()
}

fn main() {
    let numbers: Vec<usize> =
        std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let events = numbers.first().copied().unwrap_or(400_000);
    let seconds = numbers.get(1).copied().unwrap_or(8) as u64;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start();

    // The collections and their indexes, as the daemon makes them; then MongoDB goes, and the
    // journal fills.
    let daemon = Daemon::start(dir.path(), &server.uri());
    post(daemon.address, 0, BATCH);
    while daemon.metric("pulseboard_store_lag_events") != 0.0 {
        std::thread::sleep(Duration::from_millis(50));
    }
    let up = acknowledgements(daemon.address, 1 << 40, seconds);
    while daemon.metric("pulseboard_store_lag_events") != 0.0 {
        std::thread::sleep(Duration::from_millis(50));
    }
    server.stop();
    let stopped = acknowledgements(daemon.address, 1 << 41, seconds);
    for first in (BATCH..events).step_by(BATCH) {
        post(daemon.address, first, BATCH);
    }
    let waiting = daemon.metric("pulseboard_store_lag_events");
    server.again();
    while daemon.metric("pulseboard_store_lag_events") >= waiting {
        std::thread::sleep(Duration::from_millis(2));
    }
    // From its first batch that is there, so that connecting again is not measured.
    let (started, first) = (Instant::now(), daemon.metric("pulseboard_store_lag_events"));
    while daemon.metric("pulseboard_store_lag_events") > 0.0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let drained = first / started.elapsed().as_secs_f64();
    drop(daemon);

    let bare = runtime.block_on(bare(&server.uri()));
    println!("drain: {drained:.0} events/s of {first:.0}; bare insert loop: {bare:.0} events/s");
    println!("ratio: {:.2} (0.8 or more wanted)", drained / bare);
    println!(
        "acknowledgement of 100 events: MongoDB up p50 {:.2} ms, p99 {:.2} ms; stopped p50 {:.2} ms, \
         p99 {:.2} ms; ratio of p99: {:.2} (1.2 or less wanted)",
        up.0,
        up.1,
        stopped.0,
        stopped.1,
        stopped.1 / up.1
    );
}

/// Posts for some seconds at a moderate rate; p50 and p99 of the acknowledgement, ms.
fn acknowledgements(address: SocketAddr, first: usize, seconds: u64) -> (f64, f64) {
    let (started, mut times) = (Instant::now(), Vec::new());
    let mut number = first;
    while started.elapsed() < Duration::from_secs(seconds) {
        times.push(post(address, number, 100).as_secs_f64() * 1e3);
        number += 100;
        std::thread::sleep(Duration::from_millis(5));
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// Inserts the very documents that were drained into a collection with the same indexes.
async fn bare(uri: &str) -> f64 {
    let client = Client::with_uri_str(uri).await.unwrap();
    let database = client.database("pulseboard");
    let concern = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    let options = InsertManyOptions::builder().ordered(false).write_concern(concern).build();
    let copy = copy_of_events(&database).await;
    let events: Collection<RawDocumentBuf> = database.collection("events");
    let documents: Vec<RawDocumentBuf> =
        events.find(doc! {}).await.unwrap().try_collect().await.unwrap();
    let count = documents.len();
    let batches: Vec<Vec<RawDocumentBuf>> =
        documents.chunks(BARE.0).map(<[RawDocumentBuf]>::to_vec).collect();
    let (copy, options) = (Arc::new(copy), Arc::new(options));
    let started = Instant::now();
    futures_util::stream::iter(batches)
        .for_each_concurrent(BARE.1, |batch| {
            let (copy, options) = (Arc::clone(&copy), Arc::clone(&options));
            let insert = tokio::spawn(async move {
                let insert = copy.insert_many(&batch).with_options((*options).clone());
                insert.await.unwrap();
            });
            async move { insert.await.unwrap() }
        })
        .await;
    count as f64 / started.elapsed().as_secs_f64()
}

async fn copy_of_events(database: &Database) -> Collection<RawDocumentBuf> {
    let indexes = database.run_command(doc! { "listIndexes": "events" }).await.unwrap();
    let indexes = indexes.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    let wanted: Vec<Document> = indexes
        .iter()
        .filter_map(|index| index.as_document())
        .filter(|index| index.get_str("name").is_ok_and(|name| name != "_id_"))
        .cloned()
        .collect();
    let infos = database.list_collections().filter(doc! { "name": "events" }).await.unwrap();
    let infos: Vec<_> = infos.try_collect().await.unwrap();
    let mut create = doc! { "create": "bare" };
    if let Some(validator) = infos.first().and_then(|info| info.options.validator.clone()) {
        create.extend(doc! {
            "validator": validator, "validationLevel": "moderate", "validationAction": "warn",
        });
    }
    database.run_command(create).await.unwrap();
    database.run_command(doc! { "createIndexes": "bare", "indexes": wanted }).await.unwrap();
    database.collection("bare")
}
