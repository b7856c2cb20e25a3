//! Daemons that share a Redis: what they show together, and what they say and do when one of them, or
//! Redis, is not as it should be.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::shared::cluster::Cluster;
use super::shared::redis::Redis;
use super::support::{Daemon, command, eventually};

fn cluster(daemons: usize, redis: &Redis) -> Cluster {
    let cluster = Cluster::start(daemons, &[("PULSEBOARD_CLUSTER__REDIS_URL", &redis.url())]);
    all_report(&cluster);
    cluster
}

/// Waits until every daemon's newest frame has all of them.
fn all_report(cluster: &Cluster) {
    let all = json!({"reporting": cluster.len(), "expected": cluster.len()});
    for number in 0..cluster.len() {
        eventually("all report", || {
            (cluster.daemon(number).aggregate("1s")["nodes"] == all).then_some(())
        });
    }
}

fn post(daemon: &Daemon, route: &str, count: usize) {
    let event = |number| json!({"type": "view", "route": route, "userId": format!("u{number}")});
    let events: Vec<Value> = (0..count).map(event).collect();
    let answer = daemon.post("application/json", serde_json::to_vec(&events).unwrap());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// What readiness says of a check.
fn check(daemon: &Daemon, name: &str) -> (String, String) {
    let ready = daemon.get("/health/ready").json();
    let check = &ready["checks"][name];
    let text = |field: &str| check[field].as_str().unwrap().to_owned();
    (text("status"), text("detail"))
}

fn says(daemon: &Daemon, name: &str, part: &str) {
    eventually(&format!("{name} says {part}"), || {
        let (_, detail) = check(daemon, name);
        detail.contains(part).then_some(())
    });
}

/// Waits for a line of the log of this level; there is one.
fn says_once(daemon: &Daemon, level: &str, part: &str) {
    let lines = || {
        let said = daemon.stderr();
        said.lines().filter(|line| line.contains(level) && line.contains(part)).count()
    };
    eventually("a line of the log", || (lines() > 0).then_some(()));
    assert_eq!(lines(), 1, "{}", daemon.stderr());
}

/// Events of the last five minutes, in the history of everything.
fn counted(daemon: &Daemon) -> u64 {
    let history =
        daemon.get("/api/aggregates?window=1s&since=0").json()["history"]["events"].clone();
    history.as_array().unwrap().iter().filter_map(Value::as_u64).sum()
}

fn all_count(cluster: &Cluster, events: u64) {
    for number in 0..cluster.len() {
        eventually(&format!("daemon {number} counts {events}"), || {
            (counted(cluster.daemon(number)) == events).then_some(())
        });
    }
}

#[test]
fn all_show_what_all_have_taken_and_a_leaver_is_missed_at_once() {
    let redis = Redis::start();
    let mut cluster = cluster(3, &redis);
    for number in 0..3 {
        post(
            cluster.daemon(number),
            &format!("/from/{}", ["a", "b", "c"][number]),
            10 * (number + 1),
        );
    }
    all_count(&cluster, 60);
    eventually("all is well", || {
        let (status, detail) = check(cluster.daemon(0), "cluster");
        let all = "3 of 3 instances; each instance keeps its own events";
        (status == "ok" && detail.starts_with(all)).then_some(())
    });
    let routes = cluster.daemon(1).get("/api/routes?window=60s").json();
    assert_eq!(routes["routes"][0]["route"], "/from/c", "{routes}");
    // Whatever it took in the second it stops in is told before it leaves.
    post(cluster.daemon(2), "/from/c", 40);
    assert_eq!(cluster.terminate(2), Some(0));
    says(cluster.daemon(0), "cluster", "2 of 2");
    eventually("the last second is told", || (counted(cluster.daemon(0)) == 100).then_some(()));
    eventually("two are expected", || {
        let nodes = cluster.daemon(1).aggregate("1s")["nodes"].clone();
        (nodes == json!({"reporting": 2, "expected": 2})).then_some(())
    });
    eventually("Redis is up", || {
        (cluster.daemon(0).metric("pulseboard_cluster_up") > 0.0).then_some(())
    });
    cluster.restart(2);
    all_report(&cluster);
    all_count(&cluster, 100);
}

#[test]
fn one_that_is_killed_or_frozen_is_named_and_the_others_go_on() {
    let redis = Redis::start();
    let mut cluster = cluster(3, &redis);
    post(cluster.daemon(1), "/before", 5);
    all_count(&cluster, 5);
    cluster.freeze(1);
    says(cluster.daemon(0), "cluster", "2 of 3: b not heard for");
    let tick = cluster.daemon(2).aggregate("1s")["tick"].as_i64().unwrap();
    post(cluster.daemon(0), "/meanwhile", 7);
    eventually("frames go on and say two of three", || {
        let now = cluster.daemon(2).aggregate("1s");
        let of = now["nodes"] == json!({"reporting": 2, "expected": 3});
        (of && now["tick"].as_i64().unwrap() > tick + 2).then_some(())
    });
    cluster.thaw(1);
    all_report(&cluster);
    all_count(&cluster, 12);
    cluster.kill(2);
    says(cluster.daemon(0), "cluster", "2 of 3: c not heard for");
    cluster.restart(2);
    all_report(&cluster);
    says(cluster.daemon(0), "cluster", "3 of 3");
    all_count(&cluster, 12);
}

#[test]
fn without_redis_each_shows_its_own_and_what_was_missed_is_joined_when_it_is_back() {
    let mut redis = Redis::start();
    let cluster = cluster(2, &redis);
    post(cluster.daemon(0), "/a", 3);
    all_count(&cluster, 3);
    redis.process.kill();
    says(cluster.daemon(0), "cluster", "Redis is gone since");
    post(cluster.daemon(0), "/a", 10);
    post(cluster.daemon(1), "/b", 100);
    eventually("its own alone", || (counted(cluster.daemon(0)) == 13).then_some(()));
    eventually("its own alone", || (counted(cluster.daemon(1)) == 103).then_some(()));
    let nodes = cluster.daemon(0).aggregate("1s")["nodes"].clone();
    assert_eq!(nodes["reporting"], 1, "{nodes}");
    redis.restart();
    all_report(&cluster);
    all_count(&cluster, 113);
    says(cluster.daemon(0), "cluster", "2 of 2");
    redis.process.freeze();
    says(cluster.daemon(1), "cluster", "does not answer");
    post(cluster.daemon(1), "/b", 1_000);
    redis.process.thaw();
    all_report(&cluster);
    all_count(&cluster, 1_113);
    redis::cmd("FLUSHALL").exec(&mut redis.connection()).unwrap();
    all_report(&cluster);
    post(cluster.daemon(1), "/b", 1);
    all_count(&cluster, 1_114);
}

#[test]
fn a_second_daemon_under_one_node_id_says_so_and_publishes_nothing() {
    let redis = Redis::start();
    let cluster = cluster(2, &redis);
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(cluster.data_dir(0).join("NODE"), copy.path().join("NODE")).unwrap();
    let mut second = command(copy.path());
    second.env("PULSEBOARD_CLUSTER__REDIS_URL", redis.url());
    let second = Daemon::spawn(second);
    says(&second, "cluster", "another daemon runs under this one's node id");
    let (status, detail) = check(&second, "cluster");
    assert_eq!(status, "degraded");
    assert!(detail.contains(&cluster.id(0)) && detail.contains("NODE"), "{detail}");
    says_once(&second, "ERROR", "runs under this one's node id");
    post(&second, "/second", 50);
    post(cluster.daemon(0), "/first", 2);
    eventually("its own alone", || (counted(&second) == 50).then_some(()));
    all_count(&cluster, 2);
    all_report(&cluster);
    // The first goes: its id is free.
    drop(cluster);
    eventually("the other one is missed", || {
        let (_, detail) = check(&second, "cluster");
        (detail.starts_with("1 of 2") && detail.contains("not heard for")).then_some(())
    });
}

/// Subscribes to a room of 1 s, and reads until the seconds it was told of hold so many events, and
/// the newest is told of so many instances.
fn sees(daemon: &Daemon, room: &str, events: u64, nodes: u64) {
    let stream = std::net::TcpStream::connect(daemon.address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_mins(1))).unwrap();
    let url = format!("ws://{}/ws", daemon.address);
    let (mut socket, _) = tungstenite::client(url, stream).unwrap();
    let subscribe = json!({"op": "subscribe", "rooms": [room]}).to_string();
    socket.send(tungstenite::Message::text(subscribe)).unwrap();
    let mut seconds: BTreeMap<i64, u64> = BTreeMap::new();
    let (mut newest, mut reporting) = (0, 0);
    eventually(&format!("{room} shows {events}"), || {
        let frame: Value = serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
        assert_ne!(frame["op"], "error", "{frame}");
        let tick = frame["tick"].as_i64()?;
        let aggregate = &frame["aggregate"];
        newest = aggregate["events"].as_u64().unwrap_or(newest);
        reporting = aggregate["nodes"]["reporting"].as_u64().unwrap_or(reporting);
        seconds.insert(tick, newest);
        for columns in [&frame["history"], &frame["corrections"]] {
            for (at, tick) in columns["tick"].as_array().into_iter().flatten().enumerate() {
                seconds.insert(tick.as_i64().unwrap(), columns["events"][at].as_u64().unwrap_or(0));
            }
        }
        (seconds.values().sum::<u64>() == events && reporting == nodes).then_some(())
    });
}

