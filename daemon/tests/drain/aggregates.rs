//! Aggregates that MongoDB does not take while it takes events: seen, said, and written later.

use crate::scene::Scene;
use crate::shared::mongod::Mongod;
use crate::support::eventually;

/// `OutOfDiskSpace`: refused, and not about what was sent.
const NO_ROOM: i32 = 14_031;

#[test]
fn aggregates_that_are_not_taken_while_events_are_show_in_metrics_and_readiness() {
    let mut scene = Scene::new(Mongod::standalone().fail_points().start());
    scene.wait_store("ok");
    scene.mongod.fail_on("aggregates", &["update"], NO_ROOM);
    scene.post(600);
    let metric = |scene: &Scene, name: &str| scene.daemon().metric(name);
    eventually("events are there", || {
        (metric(&scene, "pulseboard_store_lag_events") == 0.0).then_some(())
    });
    let unwritten = metric(&scene, "pulseboard_store_unwritten_aggregates");
    // A second and a minute at least, of the three windows.
    assert!((3.0..100.0).contains(&unwritten), "{unwritten}");
    let before = eventually("they grow old", || {
        let secs = metric(&scene, "pulseboard_store_unwritten_seconds");
        (secs > 1.0).then_some(secs)
    });
    assert_eq!(scene.check("store").0, "ok", "nothing is old yet, at {before} s");
    let detail = scene.wait_store("degraded");
    assert!(detail.contains("MongoDB takes events, and aggregates"), "{detail}");
    assert!(metric(&scene, "pulseboard_store_unwritten_seconds") > 30.0);
    assert_eq!(scene.check("journal").0, "ok", "events are taken all the same");
    scene.mongod.heal();
    scene.wait_store("ok");
    scene.all_is_there();
    eventually("nothing is unwritten", || {
        let none = metric(&scene, "pulseboard_store_unwritten_aggregates") == 0.0
            && metric(&scene, "pulseboard_store_unwritten_seconds") == 0.0;
        none.then_some(())
    });
}

#[test]
fn aggregates_from_before_a_restart_are_as_old_as_their_events() {
    let mut scene = Scene::new(Mongod::standalone().fail_points().start());
    scene.wait_store("ok");
    scene.mongod.fail_on("aggregates", &["update"], NO_ROOM);
    scene.post(600);
    let secs = |scene: &Scene| scene.daemon().metric("pulseboard_store_unwritten_seconds");
    let before = eventually("they are some seconds old", || {
        let before = secs(&scene);
        (before > 3.0).then_some(before)
    });
    scene.mongod.stop();
    scene.daemon.take().unwrap().kill();
    scene.start();
    assert!(secs(&scene) > before, "{} after {before}", secs(&scene));
    scene.mongod.start();
    scene.wait_store("ok");
    scene.all_is_there();
    eventually("nothing is unwritten", || (secs(&scene) == 0.0).then_some(()));
}
