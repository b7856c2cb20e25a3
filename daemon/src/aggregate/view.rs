//! A filtered view: ticks, windows and an hour of history of what a filter lets through.
//!
//! The counting is the main view's ([`State`]); a view differs in where it begins: it is filled back
//! from the journal, aside and in bounded steps, and frames leave once that is done. It holds about
//! 6 MB, and more routes as there are, which [`super::open_views`] bounds. Filled by [`super::filler`], then kept up
//! by [`super::view_worker`]; whoever watches holds a [`Watch`].

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::{Condvar, Mutex, RwLock};
use pulseboard::event::EventBatch;
use pulseboard::filter::Filter;
use pulseboard::limits::HISTORY_TICKS;
use pulseboard::window::{RouteSort, Routes};
use pulseboard::wire::server::Aggregate;

use super::history::HistorySlice;
use super::joined::SETTLE_SECS;
use super::looking_back::{Held, routes_of};
use super::peers::Peers;
use super::rounds::{self, Round};
use super::shared::Shared;
use super::state::{Histories, State};
use super::views::ViewsError;
use super::{Settings, TickFrame};

/// Seconds of history a view is filled with; the next when that takes too long. The last is what
/// its windows need.
pub(super) const SPANS_SECS: [i64; 3] = [HISTORY_TICKS as i64, 600, 1];
/// Peers open a view a little later, and fill it from where they are then.
pub(super) const SLACK_SECS: i64 = 30;

/// See the module.
pub(super) struct View {
    /// The filter's canonical text.
    pub(super) key: Arc<str>,
    pub(super) filter: Filter,
    state: Mutex<State>,
    histories: RwLock<Histories>,
    /// The newest frame; none before the view is filled.
    latest: ArcSwapOption<TickFrame>,
    filled: Mutex<Filled>,
    bell: Condvar,
}

/// How far a view is.
#[derive(Clone, Copy, Debug)]
enum Filled {
    /// Not.
    No,
    /// It is; its peers, which began when they heard of it, may not be. Frames it is waited for them.
    Here(u32),
    /// It is, and so are its peers, or they were waited for long enough.
    Everywhere,
}

/// Frames that are waited for peers to fill a view.
const PEERS_WITHIN_FRAMES: u32 = 3;

impl View {
    pub(super) fn new(shared: &Shared, filter: Filter) -> Self {
        let key = filter.to_string().into();
        let head = shared.latest.load().tick;
        let from = first_arrival(&shared.settings, head, SPANS_SECS[0]);
        let (state, histories) = State::through(&shared.settings, filter.clone(), head, from);
        Self {
            key,
            filter,
            state: Mutex::new(state),
            histories: RwLock::new(histories),
            latest: ArcSwapOption::empty(),
            filled: Mutex::new(Filled::No),
            bell: Condvar::new(),
        }
    }

    /// Begins anew, with `span_secs` of history up to the newest frame. Gives the first tick whose
    /// arrivals it wants.
    pub(super) fn begin(&self, shared: &Shared, span_secs: i64) -> i64 {
        let head = shared.latest.load().tick;
        let is_cluster = shared.peers.is_cluster();
        // Of what is older peers say nothing any more.
        let span_secs =
            if is_cluster { span_secs.min(SETTLE_SECS + SLACK_SECS) } else { span_secs };
        let from = first_arrival(&shared.settings, head, span_secs);
        let (mut state, histories) =
            State::through(&shared.settings, self.filter.clone(), head, from);
        if is_cluster {
            shared.peers.begun(&self.key);
            state.join_peers(Some(from - 1));
        }
        if let Some(main) = shared.histories.read().first() {
            state.was_up(main.real().filter(|tick| (from..=head).contains(tick)));
        }
        *self.state.lock() = state;
        *self.histories.write() = histories;
        from
    }

    /// Counts a batch, what of it the filter lets through.
    pub(super) fn count(&self, first_seq: u64, batch: &EventBatch, now_ms: i64) {
        let mut state = self.state.lock();
        state.apply(first_seq, batch, now_ms);
        self.settle(&mut state);
    }

    /// All that arrived up to `now_ms` is counted.
    pub(super) fn pass(&self, now_ms: i64) {
        let mut state = self.state.lock();
        state.pass(now_ms, now_ms);
        self.settle(&mut state);
    }

    fn settle(&self, state: &mut State) {
        if !state.is_reconciled() {
            state.reconcile(&mut self.histories.write());
        }
        state.let_go();
    }

    /// It is filled: gives its first frame, of the tick it was begun at.
    pub(super) fn stand(&self, complete_from: i64, peers: &dyn Peers) -> Arc<TickFrame> {
        let head = self.head();
        rounds::tell(&self.state, &self.key, peers, head, Round::whole(head));
        let mut state = self.state.lock();
        state.expect(head, peers.nodes(head));
        state.told(complete_from, &mut self.histories.write());
        let frame = Arc::new(state.standing());
        self.latest.store(Some(Arc::clone(&frame)));
        drop(state);
        *self.filled.lock() = Filled::Here(0);
        self.settle_in(&frame);
        frame
    }

