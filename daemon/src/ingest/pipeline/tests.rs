//! Calls through the pipeline against a log that can wait, fail and refuse.

mod claiming;

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::super::{AppendError, Appended, Durable, DurableHeld, Held};
use super::*;
use crate::auth::Grant;
use crate::rate_limit::EventBudget;

const NOW_MS: i64 = 1_763_884_800_000;

/// A log whose syncs end when the test says so.
#[derive(Default)]
struct Log {
    state: Arc<Mutex<LogState>>,
}

#[derive(Default)]
struct LogState {
    /// Batches that wait for their sync.
    queue: Vec<(EventBatch, oneshot::Sender<bool>)>,
    /// Ids of what was synced, in order.
    synced: Vec<String>,
    appends: usize,
    refuse: Option<AppendError>,
    /// Sync at once.
    at_once: bool,
    /// How often held events were let go, and the places of those that were not.
    let_go: Vec<Vec<u32>>,
}

/// A held batch, and the log that is told when it is let go.
struct HeldBatch {
    appended: Appended,
    state: Arc<Mutex<LogState>>,
}

impl Held for HeldBatch {
    fn appended(&self) -> Appended {
        self.appended
    }

    fn let_go<'a>(
        self: Box<Self>,
        but: &'a [u32],
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        self.state.lock().let_go.push(but.to_vec());
        Box::pin(std::future::ready(()))
    }
}

impl EventLog for Log {
    fn append(&self, batch: EventBatch) -> Result<Durable, AppendError> {
        let mut state = self.state.lock();
        if let Some(error) = state.refuse {
            return Err(error);
        }
        state.appends += 1;
        let count = batch.len() as u32;
        let (done, synced) = oneshot::channel();
        state.queue.push((batch, done));
        if state.at_once {
            state.sync(0, true);
        }
        Ok(Box::pin(async move {
            match synced.await {
                Ok(true) => Ok(Appended { first_seq: 1, count }),
                _ => Err(AppendError::DiskFull),
            }
        }))
    }

    fn append_held(&self, batch: EventBatch) -> Result<DurableHeld, AppendError> {
        let (durable, state) = (self.append(batch)?, Arc::clone(&self.state));
        Ok(Box::pin(async move {
            let appended = durable.await?;
            Ok(Box::new(HeldBatch { appended, state }) as Box<dyn Held>)
        }))
    }
}

impl LogState {
    fn sync(&mut self, index: usize, ok: bool) {
        let (batch, done) = self.queue.remove(index);
        if ok {
            self.synced.extend(batch.iter().map(|event| event.event_id().to_owned()));
        }
        let _ = done.send(ok);
    }
}

struct Bench {
    log: Arc<Log>,
    ingest: Ingest,
    clock: Clock,
}

fn bench_with(options: Options, max_ids: u64, at_once: bool) -> Bench {
    let log = Arc::new(Log::default());
    log.state.lock().at_once = at_once;
    let clock = Clock::manual(NOW_MS);
    let ingest = Ingest::new(
        clock.clone(),
        Arc::clone(&log) as Arc<dyn EventLog>,
        Arc::new(Dedupe::new(max_ids, NOW_MS)),
        Fingerprinter::new(&[1; 16]),
        options,
    );
    Bench { log, ingest, clock }
}

fn bench() -> Bench {
    bench_with(Options::default(), 1_000_000, true)
}

/// As [`bench`], but syncs wait for the test.
fn held() -> Bench {
    bench_with(Options::default(), 1_000_000, false)
}

fn source() -> Source {
    Source {
        grant: Arc::new(Grant::dev()),
        budget: EventBudget::unlimited(),
        import: false,
        idempotency_key: None,
    }
}

