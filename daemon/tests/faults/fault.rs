//! What goes wrong in a round, how it is brought about, and how it ends.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;

use super::load::Load;
use super::world::World;

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// MongoDB is not there when the daemons start.
    MongodAbsent,
    /// MongoDB is stopped in the middle.
    MongodStopped,
    /// MongoDB stands still with its connections open.
    MongodFrozen,
    /// The primary gives up its place to another member.
    MongodStepsDown,
    /// The primary is killed.
    MongodPrimaryKilled,
    /// MongoDB answers writes with an error.
    MongodRefusesWrites,
    /// Connections to MongoDB break in the middle of batches.
    MongodCut,
    /// MongoDB is away until the journals are full.
    MongodLongAway,
    /// MongoDB's disk is full.
    MongodDiskFull,
    /// Redis is stopped.
    RedisStopped,
    /// Redis loses all it knows.
    RedisEmptied,
    /// Redis stands still.
    RedisFrozen,
    /// Connections to Redis break.
    RedisCut,
    /// A daemon is killed and starts again.
    DaemonKilled,
    /// A daemon stands still for 10 s.
    DaemonFrozen,
    /// A daemon is told to stop and starts again.
    DaemonTerminated,
    /// A daemon leaves, and comes back when the others have gone on for a while.
    DaemonLeaves,
}

impl Fault {
    /// What rounds by seed choose from.
    pub(crate) const ALL: [Self; 16] = [
        Self::MongodAbsent,
        Self::MongodStopped,
        Self::MongodFrozen,
        Self::MongodStepsDown,
        Self::MongodPrimaryKilled,
        Self::MongodRefusesWrites,
        Self::MongodCut,
        Self::MongodLongAway,
        Self::RedisStopped,
        Self::RedisEmptied,
        Self::RedisFrozen,
        Self::RedisCut,
        Self::DaemonKilled,
        Self::DaemonFrozen,
        Self::DaemonTerminated,
        Self::DaemonLeaves,
    ];

    /// Whether it takes a Redis, and so several daemons.
    pub(crate) fn needs_redis(self) -> bool {
        matches!(self, Self::RedisStopped | Self::RedisEmptied | Self::RedisFrozen | Self::RedisCut)
    }

    /// Members of the replica set it takes.
    pub(crate) fn members(self) -> usize {
        if matches!(self, Self::MongodStepsDown | Self::MongodPrimaryKilled) { 3 } else { 1 }
    }

    /// Brings it about under load, and mends it.
    pub(crate) fn happen(self, world: &mut World, load: &Load, random: &mut StdRng) {
        let while_it_lasts = random.random_range(200..1_500);
        match self {
            Self::MongodAbsent => {
                load.wait_for_more(while_it_lasts);
                world.mongod_mut().start();
            }
            Self::MongodCut => {
                for _ in 0..random.random_range(1..5) {
                    let bytes = random.random_range(1..60_000);
                    world.mongod_mut().proxy(0).cut_after(bytes);
                    load.wait_for_more(random.random_range(100..600));
                }
            }
            Self::MongodLongAway => {
                world.mongod_mut().stop();
                world.wait_for_spool_full(load);
                world.mongod_mut().start();
            }
            Self::MongodDiskFull => {
                world.fill_disk();
                load.wait_for_more(while_it_lasts);
                world.free_disk();
                world.mongod_mut().start();
            }
            Self::MongodStopped
            | Self::MongodFrozen
            | Self::MongodPrimaryKilled
            | Self::MongodRefusesWrites
            | Self::RedisStopped
            | Self::RedisFrozen => {
                let begun = self.begin(world, random);
                load.wait_for_more(while_it_lasts);
                begun.end(world);
            }
            Self::MongodStepsDown | Self::RedisEmptied => self.begin(world, random).end(world),
            Self::RedisCut => {
                for _ in 0..random.random_range(1..5) {
                    world.redis_mut().proxy().cut_after(random.random_range(1..20_000));
                    load.wait_for_more(random.random_range(100..600));
                }
            }
            Self::DaemonKilled => {
                let number = random.random_range(0..world.cluster.len());
                world.cluster.kill(number);
                world.go_on_without(load, while_it_lasts);
                world.cluster.restart(number);
            }
            Self::DaemonFrozen => {
                let number = random.random_range(0..world.cluster.len());
                world.cluster.freeze(number);
                // The fault itself: this long.
                std::thread::sleep(Duration::from_secs(10));
                world.cluster.thaw(number);
            }
            Self::DaemonTerminated => {
                let number = random.random_range(0..world.cluster.len());
                assert_eq!(world.cluster.terminate(number), Some(0), "it stops in order");
                world.cluster.restart(number);
            }
            Self::DaemonLeaves => {
                let number = random.random_range(0..world.cluster.len());
                assert_eq!(world.cluster.terminate(number), Some(0), "it stops in order");
                world.go_on_without(load, 4 * while_it_lasts);
                world.cluster.restart(number);
            }
        }
    }
}
