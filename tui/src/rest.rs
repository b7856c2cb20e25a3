//! One question to the daemon over REST, for what needs no socket. Reads whole answers of a bounded
//! size, and turns a problem document into its sentence.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST};
use http::response::Parts;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::time::timeout;

use crate::dial::{self, DialError};
use crate::target::Target;
use crate::token::{Token, TokenError};

/// A question is answered within this, or not at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer taken.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody listens there, or nobody that is trusted.
    #[error("{0}")]
    Unreachable(String),
    /// Somebody listens who does not answer as a daemon does.
    #[error("{url} gave no answer: {reason}")]
    NoAnswer {
        /// Where it asked.
        url: String,
        /// As a clause.
        reason: String,
    },
    /// There is no token to present.
    #[error(transparent)]
    Token(#[from] TokenError),
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
    let token = target.token()?;
    get_with(target, token.as_ref(), path).await
}

/// The same, with a token of one's own choice.
pub async fn get_with(
    target: &Target,
    token: Option<&Token>,
    path: &str,
) -> Result<Bytes, AskError> {
    let no_answer = |reason: String| AskError::NoAnswer { url: target.to_string(), reason };
    let (head, body) = match timeout(PATIENCE, exchange(target, token, path)).await {
        Ok(answer) => answer?,
        Err(_) => return Err(no_answer(format!("nothing within {} s", PATIENCE.as_secs()))),
    };
    if head.status == StatusCode::OK {
        return Ok(body);
    }
    if let Some(reason) = dial::stranger(head.status, &head.headers, &body) {
        return Err(no_answer(reason));
    }
    let problem: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let detail = problem
        .as_ref()
        .and_then(|problem| problem.get("detail").or_else(|| problem.get("title")))
        .and_then(|text| text.as_str())
        .unwrap_or("it says no more");
    let mint = match head.status {
        StatusCode::UNAUTHORIZED if !detail.contains("pulseboard token") => {
            "; on the daemon's machine: pulseboard token --scope read"
        }
        _ => "",
    };
    let detail = format!("{detail}{mint}");
    Err(AskError::Refused { url: target.http(path), status: head.status, detail })
}

async fn exchange(
    target: &Target,
    token: Option<&Token>,
    path: &str,
) -> Result<(Parts, Bytes), AskError> {
    let no_answer = |reason: String| AskError::NoAnswer { url: target.to_string(), reason };
    let broken = |error: hyper::Error| {
        no_answer(if error.is_parse() {
            dial::no_http(target).to_owned()
        } else {
            error.to_string()
        })
    };
    let unreachable = |error: DialError| AskError::Unreachable(error.sentence(target));
    let stream = dial::dial(target).await.map_err(unreachable)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    let mut request = Request::get(target.path(path))
        .header(HOST, target.authority())
        .header(ACCEPT, "application/json");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, token.bearer());
    }
    let request =
        request.body(Empty::<Bytes>::new()).map_err(|error| no_answer(error.to_string()))?;
    let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| no_answer(error.to_string()))?;
    Ok((head, body.to_bytes()))
}
