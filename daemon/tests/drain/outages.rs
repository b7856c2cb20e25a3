//! MongoDB goes away and comes back, in every way it can.

use std::time::Duration;

use crate::scene::Scene;
use crate::shared::mongod::Mongod;
use crate::support::eventually;

/// Whether events go over now: the position moves.
fn goes_on(scene: &Scene) {
    let drained = || {
        let metric = |name| scene.daemon().metric(name);
        metric("pulseboard_events_accepted_total") - metric("pulseboard_store_lag_events")
    };
    let before = drained();
    eventually("events go over", || (drained() > before).then_some(()));
}

#[test]
fn a_daemon_starts_without_mongodb_and_brings_everything_when_it_comes() {
    let mut scene = Scene::new(Mongod::standalone().prepare());
    scene.post(2_000);
    let detail = scene.wait_store("degraded");
    assert!(detail.contains("store.mongodb.uri"), "{detail}");
    assert!(detail.contains("2000 events wait in the journal"), "{detail}");
    assert_eq!(scene.daemon().metric("pulseboard_store_lag_events"), 2_000.0);
    assert!(scene.daemon().metric("pulseboard_store_lag_bytes") > 10_000.0);
    eventually("it is behind", || {
        (scene.daemon().metric("pulseboard_store_lag_seconds") > 0.0).then_some(())
    });
    scene.mongod.start();
    scene.wait_store("ok");
    scene.post(400);
    scene.all_is_there();
    eventually("nothing waits", || {
        (scene.daemon().metric("pulseboard_store_lag_bytes") == 0.0).then_some(())
    });
}

#[test]
fn a_mongodb_that_is_stopped_or_killed_under_load_gets_everything_when_it_is_back() {
    let mut scene = Scene::new(Mongod::standalone().start());
    scene.wait_store("ok");
    for kill in [false, true] {
        scene.while_posting(|scene| {
            goes_on(scene);
            if kill {
                scene.mongod.kill();
            } else {
                scene.mongod.stop();
            }
            scene.wait_store("degraded");
            scene.mongod.start();
            goes_on(scene);
        });
    }
    scene.wait_store("ok");
    scene.all_is_there();
    let log = scene.daemon().stderr();
    assert!(log.lines().filter(|line| line.contains("WARN")).count() < 20, "{log}");
}

#[test]
fn a_mongodb_that_is_frozen_under_load_goes_on_where_it_was() {
    let mut scene = Scene::new(Mongod::standalone().start());
    scene.wait_store("ok");
    scene.while_posting(|scene| {
        goes_on(scene);
        scene.mongod.freeze();
        scene.wait_store("degraded");
        // Longer than a call is waited for.
        std::thread::sleep(Duration::from_secs(16));
        scene.mongod.thaw();
        goes_on(scene);
    });
    scene.wait_store("ok");
    scene.all_is_there();
}

#[test]
fn a_set_that_elects_another_primary_loses_nothing() {
    let mut scene = Scene::new(Mongod::set(3).start());
    scene.wait_store("ok");
    scene.while_posting(|scene| {
        goes_on(scene);
        scene.mongod.step_down(10);
        goes_on(scene);
        let primary = scene.mongod.wait_for_primary();
        scene.mongod.members[primary].process.kill();
        goes_on(scene);
        scene.mongod.start();
    });
    scene.wait_store("ok");
    scene.all_is_there();
}

#[test]
fn connections_cut_in_the_middle_of_batches_lose_and_double_nothing() {
    let mut scene = Scene::new(Mongod::standalone().behind_proxies().start());
    scene.wait_store("ok");
    scene.while_posting(|scene| {
        for bytes in [1, 5_000, 20_000, 60_000, 100_000] {
            goes_on(scene);
            let cuts = scene.mongod.proxy(0).cuts();
            scene.mongod.proxy(0).cut_after(bytes);
            eventually("a cut", || (scene.mongod.proxy(0).cuts() > cuts).then_some(()));
        }
        goes_on(scene);
    });
    scene.wait_store("ok");
    scene.all_is_there();
}

#[test]
fn a_mongodb_that_refuses_writes_is_said_to_and_gets_them_when_it_takes_them() {
    let mut scene = Scene::new(Mongod::standalone().fail_points().start());
    scene.wait_store("ok");
    // The disk is full; writes are blocked; the user may only read.
    for code in [14_031, 371, 13] {
        scene.while_posting(|scene| {
            goes_on(scene);
            scene.mongod.fail(&["insert", "update"], code);
            let detail = scene.wait_store("degraded");
            assert!(detail.contains("store.mongodb.uri"), "{detail}");
            scene.mongod.heal();
            goes_on(scene);
        });
        scene.wait_store("ok");
    }
    scene.all_is_there();
}

#[test]
fn writes_that_wait_behind_a_lock_hold_nothing_else_up() {
    let mut scene = Scene::new(Mongod::standalone().start());
    scene.wait_store("ok");
    scene.while_posting(|scene| {
        goes_on(scene);
        let lock = mongodb::bson::doc! { "fsync": 1, "lock": true };
        scene.mongod.try_command(0, lock).unwrap();
        scene.wait_store("degraded");
        scene.mongod.try_command(0, mongodb::bson::doc! { "fsyncUnlock": 1 }).unwrap();
        goes_on(scene);
    });
    scene.wait_store("ok");
    scene.all_is_there();
}
