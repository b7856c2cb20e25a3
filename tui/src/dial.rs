//! Opens the way to a daemon: TCP, and TLS over it where the address says https; and explains
//! answers that no daemon gives. Sends nothing itself; [`crate::socket`], [`crate::rest`] and the
//! commands' HTTP client do.

use std::io;
use std::time::Duration;

use http::header::{HeaderMap, LOCATION};
use http::{StatusCode, Uri};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::target::Target;
use crate::tls::{Stream, TlsError};

/// Connecting and the TLS handshake take this long at most, each.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no connection. Each is a clause that can follow "because".
#[derive(Debug, Error)]
pub enum DialError {
    /// The name or the address did not answer.
    #[error("{}", plain(.0))]
    Connect(#[from] io::Error),
    /// No answer in time.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Timeout,
    /// Connected, but not securely.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl DialError {
    /// The whole sentence, with what to do.
    pub fn sentence(&self, target: &Target) -> String {
        match self {
            Self::Tls(error) => format!("no secure connection to {target}: {error}"),
            other => format!(
                "no daemon answers at {target} ({other}); start one with `pulseboardd`, or name \
                 another with --url"
            ),
        }
    }
}

/// Opens a connection.
pub async fn dial(target: &Target) -> Result<Stream, DialError> {
    let stream = timeout(PATIENCE, TcpStream::connect((target.host(), target.port())))
        .await
        .map_err(|_| DialError::Timeout)??;
    // Small frames should leave at once; where the option cannot be set they leave a little later.
    let _ = stream.set_nodelay(true);
    match target.trust() {
        None => Ok(Stream::Plain(stream)),
        Some(trust) => {
            let secured = timeout(PATIENCE, trust.secure(target.host(), stream)).await;
            Ok(secured.map_err(|_| DialError::Timeout)??)
        }
    }
}

/// What an answer means that comes from something in front of the daemon, or instead of it.
pub fn stranger(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if status.is_redirection() {
        let location = headers.get(LOCATION)?.to_str().ok()?;
        let to: Uri = location.parse().ok()?;
        let (scheme, authority) = (to.scheme_str()?, to.authority()?);
        return Some(format!("it sends on to another address; use --url {scheme}://{authority}"));
    }
    let says_https = body.windows(5).any(|word| word.eq_ignore_ascii_case(b"https"));
    (status == StatusCode::BAD_REQUEST && says_https)
        .then(|| "it speaks TLS there; write https:// in --url".to_owned())
}

/// What a plain address is told when whatever answers there speaks no HTTP.
pub fn no_http(target: &Target) -> &'static str {
    if target.trust().is_some() {
        "what answers there does not speak HTTP"
    } else {
        "what answers there does not speak HTTP; if it speaks TLS, write https:// in --url"
    }
}

/// An operating system's error without its number.
pub fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset".to_owned(),
        io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        _ => {
            let text = error.to_string();
            let end = text.find(" (os error").unwrap_or(text.len());
            text[..end].to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_redirect_and_a_port_of_tls_are_told_apart_from_a_daemon() {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static("https://board.example/api/x"));
        let said = stranger(StatusCode::MOVED_PERMANENTLY, &headers, b"").unwrap();
        assert!(said.ends_with("--url https://board.example"), "{said}");
        let nginx = b"<center>The plain HTTP request was sent to HTTPS port</center>";
        let said = stranger(StatusCode::BAD_REQUEST, &HeaderMap::new(), nginx).unwrap();
        assert!(said.contains("write https://"), "{said}");
        assert_eq!(stranger(StatusCode::BAD_REQUEST, &HeaderMap::new(), b"{}"), None);
    }
}
