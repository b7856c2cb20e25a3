//! `POST /api/events`: reads a body within its bounds, hands it to the pipeline, and answers after
//! the events are on disk.
//!
//! Decides nothing about an event; that is the pipeline's. Past `limits.inflight_bytes` a request
//! is answered 503 `busy`, and the rest of its body is not kept.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body as HttpBody;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt;
use pulseboard::claims::Scope;
use pulseboard::validate::Code;
use pulseboard::wire::server::Rejection;
use serde::Serialize;

use super::{Body, Ingest, IngestError, Share, Source, Verdicts};
use crate::api::endpoints::{Endpoint, Id};
use crate::api::problem::{Problem, json};
use crate::api::query::Parameters;
use crate::gate::{self, Caller};
use crate::server::discard;

/// How long what is left of a refused body is read on.
const DISCARD_WITHIN: Duration = Duration::from_secs(2);

/// What bounds a body. May change while the daemon runs.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A body, as sent and as unpacked, in bytes.
    pub body_bytes: usize,
    /// Time for a body.
    pub body_timeout: Duration,
}

/// The REST side of ingest. Clones share the limits.
#[derive(Clone)]
pub struct Rest {
    ingest: Ingest,
    limits: Arc<ArcSwap<Limits>>,
}

/// How the events stand in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Ndjson,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One<'a> {
    event_id: &'a str,
    status: &'static str,
    route: &'a str,
    tick: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Many<'a> {
    accepted: u64,
    duplicates: u64,
    rejected: &'a [Rejection],
    rejected_total: u64,
    durable: bool,
}

impl Rest {
    /// A REST front of `ingest`.
    pub fn new(ingest: Ingest, limits: Limits) -> Self {
        Self { ingest, limits: Arc::new(ArcSwap::from_pointee(limits)) }
    }

    /// Puts other limits in place, from the next body on.
    pub fn reload(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
    }

    /// Answers one `POST /api/events`.
    pub async fn post(&self, request: Request<HttpBody>) -> Response {
        match self.take(request).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        }
    }

    async fn take(&self, request: Request<HttpBody>) -> Result<Response, Problem> {
        let (mut head, body) = request.into_parts();
        let caller =
            head.extensions.remove::<Caller>().expect("the gate lets no request pass without");
        let import = match head.uri.query() {
            None => false,
            // A token in the query is the gate's.
            query => {
                let names = Endpoint::of(Id::SendEvents).query();
                Parameters::parse(query, &names)?.flag("import")?
            }
        };
        if import && !caller.grant.allows(Scope::Admin) {
            return Err(gate::wrong_scope(Scope::Admin));
        }
        let format = format(&head.headers)?;
        let gzip = is_gzip(&head.headers)?;
        let idempotency_key = idempotency_key(&head.headers)?;
        let (bytes, share) = self.read(&head.headers, body, gzip).await?;
        let source = Source { grant: caller.grant, budget: caller.budget, import, idempotency_key };
        let body = match format {
            Format::Json => Body::Json(bytes),
            Format::Ndjson => Body::Ndjson(bytes),
        };
        match self.ingest.submit_read(body, &source, share).await {
            Ok(verdicts) => {
                let mut response = answer(&verdicts);
                if let Some(standing) = &verdicts.standing {
                    gate::put_quota(response.headers_mut(), standing);
                }
                Ok(response)
            }
            Err(error) => Err(problem_of(&error)),
        }
    }

    /// Reads and unpacks the body. The share stands for its bytes.
    async fn read(
        &self,
        headers: &HeaderMap,
        body: HttpBody,
        gzip: bool,
    ) -> Result<(Bytes, Share), Problem> {
        let limits = **self.limits.load();
        let mut share = self.ingest.share();
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limits.body_bytes) {
            discard(headers, body, 2 * limits.body_bytes, DISCARD_WITHIN).await;
            return Err(limits.too_large());
        }
        let mut body = body;
        let read = limits.collect(&mut body, &mut share);
        let packed = tokio::time::timeout(limits.body_timeout, read).await.map_err(|_| {
            Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                format!("the body did not arrive within {} s", limits.body_timeout.as_secs()),
            )
            .header(header::CONNECTION, HeaderValue::from_static("close"))
        })??;
        if !gzip {
            return Ok((packed, share));
        }
        let unpacked = limits.unpack(&packed, &mut share)?;
        Ok((unpacked, share))
    }
}

impl Limits {
    async fn collect(&self, body: &mut HttpBody, share: &mut Share) -> Result<Bytes, Problem> {
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| {
                Problem::bad_request("incomplete_body", "the body ended before it was complete")
            })?;
            let Ok(data) = frame.into_data() else { continue };
            let so_far = rest.len() + first.as_ref().map_or(0, Bytes::len);
            if so_far + data.len() > self.body_bytes {
                return Err(self.too_large());
            }
            // What came, not what was announced: announcing costs a client nothing.
            share.grow(data.len()).map_err(|error| problem_of(&error))?;
            match first.take() {
                None if rest.is_empty() => first = Some(data),
                None => rest.extend_from_slice(&data),
                Some(earlier) => {
                    rest.reserve(earlier.len() + data.len());
                    rest.extend_from_slice(&earlier);
                    rest.extend_from_slice(&data);
                }
            }
        }
        Ok(first.unwrap_or_else(|| rest.freeze()))
    }

    /// Unpacks gzip (several members too) and stops at the limit, whatever the body claims.
    fn unpack(&self, packed: &[u8], share: &mut Share) -> Result<Bytes, Problem> {
        use std::io::Write;

        let bad = || Problem::bad_request("bad_gzip", "the body is not valid gzip");
        let mut unpacked = Vec::new();
        let mut decoder =
            MultiGzDecoder::new(Bounded { out: &mut unpacked, left: self.body_bytes });
        let mut from = 0;
        while from < packed.len() {
            let to = packed.len().min(from + 16 * 1024);
            match decoder.write(&packed[from..to]) {
                Ok(0) => return Err(bad()),
                Ok(taken) => from += taken,
                Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                    return Err(self.too_large());
                }
                Err(_) => return Err(bad()),
            }
        }
        match decoder.try_finish() {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                return Err(self.too_large());
            }
            Err(_) => return Err(bad()),
        }
        drop(decoder);
        share.grow(unpacked.len()).map_err(|error| problem_of(&error))?;
        Ok(unpacked.into())
    }

    fn too_large(&self) -> Problem {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!(
                "a body may have {} bytes, as sent and as unpacked (limits.body_bytes)",
                self.body_bytes
            ),
        )
    }
}

