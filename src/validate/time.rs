//! The rules of `timestamp`: how it is read, how old it may be, and how the event then counts.

use std::fmt::Write as _;

use super::{Code, Field, Refusal, Rules, shown};
use crate::event::Class;
use crate::limits;

/// Numbers in this range are taken for seconds: 1973 to 5138 so read, and only 1970 to 1973 as
/// milliseconds.
const SECONDS: std::ops::Range<i64> = 100_000_000..100_000_000_000;
/// From here on a number is too large for milliseconds and looks like micro- or nanoseconds.
const MICROSECONDS: i64 = 100_000_000_000_000;
/// The oldest time there is, 0001-01-01T00:00:00Z.
const OLDEST_MS: i64 = -62_135_596_800_000;

/// A timestamp as it was sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Time<'a> {
    /// A whole number.
    Whole(i64),
    /// Another number.
    Float(f64),
    /// A string.
    Text(&'a str),
}

impl Time<'_> {
    /// The timestamp in Unix ms, without looking at its age.
    pub fn read(self) -> Result<i64, Refusal> {
        match self {
            Time::Whole(number) => whole(number),
            Time::Float(number) if number.fract() == 0.0 => whole(number as i64),
            Time::Float(number) => {
                if SECONDS.contains(&(number as i64)) {
                    return Err(in_seconds(&format!("{number}"), number * 1_000.0));
                }
                Err(bad(&format!("{number}")))
            }
            Time::Text(text) => match text.parse::<jiff::Timestamp>() {
                Ok(time) => Ok(time.as_millisecond()),
                Err(_) => Err(bad(&shown(text))),
            },
        }
    }
}

fn whole(number: i64) -> Result<i64, Refusal> {
    if SECONDS.contains(&number) {
        return Err(in_seconds(&number.to_string(), number as f64 * 1_000.0));
    }
    Ok(number)
}

/// How an event of this time counts, or why it is too old or too far ahead.
pub fn class_of(timestamp_ms: i64, rules: &Rules<'_>) -> Result<Class, Refusal> {
    let age_ms = rules.arrival_ms.saturating_sub(timestamp_ms);
    if age_ms < -limits::AHEAD_MS {
        return Err(too_far_ahead(timestamp_ms, age_ms));
    }
    if timestamp_ms < OLDEST_MS {
        return Err(too_old(age_ms, "no event is older than the year 1"));
    }
    if rules.import {
        return match rules.import_age_ms_max {
            Some(max_ms) if age_ms > max_ms => Err(too_old(
                age_ms,
                &format!("an import takes events of the last {}", span(max_ms)),
            )),
            _ => Ok(Class::Import),
        };
    }
    if age_ms > rules.horizon_ms {
        let rule = format!(
            "events of the last {} are taken, older ones with ?import=true",
            span(rules.horizon_ms)
        );
        return Err(too_old(age_ms, &rule));
    }
    Ok(if age_ms > limits::LIVE_AGE_MS { Class::Late } else { Class::Live })
}

#[cold]
fn bad(value: &str) -> Refusal {
    let message = format!("`timestamp` must be {}, not {value}", Field::Timestamp.expects());
    Refusal::of_field(Code::BadTimestamp, Field::Timestamp, message)
}

#[cold]
fn in_seconds(sent: &str, ms: f64) -> Refusal {
    let message =
        format!("`timestamp` {sent} looks like seconds; it must be in milliseconds: {}", ms as i64);
    Refusal::of_field(Code::TimestampInSeconds, Field::Timestamp, message)
}

#[cold]
fn too_old(age_ms: i64, rule: &str) -> Refusal {
    let message = format!("`timestamp` is {} old: {rule}", span(age_ms));
    Refusal::of_field(Code::TooOld, Field::Timestamp, message)
}

#[cold]
fn too_far_ahead(timestamp_ms: i64, age_ms: i64) -> Refusal {
    let mut message = format!(
        "`timestamp` is {} ahead of the daemon's clock: at most 5m",
        span(age_ms.saturating_neg())
    );
    if timestamp_ms >= MICROSECONDS {
        message.push_str("; it looks like micro- or nanoseconds, and must be milliseconds");
    }
    Refusal::of_field(Code::TooFarAhead, Field::Timestamp, message)
}

/// A duration in its two largest units: `24h`, `1d 2h`, `5m 1s`.
fn span(ms: i64) -> String {
    let seconds = ms / 1_000;
    let units = [("d", seconds / 86_400), ("h", seconds / 3_600 % 24), ("m", seconds / 60 % 60)];
    let mut text = String::new();
    if (86_400..2 * 86_400).contains(&seconds) && seconds % 3_600 == 0 {
        return format!("{}h", seconds / 3_600);
    }
    let first = units.iter().position(|(_, count)| *count > 0).unwrap_or(units.len());
    for (unit, count) in units.iter().chain([&("s", seconds % 60)]).skip(first).take(2) {
        if *count > 0 || (text.is_empty() && *unit == "s") {
            let space = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{space}{count}{unit}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_like_a_person_says_them() {
        let cases = [
            (0, "0s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (301_000, "5m 1s"),
            (86_400_000, "24h"),
            (90_061_000, "1d 1h"),
            (10 * 86_400_000, "10d"),
        ];
        for (ms, text) in cases {
            assert_eq!(span(ms), text);
        }
    }

    #[test]
    fn rfc_3339_is_read_to_the_millisecond_with_any_offset() {
        let cases = [
            ("2025-11-23T07:06:40Z", 1_763_881_600_000),
            ("2025-11-23t07:06:40.123456z", 1_763_881_600_123),
            ("2025-11-23T09:06:40.5+02:00", 1_763_881_600_500),
            ("2025-11-22T23:06:40-08:00", 1_763_881_600_000),
        ];
        for (text, ms) in cases {
            assert_eq!(Time::Text(text).read(), Ok(ms), "{text}");
        }
        for text in ["", "now", "2025-11-23", "2025-11-23T07:06:40", "2025-13-01T00:00:00Z"] {
            let refusal = Time::Text(text).read().expect_err(text);
            assert_eq!(refusal.code, Code::BadTimestamp);
        }
    }
}
