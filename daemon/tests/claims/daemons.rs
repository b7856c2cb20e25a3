//! Several real daemons over one real Redis: each id counts once in all, whatever is sent where, how
//! often, and whoever is killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::shared::cluster::Cluster;
use crate::shared::redis::Redis;
use crate::support::{Answer, eventually, try_parse};

pub(crate) const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
/// How often a trial that showed nothing is run at most.
const TRIALS: usize = 5;

fn start(redis: &Redis, daemons: usize) -> Cluster {
    let cluster = Cluster::start(daemons, &[("PULSEBOARD_CLUSTER__REDIS_URL", &redis.url())]);
    for number in 0..daemons {
        ready(&cluster, number);
    }
    cluster
}

/// Waits until a daemon claims: a metric says for how long it would.
pub(crate) fn ready(cluster: &Cluster, number: usize) {
    eventually("ids are claimed", || {
        let name = format!("ready-{number}-{}", rand::random::<u64>());
        let body = format!(r#"{{"eventId":"{name}","type":"t","route":"/ready"}}"#);
        let before = ours(cluster, number);
        cluster.daemon(number).post(JSON, body);
        (ours(cluster, number) > before).then_some(())
    });
}

fn ours(cluster: &Cluster, number: usize) -> f64 {
    cluster.daemon(number).metric(r#"pulseboard_claims_total{outcome="ours"}"#)
}

pub(crate) fn event(id: &str) -> String {
    format!(r#"{{"eventId":"{id}","type":"t","route":"/r"}}"#)
}

/// Posts; `None` when there is no whole answer.
pub(crate) fn post(address: SocketAddr, kind: &str, body: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(40))).ok()?;
    let head = format!(
        "POST /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\
         \r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let answer = try_parse(&bytes).filter(|answer| answer.status > 0);
    if answer.as_ref().is_none_or(|answer| answer.status == 503) {
        println!("{address} answered {:?}", String::from_utf8_lossy(&bytes));
    }
    answer
}

/// What a call came to.
#[derive(Debug, Default)]
struct Came {
    accepted: u64,
    duplicates: u64,
    /// Items worth another try.
    again: Vec<usize>,
}

fn counts(value: &Value) -> Came {
    let number = |name: &str| value[name].as_u64().unwrap_or(0);
    let rejected = value["rejected"].as_array().cloned().unwrap_or_default();
    for rejection in &rejected {
        assert_eq!(rejection["code"], "claim_pending", "{value}");
        assert_eq!(rejection["retryAfterMs"], 1_000);
    }
    let again = rejected.iter().map(|r| r["index"].as_u64().unwrap() as usize).collect();
    Came { accepted: number("accepted"), duplicates: number("duplicates"), again }
}

/// Sends ids in some way; `None` when nothing is known of what became of them.
fn send(address: SocketAddr, way: usize, ids: &[String]) -> Option<Came> {
    let events: Vec<String> = ids.iter().map(|id| event(id)).collect();
    match way {
        0 => {
            let mut all = Came::default();
            for (index, event) in events.iter().enumerate() {
                let answer = post(address, JSON, event)?;
                match answer.status {
                    201 => all.accepted += 1,
                    200 => all.duplicates += 1,
                    503 => {
                        if answer.json()["code"] != "claim_pending" {
                            return None;
                        }
                        assert_eq!(answer.header("retry-after"), Some("1"));
                        all.again.push(index);
                    }
                    other => panic!("{other}: {}", answer.text()),
                }
            }
            Some(all)
        }
        1 | 2 => {
            let (kind, body) = match way {
                1 => (JSON, format!("[{}]", events.join(","))),
                _ => (NDJSON, events.join("\n")),
            };
            let answer = post(address, kind, &body)?;
            match answer.status {
                200 => Some(counts(&answer.json())),
                503 if answer.json().get("rejected").is_some() => Some(counts(&answer.json())),
                503 => None,
                other => panic!("{other}: {}", answer.text()),
            }
        }
        _ => publish(address, &events),
    }
}

/// Over a socket.
fn publish(address: SocketAddr, events: &[String]) -> Option<Came> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let work = async {
        let url = format!("ws://{address}/ws");
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.ok()?;
        let events: Vec<Value> = events.iter().map(|e| serde_json::from_str(e).unwrap()).collect();
        let publish = json!({"op": "publish", "id": 1, "events": events}).to_string();
        socket.send(Message::text(publish)).await.ok()?;
        loop {
            let message = socket.next().await?.ok()?;
            let Message::Text(text) = message else { continue };
            let said: Value = serde_json::from_str(&text).unwrap();
            match said["op"].as_str() {
                Some("ack") => return Some(counts(&said)),
                Some("error") => panic!("{said}"),
                _ => {}
            }
        }
    };
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(40), work).await.ok()? })
}

