//! What the log says of a session: that it came, and how it ended. Never what it sent or was sent,
//! and of its token only whose it is.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pulseboard::wire::close;

use super::super::admission::Standing;
use super::super::protocol::Ending;
use crate::clock::Clock;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// A session in the log.
pub(super) struct Diary {
    /// Counts sessions since the start; the same in both lines.
    socket: u64,
    client: IpAddr,
    since: Duration,
}

impl Diary {
    pub(super) fn open(clock: &Clock, client: IpAddr) -> Self {
        let socket = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::debug!(socket, %client, "a socket opened");
        Self { socket, client, since: clock.elapsed() }
    }

    pub(super) fn close(&self, clock: &Clock, standing: &Standing, ending: Ending) {
        let Self { socket, client, since } = self;
        let secs = clock.elapsed().saturating_sub(*since).as_secs();
        let subject = &*standing.author.grant.subject;
        match ending {
            Ending::Gone => {
                tracing::debug!(socket, %client, subject, secs, "a socket's client left");
            }
            // A bad token, or none: the log says who, as for requests.
            Ending::Close(code @ close::POLICY, reason) => {
                tracing::info!(socket, %client, subject, secs, code, reason, "a socket was refused");
            }
            Ending::Close(code @ close::INTERNAL, reason) => {
                tracing::error!(socket, %client, subject, secs, code, reason, "a socket failed");
            }
            Ending::Close(code, reason) => {
                tracing::debug!(socket, %client, subject, secs, code, reason, "a socket was closed");
            }
        }
    }
}
