//! Who may do what: keys, tokens and the grants they stand for.
//!
//! A token in, a [`Grant`] or a [`Denied`] out. It knows no request and no socket; [`crate::gate`]
//! asks it for REST, sessions of [`crate::broadcast`] for sockets. Nothing here shows a token or a
//! secret: not `Debug`, not an error, not a log line.

mod authority;
mod key;
mod mint;
mod remembered;
#[cfg(test)]
mod tests;
mod token;

use std::num::NonZeroU32;
use std::sync::Arc;

use pulseboard::claims::{Scope, Scopes};

pub use authority::{Authority, ModeChange};
pub use key::{Key, KeyError, Keys};
pub use mint::{mint, new_secret};

/// What whoever presented a token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The token's `sub`; rates are counted by it.
    pub subject: Arc<str>,
    /// What is allowed.
    pub scopes: Scopes,
    /// The one site it may write and see; `None`: all.
    pub site: Option<Arc<str>>,
    /// Events a second it may send; `None`: the configured limits.
    pub rate: Option<NonZeroU32>,
    /// When it ends, Unix ms, the leeway included; `None` never: dev mode.
    pub expires_ms: Option<i64>,
}

impl Grant {
    /// What everyone on this machine has in dev mode.
    pub fn dev() -> Self {
        Self {
            subject: Arc::from("dev"),
            scopes: Scopes::ALL,
            site: None,
            rate: None,
            expires_ms: None,
        }
    }

    /// What a client has that presented no token.
    pub fn nothing() -> Self {
        Self { subject: Arc::from(""), scopes: Scopes::default(), ..Self::dev() }
    }

    /// Whether no token was presented, and one is needed. One whose scopes are all unknown is
    /// something else: a token, which allows nothing.
    pub fn is_nothing(&self) -> bool {
        self.scopes.is_empty() && self.expires_ms.is_none()
    }

    /// Whether `scope` is allowed; admin includes both others.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.allow(scope)
    }
}

/// Why a token is not taken. Says nothing that helps to forge one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Stable snake_case, such as `token_expired`.
    pub code: &'static str,
    /// A sentence.
    pub message: String,
}

impl Denied {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
