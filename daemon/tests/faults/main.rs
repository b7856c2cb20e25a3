//! Rounds, each with one fault at a random moment under load, made from a seed: whatever happens to
//! MongoDB, to Redis or to a daemon, what was acknowledged is stored once, and counted once.
//!
//! `FAULT_ROUNDS=100 FAULT_SEED=1 cargo nextest run -p pulseboardd --test faults rounds_by_seed
//! --no-capture` runs many, each with a fault of its seed's choice; `FAULT_KIND=Redis` of one kind only;
//! `FAULT_AT_ONCE=3` with two or three at the same time, of MongoDB, of Redis and of a daemon.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "waiting needs a clock")]

mod bad_input;
mod check;
mod fault;
mod instances;
mod load;
mod overlap;
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
fn round(seed: u64, faults: &[Fault], daemons: usize, over_mongod: bool) {
    println!("seed {seed}: {faults:?}, {daemons} daemons, MongoDB: {over_mongod}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::start(faults, daemons, over_mongod);
    let mut shape = Shape::of(seed);
    if faults.contains(&Fault::MongodLongAway) {
        // Enough for journals to fill, in messages that sockets take.
        shape = Shape { padding: 4_000, batch: 150, pace: Duration::ZERO, ..shape };
    }
    let load = Load::start(world.cluster.addresses(), shape);
    load.wait_for_more(random.random_range(100..1_000));
    match faults {
        [fault] => fault.happen(&mut world, &load, &mut random),
        several => overlap::happen(several, &mut world, &load, &mut random),
    }
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
    let at_once = std::env::var("FAULT_AT_ONCE").map_or(1, |text| text.parse().unwrap());
    if at_once > 1 {
        let count = random.random_range(2..=at_once);
        return round(seed, &overlap::choose(&mut random, count), 3, true);
    }
    // Of one kind only, by the beginning of its name: FAULT_KIND=Redis.
    let kind = std::env::var("FAULT_KIND").unwrap_or_default();
    let is_wanted = |fault: &Fault| format!("{fault:?}").starts_with(&kind);
    let faults: Vec<Fault> = Fault::ALL.into_iter().filter(is_wanted).collect();
    let fault = faults[random.random_range(0..faults.len())];
    let several = fault.needs_redis() || random.random_bool(0.6);
    round(seed, &[fault], if several { 3 } else { 1 }, true);
}

#[test]
fn rounds_by_seed() {
    let variable = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = variable("FAULT_SEED").unwrap_or(1);
    let seeds = first..first + variable("FAULT_ROUNDS").unwrap_or(1);
    // All are run: a hundred rounds are worth more than the first that fails.
    let fails = |seed: &u64| std::panic::catch_unwind(|| round_by_seed(*seed)).is_err();
    let failed: Vec<u64> = seeds.clone().filter(fails).collect();
    assert!(failed.is_empty(), "of {seeds:?} these failed, each by itself by its seed: {failed:?}");
}

/// One round of a kind, each a test.
macro_rules! rounds {
    ($($name:ident: $fault:ident, $daemons:literal $(daemons)? $(daemon)?, seed $seed:literal;)+) => {
        $(#[test] fn $name() {
            round($seed, &[Fault::$fault], $daemons, true);
        })+
    };
}

rounds! {
    mongodb_comes_after_the_daemon: MongodAbsent, 1 daemon, seed 2_001;
    mongodb_is_stopped: MongodStopped, 3 daemons, seed 2_002;
    mongodb_stands_still: MongodFrozen, 1 daemon, seed 2_003;
    mongodb_has_its_primary_step_down: MongodStepsDown, 1 daemon, seed 2_004;
    mongodb_has_its_primary_killed: MongodPrimaryKilled, 1 daemon, seed 2_005;
    mongodb_refuses_writes: MongodRefusesWrites, 1 daemon, seed 2_006;
    connections_to_mongodb_break_in_the_middle_of_batches: MongodCut, 1 daemon, seed 2_007;
    mongodb_is_away_until_the_journal_is_full: MongodLongAway, 1 daemon, seed 2_008;
    redis_is_stopped: RedisStopped, 3 daemons, seed 2_009;
    redis_loses_all_it_knows: RedisEmptied, 3 daemons, seed 2_010;
    redis_stands_still: RedisFrozen, 3 daemons, seed 2_011;
    connections_to_redis_break: RedisCut, 3 daemons, seed 2_012;
    one_of_three_daemons_is_killed: DaemonKilled, 3 daemons, seed 2_013;
    one_of_three_daemons_stands_still: DaemonFrozen, 3 daemons, seed 2_014;
    one_of_three_daemons_is_stopped: DaemonTerminated, 3 daemons, seed 2_015;
    one_of_three_daemons_leaves_and_comes_back: DaemonLeaves, 3 daemons, seed 2_016;
}

#[test]
#[ignore = "takes the right to mount a file system: cargo xtask test runs it where it may"]
fn mongodb_has_no_room() {
    round(2_017, &[Fault::MongodDiskFull], 1, true);
}

#[test]
fn a_single_daemon_with_a_store_of_its_own_is_killed() {
    round(2_018, &[Fault::DaemonKilled], 1, false);
}

#[test]
fn a_single_daemon_with_a_store_of_its_own_stands_still() {
    round(2_019, &[Fault::DaemonFrozen], 1, false);
}

#[test]
fn mongodb_elects_another_primary_while_redis_stands_still_and_a_daemon_is_killed() {
    let faults = [Fault::MongodStepsDown, Fault::RedisFrozen, Fault::DaemonKilled];
    round(2_020, &faults, 3, true);
}
