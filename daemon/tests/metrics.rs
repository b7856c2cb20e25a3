//! `/metrics` as Prometheus and people read it, and `/health/ready` as a load balancer does.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use pulseboardd::api::metrics::names::{Kind, METRICS};
use support::{Daemon, eventually};

/// Family by family: what `# TYPE` says.
fn families(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
}

#[test]
fn every_metric_of_the_table_is_rendered_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    daemon.post("application/json", r#"{"type":"t","route":"/"}"#);
    assert_eq!(daemon.get("/api/nothing").status, 404);
    let text = daemon.get("/metrics").text();
    let kinds: BTreeMap<&str, &str> = METRICS
        .iter()
        .map(|metric| {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            (metric.name, kind)
        })
        .filter(|(name, _)| !name.ends_with("requests_refused_total") || text.contains(name))
        .collect();
    assert_eq!(families(&text), kinds);
    let helped: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| Some(line.strip_prefix("# HELP ")?.split_once(' ')?.0))
        .collect();
    assert_eq!(helped, kinds.keys().copied().collect());
}

#[test]
fn figures_tell_the_truth() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    let one = r#"{"eventId":"a","type":"t","route":"/"}"#;
    daemon.post("application/json", one);
    daemon.post("application/json", one);
    daemon.post("application/json", r#"[{"type":"t"},{"type":"t","route":"/"}]"#);
    daemon.get("/api/history?step=0s");
    assert_eq!(daemon.metric("pulseboard_events_accepted_total"), 2.0);
    assert_eq!(daemon.metric("pulseboard_events_duplicate_total"), 1.0);
    assert_eq!(daemon.metric("pulseboard_events_rejected_total{code=\"missing_field\"}"), 1.0);
    assert_eq!(daemon.metric("pulseboard_ingest_ack_seconds_count"), 3.0);
    assert!(daemon.metric("pulseboard_journal_sync_seconds_count") >= 2.0);
    let posts = "pulseboard_http_request_seconds_count{method=\"POST\",endpoint=\"/api/events\",\
                 status=\"2xx\"}";
    assert_eq!(daemon.metric(posts), 3.0);
    let refused = "pulseboard_http_request_seconds_count{method=\"GET\",\
                   endpoint=\"/api/history\",status=\"4xx\"}";
    assert_eq!(daemon.metric(refused), 1.0);
    assert_eq!(daemon.metric("pulseboard_ready"), 1.0);
    assert_eq!(daemon.metric("pulseboard_check_status{check=\"journal\"}"), 0.0);
    assert!(daemon.metric("pulseboard_open_files") >= 5.0);
    assert!(daemon.metric("pulseboard_disk_free_bytes") > 0.0);
    assert!(daemon.metric("pulseboard_start_time_seconds") > 1.7e9);
    let version = concat!("pulseboard_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    assert_eq!(daemon.metric(version), 1.0);
    // The one that asks; those before it have been closed.
    eventually("closed connections are not counted", || {
        (daemon.metric("pulseboard_connections") == 1.0).then_some(())
    });
    assert!(daemon.metric("pulseboard_connections_total") >= 5.0);
}

#[test]
fn readiness_is_refused_while_no_new_id_can_be_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [("PULSEBOARD_DEDUPE__MAX_IDS", "1000")];
    let daemon = Daemon::start_with(dir.path(), &settings);
    let events = "{\"type\":\"t\",\"route\":\"/\"}\n".repeat(1_000);
    assert_eq!(daemon.get("/health/ready").status, 200);
    assert_eq!(daemon.post("application/x-ndjson", events.clone()).status, 200);
    let refused = daemon.post("application/x-ndjson", events);
    assert_eq!((refused.status, refused.text().contains("dedupe_full")), (503, true));
    let ready = daemon.get("/health/ready");
    assert_eq!((ready.status, ready.text().contains("dedupe.max_ids")), (503, true));
    assert_eq!(daemon.metric("pulseboard_ready"), 0.0);
}

#[test]
fn the_form_follows_accept() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    let kind = |accept: &str| {
        let head = format!(
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\
             Connection: close\r\n\r\n"
        );
        let answer = daemon.send(&head, b"");
        assert_eq!(answer.header("vary"), Some("accept"));
        answer.header("content-type").unwrap().to_owned()
    };
    assert_eq!(kind("application/json"), "application/json");
    assert_eq!(
        kind("text/plain;q=0.9, application/json;q=0.2"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
}
