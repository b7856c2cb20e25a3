//! Calls at two instances whose claims are kept in one place, which can hang, forget what is
//! pending, and go away.

use std::collections::{HashMap, HashSet};

use tokio::sync::Semaphore;

use super::super::super::claims::{Asked, Away, Claim, Claims, Confirmed};
use super::*;

/// Where all instances keep their claims.
#[derive(Debug)]
struct Keeper {
    state: Mutex<KeeperState>,
    /// Answers wait for a permit; plenty, unless a test takes them.
    answers: Semaphore,
}

#[derive(Debug, Default)]
struct KeeperState {
    /// By id: whose it is, and whether it is confirmed.
    held: HashMap<u128, (u8, bool)>,
    away: bool,
    /// Ids that were asked for, by either instance.
    asked: usize,
    unconfirmed: Vec<(u64, u64)>,
    abandoned: HashSet<u128>,
}

/// One instance's way to it.
#[derive(Debug)]
struct Instance {
    keeper: Arc<Keeper>,
    me: u8,
}

impl Keeper {
    /// As after half a minute.
    fn forget_pending(&self) {
        self.state.lock().held.retain(|_, (_, confirmed)| *confirmed);
    }

    fn hang(&self) {
        self.answers.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn answer(&self, count: usize) {
        self.answers.add_permits(count);
    }
}

impl Claims for Instance {
    fn key(&self) -> Option<Fingerprinter> {
        (!self.keeper.state.lock().away).then(|| Fingerprinter::new(&[9; 16]))
    }

    fn claim(&self, ids: Arc<[u128]>) -> Asked<Vec<Claim>> {
        let (keeper, me) = (Arc::clone(&self.keeper), self.me);
        Box::pin(async move {
            keeper.answers.acquire().await.unwrap().forget();
            let mut state = keeper.state.lock();
            if state.away {
                return Err(Away);
            }
            state.asked += ids.iter().filter(|id| **id != UNCLAIMED).count();
            let claim = |id: &u128| {
                if *id == UNCLAIMED {
                    return Claim::Ours;
                }
                match *state.held.entry(*id).or_insert((me, false)) {
                    (whose, _) if whose == me => Claim::Ours,
                    (_, true) => Claim::Taken,
                    (_, false) => Claim::Pending,
                }
            };
            Ok(ids.iter().map(claim).collect())
        })
    }

    fn confirm(&self, ids: Arc<[u128]>) -> Asked<Confirmed> {
        let (keeper, me) = (Arc::clone(&self.keeper), self.me);
        Box::pin(async move {
            keeper.answers.acquire().await.unwrap().forget();
            let mut state = keeper.state.lock();
            if state.away {
                return Err(Away);
            }
            let mut taken = Vec::new();
            for (place, id) in ids.iter().enumerate().filter(|(_, id)| **id != UNCLAIMED) {
                match state.held.get(id) {
                    Some((whose, true)) if *whose != me => taken.push(place as u32),
                    _ => {
                        state.held.insert(*id, (me, true));
                    }
                }
            }
            Ok(Confirmed { taken, some_unasked: false })
        })
    }

    fn abandon(&self, ids: Arc<[u128]>) {
        let mut state = self.keeper.state.lock();
        for id in ids.iter() {
            if state.held.get(id) == Some(&(self.me, false)) {
                state.held.remove(id);
            }
            state.abandoned.insert(*id);
        }
    }

