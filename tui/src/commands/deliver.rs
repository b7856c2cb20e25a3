//! Sends a body of events until the daemon has given its verdict, exactly once however often that
//! takes: every event carries its id, so what is sent again after a lost answer counts once.
//!
//! Repeats when the daemon is away or busy, for a bounded time, and waits where its rates say so; any
//! other refusal is final. Called by `replay` and `load`.

mod pieces;

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pulseboard::wire::server::{Ack, Rejection};
use serde::Deserialize;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::http::{Answer, Connection, HttpError};
use super::waiting::Waiting;
use crate::dial;
use crate::target::Target;
pub(super) use pieces::Pieces;

/// NDJSON, for several events.
pub(super) const NDJSON: &str = "application/x-ndjson";
/// One event object.
pub(super) const JSON: &str = "application/json";

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(5);
/// The longest `Retry-After` that is followed to the letter.
const RETRY_AFTER_MOST: Duration = Duration::from_mins(1);
/// A body that its rate keeps out for this long has no chance: others use all there is.
const RATE_PATIENCE: Duration = Duration::from_mins(10);

/// Delivers bodies over a connection of its own.
pub(super) struct Courier {
    connection: Connection,
    path: String,
    patience: Duration,
}

/// What became of a body.
#[derive(Debug)]
pub(super) struct Delivered {
    /// The verdict on each event.
    pub(super) verdict: Ack,
    /// From the last sending to its answer.
    pub(super) ack_time: Duration,
    /// How often it was sent again since no verdict came.
    pub(super) repeats: u32,
    /// How often the daemon's rates put it off.
    pub(super) limited: u32,
    /// Events a second that they allow, where they did.
    pub(super) quota: Option<usize>,
}

impl Delivered {
    /// A verdict that came without an answer of its own.
    pub(super) fn of(verdict: Ack) -> Self {
        Self { verdict, ack_time: Duration::ZERO, repeats: 0, limited: 0, quota: None }
    }
}

/// Why a body has no verdict.
#[derive(Debug, Error)]
pub(super) enum DeliverError {
    /// The daemon was away or busy for longer than we wait.
    #[error("gave up after {} s: {last}", patience.as_secs())]
    GaveUp {
        /// How long it was tried.
        patience: Duration,
        /// What happened last.
        last: String,
    },
    /// The whole body was refused.
    #[error("{target} refuses: {detail} ({code}, HTTP {status})")]
    Refused {
        /// Where.
        target: String,
        /// The status, 413 say.
        status: u16,
        /// Stable code.
        code: String,
        /// The daemon's sentence.
        detail: String,
        /// Events that would be taken at once, where it says so.
        fits: Option<usize>,
    },
    /// An answer of something in front of the daemon, or instead of it.
    #[error("{target} is no daemon: {reason}")]
    Elsewhere {
        /// Where.
        target: String,
        /// As a clause.
        reason: String,
    },
    /// There is no token to present, or it is no longer one.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An answer that is none of the contract's.
    #[error("{target} does not answer like a Pulseboard daemon (HTTP {status}); check --url")]
    Stranger {
        /// Where.
        target: String,
        /// The status.
        status: u16,
    },
}

impl Courier {
    /// Posts to `path`; waits at most `patience` for a daemon that is away or busy.
    pub(super) fn new(target: &Target, path: &str, patience: Duration) -> Self {
        Self { connection: Connection::new(target), path: path.to_owned(), patience }
    }

    /// Connects now, once, so that a wrong address is known before any work is done.
    pub(super) async fn open(&mut self) -> Result<(), HttpError> {
        self.connection.open().await
    }

