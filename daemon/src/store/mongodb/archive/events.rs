//! Raw events: pages, exports, and events to be counted.
//!
//! Pages are in the order of when an event was stored, then of its instance, then of its number in
//! that instance's journal; a cursor is such a place, so that it is good at every instance. The
//! store has no index that holds all three: it is asked for events by when they were stored, and
//! those of the page's last millisecond, of which it gave some, are asked for again in their order.

use std::sync::Arc;

use pulseboard::event::{EventBatch, EventRef};
use pulseboard::filter::Filter;

use super::super::documents::read_event;
use super::super::queries::{self, Find, Matching};
use super::stream::Documents;
use super::{Archive, ArchiveError};
use crate::journal::{Forward, ScanRange};

/// How far in order of sequence two events may be from the order of their arrival, ms: as long as a
/// call takes from being read to being queued.
const DISORDER_MS: i64 = 1_000;
/// How long what is not drained yet is looked through.
const LOOKS_FOR: std::time::Duration = std::time::Duration::from_secs(10);

/// A place in the order of pages. Greater is stored later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// When it was stored, Unix ms.
    pub stored_ms: i64,
    /// By which node.
    pub node: Arc<str>,
    /// As which event of its journal.
    pub seq: u64,
}

/// What a page is asked for.
#[derive(Clone, Debug)]
pub struct PageAsked<'a> {
    /// What events must fit.
    pub filter: &'a Filter,
    /// Least own timestamp, Unix ms.
    pub from_ms: Option<i64>,
    /// The first own timestamp after them, Unix ms.
    pub to_ms: Option<i64>,
    /// Only events before this place.
    pub before: Option<Spot>,
    /// Events at most.
    pub limit: usize,
}

/// A page: events by their place in `events`, newest stored first.
#[derive(Debug, Default)]
pub struct Page {
    events: EventBatch,
    order: Vec<(Spot, usize)>,
}

impl Page {
    /// The events, newest stored first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = EventRef<'_>> {
        self.order.iter().map(|(_, index)| self.events.get(*index))
    }

    /// Where the last event is.
    pub fn end(&self) -> Option<&Spot> {
        self.order.last().map(|(spot, _)| spot)
    }

    /// Puts them in order, each once, and lets go of those past the limit.
    fn settle(&mut self, limit: usize) {
        self.order.sort_by(|(a, _), (b, _)| b.cmp(a));
        self.order.dedup_by(|(a, _), (b, _)| a == b);
        // One that is here already may be there by another instance: the store decides which.
        let mut seen = std::collections::HashSet::new();
        let events = &self.events;
        self.order.retain(|(_, index)| {
            let event = events.get(*index);
            seen.insert((event.site().to_owned(), event.event_id().to_owned()))
        });
        self.order.truncate(limit);
    }
}

impl PageAsked<'_> {
    fn takes(&self, event: &EventRef<'_>) -> bool {
        let time_ms = event.row().timestamp_ms;
        self.from_ms.is_none_or(|from_ms| time_ms >= from_ms)
            && self.to_ms.is_none_or(|to_ms| time_ms < to_ms)
            && self.filter.matches(event)
    }
}

impl Archive {
    /// A page of events.
    pub fn page(&self, asked: &PageAsked<'_>) -> Result<Page, ArchiveError> {
        let mut page = Page::default();
        // First what is here: what is drained meanwhile is found there, and counted once.
        self.undrained(asked, &mut page)?;
        let matching = Matching {
            filter: asked.filter,
            from_ms: asked.from_ms,
            to_ms: asked.to_ms,
            now_ms: self.0.clock.now_ms(),
        };
        let (mut left, mut before_ms, until) = (asked.limit, None, self.until());
        if let Some(before) = &asked.before {
            let after = Some((&*before.node, before.seq));
            let find = queries::moment(&matching, before.stored_ms, after, left);
            left -= self.take(find, asked, &mut page, until)?.len().min(left);
            before_ms = Some(before.stored_ms);
        }
        if left > 0 {
            let found =
                self.take(queries::page(&matching, before_ms, left), asked, &mut page, until)?;
            let last_ms = found.last().map(|spot| spot.stored_ms);
            if let Some(last_ms) = last_ms.filter(|_| found.len() >= left) {
                // Perhaps there are more of that millisecond, and these are not the first of it.
                let own = &self.0.own;
                let is_tail = |spot: &Spot| spot.node == own.node && !found.contains(spot);
                page.order.retain(|(spot, _)| spot.stored_ms != last_ms || is_tail(spot));
                let whole = found.iter().filter(|spot| spot.stored_ms != last_ms).count();
                let find = queries::moment(&matching, last_ms, None, left - whole);
                self.take(find, asked, &mut page, until)?;
            }
        }
        page.settle(asked.limit);
        Ok(page)
    }

