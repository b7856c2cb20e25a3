//! Real events through the decoder: a day of Wikipedia edits, mapped to events, all taken, with
//! the counts that were computed by other programs.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use pulseboard::decode::{self, Decoded};
use pulseboard::event::Class;
use pulseboard::limits;
use pulseboard::route::Normaliser;
use pulseboard::validate::Rules;
use serde_json::{Value, json};

/// 2015-09-13T00:02:00Z, after the end of the day.
const NOW_MS: i64 = 1_442_102_520_000;

/// The directory of a data set; `None` where it may be missing.
fn data(set: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PULSEBOARD_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let dir = root.join(set);
    if dir.is_dir() {
        return Some(dir);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", dir.display());
    eprintln!("skipped: {} is not there; PULSEBOARD_DATA says where data sets are", dir.display());
    None
}

/// An edit as an event: the channel is the route, the page and what was done are props.
fn event(edit: &Value) -> Value {
    let channel = edit["channel"].as_str().expect("every edit has a channel");
    let mut props = serde_json::Map::new();
    for name in ["page", "namespace", "comment", "countryName", "cityName", "added", "deleted"] {
        if !edit[name].is_null() {
            props.insert(name.to_owned(), edit[name].clone());
        }
    }
    json!({
        "type": "edit",
        "route": format!("/{}", channel.trim_start_matches('#')),
        "timestamp": edit["time"],
        "userId": edit["user"],
        "props": props,
    })
}

#[test]
fn a_day_of_wikipedia_edits_is_taken_to_the_last_event() {
    let Some(dir) = data("wikipedia-edits-2015-09-12") else { return };
    let facts: Value =
        serde_json::from_reader(File::open(dir.join("facts.json")).expect("facts")).expect("JSON");
    let facts = &facts["facts"];
    let mut text = String::new();
    let file = File::open(dir.join("events.ndjson.gz")).expect("events");
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("UTF-8");
    let edits: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();

    let routes = Normaliser::default();
    let rules = Rules {
        arrival_ms: NOW_MS,
        horizon_ms: limits::HORIZON_MS,
        import: false,
        import_age_ms_max: None,
        site: None,
        routes: &routes,
        event_bytes: limits::EVENT_BYTES,
        batch_events: limits::BATCH_EVENTS,
    };
    let (mut as_lines, mut as_array) = (Decoded::default(), Decoded::default());
    for edits in edits.chunks(limits::BATCH_EVENTS) {
        let events: Vec<String> = edits.iter().map(|edit| event(edit).to_string()).collect();
        let lines = events.join("\n");
        let report = decode::ndjson(lines.as_bytes(), &rules, &mut as_lines).expect("lines");
        assert_eq!(report.refusals.listed(), []);
        let array = format!("[{}]", events.join(","));
        let report = decode::json(array.as_bytes(), &rules, &mut as_array).expect("array");
        assert_eq!(report.refusals.listed(), []);
    }

    let mut by_route = BTreeMap::<&str, u64>::new();
    let mut users = HashSet::new();
    let mut pages = HashSet::new();
    let mut by_hour = BTreeMap::<i64, u64>::new();
    for ((taken, again), edit) in as_lines.batch.iter().zip(as_array.batch.iter()).zip(&edits) {
        *by_route.entry(taken.route()).or_default() += 1;
        users.insert(taken.user_id().expect("every edit has a user"));
        *by_hour.entry(taken.row().timestamp_ms.rem_euclid(86_400_000) / 3_600_000).or_default() +=
            1;
        let props: Value = serde_json::from_str(taken.props().expect("props")).expect("JSON");
        for (name, value) in props.as_object().expect("an object") {
            assert_eq!(value, &edit[name]);
        }
        pages.insert(props["page"].as_str().expect("text").to_owned());
        assert_eq!((taken.route(), taken.props()), (again.route(), again.props()));
        assert_eq!(taken.row().class, Class::Late);
    }
    assert_eq!(as_lines.batch.len() as u64, facts["lines"].as_u64().expect("a count"));
    assert_eq!(users.len() as u64, facts["distinct_user"].as_u64().expect("a count"));
    assert_eq!(pages.len() as u64, facts["distinct_page"].as_u64().expect("a count"));
    assert_eq!(by_route.len() as u64, facts["distinct_channel"].as_u64().expect("a count"));
    assert_eq!((by_route["/en.wikipedia"], by_route["/vi.wikipedia"]), (11_549, 9_747));
    assert_eq!((by_hour[&0], by_hour[&12], by_hour[&23]), (268, 1_709, 1_482));
}
