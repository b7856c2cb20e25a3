//! The upgrade request of a WebSocket (RFC 6455, section 4.2.1), read and refused. Pure.

use axum::extract::Request;
use axum::response::Response;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::server::refusal;
use pulseboard::wire::SUBPROTOCOL;

/// What a client asked for, as far as it matters.
pub(super) struct Handshake {
    /// `Sec-WebSocket-Key`.
    pub(super) key: HeaderValue,
    /// Whether it offered our subprotocol, and wants to hear so.
    pub(super) names_subprotocol: bool,
    /// Whatever it offered as `bearer.<token>`, whole.
    pub(super) bearers: Vec<Box<str>>,
}

/// What a subprotocol that carries a token begins with.
pub(super) const BEARER: &str = "bearer.";

/// Bytes of a key: 16, as base64.
const KEY_BYTES: usize = 24;

#[allow(clippy::result_large_err, reason = "an answer, made once a socket")]
pub(super) fn read(request: &Request) -> Result<Handshake, Response> {
    let headers = request.headers();
    let wants = has_token(headers, &header::CONNECTION, "upgrade")
        && has_token(headers, &header::UPGRADE, "websocket");
    if !wants || request.method() != Method::GET || request.version() != http::Version::HTTP_11 {
        let mut response = refusal(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "this is the WebSocket endpoint; ask for it with Upgrade: websocket over HTTP/1.1",
        );
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        return Err(response);
    }
    let version = only(headers, &header::SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != "13") {
        let mut response = refusal(
            StatusCode::UPGRADE_REQUIRED,
            "websocket_version",
            "Sec-WebSocket-Version must be 13, once",
        );
        let headers = response.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Err(response);
    }
    let key = only(headers, &header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes()));
    let Some(key) = key.cloned() else {
        return Err(refusal(
            StatusCode::BAD_REQUEST,
            "websocket_key",
            "Sec-WebSocket-Key must be 16 bytes in base64, once",
        ));
    };
    let (bearers, others): (Vec<&str>, Vec<&str>) =
        tokens(headers, &header::SEC_WEBSOCKET_PROTOCOL).partition(|name| name.starts_with(BEARER));
    let names_subprotocol = others.contains(&SUBPROTOCOL);
    if !names_subprotocol && !others.is_empty() {
        return Err(refusal(
            StatusCode::BAD_REQUEST,
            "unknown_subprotocol",
            format!("of the subprotocols offered none is known; there is {SUBPROTOCOL}"),
        ));
    }
    if !names_subprotocol && !bearers.is_empty() {
        // A browser drops a socket that answers with none of what it offered, and a token is
        // nothing to answer with.
        return Err(refusal(
            StatusCode::BAD_REQUEST,
            "subprotocol_missing",
            format!("a token was offered as subprotocol without {SUBPROTOCOL}; offer both"),
        ));
    }
    let bearers = bearers.into_iter().map(Box::from).collect();
    Ok(Handshake { key, names_subprotocol, bearers })
}

/// A header that may stand once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

fn is_key(key: &[u8]) -> bool {
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == KEY_BYTES && key.ends_with(b"==") && key[..KEY_BYTES - 2].iter().all(base64)
}

/// The comma-separated tokens of a header, all its lines together.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}
