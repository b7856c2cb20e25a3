//! Where an upgrade request carries its token: the `Authorization` header, a subprotocol
//! `bearer.<jwt>`, or the query where that is allowed. Finds it; whether it is good, the hub's
//! admission says.
//!
//! Nothing in here ends up in a log or in an answer.

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::handshake::{BEARER, Handshake};
use crate::auth::Denied;
use crate::broadcast::Token;
use crate::server::refusal;

/// The one token a request carries; several are refused, since they may say different things.
#[allow(clippy::result_large_err, reason = "an answer, made once a socket")]
pub(super) fn token(
    request: &Request,
    handshake: &Handshake,
    query_allowed: bool,
) -> Result<Option<Token>, Response> {
    let in_header = request
        .headers()
        .get_all(header::AUTHORIZATION)
        .iter()
        .filter_map(|line| line.to_str().ok()?.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let in_query = request
        .uri()
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter_map(|pair| pair.strip_prefix("token="));
    if !query_allowed && in_query.clone().next().is_some() {
        return Err(challenge(
            StatusCode::UNAUTHORIZED,
            "query_token_off",
            "a token in the query is not taken here, since proxies log it; send it in the \
             Authorization header, as subprotocol bearer.<token> beside pulseboard.v1, or as \
             `auth` message (or set auth.allow_query_token)",
        ));
    }
    let offered = handshake.bearers.iter().map(|offered| &offered[BEARER.len()..]);
    let mut tokens = in_header.chain(offered).chain(in_query);
    let token = tokens.next().map(Token::new);
    if tokens.next().is_some() {
        return Err(challenge(
            StatusCode::BAD_REQUEST,
            "several_tokens",
            "the request carries several tokens; send one, in one place",
        ));
    }
    Ok(token)
}

/// The answer to a token that is not taken.
pub(super) fn denied(denied: Denied) -> Response {
    challenge(StatusCode::UNAUTHORIZED, denied.code, denied.message)
}

fn challenge(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Response {
    let mut response = refusal(status, code, detail);
    let challenge = match status {
        StatusCode::UNAUTHORIZED => "Bearer realm=\"pulseboard\", error=\"invalid_token\"",
        _ => "Bearer realm=\"pulseboard\", error=\"invalid_request\"",
    };
    let challenge = HeaderValue::from_static(challenge);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}
