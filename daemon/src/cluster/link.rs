//! The one way to Redis: a connection that is watched over, made again when it breaks, and never
//! waited for by anything that must go on.
//!
//! A task of its own connects, looks every half second whether Redis still answers, and connects
//! again within two seconds of its being back. What is asked while there is no connection fails at
//! once. Nothing is queued here: who asks holds what is to be sent, and bounds it. Whether a command
//! that timed out was carried out is not known.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::{Cmd, RedisError, RedisResult, Value, cmd};
use thiserror::Error;
use tokio::sync::{Notify, watch};

use super::address::{Address, AddressError, Kind};
use super::connect::{Connection, Pem, Reach, is_away};
use super::problem::Problem;
use crate::clock::Clock;

/// How often Redis is asked for a sign of life.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The pause before connecting again, ms: from, and at most so much more by chance, so that
/// instances do not come all at once.
const AGAIN_MS: (u64, u64) = (200, 600);
/// The same after a refusal, which somebody must mend first.
const REFUSED_AGAIN_MS: (u64, u64) = (1_000, 900);

/// What the link is told at start. `Debug` shows no secret.
#[derive(Clone)]
pub struct LinkSettings {
    /// The setting the URL came from: `cluster.redis_url` or `cluster.redis_url_file`.
    pub setting: &'static str,
    /// Where Redis is.
    pub address: Address,
    /// A PEM file with the authorities that sign its certificate; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM files with our certificate and its key, where Redis asks for one.
    pub own_files: Option<(PathBuf, PathBuf)>,
    /// Begins every key and channel.
    pub prefix: String,
}

/// Why the link cannot be: the setting's name and a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{setting}: {problem}")]
pub struct LinkSettingsError {
    /// The setting to change.
    pub setting: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// How it stands with Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not reached yet since the start.
    Connecting,
    /// It answers.
    Up,
    /// It does not answer.
    Down {
        /// Since when, Unix ms.
        since_ms: i64,
        /// A sentence.
        reason: Arc<str>,
    },
    /// It answers, but not to us: somebody must change something.
    Refused {
        /// Since when there is no connection, Unix ms.
        since_ms: i64,
        /// A sentence.
        reason: Arc<str>,
    },
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LinkError {
    /// There is no connection: nothing was sent.
    #[error("Redis is not reached")]
    Down,
    /// The connection broke, or the answer took too long: what was sent may have been carried out.
    #[error("Redis did not answer: {0}")]
    Lost(String),
}

/// See the module. A clone is the same link.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    setting: &'static str,
    pub(super) reach: Reach,
    prefix: String,
    clock: Clock,
    state: watch::Sender<State>,
    live: ArcSwapOption<Live>,
    /// Somebody found the connection broken.
    broken: Notify,
    stop: watch::Sender<bool>,
    made: AtomicU64,
}

struct Live {
    connection: Connection,
    number: u64,
}

/// A Lua script. It must name every key it touches, all of one slot.
pub struct Script {
    code: &'static str,
    sha: String,
}

/// One call of a script.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// All of one slot: of one `{tag}`.
    pub keys: Vec<Vec<u8>>,
    /// What else it is given.
    pub args: Vec<Vec<u8>>,
}

impl Script {
    /// Names it by its hash.
    pub fn new(code: &'static str) -> Self {
        Self { code, sha: redis::Script::new(code).get_hash().to_owned() }
    }

    fn command(&self, call: &Call) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(&self.sha).arg(call.keys.len());
        call.keys.iter().chain(&call.args).for_each(|part| {
            command.arg(part);
        });
        command
    }
}

impl fmt::Debug for LinkSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkSettings").field("address", &self.address).finish_non_exhaustive()
    }
}

impl LinkSettings {
    /// Reads a URL from the setting of this name.
    pub fn parse(setting: &'static str, url: &str) -> Result<Self, LinkSettingsError> {
        let refused =
            |error: AddressError| LinkSettingsError { setting, problem: error.to_string() };
        let address = Address::parse(url).map_err(refused)?;
        let prefix = "pulseboard".to_owned();
        Ok(Self { setting, address, ca_file: None, own_files: None, prefix })
    }

    /// Reads the certificates' files, and whether all goes together.
    pub fn check(&self) -> Result<(), LinkSettingsError> {
        self.reach().map(drop)
    }

