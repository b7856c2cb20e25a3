//! A node's bucket counted from its stored events.
//!
//! An event counts in the minute of its own time, or of its arrival when it was ahead of our clock:
//! two reads, each over one bucket's worth of an index.

use futures_util::TryStreamExt as _;
use mongodb::bson::{DateTime, Document, RawDocumentBuf, doc};
use pulseboard::event::EventBatch;
use pulseboard::tick::{Names, Sample, TickSummary};

use super::super::sink::Failure;
use super::failure;
use crate::store::mongodb::{Ready, read_event};

/// Events turned at a time.
const EVENTS: usize = 4_000;
/// Routes told apart.
const ROUTES_MAX: usize = 200_000;

pub(super) async fn recount(
    store: &Ready,
    node: &str,
    (secs, start): (u32, i64),
    upto_seq: u64,
) -> Result<TickSummary, Failure> {
    let ticks = (start, start + i64::from(secs));
    let (from, to) =
        (DateTime::from_millis(ticks.0 * 1_000), DateTime::from_millis(ticks.1 * 1_000));
    let seq = doc! { "$lte": upto_seq as i64 };
    let by_own_time = doc! { "timestamp": { "$gte": from, "$lt": to }, "node": node, "seq": &seq };
    let by_arrival = doc! {
        "storedAt": { "$gte": from, "$lt": to }, "timestamp": { "$gte": to }, "node": node,
        "seq": seq,
    };
    let mut counting = Counting { ticks, ..Counting::default() };
    counting.read(store, by_own_time).await?;
    counting.read(store, by_arrival).await?;
    Ok(counting.summary)
}

#[derive(Default)]
struct Counting {
    ticks: (i64, i64),
    summary: TickSummary,
    names: Names,
}

impl Counting {
    async fn read(&mut self, store: &Ready, query: Document) -> Result<(), Failure> {
        let events = store.events.clone_with_type::<RawDocumentBuf>();
        let found = events.find(query).projection(doc! { "props": 0 }).batch_size(EVENTS as u32);
        let mut found = found.await.map_err(|error| failure(&error))?;
        let mut batch = EventBatch::default();
        while let Some(document) = found.try_next().await.map_err(|error| failure(&error))? {
            if let Err(error) = read_event(&document, &mut batch) {
                tracing::warn!("a stored event cannot be read, and is not counted: {error}");
            }
            if batch.len() >= EVENTS {
                self.count(&std::mem::take(&mut batch));
            }
        }
        self.count(&batch);
        Ok(())
    }

    fn count(&mut self, batch: &EventBatch) {
        for event in batch.iter() {
            if (self.ticks.0..self.ticks.1).contains(&event.tick()) {
                self.summary.add(&Sample::from(event), &mut self.names, ROUTES_MAX);
            }
        }
    }
}