fn events(ids: &[&str]) -> Body {
    let events: Vec<String> =
        ids.iter().map(|id| format!(r#"{{"eventId":"{id}","type":"a","route":"/"}}"#)).collect();
    Body::Json(format!("[{}]", events.join(",")).into())
}

fn submit(bench: &Bench, body: Body) -> tokio::task::JoinHandle<Result<(u64, u64), IngestError>> {
    let ingest = bench.ingest.clone();
    tokio::spawn(async move {
        let verdicts = ingest.submit(body, &source()).await?;
        Ok((verdicts.accepted, verdicts.duplicates))
    })
}

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_object_is_answered_with_its_id_route_and_tick() {
    let bench = bench();
    let body = r#"{"eventId":"e1","type":"a","route":"/u/7?x=1","timestamp":1763884798500}"#;
    let body = || Body::Json(body.into());
    let first = bench.ingest.submit(body(), &source()).await.unwrap();
    let expected = SingleVerdict {
        event_id: "e1".into(),
        route: "/u/:id".into(),
        tick: 1_763_884_798,
        duplicate: false,
    };
    assert_eq!((first.is_single, first.accepted, first.single), (true, 1, Some(expected.clone())));
    let again = bench.ingest.submit(body(), &source()).await.unwrap();
    assert_eq!((again.accepted, again.duplicates), (0, 1));
    assert_eq!(again.single, Some(SingleVerdict { duplicate: true, ..expected }));
    let refused = bench.ingest.submit(Body::Json("{}".into()), &source()).await.unwrap();
    assert_eq!((refused.is_single, refused.single, refused.rejected_total), (true, None, 1));
    assert_eq!(refused.rejected[0].code, "missing_field");
}

#[tokio::test]
async fn every_item_has_its_verdict_and_all_are_counted() {
    let bench = bench();
    let body = format!(
        "{}\n{}\n{}\nnonsense\n{}\n",
        r#"{"eventId":"1","type":"a","route":"/"}"#,
        r#"{"eventId":"1","type":"a","route":"/"}"#,
        format_args!(r#"{{"type":"a","route":"/","timestamp":{}}}"#, NOW_MS - 100_000),
        format_args!(r#"{{"type":"a","route":"/","timestamp":{}}}"#, NOW_MS + 100_000),
    );
    let verdicts = bench.ingest.submit(Body::Ndjson(body.into()), &source()).await.unwrap();
    assert_eq!((verdicts.accepted, verdicts.duplicates, verdicts.rejected_total), (3, 1, 1));
    assert_eq!((verdicts.rejected[0].index, verdicts.is_single), (3, false));
    let stats = bench.ingest.stats();
    assert_eq!((stats.accepted, stats.duplicates, stats.late, stats.skewed), (3, 1, 1, 1));
    let refused: Vec<_> = stats.rejected.iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(refused, [&("bad_json", 1)]);
    assert_eq!((stats.in_flight, stats.inflight_bytes, stats.dedupe_ids), (0, 0, 3));
    assert_eq!(bench.log.state.lock().synced.len(), 3);
}

#[tokio::test]
async fn a_call_without_a_single_event_is_refused_as_such() {
    let bench = bench();
    for (body, code) in [
        (Body::Json("[]".into()), "empty_batch"),
        (Body::Ndjson("\n \n".into()), "empty_batch"),
        (Body::Ndjson("".into()), "empty_batch"),
        (Body::Json("".into()), "bad_json"),
        (Body::Json("[{]".into()), "bad_json"),
    ] {
        let error = bench.ingest.submit(body, &source()).await.unwrap_err();
        assert_eq!(error.code(), code);
    }
    assert_eq!(bench.log.state.lock().appends, 0);
}

#[tokio::test]
async fn an_acknowledgement_comes_after_the_sync() {
    let bench = held();
    let call = submit(&bench, events(&["a", "b"]));
    settle().await;
    assert!(!call.is_finished());
    bench.log.state.lock().sync(0, true);
    assert_eq!(call.await.unwrap(), Ok((2, 0)));
}

#[tokio::test]
async fn a_duplicate_in_flight_waits_for_the_first_ones_sync() {
    let bench = held();
    let first = submit(&bench, events(&["a"]));
    settle().await;
    let second = submit(&bench, events(&["a"]));
    let third = submit(&bench, events(&["a", "c"]));
    settle().await;
    assert_eq!(bench.log.state.lock().appends, 2, "the second has nothing to append");
    bench.log.state.lock().sync(1, true);
    settle().await;
    assert!(!first.is_finished() && !second.is_finished() && !third.is_finished());
    bench.log.state.lock().sync(0, true);
    assert_eq!(first.await.unwrap(), Ok((1, 0)));
    assert_eq!(second.await.unwrap(), Ok((0, 1)));
    assert_eq!(third.await.unwrap(), Ok((1, 1)));
    assert_eq!(bench.ingest.stats().in_flight, 0);
}

#[tokio::test]
async fn a_duplicate_of_a_failed_write_is_taken_itself() {
    let bench = held();
    let first = submit(&bench, events(&["a", "b"]));
    settle().await;
    let second = submit(&bench, events(&["b", "c", "b"]));
    settle().await;
    bench.log.state.lock().sync(1, true);
    settle().await;
    bench.log.state.lock().sync(0, false);
    settle().await;
    assert_eq!(first.await.unwrap(), Err(IngestError::DiskFull));
    assert!(!second.is_finished(), "its second append waits for its own sync");
    bench.log.state.lock().sync(0, true);
    assert_eq!(second.await.unwrap(), Ok((2, 1)));
    assert_eq!(bench.log.state.lock().synced, ["c", "b"]);
    assert_eq!(bench.ingest.stats().accepted, 2);
}

#[tokio::test]
async fn of_many_that_repeat_a_failed_event_one_takes_it() {
    let bench = held();
    let first = submit(&bench, events(&["a"]));
    settle().await;
    let others: Vec<_> = (0..5).map(|_| submit(&bench, events(&["a"]))).collect();
    settle().await;
    bench.log.state.lock().sync(0, false);
    settle().await;
    assert_eq!(first.await.unwrap(), Err(IngestError::DiskFull));
    assert_eq!(bench.log.state.lock().queue.len(), 1, "one of them, and the rest wait for it");
    assert!(others.iter().all(|call| !call.is_finished()));
    bench.log.state.lock().sync(0, true);
    let mut accepted = 0;
    for call in others {
        accepted += call.await.unwrap().unwrap().0;
    }
    assert_eq!((accepted, bench.log.state.lock().synced.len()), (1, 1));
}

#[tokio::test]
async fn calls_that_hold_each_others_events_do_not_wait_for_ever() {
    let bench = held();
    let calls: Vec<_> = [["a", "b"], ["b", "c"], ["c", "a"]]
        .iter()
        .map(|ids| submit(&bench, events(ids)))
        .collect();
    settle().await;
    while !bench.log.state.lock().queue.is_empty() {
        bench.log.state.lock().sync(0, true);
        settle().await;
    }
    let mut accepted = 0;
    for call in calls {
        accepted += call.await.unwrap().unwrap().0;
    }
    assert_eq!(accepted, 3);
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing_half_done() {
    for written in [true, false] {
        let bench = held();
        let gone = submit(&bench, events(&["a"]));
        settle().await;
        gone.abort();
        settle().await;
        let retry = submit(&bench, events(&["a"]));
        settle().await;
        assert!(!retry.is_finished(), "the first one is still on its way");
        bench.log.state.lock().sync(0, written);
        settle().await;
        if written {
            assert_eq!(retry.await.unwrap(), Ok((0, 1)));
        } else {
            bench.log.state.lock().sync(0, true);
            assert_eq!(retry.await.unwrap(), Ok((1, 0)));
        }
        assert_eq!(bench.log.state.lock().synced, ["a"]);
        assert_eq!(bench.ingest.stats().in_flight, 0);
    }
}

#[tokio::test]
async fn what_the_log_does_not_take_can_be_sent_again() {
    let bench = bench();
    for (error, code) in [
        (AppendError::DiskFull, "disk_full"),
        (AppendError::SpoolFull, "spool_full"),
        (AppendError::Busy, "busy"),
        (AppendError::Closed, "stopping"),
    ] {
        bench.log.state.lock().refuse = Some(error);
        let refused = bench.ingest.submit(events(&["a", "b"]), &source()).await.unwrap_err();
        assert_eq!(refused.code(), code);
        assert!(refused.retry_after_ms().is_some());
        assert_eq!(bench.ingest.stats().dedupe_ids, 0);
    }
    bench.log.state.lock().refuse = None;
    assert_eq!(submit(&bench, events(&["a", "b"])).await.unwrap(), Ok((2, 0)));
}

#[tokio::test]
async fn an_idempotency_key_makes_a_retry_safe() {
    let bench = bench();
    let body = || Body::Json(r#"[{"type":"a","route":"/"},5,{"type":"a","route":"/"}]"#.into());
    let keyed = |key: &str| Source { idempotency_key: Some(key.into()), ..source() };
    let verdict = |source: Source| {
        let ingest = bench.ingest.clone();
        async move {
            let verdicts = ingest.submit(body(), &source).await.unwrap();
            (verdicts.accepted, verdicts.duplicates)
        }
    };
    assert_eq!(verdict(keyed("k1")).await, (2, 0));
    assert_eq!(verdict(keyed("k1")).await, (0, 2));
    assert_eq!(verdict(keyed("k2")).await, (2, 0));
    let other = Arc::new(Grant { subject: "other".into(), ..Grant::dev() });
    assert_eq!(verdict(Source { grant: other, ..keyed("k1") }).await, (2, 0));
    assert_eq!(verdict(source()).await, (2, 0));
    assert_eq!(verdict(source()).await, (2, 0), "without a key each event is its own");
}

#[tokio::test]
async fn the_same_id_on_two_sites_is_two_events() {
    let bench = bench();
    let body = r#"[{"eventId":"1","type":"a","route":"/","site":"x"},{"eventId":"1","type":"a","route":"/"}]"#;
    let verdicts = bench.ingest.submit(Body::Json(body.into()), &source()).await.unwrap();
    assert_eq!((verdicts.accepted, verdicts.duplicates), (2, 0));
}

#[tokio::test]
async fn publishes_share_one_append_and_each_has_its_verdict() {
    let bench = bench();
    let publishes: Vec<Bytes> = [
        r#"[{"eventId":"1","type":"a","route":"/"},{"eventId":"2","type":"a","route":"/"}]"#,
        r#"[{"eventId":"2","type":"a","route":"/"},{}]"#,
        "[{]",
        "[]",
        r#"[{"eventId":"3","type":"a","route":"/"}]"#,
    ]
    .map(Bytes::from)
    .into();
    let answers = bench.ingest.submit_many(publishes, &source()).await;
    let answers: Vec<_> = answers
        .into_iter()
        .map(|answer| {
            answer
                .map(|verdicts| (verdicts.accepted, verdicts.duplicates, verdicts.rejected_total))
                .map_err(|error| error.code())
        })
        .collect();
    assert_eq!(
        answers,
        [Ok((2, 0, 0)), Ok((0, 1, 1)), Err("bad_json"), Err("empty_batch"), Ok((1, 0, 0))]
    );
    assert_eq!(bench.log.state.lock().appends, 1);
}

#[tokio::test]
async fn bytes_in_work_are_bounded_and_one_call_always_fits() {
    let limits = Limits { inflight_bytes: 100, ..Limits::default() };
    let bench = bench_with(Options { limits, ..Options::default() }, 1_000, false);
    let first = submit(&bench, events(&["a", "b", "c", "d"]));
    settle().await;
    assert!(!first.is_finished(), "larger than the bound, but alone");
    assert_eq!(submit(&bench, events(&["e"])).await.unwrap(), Err(IngestError::Busy));
    bench.log.state.lock().sync(0, true);
    assert_eq!(first.await.unwrap(), Ok((4, 0)));
    let next = submit(&bench, events(&["e"]));
    settle().await;
    bench.log.state.lock().sync(0, true);
    assert_eq!(next.await.unwrap(), Ok((1, 0)));
}

#[tokio::test]
async fn more_ids_than_can_be_remembered_are_refused_until_some_are_old() {
    let bench = bench_with(Options::default(), 2, true);
    assert_eq!(submit(&bench, events(&["a", "b"])).await.unwrap(), Ok((2, 0)));
    assert_eq!(submit(&bench, events(&["c"])).await.unwrap(), Err(IngestError::DedupeFull));
    assert_eq!(submit(&bench, events(&["a"])).await.unwrap(), Ok((0, 1)));
    bench.clock.set_ms(NOW_MS + 71_000);
    assert_eq!(submit(&bench, events(&["c"])).await.unwrap(), Ok((1, 0)));
}

#[tokio::test]
async fn a_large_body_is_worked_on_aside_and_carried_through() {
    let bench = bench();
    let line = format!(r#"{{"type":"a","route":"/{}"}}"#, "x".repeat(400));
    let body = vec![line.as_str(); 2_000].join("\n");
    assert!(body.len() > INLINE_BYTES);
    let gone = submit(&bench, Body::Ndjson(body.clone().into()));
    tokio::task::yield_now().await;
    gone.abort();
    assert_eq!(submit(&bench, Body::Ndjson(body.into())).await.unwrap(), Ok((2_000, 0)));
    // The one that hung up lands whole or was never begun.
    tokio::time::timeout(Duration::from_secs(30), async {
        while bench.ingest.stats().in_flight > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(bench.log.state.lock().synced.len() % 2_000, 0);
}

#[tokio::test]
async fn an_import_takes_events_of_any_age() {
    let bench = bench();
    let body =
        || Body::Json(r#"{"type":"a","route":"/","timestamp":"2015-05-17T10:05:03Z"}"#.into());
    let refused = bench.ingest.submit(body(), &source()).await.unwrap();
    assert_eq!(refused.rejected[0].code, "too_old");
    let import = Source { import: true, ..source() };
    let taken = bench.ingest.submit(body(), &import).await.unwrap();
    assert_eq!((taken.accepted, taken.single.map(|single| single.tick)), (1, Some(1_431_857_103)));
}
