//! The dashboard's connection: one task that opens the socket, joins every window's room, turns
//! messages into [`Feed`]s, and comes back by itself when it is lost. It alone touches the socket;
//! it draws nothing and decides nothing about what is shown.

pub mod backoff;
pub mod demo;
mod figures;
pub mod rooms;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use pulseboard::claims::{Scope, Scopes};
use pulseboard::wire::client::ClientMessage;
use pulseboard::wire::server::{AuthState, ErrorMessage, ServerMessage, Welcome};
use pulseboard::wire::{self, close};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::clock;
use crate::dial;
use crate::event::Feed;
use crate::socket::{self, Denial, OpenError, Socket};
use crate::state::held::Held;
use crate::target::Target;
use crate::token::Token;
use backoff::Backoff;
use demo::Traffic;
use figures::Reader;
use rooms::Rooms;
use tokens::Tokens;

/// News not yet taken. When full the task stops reading, and the daemon merges ticks for us.
const FEED_MAX: usize = 64;
/// Wishes not yet heard; they come from keys.
const ASKS_MAX: usize = 16;
/// A room sends a frame a second; this long without a word means the way is broken.
const SILENCE: Duration = Duration::from_secs(10);
/// How often demo traffic is sent.
const DEMO_EVERY: Duration = Duration::from_millis(250);

/// How often the daemon's own figures are read while somebody looks at them.
const FIGURES_EVERY: Duration = Duration::from_secs(2);
/// How often a token's file is looked at for another one.
const FILE_EVERY: Duration = Duration::from_secs(5);

/// What the dashboard asks of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Go on with this token: renew by it, or come back with it.
    Token(Token),
    /// Connect now instead of waiting.
    Retry,
    /// Start or stop demo traffic.
    Demo(bool),
    /// Start or stop reading the daemon's own figures.
    Figures(bool),
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
        tokens: Tokens::new(target.token_source().clone()),
        target,
        news,
        asks: heard,
        rooms: Rooms::default(),
        backoff: Backoff::default(),
        demo: None,
        figures: Reader::default(),
        site: None,
        turned_out: None,
    };
    tokio::spawn(connection.run());
    Handle { feed, asks }
}

struct Connection {
    target: Target,
    tokens: Tokens,
    news: mpsc::Sender<Feed>,
    asks: mpsc::Receiver<Ask>,
    rooms: Rooms,
    backoff: Backoff,
    demo: Option<Traffic>,
    /// The daemon's own figures, while they are looked at.
    figures: Reader,
    /// The one site of the last token, if it had one.
    site: Option<String>,
    /// What the daemon said about the token just before it closes.
    turned_out: Option<String>,
}

/// Why a connection came to its end.
enum End {
    /// Nobody watches any more.
    Dropped,
    /// Come back after a while.
    Lost { reason: String, retry_after: Option<Duration> },
    /// Do not come back as we are.
    Denied(Denial),
    /// A renewal was not taken: come back at once with the token before.
    NotRenewed(String),
}

impl End {
    fn lost(reason: impl Into<String>) -> Self {
        Self::Lost { reason: reason.into(), retry_after: None }
    }

    /// Only another token helps.
    fn token(reason: impl Into<String>) -> Self {
        Self::Denied(Denial { reason: reason.into(), about_token: true })
    }
}

