//! The drain over a store that is made of memory: slow, failing, refusing single documents.

mod busy;
mod counted;
mod stopping;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::RawDocumentBuf;
use parking_lot::Mutex;
use pulseboard::event::{EventBatch, Row};
use pulseboard::tick::TickSummary;
use tempfile::TempDir;
use tokio::sync::watch;

use super::sink::{Answer, Doing, Failure, Holder, Owner, Put, Sink, Standing, Unfit};
use super::*;
use crate::journal;
use crate::journal::{Options, OsDisk};

/// What the next inserts do, in order; then all is well.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Nothing arrives.
    Away,
    /// Everything arrives, and the answer does not.
    AnswerLost,
    /// Half of it arrives, and no answer.
    CutInTheMiddle,
    /// An answer that never comes.
    Hangs,
    /// The answer names all as refused.
    Refused,
}

/// What becomes of a write of buckets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum PutFault {
    /// Nothing arrives.
    Away,
    /// Each is refused with this code.
    Unfit(i32),
}

#[derive(Default)]
struct State {
    documents: BTreeMap<String, Owner>,
    faults: Vec<Fault>,
    /// Documents of these ids are refused, with this code.
    poison: HashMap<String, i32>,
    /// A batch with one of these is refused as a whole.
    malformed: HashSet<String>,
    holder: Option<Holder>,
    buckets: HashMap<(u32, i64), Standing>,
    /// What the next writes of buckets come to; then all is well.
    put_faults: Vec<PutFault>,
    /// Up to which sequence buckets were counted again.
    recounted_upto: Vec<u64>,
    inserts: usize,
    most_documents: usize,
}

/// The store.
#[derive(Clone)]
struct Fake {
    state: Arc<Mutex<State>>,
    ready: watch::Sender<bool>,
}

impl Fake {
    fn new() -> Self {
        Self { state: Arc::default(), ready: watch::Sender::new(true) }
    }

    fn insert_now(state: &mut State, documents: &[&RawDocumentBuf], which: &[u32]) -> Answer {
        let mut answer = Answer::default();
        for (document, index) in documents.iter().zip(which) {
            let id = document.get_str("_id").unwrap().to_owned();
            let node = document.get_str("node").unwrap().to_owned();
            let seq = document.get_i64("seq").unwrap() as u64;
            if let Some(code) = state.poison.get(&id) {
                let message = "no".to_owned();
                answer.unfit.push(Unfit { index: *index, code: *code, message });
                continue;
            }
            match state.documents.entry(id) {
                Entry::Occupied(_) => answer.duplicates.push(*index),
                Entry::Vacant(slot) => drop(slot.insert(Owner { node, seq })),
            }
        }
        answer
    }
}

fn lost() -> Failure {
    Failure::Away("the connection broke".into())
}

impl Sink for Fake {
    fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    fn insert(&self, documents: Arc<Vec<RawDocumentBuf>>, which: Vec<u32>) -> Doing<Answer> {
        let this = self.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            let fault = {
                let mut state = this.state.lock();
                state.inserts += 1;
                state.most_documents = state.most_documents.max(which.len());
                (!state.faults.is_empty()).then(|| state.faults.remove(0))
            };
            if fault == Some(Fault::Hangs) {
                std::future::pending::<()>().await;
            }
            let mut state = this.state.lock();
            let sent: Vec<_> = which.iter().map(|index| &documents[*index as usize]).collect();
            if sent.iter().any(|sent| state.malformed.contains(sent.get_str("_id").unwrap())) {
                return Err(Failure::Malformed("too large".into()));
            }
            match fault {
                None => Ok(Self::insert_now(&mut state, &sent, &which)),
                Some(Fault::AnswerLost) => {
                    Self::insert_now(&mut state, &sent, &which);
                    Err(lost())
                }
                Some(Fault::CutInTheMiddle) => {
                    let half = sent.len() / 2;
                    Self::insert_now(&mut state, &sent[..half], &which[..half]);
                    Err(lost())
                }
                Some(Fault::Refused) => Err(Failure::Refused("the disk is full".into())),
                Some(Fault::Away | Fault::Hangs) => Err(lost()),
            }
        })
    }

    fn owners(&self, ids: Vec<String>) -> Doing<HashMap<String, Owner>> {
        let this = self.clone();
        Box::pin(async move {
            let state = this.state.lock();
            let owner = |id: String| state.documents.get(&id).cloned().map(|owner| (id, owner));
            Ok(ids.into_iter().filter_map(owner).collect())
        })
    }

    fn put(&self, _: Arc<str>, puts: Vec<Put>) -> Doing<Answer> {
        let this = self.clone();
        Box::pin(async move {
            let mut state = this.state.lock();
            match (!state.put_faults.is_empty()).then(|| state.put_faults.remove(0)) {
                None => {}
                Some(PutFault::Away) => return Err(lost()),
                Some(PutFault::Unfit(code)) => {
                    let unfit = |index| Unfit { index, code, message: "no".to_owned() };
                    let unfit = (0..puts.len() as u32).map(unfit).collect();
                    return Ok(Answer { unfit, ..Answer::default() });
                }
            }
            for Put { bucket, recounted } in puts {
                let standing = Standing { revision: bucket.revision, recounted };
                state.buckets.insert((bucket.secs, bucket.start), standing);
            }
            Ok(Answer::default())
        })
    }

    fn standings(
        &self,
        _: Arc<str>,
        which: Vec<(u32, i64)>,
    ) -> Doing<HashMap<(u32, i64), Standing>> {
        let this = self.clone();
        Box::pin(async move {
            let state = this.state.lock();
            let standing = |key: (u32, i64)| state.buckets.get(&key).map(|found| (key, *found));
            Ok(which.into_iter().filter_map(standing).collect())
        })
    }

    fn recount(&self, _: Arc<str>, _: (u32, i64), upto_seq: u64) -> Doing<TickSummary> {
        self.state.lock().recounted_upto.push(upto_seq);
        Box::pin(async { Ok(TickSummary::default()) })
    }

    fn holder(&self, _: Arc<str>) -> Doing<Option<Holder>> {
        let this = self.clone();
        Box::pin(async move { Ok(this.state.lock().holder.clone()) })
    }

    fn hold(&self, _: Arc<str>, expected: Option<(String, i64)>, holder: Holder) -> Doing<bool> {
        let this = self.clone();
        Box::pin(async move {
            let mut state = this.state.lock();
            let now = state.holder.as_ref().map(|now| (now.incarnation.clone(), now.beat));
            let as_expected = now == expected;
            if as_expected {
                state.holder = Some(holder);
            }
            Ok(as_expected)
        })
    }
}

