//! What is in the database: collections, their indexes, and the validators that describe them.
//!
//! Values only; `setup` makes them. A database is ours when it has our document in `meta`, or when
//! its collections carry our validators' titles: by that, foreign collections of the same names are
//! told from ours. A validator never stops a write of ours: it warns in the server's log of writes
//! of others.

use mongodb::bson::{Document, doc};

/// Raw events.
pub const EVENTS: &str = "events";
/// Tumbling buckets of every instance.
pub const AGGREGATES: &str = "aggregates";
/// Instances and their leases.
pub const NODES: &str = "nodes";
/// What holds for the database as a whole.
pub const META: &str = "meta";

/// The one document in [`META`].
pub(super) const META_ID: &str = "pulseboard";
/// The layout of what is stored. A database with a greater one is refused.
pub(super) const LAYOUT: i32 = 1;
/// How the titles of our validators begin.
const TITLE: &str = "Pulseboard ";

const DAY_SECS: i64 = 86_400;

/// A collection as it should be.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: &'static str,
    pub(super) validator: Option<Document>,
    pub(super) indexes: Vec<Index>,
}

/// An index as it should be.
#[derive(Clone, Debug)]
pub(super) struct Index {
    pub(super) name: &'static str,
    pub(super) keys: Document,
    /// Documents expire this long after the date in the key.
    pub(super) expire_after_secs: Option<i64>,
    /// Documents that are in it.
    pub(super) partial: Option<Document>,
}

impl Index {
    fn on(name: &'static str, keys: Document) -> Self {
        Self { name, keys, expire_after_secs: None, partial: None }
    }

    /// Of documents that have the field: others need no entry.
    fn of_some(name: &'static str, field: &str, keys: Document) -> Self {
        let partial = Some(doc! { field: { "$exists": true } });
        Self { partial, ..Self::on(name, keys) }
    }

    /// As `createIndexes` takes it.
    pub(super) fn specification(&self) -> Document {
        let mut specification = doc! { "name": self.name, "key": self.keys.clone() };
        if let Some(secs) = self.expire_after_secs {
            specification.insert("expireAfterSeconds", secs);
        }
        if let Some(partial) = &self.partial {
            specification.insert("partialFilterExpression", partial.clone());
        }
        specification
    }
}

/// The index by which minutes expire, which is there only while they do.
pub(super) const MINUTES_EXPIRE: &str = "timestamp_minutes_expire";

/// Everything that is made.
pub(super) fn wanted(events_days: u32, aggregates_days: u32) -> Vec<Wanted> {
    vec![events(events_days), aggregates(aggregates_days), nodes()]
}

fn events(events_days: u32) -> Wanted {
    // A field first, then when it was stored: so that what a field picks out comes newest stored
    // first without sorting. Equal routes come in at the right edge of their range, as storedAt
    // grows, which is what makes these as cheap to keep as single ones.
    let then_stored =
        |name, field: &str| Index::of_some(name, field, doc! { field: 1, "storedAt": 1 });
    Wanted {
        name: EVENTS,
        validator: Some(event_validator()),
        indexes: vec![
            Index {
                expire_after_secs: Some(i64::from(events_days) * DAY_SECS),
                ..Index::on("storedAt_expire", doc! { "storedAt": 1 })
            },
            Index::on("timestamp", doc! { "timestamp": 1 }),
            Index::on("route_storedAt", doc! { "route": 1, "storedAt": 1 }),
            then_stored("clientId_storedAt", "clientId"),
            then_stored("userId_storedAt", "userId"),
            then_stored("sessionId_storedAt", "sessionId"),
        ],
    }
}

