//! Each route's name in memory once, however many ticks hold it.
//!
//! It counts nothing. Names that no summary holds any more are dropped when there are many, so that
//! it never holds more than twice what is in use. Owned by whoever fills summaries.

use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};

use hashbrown::HashTable;

/// Below this many names nothing is dropped.
const KEEP: usize = 4_096;

/// The hash by which all tables of this process find a name; seeded anew in each process, so that
/// nobody can send names that collide.
pub fn name_hash(name: &str) -> u64 {
    static SEED: LazyLock<foldhash::fast::RandomState> = LazyLock::new(Default::default);
    SEED.hash_one(name)
}

/// Shared names.
#[derive(Debug, Default)]
pub struct Names {
    table: HashTable<(u64, Arc<str>)>,
    /// Purges when it has grown to this many.
    purge_at: usize,
}

impl Names {
    /// The shared copy of a name.
    pub fn intern(&mut self, hash: u64, name: &str) -> Arc<str> {
        if let Some((_, shared)) = self.table.find(hash, |(_, known)| **known == *name) {
            return Arc::clone(shared);
        }
        if self.table.len() >= self.purge_at.max(KEEP) {
            self.table.retain(|(_, shared)| Arc::strong_count(shared) > 1);
            self.purge_at = self.table.len() * 2;
        }
        let shared: Arc<str> = name.into();
        self.table.insert_unique(hash, (hash, Arc::clone(&shared)), |(hash, _)| *hash);
        shared
    }

    /// How many names it holds.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shared_and_names_no_longer_used_are_dropped() {
        let mut names = Names::default();
        let kept = names.intern(name_hash("/kept"), "/kept");
        assert!(Arc::ptr_eq(&kept, &names.intern(name_hash("/kept"), "/kept")));
        for n in 0..100_000 {
            let name = format!("/passing/{n}");
            names.intern(name_hash(&name), &name);
        }
        assert!(names.len() <= KEEP, "{}", names.len());
        assert!(Arc::ptr_eq(&kept, &names.intern(name_hash("/kept"), "/kept")));
    }
}
