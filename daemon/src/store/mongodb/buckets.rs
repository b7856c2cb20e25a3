//! Tumbling buckets as documents and back: what one instance counted in a second or a minute.
//!
//! A document holds a bucket twice: as values that people and other programs read, and as the
//! summaries that instances and times are merged from. All of it is absolute, with a revision, so
//! that writing a bucket again puts the newer in the place of the older and counts nothing twice.
//! Pure. The drain makes them, the archive reads them.

use std::sync::Arc;

use mongodb::bson::raw::cstr;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, RawArrayBuf, RawDocument, RawDocumentBuf};
use pulseboard::rollup::MINUTE;
use pulseboard::tick::{RouteTable, TickSummary};
use pulseboard::window::{Around, RouteSort, Ticks, Window, ranked};
use pulseboard::wire::server::{Aggregate, RouteRow};

/// Routes that stand in a document as values.
const ROUTES_SHOWN: usize = 500;
/// Bytes of routes that are merged from; what does not fit is counted in other routes.
const ROUTES_BYTES: usize = 8 << 20;
/// How long buckets under a minute are kept, ms.
const FINE_KEPT_MS: i64 = 24 * 3_600_000;

/// What one instance counted in one bucket.
#[derive(Clone, Debug)]
pub struct Bucket<'a> {
    /// Length of the bucket, in seconds.
    pub window_secs: u32,
    /// Its first tick.
    pub tick: i64,
    /// The node's id.
    pub node: &'a str,
    /// Grows with every change.
    pub revision: u64,
    /// Whether it was counted again from the stored events.
    pub recounted: bool,
    /// Everything counted in it.
    pub summary: &'a TickSummary,
}

/// Why a document is not a bucket of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// A field is missing, or is of another type.
    #[error("its `{0}` is missing or not what it should be")]
    Field(&'static str),
}

/// A stored bucket, without its summary being read yet.
#[derive(Clone, Copy, Debug)]
pub struct StoredBucket<'a> {
    /// Its first tick.
    pub tick: i64,
    /// The node's id.
    pub node: &'a str,
    /// Grows with every change.
    pub revision: u64,
    /// Whether it was counted again from the stored events.
    pub recounted: bool,
    /// For [`pulseboard::tick::Totals::decode`]; empty where it was not asked for.
    pub summary: &'a [u8],
    /// For [`RouteTable::merge_encoded`]; empty where it was not asked for.
    pub routes: &'a [u8],
}

impl Bucket<'_> {
    /// `5s/1763884800/00c0ffee0000`.
    pub fn id(&self) -> String {
        format!("{}s/{}/{}", self.window_secs, self.tick, self.node)
    }

    /// As it is stored.
    pub fn document(&self) -> RawDocumentBuf {
        let start_ms = self.tick * 1_000;
        let length_ms = i64::from(self.window_secs) * 1_000;
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("_id"), self.id().as_str());
        document.append(cstr!("window"), format!("{}s", self.window_secs).as_str());
        document.append(cstr!("tick"), self.tick);
        document.append(cstr!("timestamp"), DateTime::from_millis(start_ms));
        document.append(cstr!("node"), self.node);
        document.append(cstr!("revision"), self.revision as i64);
        if self.recounted {
            document.append(cstr!("recounted"), true);
        }
        self.append_values(&mut document);
        document.append(cstr!("summary"), binary(self.summary.totals.encode()));
        document.append(cstr!("routeSummary"), binary(routes(&self.summary.routes)));
        if i64::from(self.window_secs) != MINUTE {
            let expires = DateTime::from_millis(start_ms + length_ms + FINE_KEPT_MS);
            document.append(cstr!("expireAt"), expires);
        }
        document
    }

    /// The values of an aggregate, for people and other programs.
    fn append_values(&self, document: &mut RawDocumentBuf) {
        let values = aggregate(self.tick, self.summary);
        let seconds = f64::from(self.window_secs.max(1));
        document.append(cstr!("events"), values.events as i64);
        document.append(cstr!("eventsPerSecond"), values.events as f64 / seconds);
        document.append(cstr!("activeUsers"), values.active_users as i64);
        document.append(cstr!("activeSessions"), values.active_sessions as i64);
        document.append(cstr!("errors"), values.errors as i64);
        if let Some(rate) = values.error_rate {
            document.append(cstr!("errorRate"), rate);
        }
        document.append(cstr!("statusClasses"), counts(&values.status_classes));
        document.append(cstr!("types"), counts(&values.types));
        if let Some(latency) = &values.latency_ms {
            let mut inner = RawDocumentBuf::new();
            inner.append(cstr!("count"), latency.count as i64);
            inner.append(cstr!("p50"), latency.p50);
            inner.append(cstr!("p95"), latency.p95);
            inner.append(cstr!("p99"), latency.p99);
            inner.append(cstr!("max"), latency.max);
            document.append(cstr!("latencyMs"), &inner);
        }
        let shown = ranked(&self.summary.routes, RouteSort::Events, ROUTES_SHOWN);
        let rows: RawArrayBuf = shown.routes.iter().map(route_row).collect();
        document.append(cstr!("routes"), &rows);
        let mut other = RawDocumentBuf::new();
        other.append(cstr!("routes"), shown.other_routes.routes as i64);
        other.append(cstr!("events"), shown.other_routes.events as i64);
        other.append(cstr!("errors"), shown.other_routes.errors as i64);
        document.append(cstr!("otherRoutes"), &other);
        document.append(cstr!("late"), values.late as i64);
        document.append(cstr!("skewed"), values.skewed as i64);
        if let Some(last_ms) = values.last_event_at {
            document.append(cstr!("lastEventAt"), DateTime::from_millis(last_ms));
        }
    }
}

