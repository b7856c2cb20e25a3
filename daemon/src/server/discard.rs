//! Reading on, for a moment, what a refused client still sends: closing the connection on it would
//! take the answer away. Keeps nothing.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::BodyExt;

/// Reads at most `bytes_max` for at most `within`; past either the connection is closed, whatever
/// the client still sends. A client that asked first (`Expect: 100-continue`) sends nothing, and
/// reading would tell it to.
pub async fn discard(headers: &HeaderMap, mut body: Body, bytes_max: usize, within: Duration) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let reading = async {
        let mut left = bytes_max;
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, bytes::Bytes::len)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // What did not come in time is not waited for.
    let _ = tokio::time::timeout(within, reading).await;
}
