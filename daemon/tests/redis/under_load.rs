//! Whole daemons under load while a part of Redis is killed: a primary of a Redis Cluster, and the
//! primary that sentinels watch. What was acknowledged is there, and what is there twice is what the
//! pages for operators say may be.

#![allow(clippy::disallowed_methods, reason = "what was sent when is told by a clock")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pulseboardd::ingest::Fingerprinter;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use super::servers::{RedisCluster, Sentinels};
use super::shared::cluster::Cluster;
use super::support::{Answer, eventually};

const DAEMONS: usize = 3;
const SENDERS: usize = 4;
/// Ids that sentinels' failover may lose were confirmed this shortly before: the replica had all
/// that was older.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// A batch that a daemon acknowledged.
struct Acknowledged {
    ids: Vec<String>,
    sent: Instant,
    answered: Instant,
}

/// What was sent, until it is stopped.
#[derive(Default)]
struct Load {
    stops: AtomicBool,
    events: AtomicUsize,
    all: Mutex<Vec<Acknowledged>>,
}

impl Load {
    fn wait_for_more(&self, events: usize) {
        let until = self.events.load(Ordering::Relaxed) + events;
        eventually("more events are acknowledged", || {
            (self.events.load(Ordering::Relaxed) >= until).then_some(())
        });
    }

    /// Sends batches, each until every event has a verdict, some of them again and elsewhere.
    fn send(&self, cluster: &Cluster, sender: usize) {
        let mut random = StdRng::seed_from_u64(sender as u64);
        for number in 0.. {
            if self.stops.load(Ordering::Relaxed) {
                return;
            }
            let len = random.random_range(1..8);
            let ids: Vec<String> = (0..len).map(|at| format!("s{sender}n{number}.{at}")).collect();
            let times = if random.random_bool(0.4) { 2 } else { 1 };
            for _ in 0..times {
                self.settle(cluster, &mut random, ids.clone());
            }
        }
    }