#[test]
fn a_filtered_view_shows_what_all_instances_counted_before_and_after_it_was_opened() {
    let redis = Redis::start();
    let cluster = cluster(3, &redis);
    for number in 0..3 {
        post(cluster.daemon(number), "/users/17/cart", 10);
        post(cluster.daemon(number), "/other", 100);
    }
    all_count(&cluster, 330);
    let room = "window:1s?filter=route=/users/:id/cart";
    sees(cluster.daemon(0), room, 30, 3);
    post(cluster.daemon(1), "/users/4/cart", 5);
    sees(cluster.daemon(0), room, 35, 3);
    sees(cluster.daemon(2), room, 35, 3);
    let opened = redis::cmd("ZRANGE")
        .arg(&["pulseboard:{life}:views", "0", "-1"])
        .query::<Vec<String>>(&mut redis.connection());
    assert_eq!(opened.unwrap(), ["route=/users/:id/cart"]);
}

#[test]
fn bytes_that_are_damaged_or_of_a_newer_build_are_counted_named_and_passed_over() {
    let redis = Redis::start();
    let cluster = cluster(2, &redis);
    let mut client = redis.connection();
    let mut publish = |bytes: &[u8]| {
        redis::cmd("PUBLISH").arg("pulseboard:ticks").arg(bytes).exec(&mut client).unwrap();
    };
    publish(b"");
    publish(&[0xff; 5_000]);
    let mut newer = vec![1, 2, 12];
    newer.extend_from_slice(b"feedfeedfeed");
    newer.push(6);
    newer.extend_from_slice(b"future");
    newer.extend_from_slice(&[1, 200, 201]);
    let checksum = crc32c::crc32c(&newer);
    newer.extend_from_slice(&checksum.to_le_bytes());
    publish(&newer);
    publish(&newer);
    let said = "future (feedfeedfeed) sends messages of version 2, and this build reads up to 1";
    says(cluster.daemon(0), "cluster", said);
    let daemon = cluster.daemon(1);
    says(daemon, "cluster", said);
    for reason in ["newer", "damaged"] {
        eventually("both are counted", || {
            let name = format!("pulseboard_cluster_refused_total{{reason=\"{reason}\"}}");
            (daemon.metric(&name) >= 2.0).then_some(())
        });
    }
    says_once(daemon, "WARN future", "feedfeedfeed");
    post(cluster.daemon(0), "/goes/on", 4);
    all_count(&cluster, 4);
}

