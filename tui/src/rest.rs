//! One question to the daemon over REST, for what needs no socket. Reads whole answers of a bounded
//! size, and turns a problem document into its sentence.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::socket::plain;
use crate::target::Target;

/// A question is answered within this, or not at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer taken.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error("no daemon at {url}: {reason}; start one with: pulseboardd")]
    Unreachable {
        /// Where it looked.
        url: String,
        /// As a clause.
        reason: String,
    },
    /// Somebody answered, with a refusal.
    #[error("{url} answered {status}: {detail}")]
    Refused {
        /// Where it asked.
        url: String,
        /// As sent.
        status: StatusCode,
        /// The problem's sentence.
        detail: String,
    },
}

/// Asks `GET path` and returns the body of a 200.
pub async fn get(target: &Target, path: &str) -> Result<Bytes, AskError> {
    let unreachable = |reason: String| AskError::Unreachable { url: target.to_string(), reason };
    let (status, body) = match timeout(PATIENCE, exchange(target, path)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(reason)) => return Err(unreachable(reason)),
        Err(_) => return Err(unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    if status == StatusCode::OK {
        return Ok(body);
    }
    let problem: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let detail = problem
        .as_ref()
        .and_then(|problem| problem.get("detail").or_else(|| problem.get("title")))
        .and_then(|text| text.as_str())
        .unwrap_or("it says no more")
        .to_owned();
    Err(AskError::Refused { url: target.http(path), status, detail })
}

async fn exchange(target: &Target, path: &str) -> Result<(StatusCode, Bytes), String> {
    let stream =
        TcpStream::connect((target.host(), target.port())).await.map_err(|error| plain(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let mut request = Request::get(target.path(path))
        .header(HOST, target.authority())
        .header(ACCEPT, "application/json");
    if let Some(token) = target.token() {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    Ok((status, body.to_bytes()))
}
