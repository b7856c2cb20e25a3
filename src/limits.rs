//! The bounds of the contract, as numbers. Those an operator may change are keys of the daemon's
//! configuration, whose defaults are these; the others are part of the protocol.
//!
//! Holds constants only. Read by decode and validation, by the daemon's configuration, and by the
//! clients so that they never send what would be refused.

/// Longest `eventId`, `userId`, `sessionId`, `clientId`, in bytes.
pub const ID_BYTES: usize = 128;
/// Longest `type`, in bytes.
pub const TYPE_BYTES: usize = 64;
/// Longest `route`, in bytes, after query and fragment are cut.
pub const ROUTE_BYTES: usize = 512;
/// Longest `site`, in bytes.
pub const SITE_BYTES: usize = 64;
/// Most entries of `props`.
pub const PROPS_ENTRIES: usize = 32;
/// Longest key of `props`, in bytes.
pub const PROPS_KEY_BYTES: usize = 64;
/// Largest `latencyMs`: one day.
pub const LATENCY_MS_MAX: f64 = 86_400_000.0;
/// One event as JSON, in bytes.
pub const EVENT_BYTES: usize = 16 * 1024;
/// Events in one call.
pub const BATCH_EVENTS: usize = 10_000;
/// A REST body, as sent and as unpacked, in bytes.
pub const BODY_BYTES: usize = 8 * 1024 * 1024;
/// A socket frame from a client that may not publish, in bytes.
pub const FRAME_BYTES: usize = 16 * 1024;
/// A socket frame from a client that may publish, in bytes.
pub const PUBLISH_BYTES: usize = 1024 * 1024;
/// Publishes of one socket that are not yet acknowledged; past it the socket's reading pauses.
pub const SOCKET_INFLIGHT: usize = 64;
/// Rooms a socket may be in.
pub const ROOMS_PER_SOCKET: usize = 32;
/// Distinct routes a tick admits; the events of others are counted in `otherRoutes`.
pub const ROUTES_PER_TICK: usize = 20_000;
/// Distinct types a tick admits; the events of others are counted as type `other`.
pub const TYPES_PER_TICK: usize = 100;
/// Rejections listed in one answer; all are counted in `rejectedTotal`.
pub const REJECTIONS_LISTED: usize = 100;
/// Ticks of history a snapshot carries at most.
pub const HISTORY_TICKS: usize = 3_600;
/// Ticks of history a snapshot carries when no `since` was given.
pub const HISTORY_TICKS_DEFAULT: usize = 300;
/// Rows of `topRoutes` in an aggregate.
pub const TOP_ROUTES: usize = 10;
/// An event at most this old when it arrives is *live*: it belongs to the tick of its own time.
pub const LIVE_AGE_MS: i64 = 60_000;
/// A tick is final this long after it began.
pub const FINAL_AFTER_SECS: i64 = 65;
/// An event at most this far ahead of the daemon's clock is taken, in its arrival tick.
pub const AHEAD_MS: i64 = 5 * 60_000;
/// The longest dedupe horizon, and so the oldest accepted event.
pub const HORIZON_MS: i64 = 24 * 3_600_000;
/// Version of the serialised summaries this build writes, and the newest it reads.
pub const SUMMARY_VERSION: u8 = 1;
