//! Events by type: a short list, since there are few types.

use std::sync::Arc;

use super::{Names, name_hash};
use crate::limits::TYPES_PER_TICK;

/// What the events of types past the bound are counted as.
pub(crate) const OTHER: &str = "other";

/// Events by type, in no order.
#[derive(Clone, Debug, Default)]
pub struct TypeCounts(Vec<(u64, Arc<str>, u64)>);

impl TypeCounts {
    /// Counts an event, as `other` when there are 100 types already and this is not one of them:
    /// then it says `false`.
    pub fn add(&mut self, hash: u64, kind: &str, names: &mut Names) -> bool {
        if let Some(count) = self.find(hash, kind) {
            *count += 1;
        } else if self.0.len() < TYPES_PER_TICK {
            self.0.push((hash, names.intern(hash, kind), 1));
        } else {
            self.add_many(name_hash(OTHER), &OTHER.into(), 1);
            return false;
        }
        true
    }

    /// Adds what was counted elsewhere; never refuses a type.
    pub fn merge(&mut self, other: &Self) {
        for (hash, kind, count) in &other.0 {
            self.add_many(*hash, kind, *count);
        }
    }

    /// Takes back what was added; a type without events is gone.
    pub fn subtract(&mut self, other: &Self) {
        for (hash, kind, count) in &other.0 {
            if let Some(at) = self.0.iter().position(|(h, k, _)| h == hash && k == kind) {
                self.0[at].2 = self.0[at].2.saturating_sub(*count);
                if self.0[at].2 == 0 {
                    self.0.swap_remove(at);
                }
            }
        }
    }

    /// Counts an event that a tick counted under this type.
    pub(crate) fn add_admitted(&mut self, hash: u64, kind: &str, names: &mut Names) {
        match self.find(hash, kind) {
            Some(mine) => *mine += 1,
            None => self.0.push((hash, names.intern(hash, kind), 1)),
        }
    }

    /// Adds `count` events of a type, whatever the bound.
    pub(crate) fn add_many(&mut self, hash: u64, kind: &Arc<str>, count: u64) {
        match self.find(hash, kind) {
            Some(mine) => *mine += count,
            None => self.0.push((hash, Arc::clone(kind), count)),
        }
    }

    fn find(&mut self, hash: u64, kind: &str) -> Option<&mut u64> {
        let mut rows = self.0.iter_mut();
        rows.find(|(h, k, _)| *h == hash && **k == *kind).map(|(_, _, count)| count)
    }

    /// Types and their events, in no order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, u64)> {
        self.0.iter().map(|(_, kind, count)| (kind, *count))
    }

    /// Types and their events, by name.
    pub fn sorted(&self) -> Vec<(&Arc<str>, u64)> {
        let mut rows: Vec<_> = self.iter().collect();
        rows.sort_unstable();
        rows
    }
}

/// Equal when the counts are, in whatever order.
impl PartialEq for TypeCounts {
    fn eq(&self, other: &Self) -> bool {
        self.sorted() == other.sorted()
    }
}
