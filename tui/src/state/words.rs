//! Figures of the daemon as people read them, unit behind. Pure.

/// `1,284`.
pub fn whole(value: f64) -> String {
    grouped(&format!("{:.0}", value.clamp(0.0, 1e15)))
}

/// Digits, the thousands apart.
pub fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1,284.2`.
pub fn tenths(value: f64) -> String {
    let tenths = (value.clamp(0.0, 1e15) * 10.0).round();
    format!("{}.{}", whole((tenths / 10.0).floor()), tenths % 10.0)
}

/// `812 B`, `31.4 MB`, `1.2 GB`.
pub fn bytes(value: f64) -> String {
    match value.clamp(0.0, 1e18) {
        value if value < 1e3 => format!("{value:.0} B"),
        value if value < 1e6 => format!("{:.0} kB", value / 1e3),
        value if value < 1e9 => format!("{:.1} MB", value / 1e6),
        value => format!("{:.1} GB", value / 1e9),
    }
}

/// `0.4 ms`, `84 ms`, `12.5 s`, `5 min 12 s`, `3 h 20 min`.
pub fn seconds(value: f64) -> String {
    match value.clamp(0.0, 1e12) {
        0.0 => "0 s".to_owned(),
        value if value < 0.009_95 => format!("{:.1} ms", value * 1e3),
        value if value < 0.999_5 => format!("{:.0} ms", value * 1e3),
        value if value < 59.95 => format!("{value:.1} s"),
        value => lasting(value),
    }
}

/// `42 s`, `5 min 12 s`, `24 h 1 min`, `12 d 4 h`.
pub fn lasting(value: f64) -> String {
    let secs = value.clamp(0.0, 1e12).round() as u64;
    match secs {
        0..60 => format!("{secs} s"),
        60..3_600 => format!("{} min {} s", secs / 60, secs % 60),
        3_600..172_800 => format!("{} h {} min", secs / 3_600, secs / 60 % 60),
        _ => format!("{} d {} h", secs / 86_400, secs / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!([0.0, 999.4, 48_210.0].map(whole), ["0", "999", "48,210"]);
        assert_eq!([0.0, 9.96, 1_284.24].map(tenths), ["0.0", "10.0", "1,284.2"]);
        assert_eq!(
            [812.0, 31_400.0, 31_400_000.0, 1.24e9].map(bytes),
            ["812 B", "31 kB", "31.4 MB", "1.2 GB"]
        );
        assert_eq!(
            [0.0, 0.000_42, 0.084, 12.5, 312.0].map(seconds),
            ["0 s", "0.4 ms", "84 ms", "12.5 s", "5 min 12 s"]
        );
        assert_eq!([86_465.0, 1_051_200.0].map(lasting), ["24 h 1 min", "12 d 4 h"]);
    }
}
