//! The last hour of daemons over one MongoDB: seconds that nobody told them of in time are read from
//! there, and all of them show the same, tick by tick.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::Document;
use pulseboard::event::{EventBatch, Row};
use pulseboard::tick::{Names, Sample, TickSummary};
use pulseboardd::store::mongodb::Bucket;
use serde_json::{Value, json};

use super::shared::cluster::Cluster;
use super::shared::mongod::Mongod;
use super::shared::redis::Redis;
use super::support::{Daemon, eventually, now_ms};

const WINDOWS: [&str; 3] = ["1s", "5s", "60s"];

fn settings(mongod: &Mongod, redis: &Redis) -> Vec<(&'static str, String)> {
    vec![
        ("PULSEBOARD_STORE__KIND", "mongodb".to_owned()),
        ("PULSEBOARD_STORE__MONGODB__URI", mongod.uri()),
        ("PULSEBOARD_CLUSTER__REDIS_URL", redis.url()),
    ]
}

fn start(daemons: usize, mongod: &Mongod, redis: &Redis) -> Cluster {
    let settings = settings(mongod, redis);
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let cluster = Cluster::start(daemons, &settings);
    all_report(&cluster);
    cluster
}

fn all_report(cluster: &Cluster) {
    let all = json!({"reporting": cluster.len(), "expected": cluster.len()});
    for number in 0..cluster.len() {
        eventually("all report", || {
            (cluster.daemon(number).aggregate("1s")["nodes"] == all).then_some(())
        });
    }
}