    fn reach(&self) -> Result<Reach, LinkSettingsError> {
        let read = |setting: &'static str, path: &PathBuf, what: &str| {
            let refused = |problem: String| {
                let problem = format!("{}: {problem}", path.display());
                LinkSettingsError { setting, problem }
            };
            let bytes = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
            let text = String::from_utf8_lossy(&bytes);
            if !text.contains("-----BEGIN ") || !text.contains(what) {
                return Err(refused(format!("there is no {what} in it, in PEM")));
            }
            Ok(bytes)
        };
        let needs_tls = |setting| {
            let problem = AddressError::NoTls.to_string();
            if self.address.tls { Ok(()) } else { Err(LinkSettingsError { setting, problem }) }
        };
        let mut pem = Pem::default();
        if let Some(path) = &self.ca_file {
            needs_tls("cluster.redis_ca_file")?;
            pem.authority = Some(read("cluster.redis_ca_file", path, "CERTIFICATE")?);
        }
        if let Some((cert, key)) = &self.own_files {
            needs_tls("cluster.redis_cert_file")?;
            let cert = read("cluster.redis_cert_file", cert, "CERTIFICATE")?;
            pem.own = Some((cert, read("cluster.redis_key_file", key, "PRIVATE KEY")?));
        }
        Ok(Reach::new(self.address.clone(), pem))
    }
}

impl State {
    /// Whether commands are answered.
    pub fn is_up(&self) -> bool {
        *self == Self::Up
    }
}

impl Link {
    /// Starts connecting, on the runtime it is called in; waits for nothing.
    pub fn open(settings: &LinkSettings, clock: Clock) -> Result<Self, LinkSettingsError> {
        let reach = settings.reach()?;
        // Publishing knows no databases: the name of a channel must.
        let prefix = match settings.address.database() {
            0 => settings.prefix.clone(),
            database => format!("{}:{database}", settings.prefix),
        };
        let link = Self(Arc::new(Inner {
            setting: settings.setting,
            reach,
            prefix,
            clock,
            state: watch::Sender::new(State::Connecting),
            live: ArcSwapOption::empty(),
            broken: Notify::new(),
            stop: watch::Sender::new(false),
            made: AtomicU64::new(0),
        }));
        tokio::spawn(link.clone().watch_over());
        Ok(link)
    }

    /// How it stands with Redis; changes are told.
    pub fn state(&self) -> watch::Receiver<State> {
        self.0.state.subscribe()
    }

    /// Whether commands are answered now.
    pub fn is_up(&self) -> bool {
        self.0.live.load().is_some()
    }

