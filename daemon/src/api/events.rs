//! `GET /api/events`: stored events, newest stored first, a page at a time.
//!
//! Reads the journal block by block and skips those outside of the time asked for; it never holds
//! more than a page and a block. Blocking: callers run it off the async threads.

use pulseboard::event::EventRef;
use pulseboard::filter::Filter;
use pulseboard::wire::server::StoredEvent;
use schemars::JsonSchema;
use serde::Serialize;

use super::problem::Problem;
use super::query::Parameters;
use super::stored;
use crate::journal::{Journal, ScanRange};
use crate::store::mongodb::{Archive, ArchiveError, PageAsked};

mod cursor;

pub use cursor::Cursors;

/// Parameters that are a term of a filter each.
const TERMS: [&str; 8] =
    ["route", "type", "site", "status", "error", "userId", "sessionId", "clientId"];

/// A page of events and where the next one starts.
#[derive(JsonSchema, Serialize)]
pub struct Page {
    events: Vec<StoredEvent>,
    next: Option<String>,
}

/// What a request asks for.
#[derive(Debug)]
pub struct Asked {
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    filter: Filter,
    limit: usize,
    cursor: Option<String>,
}

impl Asked {
    /// Reads the parameters. `parse` reads a filter expression as this daemon normalises routes.
    pub fn read(
        parameters: &Parameters,
        now_ms: i64,
        parse: impl Fn(&str) -> Result<Filter, Problem>,
    ) -> Result<Self, Problem> {
        let mut expression = parameters.text("filter").unwrap_or_default().to_owned();
        for name in TERMS {
            if let Some(value) = parameters.text(name) {
                let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
                // A prefix or a status class is only one outside of quotes.
                let bare = !value.contains([' ', '"', '\\']);
                let term = if bare {
                    format!(" {name}={value}")
                } else {
                    format!(" {name}=\"{escaped}\"")
                };
                expression.push_str(&term);
            }
        }
        Ok(Self {
            from_ms: parameters.time_ms("from", now_ms)?,
            to_ms: parameters.time_ms("to", now_ms)?,
            filter: parse(&expression)?,
            limit: parameters.number("limit", 1, 1_000)?.unwrap_or(100) as usize,
            cursor: parameters.text("cursor").map(str::to_owned),
        })
    }

    /// The place its cursor names, if it has one.
    fn before<T>(&self, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let place = read(cursor).ok_or_else(|| {
            let detail = format!("`cursor` is {cursor:?}; pass on `next` of the page before");
            Problem::query("cursor", "bad_cursor", detail)
        });
        place.map(Some)
    }
}

/// Finds a page.
pub fn page(journal: &Journal, cursors: &Cursors, asked: &Asked) -> Result<Page, Problem> {
    let range = ScanRange {
        before_seq: asked.before(|cursor| cursors.read(cursor))?,
        from_ms: asked.from_ms,
        to_ms: asked.to_ms,
        ..ScanRange::default()
    };
    let mut events = Vec::new();
    for (first_seq, batch) in journal.scan(range) {
        for index in (0..batch.len()).rev() {
            let seq = first_seq + index as u64;
            let event = batch.get(index);
            let time_ms = event.row().timestamp_ms;
            let outside = asked.from_ms.is_some_and(|from_ms| time_ms < from_ms)
                || asked.to_ms.is_some_and(|to_ms| time_ms >= to_ms);
            if outside || !asked.filter.matches(&event) {
                continue;
            }
            events.push(shown(&event));
            if events.len() == asked.limit {
                return Ok(Page { events, next: (seq > 1).then(|| cursors.write(seq)) });
            }
        }
    }
    Ok(Page { events, next: None })
}

/// Finds a page in the shared store.
pub fn shared_page(archive: &Archive, asked: &Asked) -> Result<Page, Problem> {
    let refused = |error: &ArchiveError| stored::problem(error);
    let cursors = Cursors::new(&archive.cursor_key().map_err(|error| refused(&error))?);
    let question = PageAsked {
        filter: &asked.filter,
        from_ms: asked.from_ms,
        to_ms: asked.to_ms,
        before: asked.before(|cursor| cursors.read_spot(cursor))?,
        limit: asked.limit,
    };
    let page = archive.page(&question).map_err(|error| refused(&error))?;
    let events: Vec<StoredEvent> = page.iter().map(|event| shown(&event)).collect();
    let end = page.end().filter(|_| events.len() == asked.limit);
    Ok(Page { next: end.map(|end| cursors.write_spot(end)), events })
}

/// An event as REST and the tail show it.
pub fn shown(event: &EventRef<'_>) -> StoredEvent {
    let own = |text: &str| text.to_owned();
    StoredEvent {
        event_id: own(event.event_id()),
        kind: own(event.kind()),
        route: own(event.route()),
        timestamp: event.row().timestamp_ms,
        stored_at: event.row().arrival_ms,
        site: own(event.site()),
        user_id: event.user_id().map(own),
        session_id: event.session_id().map(own),
        client_id: event.client_id().map(own),
        status: event.status(),
        error: event.row().error,
        latency_ms: event.latency_ms(),
        props: event.props().and_then(|props| serde_json::from_str(props).ok()),
    }
}
