//! Fills the hour that is shown with what the shared store knows and nobody told: what others counted
//! while this instance was down, or one of them was cut off, for longer than Redis keeps ticks.
//!
//! A thread of its own reads seconds of all instances in chunks, the newest first, and has the state
//! take in what it found: absolute counts, of which the fuller stays, so that nothing counts twice.
//! While the store is away it tries again; what an instance had not written yet is read again once
//! that says it has. One chunk is held at a time. Frames and counting never wait for it.

mod found;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pulseboard::tick::TickSummary;

use super::peers::Standing;
use super::shared::Shared;
use super::state::history_from;

/// One instance's second as the shared store has it.
#[derive(Clone, Debug)]
pub struct StoredTick {
    /// Who counted: a node's id.
    pub node: Arc<str>,
    /// The tick.
    pub tick: i64,
    /// Compared with those that this node tells of the same tick.
    pub revision: u64,
    /// What was counted; without routes where they were not asked for.
    pub summary: TickSummary,
}

/// The shared store's seconds.
pub trait StoredTicks: Send + Sync {
    /// This node's id.
    fn node(&self) -> &Arc<str>;

    /// Gives the seconds of `from..to` of every instance that something was counted in, in order of
    /// time; or says why it cannot. Blocks.
    fn each(
        &self,
        range: (i64, i64),
        with_routes: bool,
        visit: &mut dyn FnMut(StoredTick),
    ) -> Result<(), String>;
}

/// What peers tell over Redis is waited for so long after the start.
const AFTER_START: Duration = Duration::from_secs(3);
/// The pause after a chunk, and when there is nothing to read.
pub(super) const PAUSE: Duration = Duration::from_millis(50);
const NOTHING: Duration = Duration::from_secs(1);
/// The first and the longest pause after the store could not be asked.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// Few ticks are gathered for so long before they are read: their windows reach back a minute.
const GATHERED: Duration = Duration::from_secs(20);
const FEW: i64 = 30;
/// A peer that was not there for so long may have counted what it could not tell in time.
const AWAY_SECS: i64 = 200;
/// Peers that are remembered to have been there.
const REMEMBERED_MAX: usize = 256;

pub(super) struct Backfill {
    shared: Arc<Shared>,
    /// When each peer was last there.
    seen: HashMap<Arc<str>, i64>,
    retry: Duration,
    /// When something was read last.
    read_at: Duration,
    is_away: bool,
}

impl Backfill {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let read_at = shared.clock.elapsed();
        Self { shared, seen: HashMap::new(), retry: RETRY.0, read_at, is_away: false }
    }

    /// Runs until `stop` is set; without peers there is nothing to do.
    pub(super) fn run(mut self, stop: &AtomicBool) {
        if !self.shared.peers.is_cluster() {
            return;
        }
        let mut pause = AFTER_START;
        while !stop.load(Ordering::Relaxed) {
            let until = self.shared.clock.elapsed() + pause;
            while !stop.load(Ordering::Relaxed) && self.shared.clock.elapsed() < until {
                std::thread::sleep(pause.min(Duration::from_millis(50)));
            }
            if !stop.load(Ordering::Relaxed) {
                pause = self.step();
            }
        }
    }

    /// Reads the next chunk, if there is any. Gives how long to wait then.
    pub(super) fn step(&mut self) -> Duration {
        let Some(store) = self.shared.stored_ticks.get().map(Arc::clone) else { return NOTHING };
        let standings = self.shared.peers.standings();
        self.look(&standings);
        // Who does not say how far it is cannot be waited for.
        let written = standings.iter().filter_map(|peer| peer.written_upto).min();
        let written = written.unwrap_or(i64::MAX);
        let Some(asked) = self.shared.state.lock().next_unfilled(written) else { return NOTHING };
        let now = self.shared.clock.elapsed();
        let is_few = asked.ticks.end() - asked.ticks.start() < FEW;
        if is_few && now.saturating_sub(self.read_at) < GATHERED {
            return NOTHING;
        }
        match found::read(&self.shared, &*store, &asked, &standings, written) {
            Ok(found) => {
                let left = {
                    let mut state = self.shared.state.lock();
                    state.fill(&asked, found, &mut self.shared.histories.write());
                    state.unfilled()
                };
                if std::mem::take(&mut self.is_away) {
                    tracing::info!("the shared store answers: the last hour is filled from it");
                }
                let (first, last) = (*asked.ticks.start(), *asked.ticks.end());
                tracing::debug!(first, last, left, "read what all instances counted");
                (self.retry, self.read_at) = (RETRY.0, now);
                let is_behind = self.shared.stats.lock().behind_ms > 0;
                if is_behind { NOTHING } else { PAUSE }
            }
            Err(problem) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    tracing::warn!(
                        "the last hour of what other instances counted cannot be read yet: {problem}"
                    );
                }
                let pause = self.retry;
                self.retry = (pause * 2).min(RETRY.1);
                pause
            }
        }
    }

    /// Notes who is there. Of one that is new, or was away for long, not everything was heard.
    fn look(&mut self, standings: &[Standing]) {
        let head = self.shared.latest.load().tick;
        let oldest = history_from(head);
        self.seen.retain(|_, seen| *seen >= oldest);
        for peer in standings {
            let seen = self.seen.get(&peer.node).copied();
            if seen.is_none_or(|seen| head - seen > AWAY_SECS) {
                let since = seen.map_or(oldest, |seen| seen - AWAY_SECS);
                self.shared.state.lock().came_back(since);
            }
            if self.seen.len() < REMEMBERED_MAX || seen.is_some() {
                self.seen.insert(Arc::clone(&peer.node), head);
            }
        }
    }
}
