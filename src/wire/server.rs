//! What the daemon says on the socket and, in part, over REST: one JSON object a text frame.
//!
//! A field without a value is absent: nulls do not occur outside of history columns, so that a
//! merge patch's null always means "gone".

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use super::history::History;

/// One message of the daemon.
#[allow(clippy::large_enum_variant, reason = "messages are made, written and dropped one by one")]
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum ServerMessage {
    /// The first message, and the answer to `auth`.
    Welcome(Welcome),
    /// A room as it stands at a tick.
    Snapshot(Snapshot),
    /// What changed in a room since the tick before.
    Delta(Delta),
    /// New events, newest last.
    Tail {
        /// The room as subscribed.
        room: String,
        /// At most 100 a second.
        events: Vec<StoredEvent>,
        /// Matching events left out since the last message.
        skipped: u64,
    },
    /// The daemon's own figures.
    System {
        /// `system`.
        room: String,
        /// The newest tick.
        tick: i64,
        /// By metric name.
        metrics: BTreeMap<String, f64>,
    },
    /// A room was left.
    Unsubscribed {
        /// The room as subscribed.
        room: String,
    },
    /// The verdict on a publish; what was accepted is on disk.
    Ack(Ack),
    /// Something asked for was refused; the socket stays.
    Error(ErrorMessage),
    /// The answer to `ping`.
    Pong {
        /// As sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        id: Option<u64>,
    },
}

/// What a socket learns first.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    /// [`super::PROTOCOL`].
    pub protocol: u32,
    /// The instance's name.
    pub node: String,
    /// The newest tick.
    pub tick: i64,
    /// The windows there are rooms for, `1s` first.
    pub windows: Vec<String>,
    /// Whether a token is needed, was taken, or nobody asks for one.
    pub auth: AuthState,
    /// What this session may do, space-separated.
    pub scope: String,
    /// What this session should keep to.
    pub limits: WelcomeLimits,
}

/// `auth` of the welcome.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum AuthState {
    /// Send `auth` within 10 s.
    Required,
    /// The token was taken.
    Ok,
    /// No key is configured: everyone on this machine may do everything.
    Dev,
}

/// `limits` of the welcome.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct WelcomeLimits {
    /// The largest frame, in bytes.
    pub publish_bytes: u64,
    /// Events a second; absent where no rate applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub events_per_second: Option<u64>,
    /// Rooms this socket may be in.
    pub rooms: u64,
}

/// A room as it stands at a tick.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The room as subscribed; over REST `window:5s`.
    pub room: String,
    /// The tick this is.
    pub tick: i64,
    /// The window's numbers.
    pub aggregate: Aggregate,
    /// The ticks the client missed, or the last 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub history: Option<History>,
    /// The first tick of `history`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub history_from: Option<i64>,
    /// Columns for ticks at or before the client's `since` that changed meanwhile: overwrite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub corrections: Option<History>,
    /// Ticks this session was not sent because it was not reading.
    #[serde(default)]
    pub lagged: u64,
    /// Of the `get` this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub id: Option<u64>,
}

/// What changed in a room since the tick before.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Delta {
    /// The room as subscribed.
    pub room: String,
    /// The tick this leads to.
    pub tick: i64,
    /// The tick it starts from: always `tick - 1`.
    pub base: i64,
    /// A JSON merge patch (RFC 7396) of the aggregate.
    #[cfg_attr(test, ts(type = "Record<string, unknown>"))]
    pub aggregate: serde_json::Value,
    /// Columns for earlier ticks that changed: overwrite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub corrections: Option<History>,
}

/// A window's numbers at a tick.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Aggregate {
    /// `1s`, `5s`, `60s`.
    pub window: String,
    /// The newest tick in it.
    pub tick: i64,
    /// Its start, Unix ms, inclusive.
    pub from: i64,
    /// Its end, Unix ms, exclusive.
    pub to: i64,
    /// Events in it.
    pub events: u64,
    /// Events divided by the window's length in seconds.
    pub events_per_second: f64,
    /// Distinct userId, else sessionId, else clientId.
    pub active_users: u64,
    /// Distinct sessionId.
    pub active_sessions: u64,
    /// Events that are errors.
    pub errors: u64,
    /// Errors per event, 0..1; absent without events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub error_rate: Option<f64>,
    /// Events by `1xx`..`5xx`; classes without events are absent.
    pub status_classes: BTreeMap<String, u64>,
    /// Events by type.
    pub types: BTreeMap<String, u64>,
    /// Latency of the events that carried one; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub latency_ms: Option<Latency>,
    /// The 10 routes with the most events, then by name.
    pub top_routes: Vec<RouteRow>,
    /// The rest together.
    pub other_routes: OtherRoutes,
    /// Events that arrived in it too late for its ticks.
    pub late: u64,
    /// Events in it from clocks ahead of ours.
    pub skewed: u64,
    /// The newest event's time, Unix ms; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub last_event_at: Option<i64>,
    /// How far counting is behind accepting, ms; 0 when it keeps up.
    pub behind_ms: u64,
    /// Instances in it.
    pub nodes: Nodes,
    /// What is not as it should be with the instance that says this, now; absent when all is well.
    /// At most [`Notice::MOST`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(as = "Option<Vec<Notice>>", optional))]
    pub notices: Vec<Notice>,
}

