//! The ids of the recent past, in memory: whether an event was taken before, exactly to its
//! 128-bit fingerprint.
//!
//! 64 shards by the hash, each an open-addressing table behind its own mutex, and one ledger that
//! counts ids by the time they came. An id is remembered for the horizon and 65 s from arrival. The
//! horizon is 24 h while the ids of that time number at most `max_ids`; beyond, the oldest are
//! forgotten early, down to 65 s, and then new events are refused. It reads no clock: times
//! arrive with the calls. Rebuilt at start from the journal's fingerprint columns.

mod ledger;
mod shard;

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use pulseboard::limits;
use thiserror::Error;

use ledger::Ledger;
use shard::{Shard, Sizes, TOUCHED};

const SHARDS: usize = 64;
/// From this many ids on a call sorts them by shard, to lock each once.
const SORT_FROM: usize = 48;
/// `dedupe.max_ids` by default.
pub const MAX_IDS: u64 = 10_000_000;

/// The remembered ids.
#[derive(Debug)]
pub struct Dedupe {
    shards: Vec<Mutex<Shard>>,
    ledger: Mutex<Ledger>,
    /// Ids that came before this second are forgotten. Written under the ledger's lock.
    cutoff_secs: AtomicU32,
}

/// More ids in the last 65 s than may be remembered.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("more events in the last 65 s than `dedupe.max_ids` remembers")]
pub struct DedupeFull;

impl Dedupe {
    /// An empty memory of at most `max_ids` ids, with the longest horizon.
    pub fn new(max_ids: u64, now_ms: i64) -> Self {
        Self::with_horizon(max_ids, limits::HORIZON_MS, now_ms)
    }

    /// An empty memory of at most `max_ids` ids with a horizon of `horizon_ms`, which is taken to
    /// be 65 s to 24 h.
    pub fn with_horizon(max_ids: u64, horizon_ms: i64, now_ms: i64) -> Self {
        let horizon_secs = secs(horizon_ms.min(limits::HORIZON_MS)).max(LEAST_SECS);
        let ledger = Ledger::new(max_ids.max(1), horizon_secs, secs(now_ms));
        let share = max_ids.max(1).div_ceil(SHARDS as u64) as usize;
        let shard = |index| Mutex::new(Shard::new(Sizes::for_ids(share, index, SHARDS)));
        Self {
            shards: (0..SHARDS).map(shard).collect(),
            cutoff_secs: AtomicU32::new(ledger.cutoff_secs()),
            ledger: Mutex::new(ledger),
        }
    }

    /// Makes room for about this many ids at once, as before a rebuild.
    pub fn reserve(&self, ids: u64) {
        for shard in &self.shards {
            shard.lock().reserve((ids / SHARDS as u64) as usize);
        }
    }

    /// Remembers each fingerprint that is not known yet. Sets `duplicates` to one entry for each:
    /// whether it was known, from before or from earlier in the same slice. Returns how many were
    /// new. All or nothing is remembered.
    pub fn check_and_insert(
        &self,
        fingerprints: &[u128],
        arrival_ms: i64,
        duplicates: &mut Vec<bool>,
    ) -> Result<usize, DedupeFull> {
        let now_secs = secs(arrival_ms);
        duplicates.clear();
        if self.reserve_in_ledger(fingerprints.len() as u64, now_secs).is_err() {
            // Nothing new can be taken, but a repeat of what was still gets its answer.
            if fingerprints.iter().all(|id| self.contains(*id)) {
                duplicates.resize(fingerprints.len(), true);
                return Ok(0);
            }
            return Err(DedupeFull);
        }
        let cutoff_secs = self.cutoff_secs.load(Ordering::Acquire);
        duplicates.resize(fingerprints.len(), false);
        let mut known = 0;
        let mut note = |index: usize, new: bool| {
            duplicates[index] = !new;
            known += usize::from(!new);
        };
        if fingerprints.len() < SORT_FROM {
            for (index, id) in fingerprints.iter().enumerate() {
                note(index, self.shard(*id).lock().insert(*id, now_secs, cutoff_secs));
            }
        } else {
            for_each_shard(fingerprints, |shard, indices| {
                let mut shard = self.shards[shard].lock();
                for indices in indices.chunks(TOUCHED) {
                    shard.touch(indices.iter().map(|index| fingerprints[*index as usize]));
                    for index in indices {
                        let index = *index as usize;
                        note(index, shard.insert(fingerprints[index], now_secs, cutoff_secs));
                    }
                }
            });
        }
        if known > 0 {
            self.ledger.lock().give_back(known as u64, now_secs);
        }
        Ok(fingerprints.len() - known)
    }

