//! Who speaks on a socket: the token a session came with, what it allows, and what becomes of it
//! when keys change.
//!
//! Decides nothing about tokens itself and never shows one: [`crate::auth`] verifies,
//! [`crate::rate_limit`] counts. The endpoint admits whom the upgrade request names, a session whom
//! an `auth` message names.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::{Authority, Denied, Grant};
use crate::rate_limit::{EventBudget, Exceeded, RateLimits, Who};

/// Who speaks.
#[derive(Clone, Debug)]
pub struct Author {
    /// What its token allows.
    pub grant: Arc<Grant>,
    /// What it may still send.
    pub budget: EventBudget,
}

/// What decides about tokens.
#[derive(Clone, Debug)]
pub struct Admission {
    /// About tokens.
    pub authority: Authority,
    /// About rates.
    pub rates: RateLimits,
}

/// A token as it was presented. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl Token {
    /// Whether it is one is the authority's to say.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a session stands with the authority.
#[derive(Debug)]
pub struct Standing {
    /// Who speaks.
    pub author: Author,
    /// Kept to be verified again when keys change.
    token: Option<Token>,
    /// [`Authority::version`] it was verified under.
    version: u64,
}

/// Why a session ends over its token.
#[derive(Debug)]
pub(super) struct TurnedOut {
    /// The stable code.
    pub(super) code: &'static str,
    /// What is wrong, and what to do.
    pub(super) message: String,
    /// When to try again, ms, where that is all there is to do.
    pub(super) retry_after_ms: Option<u64>,
}

impl From<Denied> for TurnedOut {
    fn from(denied: Denied) -> Self {
        let Denied { code, message } = denied;
        Self { code, message, retry_after_ms: None }
    }
}

/// Counts a session that ended over its token, by code.
pub(super) fn count_refused(code: &'static str) {
    metrics::counter!("pulseboard_sockets_refused_total", "code" => code).increment(1);
}

impl Admission {
    /// Admits whoever presents `token`, or nothing yet. A session that renews hands in where it
    /// stood: its socket's bucket goes on.
    pub fn admit(
        &self,
        token: Option<Token>,
        before: Option<&Standing>,
    ) -> Result<Standing, Denied> {
        // Read first: keys that change from here on have the token verified again.
        let version = self.authority.version();
        let (grant, token) = match (self.authority.open_to_all(), token) {
            (Some(grant), _) => (Arc::clone(grant), None),
            (None, Some(token)) => (self.authority.verify(&token.0)?, Some(token)),
            (None, None) => (Arc::new(Grant::nothing()), None),
        };
        let budget = self.rates.socket(&grant, before.map(|before| &before.author.budget));
        Ok(Standing { author: Author { grant, budget }, token, version })
    }

    /// Counts a bad token that came as a message as a call of its address, as the gate does those
    /// in headers; past the limit on calls nobody is told what was wrong with it.
    pub(super) fn count_attempt(&self, address: IpAddr) -> Option<TurnedOut> {
        let Err(Exceeded::Rate { retry_after_ms, .. }) = self.rates.call(Who::Address(address))
        else {
            return None;
        };
        let message = format!(
            "too many calls without a good token from this address (limits.api_per_minute); try \
             again in {} s",
            retry_after_ms.div_ceil(1_000)
        );
        let retry_after_ms = Some(retry_after_ms);
        Some(TurnedOut { code: "rate_limited", message, retry_after_ms })
    }

    /// Whether keys changed since `standing` was admitted.
    pub(super) fn is_outdated(&self, standing: &Standing) -> bool {
        self.authority.version() != standing.version
    }

    /// Admits the same token again.
    pub(super) fn again(&self, standing: &Standing) -> Result<Standing, Denied> {
        self.admit(standing.token.clone(), Some(standing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_printed() {
        let token = Token::new("eyJhbGciOiJIUzI1NiJ9.secret.secret");
        assert_eq!(format!("{token:?} {:?}", Some(&token)), "*** Some(***)");
    }

    #[test]
    fn in_dev_mode_no_token_is_looked_at_or_kept() {
        let admission = Admission { authority: Authority::dev(), rates: RateLimits::default() };
        let standing = admission.admit(Some(Token::new("x".repeat(16_000))), None).unwrap();
        assert_eq!((&*standing.author.grant, standing.token), (&Grant::dev(), None));
    }
}