/// Latency over a window, ms. Quantiles within 1 % of the exact value; `max` is exact.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Events that carried a latency.
    pub count: u64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// One route of a window or a range.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct RouteRow {
    /// As normalised.
    pub route: Arc<str>,
    /// Events.
    pub events: u64,
    /// Of these, errors.
    pub errors: u64,
    /// Errors per event, 0..1.
    pub error_rate: f64,
    /// 95th percentile of latency, ms; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub p95: Option<f64>,
}

/// The routes that have no row of their own, together.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct OtherRoutes {
    /// How many routes; those a tick did not admit are not told apart and count as one.
    pub routes: u64,
    /// Their events.
    pub events: u64,
    /// Of these, errors.
    pub errors: u64,
}

/// Instances whose numbers are in an aggregate, of those there should be.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Nodes {
    /// In the numbers.
    pub reporting: u32,
    /// Alive.
    pub expected: u32,
}

impl Nodes {
    /// This one alone, and there is no other.
    pub const ALONE: Self = Self { reporting: 1, expected: 1 };

    /// Whether nobody is missing.
    pub fn is_whole(self) -> bool {
        self.reporting >= self.expected
    }
}

/// A check of readiness that is not ok, for people who look at a dashboard. Numbers in it are
/// rounded and change every few seconds at most.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Notice {
    /// `journal`, `store`, `cluster`, `clock`.
    pub check: String,
    /// How bad it is.
    pub level: NoticeLevel,
    /// A few words, for where there is little room: at most [`Notice::BRIEF_BYTES`].
    pub brief: String,
    /// What is wrong and what to do: at most [`Notice::DETAIL_BYTES`].
    pub detail: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum NoticeLevel {
    /// Events are taken all the same.
    Degraded,
    /// Events are refused meanwhile.
    Failed,
}

impl Notice {
    /// Notices of one aggregate.
    pub const MOST: usize = 8;
    /// The longest `brief`.
    pub const BRIEF_BYTES: usize = 40;
    /// The longest `detail`.
    pub const DETAIL_BYTES: usize = 300;

    /// A notice, its texts cut to what they may have.
    pub fn new(check: &str, level: NoticeLevel, brief: &str, detail: &str) -> Self {
        Self {
            check: check.to_owned(),
            level,
            brief: cut(brief, Self::BRIEF_BYTES),
            detail: cut(detail, Self::DETAIL_BYTES),
        }
    }
}

/// As much of a text as fits, with an ellipsis where that is not all.
fn cut(text: &str, bytes_max: usize) -> String {
    const MORE: char = '…';
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max - MORE.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut short = text[..end].trim_end().to_owned();
    short.push(MORE);
    short
}

/// The verdict on a publish; over REST without `id`, with `durable`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Ack {
    /// Of the publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub id: Option<u64>,
    /// New events, now on disk.
    pub accepted: u64,
    /// Events that had been taken before.
    pub duplicates: u64,
    /// The first 100 that were refused.
    pub rejected: Vec<Rejection>,
    /// All that were refused.
    pub rejected_total: u64,
}

/// One refused item of a batch.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Its place in the batch, from 0.
    pub index: u64,
    /// Stable snake_case.
    pub code: String,
    /// A sentence that names the rule.
    pub message: String,
    /// The field at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub field: Option<String>,
    /// When to try again, for codes that may pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub retry_after_ms: Option<u64>,
}

/// A refusal on the socket.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct ErrorMessage {
    /// Of the message at fault, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub id: Option<u64>,
    /// The room at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub room: Option<String>,
    /// Stable snake_case.
    pub code: String,
    /// A sentence that names the rule.
    pub message: String,
    /// When to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub retry_after_ms: Option<u64>,
}

/// An event as stored: an item of `GET /api/events` and of the tail.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(test, ts(optional_fields))]
#[serde(rename_all = "camelCase")]
pub struct StoredEvent {
    /// As sent or made.
    pub event_id: String,
    /// `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// As normalised.
    pub route: String,
    /// Unix ms.
    pub timestamp: i64,
    /// When it arrived, Unix ms.
    pub stored_at: i64,
    /// `site`.
    pub site: String,
    /// `userId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// `sessionId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// `clientId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `error`, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<bool>,
    /// `latencyMs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// `props`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(type = "Record<string, string | number | boolean>"))]
    pub props: Option<serde_json::Map<String, serde_json::Value>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_notice_is_cut_between_characters() {
        let long = "é".repeat(400);
        let notice = Notice::new("store", NoticeLevel::Degraded, &long, &long);
        assert!(notice.brief.len() <= Notice::BRIEF_BYTES && notice.brief.ends_with("é…"));
        assert!(notice.detail.len() <= Notice::DETAIL_BYTES && notice.detail.ends_with("é…"));
        let short = Notice::new("store", NoticeLevel::Failed, "MongoDB away", "as it is");
        assert_eq!((&*short.brief, &*short.detail), ("MongoDB away", "as it is"));
    }
}
