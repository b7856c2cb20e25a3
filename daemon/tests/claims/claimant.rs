//! Two claimants over one Redis: who gets an id, and what happens while Redis is away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pulseboard::event::{EventBatch, Row};
use pulseboardd::clock::Clock;
use pulseboardd::cluster::claims::{Stored, Undecided};
use pulseboardd::cluster::{ClaimSettings, Claimant, Link, LinkSettings};
use pulseboardd::ingest::{Away, Claim, Claims, Confirmed};

use crate::shared::redis::Redis;

const PATIENCE: Duration = Duration::from_secs(30);

fn claimant_of(redis: &Redis, node: &str, ids_max: u64) -> Claimant {
    claimant_at(&redis.url(), node, ids_max)
}

fn claimant_at(url: &str, node: &str, ids_max: u64) -> Claimant {
    let settings = LinkSettings::parse("cluster.redis_url", url).unwrap();
    let link = Link::open(&settings, Clock::system()).unwrap();
    let horizon = Duration::from_hours(1);
    let settings = ClaimSettings { node: node.into(), horizon, ids_max };
    Claimant::open(link, &settings, Clock::system())
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_start_waits_for_the_first_word_on_redis_and_no_longer() {
    let open = |url: &str| claimant_at(url, "00000000000a", 1_000);
    let waited = |claimant: &Claimant, most: Duration| {
        let claimant = claimant.clone();
        let waiting = tokio::spawn(async move { claimant.first_answer(most).await });
        async { tokio::time::timeout(PATIENCE, waiting).await.expect("it goes on").unwrap() }
    };
    let redis = Redis::start();
    let claimant = open(&redis.url());
    waited(&claimant, PATIENCE * 10).await;
    assert!(claimant.is_up(), "it can claim from the first call on");

    let refusing = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("redis://{}", listener.local_addr().unwrap())
    };
    let claimant = open(&refusing);
    waited(&claimant, PATIENCE * 10).await;
    assert!(!claimant.is_up(), "nobody is there, and that is known at once");

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let claimant = open(&format!("redis://{}", silent.local_addr().unwrap()));
    waited(&claimant, Duration::from_millis(20)).await;
    assert!(!claimant.is_up());
}

async fn two(redis: &Redis) -> (Claimant, Claimant) {
    let pair =
        (claimant_of(redis, "00000000000a", 1_000_000), claimant_of(redis, "00000000000b", 1_000));
    until("both are up", || pair.0.is_up() && pair.1.is_up()).await;
    pair
}

fn ids(ids: &[u128]) -> Arc<[u128]> {
    ids.iter().map(|id| id << 64 | 0x4d).collect()
}

/// Confirms, all of them; which of them another has, by place.
async fn taken(claimant: &Claimant, which: &[u128]) -> Vec<u32> {
    let confirmed = claimant.confirm(ids(which)).await.unwrap();
    assert!(!confirmed.some_unasked);
    confirmed.taken
}

/// Events with these ids, and the ids as a claimant makes them.
fn batch(names: &[&str], claimant: &Claimant) -> (Arc<EventBatch>, Arc<[u128]>) {
    let mut batch = EventBatch::default();
    for name in names {
        let row = Row {
            event_id: batch.add_text(name),
            site: batch.add_text("default"),
            route: batch.add_text("/"),
            kind: batch.add_text("a"),
            ..Row::default()
        };
        batch.push(row);
    }
    let key = claimant.key().unwrap();
    let ids = names.iter().map(|name| key.of("default", name)).collect();
    (Arc::new(batch), ids)
}

