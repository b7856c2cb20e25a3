//! Several instances over Redis: who is there, what each counted, and which ids are taken.
//!
//! The only module that names redis. It decides nothing about numbers: the aggregator joins what is
//! heard, ingest asks for claims. Without `cluster.redis_url` nothing of it runs. Redis being gone
//! never stops an instance: it goes on with its own numbers and says so. Started by `app`.

mod address;
pub mod claims;
mod connect;
mod exchange;
mod heart;
mod inbox;
mod link;
mod members;
mod messages;
mod outbox;
mod problem;
mod status;
mod subscriber;
mod watched;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pulseboard::filter::Filter;
use pulseboard::tick::Names;
use pulseboard::wire::server::Nodes;
use tokio::sync::Notify;

pub use address::{Address, AddressError};
pub use claims::{ClaimSettings, ClaimStats, Claimant};
pub use link::{Call, Link, LinkError, LinkSettings, LinkSettingsError, Script, State};
pub use status::Status;
pub use subscriber::{Heard, Listening, Subscriber};
pub use watched::ReadFilter;

use crate::aggregate::{self, Counted, Peers};
use crate::clock::Clock;
use heart::{OwnClock, Standing};
use inbox::{Inbox, Verdict};
use members::Members;
use messages::{Refusal, Sender};
use outbox::Outbox;
use watched::Watched;

/// Messages of peers that wait to be read. What does not fit is a gap, and read from Redis.
const MESSAGES_WAITING: usize = 1_024;
/// How long saying goodbye may take.
const GOODBYE_WITHIN: Duration = Duration::from_millis(1_500);
/// Instances of newer builds that are remembered, so that each is said once.
const NEWER_MAX: usize = 64;

/// What the cluster is told at start.
#[derive(Clone)]
pub struct Settings {
    /// The way to Redis.
    pub link: LinkSettings,
    /// This node's id.
    pub node: Arc<str>,
    /// Its name, for people.
    pub name: Arc<str>,
    /// Filters of peers that are counted here, at most.
    pub views_max: usize,
    /// Whether all instances keep events in one store.
    pub shares_store: bool,
    /// Reads filters as they are read here.
    pub read_filter: ReadFilter,
}

/// This instance among others. A clone is the same.
#[derive(Clone)]
pub struct Cluster(Arc<Shared>);

/// Figures for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Whether Redis answers and this instance is one of the cluster.
    pub is_up: bool,
    /// Ticks told to Redis.
    pub sent: u64,
    /// Ticks heard from peers.
    pub received: u64,
    /// Ticks read from Redis because their message was missed.
    pub filled: u64,
    /// Gaps found in what was heard.
    pub gaps: u64,
    /// Messages of newer builds.
    pub refused_newer: u64,
    /// Messages that were damaged.
    pub refused_damaged: u64,
    /// Ticks that have not begun here.
    pub refused_future: u64,
    /// Ticks that found their sender's room full, and messages that found the queue full.
    pub refused_full: u64,
    /// Ticks let go before they were told.
    pub dropped: u64,
    /// How far the clock is ahead of Redis's, ms.
    pub ahead_ms: i64,
}

struct Shared {
    settings: Settings,
    own: Sender,
    clock: Clock,
    link: Link,
    listening: Listening,
    /// Each lock is held for moments, and no other is taken under it but these in this order: health,
    /// then members or watched, then outbox or inbox.
    health: Mutex<Health>,
    members: Mutex<Members>,
    watched: Mutex<Watched>,
    outbox: Mutex<Outbox>,
    inbox: Mutex<Inbox>,
    names: Mutex<Names>,
    /// Held while ticks are sent, so that only one sends.
    sending: tokio::sync::Mutex<()>,
    /// Of the last message.
    sequence: AtomicU64,
    /// There is something to tell.
    tell: Notify,
    /// Something changed that peers should know at once.
    beat_now: Notify,
    /// Peers of whom something was missed.
    to_fill: Mutex<BTreeSet<Arc<str>>>,
    fill_now: Notify,
    /// What peers said to have sent, at the last sign of life: incarnation and sequence.
    said: Mutex<HashMap<Arc<str>, (u64, u64)>>,
    counters: Counters,
}

#[derive(Default)]
struct Health {
    standing: Standing,
    /// The first tick this instance counts as one of all.
    first_tick: Option<i64>,
    /// What this instance counted up to this tick is in the shared store.
    written_upto: Option<i64>,
    clock: OwnClock,
    /// What Redis refuses although it answers.
    redis_refuses: Option<String>,
    /// Nodes of newer builds.
    newer: BTreeMap<Arc<str>, Newer>,
}

struct Newer {
    text: String,
    seen_at: Duration,
}

