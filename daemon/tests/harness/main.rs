//! The scenarios' own tools: real MongoDB and Redis processes, and a network that fails, do what
//! scenarios rely on.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

#[path = "../support/shared.rs"]
mod shared;
#[path = "../support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use mongodb::bson::{Document, doc};
use mongodb::options::{Acknowledgment, WriteConcern};
use shared::mongod::Mongod;
use shared::proxy::Proxy;
use shared::redis::Redis;
use support::eventually;

/// Writes a document as the daemon would; the error if it was refused.
fn insert(mongod: &Mongod, id: &'static str) -> Result<(), String> {
    mongod.with(async move |database| {
        let events = database.collection::<Document>("events");
        let durable = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
        let written = events.insert_one(doc! {"_id": id}).write_concern(durable).await;
        written.map(drop).map_err(|error| error.to_string())
    })
}

#[test]
fn a_standalone_mongod_keeps_what_it_took_over_kill_and_restart() {
    let mut mongod = Mongod::standalone().start();
    insert(&mongod, "one").unwrap();
    mongod.stop();
    mongod.start();
    insert(&mongod, "two").unwrap();
    mongod.freeze();
    mongod.kill();
    mongod.start();
    assert_eq!(mongod.ids("events"), ["one", "two"]);
}

#[test]
fn a_set_of_three_with_a_password_elects_another_primary() {
    let mut mongod = Mongod::set(3).user("daemon", "a password").start();
    let first = mongod.wait_for_primary();
    mongod.members[first].process.kill();
    let second = eventually("another primary", || mongod.primary());
    assert_ne!(first, second);
    eventually("it is written, once", || match insert(&mongod, "one") {
        Ok(()) => Some(()),
        // It was, and whoever was to say so gave up its place meanwhile.
        Err(error) => error.contains("E11000").then_some(()),
    });
    mongod.start();
    let stepped_down = mongod.step_down(10);
    eventually("another", || mongod.primary().filter(|other| *other != stepped_down));
    assert_eq!(mongod.ids("events"), ["one"]);
}

#[test]
fn a_mongod_refuses_and_cuts_on_demand() {
    let mongod = Mongod::set(1).fail_points().start();
    mongod.fail(&["insert"], 14_031);
    let refused = insert(&mongod, "one").unwrap_err();
    assert!(refused.contains("14031"), "{refused}");
    mongod.cut(&["insert"]);
    insert(&mongod, "one").unwrap_err();
    mongod.heal();
    insert(&mongod, "one").unwrap();
}

#[test]
fn a_set_behind_a_proxy_is_reached_through_it_alone() {
    let mongod = Mongod::set(1).behind_proxies().start();
    let before = mongod.proxy(0).moved_bytes();
    insert(&mongod, "one").unwrap();
    assert!(mongod.proxy(0).moved_bytes() > before);
    mongod.proxy(0).refuse();
    insert(&mongod, "two").unwrap_err();
    mongod.proxy(0).pass();
    insert(&mongod, "two").unwrap();
}

#[test]
fn a_redis_with_a_password_is_empty_after_a_restart() {
    let mut redis = Redis::start_with(Some("secret"), &["--maxmemory", "64mb"]);
    let without = redis::Client::open(redis.url_without_password()).unwrap();
    let refused = without.get_connection().and_then(|mut connection| {
        redis::cmd("GET").arg("key").query::<Option<String>>(&mut connection)
    });
    assert!(refused.unwrap_err().to_string().contains("NOAUTH"));
    let set = |redis: &Redis| {
        let mut connection = redis.connection();
        redis::cmd("SET").arg("key").arg("x").arg("GET").query::<Option<String>>(&mut connection)
    };
    assert_eq!(set(&redis).unwrap(), None);
    assert_eq!(set(&redis).unwrap().as_deref(), Some("x"));
    redis.process.stop();
    redis.restart();
    assert_eq!(set(&redis).unwrap(), None);
}

#[test]
fn a_proxy_cuts_in_the_middle_freezes_and_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::to(&listener.local_addr().unwrap().to_string());
    let connect = || TcpStream::connect(proxy.address()).unwrap();

    let mut client = connect();
    let mut server = listener.accept().unwrap().0;
    proxy.cut_after(5);
    client.write_all(b"123").unwrap();
    server.read_exact(&mut [0; 3]).unwrap();
    client.write_all(b"4567").unwrap();
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).unwrap();
    assert_eq!((rest.as_slice(), proxy.cuts()), (b"45".as_slice(), 1));

    proxy.freeze();
    let mut client = connect();
    let mut server = listener.accept().unwrap().0;
    client.write_all(b"later").unwrap();
    server.set_nonblocking(true).unwrap();
    assert_eq!(server.read(&mut [0; 9]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    server.set_nonblocking(false).unwrap();
    proxy.pass();
    let mut arrived = [0; 5];
    server.read_exact(&mut arrived).unwrap();
    assert_eq!(&arrived, b"later");

    proxy.refuse();
    assert_eq!(connect().read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(server.read(&mut [0; 1]).unwrap_or(0), 0);
    proxy.pass();
    connect().write_all(b"x").unwrap();
    listener.accept().unwrap().0.read_exact(&mut [0; 1]).unwrap();
}

#[test]
fn a_proxy_makes_a_server_say_something_else() {
    let redis = Redis::start();
    let address = redis.url_without_password().replace("redis://", "");
    let proxy = Proxy::rewriting(&address, |bytes| {
        if bytes.starts_with(b"+PONG") {
            bytes[1] = b'S';
        }
    });
    let client = redis::Client::open(format!("redis://{}", proxy.address())).unwrap();
    let said: String = redis::cmd("PING").query(&mut client.get_connection().unwrap()).unwrap();
    assert_eq!(said, "SONG");
}