    fn settle(&self, cluster: &Cluster, random: &mut StdRng, mut ids: Vec<String>) {
        while !ids.is_empty() {
            let daemon = random.random_range(0..DAEMONS);
            let sent = Instant::now();
            let lines: Vec<String> = ids.iter().map(|id| event(id)).collect();
            let answer = cluster.daemon(daemon).post("application/x-ndjson", lines.join("\n"));
            let left: BTreeSet<usize> = refused(&answer);
            let mut taken = std::mem::take(&mut ids);
            let mut at = 0;
            taken.retain(|id| {
                let is_left = left.contains(&at);
                at += 1;
                if is_left {
                    ids.push(id.clone());
                }
                !is_left
            });
            self.events.fetch_add(taken.len(), Ordering::Relaxed);
            let (answered, all) = (Instant::now(), &mut self.all.lock().unwrap());
            all.push(Acknowledged { ids: taken, sent, answered });
            if !ids.is_empty() {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

fn event(id: &str) -> String {
    format!(r#"{{"eventId":"{id}","type":"t","route":"/r"}}"#)
}

/// Places of what another instance was at: nothing else may be refused.
fn refused(answer: &Answer) -> BTreeSet<usize> {
    assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
    let answer = answer.json();
    let rejected = answer["rejected"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert!(rejected.iter().all(|item| item["code"] == "claim_pending"), "{answer}");
    rejected.iter().map(|item| item["index"].as_u64().unwrap() as usize).collect()
}

/// Which daemons hold each id.
fn holders(cluster: &Cluster) -> BTreeMap<String, Vec<usize>> {
    let mut holders: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for daemon in 0..DAEMONS {
        let answer = cluster.daemon(daemon).get("/api/export?format=ndjson&from=-2h");
        for line in answer.text().lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            holders.entry(event["eventId"].as_str().unwrap().to_owned()).or_default().push(daemon);
        }
    }
    holders
}

fn status(cluster: &Cluster, daemon: usize) -> (String, String) {
    let check = cluster.daemon(daemon).get("/health/ready").json()["checks"]["cluster"].clone();
    let text = |name: &str| check[name].as_str().unwrap().to_owned();
    (text("status"), text("detail"))
}

/// Waits until every daemon is content, knows the others, and has claimed all that it had not.
fn healed(cluster: &Cluster) {
    for daemon in 0..DAEMONS {
        eventually("all is as it was", || {
            let (status, detail) = status(cluster, daemon);
            let left = cluster.daemon(daemon).metric("pulseboard_claims_unconfirmed");
            let nodes = cluster.daemon(daemon).aggregate("1s")["nodes"]["reporting"].as_u64();
            (status == "ok" && left == 0.0 && nodes == Some(DAEMONS as u64))
                .then_some(())
                .ok_or(detail)
                .ok()
        });
    }
}

/// What a trial came to.
struct Came {
    acknowledged: Vec<Acknowledged>,
    holders: BTreeMap<String, Vec<usize>>,
    /// When Redis was not whole.
    wounded: (Instant, Instant),
}

impl Came {
    /// Ids that more than one daemon holds. All else must be as promised.
    fn twice(&self) -> BTreeMap<&String, &Vec<usize>> {
        let promised: BTreeSet<&String> =
            self.acknowledged.iter().flat_map(|batch| &batch.ids).collect();
        let stored: BTreeSet<&String> = self.holders.keys().collect();
        let lost: Vec<_> = promised.difference(&stored).take(5).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let surplus: Vec<_> = stored.difference(&promised).take(5).collect();
        assert!(surplus.is_empty(), "stored and never acknowledged: {surplus:?}");
        let in_one = |(_, daemons): &(&String, &Vec<usize>)| {
            daemons.iter().collect::<BTreeSet<_>>().len() == daemons.len()
        };
        assert!(self.holders.iter().all(|entry| in_one(&entry)), "twice in one daemon");
        let twice: BTreeMap<_, _> =
            self.holders.iter().filter(|(_, daemons)| daemons.len() > 1).collect();
        println!("{} ids, {} of them twice", stored.len(), twice.len());
        twice
    }

    /// Whether a daemon took this id, or may have, while Redis was not whole or shortly before.
    fn met_the_wound(&self, id: &String) -> bool {
        let (from, to) = self.wounded;
        let mut of = self.acknowledged.iter().filter(|batch| batch.ids.contains(id));
        of.any(|batch| batch.sent <= to && batch.answered + LAST_MOMENT >= from)
    }
}

/// Load, a wound, load, its healing, load.
fn trial(url: &str, wound: impl FnOnce(), heal: impl FnOnce(), says: &str) -> Came {
    let cluster = Cluster::start(DAEMONS, &[("PULSEBOARD_CLUSTER__REDIS_URL", url)]);
    healed(&cluster);
    let load = Load::default();
    let mut wounded = None;
    std::thread::scope(|scope| {
        let _ends = Ends(&load.stops);
        for sender in 0..SENDERS {
            let (load, cluster) = (&load, &cluster);
            scope.spawn(move || load.send(cluster, sender));
        }
        load.wait_for_more(300);
        let from = Instant::now();
        wound();
        for daemon in 0..DAEMONS {
            let mut last = String::new();
            let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                eventually("readiness says so", || {
                    let (_, detail) = status(&cluster, daemon);
                    let said = detail.contains(says);
                    last = detail;
                    said.then_some(())
                });
            }));
            assert!(said.is_ok(), "it says {last}");
        }
        load.wait_for_more(300);
        heal();
        healed(&cluster);
        wounded = Some((from, Instant::now()));
        load.wait_for_more(300);
    });
    healed(&cluster);
    let acknowledged = load.all.into_inner().unwrap();
    Came { acknowledged, holders: holders(&cluster), wounded: wounded.unwrap() }
}

/// Ends the senders, when a check fails too.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_redis_cluster_that_loses_a_primary_counts_twice_at_most_what_that_one_knew() {
    let cluster = RedisCluster::start();
    let victim = cluster.other_than("pulseboard:{life}:written");
    let cluster = Mutex::new(cluster);
    let url = cluster.lock().unwrap().url();
    let came = trial(
        &url,
        || cluster.lock().unwrap().kill(victim),
        || cluster.lock().unwrap().restart(victim),
        "without asking",
    );
    let cluster = cluster.into_inner().unwrap();
    let secret = cluster.get("pulseboard:{claims}:secret");
    let key = Fingerprinter::new(secret.first_chunk().unwrap());
    let twice = came.twice();
    let of_victim = |id: &str| {
        let tag = (key.of("default", id) >> 64) as u8 % 64;
        cluster.holder(&format!("{{{}}}", char::from(b'0' + tag))) == victim
    };
    let known_elsewhere = twice.keys().filter(|id| !of_victim(id)).count();
    println!("{known_elsewhere} of them are of the servers that stayed");
    // Nothing is counted twice that was sent when all was well. An instance that meets its way to
    // Redis broken makes a new one, and is alone for that moment, for all ids.
    for (id, daemons) in &twice {
        assert!(came.met_the_wound(id) || of_victim(id), "{id} is in {daemons:?}");
    }
}

#[test]
fn sentinels_that_fail_over_lose_claims_of_the_last_moment_at_most() {
    let sentinels = Mutex::new(Sentinels::start());
    let url = sentinels.lock().unwrap().url();
    let kill = || sentinels.lock().unwrap().kill_primary();
    let came = trial(&url, kill, || (), "without asking");
    for (id, daemons) in came.twice() {
        assert!(came.met_the_wound(id), "{id} is in {daemons:?}, sent when all was well");
    }
}
