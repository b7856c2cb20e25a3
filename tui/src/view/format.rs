//! Numbers as people read them: thousands apart, a unit behind, as many digits as matter. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::text::Span;

use crate::state::words::grouped;

/// `1,284.2`; one decimal always, so that it does not jump.
pub fn rate(per_second: f64) -> String {
    let tenths = (per_second.clamp(0.0, 1e15) * 10.0).round() as u64;
    format!("{}.{}", count(tenths / 10), tenths % 10)
}

/// `1,284`.
pub fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// `0.8 %` of a share of 0..1.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share.clamp(0.0, 1.0) * 100.0)
}

/// `4.2 ms`, `84 ms`, `1,284 ms`, `12.5 s`.
pub fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 9_999.5 => format!("{} ms", count(ms.round() as u64)),
        ms => format!("{} s", rate(ms / 1_000.0)),
    }
}

/// A label of an axis: `0`, `2.5`, `500`, `1.5k`, `20k`, `3M`.
pub fn axis(value: f64) -> String {
    let (scaled, suffix) = match value {
        value if value >= 1e9 => (value / 1e9, "G"),
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e3 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let text = format!("{scaled:.2}");
    format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `14:03:27` of a tick.
pub fn clock(tick: i64, zone: &TimeZone) -> String {
    match Timestamp::from_second(tick) {
        Ok(time) => {
            let time = time.to_zoned(zone.clone());
            format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
        }
        Err(_) => "--:--:--".to_owned(),
    }
}

/// `9s`, `1m17s`, `2h05m`.
pub fn duration(seconds: i64) -> String {
    match seconds.max(0) {
        seconds if seconds < 60 => format!("{seconds}s"),
        seconds if seconds < 3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

/// What is left of something, as coarse as it may be: `45 s`, `12 min`, `5 h`, `89 d`.
pub fn left(seconds: u64) -> String {
    match seconds {
        seconds if seconds <= 120 => format!("{seconds} s"),
        seconds if seconds <= 7_200 => format!("{} min", seconds.div_ceil(60)),
        seconds if seconds <= 172_800 => format!("{} h", seconds.div_ceil(3_600)),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Cells a text takes.
pub fn cells(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { Span::raw(text).width() }
}

/// Text from outside with nothing in it that could move the cursor, turn the direction of writing
/// or hide: such characters become a middle dot.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => '·',
            character if character.is_control() => '·',
            character => character,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(rate(1_284.24), "1,284.2");
        assert_eq!(rate(0.0), "0.0");
        assert_eq!(rate(999.96), "1,000.0");
        assert_eq!(count(12_345_678), "12,345,678");
        assert_eq!(percent(0.0084), "0.8 %");
        assert_eq!(millis(4.24), "4.2 ms");
        assert_eq!(millis(9.97), "10 ms");
        assert_eq!(millis(12_480.0), "12.5 s");
        for (value, text) in
            [(0.0, "0"), (2.5, "2.5"), (1_500.0, "1.5k"), (20_000.0, "20k"), (0.25, "0.25")]
        {
            assert_eq!(axis(value), text);
        }
        assert_eq!(duration(77), "1m17s");
        assert_eq!(duration(7_500), "2h05m");
    }

    #[test]
    fn a_route_cannot_steer_the_terminal() {
        assert_eq!(clean("/a\x1b[2Jb\u{202e}c\n"), "/a·[2Jb·c·");
        assert_eq!(clean("/grüße/日本"), "/grüße/日本");
    }
}
