//! Every question that is asked of the store, and the index that answers it. Who asks builds its
//! question here, and so does the test that has the server explain each of them.
//!
//! Each names its index as a hint: which of several fits is known here, and a plan that was right
//! for one value of a field and is remembered for another can cost minutes. Pure.

use mongodb::bson::{DateTime, Document, doc};
use pulseboard::filter::{Condition, Filter};
use pulseboard::limits::AHEAD_MS;

use super::schema::{AGGREGATES, EVENTS};

/// A question.
#[derive(Clone, Debug)]
pub struct Find {
    /// Where.
    pub collection: &'static str,
    /// Which documents.
    pub filter: Document,
    /// In which order; empty for any.
    pub sort: Document,
    /// By which index.
    pub hint: Document,
    /// Which fields; empty for all.
    pub projection: Document,
    /// How many at most; 0 for all.
    pub limit: i64,
    /// How many come at a time.
    pub batch_size: u32,
}

/// Documents of one answer that come at a time.
const BATCH: u32 = 1_000;
/// Buckets that come at a time: each may have some megabytes.
const BUCKETS_BATCH: u32 = 100;

impl Find {
    fn on(collection: &'static str, filter: Document, hint: Document) -> Self {
        let batch_size = if collection == EVENTS { BATCH } else { BUCKETS_BATCH };
        let (sort, projection, limit) = (doc! {}, doc! {}, 0);
        Self { collection, filter, sort, hint, projection, limit, batch_size }
    }

    /// As the command is sent, for the server to explain.
    pub fn command(&self) -> Document {
        let mut command = doc! {
            "find": self.collection,
            "filter": self.filter.clone(),
            "sort": self.sort.clone(),
            "hint": self.hint.clone(),
            "projection": self.projection.clone(),
        };
        if self.limit > 0 {
            command.insert("limit", self.limit);
        }
        command
    }
}

/// Which events, of which times.
#[derive(Clone, Debug)]
pub struct Matching<'a> {
    /// What they must fit.
    pub filter: &'a Filter,
    /// Least own timestamp, Unix ms.
    pub from_ms: Option<i64>,
    /// The first own timestamp after them, Unix ms.
    pub to_ms: Option<i64>,
    /// Now, Unix ms.
    pub now_ms: i64,
}

/// What picks events out before they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// A field that has few events for each value, or a route; then when they were stored.
    Field(&'static str),
    Timestamp,
    StoredAt,
}

impl By {
    fn hint(self) -> Document {
        match self {
            Self::Field(field) => doc! { field: 1, "storedAt": 1 },
            Self::Timestamp => doc! { "timestamp": 1 },
            Self::StoredAt => doc! { "storedAt": 1 },
        }
    }
}

impl Matching<'_> {
    /// The field that picks out the fewest.
    fn field(&self) -> Option<&'static str> {
        ["userId", "sessionId", "clientId", "route"].into_iter().find(|name| {
            self.filter.conditions().any(|condition| {
                matches!(condition, Condition::Text { field, is_prefix: false, .. }
                    if field == *name)
            })
        })
    }

    /// For a page, newest stored first. Events of a span that lies further back than it is long are
    /// found by their own time and sorted, only as many as the page has being kept; all others are
    /// walked in the order of the page.
    fn page_by(&self) -> By {
        let is_past = match (self.from_ms, self.to_ms) {
            (Some(from_ms), Some(to_ms)) => self.now_ms - to_ms > to_ms - from_ms,
            _ => false,
        };
        match self.field() {
            Some("route") | None if is_past => By::Timestamp,
            Some(field) => By::Field(field),
            None => By::StoredAt,
        }
    }

    /// What a document must have.
    fn conditions(&self) -> Vec<Document> {
        let mut all = conditions(self.filter);
        let mut span = doc! {};
        if let Some(from_ms) = self.from_ms {
            span.insert("$gte", date(from_ms));
        }
        if let Some(to_ms) = self.to_ms {
            span.insert("$lt", date(to_ms));
        }
        if !span.is_empty() {
            all.push(doc! { "timestamp": span });
        }
        if let Some(from_ms) = self.from_ms {
            // None is stored before its time, but for clocks that are ahead.
            all.push(doc! { "storedAt": { "$gte": date(from_ms.saturating_sub(AHEAD_MS)) } });
        }
        all
    }
}

/// A page of events stored before a time (Unix ms; none: from the newest on), newest stored first.
/// Those of the last millisecond may be some of it only.
pub fn page(matching: &Matching<'_>, before_ms: Option<i64>, limit: usize) -> Find {
    let mut all = matching.conditions();
    if let Some(before_ms) = before_ms {
        all.push(doc! { "storedAt": { "$lt": date(before_ms) } });
    }
    Find {
        sort: doc! { "storedAt": -1 },
        limit: limit as i64,
        ..Find::on(EVENTS, and(all), matching.page_by().hint())
    }
}

