//! The task that writes aggregates: buckets that changed, gathered for the debounce, absolute and
//! with a revision; and those that must be counted from the stored events, one at a time.
//!
//! What was counted and not written before a restart is found by reading the events in between
//! again. A failure keeps everything marked; the next round writes it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pulseboard::event::Class;
use pulseboard::rollup::{MINUTE, minute_of, minute_of_event};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Shared;
use super::board::{What, add, get, set};
use super::counts::{Bucket, Changed, CountsError, is_whole_minutes, start_of};
use super::lease::{Permit, permitted};
use super::sink::{Failure, Put};
use crate::journal::ScanRange;

/// Minutes named at a time when events are read again.
const NAMED_MAX: usize = 20_000;
/// Buckets looked at under one lock.
const BUCKETS_MAX: usize = 256;
/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The shortest debounce.
const DEBOUNCE_MIN: Duration = Duration::from_millis(20);
/// How long the local store may take to hold what was counted, and how often it is asked.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Buckets that were refused for what they are: past it they are sent when they change.
const REFUSED_MAX: usize = 10_000;
/// How far the store's clock, by which events expire, may be ahead.
const CLOCKS_MS: i64 = 5 * 60_000;
/// When they are sent again.
const REFUSED_AGAIN: Duration = Duration::from_secs(5);
/// Minutes that may be in memory alone when everything is written anew.
const RECENT_MINUTES: i64 = 200;

/// Why a round was not finished.
#[derive(Debug)]
enum Unfinished {
    Store(Failure),
    Counts(CountsError),
}

impl From<Failure> for Unfinished {
    fn from(failure: Failure) -> Self {
        Self::Store(failure)
    }
}

impl From<CountsError> for Unfinished {
    fn from(error: CountsError) -> Self {
        Self::Counts(error)
    }
}

/// Writes aggregates.
pub(super) struct Aggregates {
    shared: Arc<Shared>,
    permit: watch::Receiver<Permit>,
    epoch: u64,
    /// Events whose changes are not noted: from, up to.
    unread: Option<(u64, u64)>,
    /// Events from here on made changes that were not noted; read again once what was noted is
    /// written.
    missed_from: Option<u64>,
    /// Buckets the store refused for what they are, while it took others; sent again now and then.
    refused: BTreeSet<(u32, i64)>,
    refused_at: Duration,
    recounting: Option<JoinHandle<()>>,
}

impl Aggregates {
    /// `followed_seq`: what events up to it made is not noted.
    pub(super) fn new(
        shared: Arc<Shared>,
        permit: watch::Receiver<Permit>,
        followed_seq: u64,
    ) -> Self {
        let written = get(&shared.board.written_seq);
        let unread = (written < followed_seq).then_some((written + 1, followed_seq));
        let mut this = Self {
            shared,
            permit,
            epoch: 0,
            unread: None,
            missed_from: None,
            refused: BTreeSet::new(),
            refused_at: Duration::ZERO,
            recounting: None,
        };
        this.set_unread(unread);
        this
    }

    fn set_unread(&mut self, unread: Option<(u64, u64)>) {
        let events = unread.map_or(0, |(from_seq, upto_seq)| upto_seq + 1 - from_seq);
        set(&self.shared.board.unread_events, events);
        self.unread = unread;
    }

