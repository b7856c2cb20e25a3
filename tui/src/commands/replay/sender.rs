//! The senders: connections that take batches from one queue, each when it is due, and tally the
//! verdicts. Several are under way at once, so order is kept from batch to batch only nearly.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::reader::{Batch, Read};
use super::tally::Tally;
use crate::commands::deliver::{Courier, Delivered, Pieces};
use crate::commands::progress::Progress;
use crate::commands::say;
use crate::commands::stop::Stop;
use crate::commands::waiting::Waiting;
use crate::target::Target;

/// Connections, each with one call under way.
const CONNECTIONS: usize = 4;
/// How long a daemon may be away or busy before the replay gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long an answer is waited for once it is asked to stop.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A connection that delivers batches.
pub(super) struct Sender {
    target: Target,
    pieces: Pieces,
}

impl Sender {
    /// All connections; the first is opened, so that a missing daemon is known before any reading.
    pub(super) async fn connect(target: &Target, path: &str) -> anyhow::Result<Vec<Self>> {
        let courier = || Courier::new(target, path, PATIENCE);
        let new = || Self { target: target.clone(), pieces: Pieces::new(courier()) };
        let mut senders: Vec<_> = (0..CONNECTIONS).map(|_| new()).collect();
        senders[0].pieces.courier().open().await?;
        Ok(senders)
    }
}

/// What the senders share.
struct Work {
    queue: tokio::sync::Mutex<mpsc::Receiver<Read>>,
    tally: Arc<Mutex<Tally>>,
    progress: Arc<Progress>,
    waiting: Waiting,
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
    let waiting = Waiting::new(Arc::clone(&progress));
    let work = Arc::new(Work { queue, tally, waiting, progress, speed, began: Instant::now() });
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
        let Sender { target, pieces } = &mut sender;
        let delivery = pieces.deliver(target, batch.body.clone(), batch.lines.len(), &work.waiting);
        let delivered = tokio::select! {
            delivered = delivery => delivered?,
            // What waits for its turn may wait long.
            () = stop.asked_and_waited(LAST_WORDS) => return Ok(()),
        };
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
