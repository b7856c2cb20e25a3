//! What a stop waits for: a store that takes things, and nothing else. What it may wait for is far
//! longer than a test may take.

use super::*;

const WITHIN: Duration = Duration::from_hours(10);

/// Stops, and gives how many events stay.
async fn stop(scene: &Scene) -> u64 {
    scene.journal.clone().close();
    let stopped = scene.drain.stop(WITHIN);
    tokio::time::timeout(Duration::from_mins(1), stopped).await.expect("it waits for the store")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_not_waited_for() {
    let fake = Fake::new();
    fake.ready.send_replace(false);
    let scene = Scene::new(fake);
    scene.append(0..10).await;
    assert_eq!(stop(&scene).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_nothing_is_waited_for_a_little_while() {
    let fake = Fake::new();
    fake.state.lock().faults = vec![Fault::Hangs; 10_000];
    let scene = Scene::new(fake);
    scene.append(0..10).await;
    assert_eq!(stop(&scene).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_there_gets_all_of_it_and_a_goodbye() {
    let scene = Scene::idle();
    scene.append(0..500).await;
    scene.drained(1).await;
    scene.append(500..600).await;
    assert_eq!(stop(&scene).await, 0);
    assert_eq!(scene.stored(), 600);
    assert!(scene.fake.state.lock().holder.as_ref().unwrap().left);
}
