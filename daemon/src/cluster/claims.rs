//! Claims on ids, kept in Redis, so that an id counts once across instances.
//!
//! A key an id: a keyed hash of site and eventId, with a secret that all instances share through
//! Redis itself. Its value says whose it is, and whether it is pending (30 s) or confirmed (for the
//! dedupe horizon). Calls are asked together: what gathers while earlier questions are on their way
//! goes in one. Nothing waits for a Redis that is away: the link finds out within a second, and
//! from then on every answer is "nobody to ask" at once, until it is back; what was accepted
//! meanwhile is claimed afterwards from the journal. Ingest asks, through [`crate::ingest::Claims`];
//! `app` puts it together. It decides about ids, never about events: those are the journal's.
//!
//! How many ids are held is counted here, by when they run out. As `cluster.claims_max` comes near,
//! new ones are confirmed for a shorter time; at the bound ids go unclaimed.

mod again;
mod held;
mod rounds;
mod secret;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use pulseboard::limits;
use tokio::sync::Notify;

use super::link::Link;
use super::status::Status;
use crate::clock::Clock;
use crate::ingest::{Asked, Away, Claim, Claims, Confirmed, Fingerprinter};

pub use again::{Stored, Undecided};

use again::Ranges;
use held::Held;
use rounds::{Kind, Queue, Verdict};

/// How long an id stays pending: longer than any instance takes from claim to confirmation, unless
/// it stands still.
const PENDING_MS: u64 = 30_000;

/// How long it is said that ids were not claimed, after the last one that was not.
const TROUBLED_FOR: Duration = Duration::from_secs(3);

/// What a claimant is told at start.
#[derive(Clone, Debug)]
pub struct ClaimSettings {
    /// This instance's id, as in the file `NODE`: twelve hexadecimal digits.
    pub node: String,
    /// How long an id stays known; ids are confirmed for that and 65 s.
    pub horizon: Duration,
    /// `cluster.claims_max`: ids this instance holds in Redis at a time, at most.
    pub ids_max: u64,
}

/// Claims ids for one instance. A clone is the same one.
#[derive(Clone)]
pub struct Claimant(Arc<Inner>);

struct Inner {
    link: Link,
    clock: Clock,
    /// The owner's part of a claim's value: six bytes that stay, four of this process.
    owner: [u8; OWNER_BYTES],
    key: ArcSwapOption<Fingerprinter>,
    queue: Queue,
    held: Mutex<Held>,
    ranges: Mutex<Ranges>,
    /// There are ranges, or there is somebody to ask again.
    again: Notify,
    counts: Counts,
    /// What Redis last said in the place of an answer, and when.
    trouble: Mutex<Option<(Duration, String)>>,
}

/// Bytes of an owner, and how many of them tell instances apart.
const OWNER_BYTES: usize = 10;
const NODE_BYTES: usize = 6;

#[derive(Default)]
struct Counts {
    ours: AtomicU64,
    pending: AtomicU64,
    taken: AtomicU64,
    lost: AtomicU64,
    away: AtomicU64,
    full: AtomicU64,
    conflicts: AtomicU64,
}

/// Figures for metrics and health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimStats {
    /// Ids claimed for ourselves.
    pub ours: u64,
    /// Ids that were pending elsewhere.
    pub pending: u64,
    /// Ids that were taken elsewhere: duplicates.
    pub taken: u64,
    /// Ids of durable events that another instance took before they were confirmed.
    pub lost: u64,
    /// Ids that nobody could be asked about.
    pub away: u64,
    /// Ids that were not asked about, because of `cluster.claims_max`.
    pub full: u64,
    /// Ids accepted unclaimed that another instance had accepted too.
    pub conflicts: u64,
    /// Events accepted whose ids are still to be claimed.
    pub unconfirmed: u64,
    /// Ids held in Redis, about.
    pub held: u64,
    /// For how long ids are confirmed now, s.
    pub horizon_secs: u64,
}

impl ClaimStats {
    /// What became of ids, by outcome.
    pub fn outcomes(&self) -> [(&'static str, u64); 6] {
        [
            ("ours", self.ours),
            ("pending", self.pending),
            ("taken", self.taken),
            ("lost", self.lost),
            ("away", self.away),
            ("full", self.full),
        ]
    }
}

impl Claimant {
    /// Starts, on the runtime it is called in; waits for nothing.
    pub fn open(link: Link, settings: &ClaimSettings, clock: Clock) -> Self {
        let mut owner = [0; OWNER_BYTES];
        let node = u64::from_str_radix(&settings.node, 16).unwrap_or_default();
        owner[..NODE_BYTES].copy_from_slice(&node.to_be_bytes()[2..]);
        owner[NODE_BYTES..].copy_from_slice(&rand::random::<[u8; 4]>());
        let longest = settings.horizon + Duration::from_secs(limits::FINAL_AFTER_SECS as u64);
        let claimant = Self(Arc::new(Inner {
            queue: Queue::new(&link),
            link,
            clock,
            owner,
            key: ArcSwapOption::empty(),
            held: Mutex::new(Held::new(settings.ids_max, longest)),
            ranges: Mutex::default(),
            again: Notify::new(),
            counts: Counts::default(),
            trouble: Mutex::default(),
        }));
        claimant.start_rounds();
        tokio::spawn(secret::keep(claimant.clone()));
        claimant
    }

