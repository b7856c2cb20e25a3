//! An instance that counts all the time: its local store is always a little behind.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

/// By the time that one number is stored, more is counted.
#[derive(Default)]
struct Busy {
    applied: AtomicU64,
    stored: AtomicU64,
    is_written: AtomicBool,
}

impl Counts for Busy {
    fn follow_changes(&self) -> u64 {
        0
    }

    fn take_changes(&self) -> Changed {
        Changed { applied_seq: self.applied_seq(), ..Changed::default() }
    }

    fn changes_written(&self) {
        self.is_written.store(true, Ordering::SeqCst);
    }

    fn mark_changed(&self, _: &[i64], _: &[i64]) {}

    fn buckets(&self, wanted: &[(u32, i64)]) -> Result<Vec<Bucket>, CountsError> {
        NoCounts.buckets(wanted)
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
        self.applied.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn stored_seq(&self) -> u64 {
        self.stored.fetch_add(1, Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_of_an_instance_that_never_rests_are_written() {
    let (dir, clock, fake) = (tempfile::tempdir().unwrap(), Clock::system(), Fake::new());
    let options = Options::new(dir.path().join("j"));
    let (journal, _) = journal::open(Arc::new(OsDisk), options, clock.clone()).unwrap();
    let busy = Arc::new(Busy::default());
    let drain = drain_of(&dir, &journal, &fake, clock, Arc::clone(&busy) as Arc<dyn Counts>);
    let written = async {
        while !busy.is_written.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), written).await.unwrap();
    drop(drain);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_not_said_to_be_older_than_the_moment_nothing_waited() {
    // Events of this scene say that they arrived long ago.
    let scene = Scene::new(Fake::new());
    scene.append(0..10).await;
    scene.drained(10).await;
    assert_eq!(scene.drain.stats().lag_events, 0);
    scene.fake.ready.send_replace(false);
    scene.append(10..20).await;
    let stats = scene.drain.stats();
    assert!(stats.lag_seconds < 3_600.0, "{stats:?}");
}
