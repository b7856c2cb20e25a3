//! Makes what is missing in the database, and says what differs. Idempotent: any number of instances
//! may do it at a time, and a second time changes nothing.
//!
//! Overwrites nothing. Collections of our names that are not ours are refused before anything is
//! made; a validator that somebody changed is reported and left. What does change with a setting is
//! how long documents stay.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use mongodb::Database;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, doc};

use super::reason::{Trouble, trouble};
use super::schema::{self, EVENTS, Index, LAYOUT, META, META_ID, MINUTES_EXPIRE, Wanted};

/// `NamespaceExists`: another instance was quicker.
const EXISTS: i32 = 48;
/// `Unauthorized`.
const NOT_ALLOWED: i32 = 13;
/// `IndexOptionsConflict` and `IndexKeySpecsConflict`.
const INDEX_CONFLICTS: [i32; 2] = [85, 86];

/// What is there now.
#[derive(Clone, Debug, Default)]
pub(super) struct Prepared {
    pub(super) cursor_key: [u8; 16],
    /// When the database was laid out, Unix ms.
    pub(super) made_ms: i64,
    /// A line each of what was made or found.
    pub(super) report: Vec<String>,
    /// A line each of what is not as it was made.
    pub(super) differs: Vec<String>,
}

/// Makes what is missing.
pub(super) async fn prepare(
    database: &Database,
    events_days: u32,
    aggregates_days: u32,
) -> Result<Prepared, Trouble> {
    let wanted = schema::wanted(events_days, aggregates_days);
    let there = collections(database).await?;
    let meta = meta(database).await?;
    if meta.is_none() {
        for name in wanted.iter().map(|wanted| wanted.name).chain([META]) {
            if let Some(found) = there.get(name) {
                foreign(database, name, found).await?;
            }
        }
    }
    let meta = match meta {
        Some(meta) => meta,
        None => begin(database).await?,
    };
    let cursor_key = cursor_key(database, &meta)?;
    let made_ms = meta.get_datetime("madeAt").map_or(0, |made| made.timestamp_millis());
    let mut prepared = Prepared { cursor_key, made_ms, ..Prepared::default() };
    for wanted in &wanted {
        collection(database, wanted, there.get(wanted.name), &mut prepared).await?;
        indexes(database, wanted, &mut prepared).await?;
    }
    Ok(prepared)
}

/// What is not as it was made; changes nothing.
pub(super) async fn differences(
    database: &Database,
    events_days: u32,
    aggregates_days: u32,
) -> Result<Vec<String>, Trouble> {
    let there = collections(database).await?;
    let mut differs = Vec::new();
    for wanted in schema::wanted(events_days, aggregates_days) {
        let name = wanted.name;
        let gone = || Some(format!("the collection {name} is gone; --setup-store makes it"));
        differs.extend(there.get(name).map_or_else(gone, |found| difference(&wanted, found)));
    }
    Ok(differs)
}

#[allow(clippy::needless_pass_by_value, reason = "it maps errors")]
fn away(error: mongodb::error::Error) -> Trouble {
    trouble(&error)
}

