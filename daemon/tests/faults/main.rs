//! Rounds, each with one fault at a random moment under load, made from a seed: whatever happens to
//! MongoDB, to Redis or to a daemon, what was acknowledged is stored once, and counted once.
//!
//! `FAULT_ROUNDS=100 FAULT_SEED=1 cargo nextest run -p pulseboardd --test faults rounds_by_seed
//! --no-capture` runs many, each with a fault of its seed's choice.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "waiting needs a clock")]

mod check;
mod fault;
mod instances;
mod load;
mod sender;
#[path = "../support/shared.rs"]
mod shared;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod watcher;
mod world;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use fault::Fault;
use load::{Load, Shape};
use world::World;

/// Runs a round; panics say what is wrong with what is stored or counted.
fn round(seed: u64, fault: Fault, daemons: usize, over_mongod: bool) {
    println!("seed {seed}: {fault:?}, {daemons} daemons, MongoDB: {over_mongod}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::start(fault, daemons, over_mongod);
    let mut shape = Shape::of(seed);
    if fault == Fault::MongodLongAway {
        // Enough for journals to fill.
        shape = Shape { padding: 4_000, batch: 300, pace: Duration::ZERO, ..shape };
    }
    let load = Load::start(world.cluster.addresses(), shape);
    load.wait_for_more(random.random_range(100..1_000));
    fault.happen(&mut world, &load, &mut random);
    load.wait_for_more(random.random_range(100..500));
    let account = load.stop();
    println!("met on the way: {:?}", account.retries);

    world.settle();
    let events = check::promises(&world, &account);
    if world.mongod().is_some() {
        check::minutes_in_mongod(&world, &events);
    }
    check::minutes_over_rest(&world, &events);
}

/// A round of the seed's own choice.
fn round_by_seed(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed ^ 0x5eed);
    let fault = Fault::ALL[random.random_range(0..Fault::ALL.len())];
    let several = fault.needs_redis() || random.random_bool(0.6);
    round(seed, fault, if several { 3 } else { 1 }, true);
}

#[test]
fn rounds_by_seed() {
    let variable = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = variable("FAULT_SEED").unwrap_or(1);
    for seed in first..first + variable("FAULT_ROUNDS").unwrap_or(1) {
        round_by_seed(seed);
    }
}

#[test]
fn a_single_daemon_that_is_killed_loses_nothing() {
    round(1_001, Fault::DaemonKilled, 1, false);
}

#[test]
fn a_single_daemon_that_stood_still_loses_nothing() {
    round(1_002, Fault::DaemonFrozen, 1, false);
}

#[test]
fn a_single_daemon_that_was_stopped_loses_nothing() {
    round(1_003, Fault::DaemonTerminated, 1, false);
}
