//! Restarting the daemon, by SIGTERM and by kill -9: nothing acknowledged is lost or counted
//! twice, and the windows and the charts' history come back.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use serde_json::{Value, json};
use support::{Answer, Daemon, eventually, now_ms};

fn event(id: &str, route: &str, age_ms: i64) -> String {
    let event = json!({
        "eventId": id, "type": "page_view", "route": route, "userId": format!("user {id}"),
        "timestamp": now_ms() - age_ms, "status": 200, "latencyMs": 12.5,
    });
    event.to_string()
}

fn post(daemon: &Daemon, events: &[String]) -> Answer {
    daemon.post("application/x-ndjson", events.join("\n"))
}

fn stored(daemon: &Daemon) -> Vec<Value> {
    let mut events = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = daemon.get(&format!("/api/events?limit=7{cursor}")).json();
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return events,
        }
    }
}

/// The columns of the 60 s window for ticks both daemons have, by tick.
fn history(daemon: &Daemon) -> Vec<(i64, Value, Value, Value, Value)> {
    let snapshot = daemon.get("/api/aggregates?window=60s").json();
    let columns = &snapshot["history"];
    let column = |name: &str| columns[name].as_array().unwrap().clone();
    let ticks = column("tick");
    let (events, users, errors, p95) =
        (column("events"), column("activeUsers"), column("errors"), column("p95"));
    (0..ticks.len())
        .map(|at| {
            let value = |column: &Vec<Value>| column[at].clone();
            (
                ticks[at].as_i64().unwrap(),
                value(&events),
                value(&users),
                value(&errors),
                value(&p95),
            )
        })
        .collect()
}

fn scenario(stop: impl Fn(Daemon)) {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let events: Vec<String> = (0..40).map(|n| event(&format!("e{n}"), "/shop", n * 500)).collect();
    assert_eq!(post(&daemon, &events).json()["accepted"], 40);
    let late = event("late", "/late", 3_600_000);
    assert_eq!(post(&daemon, std::slice::from_ref(&late)).json()["accepted"], 1);
    let full = eventually("all are in the 60 s window", || {
        let aggregate = daemon.aggregate("60s");
        (aggregate["events"] == 40).then(|| aggregate["tick"].as_i64().unwrap())
    });
    let before = history(&daemon);
    let stored_before = stored(&daemon);
    assert_eq!(stored_before.len(), 41);
    stop(daemon);

    let daemon = Daemon::start(folder.path());
    assert_eq!(stored(&daemon), stored_before, "the same events in the same order");
    let after = eventually("a frame after the restart", || {
        let after = history(&daemon);
        let newest = before.last().unwrap().0;
        after.iter().any(|entry| entry.0 > newest + 1).then_some(after)
    });
    let same = before.iter().filter(|entry| entry.1.as_u64() > Some(0));
    let mut compared = 0;
    for entry in same {
        assert!(after.contains(entry), "tick {} is not what it was: {entry:?}", entry.0);
        compared += 1;
    }
    assert!(compared > 0);
    let then = daemon.get(&format!("/api/aggregates?window=60s&at={full}")).json();
    assert_eq!(then["aggregate"]["events"], 40, "{then}");
    let mut again = events.clone();
    again.push(late);
    let verdicts = post(&daemon, &again).json();
    assert_eq!((&verdicts["accepted"], &verdicts["duplicates"]), (&json!(0), &json!(41)));
    assert_eq!(stored(&daemon).len(), 41);
    let routes = daemon.get("/api/routes?from=-2h").json();
    let count = |route: &str| {
        let rows = routes["routes"].as_array().unwrap();
        rows.iter().find(|row| row["route"] == route).map(|row| row["events"].as_u64().unwrap())
    };
    assert_eq!((count("/shop"), count("/late")), (Some(40), Some(1)), "{routes}");
}

#[test]
fn after_sigterm_everything_is_there_once() {
    scenario(|daemon| assert_eq!(daemon.terminate(), Some(0)));
}

#[test]
fn after_kill_everything_is_there_once() {
    scenario(Daemon::kill);
}

#[test]
fn a_daemon_that_stops_while_requests_run_acknowledges_only_what_it_kept() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let address = daemon.address;
    let posting: Vec<_> = (0..4)
        .map(|client| {
            std::thread::spawn(move || {
                use std::io::{Read, Write};
                let mut acknowledged = Vec::new();
                let Ok(mut stream) = std::net::TcpStream::connect(address) else {
                    return acknowledged;
                };
                for number in 0.. {
                    let id = format!("c{client}-{number}");
                    let body = format!(r#"{{"eventId":"{id}","type":"t","route":"/r"}}"#);
                    let head = format!(
                        "POST /api/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
                         application/json\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    let mut answer = [0; 2048];
                    let sent = stream.write_all((head + &body).as_bytes());
                    let Ok(read) = sent.and_then(|()| stream.read(&mut answer)) else { break };
                    if !answer[..read].starts_with(b"HTTP/1.1 201") {
                        break;
                    }
                    acknowledged.push(id);
                }
                acknowledged
            })
        })
        .collect();
    eventually("traffic flows", || {
        (daemon.metric("pulseboard_events_accepted_total") > 200.0).then_some(())
    });
    assert_eq!(daemon.terminate(), Some(0));
    let mut acknowledged: Vec<String> = Vec::new();
    for client in posting {
        acknowledged.extend(client.join().unwrap());
    }
    let daemon = Daemon::start(folder.path());
    let mut ids: Vec<String> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = daemon.get(&format!("/api/events?limit=1000{cursor}")).json();
        let events = page["events"].as_array().unwrap();
        ids.extend(events.iter().map(|event| event["eventId"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let total = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), total, "none twice");
    for id in &acknowledged {
        assert!(ids.binary_search(id).is_ok(), "{id} was acknowledged and is gone");
    }
}