impl From<OpenError> for End {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Denied(denial) => Self::Denied(denial),
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
            let end = match self.tokens.pick() {
                Err(error) => End::token(error.to_string()),
                Ok(token) => match socket::open(&self.target, token.as_ref()).await {
                    Ok(mut socket) => self.converse(&mut socket).await,
                    Err(error) => error.into(),
                },
            };
            let goes_on = match end {
                End::Dropped => return,
                End::Denied(denial) => self.wait_for_a_wish(denial).await,
                End::NotRenewed(reason) => self.tell(Feed::TokenRefused { reason }).await,
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
                    Some(Ask::Figures(on)) => self.figures.set(on),
                    Some(Ask::Token(token)) => {
                        self.tokens.paste(token);
                        return Ok(());
                    }
                },
            }
        }
    }

    /// Waits for another token, or until asked to try again as before.
    async fn wait_for_a_wish(&mut self, denial: Denial) -> Result<(), Gone> {
        self.demo = None;
        if denial.about_token {
            self.tokens.turned_down();
            // Whoever renews the file may have been quicker than the token's end.
            if self.tokens.rotated().is_some() {
                return Ok(());
            }
        }
        self.tell(Feed::Denied(denial)).await?;
        let mut looks = every(FILE_EVERY);
        loop {
            tokio::select! {
                ask = self.asks.recv() => match ask {
                    None => return Err(Gone),
                    Some(Ask::Retry) => return Ok(()),
                    Some(Ask::Demo(_)) => {}
                    Some(Ask::Figures(on)) => self.figures.set(on),
                    Some(Ask::Token(token)) => {
                        self.tokens.paste(token);
                        return Ok(());
                    }
                },
                _ = looks.tick() => if self.tokens.rotated().is_some() {
                    return Ok(());
                },
            }
        }
    }

    /// Talks until the connection ends.
    async fn converse(&mut self, socket: &mut Socket) -> End {
        let mut publishing = every(DEMO_EVERY);
        let mut looks = every(FILE_EVERY);
        let mut reading = every(FIGURES_EVERY);
        let mut welcomed = false;
        self.turned_out = None;
        loop {
            tokio::select! {
                // Reading first: after the terminal was stopped for a while, what waits in the
                // socket must count before the silence does.
                biased;
                message = timeout(SILENCE, socket.next()) => {
                    let Ok(message) = message else {
                        return End::lost(format!("nothing heard for {} s", SILENCE.as_secs()));
                    };
                    if let Err(end) = self.hear(socket, message, &mut welcomed).await {
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
                    Some(Ask::Figures(on)) => {
                        self.figures.set(on);
                        reading.reset_immediately();
                    }
                    Some(Ask::Token(token)) => {
                        if let Err(end) = self.renew(socket, token, true).await {
                            return end;
                        }
                    }
                },
                _ = looks.tick(), if welcomed => if let Some(token) = self.tokens.rotated()
                    && let Err(end) = self.renew(socket, token, false).await
                {
                    return end;
                },
                _ = reading.tick(), if welcomed && self.figures.is_wanted() => {
                    self.figures.read(&self.target, self.tokens.current(), &self.news);
                }
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
        welcomed: &mut bool,
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
                    Some(frame) => self.closed(u16::from(frame.code), frame.reason.as_str()),
                });
            }
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(_)) => return Ok(()),
        };
        // A message of a newer daemon that this build does not know is passed over.
        let Ok(message) = serde_json::from_str::<ServerMessage>(&text) else { return Ok(()) };
        match message {
            ServerMessage::Welcome(welcome) => {
                let is_first = !std::mem::replace(welcomed, true);
                self.welcome(socket, welcome, is_first).await
            }
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
            ServerMessage::Error(error) if is_about_our_token(&error) => {
                self.turned_out = Some(error.message);
                Ok(())
            }
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

    /// The first message, and the answer to a renewal, after which our rooms stay as they are.
    async fn welcome(
        &mut self,
        socket: &mut Socket,
        welcome: Welcome,
        is_first: bool,
    ) -> Result<(), End> {
        if welcome.protocol != wire::PROTOCOL {
            let (theirs, ours) = (welcome.protocol, wire::PROTOCOL);
            let reason =
                format!("it speaks protocol {theirs}, this build {ours}: update the older");
            return Err(End::Denied(Denial { reason, about_token: false }));
        }
        if welcome.auth == AuthState::Required {
            return Err(End::token(match self.tokens.current() {
                None => "it asks for a token, and none was given",
                Some(_) => "it did not take the token",
            }));
        }
        let scopes = Scopes::of_claim(&welcome.scope);
        if welcome.auth == AuthState::Ok && !scopes.allow(Scope::Read) {
            let scopes = if scopes.is_empty() { "nothing".to_owned() } else { scopes.to_string() };
            self.tokens.taken();
            let reason = format!("the token is for {scopes}; watching needs the scope read");
            return Err(End::token(reason));
        }
        self.tokens.taken();
        self.feed_token(welcome.auth).await?;
        let most = usize::try_from(welcome.limits.rooms).unwrap_or(usize::MAX);
        let windows = welcome.windows[..welcome.windows.len().min(most)].to_vec();
        if welcome.auth != AuthState::Dev {
            self.demo = None;
        }
        self.feed(Feed::Welcome(Arc::new(welcome))).await?;
        if !is_first {
            return Ok(());
        }
        let (rooms, since) = self.rooms.join(&windows);
        say(socket, &ClientMessage::Subscribe { rooms, since }).await
    }

    /// Says which token holds from now on, and whether it is for another site than the one before.
    async fn feed_token(&mut self, auth: AuthState) -> Result<(), End> {
        let token = self.tokens.current().filter(|_| auth == AuthState::Ok);
        let says = token.and_then(Token::says);
        let now_ms = clock::unix_ms();
        let held = token.map(|token| {
            let expires_ms = says.as_ref().and_then(|says| says.expires_ms);
            let issued_ms = says.as_ref().and_then(|says| says.issued_ms);
            Held {
                tail: token.tail().to_owned(),
                ends_in_ms: expires_ms.map(|expires_ms| expires_ms.saturating_sub(now_ms)),
                lasts_ms: expires_ms.zip(issued_ms).map(|(end, start)| end.saturating_sub(start)),
                from_file: self.tokens.is_from_file(),
            }
        });
        let site = says.and_then(|says| says.site);
        if site != self.site {
            self.site = site;
            if self.rooms.forget() {
                self.feed(Feed::OtherSite).await?;
            }
        }
        self.feed(Feed::Token(held)).await
    }

    /// Sends another token on the open socket; a welcome answers it, or the end.
    async fn renew(&mut self, socket: &mut Socket, token: Token, pasted: bool) -> Result<(), End> {
        let auth = ClientMessage::Auth { token: token.expose().to_owned() };
        self.tokens.offer(token, pasted);
        say(socket, &auth).await
    }

    async fn publish(&mut self, socket: &mut Socket) -> Result<(), End> {
        let Some(traffic) = &mut self.demo else { return Ok(()) };
        let Some(events) = traffic.batch() else { return Ok(()) };
        say(socket, &ClientMessage::Publish { id: None, events }).await
    }

    /// What a close means for coming back.
    fn closed(&mut self, code: u16, reason: &str) -> End {
        if close::may_return(code) {
            return End::lost(gone(code, reason));
        }
        let reason = self.turned_out.take().unwrap_or_else(|| match reason {
            "" => "the token was refused".to_owned(),
            "token_expired" => "the token has expired".to_owned(),
            // A code of the daemon's.
            code if !code.contains(' ') => code.replace('_', " "),
            sentence => sentence.to_owned(),
        });
        if self.tokens.has_offered() && self.tokens.turned_down() {
            End::NotRenewed(reason)
        } else {
            End::token(reason)
        }
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

/// What a close code other than 1008 means, as a clause.
fn gone(code: u16, reason: &str) -> &str {
    match code {
        close::GOING_AWAY => "the daemon shut down",
        close::RESTART => "the daemon restarts",
        close::TRY_LATER => "the daemon asks to come later",
        close::TOO_SLOW => "this terminal read nothing for 30 s",
        close::NO_PONG => "this terminal did not answer",
        close::BYE => "the daemon said goodbye",
        close::INTERNAL => "the daemon has a fault of its own; its log says which",
        _ if !reason.is_empty() => reason,
        _ => "connection closed",
    }
}

/// Whether an error is about the token of the session, not about something it asked for.
fn is_about_our_token(error: &ErrorMessage) -> bool {
    error.id.is_none() && error.room.is_none() && error.code.starts_with("token_")
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
