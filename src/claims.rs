//! What a token says about who presents it: scopes, site and rate, beside the registered claims.
//!
//! Shapes alone: nothing in here signs, verifies or reads the time. The daemon checks tokens
//! against these, the commands that mint tokens write them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something a token may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Watching and asking.
    Read,
    /// Sending events.
    Ingest,
    /// Everything, imports and the daemon's own figures among it.
    Admin,
}

impl Scope {
    /// Every scope, in the order they are written.
    pub const ALL: [Self; 3] = [Self::Read, Self::Ingest, Self::Admin];

    /// As written in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Ingest => "ingest",
            Self::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Ingest => 2,
            Self::Admin => 4,
        }
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// All there are: what dev mode gives everyone.
    pub const ALL: Self = Self(7);

    /// The scopes named in a space-separated list. Words of others (`openid`) mean nothing here.
    pub fn of_claim(claim: &str) -> Self {
        let named = |scope: &Scope| claim.split_ascii_whitespace().any(|w| w == scope.as_str());
        Scope::ALL.into_iter().filter(named).collect()
    }

    /// Whether `scope` is allowed; admin includes both others.
    pub fn allow(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// Whether `scope` is the only one.
    pub fn is_only(self, scope: Scope) -> bool {
        self.0 == scope.bit()
    }

    /// Whether nothing is allowed.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    /// As a `scope` claim writes it: `read ingest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for scope in Scope::ALL.into_iter().filter(|scope| self.0 & scope.bit() != 0) {
            let space = if first { "" } else { " " };
            write!(f, "{space}{}", scope.as_str())?;
            first = false;
        }
        Ok(())
    }
}

/// The claims of a token, as they are minted.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Claims {
    /// Who presents it; rates are counted by it.
    pub sub: String,
    /// Space-separated scopes.
    pub scope: String,
    /// When it was minted, Unix seconds.
    pub iat: i64,
    /// When it ends, Unix seconds.
    pub exp: i64,
    /// Who minted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// Events a second it may send, instead of the daemon's limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// The one site it may write and see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_from_a_claim_and_strange_words_passed_over() {
        let scopes = Scopes::of_claim("openid  ingest read Read");
        assert!(scopes.allow(Scope::Read) && scopes.allow(Scope::Ingest));
        assert!(!scopes.allow(Scope::Admin));
        assert_eq!(scopes.to_string(), "read ingest");
        assert!(Scopes::of_claim("reads").is_empty());
    }

    #[test]
    fn admin_includes_the_others() {
        let admin = Scopes::of_claim("admin");
        assert!(Scope::ALL.into_iter().all(|scope| admin.allow(scope)));
        assert!(Scopes::of_claim("ingest").is_only(Scope::Ingest) && !admin.is_only(Scope::Ingest));
    }
}
