//! What must hold when a round is over: what is stored is what was promised, and every count of it
//! is that of one daemon which was fed the same events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use mongodb::bson::Document;
use pulseboard::tick::{Names, RouteTable, Totals};
use serde_json::{Value, json};

use super::load::Account;
use super::stream::Event;
use super::world::World;
use crate::support::{Daemon, eventually};

/// Longer than anything takes to come right by itself: a claim of an instance that died holds for
/// 30 s, a tick becomes final after 65.
const PATIENCE: Duration = Duration::from_secs(80);
/// Milliseconds in a rollup.
const MINUTE_MS: i64 = 60_000;
/// Events to one call of the reference.
const BATCH: usize = 1_000;

/// Compares what is stored with what was promised; gives the events that are stored.
pub(crate) fn promises(world: &World, account: &Account) -> Vec<Event> {
    let stored = world.stored_ids();
    let acknowledged: BTreeSet<String> = account.acknowledged.keys().cloned().collect();
    let lost: Vec<&String> = acknowledged.difference(&stored).take(10).collect();
    let lost_in_all = acknowledged.difference(&stored).count();
    assert!(lost.is_empty(), "{lost_in_all} acknowledged events are lost, such as {lost:?}");
    let surplus: Vec<&String> = stored.difference(&acknowledged).collect();
    for id in &surplus {
        let fate = account.refused.get(*id);
        assert!(
            account.in_doubt.contains_key(*id),
            "{id} is stored and was never acknowledged; it was refused: {fate:?}"
        );
    }
    println!(
        "stored {} events; in doubt {}, of these stored {:?}; refused {:?}",
        stored.len(),
        account.in_doubt.len(),
        surplus,
        account.refused
    );
    let event = |id: &String| account.acknowledged.get(id).or_else(|| account.in_doubt.get(id));
    stored.iter().map(|id| event(id).expect("it was compared above").clone()).collect()
}

/// Compares the minutes that each daemon tells with those of one daemon that was fed the events.
pub(crate) fn minutes_over_rest(world: &World, events: &[Event]) {
    let folder = tempfile::tempdir().unwrap();
    let reference = Daemon::start(folder.path());
    for batch in events.chunks(BATCH) {
        let lines: Vec<String> = batch.iter().map(|event| event.value.to_string()).collect();
        let answer = reference.post("application/x-ndjson", lines.join("\n")).json();
        assert_eq!(answer["accepted"], batch.len(), "{answer}");
    }
    let range = range(events);
    let history = format!("/api/history?{range}&step=60s");
    let wanted = eventually("the reference has counted them", || {
        let minutes = by_minute(&reference.get(&history).json());
        let counted: u64 = minutes.values().map(|minute| minute["events"].as_u64().unwrap()).sum();
        (counted == events.len() as u64).then_some(minutes)
    });
    let routes = format!("/api/routes?{range}&limit=20000");
    let wanted_routes = reference.get(&routes).json();
    for number in 0..world.cluster.len() {
        let mut last = BTreeMap::new();
        until_none(&format!("daemon {number} tells other minutes than are stored"), || {
            last = by_minute(&world.get(number, &history));
            differences(&wanted, &last)
        });
        until_none(&format!("daemon {number} tells other routes than are stored"), || {
            let told = world.get(number, &routes);
            (told["routes"] != wanted_routes["routes"])
                .then(|| format!("wanted {wanted_routes}\ngot    {told}"))
        });
    }
}

/// Compares the 60 s documents of all nodes, merged, with a plain count of the events.
pub(crate) fn minutes_in_mongod(world: &World, events: &[Event]) {
    let wanted = plain_count(events);
    until_none("the 60 s aggregates in MongoDB are not those of the events", || {
        let counted = merged(&world.minutes());
        differences(&wanted, &counted)
    });
    let minutes = world.minutes();
    let recounted = minutes.iter().filter(|minute| minute.get_bool("recounted").unwrap_or(false));
    println!("{} minutes of instances, {} of them recounted", minutes.len(), recounted.count());
}

