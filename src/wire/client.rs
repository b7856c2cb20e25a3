//! What a client says on the socket, one JSON object a text frame.
//!
//! The daemon reads these leniently in order (an unknown `op` is answered, not fatal) and never
//! writes them; the terminal and the tools write them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One message of a client.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum ClientMessage {
    /// Presents a token, or renews it; answered by a welcome.
    Auth {
        /// The JWT.
        token: String,
    },
    /// Joins rooms; each is answered by a snapshot.
    Subscribe {
        /// `window:5s`, `window:60s?filter=…`, `tail`, `system`.
        rooms: Vec<String>,
        /// For each room the newest tick the client holds: its snapshot's history starts after.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        #[cfg_attr(test, ts(as = "Option<BTreeMap<String, i64>>", optional))]
        since: BTreeMap<String, i64>,
    },
    /// Leaves rooms; each is answered by `unsubscribed`.
    Unsubscribe {
        /// The rooms as they were written in `subscribe`.
        rooms: Vec<String>,
    },
    /// Asks for a room's snapshot as it was at a tick.
    Get {
        /// Echoed in the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        id: Option<u64>,
        /// The room.
        room: String,
        /// The tick.
        at: i64,
    },
    /// Sends events; answered by `ack` after they are on disk, or by `error`.
    Publish {
        /// Echoed in the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        id: Option<u64>,
        /// An array of event objects.
        #[cfg_attr(test, ts(type = "EventInput[]"))]
        events: Box<RawValue>,
    },
    /// Answered by `pong`.
    Ping {
        /// Echoed in the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        id: Option<u64>,
    },
}

/// An event as a client sends it. Only `type` and `route` are required.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
#[serde(rename_all = "camelCase")]
pub struct EventInput {
    /// 1..128 bytes; the daemon makes one where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// 1..64 bytes.
    #[serde(rename = "type")]
    pub kind: String,
    /// 1..512 bytes.
    pub route: String,
    /// Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
    /// 1..128 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// 1..128 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// 1..128 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// 100..599.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Whether it is an error whatever its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<bool>,
    /// 0..86,400,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// `[a-z0-9._-]{1,64}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// At most 32 scalars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(type = "Record<string, string | number | boolean>"))]
    pub props: Option<serde_json::Map<String, serde_json::Value>>,
}
