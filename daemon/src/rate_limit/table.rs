//! Buckets by key, bounded: where governor keeps what it knows of callers and senders.
//!
//! A key is a hash, its state one number: the time until which its bucket is not full. Whose time
//! is over is as good as unknown and is dropped, by [`Table::prune`] every few seconds and, at most
//! once a second, when there is no room. Is there still none, those who are new share the one
//! bucket of their part of the table until there is: memory stays flat whoever knocks, and whoever
//! is known keeps a bucket of their own.

use std::num::NonZeroU32;
use std::time::Duration;

use foldhash::fast::RandomState;
use governor::nanos::Nanos;
use governor::state::StateStore;
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::decide::{Rate, decide};
use super::{Exceeded, Standing};

/// Parts, each under a lock of its own.
const PARTS: usize = 16;
/// Keys of a part. In all 65,536 keys of 16 bytes; past it, see the module.
const KEYS_OF_PART: usize = 4_096;
/// How often a part that is full looks for keys to drop, ns.
const PRUNE_EVERY_NS: u64 = 1_000_000_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Table {
    parts: [Mutex<Part>; PARTS],
}

#[derive(Debug, Default)]
struct Part {
    /// Until when each bucket is not full, ns.
    full_at: HashMap<u64, u64, RandomState>,
    /// The same for the bucket of everyone there was no room for.
    others_full_at: u64,
    next_prune_ns: u64,
}

/// A table at a moment, as a store of governor's.
struct At<'a> {
    table: &'a Table,
    now_ns: u64,
}

impl Default for Table {
    fn default() -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Table {
    /// Most keys it holds.
    #[cfg(test)]
    pub(super) const KEYS_MAX: usize = PARTS * KEYS_OF_PART;

    /// Takes `count` of `key`'s bucket, or says why not.
    pub(super) fn charge(
        &self,
        key: u64,
        rate: &Rate,
        count: NonZeroU32,
        now: Duration,
    ) -> Result<Standing, Exceeded> {
        let at = At { table: self, now_ns: now.as_nanos() as u64 };
        decide(at, key, rate, count, now)
    }

    /// Gives back what was taken.
    pub(super) fn give_back(&self, key: u64, rate: &Rate, count: NonZeroU32) {
        let mut part = self.part(key).lock();
        let part = &mut *part;
        let full_at = part.full_at.get_mut(&key).unwrap_or(&mut part.others_full_at);
        *full_at = full_at.saturating_sub(rate.weight(count));
    }

    /// Drops every key whose bucket is full.
    pub(super) fn prune(&self, now: Duration) {
        for part in &self.parts {
            let mut part = part.lock();
            part.prune(now.as_nanos() as u64);
            // What an attack left behind is given back.
            if part.full_at.capacity() > 4 * part.full_at.len() {
                part.full_at.shrink_to_fit();
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().full_at.len()).sum()
    }

    /// Memory it takes, about.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.lock().full_at.allocation_size()).sum()
    }

    fn part(&self, key: u64) -> &Mutex<Part> {
        &self.parts[(key >> 60) as usize % PARTS]
    }
}

impl Part {
    fn prune(&mut self, now_ns: u64) {
        self.full_at.retain(|_, full_at| *full_at > now_ns);
    }

    fn has_room(&mut self, now_ns: u64) -> bool {
        if self.full_at.len() >= KEYS_OF_PART && now_ns >= self.next_prune_ns {
            self.prune(now_ns);
            self.next_prune_ns = now_ns + PRUNE_EVERY_NS;
        }
        self.full_at.len() < KEYS_OF_PART
    }
}

impl StateStore for At<'_> {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut part = self.table.part(*key).lock();
        if let Some(full_at) = part.full_at.get_mut(key) {
            let (taken, then) = decide(Some(Nanos::new(*full_at)))?;
            *full_at = then.as_u64();
            return Ok(taken);
        }
        if part.has_room(self.now_ns) {
            let (taken, then) = decide(None)?;
            part.full_at.insert(*key, then.as_u64());
            return Ok(taken);
        }
        let others = (part.others_full_at > 0).then(|| Nanos::new(part.others_full_at));
        let (taken, then) = decide(others)?;
        part.others_full_at = then.as_u64();
        Ok(taken)
    }
}
