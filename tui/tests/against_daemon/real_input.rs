//! Real traffic through the real programs: `pulseboard replay` into `pulseboardd`, and every count
//! that comes back over REST compared with the reference facts, one for one.
//!
//! What is expected is worked out here by splitting the files in the plainest way, shares no code
//! with the programs, and is itself held against each `facts.json`. The data is that of
//! `PULSEBOARD_DATA`, else beside the repository; where it is missing the tests say so, and fail
//! under CI.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::daemon::{Daemon, eventually};
use crate::http::Http;

const DAY_MS: i64 = 86_400_000;
/// Standard error of the distinct counts, and how many of them are allowed.
const DISTINCT_ERROR: f64 = 0.016 * 3.0;

/// One request or edit, as the file tells it.
struct Row {
    who: String,
    route: String,
    status: Option<u16>,
    time_ms: i64,
}

/// A file, how it is replayed, and what must come out.
struct Input {
    folder: PathBuf,
    /// A shell line that writes what replay reads; `$DATA` is the folder.
    shell: String,
    facts: Value,
    rows: Vec<Row>,
    rejected: u64,
}

#[test]
fn apache_traffic_is_counted_line_for_line() {
    let Some(input) = apache() else { return };
    assert_eq!(input.facts["lines"], 10_000);
    replayed_live(
        &input,
        "9,999 accepted, 0 duplicates, 1 rejected",
        "(route_too_long at line 3029)",
    );
}

#[test]
fn apache_traffic_lands_in_history_at_its_own_dates() {
    let Some(input) = apache() else { return };
    replayed_into_history(&input);
}

#[test]
fn nasa_traffic_is_counted_line_for_line() {
    let Some(input) = nasa() else { return };
    replayed_live(&input, "30,969 accepted, 0 duplicates, 0 rejected", "");
}

#[test]
fn nasa_traffic_lands_in_history_at_its_own_dates() {
    let Some(input) = nasa() else { return };
    replayed_into_history(&input);
}

#[test]
fn wikipedia_edits_are_counted_one_for_one() {
    let Some(input) = wikipedia() else { return };
    replayed_live(&input, "39,244 accepted, 0 duplicates, 0 rejected", "");
}

#[test]
fn wikipedia_edits_land_in_history_at_their_own_dates() {
    let Some(input) = wikipedia() else { return };
    replayed_into_history(&input);
}

fn replayed_live(input: &Input, says: &str, says_too: &str) {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path()).unwrap();
    let mut http = Http::new(daemon.address());

    let said = input.replay(&daemon, &[]);
    assert!(said.starts_with(says) && said.contains(says_too), "{said}");
    check_totals(&mut http, input, "from=-1h&to=now");
    check_stored_events(&mut http, input);

    let said = input.replay(&daemon, &[]);
    let count = thousands(input.rows.len());
    let says = format!("{count} duplicates; --new-ids sends them again");
    assert!(said.starts_with(&says), "{said}");
    check_totals(&mut http, input, "from=-1h&to=now");
    check_stored_events(&mut http, input);
    check_export(&daemon, input);
}

fn replayed_into_history(input: &Input) {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path()).unwrap();
    let mut http = Http::new(daemon.address());
    input.replay(&daemon, &["--keep-time"]);

    let days = input.days();
    let (first, last) = (days.keys().min().unwrap(), days.keys().max().unwrap());
    let range = format!("from={first}&to={}", last + DAY_MS);
    check_totals(&mut http, input, &range);

    let history = http.get(&format!("/api/history?{range}&step=1d"));
    assert_eq!(history["step"], "86400s", "{history}");
    let column = |name: &str| history["history"][name].as_array().unwrap().clone();
    let counts: BTreeMap<i64, u64> = std::iter::zip(column("tick"), column("events"))
        .map(|(tick, events)| (tick.as_i64().unwrap() * 1_000, events.as_u64().unwrap_or(0)))
        .collect();
    let expected = days.iter().map(|(day, rows)| (*day, rows.len() as u64)).collect();
    assert_eq!(counts, expected, "events a day");

    for (tick, distinct) in std::iter::zip(column("tick"), column("activeUsers")) {
        let day = tick.as_i64().unwrap() * 1_000;
        let exact = days[&day].iter().map(|row| &row.who).collect::<BTreeSet<_>>().len() as f64;
        let found = distinct.as_f64().unwrap();
        let off = (found - exact).abs() / exact;
        assert!(off <= DISTINCT_ERROR, "distinct on {day}: exactly {exact}, found {found}");
    }
}