/// Reads what stands in a stored bucket.
pub fn read_bucket(document: &RawDocument) -> Result<StoredBucket<'_>, BucketError> {
    let field = |name: &'static str| move |_| BucketError::Field(name);
    let bytes = |name: &'static str| match document.get(name) {
        Ok(None) => Ok(&[][..]),
        Ok(Some(value)) => {
            value.as_binary().map(|binary| binary.bytes).ok_or(BucketError::Field(name))
        }
        Err(_) => Err(BucketError::Field(name)),
    };
    Ok(StoredBucket {
        tick: document.get_i64("tick").map_err(field("tick"))?,
        node: document.get_str("node").map_err(field("node"))?,
        revision: document.get_i64("revision").map_err(field("revision"))? as u64,
        recounted: document.get_bool("recounted").unwrap_or_default(),
        summary: bytes("summary")?,
        routes: bytes("routeSummary")?,
    })
}

/// The values of a summary; those of its window's length are for the caller to set.
fn aggregate(tick: i64, summary: &TickSummary) -> Aggregate {
    // Pointers to it are what windows are merged from; routes are rendered apart.
    let totals = TickSummary { totals: summary.totals.clone(), routes: RouteTable::default() };
    let mut ticks = Ticks::default();
    ticks.insert(tick, Arc::new(totals));
    let around = Around { last_event_ms: summary.totals.last_event_ms, ..Around::default() };
    Window::merged(1, tick, &ticks).render(&mut ticks, &around)
}

fn route_row(row: &RouteRow) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("route"), &*row.route);
    document.append(cstr!("events"), row.events as i64);
    document.append(cstr!("errors"), row.errors as i64);
    document.append(cstr!("errorRate"), row.error_rate);
    if let Some(p95) = row.p95 {
        document.append(cstr!("p95"), p95);
    }
    document
}

fn counts(counts: &std::collections::BTreeMap<String, u64>) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    for (name, count) in counts {
        // A document's key cannot hold a NUL; a type may.
        let name = name.replace('\0', "\u{fffd}");
        if let Ok(key) = <&mongodb::bson::raw::CStr>::try_from(name.as_str()) {
            document.append(key, *count as i64);
        }
    }
    document
}

fn binary(bytes: Vec<u8>) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes }
}

