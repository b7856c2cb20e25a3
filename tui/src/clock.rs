//! The terminal's only reader of time: monotonic for waiting and measuring, wall for what people
//! read. The dashboard's clock itself comes from ticks, not from here.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic now, for measuring.
#[allow(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall time, Unix ms.
#[allow(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    since.as_millis() as i64
}
