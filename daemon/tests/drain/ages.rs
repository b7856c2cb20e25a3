//! Events of every age: live ones, late ones and imports stand in the minutes of their own time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mongodb::bson::doc;

use crate::scene::{Scene, events};
use crate::shared::mongod::Mongod;
use crate::support::{eventually, now_ms};

/// Events by the minute of their own time, as minutes have them.
fn by_minute(scene: &Scene) -> BTreeMap<i64, i64> {
    let minutes = doc! { "window": "60s" };
    let found = scene.mongod.find("aggregates", minutes, doc! { "tick": 1, "events": 1 });
    found.iter().map(|minute| (minute.get_i64("tick").unwrap() / 60, events(minute))).collect()
}

/// Events by the minute of their own time, as the events have them.
fn of_events(scene: &Scene) -> BTreeMap<i64, i64> {
    let mut minutes = BTreeMap::new();
    for event in scene.mongod.find("events", doc! {}, doc! { "timestamp": 1 }) {
        let ms = event.get_datetime("timestamp").unwrap().timestamp_millis();
        *minutes.entry(ms.div_euclid(60_000)).or_default() += 1;
    }
    minutes
}

#[test]
fn late_events_and_imports_are_written_to_their_own_minutes_over_outages_and_restarts() {
    let mut scene = Scene::new(Mongod::standalone().start());
    scene.wait_store("ok");
    let now = now_ms();
    let mut posted = 0;
    for round in 0..4_i64 {
        let mut late = String::new();
        let mut import = String::new();
        for number in 0..300_i64 {
            // A few seconds, some hours, some years old.
            let age_ms = (number + round) * 61_003;
            writeln!(late, r#"{{"type":"x","route":"/l","timestamp":{}}}"#, now - age_ms).unwrap();
            let years = age_ms * 7_000;
            writeln!(import, r#"{{"type":"x","route":"/i","timestamp":{}}}"#, now - years).unwrap();
        }
        let daemon = scene.daemon();
        let taken = daemon.post_to("/api/events", "application/x-ndjson", "", late);
        assert_eq!(taken.json()["accepted"], 300, "{}", taken.text());
        let taken = daemon.post_to("/api/events?import=true", "application/x-ndjson", "", import);
        assert_eq!(taken.json()["accepted"], 300, "{}", taken.text());
        posted += 600;
        match round {
            0 => scene.mongod.stop(),
            1 => {
                scene.daemon.take().unwrap().kill();
                scene.start();
            }
            2 => scene.mongod.start(),
            _ => {}
        }
    }
    eventually("every event is there, and in its minute", || {
        let (stored, minutes) = (of_events(&scene), by_minute(&scene));
        (stored.values().sum::<i64>() == posted && stored == minutes).then_some(())
    });
    assert!(by_minute(&scene).len() > 600);
}
