//! The hub: takes each tick from the aggregator, encodes it once, and wakes the shards. Keeps the
//! registry of sessions, for limits, pings and shutdown.
//!
//! [`Hub::frame`] is called from the aggregator's thread and never waits for a reader. Everything
//! else is called from the runtime.

use std::any::Any;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};

use super::admission::{Admission, Standing, count_refused};
use super::feed::{Frames, Publish, Refusal, WindowFrame};
use super::limits::{Limits, Live};
use super::member::{Member, Overstay};
use super::outbox::{Pinged, Sent};
use super::room::TickSet;
use super::rooms::Channels;
use super::session;
use super::shard::Shard;
use super::wire_frame;
use crate::clock::Clock;
use pulseboard::wire::close;

/// Rewound snapshots looked up at a time, in all: each may read the disk.
const LOOKUPS: usize = 4;

/// What holds for every session.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The instance's name, told in `welcome`.
    pub node: String,
    /// The windows there are rooms for, `1s` first.
    pub windows: Vec<Arc<str>>,
    /// Threads that write frames; the number of cores.
    pub shards: usize,
    /// What may change while sessions are open, at the start.
    pub limits: Limits,
    /// A ping leaves when nothing was heard for this long.
    pub ping_after: Duration,
    /// Close 3012 when nothing was heard for this long after a ping.
    pub pong_within: Duration,
    /// Close 3008 when a client took nothing of what waits for it for this long.
    pub slow_after: Duration,
    /// How long a client may take to show a token where one is needed; past it close 1008.
    pub auth_within: Duration,
    /// How long a close frame may take to leave, and the client to answer it.
    pub linger: Duration,
    /// What the system may buffer for one socket, bytes: what a slow reader costs at most, and
    /// how old what it reads can be.
    pub send_buffer_bytes: usize,
    /// Snapshots kept for one tick, bytes; past it they are encoded for each who asks.
    pub snapshot_bytes: usize,
}

impl Settings {
    /// The contract's limits.
    pub fn new(node: impl Into<String>, windows: Vec<Arc<str>>) -> Self {
        Self {
            node: node.into(),
            windows,
            shards: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            limits: Limits::default(),
            ping_after: Duration::from_secs(30),
            pong_within: Duration::from_secs(30),
            slow_after: Duration::from_secs(30),
            auth_within: Duration::from_secs(10),
            linger: Duration::from_secs(2),
            send_buffer_bytes: 64 * 1024,
            snapshot_bytes: 32 * 1024 * 1024,
        }
    }
}

/// A socket after its upgrade.
pub struct Socket {
    /// The connection.
    pub tcp: TcpStream,
    /// What was received behind the upgrade request.
    pub received: Bytes,
    /// Its place among the limits.
    pub seat: Seat,
    /// Whatever must live as long as the socket.
    pub hold: Arc<dyn Any + Send + Sync>,
    /// Whose it is, as the upgrade request said.
    pub standing: Standing,
}

/// Figures for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions now.
    pub sockets: u64,
    /// Frames of rooms sent, deltas and snapshots.
    pub frames_sent: u64,
    /// Ticks not sent to a session because it was not reading.
    pub frames_lagged: u64,
}

/// Why there is no place for another socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// In all.
    #[error("all sockets are taken; try again later")]
    Sockets,
    /// From this address.
    #[error("this address has as many sockets as one address may have")]
    Address,
    /// Shutting down.
    #[error("the daemon is shutting down")]
    Closing,
}

#[derive(Default)]
pub(super) struct Totals {
    frames_sent: AtomicU64,
    frames_lagged: AtomicU64,
}

