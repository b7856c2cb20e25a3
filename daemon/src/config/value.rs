//! The kinds of value the registry knows: each turns what was written into a typed value, or into
//! a sentence that says what is wrong with it.
//!
//! Reads nothing and knows no key by name. Used by the registry, the layers and the rendering.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::raw::Raw;

/// The bounds of a number, a size in bytes or a duration in milliseconds.
pub type Bounds = RangeInclusive<u64>;

/// A kind of value.
pub trait Setting {
    /// What the typed configuration holds.
    type Value;
    /// Whether the value must never be shown.
    const SECRET: bool = false;

    /// Turns what was written into the value, or says what is wrong in a sentence that starts with
    /// the value as written.
    fn read(raw: &Raw, bounds: &Bounds) -> Result<Self::Value, String>;

    /// How a value written as `text` stands in the example file.
    fn toml(text: &str) -> Raw {
        Raw::Text(text.to_owned())
    }
}

/// A number of things.
pub struct Count;
/// A size: `16384` or `16 KiB`.
pub struct Bytes;
/// A duration: `250ms`, `10s`, `5m`, `24h`, `7d`.
pub struct Time;
/// A duration, or nothing.
pub struct OptionalTime;
/// Yes or no.
pub struct Switch;
/// Any text, or nothing.
pub struct Text;
/// A file or directory, or nothing.
pub struct File;
/// Text that is never shown, or nothing.
pub struct Hidden;
/// One of a few words; `T` says which.
pub struct Word<T>(std::marker::PhantomData<T>);
/// Several values of one kind; `T` says which.
pub struct List<T>(std::marker::PhantomData<T>);

/// Text that must not reach a log, a URL or the screen. Holds at least one byte.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A type whose values are a few words.
pub trait Words: Sized + Copy + 'static {
    /// Each word and what it means.
    const ALL: &'static [(&'static str, Self)];
}

/// A type that is read from one piece of text.
pub trait FromText: Sized {
    /// Reads one entry, or says what is wrong.
    fn from_text(text: &str) -> Result<Self, String>;
}

fn within(number: u64, bounds: &Bounds, show: impl Fn(u64) -> String) -> Result<u64, String> {
    if number < *bounds.start() {
        return Err(format!("{} is too little; at least {}", show(number), show(*bounds.start())));
    }
    if number > *bounds.end() {
        return Err(format!("{} is too much; at most {}", show(number), show(*bounds.end())));
    }
    Ok(number)
}

fn number(raw: &Raw) -> Result<u64, String> {
    let text = raw.one("a number")?.replace('_', "");
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let numeric = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(number) => Ok(number),
        Err(_) if numeric && text.starts_with('-') => Err(format!("{text} is negative")),
        Err(_) if numeric => Err(format!("{text} is too much; at most {}", u64::MAX)),
        Err(_) if text.parse::<f64>().is_ok_and(f64::is_finite) => {
            Err(format!("{text} is not a whole number"))
        }
        Err(_) => Err(format!("{raw} is not a number")),
    }
}

/// Splits `16 KiB` or `10s` into its number and its unit.
fn with_unit(raw: &Raw, wanted: &str) -> Result<(u64, String), String> {
    let text = raw.one(wanted)?;
    if text.starts_with('-') {
        return Err(format!("{text} is negative"));
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number = digits.replace('_', "").parse().map_err(|_| format!("{raw} is not {wanted}"))?;
    Ok((number, unit.trim().to_owned()))
}

impl Setting for Count {
    type Value = usize;

    fn read(raw: &Raw, bounds: &Bounds) -> Result<usize, String> {
        within(number(raw)?, bounds, |number| number.to_string()).map(|number| number as usize)
    }

    fn toml(text: &str) -> Raw {
        text.parse().map_or_else(|_| Raw::Text(text.to_owned()), Raw::Integer)
    }
}

const BYTE_UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// A size in the largest binary unit that divides it: `16 KiB`.
fn show_bytes(bytes: u64) -> String {
    let unit = BYTE_UNITS[2..6]
        .iter()
        .rev()
        .find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
    match unit {
        Some((name, size)) => format!("{} {name}", bytes / size),
        None => format!("{bytes} B"),
    }
}

impl Setting for Bytes {
    type Value = u64;

    fn read(raw: &Raw, bounds: &Bounds) -> Result<u64, String> {
        const WANTED: &str = "a size such as 65536 or 64 KiB";
        let (number, unit) = with_unit(raw, WANTED)?;
        let size = BYTE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&unit));
        let (_, size) = size.ok_or_else(|| format!("{raw} is not {WANTED}"))?;
        within(number.saturating_mul(*size), bounds, show_bytes)
    }
}