    /// A key or channel of ours. Keys that a script takes together must share a `{tag}`.
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.0.prefix)
    }

    /// Whether keys are spread over several servers: a script's keys must then share a `{tag}`.
    pub fn is_cluster(&self) -> bool {
        self.0.reach.address.kind == Kind::Cluster
    }

    /// Whether it was ended.
    pub fn is_stopped(&self) -> bool {
        *self.0.stop.borrow()
    }

    /// Counts connections: another number means that what was said in between may be lost.
    pub fn number(&self) -> u64 {
        self.0.made.load(Ordering::Relaxed)
    }

    /// Sends commands together and waits for all answers, a second at most. An answer may be an
    /// error of its own; in a Redis Cluster also that its node is not reached.
    pub async fn pipeline(&self, commands: &[Cmd]) -> Result<Vec<RedisResult<Value>>, LinkError> {
        let live = self.0.live.load_full().ok_or(LinkError::Down)?;
        match live.connection.all(commands).await {
            Ok(answers) => {
                // A primary that became a replica answers, and takes nothing: another is primary.
                let is_replica = |answer: &RedisResult<Value>| {
                    answer.as_ref().is_err_and(|error| {
                        matches!(self.0.reach.problem(error), Problem::Refused(_))
                            && error.code() == Some("READONLY")
                    })
                };
                if !live.connection.is_cluster() && answers.iter().any(is_replica) {
                    self.lost(&live, &Problem::down("it became a replica"));
                }
                Ok(answers)
            }
            Err(error) => {
                let problem = self.0.reach.problem(&error);
                self.lost(&live, &problem);
                let (Problem::Down(why) | Problem::Refused(why)) = problem;
                Err(LinkError::Lost(why))
            }
        }
    }

    /// Calls a script for each of `calls`, together; loads it where Redis does not know it.
    pub async fn scripts(
        &self,
        script: &Script,
        calls: &[Call],
    ) -> Result<Vec<RedisResult<Value>>, LinkError> {
        let commands: Vec<Cmd> = calls.iter().map(|call| script.command(call)).collect();
        let mut answers = self.pipeline(&commands).await?;
        let unknown: Vec<usize> = (0..answers.len())
            .filter(|at| answers[*at].as_ref().is_err_and(|e| e.code() == Some("NOSCRIPT")))
            .collect();
        if unknown.is_empty() {
            return Ok(answers);
        }
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(script.code);
        self.pipeline(&[load]).await?;
        let again: Vec<Cmd> = unknown.iter().map(|at| commands[*at].clone()).collect();
        for (at, answer) in unknown.into_iter().zip(self.pipeline(&again).await?) {
            answers[at] = answer;
        }
        Ok(answers)
    }

    /// Ends it: nothing is sent any more. Waits for nothing.
    pub fn stop(&self) {
        self.0.stop.send_replace(true);
        self.0.live.store(None);
    }

    pub(super) fn reach(&self) -> &Reach {
        &self.0.reach
    }

    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stop.subscribe()
    }

    /// An error of an answer, as an operator reads it.
    pub(super) fn words(&self, error: &RedisError) -> String {
        let (Problem::Down(why) | Problem::Refused(why)) = self.0.reach.problem(error);
        why
    }

    /// The setting to name in what is said about Redis.
    pub fn setting(&self) -> &'static str {
        self.0.setting
    }

    /// A connection was found broken: nobody uses it any more.
    fn lost(&self, live: &Arc<Live>, problem: &Problem) {
        let current = self.0.live.load();
        if current.as_ref().is_some_and(|current| current.number == live.number) {
            self.0.live.store(None);
            self.is_down(problem);
            self.0.broken.notify_one();
        }
    }

    /// Says that there is no connection, once a reason.
    fn is_down(&self, problem: &Problem) {
        let now_ms = self.0.clock.now_ms();
        let setting = self.0.setting;
        self.0.state.send_if_modified(|state| {
            let since_ms = match state {
                State::Down { since_ms, .. } | State::Refused { since_ms, .. } => *since_ms,
                State::Connecting | State::Up => now_ms,
            };
            let new = match problem {
                Problem::Down(why) => State::Down { since_ms, reason: why.as_str().into() },
                Problem::Refused(why) => State::Refused { since_ms, reason: why.as_str().into() },
            };
            let is_new = new != *state;
            if is_new {
                let (Problem::Down(why) | Problem::Refused(why)) = problem;
                tracing::warn!("{setting}: {why}; this instance shows its own numbers alone");
            }
            *state = new;
            is_new
        });
    }

    async fn watch_over(self) {
        let mut stop = self.stopping();
        tokio::select! {
            () = self.clone().keep() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Connects, and again, for ever.
    async fn keep(self) {
        loop {
            let pause_ms = match self.connect().await {
                Ok(()) => {
                    self.until_broken().await;
                    AGAIN_MS
                }
                Err(problem) => {
                    self.is_down(&problem);
                    match problem {
                        Problem::Down(_) => AGAIN_MS,
                        Problem::Refused(_) => REFUSED_AGAIN_MS,
                    }
                }
            };
            let pause_ms = pause_ms.0 + rand::random_range(0..pause_ms.1);
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    /// Connects, and writes once: a replica and missing rights show then.
    async fn connect(&self) -> Result<(), Problem> {
        let connection = self.0.reach.connect().await?;
        let mut write = cmd("SET");
        write.arg(self.key("{life}:written")).arg(1).arg("PX").arg(60_000);
        let answers = connection.all(&[write]).await;
        let answer = answers.and_then(|mut answers| answers.swap_remove(0));
        answer.map_err(|error| self.0.reach.problem(&error))?;
        let number = self.0.made.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.live.store(Some(Arc::new(Live { connection, number })));
        let setting = self.0.setting;
        self.0.state.send_if_modified(|state| {
            let is_new = !state.is_up();
            if is_new {
                tracing::info!("{setting}: Redis is reached");
            }
            *state = State::Up;
            is_new
        });
        Ok(())
    }

    /// Returns when the connection is no good any more; it is let go then.
    async fn until_broken(&self) {
        let mut look = cmd("EXISTS");
        look.arg(self.key("{life}:written"));
        let look = [look];
        loop {
            let is_broken =
                tokio::time::timeout(LOOK_EVERY, self.0.broken.notified()).await.is_ok();
            let Some(live) = self.0.live.load_full() else { return };
            if is_broken {
                // The notice was about the connection before this one.
                continue;
            }
            let answer = live.connection.all(&look).await;
            match answer.and_then(|mut answers| answers.swap_remove(0)) {
                Ok(_) => {}
                Err(error) => {
                    let problem = self.0.reach.problem(&error);
                    if is_away(&error) || matches!(problem, Problem::Refused(_)) {
                        return self.lost(&live, &problem);
                    }
                }
            }
        }
    }
}
