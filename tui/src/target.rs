//! The daemon a command talks to: its address and the token to present. Parses and builds
//! addresses; opens no connection.

use std::fmt;

use http::Uri;
use http::uri::{Authority, Scheme};
use thiserror::Error;

/// A daemon's address, and the token for it.
#[derive(Clone)]
pub struct Target {
    authority: Authority,
    base_path: String,
    token: Option<String>,
}

/// An address that cannot be one of a daemon.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TargetError {
    /// Not a URL at all.
    #[error("--url: \"{0}\" is not an address; write it like http://127.0.0.1:3000")]
    NotAUrl(String),
    /// A scheme other than http.
    #[error(
        "--url: \"{0}://\" is not spoken here; the terminal connects over http:// \
         (reach a daemon behind TLS through an SSH tunnel: ssh -L 3000:127.0.0.1:3000 HOST)"
    )]
    Scheme(String),
    /// A token that cannot stand in a header.
    #[error("--token: the token holds characters that no token has; copy it again in one piece")]
    Token,
}

impl Target {
    /// Reads `http://host:port[/base]`; a bare `host:port` is taken as http.
    pub fn parse(url: &str, token: Option<String>) -> Result<Self, TargetError> {
        let bad = || TargetError::NotAUrl(url.to_owned());
        let text = url.trim();
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = full.parse().map_err(|_| bad())?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) => return Err(TargetError::Scheme(scheme.to_string())),
            None => return Err(bad()),
        }
        let authority = uri.authority().cloned().ok_or_else(bad)?;
        // Nothing but a host, or a host and a port that is a number.
        let has_more = authority.as_str().len() > authority.host().len();
        if authority.host().is_empty() || (has_more && authority.port_u16().is_none()) {
            return Err(bad());
        }
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(TargetError::Token);
        }
        Ok(Self { authority, base_path: uri.path().trim_end_matches('/').to_owned(), token })
    }

    /// `host:port` as written.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// The host alone, without brackets.
    pub fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    /// The port; 80 where none was written.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(80)
    }

    /// The token to present, if any.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// `http://host:port/path`; `path` starts with a slash and may carry a query.
    pub fn http(&self, path: &str) -> String {
        format!("http://{}{}{path}", self.authority, self.base_path)
    }

    /// What stands in the request line for `path`.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base_path)
    }

    /// `ws://host:port/ws`.
    pub fn socket(&self) -> String {
        format!("ws://{}{}/ws", self.authority, self.base_path)
    }
}

/// `http://host:port`, as people read it.
impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "http://{}{}", self.authority, self.base_path)
    }
}

/// The token never reaches a log.
#[allow(clippy::missing_fields_in_debug, reason = "the address stands for its parts")]
impl fmt::Debug for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "***");
        out.debug_struct("Target").field("url", &self.to_string()).field("token", &token).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_built_from_what_was_written() {
        let target = Target::parse("http://edge-1:3000/", None).unwrap();
        assert_eq!(
            target.http("/api/aggregates?window=5s"),
            "http://edge-1:3000/api/aggregates?window=5s"
        );
        assert_eq!(target.socket(), "ws://edge-1:3000/ws");
        assert_eq!((target.host(), target.port()), ("edge-1", 3000));
        assert_eq!(Target::parse("[::1]:3000", None).unwrap().host(), "::1");
        assert_eq!(Target::parse("h:1/board/", None).unwrap().socket(), "ws://h:1/board/ws");
    }

    #[test]
    fn a_bad_address_says_what_to_write() {
        for bad in ["http://", "", "http:", "http://:3000", "http://h:x", "a b", "http://h:"] {
            let error = Target::parse(bad, None).unwrap_err().to_string();
            assert!(error.contains("http://127.0.0.1:3000"), "{bad}: {error}");
        }
        let error = Target::parse("https://h", None).unwrap_err().to_string();
        assert!(error.contains("ssh -L"), "{error}");
    }

    #[test]
    fn a_token_is_never_printed() {
        let target = Target::parse("h:1", Some("secret".into())).unwrap();
        assert!(!format!("{target:?} {target}").contains("secret"));
    }
}
