//! From the journal to the shared store: events in order and in batches, aggregates as they change.
//!
//! Pulls at its own pace; a store that is slow or gone costs nothing but disk. What it has made
//! durable there is a sequence number, kept beside the journal, below which the journal may be
//! trimmed. Never gives up on an event and never counts on having sent it once: an id that is there
//! already is success. Whatever fails is tried again with growing pauses of at most 5 s, once the
//! store is there. Nobody waits for it: not the journal, not the aggregator.
//!
//! Rooms: [`lease`] holds the node's id, and nothing is written without it; [`puller`], [`events`]
//! and [`delivery`] bring events over; [`aggregates`] and [`recounts`] write buckets; [`sink`] is the
//! store as all of them need it, [`mongo`] is that over MongoDB; [`kept`] remembers how far it is.
//! Started and stopped by `app`.
use std::sync::atomic::Ordering;

mod aggregates;
mod aside;
mod board;
mod calls;
mod counts;
mod delivery;
mod events;
mod kept;
mod lease;
mod mongo;
mod puller;
mod recounts;
mod sink;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::journal::Journal;
use crate::store::mongodb::Mongo;

pub use counts::{Bucket, Changed, Counts, CountsError, is_whole_minutes, start_of};

use aggregates::Aggregates;
use aside::Aside;
use board::{Board, What, get, set};
use calls::Calls;
use events::Events;
use kept::Kept;
use lease::{Lease, Permit};
use recounts::Recounts;
use sink::{Failure, Sink};

/// The longest a call to the store is waited for.
const CALL_WITHIN: Duration = Duration::from_secs(15);
/// Events that have waited for longer than this are worth a look.
const BEHIND: Duration = Duration::from_secs(10);
/// Aggregates that changed this long ago and are not written are worth a look: three rounds that
/// failed in a row, each of which pauses for 5 s at most, may be nothing.
const UNWRITTEN: Duration = Duration::from_secs(30);
/// How long the last aggregates and the goodbye may take when stopping.
const PARTING: Duration = Duration::from_millis(1_500);
/// A store that takes no event for this long when stopping is not waited for.
const STILL: Duration = Duration::from_millis(1_500);

/// What the drain is told at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where its position is kept.
    pub data_dir: PathBuf,
    /// The node's id.
    pub node: Arc<str>,
    /// The node's name, for people.
    pub node_name: Arc<str>,
    /// Lengths of the windows whose buckets are written, in seconds.
    pub windows_secs: Vec<u32>,
    /// How long changes gather before they are written.
    pub debounce: Duration,
    /// How long the store keeps events, ms.
    pub events_kept_ms: i64,
}

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Every event up to this is durable in the store.
    pub drained_seq: u64,
    /// What events up to this made of the aggregates is durable in the store.
    pub written_seq: u64,
    /// Acknowledged events that are not in the store yet.
    pub lag_events: u64,
    /// Their bytes in the journal; what is stored is taken off each half second.
    pub lag_bytes: u64,
    /// How long the oldest of them has waited, in seconds.
    pub lag_seconds: f64,
    /// Batches of events, and of buckets, that the store took since start.
    pub event_batches: u64,
    /// See `event_batches`.
    pub bucket_batches: u64,
    /// Events that were there from an earlier attempt, since start.
    pub own_duplicates: u64,
    /// Events that were there as another's, or as older ones, since start.
    pub foreign_duplicates: u64,
    /// Documents the store refused while it took others, since start.
    pub set_aside: u64,
    /// Buckets that wait to be counted from the stored events.
    pub recounts_waiting: u64,
    /// Buckets counted from the stored events, since start.
    pub recounted: u64,
    /// Buckets that changed and are not in the store yet. After a start it may take until the store
    /// is there before those from before it are counted in.
    pub unwritten_buckets: u64,
    /// How long ago the oldest of them changed, in seconds; 0 when there are none.
    pub unwritten_seconds: f64,
    /// Why the store does not take the events it is sent, while it does not.
    pub last_error: Option<String>,
    /// The same of aggregates.
    pub aggregates_error: Option<String>,
    /// Another process writes under this node's id: what to do about it.
    pub clash: Option<String>,
}