/// Waits until there is no difference; says what it was when it lasts.
pub(crate) fn until_none(what: &str, mut difference: impl FnMut() -> Option<String>) {
    let started = Instant::now();
    while let Some(difference) = difference() {
        assert!(started.elapsed() < PATIENCE, "{what}, for {PATIENCE:?}: {difference}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn differences(wanted: &BTreeMap<i64, Value>, got: &BTreeMap<i64, Value>) -> Option<String> {
    let minutes: BTreeSet<&i64> = wanted.keys().chain(got.keys()).collect();
    let lines: Vec<String> = minutes
        .into_iter()
        .filter(|minute| wanted.get(minute) != got.get(minute))
        .map(|minute| {
            let show = |side: &BTreeMap<i64, Value>| side.get(minute).map(Value::to_string);
            format!("minute {minute}:\n  wanted {:?}\n  got    {:?}", show(wanted), show(got))
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The columns of a history, an object for each minute that has events.
fn by_minute(answer: &Value) -> BTreeMap<i64, Value> {
    let columns = answer["history"].as_object().unwrap();
    let ticks = columns["tick"].as_array().unwrap();
    let minute = |at: usize| {
        let mut row = json!({});
        for (name, column) in columns {
            if let Some(column) = column.as_array() {
                row[name] = column[at].clone();
            } else {
                for (class, column) in column.as_object().unwrap() {
                    // A class that never occurs may be absent or zero.
                    if column[at].as_u64().unwrap_or(0) > 0 {
                        row[name][class] = column[at].clone();
                    }
                }
            }
        }
        (ticks[at].as_i64().unwrap(), row)
    };
    let rows = (0..ticks.len()).map(minute);
    rows.filter(|(_, row)| row["events"].as_u64().unwrap_or(0) > 0).collect()
}

/// Every minute of the events, as `from` and `to` of a query.
fn range(events: &[Event]) -> String {
    let times = || events.iter().map(time_ms);
    let from = times().min().unwrap().div_euclid(MINUTE_MS) * MINUTE_MS;
    let to = (times().max().unwrap().div_euclid(MINUTE_MS) + 1) * MINUTE_MS;
    format!("from={from}&to={to}")
}

fn time_ms(event: &Event) -> i64 {
    event.value["timestamp"].as_i64().unwrap()
}

fn plain_count(events: &[Event]) -> BTreeMap<i64, Value> {
    let mut minutes: BTreeMap<i64, Value> = BTreeMap::new();
    for event in events {
        let tick = time_ms(event).div_euclid(MINUTE_MS) * 60;
        let minute = minutes.entry(tick).or_insert_with(empty);
        let status = event.value["status"].as_u64().unwrap();
        let is_error = event.value["type"] == "error" || status >= 500;
        add(&mut minute["events"], 1);
        add(&mut minute["errors"], u64::from(is_error));
        add(&mut minute["classes"][format!("{}xx", status / 100)], 1);
        add(&mut minute["types"][event.value["type"].as_str().unwrap()], 1);
        let route = &mut minute["routes"][event.value["route"].as_str().unwrap()];
        if route.is_null() {
            *route = json!([0, 0]);
        }
        add(&mut route[0], 1);
        add(&mut route[1], u64::from(is_error));
    }
    minutes
}

fn empty() -> Value {
    json!({"events": 0, "errors": 0, "classes": {}, "types": {}, "routes": {}})
}

fn add(to: &mut Value, count: u64) {
    *to = json!(to.as_u64().unwrap_or(0) + count);
}

/// The documents' summaries, merged over nodes. What each document says in plain fields must be what
/// its summary holds.
fn merged(documents: &[Document]) -> BTreeMap<i64, Value> {
    let mut names = Names::default();
    let mut minutes: BTreeMap<i64, (Totals, RouteTable)> = BTreeMap::new();
    for document in documents {
        let totals = Totals::decode(binary(document, "summary"), &mut names).unwrap();
        assert_eq!(number(document, "events"), totals.events, "{document}");
        assert_eq!(number(document, "errors"), totals.errors, "{document}");
        let minute = minutes.entry(number(document, "tick") as i64).or_default();
        minute.0.merge(&totals);
        minute.1.merge_encoded(binary(document, "routeSummary"), &mut names).unwrap();
    }
    let value = |(totals, routes): (Totals, RouteTable)| {
        let mut value = empty();
        value["events"] = json!(totals.events);
        value["errors"] = json!(totals.errors);
        for (index, count) in totals.classes.iter().enumerate().filter(|(_, count)| **count > 0) {
            value["classes"][format!("{}xx", index + 1)] = json!(count);
        }
        for (kind, count) in totals.types.iter() {
            value["types"][&**kind] = json!(count);
        }
        for row in routes.rows() {
            value["routes"][&*row.name] = json!([row.events, row.errors]);
        }
        value
    };
    let minutes = minutes.into_iter().filter(|(_, (totals, _))| totals.events > 0);
    minutes.map(|(tick, minute)| (tick, value(minute))).collect()
}

fn binary<'a>(document: &'a Document, field: &str) -> &'a [u8] {
    document.get_binary_generic(field).unwrap_or_else(|error| panic!("{error}: {document}"))
}

fn number(document: &Document, field: &str) -> u64 {
    let value = document.get(field).unwrap_or_else(|| panic!("{field}: {document}"));
    let number = value.as_i64().or_else(|| value.as_i32().map(i64::from));
    number.unwrap_or_else(|| panic!("{field} is no integer: {document}")) as u64
}
