//! The one task that connects to the store, sets it up and looks after it. It alone changes the
//! state; everybody else watches it.
//!
//! An attempt is a task of its own, which is left to itself when it does not answer in time: a
//! server that was stopped in the middle of it may go on. No more than [`ATTEMPTS_LEFT`] wait so.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::doc;
use mongodb::options::{
    Acknowledgment, ClientOptions, ConnectionString, ReadPreference, SelectionCriteria,
    WriteConcern,
};
use mongodb::{Client, Database};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::reason::{Trouble, trouble};
use super::schema::{AGGREGATES, EVENTS};
use super::settings::Settings;
use super::{Ready, State, check, setup};
use crate::clock::Clock;

/// How long a server is looked for, and a connection waited for.
const SELECTED_WITHIN: Duration = Duration::from_secs(3);
/// An attempt that takes longer is told as unreachable, and goes on.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// An attempt that takes longer is left to itself, and another one begun: making an index on a
/// collection that is there already may take this long.
const LEFT_AFTER: Duration = Duration::from_mins(5);
/// Attempts and looks that are left to themselves at a time; then one of them is waited for.
const ATTEMPTS_LEFT: usize = 4;
/// How often a store that is ready is looked at, and how long it may take to answer.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const LOOK_WITHIN: Duration = Duration::from_secs(3);
/// Every how many looks validators are compared again.
const COMPARE_EVERY: u32 = 15;
/// The time between attempts, which doubles.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

pub(super) struct Supervisor {
    settings: Arc<Settings>,
    connection: ConnectionString,
    told: watch::Sender<State>,
    clock: Clock,
    client: Option<Client>,
    /// What was begun and is no longer waited for.
    left: JoinSet<()>,
}

type Attempt = Result<(Client, Ready), Trouble>;

impl Supervisor {
    pub(super) fn new(
        settings: Arc<Settings>,
        connection: ConnectionString,
        told: watch::Sender<State>,
        clock: Clock,
    ) -> Self {
        Self { settings, connection, told, clock, client: None, left: JoinSet::new() }
    }

    /// Runs until nobody holds the store any more.
    pub(super) async fn run(mut self) {
        let told = self.told.clone();
        tokio::select! {
            () = told.closed() => {}
            () = self.supervise() => {}
        }
        // Tasks of the driver end in their own time.
        self.left.detach_all();
    }

    async fn supervise(&mut self) {
        let mut pause = BACK_OFF.0;
        loop {
            match self.attempt().await {
                Ok((client, ready)) => {
                    pause = BACK_OFF.0;
                    let database = ready.database.clone();
                    self.client = Some(client);
                    self.ready(ready);
                    let trouble = self.look_after(&database).await;
                    self.tell(&trouble);
                }
                Err(trouble) => self.tell(&trouble),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACK_OFF.1);
        }
    }

    /// Connects, checks and sets up. Waits for as long as an index may take, and says after some
    /// seconds that there is no answer yet.
    async fn attempt(&mut self) -> Attempt {
        let (settings, client) = (Arc::clone(&self.settings), self.client.clone());
        let connection = self.connection.clone();
        let mut attempt = std::pin::pin!(
            self.begin(async move { connect(&settings, connection, client).await }).await
        );
        if let Ok(done) = tokio::time::timeout(ANSWERS_WITHIN, &mut attempt).await {
            return done.unwrap_or_else(|_| Err(ended()));
        }
        self.tell(&silent(ANSWERS_WITHIN));
        match tokio::time::timeout(LEFT_AFTER, attempt).await {
            Ok(done) => done.unwrap_or_else(|_| Err(ended())),
            Err(_) => Err(silent(LEFT_AFTER)),
        }
    }

    /// Begins something that is never dropped before its end.
    async fn begin<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::sync::oneshot::Receiver<T> {
        while self.left.len() >= ATTEMPTS_LEFT {
            self.left.join_next().await;
        }
        while self.left.try_join_next().is_some() {}
        let (done, result) = tokio::sync::oneshot::channel();
        self.left.spawn(async move {
            // Whoever began it may have left.
            let _ = done.send(work.await);
        });
        result
    }