impl Stats {
    /// What is wrong while the store can be reached, in a few words and as a sentence.
    pub fn problem(&self) -> Option<(String, String)> {
        if let Some(clash) = &self.clash {
            return Some(("node id taken".into(), clash.clone()));
        }
        let waiting = self.waiting();
        if let Some(error) = &self.last_error {
            let detail = format!("store.mongodb.uri: MongoDB takes no writes: {error}; {waiting}");
            return Some(("MongoDB takes no writes".into(), detail));
        }
        let secs = self.lag_seconds;
        if secs > BEHIND.as_secs_f64() {
            let brief = format!("MongoDB {secs:.0} s behind");
            return Some((brief, format!("MongoDB is {secs:.0} s behind; {waiting}")));
        }
        let secs = self.unwritten_seconds;
        if secs > UNWRITTEN.as_secs_f64() {
            let because = self.aggregates_error.as_ref();
            let because = because.map(|error| format!(": {error}")).unwrap_or_default();
            let detail = format!(
                "store.mongodb.uri: MongoDB takes events, and aggregates that changed {secs:.0} s \
                 ago are not written{because}"
            );
            return Some((format!("aggregates {secs:.0} s behind"), detail));
        }
        None
    }

    /// How many events wait.
    pub fn waiting(&self) -> String {
        match self.lag_events {
            1 => "1 event waits in the journal".into(),
            events => format!("{events} events wait in the journal"),
        }
    }
}

/// What the drain's tasks share.
struct Shared {
    settings: Settings,
    sink: Arc<dyn Sink>,
    journal: Journal,
    counts: Arc<dyn Counts>,
    clock: Clock,
    calls: Calls,
    aside: Aside,
    board: Board,
    recounts: Mutex<Recounts>,
    /// Minutes before this time are counted from the stored events.
    whole_from_ms: i64,
    /// What was kept last.
    kept: Mutex<Kept>,
}

impl Shared {
    /// A call failed: said once, when it is not that the store is away, which is said elsewhere.
    fn failed(&self, what: What, failure: &Failure) {
        let first = self.board.failed(what, &failure.to_string(), self.clock.elapsed());
        if first && matches!(failure, Failure::Refused(_)) {
            match what {
                What::Events => {
                    tracing::warn!(
                        "MongoDB takes no writes; events wait in the journal: {failure}"
                    );
                }
                What::Aggregates => {
                    tracing::warn!(
                        "MongoDB takes no aggregates; they are written when it does: {failure}"
                    );
                }
            }
        }
    }

    /// A call succeeded.
    fn succeeded(&self, what: What) {
        if let Some(since) = self.board.succeeded(what) {
            let secs = self.clock.elapsed().saturating_sub(since).as_secs();
            if secs > 0 {
                let waiting = self.lag_events();
                let what = match what {
                    What::Events => "writes",
                    What::Aggregates => "aggregates",
                };
                tracing::info!(waiting, "MongoDB takes {what} again after {secs} s");
            }
        }
    }

    /// How many buckets changed and are not in the store, and for how long the oldest, in ms.
    fn unwritten(&self) -> (u64, i64) {
        let (now_ms, board) = (self.clock.now_ms(), &self.board);
        let noted = self.counts.unwritten_buckets(&self.settings.windows_secs);
        let refused = get(&board.refused_buckets);
        let refused_since_ms =
            (refused > 0).then(|| board.refused_since_ms.load(Ordering::Relaxed));
        let noted_since_ms = (noted > 0 || get(&board.unread_events) > 0).then(|| {
            let oldest_ms = self.journal.arrived_ms(get(&board.written_seq) + 1);
            // What changed before the last round that was finished is written.
            oldest_ms.unwrap_or(now_ms).max(board.written_at_ms.load(Ordering::Relaxed))
        });
        let since_ms = refused_since_ms.into_iter().chain(noted_since_ms).min();
        (noted + refused, since_ms.map_or(0, |since_ms| (now_ms - since_ms).max(0)))
    }

    fn lag_events(&self) -> u64 {
        (self.journal.next_seq() - 1).saturating_sub(get(&self.board.drained_seq))
    }

    /// How much waits now. What waits later is not older than now, if that is nothing.
    fn look(&self) -> u64 {
        let now_ms = self.clock.now_ms();
        let lag_events = self.lag_events();
        if lag_events == 0 {
            self.board.caught_up_ms.store(now_ms, Ordering::Relaxed);
        }
        lag_events
    }

