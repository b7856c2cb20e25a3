//! The dashboard's connection: one task that opens the socket, joins every window's room, turns
//! messages into [`Feed`]s, and comes back by itself when it is lost. It alone touches the socket;
//! it draws nothing and decides nothing about what is shown.

pub mod backoff;
pub mod demo;
pub mod rooms;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use pulseboard::wire::client::ClientMessage;
use pulseboard::wire::server::{AuthState, ServerMessage, Welcome};
use pulseboard::wire::{self, close};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::dial;
use crate::event::Feed;
use crate::socket::{self, OpenError, Socket};
use crate::target::Target;
use backoff::Backoff;
use demo::Traffic;
use rooms::Rooms;

/// News not yet taken. When full the task stops reading, and the daemon merges ticks for us.
const FEED_MAX: usize = 64;
/// Wishes not yet heard; they come from keys.
const ASKS_MAX: usize = 16;
/// A room sends a frame a second; this long without a word means the way is broken.
const SILENCE: Duration = Duration::from_secs(10);
/// How often demo traffic is sent.
const DEMO_EVERY: Duration = Duration::from_millis(250);

/// What the dashboard asks of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Connect now instead of waiting.
    Retry,
    /// Start or stop demo traffic.
    Demo(bool),
}

/// The two ends the dashboard holds.
#[derive(Debug)]
pub struct Handle {
    /// News, in order. Bounded.
    pub feed: mpsc::Receiver<Feed>,
    /// Wishes. Bounded; one too many is dropped, the key can be pressed again.
    pub asks: mpsc::Sender<Ask>,
}

/// Starts the task. It ends when the handle is dropped.
pub fn start(target: Target) -> Handle {
    let (news, feed) = mpsc::channel(FEED_MAX);
    let (asks, heard) = mpsc::channel(ASKS_MAX);
    let connection = Connection {
        target,
        news,
        asks: heard,
        rooms: Rooms::default(),
        backoff: Backoff::default(),
        demo: None,
    };
    tokio::spawn(connection.run());
    Handle { feed, asks }
}

struct Connection {
    target: Target,
    news: mpsc::Sender<Feed>,
    asks: mpsc::Receiver<Ask>,
    rooms: Rooms,
    backoff: Backoff,
    demo: Option<Traffic>,
}

/// Why a connection came to its end.
enum End {
    /// Nobody watches any more.
    Dropped,
    /// Come back after a while.
    Lost { reason: String, retry_after: Option<Duration> },
    /// Do not come back with this token.
    Denied(String),
}

impl End {
    fn lost(reason: impl Into<String>) -> Self {
        Self::Lost { reason: reason.into(), retry_after: None }
    }
}

impl From<OpenError> for End {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Denied(denial) => Self::Denied(denial.reason),
            OpenError::Refused { reason, retry_after } => Self::Lost { reason, retry_after },
            other => Self::lost(other.to_string()),
        }
    }
}

impl Connection {
    async fn run(mut self) {
        loop {
            if self.tell(Feed::Connecting { attempt: self.backoff.attempt() }).await.is_err() {
                return;
            }
            let end = match socket::open(&self.target, self.target.token().ok().flatten().as_ref())
                .await
            {
                Ok(mut socket) => self.converse(&mut socket).await,
                Err(error) => error.into(),
            };
            let goes_on = match end {
                End::Dropped => return,
                End::Denied(reason) => self.wait_for_a_wish(reason).await,
                End::Lost { reason, retry_after } => self.wait(reason, retry_after).await,
            };
            if goes_on.is_err() {
                return;
            }
        }
    }

