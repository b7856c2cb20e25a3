//! Filtered views of a running daemon: whoever has a token of one site sees what a daemon of that
//! site alone would show, over REST and the socket, before a restart and after it.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use pulseboard::wire;
use serde_json::{Value, json};
use support::token::{SECRET, Signer, changed, claims, good};
use support::{Answer, Daemon, eventually, now_ms};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const SITES: [&str; 3] = ["shop", "blog", "default"];

fn of_site(site: &str) -> String {
    let claims = changed(claims("watcher", "read"), &json!({"site": site}));
    Signer::secret(SECRET).token(&claims)
}

fn get(daemon: &Daemon, token: &str, path: &str) -> Answer {
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    daemon.send(&head, b"")
}

/// Events of several sites: on time, up to a minute old, and over a minute late.
fn events(round: i64) -> Vec<Value> {
    let now = now_ms();
    // Far enough from a minute that all daemons take them for as old.
    let ages = [0, 300, 900, 2_500, 10_000, 20_000, 150_000, 3_000_000];
    let event = |nth: usize| {
        let status = [200, 200, 404, 503][nth % 4];
        let kind = ["view", "click"][nth % 2];
        json!({
            "eventId": format!("{round}/{nth}"), "type": kind,
            "route": format!("/r{}", nth % 5), "userId": format!("u{}", nth % 11),
            "sessionId": format!("s{}", nth % 13), "site": SITES[nth % 3], "status": status,
            "timestamp": now - ages[nth % ages.len()], "latencyMs": nth,
        })
    };
    (0..240).map(event).collect()
}

