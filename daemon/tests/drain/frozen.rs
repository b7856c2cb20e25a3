//! A MongoDB that stops answering in the middle of it all: what REST says before anybody has noticed.

use crate::scene::Scene;
use crate::shared::mongod::Mongod;

#[test]
fn questions_to_a_mongodb_that_was_just_frozen_are_refused_and_no_export_begins() {
    let mut scene = Scene::new(Mongod::standalone().start());
    scene.wait_store("ok");
    scene.post(1_000);
    scene.all_is_there();
    let all = [
        "/api/export",
        "/api/events",
        "/api/history?from=-1h&to=now",
        "/api/routes?from=-1h&to=now",
    ];
    for path in all {
        scene.wait_store("ok");
        scene.mongod.freeze();
        // Nobody knows yet: the daemon asks.
        let answer = scene.daemon().get(path);
        scene.mongod.thaw();
        assert_eq!(answer.status, 503, "{path}: {}", answer.text());
        assert_eq!(answer.json()["code"], "store_unavailable", "{path}");
        assert!(answer.header("Retry-After").is_some(), "{path}");
    }
    scene.wait_store("ok");
    let export = scene.daemon().get("/api/export");
    assert_eq!((export.status, export.text().lines().count()), (200, 1_000));
}
