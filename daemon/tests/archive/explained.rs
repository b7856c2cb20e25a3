//! Every question to the store is answered by its index: the server explains each of them, as the
//! code that asks builds it, over enough events for a wrong plan to show.

use mongodb::bson::{Document, doc};
use pulseboard::filter::Filter;
use pulseboard::route::Normaliser;
use pulseboardd::store::mongodb::queries::{self, Find, Matching, Part};
use serde_json::{Value, json};

use crate::shared::mongod::Mongod;
use crate::support::{Daemon, now_ms};
use crate::{daemon, drained};

const EVENTS: usize = 20_000;

/// A question, the index that answers it, and how many times as many entries as documents it may
/// look at.
struct Documented {
    what: &'static str,
    find: Find,
    index: &'static str,
    /// Sorted by the server: only where the limit, or one millisecond, bounds what is sorted.
    may_sort: bool,
    examined_max: i64,
}

fn documented(now_ms: i64) -> Vec<Documented> {
    let hour = 3_600_000;
    let span = |from: i64, to: i64| (Some(now_ms - from), Some(now_ms - to));
    let filter = |text: &str| {
        let normaliser = Normaliser::new::<&str>(false, &[]).unwrap();
        Box::leak(Box::new(Filter::parse(text, &normaliser).unwrap())) as &'static Filter
    };
    let matching = |text: &str, (from_ms, to_ms): (Option<i64>, Option<i64>)| Matching {
        filter: filter(text),
        from_ms,
        to_ms,
        now_ms,
    };
    let any = (None, None);
    let row = |what, find, index, may_sort, examined_max| Documented {
        what,
        find,
        index,
        may_sort,
        examined_max,
    };
    let page = |text, span| queries::page(&matching(text, span), None, 101);
    let tick = now_ms / 1_000;
    vec![
        row("newest events", page("", any), "storedAt_expire", false, 101),
        row("of a route", page("route=/r1", any), "route_storedAt", false, 101),
        row("of a user", page("userId=u7", any), "userId_storedAt", false, 101),
        row("of a session", page("sessionId=s7", any), "sessionId_storedAt", false, 101),
        row("of a client", page("clientId=c7", any), "clientId_storedAt", false, 101),
        row(
            "of a user and a status",
            page("userId=u7 status=5xx", any),
            "userId_storedAt",
            false,
            300,
        ),
        row("of a kind", page("type=click", any), "storedAt_expire", false, 1_100),
        row("since an hour", page("", span(hour, 0)), "storedAt_expire", false, 101),
        row("of an hour long ago", page("", span(30 * hour, 29 * hour)), "timestamp", true, 0),
        row(
            "of a route, long ago",
            page("route=/r1", span(30 * hour, 29 * hour)),
            "timestamp",
            true,
            0,
        ),
        row(
            "the next page",
            queries::page(&matching("userId=u7", any), Some(now_ms), 101),
            "userId_storedAt",
            false,
            101,
        ),
        row(
            "of one millisecond",
            queries::moment(&matching("", any), 1, None, 100),
            "storedAt_expire",
            true,
            0,
        ),
        row(
            "of a user in one millisecond",
            queries::moment(&matching("userId=u7", any), 1, Some(("n", 9)), 100),
            "userId_storedAt",
            true,
            0,
        ),
        row(
            "export",
            queries::export(&matching("", any), now_ms),
            "storedAt_expire",
            false,
            EVENTS as i64,
        ),
        row(
            "export of a session",
            queries::export(&matching("sessionId=s7", any), now_ms),
            "sessionId_storedAt",
            false,
            300,
        ),
        row(
            "count by time",
            queries::count(
                filter("status=5xx"),
                (now_ms - 2 * hour, i64::MAX / 2),
                Some((now_ms - 40 * hour, now_ms - 39 * hour)),
            ),
            "timestamp",
            false,
            0,
        ),
        row(
            "count by arrival",
            queries::count(filter("status=5xx"), (now_ms - 60_000_000, now_ms - 50_000_000), None),
            "storedAt_expire",
            false,
            0,
        ),
        row(
            "count of a user",
            queries::count(
                filter("userId=u7"),
                (now_ms - hour, i64::MAX / 2),
                Some((0, now_ms + hour)),
            ),
            "userId_storedAt",
            false,
            300,
        ),
        row(
            "history, seconds",
            queries::buckets(1, (tick - 3_600, tick - 3_000), Part::Totals),
            "window_timestamp",
            false,
            0,
        ),
        row(
            "history, minutes",
            queries::buckets(60, (tick - 3_600, tick + 60), Part::Totals),
            "window_timestamp",
            false,
            100,
        ),
        row(
            "routes of a span",
            queries::buckets(60, (tick - 3_600, tick + 60), Part::Routes),
            "window_timestamp",
            false,
            100,
        ),
        row(
            "a window as it was",
            queries::buckets(1, (tick - 3_600, tick - 3_500), Part::Whole),
            "window_timestamp",
            false,
            0,
        ),
        row(
            "the last event before",
            queries::last_before(tick - 3_600),
            "window_timestamp",
            false,
            0,
        ),
    ]
}

