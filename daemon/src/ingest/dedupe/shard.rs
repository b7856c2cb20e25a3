//! One shard of the remembered ids: a table with linear probing and no more than 20 bytes a slot.
//!
//! It grows by half while its ids are alive, and drops the forgotten ones only when it would grow.
//! A fingerprint is a keyed hash already, so its bits place it: nobody outside can aim at a slot.

/// Slots in use of 100, at most.
const LOAD_PERCENT: usize = 85;
const SLOTS_MIN: usize = 128;

/// How large a shard may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Slots at which it is large enough for its share of `max_ids`. Shares are not quite equal,
    /// so a shard may go past it, by a sixteenth at a time.
    slots_full: usize,
}

impl Sizes {
    pub(super) fn for_ids(ids: usize) -> Self {
        Self { slots_full: slots_for(ids).max(SLOTS_MIN) }
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
        let slots = SLOTS_MIN.min(sizes.slots_full);
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
        let slots = if alive <= room(slots) / 2 {
            slots
        } else if slots < full {
            (slots + slots / 2).min(full)
        } else if alive < room(slots) - room(slots) / 16 {
            slots
        } else {
            slots + slots / 16
        };
        self.rebuild(slots, cutoff_secs);
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