const TIME_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

fn show_time(time_ms: u64) -> String {
    let unit =
        TIME_UNITS.iter().rev().find(|(_, ms)| time_ms >= *ms && time_ms.is_multiple_of(*ms));
    let (name, ms) = unit.unwrap_or(&TIME_UNITS[0]);
    format!("{}{name}", time_ms / ms)
}

impl Setting for Time {
    type Value = Duration;

    fn read(raw: &Raw, bounds: &Bounds) -> Result<Duration, String> {
        const WANTED: &str = "a duration such as 500ms, 10s, 5m, 24h or 7d";
        let (number, unit) = with_unit(raw, WANTED)?;
        let ms = TIME_UNITS.iter().find(|(name, _)| *name == unit);
        let (_, ms) = ms.ok_or_else(|| format!("{raw} is not {WANTED}"))?;
        within(number.saturating_mul(*ms), bounds, show_time).map(Duration::from_millis)
    }
}

impl Setting for OptionalTime {
    type Value = Option<Duration>;

    fn read(raw: &Raw, bounds: &Bounds) -> Result<Option<Duration>, String> {
        match raw {
            Raw::Text(text) if text.trim().is_empty() => Ok(None),
            raw => Time::read(raw, bounds).map(Some),
        }
    }
}

impl Setting for Switch {
    type Value = bool;

    fn read(raw: &Raw, _: &Bounds) -> Result<bool, String> {
        match raw.one("true or false")?.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("{raw} is not true or false")),
        }
    }

    fn toml(text: &str) -> Raw {
        Raw::Bool(text == "true")
    }
}

impl Setting for Text {
    type Value = Option<String>;

    fn read(raw: &Raw, _: &Bounds) -> Result<Option<String>, String> {
        let text = raw.one("text")?;
        Ok((!text.is_empty()).then_some(text))
    }
}

impl Setting for File {
    type Value = Option<PathBuf>;

    fn read(raw: &Raw, bounds: &Bounds) -> Result<Option<PathBuf>, String> {
        Text::read(raw, bounds).map(|text| text.map(PathBuf::from))
    }
}

impl Setting for Hidden {
    type Value = Option<Secret>;
    const SECRET: bool = true;

    fn read(raw: &Raw, bounds: &Bounds) -> Result<Option<Secret>, String> {
        let text = Text::read(raw, bounds).map_err(|_| "it is not text".to_owned())?;
        Ok(text.map(Secret::new))
    }
}

impl<T: Words> Setting for Word<T> {
    type Value = T;

    fn read(raw: &Raw, _: &Bounds) -> Result<T, String> {
        let words: Vec<&str> = T::ALL.iter().map(|(word, _)| *word).collect();
        let wanted = format!("one of {}", words.join(", "));
        let text = raw.one(&wanted)?;
        let found = T::ALL.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| format!("{raw} is not {wanted}"))
    }
}

/// A single value read by [`FromText`].
pub struct Parsed<T>(std::marker::PhantomData<T>);

impl<T: FromText> Setting for Parsed<T> {
    type Value = T;

    fn read(raw: &Raw, _: &Bounds) -> Result<T, String> {
        T::from_text(&raw.one("text")?)
    }
}

/// A single value read by [`FromText`], or nothing.
pub struct Optional<T>(std::marker::PhantomData<T>);

impl<T: FromText> Setting for Optional<T> {
    type Value = Option<T>;