fn fill(daemon: &Daemon) {
    let (kinds, statuses) = (["view", "click"], [200, 200, 404, 503]);
    let events: Vec<Value> = (0..EVENTS)
        .map(|nth| {
            json!({
                "eventId": format!("{nth}"), "type": kinds[usize::from(nth % 10 == 0)],
                "route": format!("/r{}", nth % 20), "userId": format!("u{}", nth % 100),
                "sessionId": format!("s{}", nth % 200), "clientId": format!("c{}", nth % 100),
                "status": statuses[nth % 4],
            })
        })
        .collect();
    for chunk in events.chunks(1_000) {
        let lines: Vec<String> = chunk.iter().map(Value::to_string).collect();
        assert_eq!(daemon.post("application/x-ndjson", lines.join("\n")).status, 200);
    }
}

/// The stages of a plan, from the last one on, with their indexes.
fn stages(plan: &Document, into: &mut Vec<(String, Option<String>)>) {
    let text = |name: &str| plan.get_str(name).ok().map(str::to_owned);
    into.push((text("stage").unwrap_or_default(), text("indexName")));
    if let Ok(inner) = plan.get_document("inputStage") {
        stages(inner, into);
    }
    if let Ok(inner) = plan.get_array("inputStages") {
        inner.iter().filter_map(|one| one.as_document()).for_each(|one| stages(one, into));
    }
}

fn number(of: &Document, name: &str) -> i64 {
    let value = of.get(name).unwrap();
    value.as_i64().or_else(|| value.as_i32().map(i64::from)).unwrap()
}

#[test]
fn every_question_is_answered_by_its_index() {
    let mongod = Mongod::set(1).start();
    let dir = tempfile::tempdir().unwrap();
    let daemon = daemon(dir.path(), &mongod);
    fill(&daemon);
    drained(&daemon);
    for documented in documented(now_ms()) {
        let what = documented.what;
        let command = documented.find.command();
        let explained = mongod.with(async move |database| {
            let explain = doc! { "explain": command, "verbosity": "executionStats" };
            database.run_command(explain).await.unwrap()
        });
        let planner = explained.get_document("queryPlanner").unwrap();
        let mut found = Vec::new();
        stages(planner.get_document("winningPlan").unwrap(), &mut found);
        let indexes: Vec<&str> = found.iter().filter_map(|(_, index)| index.as_deref()).collect();
        assert_eq!(indexes, [documented.index], "{what}: {found:?}");
        assert!(found.iter().all(|(stage, _)| stage != "COLLSCAN"), "{what}: {found:?}");
        let sorts = found.iter().any(|(stage, _)| stage == "SORT");
        assert!(!sorts || documented.may_sort, "{what}: {found:?}");
        let bounded = documented.find.limit > 0 && documented.find.limit <= 1_000;
        assert!(!sorts || bounded, "{what} sorts without a limit");
        let stats = explained.get_document("executionStats").unwrap();
        let examined = number(stats, "totalDocsExamined");
        assert!(examined <= documented.examined_max, "{what}: {examined} documents examined");
    }
}
