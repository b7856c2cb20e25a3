//! Events by route. A table admits the first so many distinct routes of the events it is given, and
//! counts the events of others together; merging tables refuses none.

use std::sync::Arc;

use hashbrown::HashTable;

use super::{Names, Sample, name_hash};
use crate::sketch::SparseBins;

/// One route's counts.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteStats {
    /// As normalised.
    pub name: Arc<str>,
    hash: u64,
    /// Events.
    pub events: u64,
    /// Of these, errors.
    pub errors: u64,
    /// Latencies.
    pub latency: SparseBins,
}

impl RouteStats {
    /// [`name_hash`] of the name.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// Counts by route.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    index: HashTable<u32>,
    rows: Vec<RouteStats>,
    /// Events of routes that were not admitted.
    pub other_events: u64,
    /// Of these, errors.
    pub other_errors: u64,
}

impl RouteTable {
    /// Counts an event; `routes_max` is how many distinct routes are told apart.
    /// Whether it was counted under its own route.
    pub fn add(&mut self, sample: &Sample<'_>, names: &mut Names, routes_max: usize) -> bool {
        let errors = u64::from(sample.is_error);
        let Some(row) = self.row(sample.route_hash, sample.route, names, routes_max) else {
            self.other_events += 1;
            self.other_errors += errors;
            return false;
        };
        row.events += 1;
        row.errors += errors;
        if let Some((bin, _)) = sample.latency {
            row.latency.add_bin(bin);
        }
        true
    }

    /// Adds another table, whole.
    pub fn merge(&mut self, other: &Self) {
        self.other_events += other.other_events;
        self.other_errors += other.other_errors;
        for theirs in &other.rows {
            let index = self.find(theirs.hash, &theirs.name);
            let index = index.unwrap_or_else(|| self.push(theirs.hash, Arc::clone(&theirs.name)));
            let mine = &mut self.rows[index];
            mine.events += theirs.events;
            mine.errors += theirs.errors;
            mine.latency.merge(&theirs.latency);
        }
    }

    /// A copy that tells only the `rows_max` routes with the most events apart, equal ones by name.
    /// For what has to fit somewhere; merging never does this.
    #[must_use]
    pub fn bounded(&self, rows_max: usize) -> Self {
        let mut order: Vec<&RouteStats> = self.rows.iter().collect();
        order.sort_unstable_by(|a, b| (b.events, &a.name).cmp(&(a.events, &b.name)));
        let (kept, rest) = order.split_at(rows_max.min(order.len()));
        let mut bounded = Self {
            other_events: self.other_events + rest.iter().map(|row| row.events).sum::<u64>(),
            other_errors: self.other_errors + rest.iter().map(|row| row.errors).sum::<u64>(),
            ..Self::default()
        };
        for row in kept {
            let index = bounded.push(row.hash, Arc::clone(&row.name));
            bounded.rows[index] = (*row).clone();
        }
        bounded
    }

    /// Adds a row read from a serialised table.
    pub(super) fn merge_row(
        &mut self,
        name: &str,
        (events, errors): (u64, u64),
        latency: &SparseBins,
        names: &mut Names,
    ) {
        let row = self.row(name_hash(name), name, names, usize::MAX);
        let row = row.expect("without a bound every route is admitted");
        row.events += events;
        row.errors += errors;
        row.latency.merge(latency);
    }

    /// The rows, in no order.
    pub fn rows(&self) -> &[RouteStats] {
        &self.rows
    }

    /// A route's row.
    pub fn get(&self, hash: u64, name: &str) -> Option<&RouteStats> {
        self.find(hash, name).map(|index| &self.rows[index])
    }

    /// Bytes it holds on to, about.
    pub fn heap_bytes(&self) -> usize {
        let bins: usize = self.rows.iter().map(|row| row.latency.heap_bytes()).sum();
        bins + self.rows.capacity() * size_of::<RouteStats>() + self.index.capacity() * 5
    }

    fn find(&self, hash: u64, name: &str) -> Option<usize> {
        let same = |index: &u32| *self.rows[*index as usize].name == *name;
        self.index.find(hash, same).map(|index| *index as usize)
    }

    fn row(
        &mut self,
        hash: u64,
        name: &str,
        names: &mut Names,
        routes_max: usize,
    ) -> Option<&mut RouteStats> {
        let index = match self.find(hash, name) {
            Some(index) => index,
            None if self.rows.len() >= routes_max => return None,
            None => self.push(hash, names.intern(hash, name)),
        };
        Some(&mut self.rows[index])
    }

    fn push(&mut self, hash: u64, name: Arc<str>) -> usize {
        let index = self.rows.len();
        let latency = SparseBins::default();
        self.rows.push(RouteStats { name, hash, events: 0, errors: 0, latency });
        let rows = &self.rows;
        self.index.insert_unique(hash, index as u32, |index| rows[*index as usize].hash);
        index
    }
}

/// Equal when every route's counts are, in whatever order.
impl PartialEq for RouteTable {
    fn eq(&self, other: &Self) -> bool {
        (self.other_events, self.other_errors) == (other.other_events, other.other_errors)
            && self.rows.len() == other.rows.len()
            && self.rows.iter().all(|row| other.get(row.hash, &row.name) == Some(row))
    }
}
