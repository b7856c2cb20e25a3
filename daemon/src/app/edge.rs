//! The settings as the gate and its neighbours take them, at the start and when they are reloaded.

use std::num::NonZeroU32;

use crate::auth::Authority;
use crate::clock::Clock;
use crate::config::{Config, Origin};
use crate::gate::{self, Gate};
use crate::rate_limit::{Limits, RateLimits};
use crate::server::origin::Origins;

/// The gate these settings describe.
pub(super) fn gate(config: &Config, authority: Authority, clock: &Clock) -> Gate {
    let rates = match authority.open_to_all() {
        Some(_) => RateLimits::default(),
        None => RateLimits::new(limits(config), clock.clone()),
    };
    let (public_url, allowed) = origins(config);
    Gate::new(authority, rates, Origins::new(public_url, allowed), settings(config))
}

/// Puts other limits, origins and proxies in place. No connection is dropped for it.
pub(super) fn reload(gate: &Gate, config: &Config) {
    let (public_url, allowed) = origins(config);
    gate.origins.reload(public_url, allowed);
    gate.rates.reload(limits(config));
    gate.reload(settings(config));
}

fn settings(config: &Config) -> gate::Settings {
    gate::Settings {
        trusted_proxies: config.server.trusted_proxies.clone(),
        metrics_public: config.metrics.public,
    }
}

fn origins(config: &Config) -> (Option<String>, Vec<String>) {
    let text = |origin: &Origin| origin.as_str().to_owned();
    let server = &config.server;
    (server.public_url.as_ref().map(text), server.allowed_origins.iter().map(text).collect())
}

fn limits(config: &Config) -> Limits {
    // The registry bounds each from 1 to a billion.
    let of = |number: usize| {
        NonZeroU32::new(u32::try_from(number).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
    };
    let limits = &config.limits;
    Limits {
        api_per_minute: of(limits.api_per_minute),
        ingest_events_per_second: of(limits.ingest_events_per_second),
        socket_events_per_second: of(limits.socket_events_per_second),
        socket_events_burst: of(limits.socket_events_burst),
    }
}
