//! How often: REST calls a minute, events a second of a token and of a socket.
//!
//! Buckets alone: it knows no request and no answer. [`crate::gate`] asks it for calls,
//! [`crate::ingest`] charges events. Buckets are governor's (the generic cell rate algorithm); where
//! their state lies, and what happens when there is no room for more, is [`table`]'s. In dev mode
//! nothing is counted.

mod budget;
mod decide;
mod table;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::auth::Grant;
use crate::clock::Clock;

pub use budget::EventBudget;
use decide::Rate;
use table::Table;

/// What an operator may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `limits.api_per_minute`.
    pub api_per_minute: NonZeroU32,
    /// `limits.ingest_events_per_second`, of a token without a rate of its own.
    pub ingest_events_per_second: NonZeroU32,
    /// `limits.socket_events_per_second`, of a socket whose token has no rate of its own.
    pub socket_events_per_second: NonZeroU32,
    /// `limits.socket_events_burst`.
    pub socket_events_burst: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        let of = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            api_per_minute: of(100),
            ingest_events_per_second: of(10_000),
            socket_events_per_second: of(50),
            socket_events_burst: of(100),
        }
    }
}

/// A limit, by the key that sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// REST calls.
    ApiPerMinute,
    /// Events of a token.
    IngestEventsPerSecond,
    /// Events of a socket.
    SocketEventsPerSecond,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 3] =
        [Self::ApiPerMinute, Self::IngestEventsPerSecond, Self::SocketEventsPerSecond];

    /// The key under `limits.`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiPerMinute => "api_per_minute",
            Self::IngestEventsPerSecond => "ingest_events_per_second",
            Self::SocketEventsPerSecond => "socket_events_per_second",
        }
    }

    /// The time its number is meant for, s.
    pub fn window_secs(self) -> u32 {
        match self {
            Self::ApiPerMinute => 60,
            Self::IngestEventsPerSecond | Self::SocketEventsPerSecond => 1,
        }
    }
}

/// Where someone stands after what was just taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Under which limit.
    pub limit: Limit,
    /// How many that allows in its window.
    pub quota: u32,
    /// How many could be taken right now.
    pub remaining: u32,
    /// When there will be one more, at the latest, ms.
    pub next_ms: u64,
}

/// Why something is not taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// Too many in this window.
    Rate {
        /// Under which limit.
        limit: Limit,
        /// How many that allows in its window.
        quota: u32,
        /// When as many may be taken, ms.
        retry_after_ms: u64,
    },
    /// More at once than the bucket ever holds.
    Burst {
        /// Under which limit.
        limit: Limit,
        /// As many at once.
        burst: u32,
    },
}

impl Exceeded {
    /// The limit that said no.
    pub fn limit(&self) -> Limit {
        match self {
            Self::Rate { limit, .. } | Self::Burst { limit, .. } => *limit,
        }
    }

    fn count(&self) {
        let limit = self.limit().as_str();
        metrics::counter!("pulseboard_rate_limited_total", "limit" => limit).increment(1);
    }
}

/// Who makes a call.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// The bearer of a token, by its `sub`.
    Subject(&'a str),
    /// Somebody without one.
    Address(IpAddr),
}

/// Every rate there is. Cheap to clone; clones share the buckets. The default limits nothing.
#[derive(Clone, Debug, Default)]
pub struct RateLimits(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    limits: ArcSwap<Limits>,
    /// Keys of tables are hashes nobody outside can foresee.
    hasher: RandomState,
    /// Calls by subject.
    calls: Table,
    /// Calls by address: apart, so that no crowd of strangers takes the room of who has a token.
    strangers: Table,
    events: Table,
}

impl RateLimits {
    /// Limits that hold.
    pub fn new(limits: Limits, clock: Clock) -> Self {
        Self(Some(Arc::new(Inner {
            clock,
            limits: ArcSwap::from_pointee(limits),
            hasher: RandomState::new(),
            calls: Table::default(),
            strangers: Table::default(),
            events: Table::default(),
        })))
    }

    /// Puts other limits in place, for what is open too. The share of a bucket that was used stays
    /// used.
    pub fn reload(&self, limits: Limits) {
        if let Some(inner) = &self.0 {
            inner.limits.store(Arc::new(limits));
        }
    }

    /// Takes one call; `None` when calls are not counted.
    pub fn call(&self, by: Who<'_>) -> Result<Option<Standing>, Exceeded> {
        let Some(inner) = &self.0 else { return Ok(None) };
        let per_minute = inner.limits.load().api_per_minute;
        let rate = Rate::per_minute(Limit::ApiPerMinute, per_minute);
        let key = inner.hasher.hash_one(Key::of(by));
        let table = match by {
            Who::Subject(_) => &inner.calls,
            Who::Address(_) => &inner.strangers,
        };
        let charged = table.charge(key, &rate, NonZeroU32::MIN, inner.clock.elapsed());
        charged.map(Some).inspect_err(Exceeded::count)
    }

    /// The budget of a grant for REST: by subject.
    pub fn events(&self, grant: &Arc<Grant>) -> EventBudget {
        match &self.0 {
            None => EventBudget::unlimited(),
            Some(inner) => EventBudget::of(inner, grant),
        }
    }

    /// The budget of a session on a socket. When a token is renewed, `before` is the budget the
    /// session had: its socket's bucket goes on.
    pub fn socket(&self, grant: &Arc<Grant>, before: Option<&EventBudget>) -> EventBudget {
        self.events(grant).on_socket(before)
    }

    /// Forgets whoever has been quiet long enough to be as good as new. Called now and then.
    pub fn prune(&self) {
        if let Some(inner) = &self.0 {
            let now = inner.clock.elapsed();
            inner.calls.prune(now);
            inner.strangers.prune(now);
            inner.events.prune(now);
        }
    }

    /// How many it remembers: callers with a token and without, and senders.
    pub fn remembered(&self) -> usize {
        let of = |inner: &Arc<Inner>| {
            [&inner.calls, &inner.strangers, &inner.events].map(Table::len).iter().sum()
        };
        self.0.as_ref().map_or(0, of)
    }
}

/// What a caller is counted by.
#[derive(Hash)]
enum Key<'a> {
    Subject(&'a str),
    V4(u32),
    /// A household or a machine has a /64 to itself.
    V6(u64),
}

impl<'a> Key<'a> {
    fn of(who: Who<'a>) -> Self {
        match who {
            Who::Subject(subject) => Self::Subject(subject),
            Who::Address(address) => match address.to_canonical() {
                IpAddr::V4(address) => Self::V4(address.into()),
                IpAddr::V6(address) => Self::V6((u128::from(address) >> 64) as u64),
            },
        }
    }
}

#[cfg(test)]
mod tests;
