//! One socket that publishes batches, up to 32 not yet acknowledged, and sends those again that a
//! lost connection or a busy daemon left without an answer.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use pulseboard::wire::server::{Ack, Rejection};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;

use super::stats::Stats;
use super::supply::{Batch, Supply};
use super::{LAST_WORDS, PATIENCE, Stopped};
use crate::commands::waiting::Waiting;
use crate::connection::backoff::Backoff;
use crate::socket::{self, OpenError, Socket};
use crate::target::Target;

/// Publishes under way; the daemon stops reading at 64.
const IN_FLIGHT: usize = 32;

/// A socket and what it has under way.
pub(super) struct Publisher {
    target: Target,
    socket: Option<Socket>,
    in_flight: VecDeque<Publish>,
    /// Refused for now: to be sent again.
    again: Vec<Batch>,
    /// Events of a frame, as far as it is known what the daemon takes at once.
    events_max: u32,
    /// Publishes under way at most: one after the daemon put one off, more with each it took.
    window: usize,
    next_id: u64,
}

struct Publish {
    id: u64,
    sent: Instant,
    batch: Batch,
}

/// What the daemon said, as far as a publisher cares.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    id: Option<u64>,
    #[serde(default)]
    accepted: u64,
    #[serde(default)]
    duplicates: u64,
    #[serde(default)]
    rejected: Vec<Rejection>,
    #[serde(default)]
    rejected_total: u64,
    code: Option<String>,
    message: Option<String>,
    retry_after_ms: Option<u64>,
}

fn is(code: Option<&str>, wanted: &str) -> bool {
    code == Some(wanted)
}

impl Publisher {
    /// Connects, so that a missing daemon is known at once.
    pub(super) async fn connect(target: &Target) -> anyhow::Result<Self> {
        let socket = match socket::open(target, target.token()?.as_ref()).await {
            Ok(socket) => socket,
            Err(OpenError::Dial(error)) => bail!(error.sentence(target)),
            Err(error) => bail!("{target} gives no socket: {error}"),
        };
        Ok(Self {
            target: target.clone(),
            socket: Some(socket),
            in_flight: VecDeque::new(),
            again: Vec::new(),
            events_max: u32::MAX,
            window: IN_FLIGHT,
            next_id: 1,
        })
    }

    /// Publishes until it is stopped and what is under way has its answers.
    pub(super) async fn run(
        mut self,
        mut supply: Supply,
        stats: Arc<Stats>,
        stopped: Stopped,
        waiting: Waiting,
    ) -> anyhow::Result<()> {
        let mut patience = stopped.clone();
        let work = async {
            loop {
                let Some(mut socket) = self.socket.take() else {
                    self.reconnect().await?;
                    continue;
                };
                // A loss is an end without an error: the same batches go out again.
                if self.talk(&mut socket, &mut supply, &stats, stopped.clone(), &waiting).await? {
                    let _ = socket.close(None).await;
                    return anyhow::Ok(());
                }
                stats.repeated(self.in_flight.len() as u64);
            }
        };
        let result = tokio::select! {
            biased;
            result = work => result,
            () = patience.wait_longer(LAST_WORDS) => Ok(()),
        };
        let left = self.in_flight.iter().map(|publish| &publish.batch).chain(&self.again);
        stats.unanswered(left.map(|batch| u64::from(batch.events)).sum());
        result
    }

    async fn reconnect(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut backoff = Backoff::default();
        loop {
            let token = self.target.token()?;
            let asked = match socket::open(&self.target, token.as_ref()).await {
                Ok(socket) => {
                    self.socket = Some(socket);
                    // What had no answer goes out first, in order, with the ids it had.
                    self.again.extend(self.in_flight.drain(..).map(|publish| publish.batch));
                    self.again.reverse();
                    return Ok(());
                }
                Err(OpenError::Denied(denial)) => {
                    bail!("{} refuses: {}", self.target, denial.reason)
                }
                Err(OpenError::Refused { retry_after, .. }) => retry_after,
                Err(error) if began.elapsed() > PATIENCE => {
                    bail!("gave up on {} after {} s: {error}", self.target, PATIENCE.as_secs())
                }
                Err(_) => None,
            };
            sleep(backoff.failed(asked)).await;
        }
    }

