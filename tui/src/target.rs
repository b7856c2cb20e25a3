//! The daemon a command talks to: its address, the token to present, and whom to trust. Parses and
//! builds addresses; opens no connection.

use std::fmt;
use std::path::Path;

use http::Uri;
use http::uri::Authority;
use thiserror::Error;

use crate::tls::{TlsError, Trust};
use crate::token::{Source, Token, TokenError};

/// A daemon's address, the token for it, and how its certificate is judged.
#[derive(Clone)]
pub struct Target {
    authority: Authority,
    base_path: String,
    token: Source,
    /// Set for https alone.
    trust: Option<Trust>,
}

/// An address that cannot be one of a daemon.
#[derive(Debug, Error)]
pub enum TargetError {
    /// Not a URL at all.
    #[error("--url: \"{0}\" is not an address; write it like http://127.0.0.1:3000")]
    NotAUrl(String),
    /// A scheme other than http and https.
    #[error("--url: \"{0}://\" is not spoken here; write http:// or https://")]
    Scheme(String),
    /// A token that cannot be one.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Two tokens at once.
    #[error(
        "--token (or PULSEBOARD_TOKEN) and --token-file (or PULSEBOARD_TOKEN_FILE) are both \
         given; one of them is enough"
    )]
    TwoTokens,
    /// A file of authorities that cannot be used.
    #[error(transparent)]
    Trust(#[from] TlsError),
}

impl Target {
    /// Reads `http[s]://host:port[/base]`; a bare `host:port` is taken as http. `ws` and `wss` are
    /// taken as what they run over.
    pub fn parse(url: &str, token: Source) -> Result<Self, TargetError> {
        let bad = || TargetError::NotAUrl(url.to_owned());
        let text = url.trim();
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = full.parse().map_err(|_| bad())?;
        let trust = match uri.scheme_str() {
            Some("http" | "ws") => None,
            Some("https" | "wss") => Some(Trust::default()),
            Some(scheme) => return Err(TargetError::Scheme(scheme.to_owned())),
            None => return Err(bad()),
        };
        let authority = uri.authority().cloned().ok_or_else(bad)?;
        // Nothing but a host, or a host and a port that is a number.
        let has_more = authority.as_str().len() > authority.host().len();
        if authority.host().is_empty() || (has_more && authority.port_u16().is_none()) {
            return Err(bad());
        }
        let base_path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { authority, base_path, token, trust })
    }

    /// The same, with the authorities of a PEM file in place of the system's; a plain address has no
    /// use for them.
    pub fn trusting(mut self, ca_file: &Path) -> Result<Self, TargetError> {
        if self.trust.is_some() {
            self.trust = Some(Trust::of_file(ca_file)?);
        }
        Ok(self)
    }

    /// `host:port` as written.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// The host alone, without brackets.
    pub fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    /// Whether it is this machine: then packing what is sent takes longer than sending it.
    pub fn is_near(&self) -> bool {
        let is_loopback = |address: std::net::IpAddr| address.is_loopback();
        self.host() == "localhost" || self.host().parse().is_ok_and(is_loopback)
    }

    /// The port; the scheme's own where none was written.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.trust.is_some() { 443 } else { 80 })
    }

    /// Where the token comes from.
    pub fn token_source(&self) -> &Source {
        &self.token
    }

    /// The token to present now, if any.
    pub fn token(&self) -> Result<Option<Token>, TokenError> {
        self.token.token()
    }

    /// Whose certificates are taken; none for a plain address.
    pub fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    /// `http://host:port/path`; `path` starts with a slash and may carry a query.
    pub fn http(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// What stands in the request line for `path`.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base_path)
    }

    /// `ws://host:port/ws`.
    pub fn socket(&self) -> String {
        let scheme = if self.trust.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}{}/ws", self.authority, self.base_path)
    }
}

/// `http://host:port`, as people read it.
impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.trust.is_some() { "https" } else { "http" };
        write!(out, "{scheme}://{}{}", self.authority, self.base_path)
    }
}

/// The token never reaches a log.
#[allow(clippy::missing_fields_in_debug, reason = "the address stands for its parts")]
impl fmt::Debug for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (url, token) = (self.to_string(), &self.token);
        out.debug_struct("Target").field("url", &url).field("token", token).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, TargetError> {
        Target::parse(url, Source::None)
    }

    #[test]
    fn addresses_are_built_from_what_was_written() {
        let target = parse("http://edge-1:3000/").unwrap();
        assert_eq!(
            target.http("/api/aggregates?window=5s"),
            "http://edge-1:3000/api/aggregates?window=5s"
        );
        assert_eq!(target.socket(), "ws://edge-1:3000/ws");
        assert_eq!((target.host(), target.port()), ("edge-1", 3000));
        assert_eq!(parse("[::1]:3000").unwrap().host(), "::1");
        assert_eq!(parse("h:1/board/").unwrap().socket(), "ws://h:1/board/ws");
    }

    #[test]
    fn https_is_spoken_on_its_own_port_and_under_a_base_path() {
        let target = parse("https://board.example/live/").unwrap();
        assert_eq!(target.socket(), "wss://board.example/live/ws");
        assert_eq!(target.http("/health"), "https://board.example/live/health");
        assert_eq!(
            (target.port(), target.to_string().as_str()),
            (443, "https://board.example/live")
        );
        assert_eq!(parse("wss://h:8443").unwrap().to_string(), "https://h:8443");
        assert_eq!(parse("ws://h").unwrap().port(), 80);
    }

    #[test]
    fn a_bad_address_says_what_to_write() {
        for bad in ["http://", "", "http:", "http://:3000", "http://h:x", "a b", "http://h:"] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains("http://127.0.0.1:3000"), "{bad}: {error}");
        }
        let error = parse("ftp://h").unwrap_err().to_string();
        assert!(error.contains("http:// or https://"), "{error}");
    }

    #[test]
    fn a_file_of_authorities_must_hold_some_and_be_of_use() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no certificate").unwrap();
        let trusting =
            |url: &str, path: &Path| parse(url).unwrap().trusting(path).unwrap_err().to_string();
        for (url, path, said) in [
            ("https://h", file.path(), "no certificate in PEM format"),
            ("https://h", Path::new("/nowhere/ca.pem"), "--ca-file: /nowhere/ca.pem: no such file"),
        ] {
            let error = trusting(url, path);
            assert!(error.contains(said), "{error}");
        }
        assert!(parse("http://h").unwrap().trusting(file.path()).is_ok());
    }

    #[test]
    fn a_token_is_never_printed() {
        let target = Target::parse("h:1", Source::given("secret").unwrap()).unwrap();
        assert!(!format!("{target:?} {target}").contains("secret"));
    }
}