/// Nothing is counted.
struct NoCounts;

impl Counts for NoCounts {
    fn follow_changes(&self) -> u64 {
        0
    }

    fn take_changes(&self) -> Changed {
        Changed::default()
    }

    fn changes_written(&self) {}

    fn mark_changed(&self, _: &[i64], _: &[i64]) {}

    fn buckets(&self, wanted: &[(u32, i64)]) -> Result<Vec<Bucket>, CountsError> {
        let summary = Arc::new(TickSummary::default());
        let bucket =
            |(secs, start)| Bucket { secs, start, revision: 1, summary: Arc::clone(&summary) };
        Ok(wanted.iter().copied().map(bucket).collect())
    }

    fn unwritten(&self, _: u32, _: (i64, i64)) -> Result<Vec<Bucket>, CountsError> {
        Ok(Vec::new())
    }

    fn unwritten_buckets(&self, _: &[u32]) -> u64 {
        0
    }

    fn stored_minutes(&self, _: i64, _: usize) -> Result<Vec<i64>, CountsError> {
        Ok(Vec::new())
    }

    fn oldest_tick(&self) -> i64 {
        0
    }

    fn applied_seq(&self) -> u64 {
        0
    }

    fn stored_seq(&self) -> u64 {
        0
    }
}

const NODE: &str = "00c0ffee0000";

pub(super) struct Scene {
    dir: TempDir,
    journal: Journal,
    fake: Fake,
    pub(super) drain: Drain,
}

impl Scene {
    fn new(fake: Fake) -> Self {
        let (dir, journal) = empty();
        let drain = drain(&dir, &journal, &fake, Clock::system());
        Self { dir, journal, fake, drain }
    }

    /// A store that takes everything, and nothing to take.
    pub(super) fn idle() -> Self {
        Self::new(Fake::new())
    }

    async fn append(&self, events: std::ops::Range<u32>) {
        append(&self.journal, events).await;
    }

    async fn drained(&self, upto: u64) {
        let drained = async {
            while self.drain.stats().drained_seq < upto {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), drained).await.unwrap();
    }

    fn stored(&self) -> usize {
        self.fake.state.lock().documents.len()
    }
}

fn empty() -> (TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { spool_bytes: Some(1 << 30), ..Options::new(dir.path().join("j")) };
    let (journal, _) = journal::open(Arc::new(OsDisk), options, Clock::system()).unwrap();
    (dir, journal)
}

async fn append(journal: &Journal, events: std::ops::Range<u32>) {
    for event in events {
        let mut batch = EventBatch::default();
        let row = Row {
            event_id: batch.add_text(&format!("e{event}")),
            kind: batch.add_text("view"),
            route: batch.add_text("/r"),
            site: batch.add_text("default"),
            arrival_ms: 1_763_884_800_000,
            timestamp_ms: 1_763_884_800_000,
            fingerprint: u128::from(event) + 1,
            ..Row::default()
        };
        batch.push(row);
        journal.append(batch).unwrap().await.unwrap();
    }
}

