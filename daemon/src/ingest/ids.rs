//! The ids the daemon gives to events that came without one.
//!
//! 26 characters of Crockford's base 32: milliseconds, so that they sort by time, 62 bits that name
//! the call, and 20 bits for the place in it. Unique within a process, since a call's name is a
//! bijection of a counter; over restarts and instances by time and the keys drawn at start. The
//! counter itself does not show: who sends events of one site must not learn how many others do.
//! With an `Idempotency-Key` the id is a hash of site,
//! subject, key and place instead, so that a retried call makes the same ids again, on every
//! instance.

use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip128::SipHasher13;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LEN: usize = 26;
const CALL_BITS: u32 = 62;
const PLACE_BITS: u32 = 20;

/// Makes ids.
#[derive(Debug)]
pub(super) struct Ids {
    keys: [u64; 3],
    next: AtomicU64,
}

/// An id as text.
pub(super) struct Id([u8; LEN]);

impl Ids {
    pub(super) fn new() -> Self {
        Self { keys: rand::random(), next: AtomicU64::new(0) }
    }

    /// Sets `count` ids of one moment aside; the first is `nth(0)`.
    pub(super) fn reserve(&self, now_ms: i64, count: u64) -> Reserved {
        let calls = count.div_ceil(1 << PLACE_BITS);
        let first = self.next.fetch_add(calls, Ordering::Relaxed);
        Reserved { now_ms, keys: self.keys, first }
    }
}

/// Ids set aside.
pub(super) struct Reserved {
    now_ms: i64,
    keys: [u64; 3],
    first: u64,
}

impl Reserved {
    pub(super) fn nth(&self, index: u64) -> Id {
        let time = u128::from(self.now_ms as u64) << (CALL_BITS + PLACE_BITS);
        let call = u128::from(mixed(self.first + (index >> PLACE_BITS), self.keys)) << PLACE_BITS;
        Id::of(time | call | u128::from(index & ((1 << PLACE_BITS) - 1)))
    }
}

/// A bijection of numbers of [`CALL_BITS`], each step being one, that differs with the keys.
fn mixed(number: u64, keys: [u64; 3]) -> u64 {
    const MASK: u64 = (1 << CALL_BITS) - 1;
    keys.into_iter().fold(number & MASK, |number, key| {
        let product = (number ^ (key >> 1)).wrapping_mul(key | 1) & MASK;
        product ^ (product >> 31)
    })
}

/// The id of item `place` of a call with an idempotency key.
pub(super) fn derived(site: &str, subject: &str, key: &str, place: u32) -> Id {
    // Not a secret: every instance must come to the same id, and clients may choose ids anyway.
    let hasher = SipHasher13::new_with_key(b"idempotency-key\0");
    let mut bytes = Vec::with_capacity(site.len() + subject.len() + key.len() + 20);
    for text in [site, subject, key] {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(&place.to_le_bytes());
    Id::of(hasher.hash(&bytes).as_u128())
}

impl Id {
    fn of(mut number: u128) -> Self {
        let mut text = [0; LEN];
        for byte in text.iter_mut().rev() {
            *byte = ALPHABET[(number & 31) as usize];
            number >>= 5;
        }
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_never_repeat() {
        let (ids, restarted) = (Ids::new(), Ids::new());
        let now_ms = 1_763_884_800_000;
        let (a, b) = (ids.reserve(now_ms, 2), ids.reserve(now_ms, 1));
        let later = ids.reserve(now_ms + 1, 1);
        let other = restarted.reserve(now_ms, 1);
        let text = |id: Id| id.as_str().to_owned();
        let made = [text(a.nth(0)), text(a.nth(1)), text(later.nth(0))];
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]), "{made:?}");
        let b = text(b.nth(0));
        assert!(!made.contains(&b) && b < made[2], "{b} {made:?}");
        assert!(made.iter().all(|id| id.len() == 26 && id != other.nth(0).as_str()));
    }

    #[test]
    fn every_call_has_a_name_of_its_own_that_does_not_count() {
        let ids = Ids::new();
        let names: Vec<u64> = (0..10_000).map(|call| mixed(call, ids.keys)).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), names.len());
        assert!(names.iter().all(|name| name >> CALL_BITS == 0));
        let mut steps: Vec<u64> = names.windows(2).map(|two| two[1].wrapping_sub(two[0])).collect();
        steps.sort_unstable();
        steps.dedup();
        assert!(steps.len() > 9_900, "no two calls are equally far apart: {}", steps.len());
    }

    #[test]
    fn a_call_of_more_events_than_places_goes_on_under_the_next_name() {
        let ids = Ids::new();
        let (large, next) = (ids.reserve(0, (1 << PLACE_BITS) + 1), ids.reserve(0, 1));
        let last = large.nth(1 << PLACE_BITS);
        assert!(last.as_str() != large.nth(0).as_str() && last.as_str() != next.nth(0).as_str());
    }

    #[test]
    fn a_retried_call_makes_the_same_ids() {
        let id = |subject, key, place| derived("default", subject, key, place).as_str().to_owned();
        assert_eq!(id("ada", "k1", 0), id("ada", "k1", 0));
        let all = [id("ada", "k1", 0), id("ada", "k1", 1), id("ada", "k2", 0), id("bob", "k1", 0)];
        assert!((1..all.len()).all(|n| !all[..n].contains(&all[n])));
        assert_ne!(id("a", "bc", 0), id("ab", "c", 0));
    }
}
