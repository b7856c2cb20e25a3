//! The stages of a running daemon: made from the settings in data-path order, and drained in that
//! order too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use pulseboard::route::Normaliser;

use super::StartError;
use super::changes::Changes;
use super::claiming;
use super::clustering;
use super::data_dir::DataDir;
use super::draining;
use super::edge;
use super::greeting::{Greeting, Tokens};
use super::keys;
use super::limits;
use super::node::Node;
use super::notices::Notices;
use super::watchdog::Pulse;
use super::wiring::{self, Counted, Log, Publisher, Sockets, Windows};
use crate::aggregate::{self, Board, Peers, window_name};
use crate::api::metrics::Metrics;
use crate::api::{self, Stages};
use crate::auth::Authority;
use crate::broadcast::{self, Admission, Hub};
use crate::clock::Clock;
use crate::config::{Config, RoutePattern};
use crate::gate::{self, Gate};
use crate::ingest::{self, Dedupe, Fingerprinter, Ingest, rest, socket};
use crate::journal::{self, Journal, OsDisk, Trimmed};
use crate::server;
use crate::store::drain::Drain;
use crate::store::embedded::Store;
use crate::store::mongodb::{Archive, Mongo, Own, Settings as SharedStore};

/// How long sockets may take to say goodbye.
const SOCKETS_WITHIN: Duration = Duration::from_secs(2);
/// How often frames learn what is not as it should be.
const NOTICES_EVERY: Duration = Duration::from_secs(1);

/// How long events may go to the shared store when everything else has stopped.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// A running daemon.
#[derive(Clone)]
pub(super) struct Running {
    stages: Arc<Stages>,
    aggregator: Arc<aggregate::Handle>,
    endpoint: socket::Endpoint,
    gate: Gate,
    board: Board,
    connections: server::Live,
    clock: Clock,
}

/// What stands around every route, as one layer: each layer costs every request two allocations
/// and moves it twice.
async fn edge_of(
    State((stages, gate)): State<(Arc<Stages>, Gate)>,
    request: Request,
    next: Next,
) -> Response {
    let answer = async |request: Request| {
        if api::brings_events(&request) {
            stages.rest.post(request).await
        } else {
            next.run(request).await
        }
    };
    let passed = async |request: Request| gate::pass(&gate, request, answer).await;
    api::around(&stages, request, passed).await
}

/// What is on disk after a drain.
pub(super) struct Kept {
    pub events: u64,
}

impl Running {
    /// Starts every stage. Long reading happens here; nothing is served before it returns.
    pub(super) async fn start(
        config: &Config,
        store: Option<SharedStore>,
        data_dir: &DataDir,
        clock: &Clock,
        authority: &Authority,
        address: SocketAddr,
    ) -> Result<(Self, Greeting), StartError> {
        let (config, path) = (config.clone(), data_dir.path().to_path_buf());
        let authority = authority.clone();
        let (clock, runtime) = (clock.clone(), tokio::runtime::Handle::current());
        let started = tokio::task::spawn_blocking(move || {
            let _inside = runtime.enter();
            build(&config, store, &path, &clock, authority, address)
        });
        let started = started.await.map_err(|error| StartError::Failed(error.to_string()))??;
        if let Some(claims) = &started.0.stages.claims {
            claims.first_answer(claiming::FIRST_ANSWER_WITHIN).await;
        }
        Ok(started)
    }

    /// What is served.
    pub(super) fn router(&self) -> Router {
        let endpoint = self.endpoint.clone();
        let upgrade = move |request| std::future::ready(endpoint.upgrade(request));
        let edge = (Arc::clone(&self.stages), self.gate.clone());
        api::router(Arc::clone(&self.stages))
            .merge(api::socket(upgrade))
            .layer(axum::middleware::from_fn_with_state(edge, edge_of))
    }