/// Events stored in one millisecond, in the order of pages, after a place in it if there is one.
pub fn moment(
    matching: &Matching<'_>,
    stored_ms: i64,
    after: Option<(&str, u64)>,
    limit: usize,
) -> Find {
    let mut all = matching.conditions();
    all.push(doc! { "storedAt": date(stored_ms) });
    if let Some((node, seq)) = after {
        let same = doc! { "node": node, "seq": { "$lt": seq as i64 } };
        all.push(doc! { "$or": [{ "node": { "$lt": node } }, same] });
    }
    let by = matching.field().map_or(By::StoredAt, By::Field);
    Find {
        sort: doc! { "node": -1, "seq": -1 },
        limit: limit as i64,
        ..Find::on(EVENTS, and(all), by.hint())
    }
}

/// All events that match and were stored by a time (Unix ms), oldest stored first.
pub fn export(matching: &Matching<'_>, stored_by_ms: i64) -> Find {
    let mut all = matching.conditions();
    all.push(doc! { "storedAt": { "$lte": date(stored_by_ms) } });
    let by = matching.field().map_or(By::StoredAt, By::Field);
    Find { sort: doc! { "storedAt": 1 }, ..Find::on(EVENTS, and(all), by.hint()) }
}

/// Events to be counted: by when they arrived, newest first, or, where their own times are given, by
/// these in no order (both spans with their ends, Unix ms).
pub fn count(filter: &Filter, arrived_ms: (i64, i64), timed_ms: Option<(i64, i64)>) -> Find {
    let span = |(from_ms, to_ms): (i64, i64)| doc! { "$gte": date(from_ms), "$lte": date(to_ms) };
    let mut all = conditions(filter);
    all.push(doc! { "storedAt": span(arrived_ms) });
    let matching = Matching { filter, from_ms: None, to_ms: None, now_ms: 0 };
    let by = match (matching.field(), timed_ms) {
        (Some("route") | None, Some(_)) => By::Timestamp,
        (Some(field), _) => By::Field(field),
        (None, None) => By::StoredAt,
    };
    if let Some(timed_ms) = timed_ms {
        all.push(doc! { "timestamp": span(timed_ms) });
    }
    let sort = if timed_ms.is_none() {
        doc! { "storedAt": -1 }
    } else {
        doc! {}
    };
    let projection = doc! { "_id": 0, "props": 0 };
    Find { sort, projection, ..Find::on(EVENTS, and(all), by.hint()) }
}

/// Which part of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All but routes.
    Totals,
    /// Routes.
    Routes,
    /// Both.
    Whole,
}

/// Buckets of `from..to` (ticks), in order of time.
pub fn buckets(secs: u32, (from, to): (i64, i64), part: Part) -> Find {
    let span = doc! { "$gte": date(from * 1_000), "$lt": date(to * 1_000) };
    let mut projection = doc! { "_id": 0, "tick": 1, "node": 1, "revision": 1, "recounted": 1 };
    if part != Part::Routes {
        projection.insert("summary", 1);
    }
    if part != Part::Totals {
        projection.insert("routeSummary", 1);
    }
    let filter = doc! { "window": format!("{secs}s"), "timestamp": span };
    let hint = doc! { "window": 1, "timestamp": 1 };
    Find { sort: doc! { "timestamp": 1 }, projection, ..Find::on(AGGREGATES, filter, hint) }
}

/// The newest buckets of a second before a tick, of an hour at most, that have events.
pub fn last_before(tick: i64) -> Find {
    let span = doc! { "$gte": date((tick - 3_600) * 1_000), "$lt": date(tick * 1_000) };
    let filter = doc! { "window": "1s", "timestamp": span, "events": { "$gt": 0 } };
    let hint = doc! { "window": 1, "timestamp": 1 };
    Find {
        sort: doc! { "timestamp": -1 },
        projection: doc! { "_id": 0, "lastEventAt": 1 },
        // One of each instance.
        limit: 100,
        ..Find::on(AGGREGATES, filter, hint)
    }
}

fn date(ms: i64) -> DateTime {
    DateTime::from_millis(ms)
}

fn and(mut all: Vec<Document>) -> Document {
    match all.len() {
        0 => doc! {},
        1 => all.remove(0),
        _ => doc! { "$and": all },
    }
}

fn conditions(filter: &Filter) -> Vec<Document> {
    let one = |condition| match condition {
        Condition::Text { field, text, is_prefix: false } => doc! { field: text },
        Condition::Text { field, text, is_prefix: true } => {
            doc! { field: { "$regex": format!("^{}", escaped(text)) } }
        }
        Condition::Status(status) => doc! { "status": i32::from(status) },
        Condition::StatusClass(class) => {
            let first = i32::from(class) * 100;
            doc! { "status": { "$gte": first, "$lt": first + 100 } }
        }
        Condition::Error(error) => {
            let which = if error { "$or" } else { "$nor" };
            doc! { which: [{ "error": true }, { "type": "error" }, { "status": { "$gte": 500 } }] }
        }
    };
    filter.conditions().map(one).collect()
}

/// A text as a regular expression that is it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0' => escaped.push_str("\\x00"),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() && !c.is_ascii_control() => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}