    /// Waits out the backoff, or until asked to try now.
    async fn wait(&mut self, reason: String, asked: Option<Duration>) -> Result<(), Gone> {
        let wait = self.backoff.failed(asked);
        let attempt = self.backoff.attempt();
        let retry_ms = wait.as_millis() as u64;
        self.tell(Feed::Waiting { attempt, reason, retry_ms }).await?;
        let pause = sleep(wait);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return Ok(()),
                ask = self.asks.recv() => match ask {
                    None => return Err(Gone),
                    Some(Ask::Retry) => return Ok(()),
                    Some(Ask::Demo(on)) => self.set_demo(on),
                },
            }
        }
    }

    async fn wait_for_a_wish(&mut self, reason: String) -> Result<(), Gone> {
        self.demo = None;
        self.tell(Feed::Denied { reason }).await?;
        loop {
            match self.asks.recv().await {
                None => return Err(Gone),
                Some(Ask::Retry) => return Ok(()),
                Some(Ask::Demo(_)) => {}
            }
        }
    }

    /// Talks until the connection ends.
    async fn converse(&mut self, socket: &mut Socket) -> End {
        let mut publishing = every(DEMO_EVERY);
        loop {
            tokio::select! {
                // Reading first: after the terminal was stopped for a while, what waits in the
                // socket must count before the silence does.
                biased;
                message = timeout(SILENCE, socket.next()) => {
                    let Ok(message) = message else {
                        return End::lost(format!("nothing heard for {} s", SILENCE.as_secs()));
                    };
                    if let Err(end) = self.hear(socket, message).await {
                        return end;
                    }
                }
                ask = self.asks.recv() => match ask {
                    None => {
                        let _ = socket.close(None).await;
                        return End::Dropped;
                    }
                    Some(Ask::Retry) => {}
                    Some(Ask::Demo(on)) => self.set_demo(on),
                },
                _ = publishing.tick(), if self.demo.is_some() => {
                    if let Err(end) = self.publish(socket).await {
                        return end;
                    }
                }
            }
        }
    }

    async fn hear(
        &mut self,
        socket: &mut Socket,
        message: Option<Result<Message, tungstenite::Error>>,
    ) -> Result<(), End> {
        let text = match message {
            None => return Err(End::lost("connection closed")),
            Some(Err(tungstenite::Error::Io(error))) => {
                return Err(End::lost(dial::plain(&error)));
            }
            Some(Err(tungstenite::Error::Protocol(_))) => {
                return Err(End::lost("connection closed"));
            }
            Some(Err(error)) => return Err(End::lost(error.to_string())),
            Some(Ok(Message::Close(frame))) => {
                return Err(match frame {
                    None => End::lost("connection closed"),
                    Some(frame) => closed(u16::from(frame.code), frame.reason.as_str()),
                });
            }
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(_)) => return Ok(()),
        };
        // A message of a newer daemon that this build does not know is passed over.
        let Ok(message) = serde_json::from_str::<ServerMessage>(&text) else { return Ok(()) };
        match message {
            ServerMessage::Welcome(welcome) => self.welcome(socket, welcome).await,
            ServerMessage::Snapshot(snapshot) => {
                self.backoff.succeeded();
                match self.rooms.snapshot(snapshot) {
                    Some(frame) => self.feed(Feed::Frame(Box::new(frame))).await,
                    None => Ok(()),
                }
            }
            ServerMessage::Delta(delta) => match self.rooms.delta(delta) {
                Ok(Some(frame)) => self.feed(Feed::Frame(Box::new(frame))).await,
                Ok(None) => Ok(()),
                Err(lost) => {
                    let since = self.rooms.rejoin(&lost.room);
                    say(socket, &ClientMessage::Subscribe { rooms: vec![lost.room], since }).await
                }
            },
            ServerMessage::Ack(ack) => match ack.rejected.into_iter().next() {
                Some(rejection) => self.feed(Feed::Refused { message: rejection.message }).await,
                None => Ok(()),
            },
            ServerMessage::Error(error) => {
                if let (Some(traffic), Some(pause_ms)) = (&mut self.demo, error.retry_after_ms) {
                    traffic.rest(pause_ms);
                }
                self.feed(Feed::Refused { message: error.message }).await
            }
            ServerMessage::Tail { .. }
            | ServerMessage::System { .. }
            | ServerMessage::Unsubscribed { .. }
            | ServerMessage::Pong { .. } => Ok(()),
        }
    }

    async fn welcome(&mut self, socket: &mut Socket, welcome: Welcome) -> Result<(), End> {
        if welcome.protocol != wire::PROTOCOL {
            let (theirs, ours) = (welcome.protocol, wire::PROTOCOL);
            let reason =
                format!("it speaks protocol {theirs}, this build {ours}: update the older");
            return Err(End::Denied(reason));
        }
        if welcome.auth == AuthState::Required {
            let reason = match self.target.token().ok().flatten() {
                None => "it asks for a token, and none was given",
                Some(_) => "it did not take the token",
            };
            return Err(End::Denied(reason.to_owned()));
        }
        let most = usize::try_from(welcome.limits.rooms).unwrap_or(usize::MAX);
        let windows = &welcome.windows[..welcome.windows.len().min(most)];
        let (rooms, since) = self.rooms.join(windows);
        if welcome.auth != AuthState::Dev {
            self.demo = None;
        }
        self.feed(Feed::Welcome(Arc::new(welcome))).await?;
        say(socket, &ClientMessage::Subscribe { rooms, since }).await
    }

    async fn publish(&mut self, socket: &mut Socket) -> Result<(), End> {
        let Some(traffic) = &mut self.demo else { return Ok(()) };
        let Some(events) = traffic.batch() else { return Ok(()) };
        say(socket, &ClientMessage::Publish { id: None, events }).await
    }

    fn set_demo(&mut self, on: bool) {
        self.demo = on.then(|| Traffic::new(rand::random()));
    }

    async fn feed(&self, feed: Feed) -> Result<(), End> {
        self.tell(feed).await.map_err(|Gone| End::Dropped)
    }

    async fn tell(&self, feed: Feed) -> Result<(), Gone> {
        self.news.send(feed).await.map_err(|_| Gone)
    }
}

/// The dashboard is gone.
struct Gone;

async fn say(socket: &mut Socket, message: &ClientMessage) -> Result<(), End> {
    let text = serde_json::to_string(message).map_err(|error| End::lost(error.to_string()))?;
    let sent = timeout(SILENCE, socket.send(Message::text(text))).await;
    match sent {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::lost(error.to_string())),
        Err(_) => Err(End::lost("nothing could be sent")),
    }
}

/// What a close code means for coming back.
fn closed(code: u16, reason: &str) -> End {
    let said = match code {
        close::GOING_AWAY => "the daemon shut down",
        close::RESTART => "the daemon restarts",
        close::TRY_LATER => "the daemon asks to come later",
        close::TOO_SLOW => "this terminal read nothing for 30 s",
        close::NO_PONG => "this terminal did not answer",
        close::BYE => "the daemon said goodbye",
        close::INTERNAL => "the daemon has a fault of its own; its log says which",
        _ if !reason.is_empty() => reason,
        _ => "connection closed",
    };
    if close::may_return(code) {
        End::lost(said)
    } else {
        End::Denied(if reason.is_empty() {
            "the token was refused".to_owned()
        } else {
            reason.to_owned()
        })
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
