//! An event after decoding and validation, and the batch that carries many of them from ingest
//! through the journal to the aggregator.
//!
//! A batch is one arena of text and a row of fixed size for each event, so that a thousand events
//! are two allocations and the aggregator walks memory in order. It checks nothing: what is in a
//! batch has passed [`crate::validate`]. It does not number events either; the journal does.
//! Built by [`crate::decode`] (and by the journal's reader), read by everything after it.

/// How an event counts, decided once, when it arrives, and kept with it so that a replay decides
/// the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Class {
    /// At most 60 s old, or ahead of our clock: it belongs to a one-second tick.
    #[default]
    Live = 0,
    /// Older than that, within the dedupe horizon: raw event, minute rollup, and `late` of the
    /// tick it arrived in.
    Late = 1,
    /// Of any age, sent as an import: raw event and minute rollup only.
    Import = 2,
}

impl Class {
    /// The class of a stored byte; `None` for one this build does not know.
    pub fn from_u8(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Live),
            1 => Some(Self::Late),
            2 => Some(Self::Import),
            _ => None,
        }
    }
}

/// Where a text lies in its batch's arena. A length of zero means that the field was absent:
/// no field of the contract may be an empty string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte in the arena.
    pub offset: u32,
    /// Length in bytes.
    pub len: u16,
}

/// One event's fixed-size part. Text lies in the arena of the [`EventBatch`] that holds the row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// 128-bit keyed hash of site and eventId; 0 until dedupe has made it.
    pub fingerprint: u128,
    /// When it arrived, Unix ms.
    pub arrival_ms: i64,
    /// Its own time, Unix ms; the arrival time where it carried none.
    pub timestamp_ms: i64,
    /// Latency in ms; NaN where it carried none.
    pub latency_ms: f64,
    /// `eventId`.
    pub event_id: Span,
    /// `type`.
    pub kind: Span,
    /// `route`, as normalised.
    pub route: Span,
    /// `site`.
    pub site: Span,
    /// `userId`, may be absent.
    pub user_id: Span,
    /// `sessionId`, may be absent.
    pub session_id: Span,
    /// `clientId`, may be absent.
    pub client_id: Span,
    /// `props` as a JSON object in compact form, may be absent.
    pub props: Span,
    /// HTTP status; 0 where it carried none.
    pub status: u16,
    /// The `error` field as sent.
    pub error: Option<bool>,
    /// How it counts.
    pub class: Class,
}

impl Default for Row {
    fn default() -> Self {
        let none = Span::default();
        Self {
            fingerprint: 0,
            arrival_ms: 0,
            timestamp_ms: 0,
            latency_ms: f64::NAN,
            event_id: none,
            kind: none,
            route: none,
            site: none,
            user_id: none,
            session_id: none,
            client_id: none,
            props: none,
            status: 0,
            error: None,
            class: Class::Live,
        }
    }
}

/// Events in arrival order: an arena of UTF-8 text and a row an event.
#[derive(Clone, Debug, Default)]
pub struct EventBatch {
    text: String,
    rows: Vec<Row>,
}

impl EventBatch {
    /// An empty batch with room for `events` events of about `text_bytes` bytes of text in all.
    pub fn with_capacity(events: usize, text_bytes: usize) -> Self {
        Self { text: String::with_capacity(text_bytes), rows: Vec::with_capacity(events) }
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no event in it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes it holds on to, about: what bounds on memory count.
    pub fn heap_bytes(&self) -> usize {
        self.text.capacity() + self.rows.capacity() * size_of::<Row>()
    }

    /// Length of the arena in bytes.
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// The rows, in order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The rows, to set fingerprints.
    pub fn rows_mut(&mut self) -> &mut [Row] {
        &mut self.rows
    }

    /// Copies `text` into the arena. An absent field is the default [`Span`].
    pub fn add_text(&mut self, text: &str) -> Span {
        let offset = self.text.len() as u32;
        self.text.push_str(text);
        Span { offset, len: text.len() as u16 }
    }

    /// Drops what was added to the arena after it was `text_len` long: takes back the text of an
    /// event that turned out to be refused.
    pub fn truncate_text(&mut self, text_len: usize) {
        self.text.truncate(text_len);
    }

    /// Appends a row whose spans point into this batch's arena.
    pub fn push(&mut self, row: Row) {
        debug_assert!(row.route.offset as usize + row.route.len as usize <= self.text.len());
        self.rows.push(row);
    }

    /// Copies event `index` of `other` to the end of this batch.
    pub fn push_from(&mut self, other: &EventBatch, index: usize) {
        let mut row = other.rows[index];
        for span in [
            &mut row.event_id,
            &mut row.kind,
            &mut row.route,
            &mut row.site,
            &mut row.user_id,
            &mut row.session_id,
            &mut row.client_id,
            &mut row.props,
        ] {
            if span.len > 0 {
                *span = self.add_text(other.text(*span));
            }
        }
        self.rows.push(row);
    }

    /// Keeps only the rows for which `keep` says so, by index; the arena stays as it is.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut index = 0;
        self.rows.retain(|_| {
            index += 1;
            keep(index - 1)
        });
    }