#[derive(Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    filled: AtomicU64,
    gaps: AtomicU64,
    newer: AtomicU64,
    damaged: AtomicU64,
    future: AtomicU64,
    full: AtomicU64,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts everything, on the runtime it is called in; waits for nothing.
    pub fn start(settings: Settings, clock: Clock) -> Result<Self, LinkSettingsError> {
        let link = Link::open(&settings.link, clock.clone())?;
        let subscriber = Subscriber::open(&link, vec![exchange::channel(&link)], MESSAGES_WAITING);
        // Later starts have greater ones, and two at one moment different ones.
        let incarnation = (clock.now_ms().max(0) as u64) << 10 | rand::random_range(0..1 << 10);
        let (node, name) = (Arc::clone(&settings.node), Arc::clone(&settings.name));
        let watched = Watched::new(Arc::clone(&settings.read_filter), settings.views_max);
        let shared = Arc::new(Shared {
            own: Sender { node, name, incarnation },
            settings,
            clock,
            link,
            listening: subscriber.listening(),
            health: Mutex::default(),
            members: Mutex::default(),
            watched: Mutex::new(watched),
            outbox: Mutex::default(),
            inbox: Mutex::default(),
            names: Mutex::default(),
            sending: tokio::sync::Mutex::default(),
            sequence: AtomicU64::new(0),
            tell: Notify::new(),
            beat_now: Notify::new(),
            to_fill: Mutex::default(),
            fill_now: Notify::new(),
            said: Mutex::default(),
            counters: Counters::default(),
        });
        tokio::spawn(heart::beat(Arc::clone(&shared)));
        tokio::spawn(exchange::tell(Arc::clone(&shared)));
        tokio::spawn(exchange::listen(Arc::clone(&shared), subscriber));
        tokio::spawn(exchange::fill(Arc::clone(&shared)));
        Ok(Self(shared))
    }

    /// The way to Redis.
    pub fn link(&self) -> &Link {
        &self.0.link
    }

    /// Whether this instance is one of the cluster: Redis answers, and its node id is its own.
    pub fn is_member(&self) -> bool {
        self.0.link.is_up() && self.0.health.lock().standing == Standing::Member
    }

    /// How the cluster stands, for readiness.
    pub fn status(&self) -> Status {
        status::cluster(&self.0)
    }

    /// What is wrong with the clock, against Redis's and the peers'.
    pub fn clock_status(&self) -> Option<Status> {
        status::clock(&self.0)
    }

    /// Figures for metrics.
    pub fn stats(&self) -> Stats {
        let shared = &self.0;
        let is_up = self.is_member();
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &shared.counters;
        Stats {
            is_up,
            sent: of(&counters.sent),
            received: of(&counters.received),
            filled: of(&counters.filled),
            gaps: of(&counters.gaps),
            refused_newer: of(&counters.newer),
            refused_damaged: of(&counters.damaged),
            refused_future: of(&counters.future),
            refused_full: of(&counters.full) + shared.listening.dropped(),
            dropped: shared.outbox.lock().dropped,
            ahead_ms: shared.health.lock().clock.ahead_ms().map_or(0, |(ahead_ms, _)| ahead_ms),
        }
    }

    /// Tells what is left to be told, says goodbye, and ends. Takes [`GOODBYE_WITHIN`] at most.
    pub async fn stop(&self) {
        let goodbye = async {
            exchange::tell_rest(&self.0).await;
            heart::leave(&self.0).await;
        };
        if tokio::time::timeout(GOODBYE_WITHIN, goodbye).await.is_err() {
            tracing::info!("the peers were not told that this instance leaves; they notice");
        }
        self.0.link.stop();
    }
}

impl Peers for Cluster {
    fn is_cluster(&self) -> bool {
        true
    }

    fn tell(&self, key: &Arc<str>, ticks: Vec<Counted>) {
        self.0.outbox.lock().put(key, ticks);
        self.0.tell.notify_one();
    }

    fn take_heard(&self, key: &str) -> Vec<aggregate::Heard> {
        self.0.inbox.lock().take(key)
    }

    fn nodes(&self, tick: i64) -> Nodes {
        if matches!(self.0.health.lock().standing, Standing::Taken { .. }) {
            return Nodes { reporting: 1, expected: 1 };
        }
        let expected = self.0.members.lock().expected(tick);
        let reporting = (1 + self.0.inbox.lock().reporting(tick)).min(expected);
        Nodes { reporting, expected }
    }

    fn standings(&self) -> Vec<aggregate::Standing> {
        let members = self.0.members.lock();
        let standing = |peer: &members::Peer| aggregate::Standing {
            node: Arc::clone(&peer.sender.node),
            first_tick: peer.beat.first_tick,
            written_upto: peer.beat.written_upto,
        };
        members.peers().map(standing).collect()
    }

    fn written(&self, upto: Option<i64>) {
        self.0.health.lock().written_upto = upto;
    }

