//! What is made in the database, by `--setup-store` and by a daemon that starts.

use mongodb::bson::{Document, doc};

use crate::shared::mongod::Mongod;
use crate::support::eventually;
use crate::{check, daemon, setup, text};

fn indexes(mongod: &Mongod, collection: &'static str) -> Vec<Document> {
    use futures_util::TryStreamExt as _;
    mongod.with(async move |database| {
        let command = doc! { "listIndexes": collection };
        let cursor = database.run_cursor_command(command).await.unwrap();
        cursor.try_collect().await.unwrap()
    })
}

fn index(mongod: &Mongod, collection: &'static str, name: &str) -> Option<Document> {
    indexes(mongod, collection).into_iter().find(|index| index.get_str("name").unwrap() == name)
}

fn secs(index: &Document) -> i64 {
    let value = index.get("expireAfterSeconds").unwrap();
    value.as_i64().or_else(|| value.as_i32().map(i64::from)).unwrap()
}

#[test]
fn setting_up_makes_everything_once_and_says_so() {
    let mongod = Mongod::set(1).start();
    let first = setup(&mongod.uri(), &[]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let said = text(&first.stdout);
    for line in ["collection events: made", "index route_storedAt of events: made"] {
        assert!(said.contains(line), "{said}");
    }
    let second = setup(&mongod.uri(), &[]);
    let said = text(&second.stdout);
    assert_eq!(second.status.code(), Some(0));
    assert!(said.contains("collection events: found") && !said.contains(": made"), "{said}");

    for first in ["timestamp", "clientId", "route", "userId", "sessionId", "storedAt"] {
        let is_first = |index: &Document| {
            index.get_document("key").unwrap().keys().next().is_some_and(|key| key == first)
        };
        assert!(indexes(&mongod, "events").iter().any(is_first), "{first}");
    }
    assert_eq!(secs(&index(&mongod, "events", "storedAt_expire").unwrap()), 7 * 86_400);
    assert_eq!(secs(&index(&mongod, "aggregates", "expireAt_expire").unwrap()), 0);
    assert!(index(&mongod, "aggregates", "window_timestamp").is_some());
    assert!(index(&mongod, "aggregates", "timestamp").is_some());
}

#[test]
fn how_long_documents_stay_follows_the_settings() {
    let mongod = Mongod::set(1).start();
    let kept = |events: &str, aggregates: &str| {
        let mut command = crate::support::plain();
        command.args(["--setup-store", "--store", "mongodb", "--mongodb-uri", &mongod.uri()]);
        command.env("PULSEBOARD_RETENTION__EVENTS_DAYS", events);
        command.env("PULSEBOARD_RETENTION__AGGREGATES_DAYS", aggregates);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let minutes = index(&mongod, "aggregates", "timestamp_minutes_expire");
        (secs(&index(&mongod, "events", "storedAt_expire").unwrap()), minutes.as_ref().map(secs))
    };
    assert_eq!(kept("7", "0"), (7 * 86_400, None));
    assert_eq!(kept("3", "400"), (3 * 86_400, Some(400 * 86_400)));
    assert_eq!(kept("30", "500"), (30 * 86_400, Some(500 * 86_400)));
    assert_eq!(kept("7", "0"), (7 * 86_400, None));
}

#[test]
fn a_daemon_that_starts_makes_the_same_and_its_first_events_are_there() {
    let mongod = Mongod::set(1).start();
    let dir = tempfile::tempdir().unwrap();
    let daemon = daemon(dir.path(), &mongod);
    let event =
        r#"{"eventId":"one","type":"view","route":"/a","props":{"n":1.5,"s":"x","b":true}}"#;
    assert_eq!(daemon.post("application/json", event).status, 201);
    let stored = eventually("the event is in the store", || {
        mongod.find("events", doc! {}, doc! {}).into_iter().next()
    });
    assert_eq!(stored.get_str("_id").unwrap(), "default/one");
    assert_eq!(stored.get_document("props").unwrap(), &doc! { "n": 1.5, "s": "x", "b": true });
    assert!(stored.get_datetime("storedAt").is_ok() && stored.get_datetime("timestamp").is_ok());
    let (status, detail) =
        eventually("ready", || Some(check(&daemon)).filter(|(status, _)| status == "ok"));
    assert_eq!(
        (status.as_str(), detail.to_lowercase().contains("mongodb")),
        ("ok", true),
        "{detail}"
    );
    let again = setup(&mongod.uri(), &[]);
    assert!(!text(&again.stdout).contains(": made"), "{}", text(&again.stdout));
}

#[test]
fn an_empty_collection_that_was_made_to_be_sharded_is_taken() {
    let mongod = Mongod::set(1).start();
    mongod.with(async move |database| database.create_collection("events").await.unwrap());
    let output = setup(&mongod.uri(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("its validator, which is made"),
        "{}",
        text(&output.stdout)
    );
    let again = setup(&mongod.uri(), &[]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
}
