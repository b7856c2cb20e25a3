//! What becomes of counts: nothing that was counted is taken for written before it is.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// The minute the events of a [`Scene`] are in, and its bucket.
const MINUTE_OF_EVENTS: i64 = 1_763_884_800 / 60;
const BUCKET: (u32, i64) = (60, MINUTE_OF_EVENTS * 60);

/// Counts that say what they are told to.
#[derive(Default)]
struct Told {
    applied_seq: AtomicU64,
    /// Nothing is counted in any bucket.
    empty: bool,
    news: Mutex<VecDeque<Changed>>,
    taken: Mutex<Changed>,
}

impl Told {
    fn at(applied_seq: u64) -> Self {
        Self { applied_seq: applied_seq.into(), ..Self::default() }
    }

    fn news(self, minutes: &[i64], missed_from: Option<u64>) -> Self {
        let minutes = minutes.to_vec();
        self.news.lock().push_back(Changed { minutes, missed_from, ..Changed::default() });
        self
    }
}

impl Counts for Told {
    fn follow_changes(&self) -> u64 {
        0
    }

    fn take_changes(&self) -> Changed {
        let mut taken = self.taken.lock();
        let news = self.news.lock().pop_front().unwrap_or_default();
        taken.minutes.extend(news.minutes);
        Changed { applied_seq: self.applied_seq(), missed_from: news.missed_from, ..taken.clone() }
    }

    fn changes_written(&self) {
        *self.taken.lock() = Changed::default();
    }

    fn mark_changed(&self, _: &[i64], _: &[i64]) {}

    fn buckets(&self, wanted: &[(u32, i64)]) -> Result<Vec<Bucket>, CountsError> {
        let bucket = |wanted: &(u32, i64)| {
            let mut summary = TickSummary::default();
            // The recent past is written anew at each first start; none of it is looked at here.
            summary.totals.events = u64::from(!self.empty && wanted.1 >= 1_000_000);
            let (secs, start) = *wanted;
            Bucket { secs, start, revision: self.applied_seq(), summary: Arc::new(summary) }
        };
        Ok(wanted.iter().map(bucket).collect())
    }

    fn unwritten(&self, _: u32, _: (i64, i64)) -> Result<Vec<Bucket>, CountsError> {
        Ok(Vec::new())
    }

    fn unwritten_buckets(&self, _: &[u32]) -> u64 {
        self.taken.lock().minutes.len() as u64
    }

    fn stored_minutes(&self, _: i64, _: usize) -> Result<Vec<i64>, CountsError> {
        Ok(Vec::new())
    }

    fn oldest_tick(&self) -> i64 {
        0
    }

    fn applied_seq(&self) -> u64 {
        self.applied_seq.load(Ordering::Relaxed)
    }

    fn stored_seq(&self) -> u64 {
        self.applied_seq()
    }
}

async fn until(what: impl Fn() -> bool) {
    let waits = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waits).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_a_full_disk_refuses_is_written_when_there_is_room() {
    let fake = Fake::new();
    fake.state.lock().put_faults =
        vec![PutFault::Unfit(8), PutFault::Away, PutFault::Unfit(14_031)];
    let (dir, journal) = empty();
    let counts = Told::at(0).news(&[MINUTE_OF_EVENTS], None);
    counts.applied_seq.store(5, Ordering::Relaxed);
    fake.state.lock().holder = Some(Holder { left: true, ..Holder::default() });
    let drain = drain_of(&dir, &journal, &fake, Clock::system(), Arc::new(counts));
    until(|| drain.stats().written_seq >= 5).await;
    let state = fake.state.lock();
    assert!(state.put_faults.is_empty() && state.buckets.contains_key(&BUCKET));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_noted_is_read_again_although_the_write_after_it_failed() {
    let fake = Fake::new();
    fake.state.lock().put_faults = vec![PutFault::Away];
    fake.state.lock().holder = Some(Holder { left: true, ..Holder::default() });
    let (dir, journal) = empty();
    append(&journal, 0..3).await;
    let another = MINUTE_OF_EVENTS + 7;
    let counts = Told::at(3).news(&[another], Some(1));
    let drain = drain_of(&dir, &journal, &fake, Clock::system(), Arc::new(counts));
    until(|| drain.stats().written_seq >= 3).await;
    let state = fake.state.lock();
    assert!(state.buckets.contains_key(&(60, another * 60)));
    assert!(state.buckets.contains_key(&BUCKET), "nobody noted it, and its events are there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_to_be_counted_again_waits_after_a_restart_for_all_that_was_counted() {
    let (dir, journal) = empty();
    append(&journal, 0..5).await;
    let kept = Kept { drained_seq: 2, written_seq: 5, recounts: vec![BUCKET], whole_from_ms: 0 };
    kept.write(dir.path()).unwrap();
    let fake = Fake::new();
    fake.state.lock().holder = Some(Holder { left: true, ..Holder::default() });
    let full = (2..5).map(|number| (format!("default/e{number}"), 8));
    fake.state.lock().poison.extend(full);
    let counts = Told { empty: true, ..Told::at(5) };
    let drain = drain_of(&dir, &journal, &fake, Clock::system(), Arc::new(counts));
    until(|| fake.state.lock().inserts >= 3).await;
    assert_eq!(fake.state.lock().recounted_upto, Vec::<u64>::new());
    fake.state.lock().poison.clear();
    until(|| drain.stats().recounted == 1).await;
    assert_eq!(fake.state.lock().recounted_upto, [5]);
}