fn post(daemon: &Daemon, token: &str, events: &[Value]) {
    let headers = format!("Authorization: Bearer {token}\r\n");
    let body = Value::from(events).to_string();
    let answer = daemon.post_to("/api/events", "application/json", &headers, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Both are sent events; only the first has those of other sites too.
fn feed(all: &Daemon, one: &Daemon, round: i64) {
    let token = good("writer", "ingest");
    let events = events(round);
    post(all, &token, &events);
    // Sent again, they are duplicates.
    post(all, &token, &events[..20]);
    let shop: Vec<Value> = events.into_iter().filter(|event| event["site"] == "shop").collect();
    post(one, &token, &shop);
}

/// The parts of an answer that do not depend on when it was asked for.
fn lasting(mut answer: Value) -> Value {
    let aggregate = &mut answer["aggregate"];
    if let Some(aggregate) = aggregate.as_object_mut() {
        // An event may arrive in another tick of another daemon.
        aggregate.remove("late");
        aggregate.remove("behindMs");
    }
    answer
}

/// What a watcher of `shop` is told by REST, as far back as both know it.
fn told(daemon: &Daemon, token: &str, (from, to): (i64, i64)) -> Vec<(String, Value)> {
    let (from_ms, to_ms) = (from * 1_000, to * 1_000);
    // No `-2h`: from one daemon to the other a minute may end.
    let long_ago_ms = from_ms - 7_000_000;
    let mut paths = vec![
        format!("/api/history?from={from_ms}&to={to_ms}&step=1s"),
        format!("/api/history?from={from_ms}&to={to_ms}&step=1s&filter=status=5xx"),
        format!("/api/history?from={long_ago_ms}&to={to_ms}&step=60s"),
        format!("/api/routes?from={long_ago_ms}&to={to_ms}&sort=p95"),
        format!("/api/routes?from={long_ago_ms}&to={to_ms}&filter=type=click&limit=2"),
        "/api/events?limit=1000&type=view".to_owned(),
        "/api/events?limit=1000&filter=site=sh*".to_owned(),
        "/api/export".to_owned(),
    ];
    for tick in from..=to {
        paths.push(format!("/api/aggregates?window=5s&at={tick}"));
        paths.push(format!("/api/aggregates?window=60s&at={tick}&filter=route=/r1"));
    }
    let ask = |path: String| {
        let answer = get(daemon, token, &path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let value = if path == "/api/export" {
            answer.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
        } else {
            lasting(answer.json())
        };
        (path, without_arrivals(value))
    };
    paths.into_iter().map(ask).collect()
}

fn without_arrivals(mut value: Value) -> Value {
    match &mut value {
        Value::Array(values) => {
            for value in values {
                *value = without_arrivals(value.take());
            }
        }
        Value::Object(fields) => {
            fields.remove("storedAt");
            fields.remove("next");
            fields.values_mut().for_each(|value| *value = without_arrivals(value.take()));
        }
        _ => {}
    }
    value
}

/// Follows a room until it has shown `tick`; the events by tick that it was told of.
fn watch(daemon: &Daemon, token: &str, room: &str, upto: i64) -> BTreeMap<i64, Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let follow = async {
        let url = format!("ws://{}/ws", daemon.address);
        let mut request = url.into_client_request().unwrap();
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("Authorization", bearer);
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let since = json!({room: upto - 100});
        let subscribe = json!({"op": "subscribe", "rooms": [room], "since": since});
        socket.send(Message::text(subscribe.to_string())).await.unwrap();
        let mut seen = BTreeMap::new();
        let mut aggregate = Value::Null;
        loop {
            let Message::Text(text) = socket.next().await.unwrap().unwrap() else { continue };
            let frame: Value = serde_json::from_str(&text).unwrap();
            match frame["op"].as_str().unwrap() {
                "snapshot" => aggregate = frame["aggregate"].clone(),
                "delta" => wire::merge_patch(&mut aggregate, &frame["aggregate"]),
                "welcome" => continue,
                _ => panic!("{frame}"),
            }
            assert_eq!(frame["room"], room);
            for columns in [&frame["history"], &frame["corrections"]] {
                for (nth, tick) in columns["tick"].as_array().into_iter().flatten().enumerate() {
                    let names = ["events", "activeUsers", "errors", "p95"];
                    let values = names.map(|name| columns[name][nth].clone());
                    seen.insert(tick.as_i64().unwrap(), json!(values));
                }
            }
            let tick = frame["tick"].as_i64().unwrap();
            let numbers = ["events", "activeUsers", "errors"].map(|name| aggregate[name].clone());
            let [events, users, errors] = numbers;
            seen.insert(tick, json!([events, users, errors, aggregate["latencyMs"]["p95"]]));
            if tick >= upto {
                return seen;
            }
        }
    };
    runtime.block_on(async { tokio::time::timeout(Duration::from_mins(1), follow).await.unwrap() })
}

fn tick(daemon: &Daemon, token: &str) -> i64 {
    get(daemon, token, "/api/aggregates?window=1s").json()["tick"].as_i64().unwrap()
}

#[test]
fn a_token_of_one_site_sees_what_a_daemon_of_that_site_shows_before_and_after_a_restart() {
    let settings = [
        ("PULSEBOARD_AUTH__SECRET", SECRET),
        ("PULSEBOARD_LIMITS__API_PER_MINUTE", "100000"),
        ("PULSEBOARD_LIMITS__VIEWS", "8"),
    ];
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let start = |nth: usize| Daemon::start_with(folders[nth].path(), &settings);
    let (mut all, mut one) = (start(0), start(1));
    let (shop, every) = (of_site("shop"), good("watcher", "read"));
    let ready = |daemon: &Daemon, tick_min: i64| {
        eventually("both frame", || {
            let tick = tick(daemon, &every);
            (tick >= tick_min).then_some(tick)
        })
    };
    for restarted in [false, true] {
        if restarted {
            all.kill();
            assert_eq!(one.terminate(), Some(0));
            (all, one) = (start(0), start(1));
        }
        // The first tick that both were up for.
        let first = ready(&all, 0).max(ready(&one, 0)) + 1;
        ready(&all, first);
        let round = i64::from(restarted);
        feed(&all, &one, round);
        let last = now_ms() / 1_000 + 1;
        ready(&all, last + 1);
        ready(&one, last + 1);

        let span = (first, last);
        let (got, want) = (told(&all, &shop, span), told(&one, &every, span));
        for ((path, got), (_, want)) in got.into_iter().zip(want) {
            assert_eq!(got, want, "{path}, restarted: {restarted}");
        }
        for room in ["window:5s", "window:60s?filter=status=5xx"] {
            let upto = last + 4;
            let (got, want) = (watch(&all, &shop, room, upto), watch(&one, &every, room, upto));
            for tick in first..=upto {
                assert!(want.contains_key(&tick), "{room} at {tick}");
                assert_eq!(got.get(&tick), want.get(&tick), "{room} at {tick}");
            }
        }
        let total = get(&all, &every, "/api/routes?from=-2h").json()["routes"][0]["events"].clone();
        let shops = get(&all, &shop, "/api/routes?from=-2h").json()["routes"][0]["events"].clone();
        assert_eq!(total.as_u64().unwrap(), 3 * shops.as_u64().unwrap(), "others have as many");
    }
    for path in [
        "/api/events?site=blog",
        "/api/events?filter=site=blog",
        "/api/export?filter=site=blog",
        "/api/aggregates?window=5s&filter=site=bl*",
        "/api/aggregates?window=5s&at=1&filter=site=blog",
        "/api/history?filter=site=default",
        "/api/routes?window=5s&filter=route=/a+site=blog",
        "/metrics",
    ] {
        let answer = get(&all, &shop, path);
        assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("wrong_site")), "{path}");
        assert!(answer.header("www-authenticate").is_some(), "{path}");
    }
    assert_eq!(get(&all, &every, "/metrics").status, 200);
    all.terminate();
    let public = [&settings[..], &[("PULSEBOARD_METRICS__PUBLIC", "true")]].concat();
    let all = Daemon::start_with(folders[0].path(), &public);
    assert_eq!(get(&all, &shop, "/metrics").status, 200, "everyone may");
}

