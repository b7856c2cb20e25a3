//! The ids the daemon gives to events that came without one.
//!
//! 26 characters of Crockford's base 32: 48 bits of milliseconds, so that they sort by time, 40
//! bits drawn at start, and a 42-bit counter. Unique within a process by the counter, over restarts
//! and instances by time and the drawn bits. With an `Idempotency-Key` the id is a hash of site,
//! subject, key and place instead, so that a retried call makes the same ids again, on every
//! instance.

use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip128::SipHasher13;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LEN: usize = 26;
const COUNTER_BITS: u32 = 42;

/// Makes ids.
#[derive(Debug)]
pub(super) struct Ids {
    drawn: u64,
    next: AtomicU64,
}

/// An id as text.
pub(super) struct Id([u8; LEN]);

impl Ids {
    pub(super) fn new() -> Self {
        Self { drawn: rand::random::<u64>() >> 24, next: AtomicU64::new(0) }
    }

    /// Sets `count` ids of one moment aside; the first is `nth(0)`.
    pub(super) fn reserve(&self, now_ms: i64, count: u64) -> Reserved {
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        Reserved { now_ms, drawn: self.drawn, first }
    }
}

/// Ids set aside.
pub(super) struct Reserved {
    now_ms: i64,
    drawn: u64,
    first: u64,
}

impl Reserved {
    pub(super) fn nth(&self, index: u64) -> Id {
        let time = u128::from(self.now_ms as u64 & ((1 << 48) - 1));
        let count = (self.first + index) & ((1 << COUNTER_BITS) - 1);
        let drawn = u128::from(self.drawn) << COUNTER_BITS;
        Id::of(time << (40 + COUNTER_BITS) | drawn | u128::from(count))
    }
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
        let made: Vec<String> = [a.nth(0), a.nth(1), b.nth(0), later.nth(0)]
            .iter()
            .map(|id| id.as_str().to_owned())
            .collect();
        assert!(made.is_sorted() && made.windows(2).all(|pair| pair[0] != pair[1]), "{made:?}");
        assert!(made.iter().all(|id| id.len() == 26 && id != other.nth(0).as_str()));
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