    /// The newest framed tick.
    pub(super) fn head(&self) -> i64 {
        self.state.lock().head
    }

    /// A tick is over; `newest` is the newest that is.
    pub(super) fn frame(
        &self,
        peers: &dyn Peers,
        (tick, newest): (i64, i64),
        behind_ms: u64,
    ) -> Arc<TickFrame> {
        rounds::hear(&self.state, &self.key, peers, (tick, newest));
        let mut state = self.state.lock();
        let frame = {
            let mut histories = self.histories.write();
            Arc::new(state.frame(tick, behind_ms, &mut histories))
        };
        state.let_go();
        self.latest.store(Some(Arc::clone(&frame)));
        self.settle_in(&frame);
        frame
    }

    /// It has framed: sees whether the peers are in it.
    fn settle_in(&self, frame: &TickFrame) {
        let mut filled = self.filled.lock();
        let Filled::Here(frames) = *filled else { return };
        let is_whole = frame.windows.first().is_none_or(|window| {
            let nodes = window.aggregate.nodes;
            nodes.reporting >= nodes.expected
        });
        *filled = if is_whole || frames >= PEERS_WITHIN_FRAMES {
            self.bell.notify_all();
            Filled::Everywhere
        } else {
            Filled::Here(frames + 1)
        };
    }

    /// Blocks until it is filled, here and by the peers.
    pub(super) fn wait_filled(&self, timeout: Duration) -> Result<(), ViewsError> {
        let is_missing = |filled: &mut Filled| !matches!(filled, Filled::Everywhere);
        let mut filled = self.filled.lock();
        self.bell.wait_while_for(&mut filled, is_missing, timeout);
        match *filled {
            Filled::No => Err(ViewsError::TimedOut),
            // It shows what there is, and says of how many.
            Filled::Here(_) | Filled::Everywhere => Ok(()),
        }
    }

    /// Ticks are over: the peers are told.
    pub(super) fn tell(&self, peers: &dyn Peers, round: Round) {
        let first = rounds::first_real(self.head(), round.upto);
        rounds::tell(&self.state, &self.key, peers, first, round);
        self.state.lock().let_go();
    }

    /// The last event it was offered.
    pub(super) fn applied_seq(&self) -> u64 {
        self.state.lock().applied_seq
    }

    pub(super) fn routes_held(&self) -> usize {
        self.state.lock().routes_held()
    }

    pub(super) fn set_routes_max(&self, routes_max: usize) {
        self.state.lock().set_routes_max(routes_max);
    }

    pub(super) fn latest(&self) -> Option<Arc<TickFrame>> {
        self.latest.load_full()
    }

    /// The window at a tick that the view still holds; `None` for one it does not.
    pub(super) fn at(&self, index: usize, secs: u32, tick: i64) -> Option<Aggregate> {
        let latest = self.latest()?;
        if tick == latest.tick {
            return Some((*latest.windows[index].aggregate).clone());
        }
        let held = {
            let state = self.state.lock();
            state.is_real(tick).then_some(())?;
            Held::of(&state, secs, tick)?
        };
        Some(held.render())
    }

    /// The routes of the newest `secs` ticks, when it is filled.
    pub(super) fn routes(&self, secs: u32, sort: RouteSort, limit: usize) -> Option<Routes> {
        self.latest()?;
        Some(routes_of(&self.state, i64::from(secs), sort, limit))
    }
}

/// The tick from which on arrivals are wanted for `span_secs` of complete history up to `head`.
fn first_arrival(settings: &Settings, head: i64, span_secs: i64) -> i64 {
    let longest = settings.windows_secs.iter().copied().max().map_or(1, i64::from);
    head - span_secs - longest
}

/// The first tick whose windows are whole when every arrival from tick `from` on is there.
pub(super) fn complete_from(settings: &Settings, from: i64) -> i64 {
    let longest = settings.windows_secs.iter().copied().max().map_or(1, i64::from);
    from + longest - 1
}

/// A filtered view for as long as this is held, and a minute longer.
pub struct Watch {
    pub(super) view: Arc<View>,
    pub(super) shared: Arc<Shared>,
}

impl Watch {
    /// The filter's canonical text: one for each view.
    pub fn key(&self) -> &Arc<str> {
        &self.view.key
    }

    /// The newest frame; `None` while the view is being filled. Never blocks.
    pub fn latest(&self) -> Option<Arc<TickFrame>> {
        self.view.latest()
    }

    /// Blocks until the view is filled, and, for some seconds more, until the peers have too.
    pub fn wait_filled(&self, timeout: Duration) -> Result<(), ViewsError> {
        self.view.wait_filled(timeout)
    }

    /// As [`super::Views::history_until`], of this view.
    pub fn history_until(
        &self,
        window: &str,
        since: Option<i64>,
        until: i64,
    ) -> Option<HistorySlice> {
        let index = self.shared.window(window)?;
        Some(self.view.histories.read()[index].slice(since, until))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.open.left(&self.view.key, self.shared.clock.elapsed());
    }
}