/// Routes and status classes as the aggregates have them.
fn check_totals(http: &mut Http, input: &Input, range: &str) {
    let expected = input.count(|row| row.route.clone());
    eventually(&expected, || {
        let answer = http.get(&format!("/api/routes?{range}&limit=20000"));
        assert_eq!(answer["otherRoutes"]["events"], 0, "every route has a row");
        let rows = answer["routes"].as_array().unwrap().iter();
        rows.map(|row| (text(&row["route"]), row["events"].as_u64().unwrap())).collect()
    });
    let history = http.get(&format!("/api/history?{range}&step=1d"));
    let classes: BTreeMap<String, u64> = history["history"]["statusClasses"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(class, column)| (class.clone(), sum(column)))
        .collect();
    assert_eq!(classes, input.classes(), "status classes");
    assert_eq!(sum(&history["history"]["events"]), input.rows.len() as u64);
}

/// Every event, page by page.
fn check_stored_events(http: &mut Http, input: &Input) {
    let mut ids = BTreeSet::new();
    let (mut routes, mut who, mut classes) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut path = "/api/events?limit=1000".to_owned();
    loop {
        let page = http.get(&path);
        for event in page["events"].as_array().unwrap() {
            assert!(ids.insert(text(&event["eventId"])), "twice: {event}");
            *routes.entry(text(&event["route"])).or_insert(0) += 1;
            let actor = event.get("userId").unwrap_or(&event["clientId"]);
            *who.entry(text(actor)).or_insert(0) += 1;
            if let Some(status) = event["status"].as_u64() {
                *classes.entry(format!("{}xx", status / 100)).or_insert(0) += 1;
            }
        }
        let Some(cursor) = page["next"].as_str() else { break };
        path = format!("/api/events?limit=1000&cursor={cursor}");
    }
    assert_eq!(ids.len(), input.rows.len());
    assert_eq!(routes, input.count(|row| row.route.clone()));
    assert_eq!(who, input.count(|row| row.who.clone()));
    assert_eq!(classes, input.classes());
}

/// Every event again, as the file `pulseboard export` writes.
fn check_export(daemon: &Daemon, input: &Input) {
    let output = Command::new(env!("CARGO_BIN_EXE_pulseboard"))
        .args(["--url", &format!("http://{}", daemon.address()), "export"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut routes = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(ids.insert(text(&event["eventId"])), "twice: {event}");
        *routes.entry(text(&event["route"])).or_insert(0) += 1;
    }
    assert_eq!(ids.len(), input.rows.len());
    assert_eq!(routes, input.count(|row| row.route.clone()));
}

impl Input {
    fn new(folder: PathBuf, shell: &str, rows: Vec<Row>) -> Self {
        let facts = std::fs::read(folder.join("facts.json")).unwrap();
        let mut facts: Value = serde_json::from_slice(&facts).unwrap();
        let facts = facts["facts"].take();
        Self { folder, shell: shell.to_owned(), facts, rows, rejected: 0 }
    }

    /// Replays through the documented command line; gives what it printed.
    fn replay(&self, daemon: &Daemon, arguments: &[&str]) -> String {
        let mut source = Command::new("sh")
            .args(["-c", &self.shell])
            .env("DATA", &self.folder)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let replay = Command::new(env!("CARGO_BIN_EXE_pulseboard"))
            .args(["--url", &format!("http://{}", daemon.address())])
            .args(["replay", "-", "--speed", "max"])
            .args(arguments)
            .stdin(source.stdout.take().unwrap())
            .output()
            .unwrap();
        assert!(source.wait().unwrap().success(), "{}", self.shell);
        let (said, troubles) = (replay.stdout, String::from_utf8_lossy(&replay.stderr));
        assert!(replay.status.success(), "{troubles}");
        let lines_of_trouble = troubles.lines().filter(|line| line.starts_with("line ")).count();
        assert_eq!(lines_of_trouble as u64, self.rejected, "{troubles}");
        String::from_utf8(said).unwrap()
    }

    fn count(&self, key: impl Fn(&Row) -> String) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for row in &self.rows {
            *counts.entry(key(row)).or_insert(0) += 1;
        }
        counts
    }

    fn classes(&self) -> BTreeMap<String, u64> {
        let mut classes = BTreeMap::new();
        for status in self.rows.iter().filter_map(|row| row.status) {
            *classes.entry(format!("{}xx", status / 100)).or_insert(0) += 1;
        }
        classes
    }

    /// By the start of the day in UTC.
    fn days(&self) -> BTreeMap<i64, Vec<&Row>> {
        let mut days = BTreeMap::<i64, Vec<&Row>>::new();
        for row in &self.rows {
            days.entry(row.time_ms - row.time_ms.rem_euclid(DAY_MS)).or_default().push(row);
        }
        days
    }

    /// What was split here must be what the facts say; `refused` rows are in the facts and not in
    /// the daemon.
    fn hold_against_facts(&mut self, top: &str, refused: impl Fn(&Row) -> bool) {
        let facts = self.facts.clone();
        let routes = self.count(|row| row.route.clone());
        for row in facts[top].as_array().unwrap() {
            let route = format!("/{}", text(&row["value"]).trim_start_matches(['/', '#']));
            assert_eq!(routes[&route], row["count"], "{route}");
        }
        if let Some(classes) = facts.get("status_classes") {
            assert_eq!(json!(self.classes()), *classes);
        }
        for (day, count) in facts["per_day_utc"].as_object().unwrap() {
            let start = format!("{day}T00:00:00Z").parse::<jiff::Timestamp>().unwrap();
            assert_eq!(self.days()[&start.as_millisecond()].len(), *count, "{day}");
        }
        let who = self.count(|row| row.who.clone()).len();
        let distinct = facts.get("distinct_clients").unwrap_or(&facts["distinct_user"]);
        assert_eq!(who, *distinct);
        let all = self.rows.len();
        self.rows.retain(|row| !refused(row));
        self.rejected = (all - self.rows.len()) as u64;
    }
}

