//! The task that drains events: batches in flight at a time, settled in order of sequence.
//!
//! The position advances over what is durable without a gap, and is kept every half second. Of what
//! is in flight when the process dies some is sent again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pulseboard::rollup::MINUTE;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Shared;
use super::board::{add, get, set};
use super::counts::{is_whole_minutes, start_of};
use super::delivery::{Delivered, deliver};
use super::lease::{Permit, permitted};
use super::puller::{self, Batch, Pulled};

/// Batches in flight; with the one that is made and the one that waits, what bounds memory.
const IN_FLIGHT: usize = 4;
/// When what should not end begins anew.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How often the position is kept.
const KEEP_EVERY: Duration = Duration::from_millis(500);

/// Drains events.
pub(super) struct Events {
    shared: Arc<Shared>,
    permit: watch::Receiver<Permit>,
    epoch: u64,
    in_flight: JoinSet<Delivered>,
    /// Delivered before what comes before them.
    early: BTreeMap<u64, Delivered>,
}

impl Events {
    pub(super) fn new(shared: Arc<Shared>, permit: watch::Receiver<Permit>) -> Self {
        Self { shared, permit, epoch: 0, in_flight: JoinSet::new(), early: BTreeMap::new() }
    }

    /// Runs until the journal is closed and drained, or `stop` is set.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            () = self.drain() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        self.shared.keep().await;
    }

    async fn drain(&mut self) {
        loop {
            // Whether the store knows this node decides where to begin.
            let epoch = permitted(&mut self.permit).await;
            if epoch != self.epoch {
                self.epoch = epoch;
                set(&self.shared.board.drained_seq, 0);
            }
            let stop = Arc::new(AtomicBool::new(false));
            let _stops = StopOnDrop(Arc::clone(&stop));
            let from_seq = get(&self.shared.board.drained_seq) + 1;
            let pulled = match puller::start(&self.shared, from_seq, stop) {
                Ok(pulled) => pulled,
                Err(error) => {
                    tracing::error!(%error, "events cannot be drained; trying again");
                    tokio::time::sleep(AGAIN_AFTER).await;
                    continue;
                }
            };
            if self.follow(pulled).await == Ended::Drained {
                return;
            }
            // Calls under way come to their ends in tasks of their own.
            self.in_flight.abort_all();
            while self.in_flight.join_next().await.is_some() {}
            self.early.clear();
            set(&self.shared.board.inflight_bytes, 0);
        }
    }

    async fn follow(&mut self, pulled: Pulled) -> Ended {
        let Pulled { mut batches, is_all } = pulled;
        let mut keep = tokio::time::interval(KEEP_EVERY);
        keep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ended = false;
        loop {
            if let Permit::Yes { epoch } = *self.permit.borrow()
                && epoch != self.epoch
            {
                return Ended::StartOver;
            }
            tokio::select! {
                batch = batches.recv(), if !ended && self.in_flight.len() + self.early.len() < IN_FLIGHT => {
                    match batch {
                        Some(batch) => self.send(batch),
                        None if is_all.load(Ordering::Acquire) => ended = true,
                        None => {
                            tracing::error!("reading what is to be drained ended; starting over");
                            tokio::time::sleep(AGAIN_AFTER).await;
                            return Ended::StartOver;
                        }
                    }
                }
                Some(done) = self.in_flight.join_next() => match done {
                    Ok(done) => self.settle(done).await,
                    Err(error) => {
                        tracing::error!(%error, "a batch was not delivered; starting over behind it");
                        return Ended::StartOver;
                    }
                },
                _ = keep.tick() => self.shared.keep().await,
                changed = self.permit.changed() => if changed.is_err() {
                    return Ended::Drained;
                },
            }
            if ended && self.in_flight.is_empty() {
                return Ended::Drained;
            }
        }
    }

    fn send(&mut self, batch: Batch) {
        add(&self.shared.board.inflight_bytes, batch.bytes as u64);
        self.in_flight.spawn(deliver(Arc::clone(&self.shared), self.permit.clone(), batch));
    }

    /// Advances over what is delivered without a gap.
    async fn settle(&mut self, done: Delivered) {
        self.shared.board.inflight_bytes.fetch_sub(done.bytes as u64, Ordering::Relaxed);
        self.early.insert(done.from_seq, done);
        while let Some(first) = self.early.first_entry() {
            if *first.key() != get(&self.shared.board.drained_seq) + 1 {
                break;
            }
            let done = first.remove();
            self.mark(&done).await;
            set(&self.shared.board.drained_seq, done.end_seq - 1);
            self.shared.look();
        }
    }

    /// Has the minutes counted anew in which the store had events already.
    async fn mark(&self, done: &Delivered) {
        if done.foreign.is_empty() {
            return;
        }
        let drained_seq = get(&self.shared.board.drained_seq);
        while self.shared.recounts.lock().holds_up(drained_seq) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let mut recounts = self.shared.recounts.lock();
        for tick in &done.foreign {
            for secs in self.shared.settings.windows_secs.iter().filter(|s| is_whole_minutes(**s)) {
                debug_assert!(i64::from(*secs) >= MINUTE);
                recounts.mark((*secs, start_of(*secs, *tick)), done.end_seq - 1);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The journal is closed, and all of it is in the store.
    Drained,
    /// From the position kept last.
    StartOver,
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
