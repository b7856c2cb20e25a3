//! The problem document of a request that was refused before any route saw it.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// A problem document (RFC 9457) with a stable `code` and a sentence.
pub fn refusal(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Response {
    let document = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "code": code,
        "detail": detail.into(),
    });
    let kind = HeaderValue::from_static("application/problem+json");
    (status, [(header::CONTENT_TYPE, kind)], document.to_string()).into_response()
}
