//! The drain's calls over MongoDB.
//!
//! Inserts and updates are commands made here rather than the driver's own: their answers say which
//! documents were refused and why, one by one, and the driver sends no command twice by itself.
//! Every write is acknowledged by a majority's journals.

mod failure;
mod recount;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use mongodb::Collection;
use mongodb::bson::raw::{RawArrayBuf, cstr};
use mongodb::bson::{Document, RawDocumentBuf, doc, rawdoc};
use tokio::sync::watch;

use super::sink::{Answer, Doing, Failure, Holder, Owner, Put, Sink, Standing, Unfit};
use crate::store::mongodb::{AGGREGATES, Bucket, EVENTS, Mongo, NODES, Ready, State};
use failure::failure;

/// How long a majority may take before a write counts as failed, ms.
const MAJORITY_WITHIN_MS: i32 = 10_000;
/// Bytes of one command's updates; a command holds 16 MiB.
const UPDATES_BYTES: usize = 12 << 20;
/// `DuplicateKey`.
const DUPLICATE: i32 = 11_000;

/// MongoDB as the drain's store.
pub(super) struct MongoSink {
    mongo: Mongo,
    ready: watch::Receiver<bool>,
}

impl MongoSink {
    /// On the runtime this is called on: a task follows the store's state.
    pub(super) fn new(mongo: Mongo) -> Self {
        let mut states = mongo.watch();
        let (told, ready) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                let is_ready = matches!(&*states.borrow_and_update(), State::Ready(_));
                told.send_if_modified(|now| std::mem::replace(now, is_ready) != is_ready);
                tokio::select! {
                    changed = states.changed() => if changed.is_err() { return },
                    () = told.closed() => return,
                }
            }
        });
        Self { mongo, ready }
    }

    fn store(&self) -> Result<Arc<Ready>, Failure> {
        self.mongo.ready().map_err(|error| Failure::Away(error.to_string()))
    }

    /// A call on the store as it is now.
    fn call<T, F>(&self, call: impl FnOnce(Arc<Ready>) -> F + Send + 'static) -> Doing<T>
    where
        F: Future<Output = Result<T, Failure>> + Send,
        T: Send + 'static,
    {
        let store = self.store();
        Box::pin(async move { call(store?).await })
    }
}

impl Sink for MongoSink {
    fn ready(&self) -> watch::Receiver<bool> {
        self.ready.clone()
    }

    fn insert(&self, documents: Arc<Vec<RawDocumentBuf>>, which: Vec<u32>) -> Doing<Answer> {
        self.call(async move |store| {
            let mut array = RawArrayBuf::new();
            for index in &which {
                array.push(&*documents[*index as usize]);
            }
            let mut command = rawdoc! { "insert": EVENTS, "ordered": false };
            command.append(cstr!("writeConcern"), write_concern());
            command.append(cstr!("documents"), array);
            let place = |index: usize| which.get(index).copied().unwrap_or_default();
            write(&store, command, &place).await
        })
    }

    fn owners(&self, ids: Vec<String>) -> Doing<HashMap<String, Owner>> {
        self.call(async move |store| {
            let events = store.events.clone_with_type::<RawDocumentBuf>();
            let found = events
                .find(doc! { "_id": { "$in": ids } })
                .projection(doc! { "node": 1, "seq": 1 })
                .await
                .map_err(|error| failure(&error))?;
            let owner = |document: RawDocumentBuf| {
                let id = document.get_str("_id").unwrap_or_default().to_owned();
                let node = document.get_str("node").unwrap_or_default().to_owned();
                let seq = document.get_i64("seq").unwrap_or_default() as u64;
                (id, Owner { node, seq })
            };
            found.map_ok(owner).try_collect().await.map_err(|error| failure(&error))
        })
    }

    fn put(&self, node: Arc<str>, puts: Vec<Put>) -> Doing<Answer> {
        self.call(async move |store| {
            let made = tokio::task::spawn_blocking(move || updates(&node, &puts)).await;
            let commands = made.map_err(|error| Failure::Away(error.to_string()))?;
            let mut answer = Answer::default();
            for (first, updates) in commands {
                let mut command = rawdoc! { "update": AGGREGATES, "ordered": false };
                command.append(cstr!("writeConcern"), write_concern());
                command.append(cstr!("updates"), updates);
                let place = |index: usize| first + index as u32;
                let one = write(&store, command, &place).await?;
                answer.duplicates.extend(one.duplicates);
                answer.unfit.extend(one.unfit);
            }
            Ok(answer)
        })
    }

    fn standings(
        &self,
        node: Arc<str>,
        which: Vec<(u32, i64)>,
    ) -> Doing<HashMap<(u32, i64), Standing>> {
        self.call(async move |store| {
            let ids: HashMap<String, (u32, i64)> = which
                .into_iter()
                .map(|(secs, tick)| (format!("{secs}s/{tick}/{node}"), (secs, tick)))
                .collect();
            let aggregates = store.aggregates.clone_with_type::<RawDocumentBuf>();
            let mut found = aggregates
                .find(doc! { "_id": { "$in": ids.keys().collect::<Vec<_>>() } })
                .projection(doc! { "revision": 1, "recounted": 1 })
                .await
                .map_err(|error| failure(&error))?;
            let mut standings = HashMap::new();
            while let Some(document) = found.try_next().await.map_err(|error| failure(&error))? {
                let id = document.get_str("_id").unwrap_or_default();
                if let Some(bucket) = ids.get(id) {
                    let revision = document.get_i64("revision").unwrap_or_default() as u64;
                    let recounted = document.get_bool("recounted").unwrap_or_default();
                    standings.insert(*bucket, Standing { revision, recounted });
                }
            }
            Ok(standings)
        })
    }