    /// The text of a span of this batch; empty for an absent one.
    pub fn text(&self, span: Span) -> &str {
        let from = span.offset as usize;
        &self.text[from..from + span.len as usize]
    }

    /// Event `index`, with its text.
    pub fn get(&self, index: usize) -> EventRef<'_> {
        EventRef { batch: self, row: &self.rows[index] }
    }

    /// All events, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = EventRef<'_>> {
        self.rows.iter().map(|row| EventRef { batch: self, row })
    }
}

/// One event of a batch.
#[derive(Clone, Copy, Debug)]
pub struct EventRef<'a> {
    batch: &'a EventBatch,
    row: &'a Row,
}

impl<'a> EventRef<'a> {
    /// Its fixed-size part.
    pub fn row(&self) -> &'a Row {
        self.row
    }

    fn some(&self, span: Span) -> Option<&'a str> {
        (span.len > 0).then(|| self.batch.text(span))
    }

    /// `eventId`.
    pub fn event_id(&self) -> &'a str {
        self.batch.text(self.row.event_id)
    }

    /// `type`.
    pub fn kind(&self) -> &'a str {
        self.batch.text(self.row.kind)
    }

    /// `route`, as normalised.
    pub fn route(&self) -> &'a str {
        self.batch.text(self.row.route)
    }

    /// `site`.
    pub fn site(&self) -> &'a str {
        self.batch.text(self.row.site)
    }

    /// `userId`.
    pub fn user_id(&self) -> Option<&'a str> {
        self.some(self.row.user_id)
    }

    /// `sessionId`.
    pub fn session_id(&self) -> Option<&'a str> {
        self.some(self.row.session_id)
    }

    /// `clientId`.
    pub fn client_id(&self) -> Option<&'a str> {
        self.some(self.row.client_id)
    }

    /// `props`, as a compact JSON object.
    pub fn props(&self) -> Option<&'a str> {
        self.some(self.row.props)
    }

    /// HTTP status.
    pub fn status(&self) -> Option<u16> {
        (self.row.status != 0).then_some(self.row.status)
    }

    /// Latency in ms.
    pub fn latency_ms(&self) -> Option<f64> {
        (!self.row.latency_ms.is_nan()).then_some(self.row.latency_ms)
    }

    /// Whom *active users* counts: userId, else sessionId, else clientId.
    pub fn actor(&self) -> Option<&'a str> {
        self.user_id().or_else(|| self.session_id()).or_else(|| self.client_id())
    }

    /// Whether it counts as an error: `error` is true, or the type is `error`, or status >= 500.
    pub fn is_error(&self) -> bool {
        self.row.error == Some(true) || self.row.status >= 500 || self.kind() == "error"
    }

    /// The tick a live event counts in: that of its own time, or of its arrival when it is ahead
    /// of our clock.
    pub fn tick(&self) -> i64 {
        self.row.timestamp_ms.min(self.row.arrival_ms).div_euclid(1_000)
    }

    /// Whether it came from a clock ahead of ours: its own second had not begun when it arrived.
    pub fn is_skewed(&self) -> bool {
        self.row.timestamp_ms.div_euclid(1_000) > self.row.arrival_ms.div_euclid(1_000)
    }

    /// The tick it arrived in, where `late` is counted.
    pub fn arrival_tick(&self) -> i64 {
        self.row.arrival_ms.div_euclid(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(batch: &mut EventBatch, route: &str, user: &str) {
        let route = batch.add_text(route);
        let user_id = if user.is_empty() { Span::default() } else { batch.add_text(user) };
        batch.push(Row { route, user_id, ..Row::default() });
    }

    #[test]
    fn a_copied_event_keeps_its_text_and_its_absences() {
        let mut from = EventBatch::default();
        event(&mut from, "/a", "u1");
        event(&mut from, "/b", "");
        let mut to = EventBatch::default();
        to.add_text("something before");
        to.push_from(&from, 1);
        to.push_from(&from, 0);
        assert_eq!((to.get(0).route(), to.get(0).user_id()), ("/b", None));
        assert_eq!((to.get(1).route(), to.get(1).user_id()), ("/a", Some("u1")));
    }

    #[test]
    fn an_event_ahead_of_the_clock_counts_where_it_arrived() {
        let mut batch = EventBatch::default();
        batch.push(Row { arrival_ms: 10_900, timestamp_ms: 12_100, ..Row::default() });
        batch.push(Row { arrival_ms: 10_900, timestamp_ms: 10_950, ..Row::default() });
        batch.push(Row { arrival_ms: 10_900, timestamp_ms: 9_999, ..Row::default() });
        let ticks: Vec<_> = batch.iter().map(|e| (e.tick(), e.is_skewed())).collect();
        assert_eq!(ticks, [(10, true), (10, false), (9, false)]);
    }
}