fn drain(dir: &TempDir, journal: &Journal, fake: &Fake, clock: Clock) -> Drain {
    drain_of(dir, journal, fake, clock, Arc::new(NoCounts))
}

fn drain_of(
    dir: &TempDir,
    journal: &Journal,
    fake: &Fake,
    clock: Clock,
    counts: Arc<dyn Counts>,
) -> Drain {
    let settings = Settings {
        data_dir: dir.path().to_path_buf(),
        node: NODE.into(),
        node_name: "one".into(),
        windows_secs: vec![1, 60],
        debounce: Duration::from_millis(20),
        events_kept_ms: 0,
    };
    let within = Duration::from_millis(300);
    let fake = Arc::new(fake.clone());
    Drain::over(settings, fake, journal.clone(), counts, clock, within)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_is_sent_again_until_it_is_there_once() {
    use Fault::{AnswerLost, Away, CutInTheMiddle, Hangs, Refused};
    let fake = Fake::new();
    fake.state.lock().faults =
        vec![Away, AnswerLost, CutInTheMiddle, Hangs, Refused, CutInTheMiddle, AnswerLost];
    let scene = Scene::new(fake);
    scene.append(0..500).await;
    scene.drained(500).await;
    assert_eq!(scene.stored(), 500);
    let stats = scene.drain.stats();
    assert!(stats.own_duplicates > 0, "{stats:?}");
    assert_eq!((stats.foreign_duplicates, stats.set_aside, stats.last_error), (0, 0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_document_that_is_refused_is_set_aside_and_holds_nobody_up() {
    let fake = Fake::new();
    fake.state.lock().poison.insert("default/e7".into(), 121);
    fake.state.lock().malformed.insert("default/e9".into());
    let scene = Scene::new(fake);
    scene.append(0..20).await;
    scene.drained(20).await;
    assert_eq!((scene.stored(), scene.drain.stats().set_aside), (18, 2));
    let aside = std::fs::read(scene.dir.path().join("set-aside.bson")).unwrap();
    let text = String::from_utf8_lossy(&aside);
    assert!(text.contains("default/e7") && text.contains("default/e9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_set_aside_while_nothing_is_taken() {
    let fake = Fake::new();
    let ids = (0..6).map(|number| (format!("default/e{number}"), 121));
    fake.state.lock().poison.extend(ids);
    let scene = Scene::new(fake);
    scene.append(0..6).await;
    let refused = async {
        while scene.fake.state.lock().inserts < 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), refused).await.unwrap();
    assert_eq!((scene.drain.stats().set_aside, scene.drain.stats().drained_seq), (0, 0));
    assert!(scene.drain.stats().last_error.is_some());
    scene.fake.state.lock().poison.clear();
    scene.drained(6).await;
    assert_eq!((scene.stored(), scene.drain.stats().last_error), (6, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_goes_on_where_the_one_before_was_and_resends_little() {
    let scene = Scene::new(Fake::new());
    scene.append(0..300).await;
    scene.drained(300).await;
    assert_eq!(scene.drain.stop(Duration::from_millis(50)).await, 0);
    let before = scene.fake.state.lock().inserts;
    let again = drain(&scene.dir, &scene.journal, &scene.fake, Clock::system());
    assert_eq!(again.stats().drained_seq, 300);
    scene.append(300..310).await;
    let scene = Scene { drain: again, ..scene };
    scene.drained(310).await;
    assert_eq!((scene.stored(), scene.drain.stats().own_duplicates), (310, 0));
    assert!(scene.fake.state.lock().inserts > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_others_have_their_minutes_counted_again() {
    let fake = Fake::new();
    let other = Owner { node: "0123456789ab".into(), seq: 3 };
    fake.state.lock().documents.insert("default/e3".into(), other);
    let scene = Scene::new(fake);
    scene.append(0..10).await;
    scene.drained(10).await;
    assert_eq!(scene.drain.stats().foreign_duplicates, 1);
    let bucket = (60, 1_763_884_800);
    let recounted = async {
        let is_there = || scene.fake.state.lock().buckets.get(&bucket).copied();
        while !is_there().is_some_and(|standing| standing.recounted) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), recounted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_said_and_bounded_memory_is_taken_for_it() {
    let fake = Fake::new();
    fake.ready.send_replace(false);
    let scene = Scene::new(fake);
    scene.append(0..200).await;
    let stats = scene.drain.stats();
    assert_eq!(stats.lag_events, 200);
    assert!(stats.lag_bytes > 0 && stats.lag_seconds > 0.0, "{stats:?}");
    assert_eq!(scene.drain.floor_seq(), 1);
    scene.fake.ready.send_replace(true);
    scene.drained(200).await;
    assert_eq!(scene.drain.stop(Duration::from_millis(50)).await, 0);
    assert!(scene.fake.state.lock().holder.as_ref().is_some_and(|holder| holder.left));
}
