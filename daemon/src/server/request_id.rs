//! A name for every refusal: `X-Request-Id` on answers of status 400 and above, the same in the log
//! and counted by code. Made here, never taken from a client, and made only when there is something
//! to name, so that the usual answer pays nothing.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};

use super::Client;
use crate::api::problem::Code;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Two starts of the daemon give different names.
static KEYS: LazyLock<[u64; 3]> = LazyLock::new(|| {
    let state = RandomState::new();
    [0, 1, 2].map(|key: u8| state.hash_one(key))
});
static COUNT: AtomicU64 = AtomicU64::new(0);

/// What is remembered of a request until it is answered.
pub(super) struct Asked {
    method: Method,
    uri: Uri,
    peer: SocketAddr,
}

impl Asked {
    pub(super) fn of<B>(request: &Request<B>, peer: SocketAddr) -> Self {
        Self { method: request.method().clone(), uri: request.uri().clone(), peer }
    }

    /// Names, counts and logs an answer that refuses. The query may hold a token: it is not logged.
    pub(super) fn close(self, response: &mut Response) {
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return;
        }
        let request_id = next();
        let value = HeaderValue::from_str(&request_id).expect("an id is of digits");
        response.headers_mut().insert(X_REQUEST_ID, value);
        let code = response.extensions_mut().remove::<Code>();
        let code = code.map_or("items_refused".into(), |Code(code)| code);
        let client = response.extensions_mut().remove::<Client>();
        let client = client.map_or(self.peer.ip(), |Client(address)| address);
        let (method, path) = (&self.method, self.uri.path());
        let number = status.as_u16();
        match status {
            StatusCode::INTERNAL_SERVER_ERROR => {
                tracing::error!(%request_id, %client, %method, path, %code, "a request failed");
            }
            // Somebody's token ran out, or somebody tries: the log says who, and keeps floods short.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => tracing::info!(
                %request_id, %client, %method, path, status = number, %code, "access was refused"
            ),
            _ => tracing::debug!(
                %request_id, %client, %method, path, status = number, %code, "a request was refused"
            ),
        }
        metrics::counter!("pulseboard_requests_refused_total", "code" => code).increment(1);
    }
}

/// 16 digits, different for every call: a bijection of the count under keys nobody is told, so that
/// they do not show how many there were.
fn next() -> String {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mixed = KEYS.iter().fold(count, |number, key| {
        let product = (number ^ key.rotate_left(32)).wrapping_mul(key | 1);
        product ^ (product >> 31)
    });
    format!("{mixed:016x}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_names_are_the_same() {
        let names: HashSet<String> = (0..10_000).map(|_| next()).collect();
        assert_eq!(names.len(), 10_000);
    }

    #[test]
    fn only_refusals_are_named() {
        let asked = || {
            let request = Request::get("/api?token=secret").body(()).unwrap();
            Asked::of(&request, ([127, 0, 0, 1], 1).into())
        };
        let mut fine = Response::default();
        asked().close(&mut fine);
        assert!(!fine.headers().contains_key(X_REQUEST_ID));
        let mut refused = crate::server::refusal(StatusCode::FORBIDDEN, "wrong_scope", "no");
        asked().close(&mut refused);
        assert_eq!(refused.headers()[X_REQUEST_ID].len(), 16);
    }
}
