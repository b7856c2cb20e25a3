//! The problem document of a request that was refused before any route saw it.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::api::problem::Problem;

/// A problem document with a stable `code` and a sentence.
pub fn refusal(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Response {
    Problem::new(status, code, detail).into_response()
}
