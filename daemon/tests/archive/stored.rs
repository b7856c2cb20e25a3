//! The same questions, the same answers: a daemon that stores by itself and daemons that store in
//! MongoDB, sent the same events.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::shared::mongod::Mongod;
use crate::support::{Daemon, eventually, now_ms};
use crate::{daemon, drained, items};

/// Events of all ages, with every field there is, some of them errors, some with odd texts.
fn events(round: i64) -> Vec<Value> {
    let now = now_ms();
    let (kinds, sites) = (["view", "click", "error"], ["shop", "blog"]);
    // Far enough from a minute that all daemons take them for as old, however long it takes to send
    // them to one after the other.
    let ages = [1_500, 1_900, 2_500, 4_000, 15_000, 30_000, 120_000, 3_000_000];
    let event = |nth: usize| {
        let mut event = json!({
            "eventId": format!("{round}/{nth}"), "type": kinds[nth % 3],
            "route": format!("/r{}/x", nth % 5), "timestamp": now - ages[nth % ages.len()],
            "site": sites[nth % 2], "latencyMs": nth as f64 * 1.5,
        });
        let fields = event.as_object_mut().unwrap();
        if nth.is_multiple_of(2) {
            fields.insert("userId".into(), format!("u{}", nth % 11).into());
            fields.insert("status".into(), [200, 404, 503][nth % 3].into());
        }
        if nth.is_multiple_of(3) {
            fields.insert("sessionId".into(), format!("s{}", nth % 13).into());
            fields.insert("error".into(), (nth.is_multiple_of(4)).into());
            let props =
                json!({"plan": "a \"b\" \\ é", "n": nth, "f": 0.1, "big": u64::MAX, "t": true});
            fields.insert("props".into(), props);
        }
        if nth.is_multiple_of(5) {
            fields.insert("clientId".into(), "10.0.0.1".into());
        }
        event
    };
    (0..240_usize).map(event).collect()
}

