//! What one sender of events may still send: its token's bucket, and its socket's.

use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::decide::{Rate, Single};
use super::{Exceeded, Grant, Inner, Key, Limit, Standing, Who};

/// See the module. Clones share the buckets. The default has no bound.
#[derive(Clone, Debug, Default)]
pub struct EventBudget(Option<Held>);

#[derive(Clone, Debug)]
struct Held {
    inner: Arc<Inner>,
    /// The token's bucket.
    key: u64,
    /// The token's own rate.
    rate: Option<NonZeroU32>,
    /// The socket's bucket, unless the token has a rate of its own.
    socket: Option<Arc<Single>>,
}

impl EventBudget {
    /// No bound: dev mode.
    pub fn unlimited() -> Self {
        Self::default()
    }

    pub(super) fn of(inner: &Arc<Inner>, grant: &Grant) -> Self {
        let key = inner.hasher.hash_one(Key::of(Who::Subject(&grant.subject)));
        Self(Some(Held { inner: Arc::clone(inner), key, rate: grant.rate, socket: None }))
    }

    pub(super) fn on_socket(mut self, before: Option<&Self>) -> Self {
        if let Some(held) = &mut self.0
            && held.rate.is_none()
        {
            let had = before.and_then(|before| before.0.as_ref()?.socket.clone());
            held.socket = Some(had.unwrap_or_default());
        }
        self
    }

    /// Events a second that may be sent, as `welcome` tells it: the lower of its buckets' rates;
    /// `None` without a bound.
    pub fn events_per_second(&self) -> Option<u64> {
        let held = self.0.as_ref()?;
        let limits = held.inner.limits.load();
        let of_token = held.rate.unwrap_or(limits.ingest_events_per_second);
        let of_socket = held.socket.as_ref().map(|_| limits.socket_events_per_second);
        Some(of_socket.map_or(of_token, |of_socket| of_socket.min(of_token)).get().into())
    }

    /// Takes `events` from every bucket, or says why not; then none is taken. Where it stands is
    /// its token's bucket's; `None` when nothing is counted.
    pub fn charge(&self, events: u32) -> Result<Option<Standing>, Exceeded> {
        let (Some(held), Some(events)) = (&self.0, NonZeroU32::new(events)) else {
            return Ok(None);
        };
        held.charge(events).map(Some).inspect_err(Exceeded::count)
    }
}

impl Held {
    fn charge(&self, events: NonZeroU32) -> Result<Standing, Exceeded> {
        let limits = self.inner.limits.load();
        let now = self.inner.clock.elapsed();
        let number = self.rate.unwrap_or(limits.ingest_events_per_second);
        let of_token = Rate::per_second(Limit::IngestEventsPerSecond, number, number);
        let standing = self.inner.events.charge(self.key, &of_token, events, now)?;
        if let Some(socket) = &self.socket {
            let of_socket = Rate::per_second(
                Limit::SocketEventsPerSecond,
                limits.socket_events_per_second,
                limits.socket_events_burst,
            );
            socket.charge(&of_socket, events, now).inspect_err(|_| {
                self.inner.events.give_back(self.key, &of_token, events);
            })?;
        }
        Ok(standing)
    }
}
