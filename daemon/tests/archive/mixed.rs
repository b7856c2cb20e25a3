//! Instances of several versions over one database: what a newer one wrote is read as far as this one
//! knows it, left out and said where it does not, and never touched.

use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc};

use crate::shared::mongod::Mongod;
use crate::support::{eventually, now_ms};
use crate::{daemon, drained, items};

/// Of another instance.
const NEWER: &str = "feedfeedfeed";
/// Of one whose summaries nobody here can read.
const NEWEST: &str = "feedfeedfee2";

fn minutes(mongod: &Mongod, filter: Document) -> Vec<Document> {
    mongod.find("aggregates", filter, doc! {})
}

/// A document as another instance has it, with a field that this build does not know.
fn of(node: &str, document: &Document, own: &str) -> Document {
    let mut document = document.clone();
    let id = document.get_str("_id").unwrap().replace(own, node);
    document.insert("_id", id);
    document.insert("node", node);
    document.insert("future", doc! { "of": "a newer build" });
    document
}

#[test]
fn what_a_newer_instance_wrote_is_read_where_it_can_be_and_never_touched() {
    let mongod = Mongod::set(1).start();
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &mongod);
    // A minute that only the store has.
    let then_ms = (now_ms() - 3 * 3_600_000).div_euclid(60_000) * 60_000;
    let post = |count: usize| {
        let line = format!("{{\"type\":\"t\",\"route\":\"/r\",\"timestamp\":{then_ms}}}\n");
        let answer = daemon.post("application/x-ndjson", line.repeat(count));
        assert_eq!(answer.json()["accepted"], count, "{}", answer.text());
        drained(&daemon);
    };
    let minute = doc! { "window": "60s", "tick": then_ms / 1_000 };
    post(30);
    let own = eventually("the minute is in MongoDB", || {
        let found = minutes(&mongod, minute.clone()).pop()?;
        (found.get_i64("events").ok() == Some(30)).then_some(found)
    });
    let id = own.get_str("node").unwrap();
    assert!(own.get_str("_id").unwrap().contains(id), "{own}");

    let readable = of(NEWER, &own, id);
    let mut unreadable = of(NEWEST, &own, id);
    let mut bytes = own.get_binary_generic("summary").unwrap().clone();
    bytes[0] = 200;
    unreadable.insert("summary", Binary { subtype: BinarySubtype::Generic, bytes });
    let mut event = mongod.find("events", doc! {}, doc! {}).pop().unwrap();
    for (name, value) in [("_id", "default/newer"), ("eventId", "newer"), ("node", NEWER)] {
        event.insert(name, value);
    }
    event.insert("future", "a field");
    let (both, one) = ([readable, unreadable], event);
    mongod.with(async move |database| {
        database.collection::<Document>("aggregates").insert_many(both).await.unwrap();
        database.collection::<Document>("events").insert_one(one).await.unwrap();
    });
    let of_others = || {
        let others = doc! { "node": { "$in": [NEWER, NEWEST] } };
        (minutes(&mongod, others.clone()), mongod.find("events", others, doc! {}))
    };
    let before = of_others();
    assert_eq!((before.0.len(), before.1.len()), (2, 1));

    let path = format!("/api/history?from={then_ms}&to={}&step=60s", then_ms + 60_000);
    let counted = || {
        let answer = daemon.get(&path);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["history"]["events"][0].as_u64()
    };
    assert_eq!(counted(), Some(60), "its own and those it can read");
    eventually("what is left out is said", || {
        let said = daemon.stderr();
        let line = said.lines().find(|line| line.contains("cannot be read and is left out"))?;
        line.contains(NEWEST).then_some(())
    });
    let answer = daemon.get("/api/events?limit=1000");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let events = items(&answer.json(), "events");
    assert!(events.iter().any(|event| event["eventId"] == "newer"), "{}", answer.text());

    post(12);
    eventually("its own goes on", || (counted() == Some(72)).then_some(()));
    assert_eq!(of_others(), before);
}