fn post(daemon: &Daemon, path: &str, events: &[Value]) {
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    for chunk in lines.chunks(5_000) {
        let answer = daemon.post_to(path, "application/x-ndjson", "", chunk.join("\n"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["rejectedTotal"], 0, "{}", answer.text());
    }
}

/// Without what depends on when something arrived, and where.
fn lasting(mut value: Value) -> Value {
    match &mut value {
        Value::Array(values) => {
            for value in values {
                *value = lasting(value.take());
            }
        }
        Value::Object(fields) => {
            for name in ["storedAt", "next", "behindMs", "late", "notices"] {
                fields.remove(name);
            }
            fields.values_mut().for_each(|value| *value = lasting(value.take()));
        }
        _ => {}
    }
    value
}

fn ask(daemon: &Daemon, path: &str) -> Value {
    let answer = daemon.get(path);
    let text = answer.text();
    if answer.status == 422 {
        // How far back seconds reach is told too, and moves with the clock.
        return json!({"status": 422, "code": answer.json()["code"]});
    }
    if path.starts_with("/api/export") {
        assert_eq!(answer.status, 200, "{path}: {text}");
        let mut lines: Vec<Value> =
            text.lines().map(|line| lasting(serde_json::from_str(line).unwrap())).collect();
        lines.sort_by_key(|line| line["eventId"].as_str().unwrap().to_owned());
        return lines.into();
    }
    json!({"status": answer.status, "answer": uneventful(lasting(answer.json()))})
}

/// With nothing where it says that nothing happened: of a second nobody was sent anything in, a
/// daemon says 0 when it was up and nothing when it was not, and no two start in one moment.
fn uneventful(mut answer: Value) -> Value {
    let Some(columns) = answer["history"].as_object_mut() else { return answer };
    let quiet: Vec<usize> = columns["events"].as_array().map_or_else(Vec::new, |events| {
        (0..events.len()).filter(|nth| events[*nth] == 0).collect()
    });
    for column in columns.values_mut().filter_map(Value::as_array_mut) {
        for nth in &quiet {
            column[*nth] = Value::Null;
        }
    }
    answer
}

const FILTERS: [&str; 12] = [
    "route=/r1/x",
    "route=/r*",
    "type=click",
    "site=shop",
    "status=404",
    "status=5xx",
    "error=true",
    "error=false",
    "userId=u4",
    "sessionId=s3",
    "clientId=10.0.0.1",
    "route=/r0/x%20error=true%20site=blog",
];

/// Every stored question there is, of the ticks and minutes of these events.
fn questions((from, to): (i64, i64)) -> Vec<String> {
    let (from_ms, to_ms) = (from * 1_000, to * 1_000);
    let past_ms = to_ms - 40_000;
    let mut paths: Vec<String> = vec![
        "/api/events?limit=1000".into(),
        format!("/api/events?limit=1000&from={from_ms}"),
        format!("/api/events?limit=1000&from={}&to={past_ms}", past_ms - 3_600_000),
        format!("/api/events?limit=50&to={past_ms}"),
        "/api/events?route=/r1/x&status=5xx&limit=30".into(),
        "/api/export".into(),
        format!("/api/export?from={from_ms}&to={to_ms}"),
        format!("/api/history?from={from_ms}&to={to_ms}&step=1s"),
        format!("/api/history?from={from_ms}&to={to_ms}&step=7s"),
        format!("/api/history?from={}&to={to_ms}&step=60s", to_ms - 7_200_000),
        format!("/api/history?from={}&to={to_ms}", to_ms - 86_400_000 * 30),
        format!("/api/routes?from={}&to={to_ms}", to_ms - 7_200_000),
        format!("/api/routes?from={}&to={to_ms}&sort=p95&limit=2", to_ms - 7_200_000),
        format!("/api/routes?from={to_ms}&to={from_ms}"),
        "/api/history?from=-3h&to=-2h&step=1s".into(),
        format!("/api/aggregates?window=5s&at={}", to + 1_000_000),
    ];
    for filter in FILTERS {
        paths.push(format!("/api/events?limit=1000&filter={filter}"));
        paths.push(format!("/api/export?filter={filter}"));
        paths.push(format!("/api/history?from={from_ms}&to={to_ms}&step=1s&filter={filter}"));
        let long = to_ms - 7_200_000;
        paths.push(format!("/api/history?from={long}&to={to_ms}&step=60s&filter={filter}"));
        paths.push(format!("/api/routes?from={long}&to={to_ms}&filter={filter}"));
        paths.push(format!("/api/aggregates?window=60s&at={}&filter={filter}", to - 1));
    }
    for tick in (from..to).step_by(3) {
        for window in ["1s", "5s", "60s"] {
            paths.push(format!("/api/aggregates?window={window}&at={tick}"));
        }
    }
    paths
}

fn same(embedded: &Daemon, mongo: &Daemon, paths: &[String]) {
    for path in paths {
        let (expected, got) = (ask(embedded, path), ask(mongo, path));
        assert_eq!(got, expected, "{path}");
    }
}

fn wait_framed(daemon: &Daemon, tick: i64) {
    eventually("the tick is over", || {
        (daemon.aggregate("1s")["tick"].as_i64()? >= tick).then_some(())
    });
}

#[test]
fn mongodb_answers_as_the_embedded_store_does_drained_or_not_and_after_a_kill() {
    let mongod = Mongod::set(1).start();
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let embedded = Daemon::start(one.path());
    let mongo = daemon(other.path(), &mongod);
    drained(&mongo);
    let from = now_ms() / 1_000 - 60;
    for round in 0..2 {
        let events = events(round);
        for daemon in [&embedded, &mongo] {
            post(daemon, "/api/events", &events);
            post(daemon, "/api/events", &events[..20]);
        }
    }
    let to = now_ms() / 1_000;
    for daemon in [&embedded, &mongo] {
        wait_framed(daemon, to);
    }
    let paths = questions((from, to));
    same(&embedded, &mongo, &paths);
    drained(&mongo);
    same(&embedded, &mongo, &paths);

    // What comes while the store is away waits here, and is asked for here.
    mongo.kill();
    let mongo = daemon(other.path(), &mongod);
    drained(&mongo);
    let events = events(2);
    for daemon in [&embedded, &mongo] {
        post(daemon, "/api/events", &events);
    }
    let to = now_ms() / 1_000;
    for daemon in [&embedded, &mongo] {
        wait_framed(daemon, to);
    }
    let lasting: Vec<String> = paths
        .iter()
        .filter(|path| !path.contains("step=1s") && !path.contains("at="))
        .cloned()
        .collect();
    same(&embedded, &mongo, &lasting);
}

#[test]
fn pages_lead_from_the_newest_event_to_the_oldest_at_any_instance() {
    let mongod = Mongod::set(1).start();
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, two) = (daemon(one.path(), &mongod), daemon(two.path(), &mongod));
    drained(&one);
    let ids = |nth: usize| format!("{nth:04}");
    let event = |nth: usize| json!({"eventId": ids(nth), "type": "view", "route": "/a", "userId": format!("u{}", nth % 2)});
    // Most of what one call brings is stored in one millisecond.
    for half in 0..2 {
        let events: Vec<Value> = (half * 300..(half + 1) * 300).map(event).collect();
        post(if half == 0 { &one } else { &two }, "/api/events", &events);
        drained(if half == 0 { &one } else { &two });
    }
    for (query, step, count) in
        [("limit=7", 7, 600), ("limit=1000", 1_000, 600), ("limit=50&userId=u1", 50, 300)]
    {
        let (mut cursor, mut seen) = (String::new(), Vec::new());
        for turn in 0.. {
            // Each page at the other instance.
            let daemon = [&one, &two][turn % 2];
            let page = daemon.get(&format!("/api/events?{query}{cursor}")).json();
            let page_ids = items(&page, "events");
            assert!(page_ids.len() <= step);
            seen.extend(page_ids.iter().map(|one| one["eventId"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let expected: Vec<String> =
            (0..600).rev().filter(|nth| count == 600 || nth % 2 == 1).map(ids).collect();
        assert_eq!(seen, expected, "{query}");
    }
    let refused = one.get("/api/events?cursor=b0123456789abcdef");
    assert_eq!((refused.status, refused.json()["code"].as_str()), (422, Some("bad_cursor")));
}

#[test]
fn two_instances_answer_as_one_that_was_sent_everything() {
    let mongod = Mongod::set(1).start();
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let whole = Daemon::start(dirs[0].path());
    let halves = [daemon(dirs[1].path(), &mongod), daemon(dirs[2].path(), &mongod)];
    let from = now_ms() / 1_000 - 60;
    let events = events(0);
    let (first, second) = events.split_at(events.len() / 2);
    post(&whole, "/api/events", &events);
    post(&halves[0], "/api/events", first);
    post(&halves[1], "/api/events", second);
    let to = now_ms() / 1_000;
    for daemon in [&whole, &halves[0], &halves[1]] {
        wait_framed(daemon, to + 1);
    }
    halves.iter().for_each(drained);
    // Aggregates gather a little longer than events.
    let to_ms = to * 1_000 + 1_000;
    let minutes = format!("/api/history?from={}&to={to_ms}&step=60s", to_ms - 7_200_000);
    let expected = ask(&whole, &minutes);
    eventually("aggregates are in the store", || {
        let all = halves
            .iter()
            .all(|half| sum(&ask(half, &minutes)["answer"]) == sum(&expected["answer"]));
        all.then_some(())
    });
    // Of a second nobody was sent anything in, an instance knows whether it was up itself.
    let paths: Vec<String> = questions((from, to))
        .into_iter()
        .filter(|path| {
            // Pages follow when each was stored, and where.
            !path.starts_with("/api/events?limit=50&") && !path.contains("limit=30")
        })
        .collect();
    for path in &paths {
        let (expected, got) = (unordered(ask(&whole, path)), unordered(ask(&halves[0], path)));
        assert_eq!(got, expected, "{path}");
    }
}

fn sum(answer: &Value) -> u64 {
    answer["history"]["events"].as_array().unwrap().iter().filter_map(Value::as_u64).sum()
}

/// Events of a page by their ids.
fn unordered(mut answer: Value) -> Value {
    let events = answer.pointer_mut("/answer/events").and_then(Value::as_array_mut);
    if let Some(events) = events {
        events.sort_by_key(|event| event["eventId"].as_str().unwrap().to_owned());
    }
    answer
}

/// The directory of a data set; `None` where it may be missing.
fn data(set: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PULSEBOARD_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
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

/// Requests of a server on one day in 1995.
fn nasa(dir: &std::path::Path) -> Vec<Value> {
    let text =
        String::from_utf8_lossy(&std::fs::read(dir.join("requests.tsv")).unwrap()).into_owned();
    let event = |(nth, line): (usize, &str)| {
        let cells: Vec<&str> = line.split('\t').collect();
        json!({
            "eventId": format!("nasa-{nth}"), "type": "request", "clientId": cells[0],
            "timestamp": cells[2].parse::<i64>().unwrap() * 1_000, "route": cells[4],
            "status": cells[5].parse::<u16>().unwrap(),
        })
    };
    text.lines().skip(1).enumerate().map(event).collect()
}

/// Edits of one day in 2015.
fn wikipedia(dir: &std::path::Path) -> Vec<Value> {
    let mut text = String::new();
    let file = std::fs::File::open(dir.join("events.ndjson.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let event = |(nth, line): (usize, &str)| {
        let edit: Value = serde_json::from_str(line).unwrap();
        let channel = edit["channel"].as_str().unwrap();
        json!({
            "eventId": format!("wiki-{nth}"), "type": "edit", "userId": edit["user"],
            "timestamp": edit["time"], "route": format!("/{}", channel.trim_start_matches('#')),
            "props": {"page": edit["page"], "added": edit["added"], "isNew": edit["isNew"]},
        })
    };
    text.lines().enumerate().map(event).collect()
}

#[test]
fn real_traffic_is_answered_alike_and_as_others_counted_it() {
    let (Some(nasa_dir), Some(wiki_dir)) =
        (data("nasa-http-1995-08-01"), data("wikipedia-edits-2015-09-12"))
    else {
        return;
    };
    let mongod = Mongod::set(1).start();
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = [("PULSEBOARD_ROUTES__NORMALISE", "false")];
    let embedded = Daemon::start_with(one.path(), &settings);
    let uri = mongod.uri();
    let mongo = Daemon::start_with(
        other.path(),
        &[
            settings[0],
            ("PULSEBOARD_STORE__KIND", "mongodb"),
            ("PULSEBOARD_STORE__MONGODB__URI", &uri),
        ],
    );
    let (nasa, wiki) = (nasa(&nasa_dir), wikipedia(&wiki_dir));
    for daemon in [&embedded, &mongo] {
        post(daemon, "/api/events?import=true", &nasa);
        post(daemon, "/api/events?import=true", &wiki);
    }
    drained(&mongo);
    let day = |day: &str| format!("from={day}T00:00:00Z&to={day}T23:59:59Z");
    let (then, later) = (day("1995-08-01"), day("2015-09-12"));
    let hours = |span: &str| format!("/api/history?{span}&step=1h");
    let nasa_hours = hours(&then);
    let wiki_hours = hours(&later);
    eventually("aggregates are in the store", || {
        let counted =
            sum(&ask(&mongo, &nasa_hours)["answer"]) + sum(&ask(&mongo, &wiki_hours)["answer"]);
        (counted == 30_969 + 39_244).then_some(())
    });
    let paths = [
        nasa_hours.clone(),
        wiki_hours.clone(),
        format!("{nasa_hours}&filter=status=404"),
        format!("{nasa_hours}&filter=route=/images/*"),
        format!("{wiki_hours}&filter=userId=TuanminhBot"),
        format!("/api/routes?{then}&limit=20000"),
        format!("/api/routes?{later}&limit=20000&sort=p95"),
        format!("/api/routes?{then}&filter=status=3xx&limit=50"),
        format!("/api/export?{then}&filter=status=404"),
        "/api/export?filter=userId=TuanUt".to_owned(),
        format!("/api/events?{later}&limit=1000&filter=route=/uz.wikipedia"),
        format!("/api/events?{then}&limit=1000&status=404"),
        "/api/events?clientId=piweba3y.prodigy.com&limit=1000".to_owned(),
    ];
    same(&embedded, &mongo, &paths);

    let facts = |dir: &std::path::Path| -> Value {
        let file = std::fs::File::open(dir.join("facts.json")).unwrap();
        serde_json::from_reader::<_, Value>(file).unwrap()["facts"].clone()
    };
    // The first of these is a header.
    assert_eq!(facts(&nasa_dir)["lines"], 30_970);
    assert_eq!(facts(&wiki_dir)["lines"], 39_244);
    let of_hour = |path: &str| -> BTreeMap<usize, u64> {
        let history = ask(&mongo, path)["answer"]["history"]["events"].clone();
        let hours = history.as_array().unwrap().iter().map(|hour| hour.as_u64().unwrap_or(0));
        hours.enumerate().filter(|(_, count)| *count > 0).collect()
    };
    let listed = [993, 1219, 985, 1146, 1022, 1778, 2858, 3199, 3788, 4048, 4443, 3299, 2191];
    assert_eq!(of_hour(&nasa_hours), (6..).zip(listed).collect());
    assert_eq!(sum(&ask(&mongo, &format!("{nasa_hours}&filter=status=404"))["answer"]), 221);
    let routes = ask(&mongo, &format!("/api/routes?{later}&limit=3"))["answer"]["routes"].clone();
    let routes: Vec<(&str, u64)> = routes
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["route"].as_str().unwrap(), row["events"].as_u64().unwrap()))
        .collect();
    let top = [("/en.wikipedia", 11_549), ("/vi.wikipedia", 9_747), ("/de.wikipedia", 2_523)];
    assert_eq!(routes, top);
    assert_eq!(mongod.ids("events").len(), 30_969 + 39_244);
}