fn aggregates(aggregates_days: u32) -> Wanted {
    let mut indexes = vec![
        Index::on("window_timestamp", doc! { "window": 1, "timestamp": 1 }),
        Index::on("timestamp", doc! { "timestamp": 1 }),
        Index {
            expire_after_secs: Some(0),
            ..Index::of_some("expireAt_expire", "expireAt", doc! { "expireAt": 1 })
        },
    ];
    if aggregates_days > 0 {
        indexes.push(Index {
            expire_after_secs: Some(i64::from(aggregates_days) * DAY_SECS),
            partial: Some(doc! { "window": "60s" }),
            ..Index::on(MINUTES_EXPIRE, doc! { "timestamp": 1 })
        });
    }
    Wanted { name: AGGREGATES, validator: Some(aggregate_validator()), indexes }
}

fn nodes() -> Wanted {
    Wanted { name: NODES, validator: Some(node_validator()), indexes: Vec::new() }
}

/// Whether a validator is one that we made, of whatever layout.
pub(super) fn is_ours(validator: &Document) -> bool {
    let schema = validator.get_document("$jsonSchema");
    let title = schema.ok().and_then(|schema| schema.get_str("title").ok());
    title.is_some_and(|title| title.starts_with(TITLE))
}

fn text(bytes_max: i32) -> Document {
    doc! { "bsonType": "string", "minLength": 1, "maxLength": bytes_max }
}

fn event_validator() -> Document {
    let ids = text(128);
    doc! { "$jsonSchema": {
        "title": format!("{TITLE}event"),
        "bsonType": "object",
        "required": [
            "_id", "eventId", "type", "route", "timestamp", "storedAt", "site", "node", "seq"
        ],
        "properties": {
            "_id": { "bsonType": "string", "description": "site and eventId, with / between" },
            "eventId": ids.clone(),
            "type": text(64),
            "route": text(512),
            "timestamp": { "bsonType": "date", "description": "when it happened" },
            "storedAt": { "bsonType": "date", "description": "when it arrived; it expires by this" },
            "site": { "bsonType": "string", "pattern": "^[a-z0-9._-]{1,64}$" },
            "userId": ids.clone(),
            "sessionId": ids.clone(),
            "clientId": ids,
            "status": { "bsonType": "int", "minimum": 100, "maximum": 599 },
            "error": { "bsonType": "bool" },
            "latencyMs": { "bsonType": "double", "minimum": 0, "maximum": 86_400_000 },
            "props": {
                "bsonType": ["object", "string"],
                "description": "JSON text where a key cannot be one of a document",
                "maxProperties": 32,
            },
            "class": {
                "enum": ["late", "import"],
                "description": "absent in events that came in time",
            },
            "node": { "bsonType": "string", "description": "the instance that stored it" },
            "seq": { "bsonType": "long", "description": "its number in that instance's journal" },
        },
    } }
}

fn aggregate_validator() -> Document {
    let count = doc! { "bsonType": "long", "minimum": 0 };
    doc! { "$jsonSchema": {
        "title": format!("{TITLE}aggregate"),
        "bsonType": "object",
        "required": [
            "_id", "window", "tick", "timestamp", "node", "revision", "events", "errors", "summary",
            "routeSummary"
        ],
        "properties": {
            "_id": { "bsonType": "string", "description": "window/tick/node" },
            "window": { "bsonType": "string", "pattern": "^[0-9]+s$" },
            "tick": { "bsonType": "long", "description": "first second, Unix time" },
            "timestamp": { "bsonType": "date", "description": "the same as a date" },
            "node": { "bsonType": "string", "description": "the instance that counted it" },
            "revision": count.clone(),
            "events": count.clone(),
            "errors": count,
            "summary": { "bsonType": "binData", "description": "all but routes, to merge from" },
            "routeSummary": { "bsonType": "binData", "description": "routes, to merge from" },
            "expireAt": { "bsonType": "date" },
        },
    } }
}

fn node_validator() -> Document {
    doc! { "$jsonSchema": {
        "title": format!("{TITLE}node"),
        "bsonType": "object",
        "required": ["_id"],
        "properties": {
            "_id": { "bsonType": "string", "description": "the node's id" },
            "name": { "bsonType": "string" },
            "seen": { "bsonType": "date" },
        },
    } }
}
