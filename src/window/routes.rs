//! Events by route over a window: counts only. The latencies of the few routes that are shown are
//! added up from the ticks when they are shown.

use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::tick::RouteTable;

/// One route's counts over a window.
#[derive(Clone, Debug)]
pub(super) struct WindowRoute {
    pub(super) name: Arc<str>,
    pub(super) hash: u64,
    pub(super) events: u64,
    pub(super) errors: u64,
}

/// Counts by route over a window; a route without events in it is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct WindowRoutes {
    table: HashTable<WindowRoute>,
    pub(super) other_events: u64,
    pub(super) other_errors: u64,
}

impl WindowRoutes {
    pub(super) fn add(
        &mut self,
        hash: u64,
        name: &str,
        shared: impl FnOnce() -> Arc<str>,
        (events, errors): (u64, u64),
    ) {
        match self.table.entry(hash, |row| *row.name == *name, |row| row.hash) {
            Entry::Occupied(mut row) => {
                let row = row.get_mut();
                row.events += events;
                row.errors += errors;
            }
            Entry::Vacant(slot) => {
                slot.insert(WindowRoute { name: shared(), hash, events, errors });
            }
        }
    }

    pub(super) fn enter(&mut self, tick: &RouteTable) {
        self.other_events += tick.other_events;
        self.other_errors += tick.other_errors;
        for row in tick.rows() {
            let counts = (row.events, row.errors);
            self.add(row.hash(), &row.name, || Arc::clone(&row.name), counts);
        }
    }

    pub(super) fn leave(&mut self, tick: &RouteTable) {
        self.other_events -= tick.other_events;
        self.other_errors -= tick.other_errors;
        for row in tick.rows() {
            let same =
                |mine: &WindowRoute| Arc::ptr_eq(&mine.name, &row.name) || mine.name == row.name;
            if let Ok(mut slot) = self.table.find_entry(row.hash(), same) {
                let mine = slot.get_mut();
                mine.events -= row.events;
                mine.errors -= row.errors;
                if mine.events == 0 {
                    slot.remove();
                }
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &WindowRoute> {
        self.table.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