#[test]
fn who_sees_one_site_is_not_told_how_many_events_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(folder.path(), &[("PULSEBOARD_AUTH__SECRET", SECRET)]);
    let (shop, writer) = (of_site("shop"), good("writer", "ingest"));
    let page = |cursor: &str| {
        let answer = get(&daemon, &shop, &format!("/api/events?limit=1{cursor}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let event = |nth: usize, site| json!({"eventId": format!("e{nth}"), "type": "view", "route": "/", "site": site});
    post(&daemon, &writer, &[event(0, "shop"), event(1, "shop")]);
    let before = page("")["next"].as_str().unwrap().to_owned();
    post(&daemon, &writer, &(2..902).map(|nth| event(nth, "blog")).collect::<Vec<_>>());
    post(&daemon, &writer, &[event(902, "shop")]);
    let after = page("")["next"].as_str().unwrap().to_owned();
    let number = |cursor: &str| u64::from_str_radix(&cursor[1..], 16).unwrap();
    assert!(number(&after).abs_diff(number(&before)) > 1_000_000, "{before} {after}");
    let ids = |page: &Value| page["events"][0]["eventId"].clone();
    assert_eq!(ids(&page(&format!("&cursor={after}"))), "e1", "they lead on all the same");
    assert_eq!(ids(&page(&format!("&cursor={before}"))), "e0");
    for path in ["/health/ready", "/health"] {
        let text = daemon.get(path).text();
        assert!(!text.contains("903"), "{text}");
    }
}

#[test]
fn past_their_number_filtered_views_are_refused_over_rest_and_what_is_open_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(folder.path(), &[("PULSEBOARD_LIMITS__VIEWS", "0")]);
    let refused = daemon.get("/api/aggregates?window=5s&filter=route=/a");
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("too_many_views")));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(daemon.metric("pulseboard_views_refused_total"), 1.0);
    assert_eq!(daemon.get("/api/aggregates?window=5s").status, 200);
    assert_eq!(daemon.get("/api/routes?window=5s&filter=route=/a").status, 200, "no view needed");
}
