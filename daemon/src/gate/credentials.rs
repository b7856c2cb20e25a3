//! Where a request carries its token: `Authorization: Bearer`, once; on `POST /api/events` else
//! `?token=`, for beacons, which cannot set a header. Never both. Pure; checks nothing itself. What
//! an upgrade to a socket may carry besides is read by [`crate::ingest::socket`].

use axum::extract::Request;
use http::header;

use super::Access;
use super::refuse;
use crate::api::problem::Problem;

/// A token as it was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// Whether it was in the query.
    pub(super) is_in_query: bool,
}

/// The token of a request, if it carries one.
pub(super) fn find(request: &Request, access: Access) -> Result<Option<Token<'_>>, Problem> {
    let mut found = in_header(request)?.map(|text| Token { text, is_in_query: false });
    if access == Access::Ingest {
        for text in in_query(request) {
            if found.replace(Token { text, is_in_query: true }).is_some() {
                return Err(refuse::several_tokens());
            }
        }
    }
    Ok(found)
}

fn in_header(request: &Request) -> Result<Option<&str>, Problem> {
    let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refuse::several_tokens());
    }
    let bearer = value.to_str().ok().and_then(|value| value.trim().split_once(' '));
    match bearer {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(refuse::other_scheme()),
    }
}

fn in_query(request: &Request) -> impl Iterator<Item = &str> {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').filter_map(|pair| pair.strip_prefix("token="))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn found(uri: &str, headers: &[&str], access: Access) -> Result<Option<String>, String> {
        let mut request = Request::builder().uri(uri);
        for value in headers {
            request = request.header("authorization", *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let found = find(&request, access).map_err(|problem| problem.code().to_owned())?;
        Ok(found.map(|token| token.text.to_owned()))
    }

    #[test]
    fn a_token_is_taken_from_its_place_and_no_other() {
        let of = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(found("/api/events", &["bEARER a.b.c"], Access::Read), of("a.b.c"));
        assert_eq!(found("/api/events", &[], Access::Read), Ok(None));
        assert_eq!(found("/api/events?token=x", &[], Access::Read), Ok(None));
        assert_eq!(found("/api/events?import=false&token=x", &[], Access::Ingest), of("x"));
        assert_eq!(found("/api/events?Token=x&atoken=y", &[], Access::Ingest), Ok(None));
    }

    #[test]
    fn two_tokens_are_one_too_many_even_when_they_are_the_same() {
        let refused = Err("several_tokens".to_owned());
        assert_eq!(found("/", &["Bearer a", "Bearer a"], Access::Read), refused);
        assert_eq!(found("/?token=a", &["Bearer a"], Access::Ingest), refused);
        assert_eq!(found("/?token=a&token=a", &[], Access::Ingest), refused);
    }

    #[test]
    fn other_schemes_are_no_token() {
        let refused = Err("unauthorized".to_owned());
        for value in ["Basic dXNlcjpwYXNz", "Bearer", "a.b.c", ""] {
            assert_eq!(found("/", &[value], Access::Read), refused, "{value}");
        }
    }
}
