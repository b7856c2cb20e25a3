//! One kept-alive HTTP connection to the daemon: a request, its answer, reconnecting when needed.
//!
//! Decides nothing about answers and repeats nothing; [`super::deliver`] does. Answers are read up
//! to a bound, and a daemon that says nothing is given up on in time.

use std::io;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::target::Target;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The daemon answers after its sync; longer than this it hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// A connection that opens itself, again after a loss.
pub(super) struct Connection {
    target: Target,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// What the daemon said.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status line's code.
    pub(super) status: StatusCode,
    /// `Retry-After`, when it is in seconds.
    pub(super) retry_after: Option<Duration>,
    /// The body, whole.
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum HttpError {
    /// Nobody listens there, or the name does not resolve.
    #[error(
        "no daemon answers at {target} ({reason}); start one with `pulseboardd`, or name another \
         with --url"
    )]
    Unreachable {
        /// Where.
        target: String,
        /// Why, in the system's words.
        reason: String,
    },
    /// It went away before it answered.
    #[error("the daemon at {target} closed the connection before it answered")]
    Lost {
        /// Where.
        target: String,
    },
    /// Nothing came in time, or too much.
    #[error("the daemon at {target} {what}")]
    Useless {
        /// Where.
        target: String,
        /// What it did.
        what: &'static str,
    },
}

impl Connection {
    /// A connection that is opened by the first request.
    pub(super) fn new(target: &Target) -> Self {
        Self { target: target.clone(), sender: None }
    }

    /// Opens it unless it is open.
    pub(super) async fn open(&mut self) -> Result<(), HttpError> {
        self.ready().await.map(|_| ())
    }

    /// Whether a request would go over a connection that has been used before and may have been
    /// closed by the other side meanwhile.
    pub(super) fn is_open(&self) -> bool {
        self.sender.as_ref().is_some_and(|sender| !sender.is_closed())
    }

    /// Sends a body.
    pub(super) async fn post(
        &mut self,
        path: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Answer, HttpError> {
        let mut request = self.request(path, body);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.send(request).await
    }

    fn request(&self, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.path(path).parse().expect("commands ask for valid paths");
        let headers = request.headers_mut();
        let host = HeaderValue::from_str(self.target.authority());
        headers.insert(HOST, host.expect("an authority is made of visible ASCII"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("pulseboard/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(token) = self.target.token() {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .expect("a target's token is visible ASCII");
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        request
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, HttpError> {
        let target = self.target.to_string();
        let sender = self.ready().await?;
        let result = timeout(ANSWER_TIMEOUT, exchange(sender, request)).await;
        match result {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(what)) => {
                self.sender = None;
                Err(match what {
                    Some(what) => HttpError::Useless { target, what },
                    None => HttpError::Lost { target },
                })
            }
            Err(_) => {
                self.sender = None;
                Err(HttpError::Useless { target, what: "did not answer within 60 s" })
            }
        }
    }

    async fn ready(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, HttpError> {
        if !self.is_open() {
            self.sender = None;
        }
        let sender = match self.sender.take() {
            Some(sender) => sender,
            None => connect(&self.target).await.map_err(|error| HttpError::Unreachable {
                target: self.target.to_string(),
                reason: reason(&error),
            })?,
        };
        Ok(self.sender.insert(sender))
    }
}

async fn connect(target: &Target) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect((target.host(), target.port())))
        .await
        .context("no connection within 5 s")??;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// One request and its whole answer; an error says what was wrong with it, or `None` for a loss.
async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Option<&'static str>> {
    sender.ready().await.map_err(|_| None)?;
    let response = sender.send_request(request).await.map_err(|_| None)?;
    let status = response.status();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| {
        error.is::<http_body_util::LengthLimitError>().then_some("answered more than 16 MiB")
    })?;
    Ok(Answer { status, retry_after, body: body.to_bytes() })
}

/// `connection refused`, without the system's error number.
fn reason(error: &anyhow::Error) -> String {
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::TimedOut) => "no connection in time".to_owned(),
        _ => format!("{error:#}"),
    }
}