impl Totals {
    pub(super) fn add(&self, sent: Sent) {
        self.frames_sent.fetch_add(sent.frames, Ordering::Relaxed);
        self.frames_lagged.fetch_add(sent.lagged, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Seats {
    taken: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// See the module.
pub struct Hub {
    pub(super) settings: Settings,
    /// The limits that hold now.
    pub(super) limits: Live,
    pub(super) clock: Clock,
    pub(super) publish: Arc<dyn Publish>,
    pub(super) admission: Admission,
    /// The authority's version that sessions were last woken for.
    keys_seen: AtomicU64,
    pub(super) lookups: Semaphore,
    frames: OnceLock<Arc<dyn Frames>>,
    /// Filtered views that sessions follow.
    pub(super) channels: Channels,
    current: Arc<ArcSwapOption<TickSet>>,
    pub(super) totals: Arc<Totals>,
    shards: Vec<Arc<Shard>>,
    next_shard: AtomicU64,
    seats: Mutex<Seats>,
    closing: AtomicBool,
    /// Notified whenever a seat is given back.
    left: Notify,
}

/// A socket's place among the limits; given back when dropped.
pub struct Seat {
    hub: Arc<Hub>,
    address: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.hub.seats.lock();
        seats.taken -= 1;
        if let Some(count) = seats.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                seats.by_address.remove(&self.address);
            }
        }
        drop(seats);
        self.hub.left.notify_waiters();
    }
}

impl Hub {
    /// Starts the shards and the keeper. Needs to run inside the runtime.
    pub fn new(
        publish: Arc<dyn Publish>,
        admission: Admission,
        settings: Settings,
        clock: Clock,
    ) -> Arc<Self> {
        let current = Arc::new(ArcSwapOption::empty());
        let totals = Arc::new(Totals::default());
        let shards: Vec<Arc<Shard>> = (0..settings.shards.max(1)).map(|_| Arc::default()).collect();
        for (index, shard) in shards.iter().enumerate() {
            let (shard, current, totals) = (shard.clone(), current.clone(), totals.clone());
            std::thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || shard.run(&current, &totals))
                .expect("the system has a thread for every core");
        }
        let shortest = settings.ping_after.min(settings.pong_within).min(settings.slow_after);
        let keep_every = shortest.min(settings.auth_within) / 8;
        let keys_seen = AtomicU64::new(admission.authority.version());
        let hub = Arc::new(Self {
            limits: Live::new(settings.limits),
            settings,
            clock,
            publish,
            admission,
            keys_seen,
            lookups: Semaphore::new(LOOKUPS),
            frames: OnceLock::new(),
            channels: Channels::default(),
            current,
            totals,
            shards,
            next_shard: AtomicU64::new(0),
            seats: Mutex::default(),
            closing: AtomicBool::new(false),
            left: Notify::new(),
        });
        let keep_every = keep_every.clamp(Duration::from_millis(5), Duration::from_secs(1));
        tokio::spawn(keep(Arc::downgrade(&hub), keep_every));
        hub
    }

    /// Says where history comes from. Until then snapshots carry their own tick alone. The first
    /// call counts: aggregation needs the hub to start, so this cannot be part of [`Hub::new`].
    pub fn attach(&self, frames: Arc<dyn Frames>) {
        // A second call would be the app's mistake; the first source keeps being right.
        let _ = self.frames.set(frames);
    }

    /// Puts other limits in place. No socket is closed for it; one that is open is held to them
    /// from its next message on.
    pub fn reload(&self, limits: Limits) {
        self.limits.store(limits);
        for shard in &self.shards {
            // A session may go on reading, or has to tell its client what holds now.
            shard.each(|member| member.wake.notify_one());
        }
    }

