//! What the aggregator's thread, the store's thread and all readers share, and which lock guards
//! what.
//!
//! The state's lock is held for as long as counting a batch or making a frame takes (milliseconds);
//! readers hold it only to copy pointers. Histories have a lock of their own, so that a snapshot
//! never waits for counting. Filtered views have locks of their own. No lock is held while another's is waited for, but for histories, which
//! are taken inside the state's.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex, RwLock};

use super::backfill::StoredTicks;
use super::open_views::OpenViews;
use super::peers::Peers;
use super::scan::Scans;
use super::source::Past;
use super::state::{Histories, State};
use super::views::{Stats, ViewsError};
use super::{Settings, TickFrame, window_name};
use crate::clock::Clock;
use crate::store::embedded::Reader;

/// Shared by the aggregator's thread and its readers.
pub(super) struct Shared {
    pub(super) settings: Settings,
    /// Filtered views open at a time; may change while the daemon runs.
    pub(super) views_max: AtomicUsize,
    pub(super) names: Vec<Arc<str>>,
    pub(super) state: Mutex<State>,
    pub(super) histories: RwLock<Histories>,
    pub(super) latest: ArcSwap<TickFrame>,
    pub(super) stats: Mutex<Stats>,
    pub(super) store: Reader,
    pub(super) clock: Clock,
    pub(super) past: Arc<dyn Past>,
    pub(super) peers: Arc<dyn Peers>,
    pub(super) scans: Scans,
    pub(super) open: OpenViews,
    /// Where other instances' seconds are read from; none with the embedded store.
    pub(super) stored_ticks: OnceLock<Arc<dyn StoredTicks>>,
    applied: Mutex<Applied>,
    wake: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Applied {
    seq: u64,
    stopped: bool,
}

impl Shared {
    pub(super) fn new(
        settings: Settings,
        (mut state, histories): (State, Histories),
        store: Reader,
        clock: Clock,
        past: Arc<dyn Past>,
        peers: Arc<dyn Peers>,
    ) -> Self {
        let latest = Arc::new(state.standing());
        let seq = state.applied_seq;
        let stats =
            Stats { applied_seq: seq, stored_seq: seq, tick: latest.tick, ..Stats::default() };
        Self {
            names: settings.windows_secs.iter().map(|secs| window_name(*secs)).collect(),
            views_max: AtomicUsize::new(settings.views),
            settings,
            state: Mutex::new(state),
            histories: RwLock::new(histories),
            latest: ArcSwap::new(latest),
            stats: Mutex::new(stats),
            store,
            clock,
            past,
            peers,
            scans: Scans::default(),
            open: OpenViews::default(),
            stored_ticks: OnceLock::new(),
            applied: Mutex::new(Applied { seq, stopped: false }),
            wake: Condvar::new(),
        }
    }

    /// Everything up to `seq` is counted.
    pub(super) fn set_applied(&self, seq: u64) {
        self.applied.lock().seq = seq;
        self.wake.notify_all();
    }

    /// Nothing more will be counted.
    pub(super) fn set_stopped(&self) {
        self.applied.lock().stopped = true;
        self.wake.notify_all();
    }

    pub(super) fn wait_applied(&self, seq: u64, timeout: Duration) -> Result<(), ViewsError> {
        let mut applied = self.applied.lock();
        let waiting = |applied: &mut Applied| applied.seq < seq && !applied.stopped;
        self.wake.wait_while_for(&mut applied, waiting, timeout);
        match *applied {
            Applied { seq: applied, .. } if applied >= seq => Ok(()),
            Applied { stopped: true, .. } => Err(ViewsError::Stopped),
            Applied { .. } => Err(ViewsError::TimedOut),
        }
    }

    pub(super) fn applied_seq(&self) -> u64 {
        self.applied.lock().seq
    }

    /// The place of a window in the settings.
    pub(super) fn window(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| **known == *name)
    }
}