    /// Publishes over one connection. True when it was stopped and nothing is under way any more,
    /// false when the connection was lost.
    async fn talk(
        &mut self,
        socket: &mut Socket,
        supply: &mut Supply,
        stats: &Stats,
        mut stopped: Stopped,
        waiting: &Waiting,
    ) -> anyhow::Result<bool> {
        let mut pause = None;
        loop {
            let ended = stopped.is_set();
            if ended && self.in_flight.is_empty() && self.again.is_empty() {
                return Ok(true);
            }
            // Without waiting: everything there is room for, in one write.
            while pause.is_none() && self.in_flight.len() < self.window {
                let batch = match self.again.pop() {
                    Some(batch) => Some(batch),
                    None if ended => None,
                    None => supply.next().now_or_never().flatten(),
                };
                let Some(batch) = batch else { break };
                if self.feed(socket, batch).await.is_err() {
                    return Ok(false);
                }
            }
            if socket.flush().await.is_err() {
                return Ok(false);
            }
            let room = !ended && pause.is_none() && self.in_flight.len() < self.window;
            let message = tokio::select! {
                biased;
                message = socket.next() => message,
                batch = supply.next(), if room => {
                    let Some(batch) = batch else {
                        stopped.wait().await;
                        continue;
                    };
                    if self.feed(socket, batch).await.is_err() {
                        return Ok(false);
                    }
                    continue;
                }
                () = stopped.wait(), if !ended => continue,
                () = sleep(pause.unwrap_or_default()), if pause.is_some() => {
                    pause = None;
                    continue;
                }
            };
            // Then every answer that is here already.
            let mut next = message;
            loop {
                match next {
                    Some(Ok(Message::Text(text))) => {
                        if let Some(asked) = self.hear(&text, stats, waiting)? {
                            pause = Some(asked);
                        }
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(false),
                    Some(Ok(_)) => {}
                }
                match socket.next().now_or_never() {
                    Some(more) => next = more,
                    None => break,
                }
            }
        }
    }

    /// Writes a frame; what is too large for one goes into the next.
    async fn feed(
        &mut self,
        socket: &mut Socket,
        batch: Batch,
    ) -> Result<(), tokio_tungstenite::tungstenite::Error> {
        let batch = match batch.split_commas(self.events_max) {
            (first, Some(rest)) => {
                self.again.push(rest);
                first
            }
            (whole, None) => whole,
        };
        let id = self.next_id;
        self.next_id += 1;
        let events = String::from_utf8_lossy(&batch.text);
        let frame = format!("{{\"op\":\"publish\",\"id\":{id},\"events\":[{events}]}}");
        self.in_flight.push_back(Publish { id, sent: Instant::now(), batch });
        socket.feed(Message::text(frame)).await
    }

    /// Takes in a message; gives the pause that the daemon asks for, if it does.
    fn hear(
        &mut self,
        text: &str,
        stats: &Stats,
        waiting: &Waiting,
    ) -> anyhow::Result<Option<Duration>> {
        let Ok(said) = serde_json::from_str::<Said<'_>>(text) else { return Ok(None) };
        let publish = said.id.and_then(|id| self.take(id));
        match (&*said.op, publish) {
            ("ack", Some(publish)) => {
                let verdict = Ack {
                    id: said.id,
                    accepted: said.accepted,
                    duplicates: said.duplicates,
                    rejected: said.rejected,
                    rejected_total: said.rejected_total,
                };
                stats.answered(&verdict, publish.sent.elapsed(), 0);
                self.window = (self.window + 1).min(IN_FLIGHT);
                Ok(None)
            }
            ("error", Some(publish)) => match said.retry_after_ms {
                None if is(said.code.as_deref(), "batch_exceeds_burst")
                    && publish.batch.events > 1 =>
                {
                    self.events_max = publish.batch.events / 2;
                    self.again.push(publish.batch);
                    Ok(None)
                }
                Some(retry_after_ms) => {
                    if is(said.code.as_deref(), "rate_limited") {
                        waiting.is_limited(said.message.as_deref().unwrap_or_default());
                        stats.limited(1);
                        self.window = 1;
                    } else {
                        stats.repeated(1);
                    }
                    self.again.push(publish.batch);
                    Ok(Some(Duration::from_millis(retry_after_ms.clamp(1, 60_000))))
                }
                None => Err(self.refusal(said.code, said.message)),
            },
            ("error", None) if said.id.is_none() => Err(self.refusal(said.code, said.message)),
            _ => Ok(None),
        }
    }

    fn refusal(&self, code: Option<String>, message: Option<String>) -> anyhow::Error {
        anyhow::anyhow!(
            "{} refuses: {} ({})",
            self.target,
            message.unwrap_or_else(|| "no reason given".to_owned()),
            code.unwrap_or_else(|| "no code".to_owned()),
        )
    }

    /// Answers come nearly in order, so the one looked for is near the front.
    fn take(&mut self, id: u64) -> Option<Publish> {
        let at = self.in_flight.iter().position(|publish| publish.id == id)?;
        self.in_flight.remove(at)
    }
}