    /// Forgets fingerprints whose events were not written after all.
    pub fn release(&self, fingerprints: &[u128], arrival_ms: i64) {
        let mut gone = 0;
        for id in fingerprints {
            gone += u64::from(self.shard(*id).lock().remove(*id));
        }
        self.ledger.lock().give_back(gone, secs(arrival_ms));
    }

    /// Whether a fingerprint is remembered.
    pub fn contains(&self, fingerprint: u128) -> bool {
        let cutoff_secs = self.cutoff_secs.load(Ordering::Acquire);
        self.shard(fingerprint).lock().contains(fingerprint, cutoff_secs)
    }

    /// Remembers what the journal holds: fingerprints and when each arrived, Unix ms. May be called
    /// from several threads; of a fingerprint that occurs twice the newer arrival counts.
    pub fn load(&self, fingerprints: &[u128], arrivals_ms: &[i64]) {
        let mut repeated = Vec::new();
        {
            let mut ledger = self.ledger.lock();
            for arrival_ms in arrivals_ms {
                ledger.add(secs(*arrival_ms));
            }
            ledger.fit();
            self.cutoff_secs.store(ledger.cutoff_secs(), Ordering::Release);
        }
        let cutoff_secs = self.cutoff_secs.load(Ordering::Acquire);
        let mut load = |shard: &mut Shard, index: usize| {
            let Some(arrival_ms) = arrivals_ms.get(index) else { return };
            let arrival_secs = secs(*arrival_ms);
            if arrival_secs >= cutoff_secs {
                repeated.extend(shard.load(fingerprints[index], arrival_secs, cutoff_secs));
            }
        };
        if fingerprints.len() < SORT_FROM {
            for (index, id) in fingerprints.iter().enumerate() {
                load(&mut self.shard(*id).lock(), index);
            }
        } else {
            for_each_shard(fingerprints, |shard, indices| {
                let mut shard = self.shards[shard].lock();
                for indices in indices.chunks(TOUCHED) {
                    shard.touch(indices.iter().map(|index| fingerprints[*index as usize]));
                    for index in indices {
                        load(&mut shard, *index as usize);
                    }
                }
            });
        }
        if !repeated.is_empty() {
            let mut ledger = self.ledger.lock();
            for arrival_secs in repeated {
                ledger.give_back(1, arrival_secs);
            }
        }
    }

    /// How far back an event may be stamped and still be recognised when it comes again, ms.
    pub fn horizon_ms(&self, now_ms: i64) -> i64 {
        self.ledger.lock().horizon_secs(secs(now_ms)) * 1_000
    }

    /// Whether every new id is refused now.
    pub fn is_full(&self, now_ms: i64) -> bool {
        self.ledger.lock().is_full(secs(now_ms))
    }

    /// How many ids are remembered.
    pub fn ids(&self) -> u64 {
        self.ledger.lock().total()
    }

    /// The memory they take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().bytes() as u64).sum()
    }

    fn reserve_in_ledger(&self, count: u64, now_secs: u32) -> Result<(), DedupeFull> {
        let mut ledger = self.ledger.lock();
        let result = ledger.reserve(count, now_secs);
        self.cutoff_secs.store(ledger.cutoff_secs(), Ordering::Release);
        result
    }

    fn shard(&self, id: u128) -> &Mutex<Shard> {
        &self.shards[shard_of(id)]
    }
}

/// The least that is remembered, and the least the horizon says.
const LEAST_SECS: u32 = limits::FINAL_AFTER_SECS as u32;

fn shard_of(id: u128) -> usize {
    (id >> 122) as usize
}

fn secs(ms: i64) -> u32 {
    u32::try_from(ms.div_euclid(1_000)).unwrap_or(if ms < 0 { 0 } else { u32::MAX })
}

/// Calls `visit` for each shard that any of the fingerprints falls in, with their indices in
/// ascending order.
fn for_each_shard(fingerprints: &[u128], mut visit: impl FnMut(usize, &[u32])) {
    let mut ends = [0_u32; SHARDS + 1];
    for id in fingerprints {
        ends[shard_of(*id) + 1] += 1;
    }
    for shard in 0..SHARDS {
        ends[shard + 1] += ends[shard];
    }
    let mut next = ends;
    let mut order = vec![0_u32; fingerprints.len()];
    for (index, id) in fingerprints.iter().enumerate() {
        let slot = &mut next[shard_of(*id)];
        order[*slot as usize] = index as u32;
        *slot += 1;
    }
    for shard in 0..SHARDS {
        let indices = &order[ends[shard] as usize..ends[shard + 1] as usize];
        if !indices.is_empty() {
            visit(shard, indices);
        }
    }
}

#[cfg(test)]
mod tests;
