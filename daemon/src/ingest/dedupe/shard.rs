//! One shard of the remembered ids: a table with linear probing and no more than 20 bytes a slot.
//!
//! It grows by half while its ids are alive, and drops the forgotten ones only when it would grow.
//! A fingerprint is a keyed hash already, so its bits place it: nobody outside can aim at a slot.

/// Slots in use of 100, at most: the cost of a miss rises steeply beyond.
const LOAD_PERCENT: usize = 80;
const SLOTS_MIN: usize = 128;
/// How many slots are brought into the cache at once.
pub(super) const TOUCHED: usize = 32;

/// How large a shard may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Slots at which it is large enough for its share of `max_ids`. Shares are not quite equal,
    /// so a shard may go past it, by a sixteenth at a time.
    slots_full: usize,
    slots_first: usize,
}

impl Sizes {
    /// For shard `index` of `shards` with a share of `ids` each. Shards begin at different sizes
    /// and so grow at different times: one call does not pay for all of them.
    pub(super) fn for_ids(ids: usize, index: usize, shards: usize) -> Self {
        let slots_full = slots_for(ids).max(SLOTS_MIN);
        Self {
            slots_full: slots_full + slots_full * index / shards / 32,
            slots_first: SLOTS_MIN + SLOTS_MIN * index / shards / 2,
        }
    }
}

/// Ids and, beside each, the second it arrived. An id of 0 is a free slot.
#[derive(Debug)]
pub(super) struct Shard {
    ids: Vec<u128>,
    arrivals_secs: Vec<u32>,
    used: usize,
    sizes: Sizes,
}

impl Shard {
    pub(super) fn new(sizes: Sizes) -> Self {
        let slots = sizes.slots_first.min(sizes.slots_full);
        Self { ids: vec![0; slots], arrivals_secs: vec![0; slots], used: 0, sizes }
    }

    /// Remembers an id; returns whether it was new, or forgotten.
    #[inline]
    pub(super) fn insert(&mut self, id: u128, now_secs: u32, cutoff_secs: u32) -> bool {
        if self.used >= room(self.ids.len()) {
            self.make_room(cutoff_secs);
        }
        let slot = self.find(id);
        let free = self.ids[slot] == 0;
        if !free && self.arrivals_secs[slot] >= cutoff_secs {
            return false;
        }
        self.ids[slot] = id;
        self.arrivals_secs[slot] = now_secs;
        self.used += usize::from(free);
        true
    }

    /// Remembers an id as of when it arrived. Of an id that is there already the newer arrival is
    /// kept and the other one returned.
    pub(super) fn load(&mut self, id: u128, arrival_secs: u32, cutoff_secs: u32) -> Option<u32> {
        if self.used >= room(self.ids.len()) {
            self.make_room(cutoff_secs);
        }
        let slot = self.find(id);
        if self.ids[slot] == 0 {
            self.ids[slot] = id;
            self.arrivals_secs[slot] = arrival_secs;
            self.used += 1;
            return None;
        }
        let known = &mut self.arrivals_secs[slot];
        let (older, newer) = ((*known).min(arrival_secs), (*known).max(arrival_secs));
        *known = newer;
        Some(older)
    }

    /// Brings the slots of ids that will be asked for next into the cache, all at once instead of
    /// one after the other.
    pub(super) fn touch(&self, ids: impl Iterator<Item = u128>) {
        let slots = self.ids.len();
        let read = ids.fold(0, |read, id| {
            let slot = home(id, slots);
            read ^ self.ids[slot] as u32 ^ self.arrivals_secs[slot]
        });
        std::hint::black_box(read);
    }

    pub(super) fn contains(&self, id: u128, cutoff_secs: u32) -> bool {
        let slot = self.find(id);
        self.ids[slot] != 0 && self.arrivals_secs[slot] >= cutoff_secs
    }