    /// Resolves when the journal cannot go on, with the reason.
    pub(super) async fn fault(&self) -> String {
        let mut fault = self.stages.journal.fault();
        match fault.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(fault)) => fault.to_string(),
            _ => "the journal has ended".to_owned(),
        }
    }

    /// Whether it is alive, for the service manager.
    pub(super) fn pulse(&self) -> Pulse {
        let framed = self.stages.views.stats().tick;
        Pulse {
            journal_silent: self.stages.journal.silent_for(),
            frame_age_ms: self.clock.now_ms() - (framed + 1) * 1_000,
        }
    }

    /// Puts in place what other settings say otherwise and can be changed in a running daemon.
    pub(super) fn reload(&self, config: &Config) {
        let stages = &self.stages;
        edge::reload(&self.gate, config);
        self.connections.reload(limits::connections(config));
        self.endpoint.take_query_token(config.auth.allow_query_token);
        stages.ingest.reload(limits::events(config));
        stages.rest.reload(limits::bodies(config));
        stages.views.allow_views(config.limits.views);
        stages.hub.reload(limits::sockets(config));
        if stages.drain.is_some() {
            stages.journal.allow_waiting(config.limits.spool_bytes);
        }
    }

    /// What holds for every connection.
    pub(super) fn server_settings(&self) -> server::Settings {
        server::Settings {
            dev_mode: self.gate.authority.open_to_all().is_some(),
            limits: self.connections.clone(),
            ..server::Settings::default()
        }
    }

    /// Set when the daemon is on its way out.
    pub(super) fn stopping(&self) -> &AtomicBool {
        &self.stages.stopping
    }

    /// Retention, and whatever else must happen now and then.
    pub(super) async fn upkeep(self, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut changes = Changes::default();
        loop {
            ticks.tick().await;
            self.stages.metrics.upkeep();
            changes.look(&api::health::readiness(&self.stages));
            self.gate.rates.prune();
            if !self.clock.retention_allowed() {
                continue;
            }
            let this = self.clone();
            let swept = tokio::task::spawn_blocking(move || {
                let counted = this.stages.views.stats().stored_seq + 1;
                let drained = this.stages.drain.as_ref().map_or(u64::MAX, Drain::floor_seq);
                let floor_seq = counted.min(drained);
                this.stages.journal.enforce_retention(this.clock.now_ms(), floor_seq)
            });
            match swept.await {
                Ok(Ok(Trimmed { events: 0, .. })) => {}
                Ok(Ok(trimmed)) => tracing::info!(
                    events = trimmed.events,
                    segments = trimmed.segments,
                    "old events were let go, as retention asks"
                ),
                Ok(Err(error)) => tracing::warn!(%error, "old events could not be removed"),
                Err(error) => tracing::error!(%error, "retention failed"),
            }
        }
    }

    /// Keeps what frames say is wrong up with readiness.
    pub(super) async fn notices(self) {
        let mut ticks = tokio::time::interval(NOTICES_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut notices = Notices::new(self.board.clone());
        loop {
            ticks.tick().await;
            notices.look(&api::health::readiness(&self.stages), self.clock.elapsed());
        }
    }

    /// Says goodbye to every socket.
    pub(super) async fn close_sockets(&self) {
        self.stages.hub.close_all(pulseboard::wire::close::RESTART, SOCKETS_WITHIN).await;
    }

    /// Syncs the journal, counts what is left and commits it; then brings over to the shared store
    /// what can be brought in a short while.
    pub(super) async fn drain(self) -> Kept {
        let cluster = self.stages.cluster.clone();
        let drain = self.stages.drain.clone();
        let drained = tokio::task::spawn_blocking(move || {
            let events = self.stages.journal.stats().events;
            self.stages.journal.clone().close();
            if let Some(archive) = &self.stages.archive {
                archive.close();
            }
            self.aggregator.stop();
            Kept { events }
        });
        let kept = drained.await.unwrap_or(Kept { events: 0 });
        // The peers are told the last ticks before this instance leaves them.
        if let Some(cluster) = cluster {
            cluster.stop().await;
        }
        if let Some(drain) = drain {
            match drain.stop(DRAIN_WITHIN).await {
                0 => tracing::info!("every event is in MongoDB"),
                waiting => tracing::warn!(
                    waiting,
                    "events stay in the journal, and go to MongoDB when the daemon runs again"
                ),
            }
        }
        kept
    }
}

