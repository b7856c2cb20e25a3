//! A Redis that does not let us in says why in one line, without the password.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::shared::redis::Redis;
use super::{link, refused, until, up, works};

#[tokio::test]
async fn a_password_that_is_missing_and_one_that_is_wrong_are_told_apart() {
    let redis = Redis::start_with(Some("swordfish"), &[]);
    let why = refused(&link(&redis.url_without_password())).await;
    assert!(why.starts_with("Redis demands a password"), "{why}");
    let why = refused(&link(&redis.url().replace("swordfish", "hunter2"))).await;
    assert_eq!(why, "Redis does not take this user name and password");
}

#[tokio::test]
async fn rights_that_do_not_suffice_are_named_and_are_taken_when_given() {
    let redis = Redis::start();
    let mut admin = redis.connection();
    let mut acl = |rules: &[&str]| {
        let mut set = redis::cmd("ACL");
        set.arg("SETUSER").arg("pulse").arg("on").arg(">hunter2").arg(rules);
        set.exec(&mut admin).unwrap();
    };
    acl(&["+@connection", "+get", "~pulseboard:*"]);
    let link = link(&redis.url().replace("redis://", "redis://pulse:hunter2@"));
    let why = refused(&link).await;
    assert!(why.contains("rights do not suffice") && why.contains("set"), "{why}");
    assert!(!why.contains("hunter2"), "{why}");
    acl(&["+@write", "+@read", "+@scripting", "+@pubsub", "&pulseboard:*"]);
    up(&link).await;
    works(&link).await;
}

#[tokio::test]
async fn a_replica_is_refused_as_one() {
    let primary = Redis::start();
    let port = primary.url().rsplit(':').next().unwrap().to_owned();
    let replica = Redis::start_with(None, &["--replicaof", "127.0.0.1", &port]);
    let link = link(&replica.url());
    let why = refused(&link).await;
    assert!(why.contains("read-only replica") && why.contains("redis+sentinel://"), "{why}");
    // It becomes a primary.
    redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec(&mut replica.connection()).unwrap();
    up(&link).await;
    works(&link).await;
    // And a replica again.
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg(&port).exec(&mut replica.connection()).unwrap();
    let why = refused_again(&link).await;
    assert!(why.contains("read-only replica"), "{why}");
}

async fn refused_again(link: &pulseboardd::cluster::Link) -> String {
    // Whoever writes finds out; heartbeats do, once a second.
    let mut set = redis::cmd("SET");
    set.arg(link.key("x")).arg(1);
    let _ = link.pipeline(&[set]).await;
    refused(link).await
}

/// Answers each connection's first bytes with `answer`.
fn impostor(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://:hunter2@{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4_096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[tokio::test]
async fn a_server_too_old_and_one_that_is_no_redis_are_named() {
    let old = "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, \
               `hunter2`, \r\n+OK\r\n+OK\r\n+OK\r\n";
    let why = refused(&link(&impostor(old))).await;
    assert_eq!(why, "Redis 6.0 or later is needed; this one is older");
    let why = refused(&link(&impostor("HTTP/1.1 400 Bad Request\r\n\r\n"))).await;
    assert_eq!(why, "what answers there does not speak Redis's protocol");
}

#[tokio::test]
async fn forms_that_do_not_fit_the_server_are_named() {
    let cluster = super::servers::RedisCluster::start();
    let why = refused(&link(&cluster.url_of_one())).await;
    assert!(why.contains("redis+cluster://"), "{why}");
    let single = Redis::start();
    let why = refused(&link(&single.url().replace("redis://", "redis+cluster://"))).await;
    assert!(why.contains("no Redis Cluster"), "{why}");
    let away = link("redis://127.0.0.1:1");
    let state = until(&away, "it is down", |state| {
        matches!(state, pulseboardd::cluster::State::Down { .. })
    });
    assert!(format!("{:?}", state.await).contains("nobody listens there"));
}