#[test]
fn a_url_that_cannot_be_is_refused_by_the_name_of_its_setting() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let file = folder.path().join("url");
    std::fs::write(&file, "redis://:hunter2@one,two\n").unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, "nothing").unwrap();
    let (url, ca) = ("PULSEBOARD_CLUSTER__REDIS_URL", ca.to_str().unwrap());
    for (settings, refusal) in [
        (
            vec![(url, "http://:hunter2@redis")],
            "error: cluster.redis_url: it must start with redis://",
        ),
        (vec![(url, "redis://:hunter2@host:none")], "error: cluster.redis_url: the port of host 1"),
        (
            vec![("PULSEBOARD_CLUSTER__REDIS_URL_FILE", file.to_str().unwrap())],
            "error: cluster.redis_url_file: several hosts need redis+cluster://",
        ),
        (
            vec![(url, "rediss://host"), ("PULSEBOARD_CLUSTER__REDIS_CA_FILE", ca)],
            "error: cluster.redis_ca_file: ",
        ),
        (
            vec![(url, "redis://host"), ("PULSEBOARD_CLUSTER__REDIS_CA_FILE", ca)],
            "error: cluster.redis_ca_file: certificates are named and TLS is not asked for",
        ),
        (
            vec![(url, "rediss://host"), ("PULSEBOARD_CLUSTER__REDIS_CERT_FILE", ca)],
            "error: cluster.redis_key_file: cluster.redis_cert_file is set",
        ),
        (
            vec![(url, "redis://host"), ("PULSEBOARD_CLUSTER__REDIS_PREFIX", "{a}")],
            "error: cluster.redis_prefix: must be",
        ),
    ] {
        let output = command(&data_dir).envs(settings).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with(refusal), "{said}");
        assert!(!said.contains("hunter2") && said.lines().count() == 1, "{said}");
        assert!(!data_dir.exists(), "nothing was touched");
    }
}

#[test]
fn a_redis_that_wants_a_password_does_not_keep_a_daemon_from_starting_or_stopping() {
    let redis = Redis::start_with(Some("hunter2"), &[]);
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    command.env("PULSEBOARD_CLUSTER__REDIS_URL", redis.url_without_password());
    command.env("PULSEBOARD_LOG__LEVEL", "debug");
    let daemon = Daemon::spawn(command);
    says(&daemon, "cluster", "cluster.redis_url: Redis demands a password");
    let ready = daemon.get("/health/ready");
    assert_eq!((ready.status, ready.json()["status"].clone()), (200, json!("degraded")));
    post(&daemon, "/alone", 6);
    eventually("its own", || (counted(&daemon) == 6).then_some(()));
    assert_eq!(daemon.terminate(), Some(0));

    let mut wrong = super::support::command(folder.path());
    wrong.env("PULSEBOARD_CLUSTER__REDIS_URL", redis.url().replace("hunter2", "swordfish"));
    wrong.env("PULSEBOARD_LOG__LEVEL", "debug");
    let daemon = Daemon::spawn(wrong);
    says(&daemon, "cluster", "does not take this user name and password");
    assert!(!daemon.stderr().contains("swordfish"), "{}", daemon.stderr());
}