    fn unconfirmed(&self, first_seq: u64, end_seq: u64) {
        self.keeper.state.lock().unconfirmed.push((first_seq, end_seq));
    }
}

struct Pair {
    keeper: Arc<Keeper>,
    a: Bench,
    b: Bench,
}

fn pair_with(at_once: bool) -> Pair {
    let answers = Semaphore::new(Semaphore::MAX_PERMITS);
    let keeper = Arc::new(Keeper { state: Mutex::default(), answers });
    let instance = |me| {
        let claims = Arc::new(Instance { keeper: Arc::clone(&keeper), me });
        bench_with(Options { claims: Some(claims), ..Options::default() }, 1_000_000, at_once)
    };
    Pair { a: instance(1), b: instance(2), keeper: Arc::clone(&keeper) }
}

fn pair() -> Pair {
    pair_with(true)
}

async fn counts(bench: &Bench, ids: &[&str]) -> (u64, u64, u64) {
    let verdicts = bench.ingest.submit(events(ids), &source()).await.unwrap();
    (verdicts.accepted, verdicts.duplicates, verdicts.rejected_total)
}

#[tokio::test]
async fn an_id_counts_once_over_all_instances_and_is_asked_for_once_by_each() {
    let Pair { keeper, a, b } = pair();
    assert_eq!(counts(&a, &["1", "2", "3"]).await, (3, 0, 0));
    assert_eq!(counts(&b, &["3", "4", "1"]).await, (1, 2, 0));
    assert_eq!(counts(&b, &["1", "3", "4"]).await, (0, 3, 0));
    assert_eq!(counts(&a, &["4"]).await, (0, 1, 0));
    assert_eq!(keeper.state.lock().asked, 3 + 3 + 1, "a duplicate from elsewhere is remembered");
    assert_eq!(b.log.state.lock().synced, ["4"]);
    assert_eq!(a.log.state.lock().let_go, [[0_u32; 0]]);
    let stats = b.ingest.stats();
    assert_eq!((stats.accepted, stats.duplicates), (1, 5));
}

#[tokio::test]
async fn an_id_pending_elsewhere_is_worth_another_try_and_then_taken() {
    let Pair { keeper, a, b } = pair_with(false);
    let first = submit(&a, events(&["x"]));
    settle().await;
    b.log.state.lock().at_once = true;
    let verdicts = b.ingest.submit(events(&["w", "x", "y"]), &source()).await.unwrap();
    assert_eq!((verdicts.accepted, verdicts.rejected_total), (2, 1));
    let rejection = &verdicts.rejected[0];
    assert_eq!((rejection.index, &*rejection.code), (1, "claim_pending"));
    assert_eq!(rejection.retry_after_ms, Some(1_000));
    assert_eq!(b.log.state.lock().synced, ["w", "y"]);
    // Its owner never comes back.
    keeper.forget_pending();
    assert_eq!(counts(&b, &["x"]).await, (1, 0, 0));
    first.abort();
}

#[tokio::test]
async fn one_object_pending_elsewhere_has_no_verdict_but_that() {
    let Pair { a, b, .. } = pair_with(false);
    let first = submit(&a, events(&["x"]));
    settle().await;
    let body = Body::Json(r#"{"eventId":"x","type":"a","route":"/"}"#.into());
    let verdicts = b.ingest.submit(body, &source()).await.unwrap();
    assert_eq!((verdicts.is_single, verdicts.single, verdicts.accepted), (true, None, 0));
    assert_eq!(verdicts.rejected[0].code, "claim_pending");
    assert_eq!(b.ingest.stats().rejected.last(), Some(&("claim_pending", 1)));
    first.abort();
}

#[tokio::test]
async fn what_was_taken_elsewhere_while_an_instance_stood_still_is_hidden_and_a_duplicate() {
    let Pair { keeper, a, b } = pair_with(false);
    let slow = submit(&a, events(&["1", "2", "3"]));
    settle().await;
    // Half a minute passes at once for this one; its claims end, and another takes an event.
    keeper.forget_pending();
    b.log.state.lock().at_once = true;
    assert_eq!(counts(&b, &["2"]).await, (1, 0, 0));
    a.log.state.lock().sync(0, true);
    assert_eq!(slow.await.unwrap(), Ok((2, 1)));
    assert_eq!(a.log.state.lock().let_go, [[1]], "the second is never seen");
    assert_eq!(a.ingest.stats().accepted, 2);
    assert_eq!(counts(&a, &["2"]).await, (0, 1, 0));
}

#[tokio::test]
async fn with_nobody_to_ask_events_are_accepted_and_their_range_is_handed_over() {
    let Pair { keeper, a, b } = pair();
    keeper.state.lock().away = true;
    assert_eq!(counts(&a, &["1", "2"]).await, (2, 0, 0));
    assert_eq!(counts(&b, &["1"]).await, (1, 0, 0));
    assert_eq!(keeper.state.lock().unconfirmed, [(1, 3), (1, 2)]);
    assert!(a.log.state.lock().let_go.is_empty(), "nothing is held for nobody");
}

#[tokio::test]
async fn when_it_goes_away_between_claim_and_confirmation_events_are_let_go_unconfirmed() {
    let Pair { keeper, a, .. } = pair_with(false);
    let call = submit(&a, events(&["1", "2"]));
    settle().await;
    keeper.state.lock().away = true;
    a.log.state.lock().sync(0, true);
    assert_eq!(call.await.unwrap(), Ok((2, 0)));
    assert_eq!(keeper.state.lock().unconfirmed, [(1, 3)]);
    assert_eq!(a.log.state.lock().let_go, [[0_u32; 0]]);
}

#[tokio::test]
async fn ids_made_from_chance_are_not_asked_for_and_derived_ones_are() {
    let Pair { keeper, a, b } = pair();
    let nameless = || Body::Json(r#"[{"type":"a","route":"/"},{"type":"b","route":"/"}]"#.into());
    assert_eq!(a.ingest.submit(nameless(), &source()).await.unwrap().accepted, 2);
    assert_eq!(keeper.state.lock().asked, 0);
    assert!(a.log.state.lock().let_go.is_empty(), "nor held");
    let mixed = r#"[{"type":"a","route":"/"},{"eventId":"e","type":"b","route":"/"}]"#;
    assert_eq!(a.ingest.submit(Body::Json(mixed.into()), &source()).await.unwrap().accepted, 2);
    assert_eq!(keeper.state.lock().asked, 1);
    let source = Source { idempotency_key: Some("k".into()), ..source() };
    assert_eq!(a.ingest.submit(nameless(), &source).await.unwrap().accepted, 2);
    assert_eq!(b.ingest.submit(nameless(), &source).await.unwrap().duplicates, 2);
}

#[tokio::test]
async fn a_failed_write_gives_the_claims_back() {
    let Pair { keeper, a, b } = pair_with(false);
    let call = submit(&a, events(&["1"]));
    settle().await;
    a.log.state.lock().sync(0, false);
    assert_eq!(call.await.unwrap(), Err(IngestError::DiskFull));
    assert_eq!(keeper.state.lock().abandoned.len(), 1);
    a.log.state.lock().refuse = Some(AppendError::DiskFull);
    let refused = a.ingest.submit(events(&["2"]), &source()).await;
    assert_eq!(refused, Err(IngestError::DiskFull));
    b.log.state.lock().at_once = true;
    assert_eq!(counts(&b, &["1", "2"]).await, (2, 0, 0), "another instance takes them at once");
}

#[tokio::test]
async fn a_call_given_up_while_it_claims_leaves_nothing_behind() {
    let Pair { keeper, a, .. } = pair();
    keeper.hang();
    let call = submit(&a, events(&["1"]));
    settle().await;
    call.abort();
    assert!(call.await.is_err());
    keeper.answer(10);
    assert_eq!((a.ingest.stats().in_flight, a.ingest.stats().dedupe_ids), (0, 0));
    assert_eq!(counts(&a, &["1"]).await, (1, 0, 0));
}

#[tokio::test]
async fn a_call_given_up_after_its_append_is_confirmed_and_seen_all_the_same() {
    let Pair { keeper, a, b } = pair_with(false);
    let call = submit(&a, events(&["1"]));
    settle().await;
    call.abort();
    assert!(call.await.is_err());
    a.log.state.lock().sync(0, true);
    settle().await;
    assert_eq!(a.log.state.lock().let_go.len(), 1);
    assert!(keeper.state.lock().held.values().all(|(_, confirmed)| *confirmed));
    assert_eq!(counts(&b, &["1"]).await, (0, 1, 0));
    assert_eq!(a.ingest.stats().in_flight, 0);
}

#[tokio::test]
async fn a_duplicate_waits_until_the_first_is_confirmed_and_looks_again_when_it_was_pending() {
    let Pair { keeper, a, b } = pair();
    keeper.hang();
    let first = submit(&a, events(&["1"]));
    let second = submit(&a, events(&["1"]));
    settle().await;
    keeper.answer(1);
    settle().await;
    assert!(!second.is_finished(), "the first is written and not confirmed");
    keeper.answer(1);
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok((1, 0)), Ok((0, 1))));

    // The first finds its id pending at the other instance; the second looks for itself.
    b.log.state.lock().at_once = false;
    keeper.answer(100);
    let elsewhere = submit(&b, events(&["2"]));
    settle().await;
    keeper.hang();
    let (first, second) = (submit(&a, events(&["2"])), submit(&a, events(&["2"])));
    settle().await;
    keeper.answer(1);
    assert_eq!(first.await.unwrap(), Ok((0, 0)));
    keeper.forget_pending();
    keeper.answer(100);
    assert_eq!(second.await.unwrap(), Ok((1, 0)));
    elsewhere.abort();
}