    fn read(raw: &Raw, bounds: &Bounds) -> Result<Option<T>, String> {
        Text::read(raw, bounds)?.map(|text| T::from_text(&text)).transpose()
    }
}

impl<T: FromText + PartialEq> Setting for List<T> {
    type Value = Vec<T>;

    /// The bounds are those of the number of entries.
    fn read(raw: &Raw, bounds: &Bounds) -> Result<Vec<T>, String> {
        let entries = raw.entries()?;
        if (entries.len() as u64) < *bounds.start() {
            return Err(format!("too few entries; at least {}", bounds.start()));
        }
        if (entries.len() as u64) > *bounds.end() {
            return Err(format!(
                "{} entries are too many; at most {}",
                entries.len(),
                bounds.end()
            ));
        }
        let mut values = Vec::with_capacity(entries.len());
        for entry in entries {
            let value = T::from_text(&entry)?;
            if values.contains(&value) {
                return Err(format!("{entry:?} stands twice"));
            }
            values.push(value);
        }
        Ok(values)
    }

    fn toml(text: &str) -> Raw {
        let entries = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        Raw::List(entries.map(|part| Raw::Text(part.to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Bounds = 0..=u64::MAX;

    fn text(text: &str) -> Raw {
        Raw::Text(text.to_owned())
    }

    #[test]
    fn sizes_take_binary_and_decimal_units_and_bare_bytes() {
        for (written, bytes) in
            [("16 KiB", 16_384), ("1MiB", 1 << 20), ("2 GB", 2_000_000_000), ("77", 77), ("5 B", 5)]
        {
            assert_eq!(Bytes::read(&text(written), &ANY), Ok(bytes), "{written}");
        }
        assert_eq!(Bytes::read(&Raw::Integer(4_096), &ANY), Ok(4_096));
        for written in ["", "KiB", "16 Kilo", "1.5 MiB"] {
            let refused = Bytes::read(&text(written), &ANY);
            assert!(refused.is_err_and(|why| why.contains("is not a size such as")), "{written}");
        }
    }

    #[test]
    fn durations_need_their_unit() {
        for (written, ms) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("7 d", 604_800_000),
        ] {
            assert_eq!(
                Time::read(&text(written), &ANY),
                Ok(Duration::from_millis(ms)),
                "{written}"
            );
        }
        let bare = Time::read(&Raw::Integer(10), &ANY);
        assert_eq!(bare, Err("10 is not a duration such as 500ms, 10s, 5m, 24h or 7d".to_owned()));
    }

    #[test]
    fn numbers_say_what_is_wrong_with_them() {
        let refused = |raw: &Raw| Count::read(raw, &(1..=100)).err();
        assert_eq!(refused(&text("ten")).as_deref(), Some("\"ten\" is not a number"));
        assert_eq!(refused(&Raw::Integer(-3)).as_deref(), Some("-3 is negative"));
        assert_eq!(
            refused(&Raw::Float("1.5".into())).as_deref(),
            Some("1.5 is not a whole number")
        );
        assert_eq!(refused(&Raw::Integer(0)).as_deref(), Some("0 is too little; at least 1"));
        assert_eq!(refused(&Raw::Integer(101)).as_deref(), Some("101 is too much; at most 100"));
        let odd = Raw::List(vec![Raw::Integer(1)]);
        assert_eq!(refused(&odd).as_deref(), Some("[1] is not a number"));
        assert_eq!(Count::read(&text("1_0"), &(1..=100)), Ok(10));
    }

    #[test]
    fn sizes_and_durations_show_their_bounds_in_units() {
        let small = Bytes::read(&text("1 KiB"), &(16_384..=1 << 30));
        assert_eq!(small, Err("1 KiB is too little; at least 16 KiB".to_owned()));
        let long = Time::read(&text("2d"), &(0..=86_400_000));
        assert_eq!(long, Err("2d is too much; at most 1d".to_owned()));
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = Hidden::read(&text("swordfish"), &ANY);
        assert_eq!(format!("{secret:?}"), "Ok(Some(***))");
    }
}