/// Ids of all events a daemon has, but those of [`ready`].
pub(crate) fn stored(cluster: &Cluster, number: usize) -> Vec<String> {
    let answer = cluster.daemon(number).get("/api/export?format=ndjson&from=-2h");
    assert_eq!(answer.status, 200);
    let ids = answer
        .text()
        .lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            event["eventId"].as_str().unwrap().to_owned()
        })
        .collect::<Vec<_>>();
    ids.into_iter().filter(|id| !id.starts_with("ready")).collect()
}

/// Events taken without asking whether another has them, and those of them that another has.
fn unclaimed(cluster: &Cluster, number: usize) -> f64 {
    let daemon = cluster.daemon(number);
    let outcome = |name| daemon.metric(&format!("pulseboard_claims_total{{outcome=\"{name}\"}}"));
    outcome("away") + outcome("full") + daemon.metric("pulseboard_claims_conflicts_total")
}

/// Runs a trial, which gives how many events were taken unclaimed and what is wrong: once more when
/// something is, and some were. On a machine so loaded that Redis does not answer within its second,
/// daemons go on alone as they should, and nothing is shown of what holds while it answers.
fn while_redis_answers(mut trial: impl FnMut(usize) -> (f64, Result<(), String>)) {
    for attempt in 0..TRIALS {
        let (unclaimed, held) = trial(attempt);
        let Err(wrong) = held else { return };
        assert!(unclaimed > 0.0, "{wrong}");
        println!("Redis did not answer for {unclaimed} events, once more: {wrong}");
    }
    panic!("Redis never answered all the time");
}

#[test]
fn the_same_ids_sent_to_three_daemons_at_once_by_every_way_are_accepted_once() {
    while_redis_answers(|_| {
        let redis = Redis::start();
        let cluster = start(&redis, 3);
        let held = the_same_ids_are_accepted_once(&cluster);
        ((0..3).map(|number| unclaimed(&cluster, number)).sum(), held)
    });
}

fn the_same_ids_are_accepted_once(cluster: &Cluster) -> Result<(), String> {
    let addresses = cluster.addresses();
    let ids: Vec<String> = (0..400).map(|number| format!("same-{number}")).collect();
    let accepted = Mutex::new(0);
    std::thread::scope(|scope| {
        for sender in 0..12_usize {
            let (ids, accepted, addresses) = (&ids, &accepted, &addresses);
            scope.spawn(move || {
                for (chunk, ids) in ids.chunks(20).enumerate() {
                    let way = (sender + chunk) % 4;
                    let mut left = ids.to_vec();
                    while !left.is_empty() {
                        let came = send(addresses[sender % 3], way, &left).unwrap();
                        *accepted.lock().unwrap() += came.accepted;
                        let known = came.accepted + came.duplicates + came.again.len() as u64;
                        assert_eq!(known, left.len() as u64, "each has a verdict");
                        left = came.again.iter().map(|index| left[*index].clone()).collect();
                    }
                }
            });
        }
    });
    let accepted = accepted.into_inner().unwrap();
    let mut all: Vec<String> = (0..3).flat_map(|number| stored(cluster, number)).collect();
    all.sort_unstable();
    let mut expected = ids;
    expected.sort_unstable();
    let is_right = accepted == 400 && all == expected;
    is_right.then_some(()).ok_or_else(|| format!("{accepted} accepted, stored: {all:?}"))
}