    /// Keeps the position durably, if it moved, and tells the journal.
    async fn keep(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let kept = tokio::task::spawn_blocking(move || this.keep_now()).await;
        if let Err(error) = kept {
            tracing::error!(%error, "how far MongoDB is could not be kept");
        }
    }

    fn keep_now(&self) {
        let mut last = self.kept.lock();
        // Positions first: what they make necessary is in the list that is read after them.
        let (drained_seq, written_seq) =
            (get(&self.board.drained_seq), get(&self.board.written_seq));
        let recounts = self.recounts.lock().list();
        let kept = Kept { drained_seq, written_seq, whole_from_ms: self.whole_from_ms, recounts };
        if *last != kept {
            if let Err(error) = kept.write(&self.settings.data_dir) {
                tracing::warn!(%error, "how far MongoDB is could not be kept; trying again");
                return;
            }
            *last = kept;
            set(&self.board.kept_seq, drained_seq.min(written_seq));
        }
        self.journal.drained(drained_seq + 1, drained_seq.min(written_seq) + 1);
    }
}

/// A running drain.
#[derive(Clone)]
pub struct Drain(Arc<Running>);

struct Running {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    part: watch::Sender<bool>,
    permitted: watch::Receiver<Permit>,
    tasks: Mutex<Option<Tasks>>,
}

struct Tasks {
    events: JoinHandle<()>,
    aggregates: JoinHandle<()>,
    lease: JoinHandle<()>,
}

impl Drain {
    /// Begins to drain, on the runtime this is called on. Reads its position; never waits for the
    /// network.
    pub fn start(
        settings: Settings,
        mongo: &Mongo,
        journal: Journal,
        counts: Arc<dyn Counts>,
        clock: Clock,
    ) -> Self {
        let sink = Arc::new(mongo::MongoSink::new(mongo.clone()));
        Self::over(settings, sink, journal, counts, clock, CALL_WITHIN)
    }

    fn over(
        settings: Settings,
        sink: Arc<dyn Sink>,
        journal: Journal,
        counts: Arc<dyn Counts>,
        clock: Clock,
        call_within: Duration,
    ) -> Self {
        let mut kept = Kept::read(&settings.data_dir).unwrap_or_default();
        let next_seq = journal.next_seq();
        kept.drained_seq = kept.drained_seq.min(next_seq - 1);
        kept.written_seq = kept.written_seq.min(next_seq - 1);
        let followed_seq = counts.follow_changes();
        // Counted anew from a journal that does not reach back to the beginning.
        if counts.stored_seq() == 0
            && let Some(from_ms) = journal.kept_from_ms()
        {
            kept.whole_from_ms = kept.whole_from_ms.max(from_ms);
        }
        let board = Board::default();
        set(&board.drained_seq, kept.drained_seq);
        set(&board.written_seq, kept.written_seq);
        set(&board.kept_seq, kept.drained_seq.min(kept.written_seq));
        journal.drained(kept.drained_seq + 1, kept.drained_seq.min(kept.written_seq) + 1);
        let shared = Arc::new(Shared {
            aside: Aside::new(&settings.data_dir),
            // What was counted up to `written_seq` is not noted again: they wait for all of it.
            recounts: Mutex::new(Recounts::of(
                &kept.recounts,
                kept.drained_seq.max(kept.written_seq),
            )),
            whole_from_ms: kept.whole_from_ms,
            calls: Calls::new(call_within),
            kept: Mutex::new(kept),
            settings,
            sink,
            journal,
            counts,
            clock,
            board,
        });
        let (stop, stopping) = watch::channel(false);
        let (part, parting) = watch::channel(false);
        let (permit, permitted) = watch::channel(Permit::No);
        let lease = Lease::new(Arc::clone(&shared), permit);
        let events = Events::new(Arc::clone(&shared), permitted.clone());
        let aggregates = Aggregates::new(Arc::clone(&shared), permitted.clone(), followed_seq);
        let tasks = Tasks {
            events: tokio::spawn(events.run(stopping.clone())),
            aggregates: tokio::spawn(aggregates.run(stopping)),
            lease: tokio::spawn(lease.run(parting)),
        };
        let tasks = Mutex::new(Some(tasks));
        Self(Arc::new(Running { shared, stop, part, permitted, tasks }))
    }

