//! Which process writes under a node's id: the one that holds it in the store.
//!
//! A copied data directory has its original's id. Whoever holds the id beats in the store; who finds
//! it held by another that beats writes nothing until that one is gone. A restart of the same data
//! directory takes it at once, since the directory's lock says that the one before is dead. The only
//! writer of the [`Permit`] that everything else here waits for.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Shared;
use super::calls::Calls;
use super::sink::{Failure, Holder};

/// How often the holder beats.
const BEAT_EVERY: Duration = Duration::from_secs(2);
/// A holder seen without a beat for this long is gone.
const GONE_AFTER: Duration = Duration::from_secs(12);
/// A holder that could not beat for this long no longer writes: the other may think it gone.
const UNSURE_AFTER: Duration = Duration::from_secs(8);
/// An answer that comes later is of no use; with the pause before it what makes it unsure is seen.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Whether anything may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// The store is away, or the id is another's.
    No,
    /// The id is held. The epoch is one higher each time the store turned out to know nothing of
    /// this node: everything is sent anew then.
    Yes { epoch: u64 },
}

/// Waits until something may be written; gives the epoch.
pub(super) async fn permitted(permit: &mut watch::Receiver<Permit>) -> u64 {
    loop {
        if let Permit::Yes { epoch } = *permit.borrow_and_update() {
            return epoch;
        }
        if permit.changed().await.is_err() {
            // Nobody holds the id any more: the drain stops.
            std::future::pending::<()>().await;
        }
    }
}

/// Holds the id.
pub(super) struct Lease {
    shared: Arc<Shared>,
    calls: Calls,
    permit: watch::Sender<Permit>,
    mine: Holder,
    epoch: u64,
    held: bool,
    /// When the last beat was heard by the store.
    beaten: Duration,
    /// Another holder, and since when it was seen like this.
    other: Option<(Holder, Duration)>,
}

impl Lease {
    pub(super) fn new(shared: Arc<Shared>, permit: watch::Sender<Permit>) -> Self {
        let mine = Holder {
            incarnation: format!("{:016x}", rand::random::<u64>()),
            place: place(&shared.settings.data_dir),
            name: shared.settings.node_name.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            beat: 0,
            left: false,
        };
        let beaten = shared.clock.elapsed();
        let calls = shared.calls.shorter(ANSWERS_WITHIN);
        Self { shared, calls, permit, mine, epoch: 0, held: false, beaten, other: None }
    }

    /// Runs until `stop`; then leaves, so that whoever comes next need not wait.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ready = self.shared.sink.ready();
        loop {
            let pause = if *ready.borrow_and_update() { self.step().await } else { BEAT_EVERY };
            self.tell(*ready.borrow());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = ready.changed() => if changed.is_err() { break },
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        if self.held && *ready.borrow() {
            let expected = Some((self.mine.incarnation.clone(), self.mine.beat));
            let left = Holder { left: true, beat: self.mine.beat + 1, ..self.mine.clone() };
            let hold =
                self.shared.sink.hold(Arc::clone(&self.shared.settings.node), expected, left);
            if let Err(error) = self.calls.run(hold).await {
                tracing::debug!(%error, "the store was not told that this instance stops");
            }
        }
    }

    fn tell(&self, ready: bool) {
        let sure = self.shared.clock.elapsed().saturating_sub(self.beaten) < UNSURE_AFTER;
        let permit =
            if self.held && sure && ready { Permit::Yes { epoch: self.epoch } } else { Permit::No };
        self.permit.send_if_modified(|now| std::mem::replace(now, permit) != permit);
    }

    /// Beats, or tries to take the id. When to do so again.
    async fn step(&mut self) -> Duration {
        match self.beat_or_take().await {
            Ok(()) => {
                self.shared.board.set_clash(None);
                if !self.held {
                    self.held = true;
                    self.other = None;
                    tracing::debug!(node = %self.shared.settings.node, "this instance's id is held");
                }
                BEAT_EVERY
            }
            Err(Missed::Other(other)) => {
                self.held = false;
                self.watch(other);
                Duration::from_secs(1)
            }
            Err(Missed::Again) => Duration::from_millis(50),
            Err(Missed::Failed(failure)) => {
                tracing::debug!(%failure, "the store was not told that this instance lives");
                Duration::from_millis(500)
            }
        }
    }

    async fn beat_or_take(&mut self) -> Result<(), Missed> {
        if self.held {
            let expected = Some((self.mine.incarnation.clone(), self.mine.beat));
            if self.swap(expected).await? {
                return Ok(());
            }
        }
        let node = Arc::clone(&self.shared.settings.node);
        let found = self.calls.run(self.shared.sink.holder(node)).await?;
        let Some(found) = found else {
            // Before anybody is permitted anything: the store knows nothing of this node. Sooner
            // once too often than not at all, should the answer get lost.
            self.epoch += 1;
            return if self.swap(None).await? { Ok(()) } else { Err(Missed::Again) };
        };
        let mine = found.incarnation == self.mine.incarnation;
        if !(mine || found.left || found.place == self.mine.place || self.is_gone(&found)) {
            return Err(Missed::Other(found));
        }
        self.mine.beat = self.mine.beat.max(found.beat);
        let expected = Some((found.incarnation, found.beat));
        if self.swap(expected).await? { Ok(()) } else { Err(Missed::Again) }
    }

    async fn swap(&mut self, expected: Option<(String, i64)>) -> Result<bool, Failure> {
        let asked = self.shared.clock.elapsed();
        let next = Holder { beat: self.mine.beat + 1, ..self.mine.clone() };
        let node = Arc::clone(&self.shared.settings.node);
        let hold = self.shared.sink.hold(node, expected, next.clone());
        let held = self.calls.run(hold).await?;
        if held {
            self.mine = next;
            self.beaten = asked;
        }
        Ok(held)
    }

    fn is_gone(&self, found: &Holder) -> bool {
        let now = self.shared.clock.elapsed();
        self.other.as_ref().is_some_and(|(other, since)| {
            other == found && now.saturating_sub(*since) >= GONE_AFTER
        })
    }

    fn watch(&mut self, found: Holder) {
        let now = self.shared.clock.elapsed();
        if self.other.as_ref().is_none_or(|(other, _)| *other != found) {
            let beats = self
                .other
                .as_ref()
                .is_some_and(|(other, _)| other.incarnation == found.incarnation);
            if beats && self.shared.board.clash().is_none() {
                let clash = self.clash(&found);
                tracing::error!("{clash}");
                self.shared.board.set_clash(Some(clash));
            }
            self.other = Some((found, now));
        }
    }

    fn clash(&self, other: &Holder) -> String {
        let file = self.shared.settings.data_dir.join("NODE");
        format!(
            "data_dir: another running daemon ({}) writes to MongoDB under the id of this one, {}: if \
             this data directory is a copy, stop this daemon, remove {} and start it again; nothing \
             is written to MongoDB until then",
            other.name,
            self.shared.settings.node,
            file.display()
        )
    }
}

/// Why the id is not held.
enum Missed {
    Other(Holder),
    Again,
    Failed(Failure),
}

impl From<Failure> for Missed {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What is equal only for the same directory of the same running machine.
fn place(data_dir: &Path) -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    match std::fs::metadata(data_dir) {
        Ok(about) if !boot.is_empty() => format!("{}/{}/{}", boot.trim(), about.dev(), about.ino()),
        _ => format!("unknown/{:016x}", rand::random::<u64>()),
    }
}