    fn opened(&self, filter: &Filter) {
        self.0.watched.lock().opened(filter);
        let is_new = self.0.inbox.lock().open(&filter.to_string());
        if is_new {
            self.0.fill_all();
        }
        self.0.beat_now.notify_one();
    }

    fn begun(&self, key: &str) {
        self.0.inbox.lock().begin(key);
        self.0.fill_all();
    }

    fn closed(&self, key: &str) {
        self.0.watched.lock().closed(key);
    }

    fn wanted(&self) -> Vec<Filter> {
        self.0.watched.lock().wanted()
    }
}

impl Shared {
    fn now_tick(&self) -> i64 {
        self.clock.now_ms().div_euclid(1_000)
    }

    /// Of every peer something may have been missed.
    fn fill_all(&self) {
        let nodes: Vec<_> =
            self.members.lock().peers().map(|peer| Arc::clone(&peer.sender.node)).collect();
        self.to_fill.lock().extend(nodes);
        self.fill_now.notify_one();
    }

    /// Of this peer something was missed.
    fn gap(&self, node: &Arc<str>) {
        self.counters.gaps.fetch_add(1, Ordering::Relaxed);
        self.to_fill.lock().insert(Arc::clone(node));
        self.fill_now.notify_one();
    }

    /// Compares what peers said to have sent with what came, a second later; `new` have all to be
    /// read.
    fn look_for_gaps(&self, new: Vec<Arc<str>>) {
        let peers: Vec<_> = {
            let members = self.members.lock();
            let said = |peer: &members::Peer| {
                (Arc::clone(&peer.sender.node), (peer.sender.incarnation, peer.beat.sequence))
            };
            members.peers().map(said).collect()
        };
        let said = std::mem::take(&mut *self.said.lock());
        let missed: Vec<Arc<str>> = {
            let mut inbox = self.inbox.lock();
            inbox.forget_others(|node| peers.iter().any(|(known, _)| **known == *node));
            let is_missed = |(node, (incarnation, _)): &&(Arc<str>, (u64, u64))| {
                said.get(node).is_some_and(|(before, sequence)| {
                    before == incarnation && !inbox.has(node, *incarnation, *sequence)
                })
            };
            peers.iter().filter(is_missed).map(|(node, _)| Arc::clone(node)).collect()
        };
        *self.said.lock() = peers.into_iter().collect();
        for node in &missed {
            self.gap(node);
        }
        self.to_fill.lock().extend(new);
        if !self.to_fill.lock().is_empty() {
            self.fill_now.notify_one();
        }
    }

    /// Counts what became of a message that was not taken.
    fn passed(&self, node: &Arc<str>, verdict: Verdict) {
        match verdict {
            Verdict::Taken | Verdict::Passed => {}
            Verdict::Future => {
                self.counters.future.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Full => {
                self.counters.full.fetch_add(1, Ordering::Relaxed);
                // It is read from Redis with one of the next signs of life.
                self.to_fill.lock().insert(Arc::clone(node));
            }
        }
    }

    /// A message cannot be read.
    fn refused(&self, refusal: &Refusal) {
        match refusal {
            Refusal::Newer { node, name, found, known } => {
                self.counters.newer.fetch_add(1, Ordering::Relaxed);
                self.is_newer(node, status::newer(name, node, "messages", *found, *known));
            }
            Refusal::Damaged(_) => {
                self.counters.damaged.fetch_add(1, Ordering::Relaxed);
                tracing::warn!("in Redis, {refusal}; it is passed over");
            }
        }
    }

    fn newer_summary(&self, sender: &Sender, found: u8, known: u8) {
        self.counters.newer.fetch_add(1, Ordering::Relaxed);
        let text = status::newer(&sender.name, &sender.node, "summaries", found, known);
        self.is_newer(&sender.node, text);
    }

    /// Says once what a node of a newer build sends.
    fn is_newer(&self, node: &Arc<str>, text: String) {
        let seen_at = self.clock.elapsed();
        let newer = &mut self.health.lock().newer;
        if newer.get(node).is_none_or(|known| known.text != text) {
            if newer.len() >= NEWER_MAX && !newer.contains_key(node) {
                return;
            }
            tracing::warn!("{text}");
        }
        newer.insert(Arc::clone(node), Newer { text, seen_at });
    }

    /// Redis answers, and refuses what is asked.
    fn refused_by_redis(&self, error: &redis::RedisError) {
        let (problem::Problem::Down(why) | problem::Problem::Refused(why)) =
            self.link.reach().problem(error);
        let mut health = self.health.lock();
        if health.redis_refuses.as_ref() != Some(&why) {
            tracing::warn!("{}: {why}", self.link.setting());
        }
        health.redis_refuses = Some(why);
    }
}

/// A time as people read it.
fn when(at_ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
