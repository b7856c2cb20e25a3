//! Filter expressions: `route=/checkout status=5xx`, terms that must all hold.
//!
//! A filter is parsed once, has one canonical text (its [`fmt::Display`]), by which views of the
//! same events are the same room, and is matched against events as they are stored: a route's
//! value is normalised as events' routes are. Parsing allocates and matching does not. Used by
//! views, by the queries of the API and by the tools.

mod parse;

use std::fmt;

use thiserror::Error;

use crate::event::EventRef;
use crate::route::Normaliser;

/// Longest expression, in bytes.
pub const EXPR_BYTES: usize = 1_024;
/// Most terms of an expression.
pub const TERMS_MAX: usize = 16;

/// A filter on events. The default lets every event through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Sorted, without repeats.
    terms: Vec<Term>,
}

/// A condition on one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Term {
    Text(TextField, Pattern),
    Status(u16),
    /// `5` for `5xx`.
    StatusClass(u16),
    Error(bool),
}

/// A field that holds text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum TextField {
    Route,
    Type,
    Site,
    UserId,
    SessionId,
    ClientId,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Pattern {
    Whole(String),
    Prefix(String),
}

/// Why an expression is not a filter.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("column {column}: {message}")]
pub struct FilterError {
    /// Where, in characters from 1.
    pub column: usize,
    /// A sentence.
    pub message: String,
}

/// One condition, for who looks up events elsewhere than in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    /// A field, by its name in an event, is this text or begins with it.
    Text {
        /// `route`, `type`, `site`, `userId`, `sessionId` or `clientId`.
        field: &'static str,
        /// All of it, or its beginning.
        text: &'a str,
        /// Whether it is its beginning.
        is_prefix: bool,
    },
    /// `status`.
    Status(u16),
    /// `5` for a status from 500 to 599.
    StatusClass(u16),
    /// Whether it counts as an error.
    Error(bool),
}

impl Filter {
    /// The conditions, all of which must hold.
    pub fn conditions(&self) -> impl Iterator<Item = Condition<'_>> {
        self.terms.iter().map(|term| match term {
            Term::Text(field, pattern) => {
                let (text, is_prefix) = match pattern {
                    Pattern::Whole(text) => (text, false),
                    Pattern::Prefix(text) => (text, true),
                };
                Condition::Text { field: field.name(), text, is_prefix }
            }
            Term::Status(status) => Condition::Status(*status),
            Term::StatusClass(class) => Condition::StatusClass(*class),
            Term::Error(error) => Condition::Error(*error),
        })
    }

    /// Reads an expression. An empty one lets every event through.
    pub fn parse(text: &str, routes: &Normaliser) -> Result<Self, FilterError> {
        let mut terms = parse::terms(text, routes)?;
        terms.sort_unstable();
        terms.dedup();
        Ok(Self { terms })
    }

    /// Whether it lets every event through.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The same filter for one site only, as a token restricted to a site sees it.
    #[must_use]
    pub fn within_site(mut self, site: &str) -> Self {
        self.terms.push(Term::Text(TextField::Site, Pattern::Whole(site.to_owned())));
        self.terms.sort_unstable();
        self.terms.dedup();
        self
    }

    /// Whether it asks for a site other than this one: then `site` and it have no event in common.
    pub fn excludes_site(&self, site: &str) -> bool {
        self.terms.iter().any(|term| match term {
            Term::Text(TextField::Site, pattern) => !pattern.fits(site),
            _ => false,
        })
    }

    /// Whether all terms hold for an event. A term on a field the event does not have does not.
    pub fn matches(&self, event: &EventRef<'_>) -> bool {
        self.terms.iter().all(|term| term.holds(event))
    }

    /// The one route it asks for, when it asks for one: what a store can look up.
    pub fn route(&self) -> Option<&str> {
        self.terms.iter().find_map(|term| match term {
            Term::Text(TextField::Route, Pattern::Whole(route)) => Some(route.as_str()),
            _ => None,
        })
    }
}

impl Term {
    fn holds(&self, event: &EventRef<'_>) -> bool {
        match self {
            Term::Text(field, pattern) => field.of(event).is_some_and(|text| pattern.fits(text)),
            Term::Status(status) => event.row().status == *status,
            Term::StatusClass(class) => event.row().status / 100 == *class,
            Term::Error(error) => event.is_error() == *error,
        }
    }
}

impl TextField {
    const ALL: [Self; 6] =
        [Self::Route, Self::Type, Self::Site, Self::UserId, Self::SessionId, Self::ClientId];

    fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Type => "type",
            Self::Site => "site",
            Self::UserId => "userId",
            Self::SessionId => "sessionId",
            Self::ClientId => "clientId",
        }
    }

    fn of<'a>(self, event: &EventRef<'a>) -> Option<&'a str> {
        match self {
            Self::Route => Some(event.route()),
            Self::Type => Some(event.kind()),
            Self::Site => Some(event.site()),
            Self::UserId => event.user_id(),
            Self::SessionId => event.session_id(),
            Self::ClientId => event.client_id(),
        }
    }
}

impl Pattern {
    fn fits(&self, text: &str) -> bool {
        match self {
            Pattern::Whole(whole) => text == whole,
            Pattern::Prefix(prefix) => text.starts_with(prefix.as_str()),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            term.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Term::Text(field, pattern) => {
                write!(f, "{}=", field.name())?;
                let (text, star) = match pattern {
                    Pattern::Whole(text) => (text, ""),
                    Pattern::Prefix(text) => (text, "*"),
                };
                let quote = if text.chars().any(char::is_whitespace) { "\"" } else { "" };
                f.write_str(quote)?;
                for c in text.chars() {
                    if matches!(c, '"' | '\\' | '*') {
                        f.write_str("\\")?;
                    }
                    write!(f, "{c}")?;
                }
                write!(f, "{quote}{star}")
            }
            Term::Status(status) => write!(f, "status={status}"),
            Term::StatusClass(class) => write!(f, "status={class}xx"),
            Term::Error(error) => write!(f, "error={error}"),
        }
    }
}

#[cfg(test)]
mod tests;
