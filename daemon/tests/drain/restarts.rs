//! The daemon ends, in every way it can, and goes on where MongoDB is.

use crate::scene::{Poster, Scene};
use crate::shared::mongod::Mongod;
use crate::support::eventually;

#[test]
fn a_daemon_that_is_killed_again_and_again_doubles_and_loses_nothing() {
    let mut scene = Scene::new(Mongod::standalone().start());
    let mut posted = 0;
    for _ in 0..4 {
        let poster = Poster::start(scene.daemon().address, posted);
        eventually("some batches", || {
            (scene.daemon().metric("pulseboard_events_accepted_total") > 3_000.0).then_some(())
        });
        scene.daemon.take().unwrap().kill();
        let (ids, upto) = poster.stop();
        // The last one posted is in doubt; it is posted again.
        posted = upto - 1;
        scene.acknowledged.extend(ids);
        scene.start();
    }
    let poster = Poster::start(scene.daemon().address, posted);
    eventually("some more", || {
        (scene.daemon().metric("pulseboard_events_accepted_total") > 1_000.0).then_some(())
    });
    scene.acknowledged.extend(poster.stop().0);
    scene.all_is_there();
}

#[test]
fn a_daemon_that_is_stopped_brings_over_what_it_can_and_says_what_stays() {
    let mut scene = Scene::new(Mongod::standalone().start());
    scene.wait_store("ok");
    scene.post(2_000);
    assert_eq!(scene.daemon.take().unwrap().terminate(), Some(0));
    assert_eq!(scene.mongod.ids("events").len(), 2_000);
    assert_eq!(scene.sum("60s"), 2_000);
    scene.mongod.stop();
    scene.start();
    scene.post(600);
    assert_eq!(scene.daemon.take().unwrap().terminate(), Some(0));
    scene.start();
    scene.mongod.start();
    scene.all_is_there();
}

#[test]
fn aggregates_are_right_when_the_local_store_was_lost() {
    let mut scene = Scene::new(Mongod::standalone().start());
    scene.wait_store("ok");
    scene.post(2_000);
    scene.all_is_there();
    scene.daemon.take().unwrap().kill();
    for entry in std::fs::read_dir(scene.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("aggregates.sqlite") {
            std::fs::remove_file(path).unwrap();
        }
    }
    scene.start();
    scene.post(600);
    scene.all_is_there();
}

#[test]
fn a_store_that_was_emptied_gets_everything_the_journal_holds_again() {
    let mut scene = Scene::new(Mongod::standalone().start());
    scene.wait_store("ok");
    scene.post(1_000);
    scene.all_is_there();
    scene.daemon.take().unwrap().kill();
    scene.mongod.with(async |database| database.drop().await.unwrap());
    scene.start();
    scene.post(400);
    scene.all_is_there();
}

#[test]
fn a_daemon_that_moves_from_the_embedded_store_brings_its_events_and_minutes_along() {
    let mongod = Mongod::standalone().start();
    let settings = [("PULSEBOARD_STORE__KIND", "embedded")];
    let mut scene = Scene::with(mongod, &settings);
    scene.post(1_000);
    assert_eq!(scene.daemon.take().unwrap().terminate(), Some(0));
    scene.set("PULSEBOARD_STORE__KIND", "mongodb");
    scene.start();
    scene.post(400);
    scene.all_is_there();
}