    fn recount(
        &self,
        node: Arc<str>,
        bucket: (u32, i64),
        upto_seq: u64,
    ) -> Doing<pulseboard::tick::TickSummary> {
        self.call(async move |store| recount::recount(&store, &node, bucket, upto_seq).await)
    }

    fn holder(&self, node: Arc<str>) -> Doing<Option<Holder>> {
        self.call(async move |store| {
            let found = nodes(&store).find_one(doc! { "_id": &*node }).await;
            let found = found.map_err(|error| failure(&error))?;
            Ok(found.map(|found| {
                let text = |name| found.get_str(name).unwrap_or_default().to_owned();
                Holder {
                    incarnation: text("incarnation"),
                    place: text("place"),
                    name: text("name"),
                    version: text("version"),
                    beat: found.get_i64("beat").unwrap_or_default(),
                    left: found.get_bool("left").unwrap_or_default(),
                }
            }))
        })
    }

    fn hold(&self, node: Arc<str>, expected: Option<(String, i64)>, holder: Holder) -> Doing<bool> {
        self.call(async move |store| {
            let values = doc! {
                "incarnation": holder.incarnation, "place": holder.place, "name": holder.name,
                "version": holder.version, "beat": holder.beat, "left": holder.left,
            };
            let change = doc! { "$set": values, "$currentDate": { "seen": true } };
            let (query, insert) = match expected {
                Some((incarnation, beat)) => {
                    (doc! { "_id": &*node, "incarnation": incarnation, "beat": beat }, false)
                }
                None => (doc! { "_id": &*node, "incarnation": { "$exists": false } }, true),
            };
            let done = nodes(&store).update_one(query, change).upsert(insert).await;
            match done {
                Ok(done) => Ok(done.matched_count > 0 || done.upserted_id.is_some()),
                // Somebody holds it who was not expected.
                Err(error) if failure::is_duplicate(&error) => Ok(false),
                Err(error) => Err(failure(&error)),
            }
        })
    }
}

fn nodes(store: &Ready) -> Collection<Document> {
    store.database.collection(NODES)
}

fn write_concern() -> RawDocumentBuf {
    rawdoc! { "w": "majority", "j": true, "wtimeout": MAJORITY_WITHIN_MS }
}

/// Commands' worth of updates, each with the place of its first.
fn updates(node: &str, puts: &[Put]) -> Vec<(u32, RawArrayBuf)> {
    let mut commands = Vec::new();
    let (mut array, mut bytes, mut first) = (RawArrayBuf::new(), 0, 0);
    for (index, put) in puts.iter().enumerate() {
        let update = update(node, put);
        let len = update.as_bytes().len();
        if bytes > 0 && bytes + len > UPDATES_BYTES {
            commands.push((first, std::mem::take(&mut array)));
            (bytes, first) = (0, index as u32);
        }
        bytes += len;
        array.push(&*update);
    }
    commands.push((first, array));
    commands
}

/// Puts a bucket in the place of an older one. Where the one that is there must stay, this becomes
/// an insert, and fails as a duplicate.
fn update(node: &str, Put { bucket, recounted }: &Put) -> RawDocumentBuf {
    let revision = bucket.revision;
    let bucket = Bucket {
        window_secs: bucket.secs,
        tick: bucket.start,
        node,
        revision,
        recounted: *recounted,
        summary: &bucket.summary,
    };
    let id = bucket.id();
    let older = if *recounted {
        rawdoc! { "_id": id.as_str(), "revision": { "$lte": revision as i64 } }
    } else {
        rawdoc! {
            "_id": id.as_str(), "revision": { "$lt": revision as i64 },
            "recounted": { "$ne": true },
        }
    };
    let mut update = RawDocumentBuf::new();
    update.append(cstr!("q"), older);
    update.append(cstr!("u"), bucket.document());
    update.append(cstr!("upsert"), true);
    update
}

/// Sends a write and reads its answer; `place` gives what a place in the command is in the batch.
async fn write(
    store: &Ready,
    command: RawDocumentBuf,
    place: &(dyn Fn(usize) -> u32 + Sync),
) -> Result<Answer, Failure> {
    let answer = store.database.run_raw_command(command).await;
    let answer = answer.map_err(|error| failure(&error))?;
    if let Ok(concern) = answer.get_document("writeConcernError") {
        let message = concern.get_str("errmsg").unwrap_or("no reason given");
        return Err(Failure::Away(format!("a majority has not confirmed a write: {message}")));
    }
    let mut read = Answer::default();
    let Ok(errors) = answer.get_array("writeErrors") else { return Ok(read) };
    for error in errors.iter().filter_map(|error| error.as_document()) {
        let index = error.get_i32("index").unwrap_or_default() as usize;
        let code = error.get_i32("code").unwrap_or_default();
        let is_id = error.get_document("keyPattern").is_ok_and(|keys| keys.contains_key("_id"));
        if code == DUPLICATE && is_id {
            read.duplicates.push(place(index));
        } else {
            let message = error.get_str("errmsg").unwrap_or_default();
            read.unfit.push(Unfit { index: place(index), code, message: message.to_owned() });
        }
    }
    Ok(read)
}
