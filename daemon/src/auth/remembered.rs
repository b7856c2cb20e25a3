//! The tokens that were verified already, so that a signature is checked once a token and not once
//! a request.
//!
//! Only what was verified comes in, so nobody without a key can fill it. Bounded: when a part is
//! full, its expired tokens go, and if there are none, one of the others, which is then simply
//! verified again.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use parking_lot::Mutex;

use super::Grant;

/// Parts, each with a lock of its own, so that cores rarely wait for each other.
const PARTS: usize = 16;
/// Tokens a part holds: 8,192 in all, which take about 4 MB as tokens usually are, 34 MB if each is
/// as long as is taken.
const TOKENS_PER_PART: usize = 512;

/// Between two looks for expired tokens in a part that is full, ms: each walks all of it.
const SWEEP_EVERY_MS: i64 = 1_000;

struct Entry {
    hash: u64,
    token: Box<str>,
    grant: Arc<Grant>,
}

#[derive(Default)]
struct Part {
    table: HashTable<Entry>,
    sweep_again_ms: i64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Remembered {
    hasher: RandomState,
    parts: [Mutex<Part>; PARTS],
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remembered").field("tokens", &self.len()).finish()
    }
}

impl Remembered {
    /// What a token stands for, if it was verified and has not expired. The whole token is
    /// compared; where it first differs cannot be measured from outside, since only tokens whose
    /// keyed hashes agree are compared at all.
    pub(super) fn find(&self, token: &str, now_ms: i64) -> Option<Arc<Grant>> {
        let hash = self.hasher.hash_one(token);
        let part = self.part(hash).lock();
        let entry = part.table.find(hash, |entry| *entry.token == *token)?;
        lives(&entry.grant, now_ms).then(|| Arc::clone(&entry.grant))
    }

    /// Remembers a token that was verified.
    pub(super) fn keep(&self, token: Box<str>, grant: &Arc<Grant>, now_ms: i64) {
        let hash = self.hasher.hash_one(&*token);
        let mut part = self.part(hash).lock();
        if part.table.find(hash, |entry| entry.token == token).is_some() {
            return;
        }
        if part.table.len() >= TOKENS_PER_PART {
            part.make_room(now_ms);
        }
        let entry = Entry { hash, token, grant: Arc::clone(grant) };
        part.table.insert_unique(hash, entry, |entry| entry.hash);
    }

    /// Tokens held.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().table.len()).sum()
    }

    fn part(&self, hash: u64) -> &Mutex<Part> {
        // The table uses the upper and the lowest bits.
        &self.parts[(hash >> 32) as usize % PARTS]
    }
}

impl Part {
    /// Lets expired tokens go, now and then; else one of the others.
    fn make_room(&mut self, now_ms: i64) {
        if now_ms >= self.sweep_again_ms {
            self.sweep_again_ms = now_ms + SWEEP_EVERY_MS;
            self.table.retain(|entry| lives(&entry.grant, now_ms));
        }
        if self.table.len() < TOKENS_PER_PART {
            return;
        }
        // Which one depends on keyed hashes, so on nothing anybody can foresee.
        let victim = self.table.iter().next().map(|entry| (entry.hash, entry.token.as_ptr()));
        if let Some((hash, token)) = victim
            && let Ok(found) = self.table.find_entry(hash, |entry| entry.token.as_ptr() == token)
        {
            found.remove();
        }
    }
}

fn lives(grant: &Grant, now_ms: i64) -> bool {
    grant.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(expires_ms: i64) -> Arc<Grant> {
        Arc::new(Grant { expires_ms: Some(expires_ms), ..Grant::dev() })
    }

    #[test]
    fn a_token_is_remembered_until_it_expires() {
        let remembered = Remembered::default();
        remembered.keep("a".into(), &until(1_000), 0);
        assert!(remembered.find("a", 999).is_some());
        assert!(remembered.find("a", 1_000).is_none());
        assert!(remembered.find("b", 0).is_none());
    }

    #[test]
    fn there_is_room_for_so_many_tokens_and_no_more() {
        let remembered = Remembered::default();
        let most = PARTS * TOKENS_PER_PART;
        for number in 0..4 * most {
            remembered.keep(format!("token {number}").into(), &until(10), 0);
        }
        assert_eq!(remembered.len(), most);
        for number in 0..4 * most {
            remembered.keep(format!("later {number}").into(), &until(30_000), 20_000);
        }
        assert_eq!(remembered.len(), most, "expired ones made room, and the bound holds");
        assert!(remembered.find(&format!("later {}", 4 * most - 1), 20_000).is_some());
    }
}