    /// Nothing at or above this sequence may leave the journal: as far as a restart would know, it
    /// is not in the store yet.
    pub fn floor_seq(&self) -> u64 {
        get(&self.0.shared.board.kept_seq) + 1
    }

    /// Every event up to this is durable in the store.
    pub fn drained_seq(&self) -> u64 {
        get(&self.0.shared.board.drained_seq)
    }

    #[cfg(test)]
    fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.0.shared)
    }

    /// How it stands.
    pub fn stats(&self) -> Stats {
        let shared = &self.0.shared;
        let board = &shared.board;
        let drained_seq = get(&board.drained_seq);
        let lag_events = shared.look();
        let oldest_ms =
            (lag_events > 0).then(|| shared.journal.arrived_ms(drained_seq + 1)).flatten();
        // Known about, where it is stored together with events that came long before.
        let caught_up_ms = board.caught_up_ms.load(Ordering::Relaxed);
        let waited_ms =
            oldest_ms.map_or(0, |at| (shared.clock.now_ms() - at.max(caught_up_ms)).max(0));
        let (unwritten_buckets, unwritten_ms) = shared.unwritten();
        Stats {
            drained_seq,
            written_seq: get(&board.written_seq),
            lag_events,
            lag_bytes: if lag_events > 0 { shared.journal.stats().unstored_bytes } else { 0 },
            lag_seconds: waited_ms as f64 / 1e3,
            event_batches: get(&board.event_batches),
            bucket_batches: get(&board.bucket_batches),
            own_duplicates: get(&board.own_duplicates),
            foreign_duplicates: get(&board.foreign_duplicates),
            set_aside: get(&board.set_aside),
            recounts_waiting: shared.recounts.lock().len() as u64,
            recounted: get(&board.recounted),
            unwritten_buckets,
            unwritten_seconds: unwritten_ms as f64 / 1e3,
            last_error: board.trouble(What::Events).map(|trouble| trouble.reason),
            aggregates_error: board.trouble(What::Aggregates).map(|trouble| trouble.reason),
            clash: board.clash(),
        }
    }

    /// Once the journal is closed: drains the rest, writes what it made of aggregates, and leaves, for
    /// at most `within` each; what comes after events in [`PARTING`]. Waits for nothing that cannot
    /// be had now, since it is in the journal: neither for a store that is away nor for one that has
    /// taken nothing for [`STILL`]. Gives how many events stay for the next start.
    pub async fn stop(&self, within: Duration) -> u64 {
        let Some(mut tasks) = self.0.tasks.lock().take() else { return self.0.shared.lag_events() };
        // Ends by itself when everything is drained.
        let (all_drained, is_there) = tokio::select! {
            biased;
            _ = &mut tasks.events => (true, true),
            () = self.is_away() => (false, false),
            () = self.stands_still() => (false, false),
            () = tokio::time::sleep(within) => (false, true),
        };
        let _ = self.0.stop.send(true);
        if !all_drained {
            let _ = tasks.events.await;
        }
        let running = [tasks.aggregates.abort_handle(), tasks.lease.abort_handle()];
        let parting = async {
            let _ = tasks.aggregates.await;
            self.0.shared.keep().await;
            let _ = self.0.part.send(true);
            let _ = tasks.lease.await;
        };
        if is_there {
            tokio::select! {
                () = parting => return self.0.shared.lag_events(),
                () = self.is_away() => {}
                () = tokio::time::sleep(PARTING) => {}
            }
        }
        // Their calls come to their ends by themselves.
        running.iter().for_each(tokio::task::AbortHandle::abort);
        self.0.shared.keep().await;
        self.0.shared.lag_events()
    }

    /// Waits until nothing can be written.
    async fn is_away(&self) {
        let (mut ready, mut permit) = (self.0.shared.sink.ready(), self.0.permitted.clone());
        tokio::select! {
            _ = ready.wait_for(|ready| !ready) => {}
            _ = permit.wait_for(|permit| *permit == Permit::No) => {}
        }
    }

    /// Waits until the store has taken nothing for a while.
    async fn stands_still(&self) {
        let board = &self.0.shared.board;
        let taken = || (get(&board.accepted), get(&board.drained_seq));
        let mut before = None;
        while before != Some(taken()) {
            before = Some(taken());
            tokio::time::sleep(STILL).await;
        }
    }
}