#[test]
fn rounds_of_kill_9_with_retries_elsewhere_leave_each_acknowledged_id_once() {
    while_redis_answers(|attempt| rounds_of_kill_9(4 + attempt as u64));
}

/// How many events were taken unclaimed, and what is wrong with what is stored.
fn rounds_of_kill_9(seed: u64) -> (f64, Result<(), String>) {
    let redis = Redis::start();
    let mut cluster = start(&redis, 2);
    let addresses = cluster.addresses();
    let mut random = StdRng::seed_from_u64(seed);
    let mut taken_unclaimed = 0.0;
    let acknowledged: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    for round in 0..6 {
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..4_usize)
            .map(|sender| {
                let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
                let addresses = addresses.clone();
                std::thread::spawn(move || {
                    send_until(
                        &stop,
                        &format!("k{round}s{sender}"),
                        sender,
                        &addresses,
                        &acknowledged,
                    );
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(random.random_range(100..700)));
        let victim = round % 2;
        taken_unclaimed += unclaimed(&cluster, victim);
        cluster.kill(victim);
        std::thread::sleep(Duration::from_millis(random.random_range(0..300)));
        cluster.restart(victim);
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.join().unwrap();
        }
    }
    // What the last start decides about is shown when it has.
    eventually("everything stored is seen", || {
        let held = |number| cluster.daemon(number).metric("pulseboard_journal_held_events");
        (held(0) + held(1) == 0.0).then_some(())
    });
    taken_unclaimed += unclaimed(&cluster, 0) + unclaimed(&cluster, 1);
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for number in 0..2 {
        for id in stored(&cluster, number) {
            *times.entry(id).or_default() += 1;
        }
    }
    let acknowledged = acknowledged.lock().unwrap();
    assert!(!acknowledged.is_empty(), "some are sent in six rounds");
    let mut wrong = String::new();
    for id in acknowledged.iter() {
        match times.get(id) {
            Some(1) => {}
            times => writeln!(wrong, "{id}: {times:?}").unwrap(),
        }
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    let is_right = wrong.is_empty() && twice.is_empty();
    let held = is_right.then_some(()).ok_or_else(|| format!("{wrong} {twice:?}"));
    (taken_unclaimed, held)
}

/// Sends small batches, each until its verdict is known: to the one daemon, or else to the other.
fn send_until(
    stop: &AtomicBool,
    name: &str,
    sender: usize,
    addresses: &[SocketAddr],
    acknowledged: &Mutex<BTreeSet<String>>,
) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let ids: Vec<String> = (0..5).map(|at| format!("{name}n{number}.{at}")).collect();
        let mut left = ids.clone();
        let mut to = sender + number;
        while !left.is_empty() {
            // Where nobody knows, or it is pending elsewhere, the other is asked: a claim of one
            // that was killed is its own again when it is back.
            let came = send(addresses[to % 2], 1 + number % 3, &left);
            let pending = came.is_some();
            if let Some(came) = came {
                left = came.again.iter().map(|index| left[*index].clone()).collect();
            }
            if !left.is_empty() {
                to += 1;
                std::thread::sleep(Duration::from_millis(if pending { 300 } else { 20 }));
            }
        }
        acknowledged.lock().unwrap().extend(ids);
    }
}

