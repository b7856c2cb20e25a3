//! Where an upgrade request carries its token: the `Authorization` header, a subprotocol
//! `bearer.<jwt>`, or the query where that is allowed. Finds it; whether it is good, the hub's
//! admission says.
//!
//! Nothing in here ends up in a log or in an answer.

use axum::extract::Request;
use http::header;

use super::handshake::{BEARER, Handshake};
use crate::api::problem::Problem;
use crate::broadcast::Token;
use crate::gate;

/// The one token a request carries; several are refused, since they may say different things.
pub(super) fn token(
    request: &Request,
    handshake: &Handshake,
    query_allowed: bool,
) -> Result<Option<Token>, Problem> {
    let mut tokens = Vec::new();
    for line in request.headers().get_all(header::AUTHORIZATION) {
        let bearer = line.to_str().ok().and_then(|line| line.trim().split_once(' '));
        match bearer {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                tokens.push(token.trim());
            }
            _ => return Err(gate::other_scheme()),
        }
    }
    tokens.extend(handshake.bearers.iter().map(|offered| &offered[BEARER.len()..]));
    let pairs = request.uri().query().into_iter().flat_map(|query| query.split('&'));
    let queried = tokens.len();
    tokens.extend(pairs.filter_map(|pair| pair.strip_prefix("token=")));
    if tokens.len() > queried && !query_allowed {
        return Err(gate::misplaced_token(
            "query_token_off",
            "a token in the query is not taken here, since proxies log it; send it in the \
             Authorization header, as subprotocol bearer.<token> beside pulseboard.v1, or as \
             `auth` message (or set auth.allow_query_token)",
        ));
    }
    match tokens.as_slice() {
        [] => Ok(None),
        [token] => Ok(Some(Token::new(*token))),
        _ => Err(gate::several_tokens()),
    }
}
