//! Events as documents and back: the contract's fields, and what this side needs besides.
//!
//! `_id` is site and eventId, so that an event that is sent to the store twice is there once. `node`
//! and `seq` say which instance stored it, and as which event of its journal: so that its own second
//! attempt is told from another instance's event, and events stored within one millisecond have an
//! order. `class` stands only in events that are not live: what is counted later is counted as it was
//! live. Pure, and without intermediate maps: the drain makes hundreds of thousands of these a
//! second.

mod props;

use mongodb::bson::raw::{RawBsonRef, cstr};
use mongodb::bson::{DateTime, RawDocument, RawDocumentBuf};
use pulseboard::event::{Class, EventBatch, EventRef, Row, Span};

/// Which instance's event a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place<'a> {
    /// The node's id.
    pub node: &'a str,
    /// Its sequence in that node's journal.
    pub seq: u64,
}

/// Why a document is not an event of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It breaks off, or is no BSON.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// A field is missing, or is of another type.
    #[error("its `{0}` is missing or not what it should be")]
    Field(&'static str),
}

/// The `_id` of an event.
pub fn event_id(event: &EventRef<'_>) -> String {
    let (site, id) = (event.site(), event.event_id());
    let mut text = String::with_capacity(site.len() + 1 + id.len());
    text.push_str(site);
    text.push('/');
    text.push_str(id);
    text
}

/// An event as it is stored.
pub fn event_document(event: &EventRef<'_>, place: Place<'_>) -> RawDocumentBuf {
    let row = event.row();
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("_id"), event_id(event).as_str());
    document.append(cstr!("eventId"), event.event_id());
    document.append(cstr!("type"), event.kind());
    document.append(cstr!("route"), event.route());
    document.append(cstr!("timestamp"), DateTime::from_millis(row.timestamp_ms));
    document.append(cstr!("storedAt"), DateTime::from_millis(row.arrival_ms));
    document.append(cstr!("site"), event.site());
    if let Some(user_id) = event.user_id() {
        document.append(cstr!("userId"), user_id);
    }
    if let Some(session_id) = event.session_id() {
        document.append(cstr!("sessionId"), session_id);
    }
    if let Some(client_id) = event.client_id() {
        document.append(cstr!("clientId"), client_id);
    }
    if let Some(status) = event.status() {
        document.append(cstr!("status"), i32::from(status));
    }
    if let Some(error) = row.error {
        document.append(cstr!("error"), error);
    }
    if let Some(latency_ms) = event.latency_ms() {
        document.append(cstr!("latencyMs"), latency_ms);
    }
    if let Some(text) = event.props() {
        match props::to_document(text) {
            Some(props) => document.append(cstr!("props"), &props),
            // A key holds a NUL, which no document can.
            None => document.append(cstr!("props"), text),
        }
    }
    match row.class {
        Class::Live => {}
        Class::Late => document.append(cstr!("class"), "late"),
        Class::Import => document.append(cstr!("class"), "import"),
    }
    document.append(cstr!("node"), place.node);
    document.append(cstr!("seq"), place.seq as i64);
    document
}

/// Adds a stored event to a batch. Its fingerprint is 0: what was stored is asked for no more.
pub fn read_event<'a>(
    document: &'a RawDocument,
    batch: &mut EventBatch,
) -> Result<Place<'a>, DocumentError> {
    let text_len = batch.text_len();
    let read = read(document, batch);
    if read.is_err() {
        batch.truncate_text(text_len);
    }
    read
}

fn read<'a>(document: &'a RawDocument, batch: &mut EventBatch) -> Result<Place<'a>, DocumentError> {
    let mut row = Row::default();
    let (mut timestamp, mut arrival) = (None, None);
    let mut place = Place { node: "", seq: 0 };
    for element in document {
        let (key, value) = element.map_err(|error| DocumentError::Damaged(error.to_string()))?;
        match (key.as_str(), value) {
            ("eventId", value) => row.event_id = text(batch, value, "eventId")?,
            ("type", value) => row.kind = text(batch, value, "type")?,
            ("route", value) => row.route = text(batch, value, "route")?,
            ("site", value) => row.site = text(batch, value, "site")?,
            ("userId", value) => row.user_id = text(batch, value, "userId")?,
            ("sessionId", value) => row.session_id = text(batch, value, "sessionId")?,
            ("clientId", value) => row.client_id = text(batch, value, "clientId")?,
            ("timestamp", RawBsonRef::DateTime(at)) => timestamp = Some(at.timestamp_millis()),
            ("storedAt", RawBsonRef::DateTime(at)) => arrival = Some(at.timestamp_millis()),
            ("status", RawBsonRef::Int32(status)) => {
                row.status = u16::try_from(status).map_err(|_| DocumentError::Field("status"))?;
            }
            ("error", RawBsonRef::Boolean(error)) => row.error = Some(error),
            ("latencyMs", RawBsonRef::Double(ms)) => row.latency_ms = ms,
            ("props", RawBsonRef::Document(props)) => {
                row.props = span(batch, &props::to_text(props)?, "props")?;
            }
            ("props", value) => row.props = text(batch, value, "props")?,
            ("class", RawBsonRef::String("late")) => row.class = Class::Late,
            ("class", RawBsonRef::String("import")) => row.class = Class::Import,
            ("node", RawBsonRef::String(node)) => place.node = node,
            ("seq", RawBsonRef::Int64(seq)) => place.seq = seq as u64,
            ("timestamp", _) => return Err(DocumentError::Field("timestamp")),
            ("storedAt", _) => return Err(DocumentError::Field("storedAt")),
            ("status", _) => return Err(DocumentError::Field("status")),
            ("error", _) => return Err(DocumentError::Field("error")),
            ("latencyMs", _) => return Err(DocumentError::Field("latencyMs")),
            ("class", _) => return Err(DocumentError::Field("class")),
            // Somebody's own field is theirs.
            _ => {}
        }
    }
    for (span, name) in
        [(row.event_id, "eventId"), (row.kind, "type"), (row.route, "route"), (row.site, "site")]
    {
        if span.len == 0 {
            return Err(DocumentError::Field(name));
        }
    }
    row.timestamp_ms = timestamp.ok_or(DocumentError::Field("timestamp"))?;
    row.arrival_ms = arrival.ok_or(DocumentError::Field("storedAt"))?;
    batch.push(row);
    Ok(place)
}

fn text(
    batch: &mut EventBatch,
    value: RawBsonRef<'_>,
    name: &'static str,
) -> Result<Span, DocumentError> {
    match value {
        RawBsonRef::String(text) => span(batch, text, name),
        _ => Err(DocumentError::Field(name)),
    }
}

fn span(batch: &mut EventBatch, text: &str, name: &'static str) -> Result<Span, DocumentError> {
    if text.len() > usize::from(u16::MAX) {
        return Err(DocumentError::Field(name));
    }
    Ok(if text.is_empty() { Span::default() } else { batch.add_text(text) })
}

#[cfg(test)]
mod tests;
