//! The innocent neighbour: watches `window:1s` and posts events with good tokens, all the while
//! others are hostile. It must be sent every tick, one after the other and without a lag, and every
//! event it was acknowledged must be there in the end.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Dial, Heard, Request, Socket};
use crate::support::{eventually, now_ms, token};

/// Between two events.
const PAUSE: Duration = Duration::from_millis(25);

pub(crate) struct Neighbour {
    address: SocketAddr,
    shared: Arc<Shared>,
    hangs_up: TcpStream,
    watcher: Option<JoinHandle<()>>,
    poster: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// The newest tick it was sent.
    tick: AtomicI64,
    acknowledged: Mutex<BTreeSet<String>>,
    trouble: Mutex<Option<String>>,
}

impl Shared {
    /// Keeps the first thing that went wrong.
    fn complain(&self, what: String) {
        if !self.stop.load(Ordering::SeqCst) {
            self.trouble.lock().unwrap().get_or_insert(what);
        }
    }
}

impl Neighbour {
    /// Moves in; returns when it was sent its first tick and had its first event acknowledged.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let dial = Dial::bearer(&token::good("neighbour-watching", "read"));
        let mut socket = dial.open(address).expect("the neighbour has a good token");
        let hangs_up = socket.handle();
        socket.say(&json!({"op": "subscribe", "rooms": ["window:1s"]}).to_string());
        let watcher = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || watch(&mut socket, &shared)
        });
        let poster = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || post(address, &shared)
        });
        let this = Self { address, shared, hangs_up, watcher: Some(watcher), poster: Some(poster) };
        eventually("the neighbour lives its life", || {
            let seen = this.shared.tick.load(Ordering::SeqCst) > 0;
            let posted = !this.shared.acknowledged.lock().unwrap().is_empty();
            ((seen && posted) || this.trouble().is_some()).then_some(())
        });
        this
    }

    /// What has gone wrong so far.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().unwrap().clone()
    }

    /// Waits for the tick of now, so that whatever came before had its chance to do harm; then
    /// looks for each acknowledged event.
    pub(crate) fn finish(mut self) -> Result<String, String> {
        let now = now_ms() / 1_000;
        eventually("the neighbour is sent the ticks up to now", || {
            let seen = self.shared.tick.load(Ordering::SeqCst) >= now;
            (seen || self.trouble().is_some()).then_some(())
        });
        let trouble = self.trouble();
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = self.poster.take().unwrap().join();
        let _ = self.hangs_up.shutdown(Shutdown::Both);
        let _ = self.watcher.take().unwrap().join();
        let acknowledged = self.shared.acknowledged.lock().unwrap();
        let kept = kept(self.address);
        let lost: Vec<&String> = acknowledged.difference(&kept).collect();
        match trouble {
            Some(trouble) => Err(trouble),
            None if !lost.is_empty() => Err(format!("acknowledged events are lost: {lost:?}")),
            None => Ok(format!("{} events", acknowledged.len())),
        }
    }
}

fn watch(socket: &mut Socket, shared: &Shared) {
    let mut last: Option<i64> = None;
    loop {
        let message = match socket.hear() {
            Heard::Message(message) => message,
            other => return shared.complain(format!("its socket ended: {other:?}")),
        };
        let tick = message["tick"].as_i64().unwrap_or_default();
        match (message["op"].as_str(), last) {
            (Some("welcome"), _) | (Some("snapshot"), None) => {}
            (Some("delta"), Some(before)) if tick == before + 1 => {}
            (op, before) => {
                let text: String = message.to_string().chars().take(300).collect();
                return shared.complain(format!("after tick {before:?} came {op:?}: {text}"));
            }
        }
        if message["op"] != "welcome" {
            last = Some(tick);
            shared.tick.store(tick, Ordering::SeqCst);
        }
    }
}

fn post(address: SocketAddr, shared: &Shared) {
    let token = token::good("neighbour-posting", "ingest");
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    stream.get_ref().set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    for number in 0.. {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let id = format!("neighbour-{number}");
        let event = json!({"eventId": id, "type": "neighbour", "route": "/next-door"});
        let request = Request::post("application/json", event.to_string())
            .bearer(&token)
            .header("Connection", "keep-alive");
        match answer(&mut stream, &request.bytes(address)) {
            Ok((201, _)) => shared.acknowledged.lock().unwrap().insert(id),
            other => return shared.complain(format!("its event was answered by {other:?}")),
        };
        std::thread::sleep(PAUSE);
    }
}

/// Status and body of the answer to a request on a connection that stays.
fn answer(stream: &mut BufReader<TcpStream>, request: &[u8]) -> std::io::Result<(u16, String)> {
    stream.get_mut().write_all(request)?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    stream.read_exact(&mut body)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Ids of the neighbour's events that the daemon has.
fn kept(address: SocketAddr) -> BTreeSet<String> {
    let token = token::good("auditor", "read");
    let mut kept = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let target = format!("/api/events?type=neighbour&limit=1000{cursor}");
        let answer = Request::get(&target).bearer(&token).send(address).expect("an answer");
        let page: Value = answer.json();
        let events = page["events"].as_array().unwrap_or_else(|| panic!("{page}"));
        kept.extend(events.iter().map(|event| event["eventId"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return kept,
        }
    }
}
