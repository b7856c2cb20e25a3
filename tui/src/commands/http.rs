//! One kept-alive HTTP connection to the daemon: a request, its answer whole or as it comes,
//! reconnecting when needed.
//!
//! Decides nothing about answers and repeats nothing; [`super::deliver`] does. Answers are read up
//! to a bound, streams piece by piece, and a daemon that says nothing is given up on in time.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER, TE,
    USER_AGENT,
};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Response;
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::time::timeout;

use crate::dial;
use crate::target::Target;
use crate::token::{Token, TokenError};

/// The longest answer that is read whole, in bytes.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// The daemon answers after its sync, and a stream goes on; longer than this it hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// A connection that opens itself, again after a loss.
pub(super) struct Connection {
    target: Target,
    sender: Option<SendRequest<Full<Bytes>>>,
    /// As it was when the connection was opened.
    token: Option<Token>,
}

/// What the daemon said.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status line's code.
    pub(super) status: StatusCode,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// The body, whole.
    pub(super) body: Bytes,
}

/// An answer whose body comes piece by piece: never more of it is held than a piece.
#[derive(Debug)]
pub(super) struct Streamed {
    /// The status line's code.
    pub(super) status: StatusCode,
    /// Its headers.
    pub(super) headers: HeaderMap,
    body: Incoming,
    trailers: HeaderMap,
    target: String,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum HttpError {
    /// Nobody listens there, or the name does not resolve, or its certificate is not taken.
    #[error("{0}")]
    Unreachable(String),
    /// It went away before it answered, or in the middle of it.
    #[error("the daemon at {target} closed the connection before {when}")]
    Lost {
        /// Where.
        target: String,
        /// Before what.
        when: &'static str,
    },
    /// Nothing came in time, or too much, or something else.
    #[error("the daemon at {target} {what}")]
    Useless {
        /// Where.
        target: String,
        /// What it did.
        what: &'static str,
    },
    /// There is no token to present.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// What went wrong between a request and its answer.
enum Fault {
    Lost,
    NoHttp,
}

impl Connection {
    /// A connection that is opened by the first request.
    pub(super) fn new(target: &Target) -> Self {
        Self { target: target.clone(), sender: None, token: None }
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

    /// Reads the token anew; whether it is another one than the last request carried.
    pub(super) fn renew(&mut self) -> Result<bool, HttpError> {
        let token = self.target.token()?;
        let is_new = token != self.token;
        self.token = token;
        Ok(is_new)
    }

    /// Sends a body.
    pub(super) async fn post(
        &mut self,
        path: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Answer, HttpError> {
        let kind = HeaderValue::from_static(content_type);
        let answer = self.send(Method::POST, path, (CONTENT_TYPE, kind), body).await?;
        answer.whole().await
    }

    /// Asks for something that may be long.
    pub(super) async fn get(
        &mut self,
        path: &str,
        accept: &'static str,
    ) -> Result<Streamed, HttpError> {
        let kind = HeaderValue::from_static(accept);
        self.send(Method::GET, path, (ACCEPT, kind), Bytes::new()).await
    }

    /// Sends a request and reads the head of its answer.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        (name, value): (http::HeaderName, HeaderValue),
        body: Bytes,
    ) -> Result<Streamed, HttpError> {
        self.ready().await?;
        let mut request = self.request(method, path, body);
        request.headers_mut().insert(name, value);
        let sender = self.ready().await?;
        let result = timeout(ANSWER_TIMEOUT, exchange(sender, request)).await;
        let target = self.target.to_string();
        match result {
            Ok(Ok(response)) => {
                let (head, body) = response.into_parts();
                let trailers = HeaderMap::new();
                Ok(Streamed { status: head.status, headers: head.headers, body, trailers, target })
            }
            Ok(Err(fault)) => {
                self.sender = None;
                Err(match fault {
                    Fault::NoHttp => HttpError::Unreachable(format!(
                        "{target} is no daemon: {}",
                        dial::no_http(&self.target)
                    )),
                    Fault::Lost => HttpError::Lost { target, when: "it answered" },
                })
            }
            Err(_) => {
                self.sender = None;
                Err(HttpError::Useless { target, what: "did not answer within 60 s" })
            }
        }
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        let is_stream = method == Method::GET;
        *request.method_mut() = method;
        *request.uri_mut() = self.target.path(path).parse().expect("commands ask for valid paths");
        let headers = request.headers_mut();
        let host = HeaderValue::from_str(self.target.authority());
        headers.insert(HOST, host.expect("an authority is made of visible ASCII"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("pulseboard/", env!("CARGO_PKG_VERSION"))),
        );
        if is_stream {
            headers.insert(TE, HeaderValue::from_static("trailers"));
            if !self.target.is_near() {
                headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.bearer());
        }
        request
    }

    async fn ready(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, HttpError> {
        if !self.is_open() {
            self.sender = None;
        }
        let sender = if let Some(sender) = self.sender.take() {
            sender
        } else {
            self.token = self.target.token()?;
            let unreachable = |error: dial::DialError| error.sentence(&self.target);
            let stream = dial::dial(&self.target).await;
            let stream = stream.map_err(|error| HttpError::Unreachable(unreachable(error)))?;
            let lost = |_| HttpError::Lost { target: self.target.to_string(), when: "a word" };
            let (sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
            tokio::spawn(connection);
            sender
        };
        Ok(self.sender.insert(sender))
    }
}

impl Streamed {
    /// The next piece of the body; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let Ok(frame) = timeout(ANSWER_TIMEOUT, self.body.frame()).await else {
                let what = "sent nothing more for 60 s";
                return Err(HttpError::Useless { target: self.target.clone(), what });
            };
            match frame {
                None => return Ok(None),
                Some(Err(_)) => return Err(self.lost()),
                Some(Ok(frame)) => match frame.into_data().map_err(Frame::into_trailers) {
                    Ok(piece) => return Ok(Some(piece)),
                    Err(Ok(trailers)) => self.trailers = trailers,
                    Err(Err(_)) => {}
                },
            }
        }
    }

    /// What was said after the body; empty before its end.
    pub(super) fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }

    /// The rest of the body, up to a bound: for answers that are short, refusals among them.
    pub(super) async fn whole(self) -> Result<Answer, HttpError> {
        let lost = self.lost();
        let target = self.target;
        let body = timeout(ANSWER_TIMEOUT, Limited::new(self.body, ANSWER_BYTES).collect()).await;
        let Ok(body) = body else {
            return Err(HttpError::Useless { target, what: "did not answer within 60 s" });
        };
        let body = body.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                HttpError::Useless { target, what: "answered more than 16 MiB" }
            } else {
                lost
            }
        })?;
        Ok(Answer { status: self.status, headers: self.headers, body: body.to_bytes() })
    }

    fn lost(&self) -> HttpError {
        HttpError::Lost { target: self.target.clone(), when: "its answer was whole" }
    }
}

impl Answer {
    /// `Retry-After`, when it is in seconds.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        text.trim().parse().ok().map(Duration::from_secs)
    }
}

/// One request and the head of its answer.
async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Fault> {
    sender.ready().await.map_err(|_| Fault::Lost)?;
    sender
        .send_request(request)
        .await
        .map_err(|error| if error.is_parse() { Fault::NoHttp } else { Fault::Lost })
}
