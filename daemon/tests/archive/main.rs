//! MongoDB as the store, with real servers: what is made in it, what is refused, and that REST
//! answers as it does from the embedded store, each question by its index.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod explained;
mod mixed;
mod refused;
mod setup;
#[path = "../support/shared.rs"]
mod shared;
mod stored;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use shared::mongod::Mongod;
use support::{Daemon, eventually, plain};

/// A daemon that stores there.
fn daemon(dir: &Path, mongod: &Mongod) -> Daemon {
    let uri = mongod.uri();
    let settings =
        [("PULSEBOARD_STORE__KIND", "mongodb"), ("PULSEBOARD_STORE__MONGODB__URI", &uri)];
    Daemon::start_with(dir, &settings)
}

/// `pulseboardd --setup-store` with an address.
fn setup(uri: &str, more: &[&str]) -> Output {
    let mut command: Command = plain();
    command.args(["--setup-store", "--store", "mongodb", "--mongodb-uri", uri]).args(more);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The store's check of readiness: its status and its detail.
fn check(daemon: &Daemon) -> (String, String) {
    let check = daemon.get("/health/ready").json()["checks"]["store"].clone();
    let field = |name: &str| check[name].as_str().unwrap().to_owned();
    (field("status"), field("detail"))
}

/// Waits until everything acknowledged is in the store, aggregates too.
fn drained(daemon: &Daemon) {
    eventually("everything is in the store", || {
        let behind = daemon.metric("pulseboard_store_lag_events");
        let (status, _) = check(daemon);
        (behind == 0.0 && status == "ok").then_some(())
    });
}

/// What an error says: one line.
fn line(output: &Output) -> String {
    let said = text(&output.stderr);
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    said.trim_end().to_owned()
}

fn items(answer: &Value, name: &str) -> Vec<Value> {
    answer[name].as_array().unwrap().clone()
}
