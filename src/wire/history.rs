//! The past of a window as it goes over the wire: columns, which are a third of what rows would be.
//! Made by the daemon's aggregator, read by both dashboards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Columns of one length, one entry a tick: the value of the window that ends there. Null where
/// there was nothing to measure, and for ticks nobody was up.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The ticks, ascending.
    pub tick: Vec<i64>,
    /// Events.
    pub events: Vec<Option<u64>>,
    /// Active users.
    pub active_users: Vec<Option<u64>>,
    /// Errors.
    pub errors: Vec<Option<u64>>,
    /// Events by status class, `1xx`..`5xx`; a class that never occurs in the span is absent.
    pub status_classes: BTreeMap<String, Vec<Option<u64>>>,
    /// Median latency, ms.
    pub p50: Vec<Option<f64>>,
    /// 95th percentile, ms.
    pub p95: Vec<Option<f64>>,
    /// 99th percentile, ms.
    pub p99: Vec<Option<f64>>,
    /// How many instances are in each tick's numbers. Absent when all of them are in every tick.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<Option<u32>>>"))]
    pub reporting: Vec<Option<u32>>,
    /// How many there were, where `reporting` is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<Option<u32>>>"))]
    pub expected: Vec<Option<u32>>,
}
