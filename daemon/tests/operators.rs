//! What operators are given beside the binary speaks of what there is: the dashboard, the alerts, the
//! image, and the page that explains them.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

use std::collections::BTreeSet;

use pulseboardd::api::metrics::names::METRICS;

/// A file of the repository.
fn file(path: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn dashboards_alerts_and_the_page_for_operators_speak_of_metrics_there_are() {
    let known: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    let page = file("docs/operations.md");
    for path in [
        "config/grafana/pulseboard.json",
        "config/prometheus/alerts.yml",
        "config/prometheus/alerts.test.yml",
        "docs/operations.md",
    ] {
        let text = file(path);
        let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
        let named: BTreeSet<&str> = text
            .match_indices("pulseboard_")
            .map(|(at, _)| &text[at..])
            .map(|rest| &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())])
            .map(|name| {
                ["_bucket", "_sum", "_count"]
                    .iter()
                    .fold(name, |name, end| name.strip_suffix(end).unwrap_or(name))
            })
            .collect();
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{path} names metrics that are not: {unknown:?}");
        assert!(named.len() > 10, "{path} names some");
    }
    let unexplained: Vec<_> =
        known.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(unexplained.is_empty(), "the page says what each means: {unexplained:?}");
}

#[test]
fn every_alert_has_a_test_and_its_place_in_the_page_for_operators() {
    let (rules, tests) =
        (file("config/prometheus/alerts.yml"), file("config/prometheus/alerts.test.yml"));
    let page = file("docs/operations.md");
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        assert!(tests.contains(alert), "{alert} has no test");
        assert!(page.contains(&format!("\n### {alert}\n")), "{alert} has no heading");
        let anchor = format!("operations.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&anchor), "{alert} does not link to its heading");
    }
}

#[test]
fn an_image_is_built_from_what_is_there() {
    let containerfile = file("config/container/Containerfile");
    let ignored = file(".containerignore");
    assert_eq!(ignored, file(".dockerignore"), "two names for one list");
    let mut sources = 0;
    for line in containerfile.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0].starts_with("--from") {
            continue;
        }
        for source in &words[..words.len() - 1] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(source);
            assert!(path.exists(), "COPY {source}: not there");
            assert!(!ignored.lines().any(|line| line == *source), "COPY {source}: ignored");
            sources += 1;
        }
    }
    assert!(sources >= 6, "{sources}");
}