    /// Sends `body` until there is a verdict on it.
    pub(super) async fn deliver(
        &mut self,
        target: &Target,
        content_type: &'static str,
        body: &Bytes,
        waiting: &Waiting,
    ) -> Result<Delivered, DeliverError> {
        let mut began = Instant::now();
        let limited_since = began;
        let mut backoff = BACKOFF_FIRST;
        let (mut repeats, mut limited, mut events_quota) = (0, 0, None);
        let mut accepted_before = 0;
        loop {
            let reused = self.connection.is_open();
            let sent = Instant::now();
            let result = self.connection.post(&self.path, content_type, body.clone()).await;
            let (last, asked) = match result {
                Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                    let asked = answer.retry_after();
                    let Some(problem) = problem(&answer).filter(Problem::is_passing) else {
                        return Err(refused(target, &answer));
                    };
                    waiting.is_limited(&problem.detail);
                    limited += 1;
                    events_quota = quota(&answer).or(events_quota);
                    let wait = asked.unwrap_or(BACKOFF_FIRST).min(RETRY_AFTER_MOST);
                    if limited_since.elapsed() + wait > RATE_PATIENCE {
                        let last = format!("{} ({})", problem.detail, problem.code);
                        return Err(DeliverError::GaveUp { patience: RATE_PATIENCE, last });
                    }
                    sleep(wait).await;
                    // A daemon that answers is not away.
                    (began, backoff) = (Instant::now(), BACKOFF_FIRST);
                    continue;
                }
                Ok(answer) if is_passing(answer.status) => {
                    let what = problem(&answer).map_or_else(
                        || format!("HTTP {}", answer.status.as_u16()),
                        |problem| format!("{} ({})", problem.detail, problem.code),
                    );
                    (what, answer.retry_after())
                }
                // A token that was replaced in its file meanwhile.
                Ok(answer)
                    if answer.status == StatusCode::UNAUTHORIZED && self.connection.renew()? =>
                {
                    continue;
                }
                Ok(answer) => {
                    let mut verdict = verdict(target, &answer)?;
                    let passing = verdict.rejected.iter().filter_map(|item| item.retry_after_ms);
                    if let Some(ms) = passing.max().filter(|_| began.elapsed() < self.patience) {
                        // Another instance is at some of these: what was taken now is a duplicate
                        // when all are sent again.
                        accepted_before += verdict.accepted;
                        repeats += 1;
                        sleep(Duration::from_millis(ms).min(RETRY_AFTER_MOST)).await;
                        continue;
                    }
                    verdict.accepted += accepted_before;
                    verdict.duplicates = verdict.duplicates.saturating_sub(accepted_before);
                    let (ack_time, quota) = (sent.elapsed(), events_quota);
                    return Ok(Delivered { verdict, ack_time, repeats, limited, quota });
                }
                // A kept-alive connection that was closed meanwhile: open another at once.
                Err(HttpError::Lost { .. }) if reused && repeats == 0 => {
                    repeats += 1;
                    continue;
                }
                Err(error @ HttpError::Token(_)) => return Err(error.into()),
                Err(error) => (error.to_string(), None),
            };
            repeats += 1;
            let wait = asked.map_or(backoff, |asked| asked.min(RETRY_AFTER_MOST).max(backoff));
            if began.elapsed() + wait > self.patience {
                return Err(DeliverError::GaveUp { patience: self.patience, last });
            }
            sleep(wait).await;
            backoff = (backoff * 2).min(BACKOFF_MOST);
        }
    }
}

/// Whether a later try may succeed.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 502 | 503 | 504)
}

/// A problem document.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

impl Problem {
    /// Whether waiting helps; a batch that is larger than a bucket never fits.
    fn is_passing(&self) -> bool {
        self.code != "batch_exceeds_burst"
    }
}

fn problem(answer: &Answer) -> Option<Problem> {
    serde_json::from_slice(&answer.body).ok()
}

/// The answer to a single event.
#[derive(Deserialize)]
struct Single {
    status: String,
}

fn verdict(target: &Target, answer: &Answer) -> Result<Ack, DeliverError> {
    if let Ok(ack) = serde_json::from_slice::<Ack>(&answer.body) {
        return Ok(ack);
    }
    if answer.status.is_success()
        && let Ok(single) = serde_json::from_slice::<Single>(&answer.body)
    {
        let duplicate = u64::from(single.status == "duplicate");
        return Ok(Ack { accepted: 1 - duplicate, duplicates: duplicate, ..Ack::default() });
    }
    Err(refused(target, answer))
}

fn refused(target: &Target, answer: &Answer) -> DeliverError {
    let (target, status) = (target.to_string(), answer.status.as_u16());
    if let Some(reason) = dial::stranger(answer.status, &answer.headers, &answer.body) {
        return DeliverError::Elsewhere { target, reason };
    }
    match problem(answer) {
        Some(problem) => {
            let fits = if problem.is_passing() { None } else { quota(answer) };
            DeliverError::Refused {
                target,
                status,
                code: problem.code,
                detail: problem.detail,
                fits,
            }
        }
        None => DeliverError::Stranger { target, status },
    }
}

/// The `q` of a `RateLimit-Policy` for events: `"events";q=500;w=1`.
fn quota(answer: &Answer) -> Option<usize> {
    let policy = answer.headers.get("ratelimit-policy")?.to_str().ok()?;
    let policy = policy.strip_prefix("\"events\"")?;
    policy.split(';').find_map(|part| part.trim().strip_prefix("q="))?.parse().ok()
}

