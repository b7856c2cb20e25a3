//! A value as somebody wrote it, before its key says what it must be.
//!
//! Holds and shows it; judges nothing. Made by the layers, read by the kinds of `value`.

use std::fmt;

/// A value as somebody wrote it, before its key says what it must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// A string of the file, or anything from the environment or the command line.
    Text(String),
    /// An integer, in decimal digits.
    Integer(i128),
    /// A float, as written.
    Float(String),
    /// A boolean.
    Bool(bool),
    /// An array.
    List(Vec<Raw>),
    /// What no setting takes: a date or an inline table.
    Odd(&'static str),
}

impl Raw {
    /// The value as one piece of text, or `None` for a list.
    fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Float(text) => Some(text.trim().to_owned()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Bool(flag) => Some(flag.to_string()),
            Self::List(_) | Self::Odd(_) => None,
        }
    }

    /// Whether both were meant alike: `"8"` and `8`, or `"a, b"` and `["a", "b"]`.
    pub(super) fn alike(&self, other: &Self) -> bool {
        match (self.text(), other.text()) {
            (Some(own), Some(others)) => own == others,
            _ => self.entries().is_ok_and(|own| other.entries().is_ok_and(|others| own == others)),
        }
    }

    /// The value as one piece of text; the error says that it is not what was wanted.
    pub(super) fn one(&self, wanted: &str) -> Result<String, String> {
        self.text().ok_or_else(|| format!("{self} is not {wanted}"))
    }

    /// The entries of a list; text is split at its commas.
    pub(super) fn entries(&self) -> Result<Vec<String>, String> {
        match self {
            Self::List(entries) => {
                entries.iter().map(|entry| entry.one("a single value")).collect()
            }
            Self::Text(text) => Ok(text
                .split(',')
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty())
                .collect()),
            other => Err(format!("{other} is not a list such as [\"a\", \"b\"]")),
        }
    }
}

/// As TOML writes it.
impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(text) => f.write_str(text),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::List(entries) => {
                f.write_str("[")?;
                for (index, entry) in entries.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{entry}")?;
                }
                f.write_str("]")
            }
            Self::Odd(what) => f.write_str(what),
        }
    }
}
