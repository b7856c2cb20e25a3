//! The senders: connections that take batches from one queue, each when it is due, and tally the
//! verdicts. Several are under way at once, so order is kept from batch to batch only nearly.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use pulseboard::wire::server::Ack;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::reader::{Batch, Read};
use super::tally::Tally;
use crate::commands::deliver::{self, Courier, DeliverError, Delivered};
use crate::commands::progress::Progress;
use crate::commands::say;
use crate::commands::stop::Stop;
use crate::target::Target;

/// Connections, each with one call under way.
const CONNECTIONS: usize = 4;
/// How long a daemon may be away or busy before the replay gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// A connection that delivers batches.
pub(super) struct Sender {
    target: Target,
    courier: Courier,
}

impl Sender {
    /// All connections; the first is opened, so that a missing daemon is known before any reading.
    pub(super) async fn connect(target: &Target, path: &str) -> anyhow::Result<Vec<Self>> {
        let new = || Self { target: target.clone(), courier: Courier::new(target, path, PATIENCE) };
        let mut senders: Vec<_> = (0..CONNECTIONS).map(|_| new()).collect();
        senders[0].courier.open().await?;
        Ok(senders)
    }

    /// Delivers a batch; where a daemon takes less in one call than we send, in halves.
    async fn deliver(&mut self, body: Bytes, events: usize) -> Result<Delivered, DeliverError> {
        let mut total = Delivered { verdict: Ack::default(), ack_time: Duration::ZERO, repeats: 0 };
        let mut first_index = 0;
        // The next part to send is the last.
        let mut parts = vec![(body, events)];
        while let Some((body, events)) = parts.pop() {
            let result = self.courier.deliver(&self.target, deliver::NDJSON, &body).await;
            let delivered = match result {
                Err(DeliverError::Refused { status: 413, .. }) if events > 1 => {
                    let (first, second) = halves(&body, events);
                    parts.push(second);
                    parts.push(first);
                    continue;
                }
                Err(error) if events == 1 => {
                    let verdict = deliver::as_rejection(&error).ok_or(error)?;
                    Delivered { verdict, ack_time: Duration::ZERO, repeats: 0 }
                }
                other => other?,
            };
            let verdict = delivered.verdict;
            total.verdict.accepted += verdict.accepted;
            total.verdict.duplicates += verdict.duplicates;
            total.verdict.rejected_total += verdict.rejected_total;
            for mut rejection in verdict.rejected {
                rejection.index += first_index;
                total.verdict.rejected.push(rejection);
            }
            total.repeats += delivered.repeats;
            first_index += events as u64;
        }
        Ok(total)
    }
}

/// Splits NDJSON after half of its events.
fn halves(body: &Bytes, events: usize) -> ((Bytes, usize), (Bytes, usize)) {
    let half = events / 2;
    let mut ends =
        body.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let at = ends.nth(half - 1).unwrap_or(body.len());
    ((body.slice(..at), half), (body.slice(at..), events - half))
}

/// What the senders share.
struct Work {
    queue: tokio::sync::Mutex<mpsc::Receiver<Read>>,
    tally: Arc<Mutex<Tally>>,
    progress: Arc<Progress>,
    speed: Option<f64>,
    began: Instant,
}

/// Sends until the queue is at its end, a body is refused for good, or it is asked to stop.
pub(super) async fn send_all(
    senders: Vec<Sender>,
    queue: mpsc::Receiver<Read>,
    speed: Option<f64>,
    tally: Arc<Mutex<Tally>>,
    progress: Arc<Progress>,
    stop: Stop,
) -> anyhow::Result<()> {
    let queue = tokio::sync::Mutex::new(queue);
    let work = Arc::new(Work { queue, tally, progress, speed, began: Instant::now() });
    let mut tasks = JoinSet::new();
    let (halt, halted) = watch::channel(false);
    for sender in senders {
        tasks.spawn(send(sender, Arc::clone(&work), stop.clone(), halted.clone()));
    }
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.context("a sending task failed")?;
        if ended.is_err() && result.is_ok() {
            result = ended;
            // The others finish the batch they send and take no more.
            halt.send_replace(true);
        }
    }
    result
}

async fn send(
    mut sender: Sender,
    work: Arc<Work>,
    mut stop: Stop,
    mut halted: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    loop {
        let batch = tokio::select! {
            biased;
            () = stop.asked() => return Ok(()),
            _ = halted.wait_for(|halted| *halted) => return Ok(()),
            batch = work.next_batch() => batch?,
        };
        let Some(batch) = batch else { return Ok(()) };
        let delivered = sender.deliver(batch.body.clone(), batch.lines.len()).await?;
        work.count(&delivered, &batch);
    }
}

impl Work {
    /// The next batch, when it is due. The others wait behind it, so that batches begin in order.
    async fn next_batch(&self) -> anyhow::Result<Option<Batch>> {
        let mut queue = self.queue.lock().await;
        loop {
            match queue.recv().await {
                None => return Ok(None),
                Some(Read::Failed(error)) => {
                    return Err(error).context("the input cannot be read any further");
                }
                Some(Read::Unreadable { line, reason }) => {
                    let show = self.tally().add_unreadable(line, &reason);
                    self.show(show);
                }
                Some(Read::Batch(batch)) => {
                    if let Some(speed) = self.speed {
                        let due = Duration::from_secs_f64(batch.due_ms as f64 / 1_000.0 / speed);
                        sleep_until(self.began + due).await;
                    }
                    return Ok(Some(batch));
                }
            }
        }
    }

    fn count(&self, delivered: &Delivered, batch: &Batch) {
        let (show, done, words) = {
            let mut tally = self.tally();
            let show = tally.add(&delivered.verdict, &batch.lines, delivered.repeats);
            tally.reach(batch.bytes_in, batch.span_ms);
            let rate = tally.lines() as f64 / self.began.elapsed().as_secs_f64().max(0.001);
            let words =
                format!("{}, {}/s", say::counted(tally.lines(), "line"), say::count(rate as u64));
            (show, tally.bytes_in, words)
        };
        self.progress.set(done, words);
        self.show(show);
    }

    fn show(&self, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            self.progress.aside(format_args!("{line}"));
        }
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_hold_all_events_in_order() {
        let body = Bytes::from_static(b"{1}\n{2}\n{3}\n");
        let ((first, one), (second, two)) = halves(&body, 3);
        assert_eq!((&*first, one), (&b"{1}\n"[..], 1));
        assert_eq!((&*second, two), (&b"{2}\n{3}\n"[..], 2));
    }
}
