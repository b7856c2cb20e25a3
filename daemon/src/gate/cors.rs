//! Pages of other origins (the Fetch standard's CORS): those in `server.allowed_origins` may call
//! and read, by name and never by `*`; credentials are tokens in a header, so cookies are not asked
//! for. Everybody else gets answers without these headers, which their browsers keep from them.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::api::problem::Problem;
use crate::server::origin::Origins;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Content-Encoding, Idempotency-Key, If-None-Match",
);
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "RateLimit, RateLimit-Policy, Retry-After, ETag, X-Request-Id, WWW-Authenticate",
);
/// How long a browser may remember a preflight, s.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A request as CORS sees it, where any origin is listed at all.
pub(super) struct Asks {
    /// The listed origin that asks.
    origin: Option<HeaderValue>,
}

impl Asks {
    /// `None` where no origin is listed: nothing depends on it then.
    pub(super) fn of(origins: &Origins, headers: &HeaderMap) -> Option<Self> {
        origins.lists_any().then(|| Self { origin: listed(origins, headers) })
    }

    /// Lets the page read the answer, if it may.
    pub(super) fn answer(self, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            headers.insert(CORP, HeaderValue::from_static("cross-origin"));
        }
    }
}

/// Whether a browser asks what a page may do, before it does it.
pub(super) fn is_preflight(request: &Request) -> bool {
    *request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight.
pub(super) fn preflight(origins: &Origins, request: &Request) -> Response {
    let Some(origin) = listed(origins, request.headers()) else {
        let mut response = not_allowed().into_response();
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
        return response;
    };
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Asks { origin: Some(origin) }.answer(headers);
    response
}

/// 403: a page of an origin nobody listed.
pub(super) fn not_allowed() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "origin_not_allowed",
        "pages of this origin may not call the daemon; list it in server.allowed_origins",
    )
}

fn listed(origins: &Origins, headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(header::ORIGIN).iter();
    let origin = values.next().filter(|_| values.next().is_none())?;
    origins.is_listed(origin.to_str().ok()?).then(|| origin.clone())
}