fn apache() -> Option<Input> {
    let folder = data("apache-combined-2015")?;
    let log = std::fs::read_to_string(folder.join("access.log")).unwrap();
    let row = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let status = line.split('"').nth(2).unwrap().trim_start().split(' ').next().unwrap();
        let time = format!("{} {}", &words[3][1..], words[4].trim_end_matches(']'));
        Row {
            who: words[0].to_owned(),
            route: words[6].split('?').next().unwrap().to_owned(),
            status: status.parse().ok(),
            time_ms: jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", &time)
                .and_then(|time| time.to_timestamp())
                .unwrap()
                .as_millisecond(),
        }
    };
    let rows = log.lines().map(row).collect();
    let mut input = Input::new(folder, "cat \"$DATA/access.log\"", rows);
    input.hold_against_facts("top10_routes_path_without_query", |row| row.route.len() > 512);
    assert_eq!(input.rejected, 1, "line 3029");
    Some(input)
}

fn nasa() -> Option<Input> {
    let folder = data("nasa-http-1995-08-01")?;
    let table = std::fs::read_to_string(folder.join("requests.tsv")).unwrap();
    let row = |line: &str| {
        let columns: Vec<_> = line.split('\t').collect();
        Row {
            who: columns[0].to_owned(),
            route: columns[4].split('?').next().unwrap().to_owned(),
            status: columns[5].parse().ok(),
            time_ms: columns[2].parse::<i64>().unwrap() * 1_000,
        }
    };
    let rows = table.lines().skip(1).map(row).collect();
    let shell = "awk -f docs/recipes/nasa-to-common.awk \"$DATA/requests.tsv\"";
    let mut input = Input::new(folder, shell, rows);
    input.hold_against_facts("top10_routes_path_without_query", |_| false);
    Some(input)
}

fn wikipedia() -> Option<Input> {
    let folder = data("wikipedia-edits-2015-09-12")?;
    let file = std::fs::File::open(folder.join("events.ndjson.gz")).unwrap();
    let mut events = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut events).unwrap();
    let row = |line: &str| {
        let edit: Value = serde_json::from_str(line).unwrap();
        Row {
            who: text(&edit["user"]),
            route: format!("/{}", text(&edit["channel"]).trim_start_matches('#')),
            status: None,
            time_ms: text(&edit["time"]).parse::<jiff::Timestamp>().unwrap().as_millisecond(),
        }
    };
    let rows = events.lines().map(row).collect();
    let shell = "gunzip -c \"$DATA/events.ndjson.gz\" \
                 | jq -c -f docs/recipes/wikipedia-to-events.jq";
    let mut input = Input::new(folder, shell, rows);
    input.hold_against_facts("top10_channel", |_| false);
    Some(input)
}

fn data(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("PULSEBOARD_DATA").map_or_else(beside, PathBuf::from).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "no reference data at {}", folder.display());
    eprintln!("skipped: no reference data at {}", folder.display());
    None
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn sum(column: &Value) -> u64 {
    column.as_array().unwrap().iter().filter_map(Value::as_u64).sum()
}

fn thousands(number: usize) -> String {
    format!("{},{:03}", number / 1_000, number % 1_000)
}