    /// Whether ids are claimed right now.
    pub fn is_up(&self) -> bool {
        self.0.link.is_up() && self.0.key.load().is_some()
    }

    /// What keeps ids from being claimed although Redis is reached: one server of several is
    /// away, or it refuses.
    pub fn trouble(&self) -> Option<Status> {
        let trouble = self.0.trouble.lock();
        let (at, why) = trouble.as_ref()?;
        let is_new = self.0.clock.elapsed().saturating_sub(*at) < TROUBLED_FOR;
        is_new.then(|| {
            let setting = self.0.link.setting();
            let detail = format!(
                "{setting}: Redis, or one server of it, does not take claims on ids: {why}; events \
                 whose ids it keeps are taken without asking whether another instance has them"
            );
            Status::bad("ids not claimed", detail)
        })
    }

    /// Figures as of now.
    pub fn stats(&self) -> ClaimStats {
        let counts = &self.0.counts;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let held = self.0.held.lock().now(self.0.clock.elapsed());
        ClaimStats {
            ours: load(&counts.ours),
            pending: load(&counts.pending),
            taken: load(&counts.taken),
            lost: load(&counts.lost),
            away: load(&counts.away),
            full: load(&counts.full),
            conflicts: load(&counts.conflicts),
            unconfirmed: self.0.ranges.lock().events(),
            held: held.ids,
            horizon_secs: held.horizon.as_secs(),
        }
    }

    async fn claim_all(self, ids: Arc<[u128]>) -> Result<Vec<Claim>, Away> {
        let counts = &self.0.counts;
        let count = ids.len() as u64;
        if self.0.held.lock().is_full(self.0.clock.elapsed()) {
            counts.full.fetch_add(count, Ordering::Relaxed);
            return Err(Away);
        }
        let Ok(verdicts) = self.ask(Kind::Claim, Arc::clone(&ids)).await else {
            counts.away.fetch_add(count, Ordering::Relaxed);
            return Err(Away);
        };
        let mut claims = vec![Claim::Ours; ids.len()];
        let (mut pending, mut taken, mut away) = (0, 0, 0);
        for (place, verdict) in verdicts {
            let (claim, outcome) = match verdict {
                Verdict::Pending => (Claim::Pending, &mut pending),
                Verdict::Taken => (Claim::Taken, &mut taken),
                Verdict::Away => (Claim::Ours, &mut away),
            };
            claims[place as usize] = claim;
            *outcome += 1;
        }
        counts.away.fetch_add(away, Ordering::Relaxed);
        if away == count {
            return Err(Away);
        }
        counts.ours.fetch_add(count - pending - taken - away, Ordering::Relaxed);
        counts.pending.fetch_add(pending, Ordering::Relaxed);
        counts.taken.fetch_add(taken, Ordering::Relaxed);
        Ok(claims)
    }

    /// Confirms. Whoever is first has an id; who only claimed it meanwhile is told at its own
    /// confirmation.
    async fn confirm_all(self, ids: Arc<[u128]>) -> Result<Confirmed, Away> {
        let mut others = self.ask(Kind::Confirm, ids).await?;
        let asked = others.len();
        others.retain(|(_, verdict)| *verdict != Verdict::Away);
        let some_unasked = others.len() < asked;
        let mut taken: Vec<u32> = others.into_iter().map(|(place, _)| place).collect();
        taken.sort_unstable();
        self.0.counts.lost.fetch_add(taken.len() as u64, Ordering::Relaxed);
        Ok(Confirmed { taken, some_unasked })
    }
}

impl Claims for Claimant {
    fn key(&self) -> Option<Fingerprinter> {
        let key = self.0.key.load_full().filter(|_| self.0.link.is_up());
        key.map(|key| (*key).clone())
    }

    fn claim(&self, ids: Arc<[u128]>) -> Asked<Vec<Claim>> {
        Box::pin(self.clone().claim_all(ids))
    }

    fn confirm(&self, ids: Arc<[u128]>) -> Asked<Confirmed> {
        Box::pin(self.clone().confirm_all(ids))
    }

    fn abandon(&self, ids: Arc<[u128]>) {
        self.tell(Kind::Abandon, ids);
    }

    fn unconfirmed(&self, first_seq: u64, end_seq: u64) {
        self.0.ranges.lock().add(first_seq, end_seq);
        self.0.again.notify_one();
    }
}

impl fmt::Debug for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claimant").field("up", &self.is_up()).finish_non_exhaustive()
    }
}
