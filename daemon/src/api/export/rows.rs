//! The rows of an export: events out of the journal, in, bytes of a file, out.
//!
//! CSV has a header row, RFC 4180's line ends and every field of the contract; times are RFC 3339,
//! props their JSON. A text that a spreadsheet would take for a formula (it begins with one of
//! `= + - @`, a tab or a line end) gets a `'` in front, and numbers stay numbers. NDJSON has the
//! items of `GET /api/events`.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use pulseboard::event::{EventBatch, EventRef};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Asked, Format};
use crate::journal::Forward;
use crate::store::mongodb::{ArchiveError, Export};

/// Bytes of rows that are made at once, about.
const ROWS_BYTES: usize = 64 * 1024;
/// A packed chunk goes out when it has this many bytes.
const PACKED_BYTES: usize = 16 * 1024;
/// What a spreadsheet takes for the beginning of a formula.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

const COLUMNS: [&str; 13] = [
    "eventId",
    "type",
    "route",
    "timestamp",
    "storedAt",
    "site",
    "userId",
    "sessionId",
    "clientId",
    "status",
    "error",
    "latencyMs",
    "props",
];

/// Matching events, in order.
pub(super) struct Rows {
    source: Source,
    asked: Asked,
    /// The batch being read, and the next event of it.
    at: Option<(Arc<EventBatch>, usize)>,
    events: u64,
}

/// Where events come from, the oldest stored first.
pub(super) enum Source {
    Journal(Forward),
    Store(Box<Export>),
}

impl Source {
    fn next(&mut self) -> Result<Option<Arc<EventBatch>>, ArchiveError> {
        match self {
            Self::Journal(scan) => Ok(scan.next().map(|(_, batch)| batch)),
            Self::Store(export) => export.next_batch(),
        }
    }

    fn missed(&self) -> u64 {
        match self {
            Self::Journal(scan) => scan.missed(),
            Self::Store(export) => export.missed(),
        }
    }
}

/// How it went.
pub(super) enum Filled {
    /// There may be more.
    Some,
    /// That was all.
    End,
    /// There is more, and it cannot be had.
    Broken,
}

impl Rows {
    pub(super) fn new(source: Source, asked: Asked) -> Self {
        Self { source, asked, at: None, events: 0 }
    }

    /// Rows so far.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Events that were gone before they were reached.
    pub(super) fn missed(&self) -> u64 {
        self.source.missed()
    }

    /// Adds rows until a chunk is full or a batch is read.
    pub(super) fn fill(&mut self, encoder: &mut Encoder) -> Filled {
        let (batch, from) = match self.at.take() {
            Some(at) => at,
            None => match self.source.next() {
                Ok(Some(batch)) => (batch, 0),
                Ok(None) => return Filled::End,
                Err(error) => {
                    tracing::warn!(%error, "an export ended early");
                    return Filled::Broken;
                }
            },
        };
        let mut out = encoder.rows();
        for index in from..batch.len() {
            if out.len() >= ROWS_BYTES {
                self.at = Some((batch, index));
                break;
            }
            let event = batch.get(index);
            if self.asked.takes(&event) {
                out.push(&event);
                self.events += 1;
            }
        }
        Filled::Some
    }
}

/// Turns rows into the bytes that are sent.
pub(super) struct Encoder {
    format: Format,
    plain: Vec<u8>,
    packed: Option<GzEncoder<Vec<u8>>>,
}

impl Encoder {
    pub(super) fn new(format: Format, gzip: bool) -> Self {
        let mut encoder = Self {
            format,
            plain: Vec::with_capacity(2 * ROWS_BYTES),
            packed: gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast())),
        };
        if format == Format::Csv {
            encoder.plain.extend_from_slice(COLUMNS.join(",").as_bytes());
            encoder.plain.extend_from_slice(b"\r\n");
        }
        encoder
    }

    fn rows(&mut self) -> Out<'_> {
        match self.format {
            Format::Ndjson => Out::Ndjson(&mut self.plain),
            Format::Csv => {
                let writer = csv::WriterBuilder::new()
                    .has_headers(false)
                    .terminator(csv::Terminator::CRLF)
                    .buffer_capacity(4 * 1024)
                    .from_writer(&mut self.plain);
                Out::Csv { writer: Box::new(writer), bytes: 0 }
            }
        }
    }

    /// The bytes to send, when there are enough, or when these are the last.
    pub(super) fn take(&mut self, last: bool) -> Option<Bytes> {
        let Some(packed) = &mut self.packed else {
            let enough = last || self.plain.len() >= ROWS_BYTES;
            let chunk = (enough && !self.plain.is_empty())
                .then(|| Bytes::from(std::mem::take(&mut self.plain)));
            return chunk;
        };
        // Writing to memory does not fail.
        packed.write_all(&self.plain).expect("a vector takes what is written to it");
        self.plain.clear();
        if last {
            packed.try_finish().expect("a vector takes what is written to it");
        }
        let out = packed.get_mut();
        let enough = last || out.len() >= PACKED_BYTES;
        (enough && !out.is_empty()).then(|| Bytes::from(std::mem::take(out)))
    }
}