/// A writer that refuses to grow past its bound.
struct Bounded<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
}

impl std::io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() > self.left {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.left -= bytes.len();
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn format(headers: &HeaderMap) -> Result<Format, Problem> {
    let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let value = std::str::from_utf8(value).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    if is("application/json") || is("text/plain") {
        Ok(Format::Json)
    } else if is("application/x-ndjson") || is("application/ndjson") || is("application/jsonl") {
        Ok(Format::Ndjson)
    } else {
        let found = if essence.is_empty() { "no Content-Type" } else { essence };
        Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            format!(
                "{found} is not taken here; add the header `Content-Type: application/json` (an \
                 event or an array) or `Content-Type: application/x-ndjson` (an event a line)"
            ),
        )
        .header(header::ACCEPT, HeaderValue::from_static("application/json, application/x-ndjson")))
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let coding = codings.next().map(|value| value.to_str().unwrap_or("?").trim());
    let is_only = codings.next().is_none();
    let is = |name: &str| coding.is_some_and(|coding| coding.eq_ignore_ascii_case(name));
    match coding {
        None => Ok(false),
        Some("") if is_only => Ok(false),
        Some(_) if is_only && is("identity") => Ok(false),
        Some(_) if is_only && (is("gzip") || is("x-gzip")) => Ok(true),
        Some(coding) => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            format!("Content-Encoding {coding:?} is not taken here; gzip or none is"),
        )
        .header(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str().map(str::trim) {
        Ok(key) if (1..=256).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request(
            "bad_idempotency_key",
            "Idempotency-Key has 1 to 256 visible ASCII characters",
        )
        .field("Idempotency-Key")),
    }
}

fn answer(verdicts: &Verdicts) -> Response {
    if let Some(single) = &verdicts.single {
        let (status, word) = if single.duplicate {
            (StatusCode::OK, "duplicate")
        } else {
            (StatusCode::CREATED, "accepted")
        };
        let body = One {
            event_id: &single.event_id,
            status: word,
            route: &single.route,
            tick: single.tick,
        };
        return json(status, &body);
    }
    if verdicts.is_single
        && let Some(rejection) = verdicts.rejected.first()
    {
        if rejection.code == Code::WrongSite.as_str() {
            return gate::wrong_site(&*rejection.message).field("site").into_response();
        }
        let (code, message) = (rejection.code.clone(), rejection.message.clone());
        let mut problem = match rejection.retry_after_ms {
            None => Problem::bad_request(code, message),
            Some(ms) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
                .retry_after_secs(ms.div_ceil(1_000) as u32),
        };
        if let Some(field) = &rejection.field {
            problem = problem.field(field.clone());
        }
        return problem.into_response();
    }
    let all_refused = verdicts.accepted == 0 && verdicts.duplicates == 0;
    // When all may pass, it is the call that is worth sending again.
    let passing = verdicts.rejected.iter().filter_map(|rejection| rejection.retry_after_ms);
    let passing = passing.clone().count() == verdicts.rejected.len() && all_refused;
    let status = match all_refused {
        true if passing => StatusCode::SERVICE_UNAVAILABLE,
        true => StatusCode::BAD_REQUEST,
        false => StatusCode::OK,
    };
    let body = Many {
        accepted: verdicts.accepted,
        duplicates: verdicts.duplicates,
        rejected: &verdicts.rejected,
        rejected_total: verdicts.rejected_total,
        durable: true,
    };
    let mut response = json(status, &body);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn problem_of(error: &IngestError) -> Problem {
    if let IngestError::OverBudget(exceeded) = error {
        return gate::rate_limited(exceeded);
    }
    let (code, detail) = (error.code(), error.to_string());
    let status = match error {
        IngestError::Malformed(_) | IngestError::EmptyBatch => StatusCode::BAD_REQUEST,
        IngestError::TooManyEvents { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let problem = Problem::new(status, code, detail);
    match error.retry_after_ms() {
        Some(ms) => problem.retry_after_secs(ms.div_ceil(1_000) as u32),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn beacons_and_ndjson_names_are_taken_and_others_told_what_to_add() {
        let kind =
            |value| format(&headers(header::CONTENT_TYPE, value)).map_err(|p| p.code().to_owned());
        assert_eq!(kind("application/json; charset=utf-8"), Ok(Format::Json));
        assert_eq!(kind("text/plain;charset=UTF-8"), Ok(Format::Json));
        assert_eq!(kind("Application/JSONL"), Ok(Format::Ndjson));
        assert_eq!(kind("application/xml"), Err("unsupported_media_type".to_owned()));
        assert!(format(&HeaderMap::new()).is_err());
    }
}