#[test]
fn without_redis_acks_go_on_and_what_was_accepted_is_known_elsewhere_when_it_is_back() {
    let mut redis = Redis::start();
    let cluster = start(&redis, 2);
    let addresses = cluster.addresses();
    redis.process.freeze();
    let ids: Vec<String> = (0..200).map(|number| format!("away-{number}")).collect();
    for ids in ids.chunks(10) {
        assert_eq!(send(addresses[0], 2, ids).unwrap().accepted, 10);
    }
    let metric = |number: usize, name: &str| cluster.daemon(number).metric(name);
    assert!(metric(0, r#"pulseboard_claims_total{outcome="away"}"#) > 0.0);
    let readiness = cluster.daemon(0).get("/health/ready");
    assert_eq!(readiness.status, 200);
    let detail = readiness.json()["checks"]["cluster"]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("without asking whether another instance has their ids"), "{detail}");
    // Both take this one: each goes on by itself.
    let both = [event("both")];
    let both = |number: usize| post(addresses[number], JSON, &both[0]).unwrap().status;
    assert_eq!((both(0), both(1)), (201, 201));

    redis.process.thaw();
    eventually("all is claimed", || {
        let left =
            metric(0, "pulseboard_claims_unconfirmed") + metric(1, "pulseboard_claims_unconfirmed");
        (left == 0.0).then_some(())
    });
    let conflicts = metric(0, "pulseboard_claims_conflicts_total")
        + metric(1, "pulseboard_claims_conflicts_total");
    assert!(conflicts >= 1.0, "the one that both took");
    ready(&cluster, 1);
    for ids in ids.chunks(50) {
        let came = send(addresses[1], 1, ids).unwrap();
        assert_eq!((came.accepted, came.duplicates), (0, 50), "{ids:?}");
    }
}

#[test]
fn a_daemon_frozen_for_longer_than_a_claim_lasts_hides_what_another_took_meanwhile() {
    let redis = Redis::start();
    let cluster = start(&redis, 2);
    let addresses = cluster.addresses();
    let mut took = 0;
    // A daemon is frozen at a moment that nobody chose: some calls are then between claim and
    // confirmation.
    for round in 0..4 {
        let stop = AtomicBool::new(false);
        let sent: Mutex<Vec<String>> = Mutex::default();
        std::thread::scope(|scope| {
            for sender in 0..4 {
                let (stop, sent, address) = (&stop, &sent, addresses[0]);
                scope.spawn(move || {
                    for number in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let id = format!("f{round}s{sender}n{number}");
                        sent.lock().unwrap().push(id.clone());
                        let _ = send(address, 1, &[id]);
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(200 + 37 * round));
            cluster.freeze(0);
            let _goes_on = GoesOn { cluster: &cluster, stop: &stop };
            let ids = sent.lock().unwrap().clone();
            for ids in ids.chunks(500) {
                let mut left = ids.to_vec();
                // What the frozen one had sent before may reach Redis only now.
                eventually("the other has taken them all", || {
                    // The claims of the frozen one end; the same as half a minute later.
                    forget_pending(&redis);
                    let came = send(addresses[1], 1, &left).unwrap();
                    took += came.accepted;
                    left = came.again.iter().map(|index| left[*index].clone()).collect();
                    left.is_empty().then_some(())
                });
            }
        });
    }
    eventually("everything stored is seen", || {
        (cluster.daemon(0).metric("pulseboard_journal_held_events") == 0.0).then_some(())
    });
    let mut all: Vec<String> = (0..2).flat_map(|number| stored(&cluster, number)).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count, "no id is there twice");
    assert!(took > 0, "the other took none: the test shows nothing");
}

/// Thaws the first daemon and ends its senders, when a check fails too: they wait for it.
struct GoesOn<'a> {
    cluster: &'a Cluster,
    stop: &'a AtomicBool,
}

impl Drop for GoesOn<'_> {
    fn drop(&mut self) {
        self.cluster.thaw(0);
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Removes every claim that is pending.
pub(crate) fn forget_pending(redis: &Redis) {
    to_pending(redis, "DEL");
}

/// Has every claim that is pending stay so.
pub(crate) fn keep_pending(redis: &Redis) {
    to_pending(redis, "PERSIST");
}

fn to_pending(redis: &Redis, command: &str) {
    let mut connection = redis.connection();
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("pulseboard:*").query(&mut connection).unwrap();
    for key in keys.iter().filter(|key| key.len() == "pulseboard:".len() + 16) {
        let value: Vec<u8> = redis::cmd("GET").arg(key).query(&mut connection).unwrap();
        if value.first() == Some(&b'p') {
            redis::cmd(command).arg(key).exec(&mut connection).unwrap();
        }
    }
}