    /// Looks at a store that is ready until it no longer answers.
    async fn look_after(&mut self, database: &Database) -> Trouble {
        let mut looks: u32 = 0;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            looks = looks.wrapping_add(1);
            let compare = looks.is_multiple_of(COMPARE_EVERY);
            let (database, settings) = (database.clone(), Arc::clone(&self.settings));
            let look = self.begin(async move { look(&database, &settings, compare).await }).await;
            match tokio::time::timeout(LOOK_WITHIN, look).await {
                Ok(Ok(Ok(None))) => {}
                Ok(Ok(Ok(Some(differs)))) => self.compared(&differs),
                Ok(Ok(Err(trouble))) => return trouble,
                Ok(Err(_)) => return ended(),
                Err(_) => return silent(LOOK_WITHIN),
            }
        }
    }

    fn ready(&self, ready: Ready) {
        tracing::info!(
            version = ready.version,
            database = ready.database.name(),
            "the store is ready"
        );
        for line in ready.notes.iter().chain(&ready.differs) {
            tracing::warn!("{line}");
        }
        self.told.send_replace(State::Ready(Arc::new(ready)));
    }

    /// Puts what differs now in the place of what differed before.
    fn compared(&self, differs: &[String]) {
        let differs: Vec<String> = differs.iter().map(|line| self.named(line)).collect();
        self.told.send_if_modified(|state| {
            let State::Ready(ready) = state else { return false };
            if ready.differs == differs {
                return false;
            }
            for line in &differs {
                tracing::warn!("{line}");
            }
            *ready = Arc::new(Ready { differs, ..ready.again() });
            true
        });
    }

    fn tell(&self, trouble: &Trouble) {
        let reason: Arc<str> = self.named(trouble.brief()).into();
        let full = self.named(trouble);
        self.told.send_if_modified(|state| {
            let next = match (&*state, trouble) {
                (State::Refused { reason: before }, Trouble::Refused(_))
                | (
                    State::Unreachable { reason: before, .. },
                    Trouble::Away { .. } | Trouble::TookTooLong,
                ) if *before == reason => {
                    return false;
                }
                (_, Trouble::Refused(_)) => State::Refused { reason: Arc::clone(&reason) },
                (State::Unreachable { since, .. }, _) => {
                    State::Unreachable { since: *since, reason: Arc::clone(&reason) }
                }
                _ => {
                    State::Unreachable { since: self.clock.elapsed(), reason: Arc::clone(&reason) }
                }
            };
            let is_news = next.rank() != state.rank();
            *state = next;
            if is_news {
                tracing::warn!("{full}");
            } else {
                tracing::debug!("{full}");
            }
            true
        });
    }

    fn named(&self, line: impl std::fmt::Display) -> String {
        format!("{}: {line}", self.settings.key)
    }
}

fn silent(waited: Duration) -> Trouble {
    Trouble::away(format!("the server does not answer within {} s", waited.as_secs()))
}

fn ended() -> Trouble {
    Trouble::away("an attempt to connect ended early; the daemon's log says why")
}

/// One attempt.
async fn connect(
    settings: &Settings,
    connection: ConnectionString,
    client: Option<Client>,
) -> Attempt {
    let name = Settings::database(&connection);
    let client = if let Some(client) = client {
        client
    } else {
        let options = options(settings, connection).await?;
        Client::with_options(options).map_err(|error| trouble(&error))?
    };
    let database = client.database(&name);
    let server = check::server(&database).await?;
    let prepared =
        setup::prepare(&database, settings.events_days, settings.aggregates_days).await?;
    let mut notes = Vec::new();
    if server.is_standalone {
        notes.push(format!(
            "{}: the server is on its own; what it loses is lost. Run it as a replica set, of one \
             member if need be",
            settings.key
        ));
    }
    let differs = prepared.differs.iter().map(|line| format!("{}: {line}", settings.key));
    let ready = Ready {
        events: database.collection(EVENTS),
        aggregates: database.collection(AGGREGATES),
        cursor_key: prepared.cursor_key,
        made_ms: prepared.made_ms,
        version: server.version,
        notes,
        differs: differs.collect(),
        report: prepared.report,
        database,
    };
    Ok((client, ready))
}

/// What holds for every operation, whatever the connection string says of it.
async fn options(
    settings: &Settings,
    connection: ConnectionString,
) -> Result<ClientOptions, Trouble> {
    let mut options = ClientOptions::parse(connection).await.map_err(|error| trouble(&error))?;
    let concern = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    options.write_concern = Some(concern);
    // What was just written must be read: not from a member that may lag behind.
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options.retry_reads = Some(true);
    options.app_name.get_or_insert_with(|| "pulseboardd".to_owned());
    options.max_pool_size = Some(settings.max_pool);
    options.server_selection_timeout.get_or_insert(SELECTED_WITHIN);
    options.connect_timeout.get_or_insert(SELECTED_WITHIN);
    options.heartbeat_freq.get_or_insert(SELECTED_WITHIN);
    Ok(options)
}

/// One look: whether it answers, and, when asked for, what differs.
async fn look(
    database: &Database,
    settings: &Settings,
    compare: bool,
) -> Result<Option<Vec<String>>, Trouble> {
    database.run_command(doc! { "ping": 1 }).await.map_err(|error| trouble(&error))?;
    if !compare {
        return Ok(None);
    }
    let differs =
        setup::differences(database, settings.events_days, settings.aggregates_days).await?;
    Ok(Some(differs))
}
