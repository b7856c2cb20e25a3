//! What an operator can get wrong about the shared store and the cluster: each is one clear line that
//! names the setting, readiness is degraded with the reason, events are taken all the same, and
//! nothing that was there is overwritten.

use std::path::Path;

use mongodb::bson::{Document, doc};
use serde_json::Value;

use crate::shared::cluster::Cluster;
use crate::shared::mongod::Mongod;
use crate::shared::proxy::Proxy;
use crate::shared::redis::Redis;
use crate::support::{Daemon, eventually, plain};

const URI: &str = "PULSEBOARD_STORE__MONGODB__URI";
const REDIS_URL: &str = "PULSEBOARD_CLUSTER__REDIS_URL";

fn over(data_dir: &Path, uri: &str) -> Daemon {
    Daemon::start_with(data_dir, &[("PULSEBOARD_STORE__KIND", "mongodb"), (URI, uri)])
}

/// Waits until a check is degraded and its line has all these parts; events are taken meanwhile.
fn degraded(daemon: &Daemon, check: &str, parts: &[&str]) -> String {
    let event = format!(r#"{{"type":"t","route":"/{check}"}}"#);
    assert_eq!(daemon.post("application/json", event).status, 201);
    let mut last = Value::Null;
    let wait = std::panic::AssertUnwindSafe(|| {
        eventually("readiness tells it", || {
            let answer = daemon.get("/health/ready");
            last = answer.json();
            let detail = last["checks"][check]["detail"].as_str().unwrap_or_default().to_owned();
            let is_told = last["status"] == "degraded"
                && last["checks"][check]["status"] != "ok"
                && parts.iter().all(|part| detail.contains(part));
            (is_told && answer.status == 200).then_some(detail)
        })
    });
    let told = std::panic::catch_unwind(wait);
    let detail = told.unwrap_or_else(|_| panic!("{parts:?} are not told: {last}"));
    assert!(!detail.contains('\n'), "one line: {detail}");
    detail
}

/// Names, validators and indexes of all collections, and all documents of some.
fn contents(mongod: &Mongod, collections: &'static [&'static str]) -> Vec<Document> {
    use futures_util::TryStreamExt as _;
    mongod.with(async move |database| {
        let mut all = Vec::new();
        let command = doc! {"listCollections": 1};
        let found = database.run_cursor_command(command).await.unwrap();
        let mut found: Vec<Document> = found.try_collect().await.unwrap();
        found.sort_by_key(|collection| collection.get_str("name").unwrap().to_owned());
        all.append(&mut found);
        for name in collections {
            let collection = database.collection::<Document>(name);
            let indexes = collection.list_indexes().await.unwrap();
            let indexes: Vec<_> = indexes.try_collect().await.unwrap();
            all.extend(indexes.iter().map(|index| index.keys.clone()));
            let documents = collection.find(doc! {}).sort(doc! {"_id": 1}).await.unwrap();
            all.append(&mut documents.try_collect().await.unwrap());
        }
        all
    })
}

#[test]
fn a_uri_that_is_none_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for uri in ["", "localhost:27017", "mongodb://", "mongodb://host:port/", "http://host/"] {
        let mut command = plain();
        command.args(["--bind", "127.0.0.1:0", "--store", "mongodb", "--data-dir"]);
        command.arg(folder.path()).env(URI, uri);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{uri}: {said}");
        assert!(said.contains("store.mongodb.uri"), "{uri}: {said}");
    }
}

#[test]
fn an_address_where_nobody_is_degrades_and_events_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut mongod = Mongod::set(1).prepare();
    let daemon = over(folder.path(), &mongod.uri());
    let address = mongod.members[0].address();
    let detail = degraded(&daemon, "store", &["store.mongodb.uri"]);
    // Everyone may ask for readiness; the log is the operator's.
    assert!(!detail.contains(&address), "{detail}");
    eventually("the log names the address", || daemon.stderr().contains(&address).then_some(()));
    let answer = daemon.get("/api/events");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.json()["code"], "store_unavailable");
    assert!(answer.header("Retry-After").is_some());
    mongod.start();
    eventually("it is ready", || {
        (daemon.get("/health/ready").json()["status"] == "ready").then_some(())
    });
    eventually("the event is there", || (mongod.ids("events").len() == 1).then_some(()));
}

#[test]
fn a_wrong_password_is_told_without_it() {
    let mongod = Mongod::set(1).user("daemon", "right").start();
    let folder = tempfile::tempdir().unwrap();
    let daemon = over(folder.path(), &mongod.uri().replace("right", "wr0ng-one"));
    let detail = degraded(&daemon, "store", &["store.mongodb.uri", "password"]);
    assert!(!detail.contains("wr0ng-one"), "{detail}");
    assert!(!daemon.stderr().contains("wr0ng-one"), "{}", daemon.stderr());
    assert!(contents(&mongod, &[]).is_empty(), "nothing was made");
}