fn build(
    config: &Config,
    shared_store: Option<SharedStore>,
    path: &std::path::Path,
    clock: &Clock,
    authority: Authority,
    address: SocketAddr,
) -> Result<(Running, Greeting), StartError> {
    let metrics = Metrics::install().map_err(|error| StartError::Failed(error.to_string()))?;
    let options = draining::journal_options(config, path);
    let (journal, recovery) = journal::open(Arc::new(OsDisk), options, clock.clone())
        .map_err(|error| StartError::Refused(format!("data_dir: {error}")))?;
    let greeting = Greeting {
        data_dir: path.to_path_buf(),
        events: recovery.events,
        oldest_age_ms: recovery.oldest_arrival_ms.map(|oldest| clock.now_ms() - oldest),
        cut_bytes: recovery.cut_bytes,
        damaged_blocks: recovery.damaged.len(),
        tokens: authority
            .algorithm()
            .map(|algorithm| Tokens { algorithm, file: keys::file(config) }),
        store: if shared_store.is_some() { "mongodb" } else { "embedded" },
    };

    // Begins to connect, and is not waited for.
    let mongo = shared_store.map(|settings| Mongo::open(settings, clock.clone())).transpose();
    let mongo = mongo.map_err(|error| StartError::Refused(error.to_string()))?;

    let dedupe = remember(&journal, config, clock)?;
    let fingerprints = Fingerprinter::open(path)
        .map_err(|error| StartError::Refused(format!("data_dir: {error}")))?;
    let cursors = api::events::Cursors::new(&fingerprints.derived("cursors"));
    let patterns: Vec<&str> = config.routes.patterns.iter().map(RoutePattern::as_str).collect();
    let normaliser = Normaliser::new(config.routes.normalise, &patterns)
        .map_err(|error| StartError::Refused(format!("routes.patterns: {error}")))?;
    let name = config.node.name.clone().unwrap_or_else(host_name);
    let node = Node::open(path, &name)?;
    let normaliser = Arc::new(normaliser);
    let cluster = clustering::start(config, &node, &normaliser, clock)?;
    let claims = cluster.as_ref().map(|cluster| claiming::open(cluster, &node, config, clock));
    let options = ingest::Options {
        limits: limits::events(config),
        import_age_ms_max: config.import.max_age.map(|age| age.as_millis() as i64),
        routes: (*normaliser).clone(),
        claims: claims.clone().map(|claims| Arc::new(claims) as Arc<dyn ingest::Claims>),
    };
    let log = Arc::new(Log(journal.clone()));
    let ingest = Ingest::new(clock.clone(), log, Arc::clone(&dedupe), fingerprints, options);

    let windows_secs: Vec<u32> = config.general.windows.iter().map(|window| window.secs).collect();
    let windows = windows_secs.iter().map(|secs| window_name(*secs)).collect();
    let gate = edge::gate(config, authority, clock);
    let admission = Admission { authority: gate.authority.clone(), rates: gate.rates.clone() };
    let publisher = Arc::new(Publisher(ingest.clone()));
    let settings = hub_settings(config, &node, windows);
    let hub = Hub::new(publisher, admission, settings, clock.clone());
    let longest_secs = windows_secs.iter().copied().max().unwrap_or(1);
    let store = Store::open(path, journal.next_seq(), longest_secs)
        .map_err(|error| StartError::Refused(format!("data_dir: {error}")))?;
    let settings = aggregate::Settings {
        windows_secs,
        grace_ms: config.general.frame_grace_ms as u64,
        routes_per_tick: config.limits.routes,
        views: config.limits.views,
        board: Board::default(),
    };
    let board = settings.board.clone();
    // Before anybody reads.
    let again =
        claims.as_ref().map(|_| claiming::again(&journal, recovery.seen_seq, store.applied_seq()));
    let source = Counted(journal.tail(store.applied_seq() + 1));
    let past = Arc::new(wiring::Kept(journal.clone()));
    let sink = Arc::new(Sockets { hub: Arc::clone(&hub), clock: clock.clone() });
    let peers: Arc<dyn Peers> = match &cluster {
        Some(cluster) => Arc::new(cluster.clone()),
        None => Arc::new(()),
    };
    let aggregator = aggregate::spawn(source, past, clock.clone(), settings, store, peers, sink)
        .map_err(|error| StartError::Failed(error.to_string()))?;
    let views = aggregator.views();
    if let Some((claims, again)) = claims.as_ref().zip(again) {
        again.follow(claims);
    }
    let drain = mongo
        .as_ref()
        .map(|mongo| draining::start(config, path, &node, mongo, &journal, &views, clock));
    let archive = mongo.as_ref().zip(drain.as_ref()).map(|(mongo, drain)| {
        let (journal, drain) = (journal.clone(), drain.clone());
        let own = Own {
            node: Arc::clone(&node.id),
            journal,
            drained_seq: Arc::new(move || drain.drained_seq()),
            counts: Arc::new(views.clone()),
        };
        Archive::new(mongo.clone(), own, clock.clone())
    });
    if let Some(archive) = &archive {
        aggregator.fill_from(Arc::new(wiring::Seconds(archive.clone())));
    }
    let read_side = Windows { views: views.clone(), normaliser: Arc::clone(&normaliser) };
    hub.attach(Arc::new(read_side));

    let endpoint = socket::Endpoint::new(Arc::clone(&hub), gate.origins.clone())
        .with_query_token(config.auth.allow_query_token);
    tracing::debug!(%address, node = %node.id, "every stage stands");
    let stopping = Arc::<AtomicBool>::default();
    let stages = Stages {
        rest: rest::Rest::new(ingest.clone(), limits::bodies(config)),
        ingest,
        dedupe,
        journal,
        mongo,
        archive,
        views,
        drain,
        hub,
        cluster,
        claims,
        clock: clock.clone(),
        normaliser,
        origins: gate.origins.clone(),
        data_dir: path.to_path_buf(),
        cursors,
        exports: api::export::Exports::new(Arc::clone(&stopping)),
        metrics,
        stopping,
    };
    let running = Running {
        stages: Arc::new(stages),
        aggregator: Arc::new(aggregator),
        endpoint,
        gate,
        board,
        connections: server::Live::new(limits::connections(config)),
        clock: clock.clone(),
    };
    Ok((running, greeting))
}

/// Rebuilds what ids are remembered from the journal's fingerprints.
fn remember(journal: &Journal, config: &Config, clock: &Clock) -> Result<Arc<Dedupe>, StartError> {
    let now_ms = clock.now_ms();
    let max_ids = config.dedupe.max_ids as u64;
    let horizon_ms = config.dedupe.horizon.as_millis() as i64;
    let dedupe = Arc::new(Dedupe::with_horizon(max_ids, horizon_ms, now_ms));
    let since_ms = now_ms - horizon_ms - 65_000;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    dedupe.reserve(journal.stats().events.min(max_ids));
    let load = |fingerprints: &[u128], arrivals_ms: &[i64]| dedupe.load(fingerprints, arrivals_ms);
    journal
        .fingerprints(since_ms, workers, &load)
        .map_err(|error| StartError::Failed(format!("the journal cannot be read: {error}")))?;
    Ok(dedupe)
}

fn hub_settings(config: &Config, node: &Node, windows: Vec<Arc<str>>) -> broadcast::Settings {
    broadcast::Settings {
        limits: limits::sockets(config),
        ..broadcast::Settings::new(&*node.name, windows)
    }
}

fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}
