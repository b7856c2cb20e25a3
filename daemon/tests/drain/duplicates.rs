//! Events that are in MongoDB already as another instance's: counted by one, and minutes made right.

use mongodb::bson::{DateTime, Document, doc};
use mongodb::error::ErrorKind;

use crate::scene::{Scene, events};
use crate::shared::mongod::Mongod;
use crate::support::{eventually, now_ms};

/// Puts events into MongoDB as another instance's, those that are not there yet.
fn take(scene: &Scene, ids: &[String]) {
    let now = DateTime::from_millis(now_ms());
    let documents: Vec<Document> = ids
        .iter()
        .map(|id| {
            doc! {
                "_id": format!("default/{id}"), "eventId": id, "type": "page_view",
                "route": "/r/x1", "timestamp": now, "storedAt": now, "site": "default",
                "node": "0123456789ab", "seq": 7_i64,
            }
        })
        .collect();
    scene.mongod.with(async move |database| {
        let events = database.collection::<Document>("events");
        if let Err(error) = events.insert_many(documents).ordered(false).await {
            let ErrorKind::InsertMany(many) = &*error.kind else { panic!("{error}") };
            let others = many.write_errors.iter().flatten().filter(|write| write.code != 11_000);
            assert_eq!(others.count(), 0, "{error}");
        }
    });
}

/// Events of this node, as its documents and as its minutes have them.
fn counted(scene: &Scene) -> (i64, i64) {
    let of_node = doc! { "node": scene.node() };
    let stored = scene.mongod.find("events", of_node.clone(), doc! { "_id": 1 }).len() as i64;
    let minutes = doc! { "node": scene.node(), "window": "60s" };
    let minutes = scene.mongod.find("aggregates", minutes, doc! { "events": 1 });
    (stored, minutes.iter().map(events).sum())
}

fn adds_up(scene: &Scene, wanted: i64) {
    eventually(&format!("{wanted} events in documents and minutes"), || {
        let now = counted(scene);
        (now == (wanted, wanted)).then_some(())
    });
}

#[test]
fn a_minute_with_events_of_another_instance_is_counted_again_and_stays_right() {
    let mut scene = Scene::new(Mongod::standalone().start());
    scene.wait_store("ok");
    let ids = scene.next_ids();
    take(&scene, &ids[..50]);
    scene.post(400);
    assert!(crate::scene::post(scene.daemon().address, &ids));
    adds_up(&scene, 550);
    assert_eq!(scene.daemon().metric("pulseboard_store_duplicates_total{of=\"foreign\"}"), 50.0);
    // Later events of the minute, and over a restart.
    scene.post(200);
    adds_up(&scene, 750);
    scene.daemon.take().unwrap().kill();
    scene.start();
    scene.post(200);
    adds_up(&scene, 950);
    let recounted = doc! { "recounted": true, "window": "60s" };
    assert!(!scene.mongod.find("aggregates", recounted, doc! { "_id": 1 }).is_empty());
}

#[test]
fn a_minute_is_counted_again_though_the_daemon_was_killed_meanwhile() {
    let mut scene = Scene::new(Mongod::standalone().prepare());
    let ids = scene.next_ids();
    scene.post(600);
    assert!(crate::scene::post(scene.daemon().address, &ids));
    scene.mongod.start();
    take(&scene, &ids[..80]);
    eventually("it is noticed", || {
        let name = "pulseboard_store_duplicates_total{of=\"foreign\"}";
        let own = scene.mongod.ids("events").len();
        (scene.daemon().metric(name) > 0.0 || own == 800).then_some(())
    });
    scene.daemon.take().unwrap().kill();
    scene.start();
    let foreign = doc! { "node": "0123456789ab" };
    let foreign = scene.mongod.find("events", foreign, doc! { "_id": 1 }).len() as i64;
    adds_up(&scene, 800 - foreign);
}
