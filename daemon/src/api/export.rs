//! `GET /api/export`: every stored event that matches, as a file.
//!
//! Events come oldest stored first and end at what was stored when the call began. A file is made a
//! chunk at a time: one is encoded off the async threads while the one before is on its way, and
//! none more, so that a slow client costs two chunks and a block of the journal, whatever it asked
//! for. Nothing is held back for it: where retention overtakes an export, what it let go is left
//! out, and the trailer `Pulseboard-Missed` and the log say how much.
//!
//! A file that is not whole never looks whole: only an export that reached its end sends the last
//! chunk of the transfer coding. One ends early when the daemon stops, when the client is gone, or
//! when it has read nothing for [`STALLED_AFTER`].

mod rows;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use pulseboard::filter::Filter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use self::rows::{Encoder, Rows, Source};
use super::problem::Problem;
use super::query::Parameters;
use super::stored;
use crate::journal::{Journal, ScanRange};
use crate::store::mongodb::Archive;

/// Exports at a time; past it a call is answered 503 `busy`.
const EXPORTS_MAX: usize = 16;
/// Chunks that are ready and not taken yet; then encoding waits.
const CHUNKS_AHEAD: usize = 1;
/// A client that takes no chunk for this long is let go.
const STALLED_AFTER: Duration = Duration::from_mins(1);
/// How often an export that waits for its client looks whether the daemon stops.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Trailer: events in the file.
const EVENTS: HeaderName = HeaderName::from_static("pulseboard-events");
/// Trailer: matching or not, events that were let go before the export reached them.
const MISSED: HeaderName = HeaderName::from_static("pulseboard-missed");

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line, as in `GET /api/events`.
    Ndjson,
    /// A header row and a row an event.
    Csv,
}

impl Format {
    /// As written in a query, and as a file's extension.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        })
    }
}

/// What a call asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    filter: Filter,
    format: Format,
}

impl Asked {
    /// Reads the parameters. `parse` reads a filter expression as whoever asks may see it.
    pub fn read(
        parameters: &Parameters,
        now_ms: i64,
        parse: impl Fn(&str) -> Result<Filter, Problem>,
    ) -> Result<Self, Problem> {
        let from_ms = parameters.time_ms("from", now_ms)?;
        let to_ms = parameters.time_ms("to", now_ms)?;
        if let (Some(from_ms), Some(to_ms)) = (from_ms, to_ms)
            && from_ms >= to_ms
        {
            let detail = "`from` is not before `to`: nothing lies between".to_owned();
            return Err(Problem::query("from", "empty_span", detail));
        }
        let format = match parameters.text("format") {
            None | Some("ndjson") => Format::Ndjson,
            Some("csv") => Format::Csv,
            Some(other) => {
                let detail = format!("`format` is {other:?}; it is `ndjson` or `csv`");
                return Err(Problem::query("format", "bad_format", detail));
            }
        };
        let filter = parse(parameters.text("filter").unwrap_or_default())?;
        Ok(Self { from_ms, to_ms, filter, format })
    }

    fn takes(&self, event: &pulseboard::event::EventRef<'_>) -> bool {
        let time_ms = event.row().timestamp_ms;
        self.from_ms.is_none_or(|from_ms| time_ms >= from_ms)
            && self.to_ms.is_none_or(|to_ms| time_ms < to_ms)
            && self.filter.matches(event)
    }
}

/// The exports of a daemon: how many there are at a time.
#[derive(Clone, Debug)]
pub struct Exports {
    slots: Arc<Semaphore>,
    stopping: Arc<AtomicBool>,
}

impl Exports {
    /// None yet. They end when `stopping` is set.
    pub fn new(stopping: Arc<AtomicBool>) -> Self {
        Self { slots: Arc::new(Semaphore::new(EXPORTS_MAX)), stopping }
    }

    /// Exports that are under way.
    pub fn running(&self) -> usize {
        EXPORTS_MAX - self.slots.available_permits()
    }

    /// Answers a call; for HEAD with the headers alone. A file begins when a shared store has answered
    /// for it: one that cannot be asked is a refusal, not half a file.
    pub async fn answer(
        &self,
        (journal, archive): (&Journal, Option<&Archive>),
        asked: Asked,
        method: &Method,
        gzip: bool,
        now_ms: i64,
    ) -> Response {
        let headers = headers(asked.format, gzip, now_ms);
        if method == Method::HEAD {
            return (headers, Body::empty()).into_response();
        }
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                format!("{EXPORTS_MAX} exports are under way; try again when one has ended"),
            )
            .retry_after_secs(10)
            .into_response();
        };
        let (from_ms, to_ms) = (asked.from_ms, asked.to_ms);
        let source = if let Some(archive) = archive {
            let (archive, filter) = (archive.clone(), asked.filter.clone());
            let begin = move || archive.export(&filter, from_ms, to_ms)?.begun();
            match tokio::task::spawn_blocking(begin).await {
                Ok(Ok(export)) => Source::Store(Box::new(export)),
                Ok(Err(error)) => return stored::problem(&error).into_response(),
                Err(error) => {
                    tracing::error!(%error, "an export could not be begun");
                    return super::internal();
                }
            }
        } else {
            let range = ScanRange { from_ms, to_ms, ..ScanRange::default() };
            Source::Journal(journal.forward(range))
        };
        let (chunks, taken) = mpsc::channel(CHUNKS_AHEAD);
        let run = Run { exports: self.clone(), chunks, _slot: slot };
        tokio::spawn(run.drive(Producer::new(source, asked, gzip)));
        let frames = futures_util::stream::unfold(Some(taken), frame);
        (headers, Body::new(StreamBody::new(frames))).into_response()
    }
}