#[test]
fn an_old_server_is_refused_and_not_touched() {
    let mongod = Mongod::set(1).start();
    let proxy = Proxy::rewriting(&mongod.members[0].direct_address(), |bytes| {
        for (name, at) in [("version\0", 4), ("versionArray\0", 7)] {
            make_old(bytes, name, at);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("mongodb://{}/pulseboard?directConnection=true", proxy.address());
    let daemon = over(folder.path(), &uri);
    degraded(&daemon, "store", &["store.mongodb.uri", "5.0"]);
    assert!(contents(&mongod, &[]).is_empty(), "nothing was made");
}

/// Has the answer of `buildInfo` say 4 where it says what the server's first number is: so many bytes
/// after the field's name.
fn make_old(bytes: &mut [u8], name: &str, after: usize) {
    let found = bytes.windows(name.len()).position(|window| window == name.as_bytes());
    let Some(start) = found else { return };
    if let Some(byte) = bytes.get_mut(start + name.len() + after) {
        *byte = if name == "version\0" { b'4' } else { 4 };
    }
}

#[test]
fn collections_of_somebody_else_are_refused_and_not_touched() {
    let mongod = Mongod::set(1).start();
    mongod.with(async move |database| {
        let events = database.collection::<Document>("events");
        events.insert_one(doc! {"_id": 7, "artist": "somebody", "venue": "a hall"}).await.unwrap();
    });
    let before = contents(&mongod, &["events"]);
    let folder = tempfile::tempdir().unwrap();
    let daemon = over(folder.path(), &mongod.uri());
    degraded(&daemon, "store", &["store.mongodb.uri", "events"]);
    assert_eq!(contents(&mongod, &["events"]), before);
}

#[test]
fn a_validator_that_somebody_changed_is_told_and_left() {
    let mongod = Mongod::set(1).start();
    let folder = tempfile::tempdir().unwrap();
    let daemon = over(folder.path(), &mongod.uri());
    eventually("it is ready", || {
        (daemon.get("/health/ready").json()["status"] == "ready").then_some(())
    });
    daemon.terminate();
    mongod.with(async move |database| {
        let changed = doc! {"collMod": "events", "validator": {"route": {"$exists": true}}};
        database.run_command(changed).await.unwrap();
    });
    let before = contents(&mongod, &[]);
    let daemon = over(folder.path(), &mongod.uri());
    degraded(&daemon, "store", &["store.mongodb.uri", "events", "validator"]);
    eventually("events go there all the same", || (mongod.ids("events").len() == 1).then_some(()));
    assert_eq!(contents(&mongod, &[]), before);
}

#[test]
fn a_redis_that_demands_a_password_is_told() {
    let redis = Redis::start_with(Some("right"), &[]);
    let folder = tempfile::tempdir().unwrap();
    let url = redis.url_without_password();
    let daemon = Daemon::start_with(folder.path(), &[(REDIS_URL, &url)]);
    degraded(&daemon, "cluster", &["cluster.redis_url", "password"]);

    let folder = tempfile::tempdir().unwrap();
    let url = redis.url().replace("right", "wr0ng-one");
    let daemon = Daemon::start_with(folder.path(), &[(REDIS_URL, &url)]);
    let detail = degraded(&daemon, "cluster", &["cluster.redis_url", "password"]);
    assert!(!detail.contains("wr0ng-one"), "{detail}");
    assert!(!daemon.stderr().contains("wr0ng-one"), "{}", daemon.stderr());
}

#[test]
fn a_clock_10_s_off_is_told() {
    let redis = Redis::start();
    // One instance reads a time from Redis that is 10 s ahead, which is what it would read if its own
    // clock were 10 s behind.
    let address = redis.url().replace("redis://", "");
    let proxy = Proxy::rewriting(&address, |bytes| add_to_time(bytes, 10_000));
    let url = format!("redis://{}", proxy.address());
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(folder.path(), &[(REDIS_URL, &url)]);
    degraded(&daemon, "clock", &["10"]);
}

/// Moves the time in an answer: milliseconds as a text, which comes first.
fn add_to_time(bytes: &mut [u8], ms: u64) {
    let start = b"*4\r\n$13\r\n";
    let found = bytes.windows(start.len()).position(|window| window == start);
    let Some(at) = found.map(|at| at + start.len()) else { return };
    let Some(digits) = bytes.get_mut(at..at + 13) else { return };
    if let Ok(time) = std::str::from_utf8(digits).unwrap_or("").parse::<u64>() {
        digits.copy_from_slice((time + ms).to_string().as_bytes());
    }
}

#[test]
fn two_daemons_with_one_node_id_are_told_in_the_store() {
    let mongod = Mongod::set(1).start();
    twins(&[("PULSEBOARD_STORE__KIND", "mongodb"), (URI, &mongod.uri())], "store");
}

#[test]
fn two_daemons_with_one_node_id_are_told_in_the_cluster() {
    let redis = Redis::start();
    twins(&[(REDIS_URL, &redis.url())], "cluster");
}

/// Starts a daemon and another one with a copy of its id: one of them at least says so, and names it.
fn twins(settings: &[(&str, &str)], check: &str) {
    let mut cluster = Cluster::prepare(2, settings);
    cluster.restart(0);
    std::fs::create_dir_all(cluster.data_dir(1)).unwrap();
    std::fs::copy(cluster.data_dir(0).join("NODE"), cluster.data_dir(1).join("NODE")).unwrap();
    cluster.restart(1);
    let id = cluster.id(0);
    let mut last = Vec::new();
    let wait = std::panic::AssertUnwindSafe(|| {
        eventually("one of them tells it", || {
            last = (0..2).map(|n| cluster.daemon(n).get("/health/ready").json()).collect();
            let is_told = |ready: &Value| {
                let check = &ready["checks"][check];
                let detail = check["detail"].as_str().unwrap_or_default();
                check["status"] != "ok" && detail.contains(&id) && detail.contains("NODE")
            };
            last.iter().any(is_told).then_some(())
        });
    });
    assert!(std::panic::catch_unwind(wait).is_ok(), "nobody tells: {last:#?}");
}
