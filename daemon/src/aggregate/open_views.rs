//! Which filtered views are open, and who watches: one view a filter, shared; one that nobody
//! watches lingers for a minute, so that a reconnect finds it. One that is watched on another
//! instance is counted here for that one.
//!
//! Bounds: `limits.views` views; past it one that only lingers makes room, then one that is only
//! counted for others, else opening is refused. For others none is opened past it.
//! All views together hold [`ROUTES_MAX_IN_ALL`] rows of routes by tick (about 150 bytes each), one
//! of them [`ROUTES_MAX`]: past it, ticks admit no new routes and count them in `otherRoutes`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use pulseboard::filter::Filter;

use super::shared::Shared;
use super::source::Source;
use super::view::{View, Watch};

/// How long a view that nobody watches stays.
const LINGER: Duration = Duration::from_mins(1);
/// Rows of routes one view holds.
const ROUTES_MAX: usize = 500_000;
/// Rows of routes all views hold.
const ROUTES_MAX_IN_ALL: usize = 2_000_000;

/// Why a view is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// As many as there may be are watched.
    #[error("{views} filtered views are being watched, which is all there may be; try again later")]
    TooMany {
        /// `limits.views`.
        views: usize,
    },
}

/// Views that were filled together, and the reader that goes on where that ended.
pub(super) struct Filled {
    pub(super) views: Vec<Arc<View>>,
    pub(super) source: Box<dyn Source>,
}

#[derive(Default)]
struct Open {
    by_key: HashMap<Arc<str>, Watched>,
    to_fill: VecDeque<Arc<View>>,
    filled: Vec<Filled>,
    stopped: bool,
}

impl Open {
    /// A view is open, and to be filled.
    fn insert(&mut self, view: &Arc<View>, watchers: usize) {
        let (is_asked, idle_since) = (watchers > 0, Duration::ZERO);
        let for_peers = !is_asked;
        let view = Arc::clone(view);
        self.to_fill.push_back(Arc::clone(&view));
        let key = Arc::clone(&view.key);
        self.by_key.insert(key, Watched { view, watchers, idle_since, for_peers, is_asked });
    }
}

struct Watched {
    view: Arc<View>,
    watchers: usize,
    /// Since when there are none.
    idle_since: Duration,
    /// Whether peers watch it.
    for_peers: bool,
    /// Whether the peers were asked to count it too.
    is_asked: bool,
}

