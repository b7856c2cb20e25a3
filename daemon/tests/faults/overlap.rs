//! Faults at the same time: each is begun on its own, and ended on its own, in any order.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use super::fault::Fault;
use super::load::Load;
use super::world::World;

/// What can be begun while others last, by what it befalls: one of each at a time.
const BY_TARGET: [&[Fault]; 3] = [
    &[
        Fault::MongodStopped,
        Fault::MongodFrozen,
        Fault::MongodStepsDown,
        Fault::MongodPrimaryKilled,
        Fault::MongodRefusesWrites,
        Fault::MongodCut,
    ],
    &[Fault::RedisStopped, Fault::RedisEmptied, Fault::RedisFrozen, Fault::RedisCut],
    &[Fault::DaemonKilled, Fault::DaemonFrozen, Fault::DaemonTerminated],
];

/// So many faults of different targets, three at most.
pub(crate) fn choose(random: &mut StdRng, count: usize) -> Vec<Fault> {
    let mut targets = BY_TARGET;
    targets.shuffle(random);
    let one = |faults: &&[Fault]| *faults.choose(random).expect("there are some");
    targets.iter().take(count).map(one).collect()
}

/// Begins one after the other under load, then ends them in another order.
pub(crate) fn happen(faults: &[Fault], world: &mut World, load: &Load, random: &mut StdRng) {
    let mut begun = Vec::new();
    for fault in faults {
        begun.push(fault.begin(world, random));
        load.wait_for_more(random.random_range(20..300));
    }
    begun.shuffle(random);
    for begun in begun {
        begun.end(world);
        load.wait_for_more(random.random_range(20..200));
    }
}

/// A fault that lasts.
pub(crate) struct Begun {
    fault: Fault,
    /// The daemon it befell, if it was one.
    daemon: usize,
}

impl Fault {
    /// Brings it about, where it lasts until it is ended or is over at once.
    pub(crate) fn begin(self, world: &mut World, random: &mut StdRng) -> Begun {
        let daemon = random.random_range(0..world.cluster.len());
        match self {
            Self::MongodStopped => world.mongod_mut().stop(),
            Self::MongodFrozen => world.mongod_mut().freeze(),
            Self::MongodStepsDown => {
                world.mongod_mut().step_down(10);
            }
            Self::MongodPrimaryKilled => {
                let primary = world.mongod_mut().wait_for_primary();
                world.mongod_mut().members[primary].process.kill();
            }
            Self::MongodRefusesWrites => {
                // Not the primary, shutting down, disk full, not allowed, too slow to replicate.
                let codes = [10_107, 91, 14_031, 13, 64];
                let code = codes[random.random_range(0..codes.len())];
                world.mongod_mut().fail(&["insert", "update"], code);
            }
            Self::MongodCut => world.mongod_mut().proxy(0).cut_after(random.random_range(1..9_000)),
            Self::RedisStopped => world.redis_mut().process.stop(),
            Self::RedisEmptied => {
                world.redis_mut().process.kill();
                world.redis_mut().restart();
            }
            Self::RedisFrozen => world.redis_mut().process.freeze(),
            Self::RedisCut => world.redis_mut().proxy().cut_after(random.random_range(1..9_000)),
            Self::DaemonKilled => world.cluster.kill(daemon),
            Self::DaemonFrozen => world.cluster.freeze(daemon),
            Self::DaemonTerminated => {
                assert_eq!(world.cluster.terminate(daemon), Some(0), "it stops in order");
            }
            Self::MongodAbsent
            | Self::MongodLongAway
            | Self::MongodDiskFull
            | Self::DaemonLeaves => panic!("{self:?} is not begun and ended by itself"),
        }
        Begun { fault: self, daemon }
    }
}

impl Begun {
    /// Mends it.
    pub(crate) fn end(self, world: &mut World) {
        match self.fault {
            Fault::MongodStopped | Fault::MongodPrimaryKilled => world.mongod_mut().start(),
            Fault::MongodFrozen => world.mongod_mut().thaw(),
            Fault::MongodRefusesWrites => world.mongod_mut().heal(),
            Fault::RedisStopped => world.redis_mut().restart(),
            Fault::RedisFrozen => world.redis_mut().process.thaw(),
            Fault::DaemonKilled | Fault::DaemonTerminated => world.cluster.restart(self.daemon),
            Fault::DaemonFrozen => world.cluster.thaw(self.daemon),
            _ => {}
        }
    }
}