/// Where rows go.
enum Out<'a> {
    Ndjson(&'a mut Vec<u8>),
    Csv { writer: Box<csv::Writer<&'a mut Vec<u8>>>, bytes: usize },
}

impl Out<'_> {
    /// Bytes so far, about.
    fn len(&self) -> usize {
        match self {
            Self::Ndjson(out) => out.len(),
            Self::Csv { bytes, .. } => *bytes,
        }
    }

    fn push(&mut self, event: &EventRef<'_>) {
        match self {
            Self::Ndjson(out) => {
                serde_json::to_writer(&mut **out, &Line::of(event))
                    .expect("an event is plain data");
                out.push(b'\n');
            }
            Self::Csv { writer, bytes } => {
                for cell in cells(event) {
                    *bytes += cell.len() + 1;
                    writer.write_field(&*cell).expect("a vector takes what is written to it");
                }
                writer.write_record(None::<&[u8]>).expect("every row has the same columns");
            }
        }
    }
}

/// An event as `GET /api/events` has it, without copying its text.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    event_id: &'a str,
    r#type: &'a str,
    route: &'a str,
    timestamp: i64,
    stored_at: i64,
    site: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    props: Option<&'a RawValue>,
}

impl<'a> Line<'a> {
    fn of(event: &EventRef<'a>) -> Self {
        Self {
            event_id: event.event_id(),
            r#type: event.kind(),
            route: event.route(),
            timestamp: event.row().timestamp_ms,
            stored_at: event.row().arrival_ms,
            site: event.site(),
            user_id: event.user_id(),
            session_id: event.session_id(),
            client_id: event.client_id(),
            status: event.status(),
            error: event.row().error,
            latency_ms: event.latency_ms(),
            props: event.props().and_then(|props| serde_json::from_str(props).ok()),
        }
    }
}

fn cells<'a>(event: &EventRef<'a>) -> [Cow<'a, str>; COLUMNS.len()] {
    let number = |number: Option<String>| Cow::Owned(number.unwrap_or_default());
    let optional = |text: Option<&'a str>| text.map_or(Cow::Borrowed(""), safe);
    [
        safe(event.event_id()),
        safe(event.kind()),
        safe(event.route()),
        time(event.row().timestamp_ms),
        time(event.row().arrival_ms),
        safe(event.site()),
        optional(event.user_id()),
        optional(event.session_id()),
        optional(event.client_id()),
        number(event.status().map(|status| status.to_string())),
        Cow::Borrowed(event.row().error.map_or("", |error| if error { "true" } else { "false" })),
        number(event.latency_ms().map(|latency_ms| latency_ms.to_string())),
        Cow::Borrowed(event.props().unwrap_or_default()),
    ]
}

/// RFC 3339 with milliseconds; a number where the calendar ends.
fn time(unix_ms: i64) -> Cow<'static, str> {
    Cow::Owned(match jiff::Timestamp::from_millisecond(unix_ms) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => unix_ms.to_string(),
    })
}

/// A text that no spreadsheet takes for a formula.
fn safe(text: &str) -> Cow<'_, str> {
    if text.starts_with(FORMULA) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulseboard::event::Row;

    fn event(user: &str, props: &str) -> EventBatch {
        let mut batch = EventBatch::default();
        let row = Row {
            event_id: batch.add_text("-1"),
            kind: batch.add_text("click"),
            route: batch.add_text("/a, \"b\""),
            site: batch.add_text("default"),
            user_id: batch.add_text(user),
            props: batch.add_text(props),
            arrival_ms: 1_763_884_800_000,
            timestamp_ms: 1_763_884_799_005,
            latency_ms: 12.5,
            status: 200,
            ..Row::default()
        };
        batch.push(row);
        batch
    }

    fn written(format: Format, batch: &EventBatch) -> String {
        let mut encoder = Encoder::new(format, false);
        let mut rows = encoder.rows();
        batch.iter().for_each(|event| rows.push(&event));
        drop(rows);
        String::from_utf8(encoder.take(true).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_csv_row_has_every_field_and_no_formula() {
        let batch = event("=HYPERLINK(\"http://x\")", r#"{"a":1,"b":"c"}"#);
        let text = written(Format::Csv, &batch);
        assert_eq!(
            text,
            "eventId,type,route,timestamp,storedAt,site,userId,sessionId,clientId,status,error,\
             latencyMs,props\r\n'-1,click,\"/a, \"\"b\"\"\",2025-11-23T07:59:59.005Z,\
             2025-11-23T08:00:00.000Z,default,\"'=HYPERLINK(\"\"http://x\"\")\",,,200,,12.5,\
             \"{\"\"a\"\":1,\"\"b\"\":\"\"c\"\"}\"\r\n"
        );
    }

    #[test]
    fn every_beginning_of_a_formula_is_made_text() {
        for begin in FORMULA {
            assert_eq!(safe(&format!("{begin}x")), format!("'{begin}x"));
        }
        assert_eq!(safe("a=b"), "a=b");
        assert_eq!(safe(""), "");
    }

    #[test]
    fn a_line_is_an_item_of_the_events_call() {
        let batch = event("u", r#"{"a":1.5}"#);
        let line: serde_json::Value =
            serde_json::from_str(&written(Format::Ndjson, &batch)).unwrap();
        let item = crate::api::events::shown(&batch.get(0));
        assert_eq!(line, serde_json::to_value(item).unwrap());
    }

    #[test]
    fn a_packed_file_unpacks_to_the_plain_one() {
        use std::io::Read as _;
        let batch = event("u", "{}");
        let mut encoder = Encoder::new(Format::Ndjson, true);
        let mut packed = Vec::new();
        for _ in 0..2_000 {
            encoder.rows().push(&batch.get(0));
            packed.extend(encoder.take(false).unwrap_or_default());
        }
        packed.extend(encoder.take(true).unwrap());
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, written(Format::Ndjson, &batch).repeat(2_000));
    }
}