fn headers(format: Format, gzip: bool, now_ms: i64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, format.content_type());
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers
        .insert(header::TRAILER, HeaderValue::from_static("pulseboard-events, pulseboard-missed"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let when = jiff::Timestamp::from_millisecond(now_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let when = when.strftime("%Y%m%dT%H%M%SZ");
    let name = format!("attachment; filename=\"pulseboard-{when}.{}\"", format.name());
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    headers
}

/// What goes to the client.
enum Chunk {
    Data(Bytes),
    End { events: u64, missed: u64 },
}

type Taken = mpsc::Receiver<Chunk>;

/// The next frame of a body. A file is whole when its end was said; a sender that went away
/// before is an error, which cuts the connection.
async fn frame(taken: Option<Taken>) -> Option<(io::Result<Frame<Bytes>>, Option<Taken>)> {
    let mut taken = taken?;
    Some(match taken.recv().await {
        Some(Chunk::Data(bytes)) => (Ok(Frame::data(bytes)), Some(taken)),
        Some(Chunk::End { events, missed }) => {
            let mut trailers = HeaderMap::new();
            trailers.insert(EVENTS, HeaderValue::from(events));
            trailers.insert(MISSED, HeaderValue::from(missed));
            (Ok(Frame::trailers(trailers)), None)
        }
        None => (Err(io::Error::other("the export ended early")), None),
    })
}

/// An export under way.
struct Run {
    exports: Exports,
    chunks: mpsc::Sender<Chunk>,
    _slot: OwnedSemaphorePermit,
}

impl Run {
    async fn drive(self, mut producer: Producer) {
        loop {
            let (stopping, chunks) = (Arc::clone(&self.exports.stopping), self.chunks.clone());
            let made = tokio::task::spawn_blocking(move || {
                let go_on = || !stopping.load(Ordering::Relaxed) && !chunks.is_closed();
                let chunk = producer.chunk(&go_on);
                (producer, chunk)
            });
            let Ok((back, Some(chunk))) = made.await else {
                tracing::debug!("an export ended early");
                return;
            };
            producer = back;
            let last = matches!(chunk, Chunk::End { .. });
            if last && producer.missed() > 0 {
                tracing::warn!(
                    missed = producer.missed(),
                    "an export was overtaken by retention, or met damaged blocks, and left these \
                     events out"
                );
            }
            if !self.hand_over(chunk).await || last {
                return;
            }
        }
    }

    /// Waits for the client to take the chunk before; `false` when it will not.
    async fn hand_over(&self, chunk: Chunk) -> bool {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let reserve = tokio::time::timeout(STALLED_AFTER, self.chunks.reserve());
        let mut reserve = std::pin::pin!(reserve);
        loop {
            tokio::select! {
                reserved = &mut reserve => match reserved {
                    Ok(Ok(place)) => {
                        place.send(chunk);
                        return true;
                    }
                    Ok(Err(_)) => return false,
                    Err(_) => {
                        tracing::info!(
                            "an export was ended: its client read nothing for {} s",
                            STALLED_AFTER.as_secs()
                        );
                        return false;
                    }
                },
                _ = looks.tick() => if self.exports.stopping.load(Ordering::Relaxed) {
                    return false;
                }
            }
        }
    }
}

/// Makes the file, chunk by chunk.
struct Producer {
    rows: Rows,
    encoder: Encoder,
    ended: bool,
}

impl Producer {
    fn new(source: Source, asked: Asked, gzip: bool) -> Self {
        let encoder = Encoder::new(asked.format, gzip);
        Self { rows: Rows::new(source, asked), encoder, ended: false }
    }

    fn missed(&self) -> u64 {
        self.rows.missed()
    }

    /// The next chunk; `None` when `go_on` said no.
    fn chunk(&mut self, go_on: &dyn Fn() -> bool) -> Option<Chunk> {
        while !self.ended {
            if !go_on() {
                return None;
            }
            match self.rows.fill(&mut self.encoder) {
                rows::Filled::Some => {}
                rows::Filled::End => self.ended = true,
                rows::Filled::Broken => return None,
            }
            if let Some(bytes) = self.encoder.take(self.ended) {
                return Some(Chunk::Data(bytes));
            }
        }
        Some(Chunk::End { events: self.rows.events(), missed: self.missed() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::endpoints::{Endpoint, Id};

    fn asked(query: &str) -> Result<Asked, Problem> {
        let names = Endpoint::of(Id::ExportEvents).query();
        let parameters = Parameters::parse(Some(query), &names)?;
        Asked::read(&parameters, 1_763_884_800_000, |_| Ok(Filter::default()))
    }

    #[test]
    fn a_bad_format_and_an_empty_span_are_refused() {
        let code = |query| asked(query).map_err(|problem| problem.code().to_owned()).unwrap_err();
        assert_eq!(code("format=xml"), "bad_format");
        assert_eq!(code("from=now&to=-1h"), "empty_span");
        assert_eq!(asked("format=csv").unwrap().format, Format::Csv);
        assert_eq!(asked("").unwrap().format, Format::Ndjson);
    }

    #[tokio::test]
    async fn a_file_whose_end_was_not_said_is_an_error() {
        let (sender, taken) = mpsc::channel(1);
        sender.send(Chunk::Data(Bytes::from_static(b"{}\n"))).await.ok();
        drop(sender);
        let (first, taken) = frame(Some(taken)).await.unwrap();
        assert!(first.is_ok_and(|frame| frame.is_data()));
        let (last, _) = frame(taken).await.unwrap();
        assert!(last.is_err());
    }
}