    /// Adds what a question finds to a page; the places, in the order of the answer.
    fn take(
        &self,
        find: Find,
        asked: &PageAsked<'_>,
        page: &mut Page,
        until: std::time::Duration,
    ) -> Result<Vec<Spot>, ArchiveError> {
        let mut found = Vec::new();
        self.find(find, Some(until))?.each(|document| {
            let index = page.events.len();
            match read_event(document, &mut page.events) {
                Ok(place) => {
                    let event = page.events.get(index);
                    let stored_ms = event.row().arrival_ms;
                    let spot = Spot { stored_ms, node: place.node.into(), seq: place.seq };
                    found.push(spot.clone());
                    if asked.takes(&event) {
                        page.order.push((spot, index));
                    }
                }
                Err(error) => tracing::debug!(%error, "a document in the store is no event"),
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Adds the newest of what this instance has not handed on.
    fn undrained(&self, asked: &PageAsked<'_>, page: &mut Page) -> Result<(), ArchiveError> {
        let own = &self.0.own;
        let until = self.0.clock.elapsed() + LOOKS_FOR;
        let range = ScanRange {
            from_seq: Some((own.drained_seq)() + 1),
            from_ms: asked.from_ms,
            to_ms: asked.to_ms,
            ..ScanRange::default()
        };
        let mut enough_ms = None;
        for (first_seq, batch) in own.journal.scan(range) {
            let newest_ms = batch.rows().iter().map(|row| row.arrival_ms).max();
            if enough_ms.is_some_and(|enough_ms| newest_ms < Some(enough_ms)) {
                break;
            }
            if self.0.clock.elapsed() > until {
                return Err(ArchiveError::TookTooLong);
            }
            for (index, event) in batch.iter().enumerate() {
                let (stored_ms, seq) = (event.row().arrival_ms, first_seq + index as u64);
                let spot = Spot { stored_ms, node: Arc::clone(&own.node), seq };
                if asked.before.as_ref().is_some_and(|before| spot >= *before) {
                    continue;
                }
                if asked.takes(&event) {
                    page.order.push((spot, page.events.len()));
                    page.events.push_from(&batch, index);
                }
            }
            if page.order.len() >= asked.limit {
                page.keep_newest(asked.limit);
                enough_ms = page.end().map(|spot| spot.stored_ms - DISORDER_MS);
            }
        }
        Ok(())
    }

    /// All events that match and were stored by now, oldest stored first; those this instance has
    /// not handed on come last.
    pub fn export(
        &self,
        filter: &Filter,
        from_ms: Option<i64>,
        to_ms: Option<i64>,
    ) -> Result<Export, ArchiveError> {
        self.ready()?;
        let own = &self.0.own;
        let drained_seq = (own.drained_seq)();
        let range =
            ScanRange { from_seq: Some(drained_seq + 1), from_ms, to_ms, ..ScanRange::default() };
        let tail = own.journal.forward(range);
        let now_ms = self.0.clock.now_ms();
        let matching = Matching { filter, from_ms, to_ms, now_ms };
        let find = queries::export(&matching, now_ms);
        Ok(Export { archive: self.clone(), find: Some(find), drained_seq, tail, batches: None })
    }

    /// Events to be counted, batch by batch: those that arrived in a span, newest first, or, with a
    /// span of their own times, in no order (both with their ends, Unix ms). Each once. `visit` may
    /// end it.
    pub fn count(
        &self,
        filter: &Filter,
        arrived_ms: (i64, i64),
        timed_ms: Option<(i64, i64)>,
        visit: &mut dyn FnMut(&EventBatch) -> bool,
    ) -> Result<(), ArchiveError> {
        let own = &self.0.own;
        let drained_seq = (own.drained_seq)();
        let range = ScanRange {
            from_seq: Some(drained_seq + 1),
            arrived_from_ms: Some(arrived_ms.0),
            arrived_to_ms: Some(arrived_ms.1.saturating_add(1)),
            from_ms: timed_ms.map(|(from_ms, _)| from_ms),
            to_ms: timed_ms.map(|(_, to_ms)| to_ms.saturating_add(1)),
            ..ScanRange::default()
        };
        let until = self.0.clock.elapsed() + LOOKS_FOR;
        for (_, batch) in own.journal.scan(range) {
            if self.0.clock.elapsed() > until {
                return Err(ArchiveError::TookTooLong);
            }
            // Other instances may have newer ones: it ends where all of them are asked.
            visit(&batch);
        }
        let clamp = |ms: i64| ms.clamp(i64::MIN / 2, i64::MAX / 2);
        let clamp = |(from_ms, to_ms): (i64, i64)| (clamp(from_ms), clamp(to_ms));
        let find = queries::count(filter, clamp(arrived_ms), timed_ms.map(clamp));
        let mut documents = self.find(find, Some(self.until()))?;
        let mut go_on = true;
        while go_on {
            let (batch, more) = self.batch(&mut documents, drained_seq)?;
            if !batch.is_empty() {
                go_on = visit(&batch);
            }
            if !more || self.0.clock.elapsed() > until {
                return if more { Err(ArchiveError::TookTooLong) } else { Ok(()) };
            }
        }
        Ok(())
    }

    /// The events of the next batch, without this instance's own after what was drained.
    fn batch(
        &self,
        documents: &mut Documents<'_>,
        drained_seq: u64,
    ) -> Result<(EventBatch, bool), ArchiveError> {
        let own = &self.0.own;
        let mut batch = EventBatch::default();
        let mut foreign = Vec::new();
        let more = documents.next(|document| {
            match read_event(document, &mut batch) {
                Ok(place) => foreign.push(place.node != &*own.node || place.seq <= drained_seq),
                Err(error) => tracing::debug!(%error, "a document in the store is no event"),
            }
            Ok(())
        })?;
        batch.retain(|index| foreign[index]);
        Ok((batch, more))
    }
}

impl Page {
    /// As [`Page::settle`], and makes room.
    fn keep_newest(&mut self, limit: usize) {
        self.order.sort_by(|(a, _), (b, _)| b.cmp(a));
        self.order.truncate(limit);
        let mut events = EventBatch::default();
        for (_, index) in &mut self.order {
            let at = events.len();
            events.push_from(&self.events, *index);
            *index = at;
        }
        self.events = events;
    }
}

/// An export under way; made by [`Archive::export`].
pub struct Export {
    archive: Archive,
    /// What is still to be asked.
    find: Option<Find>,
    drained_seq: u64,
    tail: Forward,
    batches: Option<super::stream::Batches>,
}

impl Export {
    /// Waits until there is something to give, or it takes long to be found. An export that was begun
    /// is one that the store could answer.
    pub fn begun(mut self) -> Result<Self, ArchiveError> {
        if let Some(find) = self.find.take() {
            let mut documents = self.archive.find(find, None)?;
            documents.begin()?;
            self.batches = Some(documents.into_batches());
        }
        Ok(self)
    }

    /// The next events; `None` after the last. Some of them may not match.
    pub fn next_batch(&mut self) -> Result<Option<Arc<EventBatch>>, ArchiveError> {
        if let Some(find) = self.find.take() {
            self.batches = Some(self.archive.find(find, None)?.into_batches());
        }
        while let Some(batches) = self.batches.take() {
            let mut documents = batches.of(&self.archive);
            let (batch, more) = self.archive.batch(&mut documents, self.drained_seq)?;
            if more {
                self.batches = Some(documents.into_batches());
            }
            if !batch.is_empty() {
                return Ok(Some(Arc::new(batch)));
            }
        }
        Ok(self.tail.next().map(|(_, batch)| batch))
    }

    /// Events that were gone before they were reached.
    pub fn missed(&self) -> u64 {
        self.tail.missed()
    }
}