    /// What decides about the tokens of sockets.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    pub(super) fn frames(&self) -> Option<&Arc<dyn Frames>> {
        self.frames.get()
    }

    /// Takes a tick: encodes it and has it sent. Ticks must ascend; one that does not is ignored.
    pub fn frame(&self, tick: i64, windows: &[WindowFrame]) {
        let before = self.current.load_full();
        if before.as_ref().is_some_and(|before| before.tick >= tick) {
            tracing::warn!(tick, "a tick came twice or out of order");
            return;
        }
        let set = TickSet::encode(
            before.as_deref(),
            tick,
            &self.settings.windows,
            windows,
            self.settings.snapshot_bytes,
        );
        self.current.store(Some(Arc::new(set)));
        for shard in &self.shards {
            shard.ring();
        }
    }

    pub(super) fn ring_views(&self) {
        for shard in &self.shards {
            shard.ring_views();
        }
    }

    pub(super) fn newest(&self) -> Option<Arc<TickSet>> {
        self.current.load_full()
    }

    /// How many ticks every session was offered so far: what benches and tests pace by.
    pub fn walked(&self) -> u64 {
        self.shards.iter().map(|shard| shard.walked()).min().unwrap_or(0)
    }

    /// Figures for metrics.
    pub fn counters(&self) -> Counters {
        Counters {
            sockets: self.seats.lock().taken as u64,
            frames_sent: self.totals.frames_sent.load(Ordering::Relaxed),
            frames_lagged: self.totals.frames_lagged.load(Ordering::Relaxed),
        }
    }

    /// Takes a place for a socket from `address`, before its upgrade.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Seat, Full> {
        if self.closing.load(Ordering::Acquire) {
            return Err(Full::Closing);
        }
        let address = grouped(address);
        let mut seats = self.seats.lock();
        if seats.taken >= self.limits.sockets() {
            return Err(Full::Sockets);
        }
        let of_address = seats.by_address.get(&address).copied().unwrap_or(0);
        if of_address >= self.limits.sockets_per_address() {
            return Err(Full::Address);
        }
        seats.by_address.insert(address, of_address + 1);
        seats.taken += 1;
        Ok(Seat { hub: self.clone(), address })
    }

    /// Begins a session on an upgraded socket, in a task of its own.
    pub fn open(self: &Arc<Self>, socket: Socket) {
        let Socket { tcp, received, seat, hold, standing } = socket;
        let wanted = self.settings.send_buffer_bytes;
        if let Err(error) = rustix::net::sockopt::set_socket_send_buffer_size(&tcp, wanted) {
            tracing::debug!(%error, "the send buffer of a socket stays as it is");
        }
        let member = Member::new(tcp, self.clock.clone());
        let shard = self.next_shard.fetch_add(1, Ordering::Relaxed) as usize % self.shards.len();
        let slot = self.shards[shard].join(member.clone());
        let place = Place { hub: self.clone(), shard, slot, seat, _hold: hold };
        tokio::spawn(session::run(self.clone(), member.clone(), received, standing, place));
        if self.closing.load(Ordering::Acquire) {
            // It was admitted before shutdown began, and maybe registered after.
            member.close(close::RESTART, "shutting down");
        }
    }

    /// Closes every session with `code`, refuses new ones, and waits until all are gone, at most
    /// `within`. Gives how many were left then.
    pub async fn close_all(&self, code: u16, within: Duration) -> usize {
        self.closing.store(true, Ordering::Release);
        for shard in &self.shards {
            shard.each(|member| member.close(code, "shutting down"));
        }
        let all_left = async {
            loop {
                let left = self.left.notified();
                let mut left = std::pin::pin!(left);
                left.as_mut().enable();
                if self.seats.lock().taken == 0 {
                    return;
                }
                left.await;
            }
        };
        // Past the time, what is left is cut off with the process.
        let _ = tokio::time::timeout(within, all_left).await;
        self.seats.lock().taken
    }

    /// One round of the keeper: pings who was silent, ends who stays silent, takes nothing or
    /// overstays its token, and has tokens verified again when keys changed.
    fn keep(&self) {
        let now_ms = self.clock.elapsed().as_millis() as u64;
        let wall_ms = self.clock.now_ms();
        let keys = self.admission.authority.version();
        let keys_changed = self.keys_seen.swap(keys, Ordering::Relaxed) != keys;
        for shard in &self.shards {
            shard.each(|member| {
                if let Some(overstay) = member.overstays(wall_ms, now_ms) {
                    return end_of_stay(member, overstay);
                }
                self.keep_one(member, now_ms);
                if keys_changed {
                    // Each session verifies its own, in its own task.
                    member.wake.notify_one();
                }
            });
        }
    }

    fn keep_one(&self, member: &Member, now_ms: u64) {
        let ms = |duration: Duration| duration.as_millis() as u64;
        if member.inflight.load(Ordering::Relaxed) >= self.limits.socket_inflight() {
            // It is we who are not reading.
            member.heard_ms.store(now_ms, Ordering::Relaxed);
        }
        let heard_ms = member.heard_ms.load(Ordering::Relaxed);
        let mut ping = false;
        let verdict = member.with(|outbox| {
            if outbox.is_sealed() || outbox.close.is_some() {
                return None;
            }
            let blocked_since = outbox.blocked_since_ms.filter(|_| outbox.is_blocked());
            if let Some(since) = blocked_since {
                let blocked_ms = now_ms.saturating_sub(since);
                return (blocked_ms >= ms(self.settings.slow_after))
                    .then_some((close::TOO_SLOW, "nothing was read for too long"));
            }
            outbox.pinged = outbox.pinged.filter(|pinged| pinged.heard_ms == heard_ms);
            if let Some(pinged) = outbox.pinged {
                let waited_ms = now_ms.saturating_sub(pinged.at_ms);
                return (waited_ms >= ms(self.settings.pong_within))
                    .then_some((close::NO_PONG, "no pong"));
            }
            ping = now_ms.saturating_sub(heard_ms) >= ms(self.settings.ping_after);
            if ping {
                outbox.pinged = Some(Pinged { at_ms: now_ms, heard_ms });
            }
            None
        });
        if let Some((code, reason)) = verdict {
            member.close(code, reason);
        }
        if ping {
            member.send(wire_frame::PING);
        }
    }
}

/// Says why, and ends.
fn end_of_stay(member: &Member, overstay: Overstay) {
    let (code, reason, message) = match overstay {
        Overstay::NoToken => (
            "unauthorized",
            "no token came in time",
            "no token came in time; connect again with one, or send `auth` first",
        ),
        Overstay::Expired => (
            "token_expired",
            "token_expired",
            "the token has expired; connect again with a new one",
        ),
    };
    if member.closing().is_none() {
        count_refused(code);
        member.send(session::encode(&session::error(None, None, Refusal::new(code, message))));
        member.close(close::POLICY, reason);
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        for shard in &self.shards {
            shard.stop();
        }
    }
}

/// A session's registration; left when dropped.
pub(super) struct Place {
    hub: Arc<Hub>,
    shard: usize,
    slot: usize,
    seat: Seat,
    _hold: Arc<dyn Any + Send + Sync>,
}

impl Place {
    /// The client's address, as limits count it.
    pub(super) fn address(&self) -> IpAddr {
        self.seat.address
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.shards[self.shard].leave(self.slot);
    }
}

async fn keep(hub: Weak<Hub>, every: Duration) {
    let mut rounds = tokio::time::interval(every);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let Some(hub) = hub.upgrade() else { return };
        hub.keep();
    }
}

/// An address as limits count it: IPv6 by its /64, since one host has all of that.
fn grouped(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => {
            let mut segments = v6.segments();
            segments[4..].fill(0);
            IpAddr::from(segments)
        }
    }
}