    /// Runs until `stop`; then writes what changed since, once.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let debounce = self.shared.settings.debounce.max(DEBOUNCE_MIN);
        let mut pause = debounce;
        loop {
            let stopping = tokio::select! {
                () = tokio::time::sleep(pause) => false,
                _ = stop.wait_for(|stop| *stop) => true,
            };
            if stopping && !matches!(*self.permit.borrow(), Permit::Yes { .. }) {
                return;
            }
            pause = match self.round().await {
                Ok(()) => debounce,
                Err(Unfinished::Store(failure)) => {
                    self.shared.failed(What::Aggregates, &failure);
                    (pause * 2).min(PAUSE_MAX)
                }
                Err(Unfinished::Counts(error)) => {
                    tracing::warn!(%error, "aggregates could not be read; trying again");
                    let reason = format!("the local store cannot be read: {error}");
                    let board = &self.shared.board;
                    board.failed(What::Aggregates, &reason, self.shared.clock.elapsed());
                    (pause * 2).min(PAUSE_MAX)
                }
            };
            if stopping {
                return;
            }
        }
    }

    async fn round(&mut self) -> Result<(), Unfinished> {
        let epoch = permitted(&mut self.permit).await;
        if epoch != self.epoch {
            self.write_all().await?;
            self.epoch = epoch;
        }
        self.read_again().await?;
        self.send_refused().await?;
        let began_ms = self.shared.clock.now_ms();
        let changed = self.shared.counts.take_changes();
        // It is told once, and this round may fail.
        self.missed_from = self.missed_from.into_iter().chain(changed.missed_from).min();
        // While events are counted again that were counted before, what is stored is newer.
        if changed.applied_seq >= get(&self.shared.board.written_seq) {
            self.write(&changed).await?;
            self.shared.counts.changes_written();
            match self.missed_from.take() {
                None => {
                    set(&self.shared.board.written_seq, changed.applied_seq);
                    self.shared.board.written_at_ms.store(began_ms, Ordering::Relaxed);
                }
                Some(from) => self.set_unread(Some((from, changed.applied_seq))),
            }
        }
        self.recount_next();
        Ok(())
    }

    /// The store knows nothing of this node: all that is stored here is written anew.
    async fn write_all(&mut self) -> Result<(), Unfinished> {
        set(&self.shared.board.written_seq, 0);
        let upto = self.shared.counts.applied_seq();
        // Whatever was noted or was not: all of it is to be written.
        set(&self.shared.board.unread_events, upto);
        let counts = Arc::clone(&self.shared.counts);
        // What is stored here is what can be listed. It follows within a second, and never reaches
        // what is counted meanwhile: that is noted.
        let follows = async {
            while counts.stored_seq() < upto {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        if tokio::time::timeout(FOLLOWS_WITHIN, follows).await.is_err() {
            return Err(CountsError("the local store is not up to date yet".into()).into());
        }
        let mut after = i64::MIN / MINUTE;
        loop {
            let counts = Arc::clone(&counts);
            let some = blocking(move || counts.stored_minutes(after, NAMED_MAX)).await?;
            let Some(last) = some.last() else { break };
            after = *last;
            self.write(&Changed { minutes: some, ..Changed::default() }).await?;
        }
        let newest = counts.oldest_tick() + 7_200;
        let ticks = (counts.oldest_tick()..=newest).collect();
        let recent = minute_of(newest) - RECENT_MINUTES..=minute_of(newest) + 20;
        self.write(&Changed { ticks, minutes: recent.collect(), ..Changed::default() }).await?;
        // What was counted since is noted.
        self.set_unread(None);
        set(&self.shared.board.written_seq, upto);
        Ok(())
    }

    /// Names what events made that nobody noted, and writes it.
    async fn read_again(&mut self) -> Result<(), Unfinished> {
        while let Some((from_seq, upto_seq)) = self.unread {
            let journal = self.shared.journal.clone();
            let (read_to, changed) = blocking(move || {
                let range = ScanRange {
                    from_seq: Some(from_seq),
                    before_seq: Some(upto_seq + 1),
                    ..ScanRange::default()
                };
                let (mut ticks, mut minutes) = (BTreeSet::new(), BTreeSet::new());
                let mut read_to = upto_seq;
                for (first_seq, batch) in journal.forward(range) {
                    for event in batch.iter() {
                        minutes.insert(minute_of_event(&event));
                        let tick = match event.row().class {
                            Class::Live => event.tick(),
                            Class::Late => event.arrival_tick(),
                            Class::Import => continue,
                        };
                        ticks.insert(tick);
                        minutes.insert(minute_of(tick));
                    }
                    if ticks.len() + minutes.len() >= NAMED_MAX {
                        read_to = first_seq + batch.len() as u64 - 1;
                        break;
                    }
                }
                let changed = Changed {
                    ticks: ticks.into_iter().collect(),
                    minutes: minutes.into_iter().collect(),
                    ..Changed::default()
                };
                Ok((read_to, changed))
            })
            .await?;
            self.write(&changed).await?;
            set(&self.shared.board.written_seq, read_to);
            self.set_unread((read_to < upto_seq).then_some((read_to + 1, upto_seq)));
        }
        Ok(())
    }

    /// Writes every bucket that what changed is in.
    async fn write(&mut self, changed: &Changed) -> Result<(), Unfinished> {
        let wanted = self.buckets_of(changed);
        self.write_buckets(wanted).await
    }

    async fn write_buckets(&mut self, mut wanted: Vec<(u32, i64)>) -> Result<(), Unfinished> {
        while !wanted.is_empty() {
            let some = wanted[..wanted.len().min(BUCKETS_MAX)].to_vec();
            let counts = Arc::clone(&self.shared.counts);
            let buckets = blocking(move || counts.buckets(&some)).await?;
            wanted.drain(..buckets.len().max(1));
            self.put(buckets).await?;
        }
        Ok(())
    }

    /// Sends what was refused for what it is once more, when it is time: a validator may have been
    /// mended. What is too old to be made, or is counted from the stored events now, is left.
    async fn send_refused(&mut self) -> Result<(), Unfinished> {
        let now = self.shared.clock.elapsed();
        if self.refused.is_empty() || now.saturating_sub(self.refused_at) < REFUSED_AGAIN {
            return Ok(());
        }
        self.refused_at = now;
        let oldest_tick = self.shared.counts.oldest_tick();
        let is_made = |bucket: &(u32, i64)| is_whole_minutes(bucket.0) || bucket.1 >= oldest_tick;
        self.refused.retain(is_made);
        let written = self.write_buckets(self.refused.iter().copied().collect()).await;
        self.tell_refused();
        written
    }

    fn tell_refused(&self) {
        let board = &self.shared.board;
        if self.refused.is_empty() {
            board.refused_since_ms.store(0, Ordering::Relaxed);
        } else {
            let now_ms = self.shared.clock.now_ms();
            let since = &board.refused_since_ms;
            let _ = since.compare_exchange(0, now_ms, Ordering::Relaxed, Ordering::Relaxed);
        }
        set(&board.refused_buckets, self.refused.len() as u64);
    }

    /// The buckets that what changed is in, but for those that are counted from the stored events.
    fn buckets_of(&self, changed: &Changed) -> Vec<(u32, i64)> {
        let oldest_tick = self.shared.counts.oldest_tick();
        let mut wanted = BTreeSet::new();
        for &secs in &self.shared.settings.windows_secs {
            if is_whole_minutes(secs) {
                let minutes = changed.minutes.iter();
                wanted.extend(minutes.map(|minute| (secs, start_of(secs, minute * MINUTE))));
            } else {
                let ticks = changed.ticks.iter().map(|tick| start_of(secs, *tick));
                wanted.extend(ticks.filter(|start| *start >= oldest_tick).map(|at| (secs, at)));
            }
        }
        let whole_from_ms = self.shared.whole_from_ms;
        let need = self.shared.counts.applied_seq();
        let mut recounts = self.shared.recounts.lock();
        wanted.retain(|bucket| {
            let is_counted_there = is_whole_minutes(bucket.0)
                && (bucket.1 * 1_000 < whole_from_ms || recounts.contains(*bucket));
            if is_counted_there {
                recounts.mark(*bucket, need);
            }
            !is_counted_there
        });
        wanted.into_iter().collect()
    }

    /// Writes buckets; those that were counted from the stored events are marked to be so again.
    async fn put(&mut self, buckets: Vec<Bucket>) -> Result<(), Unfinished> {
        let counted = |bucket: &Bucket| {
            let totals = &bucket.summary.totals;
            totals.events + totals.late + totals.skewed > 0
        };
        let puts = buckets.into_iter().filter(counted);
        let puts: Vec<Put> = puts.map(|bucket| Put { bucket, recounted: false }).collect();
        if puts.is_empty() {
            return Ok(());
        }
        let node = Arc::clone(&self.shared.settings.node);
        let put = self.shared.sink.put(Arc::clone(&node), puts.clone());
        let answer = self.shared.calls.run(put).await?;
        add(&self.shared.board.bucket_batches, 1);
        let key =
            |index: &u32| (puts[*index as usize].bucket.secs, puts[*index as usize].bucket.start);
        if let Some(unfit) = answer.unfit.iter().find(|unfit| !unfit.is_about_it()) {
            // Whatever else was refused: all of it is written again.
            return Err(Failure::Refused(unfit.message.clone()).into());
        }
        for put in &puts {
            self.refused.remove(&(put.bucket.secs, put.bucket.start));
        }
        if let Some(unfit) = answer.unfit.first() {
            let (secs, tick) = key(&unfit.index);
            let what = answer.unfit.iter().map(|unfit| key(&unfit.index));
            self.refused.extend(what.take(REFUSED_MAX.saturating_sub(self.refused.len())));
            let reason = unfit.message.clone();
            let now = self.shared.clock.elapsed();
            if self.shared.board.failed(What::Aggregates, &reason, now) {
                tracing::error!(
                    secs,
                    tick,
                    code = unfit.code,
                    "MongoDB refuses {} aggregates and takes others; they are sent again: {reason}",
                    answer.unfit.len()
                );
            }
        }
        self.tell_refused();
        if !answer.duplicates.is_empty() {
            let which = answer.duplicates.iter().map(key).collect();
            let standings = self.shared.sink.standings(node, which);
            let standings = self.shared.calls.run(standings).await?;
            let mut recounts = self.shared.recounts.lock();
            for index in &answer.duplicates {
                let bucket = &puts[*index as usize].bucket;
                let standing = standings.get(&(bucket.secs, bucket.start));
                if standing.is_some_and(|at| at.recounted && at.revision < bucket.revision) {
                    recounts.mark((bucket.secs, bucket.start), bucket.revision);
                }
            }
        }
        if self.refused.is_empty() {
            self.shared.succeeded(What::Aggregates);
        }
        Ok(())
    }

    /// Begins to count the next bucket from the stored events, if it is one's turn and none is
    /// counted now.
    fn recount_next(&mut self) {
        if self.recounting.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let upto_seq = get(&self.shared.board.drained_seq);
        let now = self.shared.clock.elapsed();
        let Some(bucket) = self.shared.recounts.lock().next(upto_seq, now) else { return };
        let shared = Arc::clone(&self.shared);
        self.recounting = Some(tokio::spawn(async move {
            if let Err(unfinished) = recount(&shared, bucket, upto_seq).await {
                tracing::warn!(?unfinished, "a bucket could not be counted from stored events yet");
                shared.recounts.lock().put_off(bucket, shared.clock.elapsed());
            }
        }));
    }
}

/// Counts a bucket from the stored events up to a sequence, and writes it.
async fn recount(
    shared: &Arc<Shared>,
    (secs, start): (u32, i64),
    upto_seq: u64,
) -> Result<(), Unfinished> {
    let node = Arc::clone(&shared.settings.node);
    // Long, and harmless to wait for: it has a task of its own.
    let mut summary = shared.sink.recount(Arc::clone(&node), (secs, start), upto_seq).await?;
    let counts = Arc::clone(&shared.counts);
    let live = blocking(move || counts.buckets(&[(secs, start)])).await?;
    if let Some(live) = live.first() {
        let live = &live.summary.totals;
        // Events that came too late for this minute's ticks stand in their own minutes.
        summary.totals.late = live.late;
        // With room for a server whose clock is ahead of ours.
        let kept_from_ms = shared.clock.now_ms() - shared.settings.events_kept_ms + CLOCKS_MS;
        let may_be_gone = start * 1_000 < kept_from_ms;
        if may_be_gone && summary.totals.events < live.events {
            tracing::warn!(
                minute = start,
                "a minute older than the stored events has an event twice, and cannot be counted anew"
            );
            shared.recounts.lock().give_up((secs, start));
            return Ok(());
        }
    }
    let bucket = Bucket { secs, start, revision: upto_seq, summary: Arc::new(summary) };
    let put = shared.sink.put(node, vec![Put { bucket, recounted: true }]);
    let answer = shared.calls.run(put).await?;
    if let Some(unfit) = answer.unfit.first() {
        return Err(Failure::Refused(unfit.message.clone()).into());
    }
    if !answer.duplicates.is_empty() {
        // What is there was counted live from more events than these: again when they are stored.
        let which = shared.sink.standings(Arc::clone(&shared.settings.node), vec![(secs, start)]);
        let standings = shared.calls.run(which).await?;
        let newer = standings.get(&(secs, start)).map_or(upto_seq, |standing| standing.revision);
        let mut recounts = shared.recounts.lock();
        recounts.mark((secs, start), newer);
        recounts.put_off((secs, start), shared.clock.elapsed());
        return Ok(());
    }
    add(&shared.board.recounted, 1);
    shared.recounts.lock().counted((secs, start), upto_seq, shared.clock.elapsed());
    Ok(())
}

async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, CountsError> + Send + 'static,
) -> Result<T, Unfinished> {
    let done = tokio::task::spawn_blocking(call).await;
    Ok(done.map_err(|error| CountsError(error.to_string())).flatten()?)
}