/// A key's value and the time it has left, by the last of its bytes.
fn kept(redis: &Redis) -> BTreeMap<u8, (u8, i64)> {
    let mut connection = redis.connection();
    let mut keys: Vec<Vec<u8>> =
        redis::cmd("KEYS").arg("pulseboard:*").query(&mut connection).unwrap();
    keys.retain(|key| key.len() == "pulseboard:".len() + 16);
    let read = |key: &Vec<u8>| {
        let value: Vec<u8> = redis::cmd("GET").arg(key).query(&mut connection).unwrap();
        let left_ms: i64 = redis::cmd("PTTL").arg(key).query(&mut connection).unwrap();
        (key[key.len() - 9], (value[0], left_ms))
    };
    keys.iter().map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_pending_for_half_a_minute_and_confirmed_for_the_horizon() {
    let redis = Redis::start();
    let (a, b) = two(&redis).await;
    assert_eq!(a.claim(ids(&[1, 2])).await.unwrap(), [Claim::Ours, Claim::Ours]);
    assert_eq!(
        b.claim(ids(&[1, 0, 3])).await.unwrap(),
        [Claim::Pending, Claim::Ours, Claim::Ours],
        "each id has its answer"
    );
    assert_eq!(a.claim(ids(&[1])).await.unwrap(), [Claim::Ours], "a retry of ours");
    assert!(kept(&redis).values().all(|(state, left_ms)| *state == b'p' && *left_ms <= 30_000));
    assert!(taken(&a, &[1, 2]).await.is_empty());
    let confirmed = kept(&redis)[&1];
    assert!(confirmed.0 == b'c' && confirmed.1 > 3_600_000, "an hour and 65 s: {confirmed:?}");
    assert_eq!(b.claim(ids(&[2, 4])).await.unwrap(), [Claim::Taken, Claim::Ours]);
    let (a, b) = (a.stats(), b.stats());
    assert_eq!((a.ours, a.held), (3, 2));
    assert_eq!((b.ours, b.pending, b.taken), (3, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_needs_no_claim_is_ours_and_never_asked_for() {
    let redis = Redis::start();
    let (a, b) = two(&redis).await;
    let made: Arc<[u128]> = Arc::new([0, 0]);
    for claimant in [&a, &b] {
        assert_eq!(claimant.claim(Arc::clone(&made)).await.unwrap(), [Claim::Ours; 2]);
        assert_eq!(claimant.confirm(Arc::clone(&made)).await, Ok(Confirmed::default()));
    }
    assert!(kept(&redis).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_free_at_once_and_only_by_its_owner() {
    let redis = Redis::start();
    let (a, b) = two(&redis).await;
    a.claim(ids(&[1, 2])).await.unwrap();
    a.confirm(ids(&[2])).await.unwrap();
    b.abandon(ids(&[1, 2]));
    a.abandon(ids(&[2]));
    assert_eq!(b.claim(ids(&[1, 2])).await.unwrap(), [Claim::Pending, Claim::Taken]);
    a.abandon(ids(&[1]));
    until("it is free", || kept(&redis).len() == 1).await;
    assert_eq!(b.claim(ids(&[1])).await.unwrap(), [Claim::Ours]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_that_comes_too_late_loses_to_a_confirmed_one_and_wins_over_a_pending_one() {
    let redis = Redis::start();
    let (a, b) = two(&redis).await;
    a.claim(ids(&[1, 2, 3])).await.unwrap();
    // As after half a minute in which it stood still.
    redis::cmd("FLUSHALL").exec(&mut redis.connection()).unwrap();
    b.claim(ids(&[1, 2])).await.unwrap();
    b.confirm(ids(&[1])).await.unwrap();
    assert_eq!(taken(&a, &[1, 2, 3]).await, [0], "the second is only claimed");
    // The other one may be about to write it, or to give it up, or be gone: it comes too late.
    b.abandon(ids(&[2]));
    assert_eq!(taken(&b, &[2]).await, [0]);
    assert_eq!(b.claim(ids(&[2])).await.unwrap(), [Claim::Taken]);
    assert_eq!((a.stats().lost, b.stats().lost), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stands_still_is_asked_once_and_comes_back_by_itself() {
    let mut redis = Redis::start();
    let (a, _) = two(&redis).await;
    redis.process.freeze();
    assert_eq!(a.claim(ids(&[1])).await, Err(Away));
    assert!(!a.is_up() && a.key().is_none());
    let clock = Clock::system();
    for _ in 0..1_000 {
        assert_eq!(a.claim(ids(&[2])).await, Err(Away));
    }
    // A thousand questions that wait for an answer would take a quarter of an hour.
    assert!(clock.elapsed() < Duration::from_mins(1));
    assert_eq!(a.stats().away, 1_001);
    redis.process.thaw();
    until("it is back", || a.is_up()).await;
    assert_eq!(a.claim(ids(&[1])).await.unwrap(), [Claim::Ours]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_hash_with_one_secret_also_after_redis_lost_it() {
    let mut redis = Redis::start();
    let (a, b) = two(&redis).await;
    let print = |claimant: &Claimant| claimant.key().map(|key| key.of("site", "id"));
    assert_eq!(print(&a), print(&b));
    redis.process.kill();
    until("both notice", || !a.is_up() && !b.is_up()).await;
    redis.restart();
    until("both are back, and agree", || print(&a).is_some() && print(&a) == print(&b)).await;
    let newcomer = claimant_of(&redis, "00000000000c", 10);
    until("so does a third", || print(&newcomer).is_some()).await;
    until("for good", || print(&newcomer) == print(&a) && print(&a) == print(&b)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_bound_ids_go_unclaimed() {
    let redis = Redis::start();
    let few = claimant_of(&redis, "00000000000d", 3);
    until("it is up", || few.is_up()).await;
    for id in 1..4 {
        few.claim(ids(&[id])).await.unwrap();
        few.confirm(ids(&[id])).await.unwrap();
    }
    assert_eq!(few.claim(ids(&[9])).await, Err(Away));
    let stats = few.stats();
    assert_eq!((stats.held, stats.full, stats.horizon_secs), (3, 1, 65));
}

/// A journal of a few batches.
#[derive(Default)]
struct Journal {
    batches: Vec<(u64, Arc<EventBatch>)>,
    seen_seq: u64,
}

impl Stored for Journal {
    fn events(
        &self,
        from_seq: u64,
        to_seq: u64,
    ) -> Box<dyn Iterator<Item = (u64, Arc<EventBatch>)> + '_> {
        let inside =
            self.batches.iter().filter(move |(first, _)| (from_seq..to_seq).contains(first));
        Box::new(inside.cloned())
    }

    fn seen_seq(&self) -> u64 {
        self.seen_seq
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_while_redis_was_away_is_claimed_when_it_is_back() {
    let mut redis = Redis::start();
    let (a, b) = two(&redis).await;
    let (mine, my_ids) = batch(&["1", "2", "3"], &a);
    b.claim(my_ids[2..].into()).await.unwrap();
    b.confirm(my_ids[2..].into()).await.unwrap();
    redis.process.freeze();
    until("it is away", || !a.is_up()).await;
    a.unconfirmed(5, 8);
    let journal = Journal { batches: vec![(5, mine)], seen_seq: 8 };
    a.follow(Arc::new(journal), None, 8);
    assert_eq!(a.stats().unconfirmed, 3);
    redis.process.thaw();
    until("all are claimed", || a.stats().unconfirmed == 0 && a.stats().conflicts == 1).await;
    until("the other is back", || b.is_up()).await;
    assert_eq!(b.claim(my_ids[..2].into()).await.unwrap(), [Claim::Taken; 2]);
}

/// What a process before left, and what becomes of it.
struct Left {
    batches: Vec<(u64, Arc<EventBatch>)>,
    end_seq: u64,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    hidden: Vec<u64>,
    seen_below: u64,
}

impl Undecided for Left {
    fn next_events(&mut self) -> Option<(u64, Arc<EventBatch>)> {
        if self.batches.is_empty() { None } else { Some(self.batches.remove(0)) }
    }

    fn hide(&mut self, seqs: &[u64]) {
        let mut told = self.told.lock().unwrap();
        assert!(seqs.iter().all(|seq| *seq >= told.seen_below), "before anybody sees them");
        told.hidden.extend(seqs);
    }

    fn let_go_below(&mut self, seq: u64) {
        self.told.lock().unwrap().seen_below = seq;
    }

    fn let_go_for_good(self: Box<Self>) {
        self.told.lock().unwrap().seen_below = self.end_seq;
    }

    fn end_seq(&self) -> u64 {
        self.end_seq
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_hides_what_another_has_confirmed_and_keeps_the_rest() {
    let redis = Redis::start();
    let (a, b) = two(&redis).await;
    let (first, first_ids) = batch(&["1", "2", "3"], &a);
    let (second, second_ids) = batch(&["4", "5"], &a);
    // Its own of before, another's, and nobody's.
    a.claim(first_ids[..1].into()).await.unwrap();
    for taken in [&first_ids[1..2], &second_ids[1..]] {
        b.claim(taken.into()).await.unwrap();
        b.confirm(taken.into()).await.unwrap();
    }
    let told = Arc::new(Mutex::new(Told::default()));
    let batches = vec![(11, first), (14, second)];
    let left = Left { batches, end_seq: 16, told: Arc::clone(&told) };
    let again = claimant_of(&redis, "00000000000a", 1_000);
    again.follow(
        Arc::new(Journal { seen_seq: 11, ..Journal::default() }),
        Some(Box::new(left)),
        16,
    );
    until("all is decided", || told.lock().unwrap().seen_below == 16).await;
    assert_eq!(told.lock().unwrap().hidden, [12, 15]);
    assert_eq!(b.claim(first_ids).await.unwrap(), [Claim::Taken, Claim::Taken, Claim::Taken]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_redis_shows_everything_after_a_moment_and_claims_it_later() {
    let mut redis = Redis::prepare(None, &[]);
    let a = claimant_of(&redis, "00000000000a", 1_000);
    let mut rows = EventBatch::default();
    let id = rows.add_text("1");
    rows.push(Row { event_id: id, site: id, route: id, kind: id, ..Row::default() });
    let told = Arc::new(Mutex::new(Told::default()));
    let batches = vec![(1, Arc::new(rows))];
    let left = Left { batches: batches.clone(), end_seq: 2, told: Arc::clone(&told) };
    a.follow(Arc::new(Journal { batches, seen_seq: 2 }), Some(Box::new(left)), 1);
    until("readers go on", || told.lock().unwrap().seen_below == 2).await;
    assert_eq!(a.stats().unconfirmed, 1);
    redis.restart();
    until("it is claimed", || a.stats().unconfirmed == 0).await;
    assert_eq!(kept(&redis).len(), 1);
}