fn code(error: &mongodb::error::Error) -> Option<i32> {
    match &*error.kind {
        mongodb::error::ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

async fn run(database: &Database, mut command: Document) -> Result<(), mongodb::error::Error> {
    command.insert("writeConcern", doc! { "w": "majority" });
    database.run_command(command).await.map(drop)
}

/// Collections by name, as the server describes them.
async fn collections(database: &Database) -> Result<BTreeMap<String, Document>, Trouble> {
    let names = [EVENTS, schema::AGGREGATES, schema::NODES, META];
    let filter = doc! { "name": { "$in": names.to_vec() } };
    let command = doc! { "listCollections": 1, "filter": filter };
    let found: Vec<Document> = database
        .run_cursor_command(command)
        .await
        .map_err(away)?
        .try_collect()
        .await
        .map_err(away)?;
    let named = |found: Document| Some((found.get_str("name").ok()?.to_owned(), found));
    Ok(found.into_iter().filter_map(named).collect())
}

async fn meta(database: &Database) -> Result<Option<Document>, Trouble> {
    let found = database.collection::<Document>(META).find_one(doc! { "_id": META_ID }).await;
    found.map_err(away)
}

/// The cursors' key of a database that is ours.
fn cursor_key(database: &Database, meta: &Document) -> Result<[u8; 16], Trouble> {
    let name = database.name();
    let layout = meta.get_i32("layout").unwrap_or(i32::MAX);
    if layout > LAYOUT {
        return Err(Trouble::Refused(format!(
            "the database {name} was laid out by a newer version of Pulseboard; upgrade this one, \
             or name another database"
        )));
    }
    let key =
        meta.get_binary_generic("cursorKey").ok().and_then(|key| key.as_slice().try_into().ok());
    key.ok_or_else(|| {
        Trouble::Refused(format!(
            "the document {META_ID} in {META} of the database {name} is not what was written \
             there; remove it, and it is made again"
        ))
    })
}

/// Marks the database as ours. Whoever was first wrote what counts.
async fn begin(database: &Database) -> Result<Document, Trouble> {
    let key = rand::random::<[u8; 16]>();
    let binary = Binary { subtype: BinarySubtype::Generic, bytes: key.to_vec() };
    let fields = doc! { "layout": LAYOUT, "cursorKey": binary };
    let made = database
        .collection::<Document>(META)
        .update_one(
            doc! { "_id": META_ID },
            doc! { "$setOnInsert": fields, "$currentDate": { "madeAt": true } },
        )
        .upsert(true)
        .await;
    if let Err(error) = made {
        // Two upserts at once: one of them made it, and the other may be told so.
        if meta(database).await?.is_none() {
            return Err(away(error));
        }
    }
    meta(database)
        .await?
        .ok_or_else(|| Trouble::away(format!("the document {META_ID} in {META} went away again")))
}

/// Refuses a collection of one of our names that somebody else made.
async fn foreign(database: &Database, name: &str, found: &Document) -> Result<(), Trouble> {
    if validator(found).is_some_and(schema::is_ours) {
        return Ok(());
    }
    let is_plain = is(found, "type", "collection") && validator(found).is_none();
    let is_empty = is_plain && is_empty(database, name).await?;
    // An empty one may have been made to be sharded.
    if is_empty {
        return Ok(());
    }
    Err(Trouble::Refused(format!(
        "the database {} has a collection {name} that Pulseboard did not make; name another \
         database in the connection string, and nothing of this one is touched",
        database.name()
    )))
}

/// Whether there is no document in it, and no index that says what it is for.
async fn is_empty(database: &Database, name: &str) -> Result<bool, Trouble> {
    let collection = database.collection::<Document>(name);
    if collection.find_one(doc! {}).await.map_err(away)?.is_some() {
        return Ok(false);
    }
    let indexes = list_indexes(database, name).await?;
    Ok(indexes.iter().all(|index| {
        let keys = index.get_document("key");
        keys.is_ok_and(|keys| keys.keys().all(|key| key == "_id"))
    }))
}

fn validator(found: &Document) -> Option<&Document> {
    found.get_document("options").ok()?.get_document("validator").ok()
}

/// What of a collection is not as it was made.
fn difference(wanted: &Wanted, found: &Document) -> Option<String> {
    let expected = wanted.validator.as_ref()?;
    let name = wanted.name;
    let options = found.get_document("options");
    let option = |key| options.as_ref().ok().and_then(|options| options.get_str(key).ok());
    let what = match validator(found) {
        None => {
            return Some(format!(
                "the validator of the collection {name} was removed; --setup-store makes it again"
            ));
        }
        Some(validator) if validator != expected => match changed(expected, validator) {
            Some(field) => format!("was changed at {field}"),
            None => "was changed".to_owned(),
        },
        Some(_) if option("validationLevel") != Some("moderate") => {
            "has another validationLevel than moderate".to_owned()
        }
        Some(_) if option("validationAction") != Some("warn") => {
            "has another validationAction than warn".to_owned()
        }
        Some(_) => return None,
    };
    Some(format!(
        "the validator of the collection {name} {what}; it is left so. To have ours again, remove \
         it with collMod and start once with --setup-store"
    ))
}

/// The first place at which a validator differs, as a dotted path.
fn changed(expected: &Document, found: &Document) -> Option<String> {
    let keys = expected.keys().chain(found.keys().filter(|key| !expected.contains_key(key)));
    for key in keys {
        match (expected.get(key), found.get(key)) {
            (Some(one), Some(other)) if one == other => {}
            (Some(Bson::Document(one)), Some(Bson::Document(other))) => {
                let inner = changed(one, other);
                return Some(inner.map_or_else(|| key.clone(), |inner| format!("{key}.{inner}")));
            }
            _ => return Some(key.clone()),
        }
    }
    None
}

async fn collection(
    database: &Database,
    wanted: &Wanted,
    found: Option<&Document>,
    prepared: &mut Prepared,
) -> Result<(), Trouble> {
    let name = wanted.name;
    let mut validation = doc! {};
    if let Some(validator) = &wanted.validator {
        validation.insert("validator", validator.clone());
        validation.insert("validationLevel", "moderate");
        validation.insert("validationAction", "warn");
    }
    let Some(found) = found else {
        let mut command = doc! { "create": name };
        command.extend(validation);
        match run(database, command).await {
            Ok(()) => prepared.report.push(format!("collection {name}: made")),
            Err(error) if code(&error) == Some(EXISTS) => {
                prepared.report.push(format!("collection {name}: found"));
            }
            Err(error) => return Err(away(error)),
        }
        return Ok(());
    };
    // Like an index that is not there, one that was removed is made again: nothing is lost by it.
    if wanted.validator.is_some() && validator(found).is_none() {
        let mut command = doc! { "collMod": name };
        command.extend(validation);
        match run(database, command).await {
            Ok(()) => {
                let line = format!("collection {name}: found without its validator, which is made");
                prepared.report.push(line);
                return Ok(());
            }
            // Without the right to, it runs as it is, and says so.
            Err(error) if code(&error) == Some(NOT_ALLOWED) => {}
            Err(error) => return Err(away(error)),
        }
    }
    prepared.report.push(format!("collection {name}: found"));
    prepared.differs.extend(difference(wanted, found));
    Ok(())
}

async fn list_indexes(database: &Database, name: &str) -> Result<Vec<Document>, Trouble> {
    let cursor = database.run_cursor_command(doc! { "listIndexes": name }).await.map_err(away)?;
    cursor.try_collect().await.map_err(away)
}

async fn indexes(
    database: &Database,
    wanted: &Wanted,
    prepared: &mut Prepared,
) -> Result<(), Trouble> {
    let name = wanted.name;
    let there = list_indexes(database, name).await?;
    for index in &wanted.indexes {
        let same = there.iter().find(|found| is(found, "name", index.name));
        let line = match same {
            None => made(database, name, index).await?,
            Some(found) if !same_keys(found, &index.keys) => Err(format!(
                "the index {} of the collection {name} is on other fields than it was made on; \
                 drop it, and it is made again at the next start",
                index.name
            )),
            Some(found) => match (index.expire_after_secs, expiry(found)) {
                (Some(secs), Some(before)) if secs != before => {
                    expire(database, name, index.name, secs).await?;
                    Ok(format!(
                        "index {} of {name}: documents expire after {secs} s, before after \
                         {before} s",
                        index.name
                    ))
                }
                _ => Ok(format!("index {} of {name}: found", index.name)),
            },
        };
        match line {
            Ok(line) => prepared.report.push(line),
            Err(line) => prepared.differs.push(line),
        }
    }
    let gone = there.iter().any(|found| is(found, "name", MINUTES_EXPIRE))
        && wanted.indexes.iter().all(|index| index.name != MINUTES_EXPIRE);
    if gone {
        let command = doc! { "dropIndexes": name, "index": MINUTES_EXPIRE };
        run(database, command).await.map_err(away)?;
        prepared.report.push(format!("index {MINUTES_EXPIRE} of {name}: dropped, minutes stay"));
    }
    Ok(())
}

/// Makes an index; the inner error is a line about one that is in its place.
async fn made(
    database: &Database,
    name: &str,
    index: &Index,
) -> Result<Result<String, String>, Trouble> {
    let command = doc! { "createIndexes": name, "indexes": [index.specification()] };
    match run(database, command).await {
        Ok(()) => Ok(Ok(format!("index {} of {name}: made", index.name))),
        Err(error) if code(&error).is_some_and(|code| INDEX_CONFLICTS.contains(&code)) => {
            Ok(Err(format!(
                "the collection {name} has an index in the place of {} with other options; drop \
                 it, and ours is made at the next start",
                index.name
            )))
        }
        Err(error) => Err(away(error)),
    }
}

fn is(found: &Document, key: &str, text: &str) -> bool {
    found.get_str(key).is_ok_and(|found| found == text)
}

/// Whether an index is on these fields, however its directions are written.
fn same_keys(found: &Document, keys: &Document) -> bool {
    let listed = |keys: &Document| {
        let direction = |value: &Bson| value.as_i64().or(value.as_i32().map(i64::from));
        let direction = |value: &Bson| direction(value).or(value.as_f64().map(|one| one as i64));
        keys.iter().map(|(key, value)| (key.clone(), direction(value))).collect::<Vec<_>>()
    };
    found.get_document("key").is_ok_and(|found| listed(found) == listed(keys))
}

fn expiry(found: &Document) -> Option<i64> {
    match found.get("expireAfterSeconds")? {
        Bson::Int32(secs) => Some(i64::from(*secs)),
        Bson::Int64(secs) => Some(*secs),
        Bson::Double(secs) => Some(*secs as i64),
        _ => None,
    }
}

async fn expire(database: &Database, name: &str, index: &str, secs: i64) -> Result<(), Trouble> {
    let change = doc! { "name": index, "expireAfterSeconds": secs };
    run(database, doc! { "collMod": name, "index": change }).await.map_err(away)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Wanted {
        schema::wanted(7, 0).remove(0)
    }

    fn found(change: impl FnOnce(&mut Document)) -> Document {
        let mut options = doc! {
            "validator": event().validator.unwrap(),
            "validationLevel": "moderate",
            "validationAction": "warn",
        };
        change(&mut options);
        doc! { "name": "events", "type": "collection", "options": options }
    }

    #[test]
    fn a_validator_that_was_changed_is_named_with_the_place() {
        assert_eq!(difference(&event(), &found(|_| {})), None);
        let said = |change: fn(&mut Document)| difference(&event(), &found(change)).unwrap();
        assert!(said(|options| drop(options.remove("validator"))).contains("was removed"));
        assert!(
            said(|options| drop(options.insert("validationAction", "error"))).contains("than warn")
        );
        let deep = said(|options| {
            let validator = options.get_document_mut("validator").unwrap();
            let schema = validator.get_document_mut("$jsonSchema").unwrap();
            let properties = schema.get_document_mut("properties").unwrap();
            properties.insert("tenant", doc! { "bsonType": "string" });
        });
        assert!(deep.contains("at $jsonSchema.properties.tenant"), "{deep}");
    }
}
