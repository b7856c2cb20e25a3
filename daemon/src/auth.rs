//! Who may do what: keys, tokens and the grants they stand for.
//!
//! A token in, a [`Grant`] or a [`Denied`] out. It knows no request and no socket; [`crate::gate`]
//! asks it for REST, sessions of [`crate::broadcast`] for sockets.

use std::num::NonZeroU32;
use std::sync::Arc;

use pulseboard::claims::{Scope, Scopes};

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

/// Decides about tokens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Authority {
    dev: Arc<Grant>,
}

impl Authority {
    /// No key: everyone on this machine may do everything.
    pub fn dev() -> Self {
        Self { dev: Arc::new(Grant::dev()) }
    }

    /// The grant everyone has without a token; `None` when a key is configured.
    pub fn open_to_all(&self) -> Option<&Arc<Grant>> {
        Some(&self.dev)
    }

    /// Counts the times that keys, or what is asked of a token, changed. Who holds a grant of an
    /// earlier version has its token verified again.
    pub fn version(&self) -> u64 {
        0
    }

    /// Checks a token.
    pub fn verify(&self, _token: &str) -> Result<Arc<Grant>, Denied> {
        Ok(Arc::clone(&self.dev))
    }
}