/// The routes as bytes, those with the fewest events counted together where they are too many.
fn routes(table: &RouteTable) -> Vec<u8> {
    let mut bytes = table.encode();
    let mut kept = table.rows().len();
    while bytes.len() > ROUTES_BYTES {
        kept = kept * ROUTES_BYTES / bytes.len() * 9 / 10;
        bytes = table.bounded(kept).encode();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use pulseboard::event::{EventBatch, Row};
    use pulseboard::tick::{Names, Sample, Totals};

    use super::*;

    fn summary(routes: usize) -> TickSummary {
        let mut batch = EventBatch::default();
        for nth in 0..routes * 2 {
            // A hash, which does not shrink.
            let mixed =
                ((nth as u128 / 2) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            let route = batch.add_text(&format!("/route/{mixed:032x}"));
            let kind = batch.add_text("page\0view");
            let user_id = batch.add_text(&format!("u{}", nth % 7));
            let (status, latency_ms) = (200 + (nth % 4) as u16 * 100, nth as f64);
            let row = Row { route, kind, user_id, status, latency_ms, ..Row::default() };
            batch.push(Row { arrival_ms: 60_500, timestamp_ms: 60_400, ..row });
        }
        let (mut summary, mut names) = (TickSummary::default(), Names::default());
        for event in batch.iter() {
            summary.add(&Sample::from(event), &mut names, usize::MAX);
        }
        summary
    }

    fn stored(summary: &TickSummary, window_secs: u32) -> RawDocumentBuf {
        let (node, tick) = ("00c0ffee0000", 60);
        Bucket { window_secs, tick, node, revision: 9, recounted: false, summary }.document()
    }

    #[test]
    fn a_bucket_reads_back_as_it_was_counted() {
        let summary = summary(40);
        let document = stored(&summary, 60);
        let bucket = read_bucket(&document).unwrap();
        assert_eq!((bucket.tick, bucket.node, bucket.revision), (60, "00c0ffee0000", 9));
        let mut names = Names::default();
        assert_eq!(Totals::decode(bucket.summary, &mut names).unwrap(), summary.totals);
        let mut routes = RouteTable::default();
        routes.merge_encoded(bucket.routes, &mut names).unwrap();
        assert_eq!(routes, summary.routes);
        assert_eq!(document.get_str("_id").unwrap(), "60s/60/00c0ffee0000");
        assert_eq!(document.get_str("window").unwrap(), "60s");
        assert_eq!(document.get_i64("events").unwrap(), 80);
        assert_eq!(document.get_i64("activeUsers").unwrap(), 7);
        assert_eq!(document.get_datetime("lastEventAt").unwrap().timestamp_millis(), 60_400);
    }

    #[test]
    fn minutes_stay_and_shorter_buckets_say_when_they_go() {
        let summary = summary(1);
        assert!(stored(&summary, 60).get("expireAt").unwrap().is_none());
        let expires = stored(&summary, 1).get_datetime("expireAt").unwrap().timestamp_millis();
        assert_eq!(expires, 61_000 + 24 * 3_600_000);
    }

    #[test]
    fn five_hundred_routes_are_shown_and_all_are_merged_from() {
        let summary = summary(700);
        let document = stored(&summary, 60);
        assert_eq!(document.get_array("routes").unwrap().into_iter().count(), 500);
        let other = document.get_document("otherRoutes").unwrap();
        assert_eq!(other.get_i64("routes").unwrap(), 200);
        assert_eq!(other.get_i64("events").unwrap(), 400);
        let mut routes = RouteTable::default();
        let bucket = read_bucket(&document).unwrap();
        routes.merge_encoded(bucket.routes, &mut Names::default()).unwrap();
        assert_eq!(routes, summary.routes);
    }

    #[test]
    fn routes_that_do_not_fit_a_document_are_counted_together() {
        let table = summary(400_000).routes;
        assert!(table.encode().len() > ROUTES_BYTES, "{}", table.encode().len());
        let bytes = routes(&table);
        assert!(bytes.len() <= ROUTES_BYTES && bytes.len() > ROUTES_BYTES / 2, "{}", bytes.len());
        let mut kept = RouteTable::default();
        kept.merge_encoded(&bytes, &mut Names::default()).unwrap();
        let shown: u64 = kept.rows().iter().map(|row| row.events).sum();
        assert_eq!(shown + kept.other_events, 800_000);
    }
}
