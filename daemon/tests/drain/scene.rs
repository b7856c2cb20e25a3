//! A daemon, its MongoDB, somebody who goes on posting, and what was acknowledged to them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use tempfile::TempDir;

use crate::shared::mongod::Mongod;
use crate::support::{Answer, Daemon, command, eventually, try_parse};

/// Events of one post.
const BATCH: usize = 200;

pub(crate) struct Scene {
    pub(crate) mongod: Mongod,
    pub(crate) dir: TempDir,
    pub(crate) daemon: Option<Daemon>,
    settings: Vec<(String, String)>,
    /// Ids of acknowledged events.
    pub(crate) acknowledged: BTreeSet<String>,
    posted: usize,
}

impl Scene {
    /// A daemon with this MongoDB, which need not run.
    pub(crate) fn new(mongod: Mongod) -> Self {
        Self::with(mongod, &[])
    }

    pub(crate) fn with(mongod: Mongod, settings: &[(&str, &str)]) -> Self {
        let mut all = vec![
            ("PULSEBOARD_STORE__KIND".to_owned(), "mongodb".to_owned()),
            ("PULSEBOARD_STORE__MONGODB__URI".to_owned(), mongod.uri()),
            ("PULSEBOARD_STORE__DEBOUNCE_MS".to_owned(), "100".to_owned()),
        ];
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut scene = Self {
            mongod,
            dir: tempfile::tempdir().unwrap(),
            daemon: None,
            settings: all,
            acknowledged: BTreeSet::new(),
            posted: 0,
        };
        scene.start();
        scene
    }

    /// A setting for the next start.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn start(&mut self) {
        self.daemon = Some(self.another(self.dir.path()));
    }

    /// Another daemon with the same settings.
    pub(crate) fn another(&self, dir: &std::path::Path) -> Daemon {
        let mut command = command(dir);
        command.envs(self.settings.iter().cloned());
        let kind = self.settings.iter().rfind(|(name, _)| name.ends_with("STORE__KIND"));
        if kind.is_some_and(|(_, kind)| kind == "embedded") {
            command.env_remove("PULSEBOARD_STORE__MONGODB__URI");
        }
        Daemon::spawn(command)
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    /// The node's id.
    pub(crate) fn node(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("NODE")).unwrap().trim().to_owned()
    }

    /// Posts this many events, all of which are taken.
    pub(crate) fn post(&mut self, events: usize) {
        for _ in 0..events.div_ceil(BATCH) {
            let ids = self.next_ids();
            assert!(post(self.daemon().address, &ids), "a post was refused");
            self.acknowledged.extend(ids);
        }
    }

    pub(crate) fn next_ids(&mut self) -> Vec<String> {
        self.posted += 1;
        (0..BATCH).map(|number| format!("e{:05}-{number:03}", self.posted)).collect()
    }

    /// Posts all the time while something happens; what is refused is posted again.
    pub(crate) fn while_posting<T>(&mut self, happens: impl FnOnce(&mut Self) -> T) -> T {
        let poster = Poster::start(self.daemon().address, self.posted);
        let happened = happens(self);
        let (ids, posted) = poster.stop();
        self.acknowledged.extend(ids);
        self.posted = posted;
        happened
    }

    /// What a check of readiness says.
    pub(crate) fn check(&self, name: &str) -> (String, String) {
        let ready = self.daemon().get("/health/ready").json();
        let text = |field: &str| ready["checks"][name][field].as_str().unwrap().to_owned();
        (text("status"), text("detail"))
    }

    /// Waits until the store's check is this, and gives what it says.
    pub(crate) fn wait_store(&self, status: &str) -> String {
        eventually(&format!("the store is {status}"), || {
            let (now, detail) = self.check("store");
            (now == status).then_some(detail)
        })
    }

    /// Waits until everything acknowledged is in MongoDB exactly once, and minutes and seconds add
    /// up to it.
    pub(crate) fn all_is_there(&self) {
        eventually("everything is drained", || {
            (self.daemon().metric("pulseboard_store_lag_events") == 0.0).then_some(())
        });
        let stored = self.mongod.ids("events");
        let ids: BTreeSet<String> = stored.iter().map(|id| id.replace("default/", "")).collect();
        assert_eq!(ids.len(), stored.len());
        let missing: Vec<_> = self.acknowledged.difference(&ids).take(5).collect();
        let extra: Vec<_> = ids.difference(&self.acknowledged).take(5).collect();
        assert!(missing.is_empty() && extra.is_empty(), "missing {missing:?}, extra {extra:?}");
        for window in ["60s", "5s", "1s"] {
            let mut last = 0;
            let wanted = ids.len() as i64;
            eventually(&format!("{window} add up to {wanted}"), || {
                let now = self.sum(window);
                if now != last {
                    last = now;
                    eprintln!("{window}: {now} of {wanted}");
                }
                (now == wanted).then_some(())
            });
        }
    }

    /// Events of all buckets of a window.
    pub(crate) fn sum(&self, window: &str) -> i64 {
        let found = self.mongod.find("aggregates", doc! { "window": window }, doc! { "events": 1 });
        found.iter().map(events).sum()
    }
}

pub(crate) fn events(bucket: &Document) -> i64 {
    bucket.get("events").and_then(Bson::as_i64).unwrap()
}

/// Whether a post of these events was acknowledged. Half an answer is none.
pub(crate) fn post(address: SocketAddr, ids: &[String]) -> bool {
    send(address, ids).is_some_and(|answer| answer.status == 200)
}

/// Posts these events; the answer, if one came.
pub(crate) fn send(address: SocketAddr, ids: &[String]) -> Option<Answer> {
    let mut body = String::new();
    for (number, id) in ids.iter().enumerate() {
        let route = number % 7;
        writeln!(
            body,
            r#"{{"eventId":"{id}","type":"page_view","route":"/r/x{route}","userId":"u{number}","status":200,"latencyMs":{number}}}"#
        )
        .unwrap();
    }
    let head = format!(
        "POST /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: \
         application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_mins(1))).ok()?;
    stream.write_all(head.as_bytes()).ok()?;
    let _ = stream.write_all(body.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    try_parse(&bytes)
}

/// Somebody who posts until told to stop.
pub(crate) struct Poster {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    thread: std::thread::JoinHandle<usize>,
}

impl Poster {
    pub(crate) fn start(address: SocketAddr, posted: usize) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let acknowledged = Arc::<Mutex<BTreeSet<String>>>::default();
        let (stopped, taken) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let thread = std::thread::spawn(move || {
            let mut posted = posted;
            while !stopped.load(Ordering::Relaxed) {
                posted += 1;
                let ids: Vec<String> =
                    (0..BATCH).map(|number| format!("e{posted:05}-{number:03}")).collect();
                while !post(address, &ids) && !stopped.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(50));
                }
                if !stopped.load(Ordering::Relaxed) || post(address, &ids) {
                    taken.lock().unwrap().extend(ids);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            posted
        });
        Self { stop, acknowledged, thread }
    }

    /// How many were acknowledged by now.
    pub(crate) fn stop(self) -> (BTreeSet<String>, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let posted = self.thread.join().unwrap();
        (std::mem::take(&mut *self.acknowledged.lock().unwrap()), posted)
    }
}
