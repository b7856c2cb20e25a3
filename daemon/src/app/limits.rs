//! The settings under `limits.` as the stages take them, at the start and when they are reloaded.
//! Rates are in [`super::edge`].

use crate::config::Config;
use crate::ingest::rest;
use crate::{broadcast, ingest, server};

/// Of connections and their requests' heads.
pub(super) fn connections(config: &Config) -> server::Limits {
    let limits = &config.limits;
    server::Limits {
        connections: limits.connections,
        header_timeout: limits.header_timeout,
        header_bytes: limits.header_bytes as usize,
        uri_bytes: limits.uri_bytes as usize,
    }
}

/// Of bodies.
pub(super) fn bodies(config: &Config) -> rest::Limits {
    let limits = &config.limits;
    rest::Limits { body_bytes: limits.body_bytes as usize, body_timeout: limits.body_timeout }
}

/// Of events.
pub(super) fn events(config: &Config) -> ingest::Limits {
    let limits = &config.limits;
    ingest::Limits {
        event_bytes: limits.event_bytes as usize,
        batch_events: limits.batch_events,
        inflight_bytes: limits.inflight_bytes as usize,
    }
}

/// Of sockets.
pub(super) fn sockets(config: &Config) -> broadcast::Limits {
    let limits = &config.limits;
    broadcast::Limits {
        sockets: limits.sockets,
        sockets_per_address: limits.sockets_per_address,
        rooms_per_socket: limits.rooms_per_socket,
        frame_bytes: limits.frame_bytes as usize,
        publish_bytes: limits.publish_bytes as usize,
        socket_inflight: limits.socket_inflight,
    }
}

/// Makes room for as many descriptors as there may be connections, and says so where there is less.
pub(super) fn warn_of_few_files(config: &Config) {
    let connections = config.limits.connections;
    if let Some(files) = server::rlimit::raise_open_files()
        && files < connections as u64
    {
        tracing::warn!(
            files,
            "limits.connections is {connections}, but the system allows fewer open files \
             (LimitNOFILE)"
        );
    }
}
