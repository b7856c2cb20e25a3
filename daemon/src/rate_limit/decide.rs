//! One decision of governor's. A limiter of governor's is a few words: one is made for each
//! decision, around state that lasts, so that limits can change without forgetting anything and a
//! token's own rate needs no state of its own.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use super::{Exceeded, Limit, Standing};

/// How much a bucket holds and how fast it fills.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    limit: Limit,
    /// In the limit's window.
    number: NonZeroU32,
    burst: NonZeroU32,
    quota: Quota,
}

impl Rate {
    /// `number` a minute, all of them at once after a rest.
    pub(super) fn per_minute(limit: Limit, number: NonZeroU32) -> Self {
        Self { limit, number, burst: number, quota: Quota::per_minute(number) }
    }

    /// `number` a second, `burst` of them at once after a rest.
    pub(super) fn per_second(limit: Limit, number: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { limit, number, burst, quota: Quota::per_second(number).allow_burst(burst) }
    }

    fn interval(&self) -> Duration {
        self.quota.replenish_interval().max(Duration::from_nanos(1))
    }

    /// What `count` weigh, as time the bucket needs to get over them.
    pub(super) fn weight(&self, count: NonZeroU32) -> u64 {
        (self.interval().as_nanos() as u64).saturating_mul(u64::from(count.get()))
    }
}

/// Time as a limiter asks for it: when it is made, which is its zero, and when it decides.
struct Reading {
    now: Nanos,
    was_made: Cell<bool>,
}

impl Clock for Reading {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        if self.was_made.replace(true) { self.now } else { Nanos::new(0) }
    }
}

/// Takes `count` of `key`'s bucket in `state`, or says why not.
pub(super) fn decide<S: StateStore<Key = u64>>(
    state: S,
    key: u64,
    rate: &Rate,
    count: NonZeroU32,
    now: Duration,
) -> Result<Standing, Exceeded> {
    let now = Nanos::from(now);
    let reading = Reading { now, was_made: Cell::new(false) };
    let limiter =
        RateLimiter::<u64, S, Reading, StateInformationMiddleware>::new(rate.quota, state, reading);
    match limiter.check_key_n(&key, count) {
        Ok(Ok(after)) => Ok(Standing {
            limit: rate.limit,
            quota: rate.number.get(),
            remaining: after.remaining_burst_capacity(),
            next_ms: rate.interval().as_millis() as u64,
        }),
        Ok(Err(not_until)) => {
            // Rounded up: who comes back exactly then is taken.
            let wait_ns = not_until.wait_time_from(now).as_nanos();
            let retry_after_ms = wait_ns.div_ceil(1_000_000).max(1) as u64;
            Err(Exceeded::Rate { limit: rate.limit, quota: rate.number.get(), retry_after_ms })
        }
        Err(_) => Err(Exceeded::Burst { limit: rate.limit, burst: rate.burst.get() }),
    }
}

/// The bucket of one socket.
#[derive(Debug, Default)]
pub(super) struct Single(InMemoryState);

impl Single {
    pub(super) fn charge(
        &self,
        rate: &Rate,
        count: NonZeroU32,
        now: Duration,
    ) -> Result<Standing, Exceeded> {
        decide(self, 0, rate, count, now)
    }
}

impl StateStore for &Single {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, _key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(&NotKeyed::NonKey, decide)
    }
}