/// The verdict that a refusal of a body with one event amounts to, where the event was at fault.
pub(super) fn as_rejection(error: &DeliverError) -> Option<Ack> {
    let DeliverError::Refused { status: 400, code, detail, .. } = error else { return None };
    let rejection = Rejection {
        index: 0,
        code: code.clone(),
        message: detail.clone(),
        field: None,
        retry_after_ms: None,
    };
    Some(Ack { rejected: vec![rejection], rejected_total: 1, ..Ack::default() })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::commands::progress::Progress;
    use crate::token::Source;

    const VERDICT: &str = r#"{"accepted":1,"duplicates":0,"rejected":[],"rejectedTotal":0}"#;
    const BODY: Bytes = Bytes::from_static(b"{\"type\":\"t\",\"route\":\"/\"}\n");

    /// A daemon that gives each connection one answer of the script; an empty one is a hang-up.
    async fn scripted(script: &'static [(&'static str, &'static str)]) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target =
            Target::parse(&listener.local_addr().unwrap().to_string(), Source::None).unwrap();
        tokio::spawn(async move {
            for (head, body) in script {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut read = Vec::new();
                while !read.ends_with(&BODY) {
                    assert!(stream.read_buf(&mut read).await.unwrap() > 0);
                }
                if !head.is_empty() {
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                    );
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        target
    }

    async fn deliver(target: &Target) -> Result<Delivered, DeliverError> {
        let mut courier = Courier::new(target, "/api/events", Duration::from_secs(5));
        let waiting = Waiting::new(std::sync::Arc::new(Progress::endless(true)));
        courier.deliver(target, NDJSON, &BODY, &waiting).await
    }

    #[tokio::test]
    async fn what_another_instance_is_taking_is_sent_again_and_counted_once() {
        const FIRST: &str = r#"{"accepted":1,"duplicates":0,"rejected":[{"index":1,"code":"claim_pending","message":"m","retryAfterMs":1}],"rejectedTotal":1}"#;
        const THEN: &str = r#"{"accepted":1,"duplicates":1,"rejected":[],"rejectedTotal":0}"#;
        let target = scripted(&[("200 OK", FIRST), ("200 OK", THEN)]).await;
        let done = deliver(&target).await.unwrap();
        assert_eq!((done.verdict.accepted, done.verdict.duplicates, done.repeats), (2, 0, 1));
    }

    #[tokio::test]
    async fn it_is_sent_again_until_a_daemon_that_is_busy_or_away_has_a_verdict() {
        let target = scripted(&[
            ("503 Service Unavailable\r\nRetry-After: 0", ""),
            ("", ""),
            ("429 Too Many Requests", r#"{"code":"rate_limited","detail":"slower"}"#),
            ("200 OK", VERDICT),
        ])
        .await;
        let delivered = deliver(&target).await.unwrap();
        assert_eq!((delivered.verdict.accepted, delivered.repeats), (1, 2));
        assert_eq!(delivered.limited, 1);
    }

    #[tokio::test]
    async fn a_batch_that_never_fits_is_refused_with_what_would_fit() {
        let target = scripted(&[(
            "429 Too Many Requests\r\nRateLimit-Policy: \"events\";q=500;w=1",
            r#"{"code":"batch_exceeds_burst","detail":"at most 500"}"#,
        )])
        .await;
        let error = deliver(&target).await.unwrap_err();
        assert!(matches!(error, DeliverError::Refused { status: 429, fits: Some(500), .. }));
    }

    #[tokio::test]
    async fn a_refusal_of_the_whole_is_final_and_says_why() {
        let target =
            scripted(&[("401 Unauthorized", r#"{"code":"unauthorized","detail":"no token"}"#)])
                .await;
        let error = deliver(&target).await.unwrap_err().to_string();
        assert!(error.ends_with("refuses: no token (unauthorized, HTTP 401)"), "{error}");
    }

    #[tokio::test]
    async fn a_batch_that_was_refused_item_by_item_is_a_verdict() {
        const REFUSED: &str = r#"{"accepted":0,"duplicates":0,"rejected":[{"index":0,"code":"missing_field","message":"m"}],"rejectedTotal":1,"durable":true}"#;
        let target = scripted(&[("400 Bad Request", REFUSED)]).await;
        assert_eq!(deliver(&target).await.unwrap().verdict.rejected_total, 1);
    }

    #[tokio::test]
    async fn something_else_on_that_port_is_told_apart() {
        let target = scripted(&[("200 OK", "<html>")]).await;
        assert!(matches!(deliver(&target).await, Err(DeliverError::Stranger { .. })));
    }
}
