//! The gate's refusals of callers: 400, 401 and 403 with the challenge of RFC 6750.

use http::{HeaderValue, StatusCode, header};
use pulseboard::claims::Scope;

use crate::api::problem::Problem;
use crate::auth::Denied;

const MINT: &str =
    "mint one with `pulseboard token` and send it as `Authorization: Bearer <token>`";

/// 401: there is no token. Without an error in the challenge, as there was nothing wrong in it.
pub(super) fn missing_token() -> Problem {
    let detail = format!("this needs a token; {MINT}");
    challenge(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail), None)
}

/// 401: something else is in the token's place.
pub fn other_scheme() -> Problem {
    let detail = format!("Authorization holds no bearer token; {MINT}");
    challenge(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail), None)
}

/// 401: the token is not taken.
pub fn bad_token(denied: &Denied) -> Problem {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, denied.code, denied.message.clone());
    challenge(problem, Some(("invalid_token", &denied.message)))
}

/// 401: a token in a query, where logs see it, may do no more than send events.
pub(super) fn query_token_may_more() -> Problem {
    let detail = "a token in the query is taken only when its one scope is `ingest`; send this \
                  one as `Authorization: Bearer <token>`";
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "query_token_not_allowed", detail);
    challenge(problem, Some(("invalid_token", detail)))
}

/// 401: a token stands where none is taken.
pub fn misplaced_token(code: &'static str, detail: &str) -> Problem {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, code, detail);
    challenge(problem, Some(("invalid_request", detail)))
}

/// 400: which token is meant is left open.
pub fn several_tokens() -> Problem {
    let detail = "the request carries several tokens; send one, in one place";
    let problem = Problem::bad_request("several_tokens", detail);
    challenge(problem, Some(("invalid_request", detail)))
}

/// 403: the token is good and does not allow this.
pub fn wrong_scope(scope: Scope) -> Problem {
    let scope = scope.as_str();
    let detail = format!("this needs a token with the scope `{scope}`");
    let problem = Problem::new(StatusCode::FORBIDDEN, "wrong_scope", detail);
    let value = format!(
        "Bearer realm=\"pulseboard\", error=\"insufficient_scope\", scope=\"{scope}\", \
         error_description=\"this needs a token with the scope {scope}\""
    );
    with_challenge(problem, &value)
}

/// 403: the token is for another site.
pub fn wrong_site(detail: impl Into<String>) -> Problem {
    let detail = detail.into();
    let problem = Problem::new(StatusCode::FORBIDDEN, "wrong_site", detail.clone());
    challenge(problem, Some(("insufficient_scope", &detail)))
}

fn challenge(problem: Problem, error: Option<(&str, &str)>) -> Problem {
    let Some((error, description)) = error else {
        return with_challenge(problem, "Bearer realm=\"pulseboard\"");
    };
    // RFC 6750, section 3: printable ASCII without quotes and backslashes.
    let plain: String = description
        .chars()
        .filter(|c| (' '..='~').contains(c) && !matches!(c, '"' | '\\'))
        .collect();
    let value =
        format!("Bearer realm=\"pulseboard\", error=\"{error}\", error_description=\"{plain}\"");
    with_challenge(problem, &value)
}

fn with_challenge(problem: Problem, value: &str) -> Problem {
    let value = HeaderValue::from_str(value).expect("a challenge is printable ASCII");
    problem.header(header::WWW_AUTHENTICATE, value)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn a_challenge_is_a_header_whatever_the_sentence_holds() {
        let denied = Denied { code: "token_claim_invalid", message: "`exp` is \"é\\\n\"".into() };
        let response = bad_token(&denied).into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            response.headers()["www-authenticate"],
            "Bearer realm=\"pulseboard\", error=\"invalid_token\", error_description=\"`exp` is \""
        );
        let missing = missing_token().into_response();
        assert_eq!(missing.headers()["www-authenticate"], "Bearer realm=\"pulseboard\"");
    }
}
