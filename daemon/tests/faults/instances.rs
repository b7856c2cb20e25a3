//! Three instances over one MongoDB and one Redis, one of them killed, one of them frozen: the
//! others' dashboards go on every second, say how many report, and all tell the same afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::check::{self, until_none};
use super::fault::Fault;
use super::load::{Load, Shape};
use super::watcher::Watcher;
use super::world::World;
use crate::support::eventually;

const ALL: (u64, u64) = (3, 3);
const TWO: (u64, u64) = (2, 3);

/// Frames that must come while one instance stands still: none would if they waited for it.
const FRAMES_WHILE_FROZEN: usize = 5;

#[test]
fn others_go_on_every_second_when_one_is_killed_and_one_stands_still() {
    let mut world = World::start(&[Fault::DaemonKilled], 3, true);
    let addresses = world.cluster.addresses();
    let load = Load::start(addresses.clone(), Shape::of(77));
    let first = Watcher::start(addresses[0], "window:1s");
    let second = Watcher::start(addresses[1], "window:60s");
    says(&first, ALL);
    says(&second, ALL);

    world.cluster.kill(2);
    says(&first, TWO);
    says(&second, TWO);
    world.cluster.restart(2);
    says(&first, ALL);
    says(&second, ALL);

    let third = Watcher::start(addresses[2], "window:60s");
    says(&third, ALL);
    let before = [&first, &third].map(|watcher| watcher.frames().len());
    world.cluster.freeze(1);
    // This is what is tried: ten seconds.
    std::thread::sleep(Duration::from_secs(10));
    for (watcher, before) in [&first, &third].into_iter().zip(before) {
        eventually("frames come while one stands still", || {
            (watcher.frames().len() >= before + FRAMES_WHILE_FROZEN).then_some(())
        });
        says(watcher, TWO);
    }
    world.cluster.thaw(1);
    says(&first, ALL);
    says(&third, ALL);

    let account = load.stop();
    for watcher in [&first, &third] {
        let frames = watcher.frames();
        for two in frames.windows(2) {
            let missed = two[1].tick - two[0].tick - 1;
            assert_eq!(missed, two[1].lagged as i64, "every second is sent, or told as missed");
        }
    }
    world.settle();
    histories_agree(&world);
    let events = check::promises(&world, &account);
    check::minutes_in_mongod(&world, &events);
    check::minutes_over_rest(&world, &events);
}

fn says(watcher: &Watcher, nodes: (u64, u64)) {
    eventually(&format!("a frame that says {nodes:?}; the last: {:?}", watcher.nodes()), || {
        (watcher.nodes() == Some(nodes)).then_some(())
    });
}

/// Waits until all tell the same of each tick that each of them has, in the 1 s and the 60 s window.
fn histories_agree(world: &World) {
    until_none("histories differ", || {
        let told: Vec<_> = (0..3).map(|number| history(world, number)).collect();
        let common = told[0].keys().filter(|key| told.iter().all(|rows| rows.contains_key(key)));
        let common: Vec<_> = common.collect();
        let differs = |key: &&&(&str, i64)| told.iter().any(|rows| rows[**key] != told[0][**key]);
        let lines = common.iter().filter(differs).map(|key| {
            let rows: Vec<String> = told.iter().map(|rows| rows[*key].to_string()).collect();
            format!("{key:?}:\n  {}", rows.join("\n  "))
        });
        let lines: Vec<String> = lines.collect();
        if common.len() < 60 {
            return Some(format!("only {} ticks are known to all", common.len()));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    });
}

/// The history of two windows by window and tick, without the newest, which may still be corrected.
fn history(world: &World, number: usize) -> BTreeMap<(&'static str, i64), Value> {
    let mut rows = BTreeMap::new();
    for window in ["1s", "60s"] {
        let snapshot = world.get(number, &format!("/api/aggregates?window={window}"));
        let columns = snapshot["history"].as_object().unwrap();
        let ticks = columns["tick"].as_array().unwrap();
        for at in 0..ticks.len() {
            let mut row = BTreeMap::new();
            for name in ["events", "activeUsers", "errors", "p50", "p95", "p99"] {
                row.insert(name, columns[name][at].clone());
            }
            rows.insert((window, ticks[at].as_i64().unwrap()), serde_json::json!(row));
        }
    }
    rows
}