fn post(daemon: &Daemon, route: &str, count: usize) {
    let event = |number| json!({"type": "view", "route": route, "userId": format!("u{number}"), "latencyMs": number});
    let events: Vec<Value> = (0..count).map(event).collect();
    let answer = daemon.post("application/json", serde_json::to_vec(&events).unwrap());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// One line for each tick of `from..to` of a window's history.
fn hour(daemon: &Daemon, window: &str, (from, to): (i64, i64)) -> Vec<String> {
    let path = format!("/api/aggregates?window={window}&since={}", from - 1);
    let history = daemon.get(&path).json()["history"].clone();
    let ticks = history["tick"].as_array().unwrap().iter().enumerate();
    let ticks = ticks.filter(|(_, tick)| (from..to).contains(&tick.as_i64().unwrap()));
    let columns = ["events", "activeUsers", "errors", "p50", "p95", "p99"];
    let line = |nth: usize| {
        let cells: Vec<String> = columns.map(|name| history[name][nth].to_string()).into();
        cells.join(" ")
    };
    ticks.map(|(nth, tick)| format!("{tick}: {}", line(nth))).collect()
}

/// Events of some ticks, as a window of a second has them.
fn events(daemon: &Daemon, range: (i64, i64)) -> u64 {
    let path = format!("/api/aggregates?window=1s&since={}", range.0 - 1);
    let history = daemon.get(&path).json()["history"].clone();
    let ticks =
        history["tick"].as_array().unwrap().iter().zip(history["events"].as_array().unwrap());
    let inside = ticks.filter(|(tick, _)| (range.0..range.1).contains(&tick.as_i64().unwrap()));
    inside.filter_map(|(_, events)| events.as_u64()).sum()
}

fn counted(tick: i64, count: usize) -> TickSummary {
    let mut batch = EventBatch::default();
    for nth in 0..count {
        let (kind, route) = (batch.add_text("view"), batch.add_text("/before"));
        let user_id = batch.add_text(&format!("u{}", nth % 5));
        let (at_ms, latency_ms) = (tick * 1_000, nth as f64);
        let row = Row { route, kind, user_id, latency_ms, status: 200, ..Row::default() };
        batch.push(Row { arrival_ms: at_ms, timestamp_ms: at_ms, ..row });
    }
    let (mut summary, mut names) = (TickSummary::default(), Names::default());
    for event in batch.iter() {
        summary.add(&Sample::from(event), &mut names, 100);
    }
    summary
}

/// What an instance that is gone counted, a second each, with `count` events.
fn write(mongod: &Mongod, node: &'static str, (from, to): (i64, i64), count: usize) {
    let documents: Vec<Document> = (from..to)
        .map(|tick| {
            let summary = Arc::new(counted(tick, count));
            let revision = tick as u64;
            let (window_secs, recounted) = (1, false);
            let bucket = Bucket { window_secs, tick, node, revision, recounted, summary: &summary };
            bucket.document().try_into().unwrap()
        })
        .collect();
    mongod.with(async move |database| {
        let aggregates = database.collection::<Document>("aggregates");
        aggregates.insert_many(documents).await.unwrap();
    });
}

/// All daemons say the same of these ticks, and of the first `events` in all.
fn same(cluster: &Cluster, range: (i64, i64), in_all: u64) {
    for number in 0..cluster.len() {
        let daemon = cluster.daemon(number);
        eventually(&format!("{in_all} events on {number}\n{}", daemon.stderr()), || {
            (events(daemon, range) == in_all).then_some(())
        });
    }
    for window in WINDOWS {
        for number in 1..cluster.len() {
            // Either may be the one that is not there yet.
            let told = || [0, number].map(|number| hour(cluster.daemon(number), window, range));
            let mut last = told();
            for _ in 0..600 {
                if last[0] == last[1] {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
                last = told();
            }
            let [first, other] = last;
            let differs = first.iter().zip(&other).find(|(one, other)| one != other);
            assert_eq!(differs, None, "{window} of {number}");
            assert_eq!(first.len(), other.len(), "{window} of {number}");
        }
    }
}

#[test]
fn what_others_counted_long_before_is_in_the_hour_of_all_and_a_store_that_was_away_is_asked_again()
{
    let (mut mongod, redis) = (Mongod::set(1).start(), Redis::start());
    let mut cluster = start(2, &mongod, &redis);
    let now = now_ms() / 1_000;
    let (long_ago, ago) = ((now - 3_000, now - 2_400), (now - 1_200, now - 900));
    // Two that are gone, as they would have written it.
    write(&mongod, "00000000000a", long_ago, 3);
    write(&mongod, "00000000000b", (ago.0, ago.1 - 100), 40);
    write(&mongod, "00000000000a", ago, 7);
    cluster.kill(1);
    cluster.restart(1);
    let seen = |daemon: &Daemon, range| (events(daemon, range) > 0).then_some(());
    eventually("it is read at the start", || seen(cluster.daemon(1), ago));
    cluster.kill(0);
    mongod.stop();
    cluster.restart(0);
    let line = "the last hour of what other instances counted cannot be read yet";
    eventually("it says why there are gaps", || {
        cluster.daemon(0).stderr().contains(line).then_some(())
    });
    assert_eq!(events(cluster.daemon(0), ago), 0);
    let gap = hour(cluster.daemon(0), "60s", ago);
    assert!(gap.iter().all(|line| line.contains(": null null")), "a gap, no zeros: {}", gap[0]);
    mongod.start();
    same(&cluster, ago, 300 * 7 + 200 * 40);
    same(&cluster, long_ago, 600 * 3);
    let lines = hour(cluster.daemon(0), "60s", ago);
    assert!(lines[100].contains(&format!("{}: {} ", ago.0 + 100, 60 * 47)), "{}", lines[100]);
    let at = cluster.daemon(0).get(&format!("/api/aggregates?window=60s&at={}", ago.0 + 100));
    assert_eq!(at.json()["aggregate"]["events"], 60 * 47, "REST says the same: {}", at.text());
}

#[test]
fn seconds_that_redis_lost_while_one_was_down_are_read_from_mongodb() {
    let (mongod, redis) = (Mongod::set(1).start(), Redis::start());
    let mut cluster = start(3, &mongod, &redis);
    let from = now_ms() / 1_000;
    for number in 0..3 {
        post(cluster.daemon(number), "/all", 20);
    }
    cluster.kill(2);
    let tick = cluster.daemon(0).aggregate("1s")["tick"].as_i64().unwrap();
    post(cluster.daemon(0), "/two", 31);
    post(cluster.daemon(1), "/two", 33);
    eventually("some seconds pass", || {
        (cluster.daemon(0).aggregate("1s")["tick"].as_i64().unwrap() > tick + 3).then_some(())
    });
    let to = now_ms() / 1_000 - 1;
    eventually("everything is in the store", || {
        let lag: f64 =
            (0..2).map(|n| cluster.daemon(n).metric("pulseboard_store_lag_events")).sum();
        (lag == 0.0).then_some(())
    });
    // Signs of life stay, what was told goes.
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut redis.connection()).unwrap();
    for key in keys.iter().filter(|key| !key.contains("{life}")) {
        redis::cmd("DEL").arg(key).exec(&mut redis.connection()).unwrap();
    }
    cluster.restart(2);
    all_report(&cluster);
    // A tick that may still change is not read: it takes a minute until these may not.
    let daemon = cluster.daemon(2);
    for secs in [25, 50] {
        eventually("a minute passes", || {
            (daemon.aggregate("1s")["tick"].as_i64().unwrap() > to + secs).then_some(())
        });
    }
    same(&cluster, (from, to), 60 + 64);
}
