//! How the commands speak: sentences on stdout, troubles on stderr, numbers people can read.
//!
//! A reader that went away (`pulseboard man | head`) is no error, so nothing here fails or panics.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::Duration;

/// A line on stdout: what was done.
pub fn line(text: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Text on stdout as it is.
pub fn stdout_bytes(text: &[u8]) {
    let _ = std::io::stdout().lock().write_all(text);
}

/// A line on stderr: what did not work, or what to know meanwhile.
pub fn aside(text: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 event`, `2 events`: the number with its noun, which takes an s.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `42 ms`, `0.3 s`, `12.0 s`, `3 min 20 s`.
pub fn duration(time: Duration) -> String {
    let secs = time.as_secs();
    if time.as_millis() < 100 {
        return format!("{} ms", time.as_millis());
    }
    if secs < 60 {
        return format!("{:.1} s", time.as_secs_f64());
    }
    let mut text = String::new();
    if secs >= 3_600 {
        let _ = write!(text, "{} h ", count(secs / 3_600));
    }
    let _ = write!(text, "{} min", secs / 60 % 60);
    if secs < 3_600 {
        let _ = write!(text, " {} s", secs % 60);
    }
    text
}

/// Milliseconds with as many digits as matter: `0.42 ms`, `8.1 ms`, `240 ms`.
pub fn millis(ms: f64) -> String {
    match ms {
        _ if ms < 1.0 => format!("{ms:.2} ms"),
        _ if ms < 100.0 => format!("{ms:.1} ms"),
        _ => format!("{} ms", count(ms.round() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_carry_separators_and_units() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            (counted(1, "event"), counted(0, "event")),
            ("1 event".into(), "0 events".into())
        );
        let durations =
            [42, 300, 59_900, 200_000, 7_260_000].map(Duration::from_millis).map(duration);
        assert_eq!(durations, ["42 ms", "0.3 s", "59.9 s", "3 min 20 s", "2 h 1 min"]);
        assert_eq!([0.421, 8.12, 1_240.4].map(millis), ["0.42 ms", "8.1 ms", "1,240 ms"]);
    }
}
