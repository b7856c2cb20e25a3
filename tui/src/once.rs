//! `pulseboard --once`: one snapshot of a window, as the daemon's own JSON for scripts or as a few
//! lines for people, then the end.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use jiff::tz::TimeZone;
use pulseboard::wire::server::{Aggregate, NoticeLevel, Snapshot};

use crate::commands::say;
use crate::rest;
use crate::target::Target;
use crate::view::format;

/// Prints it; fails with a sentence when it cannot be had.
pub async fn run(target: &Target, window: &str, json: bool) -> anyhow::Result<ExitCode> {
    let mut query = String::new();
    for byte in window.bytes() {
        if byte.is_ascii_alphanumeric() {
            query.push(char::from(byte));
        } else {
            query.extend(["%".to_owned(), std::format!("{byte:02X}")]);
        }
    }
    let body = rest::get(target, &std::format!("/api/aggregates?window={query}")).await?;
    let mut out = std::io::stdout().lock();
    if json {
        out.write_all(&body)?;
        if body.last() != Some(&b'\n') {
            out.write_all(b"\n")?;
        }
    } else {
        let snapshot: Snapshot = serde_json::from_slice(&body)
            .with_context(|| std::format!("{target} answered something else than a snapshot"))?;
        out.write_all(summary(&snapshot.aggregate, &TimeZone::system()).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A few lines for people.
fn summary(aggregate: &Aggregate, zone: &TimeZone) -> String {
    let mut lines = vec![std::format!(
        "{}, the last {}",
        format::clock(aggregate.tick, zone),
        aggregate.window
    )];
    if aggregate.nodes.expected > 1 {
        let nodes = aggregate.nodes;
        let text = std::format!(", {} of {} instances", nodes.reporting, nodes.expected);
        lines[0].push_str(&text);
    }
    for notice in &aggregate.notices {
        let sign = match notice.level {
            NoticeLevel::Degraded => "!",
            NoticeLevel::Failed => "!!",
        };
        let (brief, detail) = (format::clean(&notice.brief), format::clean(&notice.detail));
        let parts = [brief, detail].into_iter().filter(|part| !part.is_empty());
        lines.push(std::format!("{sign} {}", parts.collect::<Vec<_>>().join(": ")));
    }
    let mut row = |name: &str, value: String, rest: String| {
        let line = std::format!("  {name:<14}{value:>10}   {rest}");
        lines.push(line.trim_end().to_owned());
    };
    let events = say::counted(aggregate.events, "event");
    row("events/s", format::rate(aggregate.events_per_second), events);
    let sessions = say::counted(aggregate.active_sessions, "session");
    row("active users", format::count(aggregate.active_users), sessions);
    let errors = say::counted(aggregate.errors, "error");
    row("error rate", aggregate.error_rate.map_or_else(|| "–".to_owned(), format::percent), errors);
    match &aggregate.latency_ms {
        None => row("latency p95", "–".to_owned(), String::new()),
        Some(latency) => {
            let [p50, p99, max] = [latency.p50, latency.p99, latency.max].map(format::millis);
            let rest = std::format!("p50 {p50}, p99 {p99}, max {max}");
            row("latency p95", format::millis(latency.p95), rest);
        }
    }
    let seconds = ((aggregate.to - aggregate.from) as f64 / 1_000.0).max(1.0);
    let routes: Vec<(String, String)> = aggregate
        .top_routes
        .iter()
        .map(|row| {
            let latency = row.p95.map_or_else(|| "–".to_owned(), format::millis);
            let rate = format::rate(row.events as f64 / seconds);
            let errors = format::percent(row.error_rate);
            let numbers = std::format!("{rate:>10} {errors:>10} {latency:>10}");
            (format::clean(&row.route), numbers)
        })
        .collect();
    if !routes.is_empty() {
        let wide = routes.iter().map(|(route, _)| format::cells(route)).max().unwrap_or(0).max(5);
        lines.push(std::format!(
            "  {:<wide$}{:>10} {:>10} {:>10}",
            "route",
            "events/s",
            "errors",
            "p95"
        ));
        lines.extend(routes.iter().map(|(route, numbers)| {
            let blank = " ".repeat(wide - format::cells(route).min(wide));
            std::format!("  {route}{blank}{numbers}")
        }));
    }
    lines.push(String::new());
    lines.join("\n")
}