    /// Forgets an id; returns whether it was there. Closes the gap, so that probing needs no
    /// tombstones.
    pub(super) fn remove(&mut self, id: u128) -> bool {
        let mut gap = self.find(id);
        if self.ids[gap] == 0 {
            return false;
        }
        let slots = self.ids.len();
        let mut next = gap;
        loop {
            next = if next + 1 == slots { 0 } else { next + 1 };
            if self.ids[next] == 0 {
                break;
            }
            // Whether the entry may move back to the gap: its home is not after the gap.
            let home = home(self.ids[next], slots);
            let behind =
                if gap <= next { home <= gap || home > next } else { home <= gap && home > next };
            if behind {
                self.ids[gap] = self.ids[next];
                self.arrivals_secs[gap] = self.arrivals_secs[next];
                gap = next;
            }
        }
        self.ids[gap] = 0;
        self.used -= 1;
        true
    }

    /// Room for this many ids, within what the shard may become.
    pub(super) fn reserve(&mut self, ids: usize) {
        let slots = (slots_for(ids) + slots_for(ids) / 32).min(self.sizes.slots_full);
        if slots > self.ids.len() {
            self.rebuild(slots, 0);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.ids.capacity() * size_of::<u128>() + self.arrivals_secs.capacity() * size_of::<u32>()
    }

    /// The slot that holds the id, or the free one where it belongs.
    #[inline]
    fn find(&self, id: u128) -> usize {
        let slots = self.ids.len();
        let mut slot = home(id, slots);
        loop {
            let there = self.ids[slot];
            if there == id || there == 0 {
                return slot;
            }
            slot += 1;
            if slot == slots {
                slot = 0;
            }
        }
    }

    #[cold]
    fn make_room(&mut self, cutoff_secs: u32) {
        let slots = self.ids.len();
        let alive = self
            .ids
            .iter()
            .zip(&self.arrivals_secs)
            .filter(|(id, arrival)| **id != 0 && **arrival >= cutoff_secs)
            .count();
        let full = self.sizes.slots_full;
        if alive <= room(slots) / 2 {
            self.sweep(cutoff_secs);
        } else if slots < full {
            self.rebuild((slots + slots / 2).min(full), cutoff_secs);
        } else if alive < room(slots) - room(slots) / 16 {
            self.sweep(cutoff_secs);
        } else {
            self.rebuild(slots + slots / 16, cutoff_secs);
        }
    }

    /// Drops the forgotten ids in place. Begins after a free slot, so that by the time an id is
    /// taken up everything between its home and its slot has been settled.
    fn sweep(&mut self, cutoff_secs: u32) {
        let slots = self.ids.len();
        let start = self.ids.iter().position(|id| *id == 0).unwrap_or(0);
        self.used = 0;
        for slot in (start..slots).chain(0..start) {
            let id = std::mem::take(&mut self.ids[slot]);
            if id != 0 && self.arrivals_secs[slot] >= cutoff_secs {
                let to = self.find(id);
                self.ids[to] = id;
                self.arrivals_secs[to] = self.arrivals_secs[slot];
                self.used += 1;
            }
        }
    }

    fn rebuild(&mut self, slots: usize, cutoff_secs: u32) {
        let ids = std::mem::replace(&mut self.ids, vec![0; slots]);
        let arrivals = std::mem::replace(&mut self.arrivals_secs, vec![0; slots]);
        self.used = 0;
        for (id, arrival_secs) in ids.into_iter().zip(arrivals) {
            if id != 0 && arrival_secs >= cutoff_secs {
                let slot = self.find(id);
                self.ids[slot] = id;
                self.arrivals_secs[slot] = arrival_secs;
                self.used += 1;
            }
        }
    }
}

/// Where probing for an id begins: the hash as a fraction of the table, from the bits that did not
/// choose the shard.
#[inline]
fn home(id: u128, slots: usize) -> usize {
    let bits = (id >> 58) as u64;
    ((u128::from(bits) * slots as u128) >> 64) as usize
}

fn room(slots: usize) -> usize {
    slots * LOAD_PERCENT / 100
}

fn slots_for(ids: usize) -> usize {
    ids * 100 / LOAD_PERCENT + 1
}