impl Watched {
    /// Whether it goes when room is needed, and which goes first: least first.
    fn gives_way(&self) -> Option<(bool, Duration)> {
        (self.watchers == 0).then_some((self.for_peers, self.idle_since))
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct OpenViews {
    open: Mutex<Open>,
    /// There is a view to fill, or the end has come.
    to_fill: Condvar,
    /// There is a view that was filled, or the end has come.
    filled: Condvar,
}

impl OpenViews {
    /// Watches the view of a filter; opens it when there is none.
    pub(super) fn watch(shared: &Arc<Shared>, filter: Filter) -> Result<Watch, OpenError> {
        let this = &shared.open;
        let key = filter.to_string();
        let mut open = this.open.lock();
        if let Some(watched) = open.by_key.get_mut(key.as_str()) {
            watched.watchers += 1;
            let view = Arc::clone(&watched.view);
            let is_asked = std::mem::replace(&mut watched.is_asked, true);
            drop(open);
            if !is_asked {
                shared.peers.opened(&view.filter);
            }
            return Ok(Watch { view, shared: Arc::clone(shared) });
        }
        let views = shared.views_max.load(Ordering::Relaxed);
        let watched = open.by_key.values().filter(|watched| watched.watchers > 0).count();
        if watched >= views {
            shared.stats.lock().views_refused += 1;
            return Err(OpenError::TooMany { views });
        }
        let mut closed = Vec::new();
        while open.by_key.len() >= views {
            let idle = open.by_key.iter().filter_map(|(key, w)| Some((w.gives_way()?, key)));
            let Some(key) = idle.min().map(|(_, key)| Arc::clone(key)) else { break };
            let gone = open.by_key.remove(&key);
            closed.extend(gone.filter(|gone| gone.is_asked).map(|_| key));
        }
        let view = Arc::new(View::new(shared, filter));
        open.insert(&view, 1);
        drop(open);
        this.to_fill.notify_all();
        for key in closed {
            shared.peers.closed(&key);
        }
        shared.peers.opened(&view.filter);
        Ok(Watch { view, shared: Arc::clone(shared) })
    }

    /// Counts the views that peers watch, and these alone, for them.
    fn count_for_peers(shared: &Arc<Shared>) {
        let wanted = shared.peers.wanted();
        let this = &shared.open;
        let mut open = this.open.lock();
        open.by_key.values_mut().for_each(|watched| watched.for_peers = false);
        for filter in wanted {
            if let Some(watched) = open.by_key.get_mut(filter.to_string().as_str()) {
                watched.for_peers = true;
            } else if open.by_key.len() < shared.views_max.load(Ordering::Relaxed) {
                open.insert(&Arc::new(View::new(shared, filter)), 0);
                this.to_fill.notify_all();
            }
        }
    }

    /// The view of a filter, if it is open.
    pub(super) fn find(&self, filter: &Filter) -> Option<Arc<View>> {
        let open = self.open.lock();
        open.by_key.get(filter.to_string().as_str()).map(|watched| Arc::clone(&watched.view))
    }

    /// Somebody stopped watching.
    pub(super) fn left(&self, key: &str, now: Duration) {
        if let Some(watched) = self.open.lock().by_key.get_mut(key) {
            watched.watchers -= 1;
            watched.idle_since = now;
        }
    }

    /// How many views are open.
    pub(super) fn len(&self) -> usize {
        self.open.lock().by_key.len()
    }

    /// Whether a view is still wanted, by a watcher or for its minute.
    pub(super) fn is_open(&self, view: &Arc<View>) -> bool {
        let open = self.open.lock();
        open.by_key.get(&view.key).is_some_and(|watched| Arc::ptr_eq(&watched.view, view))
    }

    /// Drops the views whose minute is over, and opens those that peers watch.
    pub(super) fn sweep(shared: &Arc<Shared>, now: Duration) {
        if shared.peers.is_cluster() {
            Self::count_for_peers(shared);
        }
        let mut closed = Vec::new();
        shared.open.open.lock().by_key.retain(|key, watched| {
            let is_watched =
                watched.watchers > 0 || now.saturating_sub(watched.idle_since) < LINGER;
            if !is_watched && std::mem::take(&mut watched.is_asked) {
                closed.push(Arc::clone(key));
            }
            is_watched || watched.for_peers
        });
        for key in closed {
            shared.peers.closed(&key);
        }
    }

    /// Takes the views that wait to be filled. When there are none, waits for one as long as `wait`.
    pub(super) fn take_to_fill(&self, wait: Duration) -> VecDeque<Arc<View>> {
        let mut open = self.open.lock();
        let nothing = |open: &mut Open| open.to_fill.is_empty() && !open.stopped;
        self.to_fill.wait_while_for(&mut open, nothing, wait);
        std::mem::take(&mut open.to_fill)
    }

    /// Hands on views that were filled.
    pub(super) fn hand_on(&self, filled: Filled) {
        self.open.lock().filled.push(filled);
        self.filled.notify_all();
    }

    /// Takes the views that were filled. Waits for one as long as `wait`.
    pub(super) fn take_filled(&self, wait: Duration) -> Vec<Filled> {
        let mut open: MutexGuard<'_, Open> = self.open.lock();
        let nothing = |open: &mut Open| open.filled.is_empty() && !open.stopped;
        self.filled.wait_while_for(&mut open, nothing, wait);
        std::mem::take(&mut open.filled)
    }

    /// Ends every wait.
    pub(super) fn stop(&self) {
        self.open.lock().stopped = true;
        self.to_fill.notify_all();
        self.filled.notify_all();
    }

    /// Holds the views' routes within their bounds.
    pub(super) fn bound_routes(views: &[Arc<View>], routes_per_tick: usize) {
        let held: Vec<usize> = views.iter().map(|view| view.routes_held()).collect();
        let in_all: usize = held.iter().sum();
        for (view, held) in views.iter().zip(held) {
            let is_full = held >= ROUTES_MAX || in_all >= ROUTES_MAX_IN_ALL;
            view.set_routes_max(if is_full { 0 } else { routes_per_tick });
        }
    }
}
