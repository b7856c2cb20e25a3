//! The System screen's rows: which of the daemon's figures it shows, in which order, in which words.
//! Pure. A figure this daemon does not have is left out, so that no row is dead.

use super::State;
use super::figures::Figures;
use super::words;

/// A figure, or some that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is about; the first row of each says it.
    pub about: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its value, with units.
    pub value: String,
    /// Whether a notice is about it.
    pub is_noticed: bool,
}

/// All rows there are, from what was last read.
pub fn rows(state: &State) -> Vec<Row> {
    let figures = &state.figures;
    let noticed = |check: &str| state.notices().iter().any(|notice| notice.check == check);
    let mut rows = Vec::new();
    let mut row = |about: &'static str, name: &'static str, value: Option<String>, check: &str| {
        if let Some(value) = value {
            rows.push(Row { about, name, value, is_noticed: noticed(check) });
        }
    };
    row("store", "to be stored", lag(figures), "store");
    let oldest = figures.value("pulseboard_store_lag_seconds").map(words::seconds);
    row("store", "oldest waits", oldest, "store");
    // The embedded store writes neither batches nor aggregates anywhere.
    if figures.value("pulseboard_store_lag_bytes_max").is_some_and(|max| max > 0.0) {
        row("store", "aggregates wait", unwritten(figures), "store");
        row("store", "batches", timed(figures, "pulseboard_store_write_seconds"), "");
    }
    row("store", "queries", timed(figures, "pulseboard_store_query_seconds"), "");
    row("instances", "in the numbers", instances(state), "cluster");
    if state.is_cluster() {
        let up = figures.value("pulseboard_cluster_up");
        let redis = up.map(|up| if up > 0.0 { "answers" } else { "gone" }.to_owned());
        row("instances", "Redis", redis, "cluster");
        row(
            "instances",
            "ticks heard",
            rate(figures, "pulseboard_cluster_ticks_received_total"),
            "",
        );
        row("ids", "claimed", claimed(figures), "");
        row("ids", "elsewhere", elsewhere(figures), "");
        row("ids", "not claimed", unclaimed(figures), "");
        let twice = figures.value("pulseboard_claims_conflicts_total");
        row("ids", "taken twice", twice.map(|ids| format!("{} so far", words::whole(ids))), "");
        row("ids", "held in Redis", held(figures), "");
    }
    let sync = timed(figures, "pulseboard_journal_sync_seconds");
    row("events in", "accepted", rate(figures, "pulseboard_events_accepted_total"), "");
    row("events in", "duplicates", rate(figures, "pulseboard_events_duplicate_total"), "");
    row("events in", "refused", rate(figures, "pulseboard_events_rejected_total"), "");
    row("events in", "acknowledged", timed(figures, "pulseboard_ingest_ack_seconds"), "");
    row("journal", "on disk", journal(figures), "journal");
    row("journal", "syncs", sync, "");
    let free = figures.value("pulseboard_disk_free_bytes").map(words::bytes);
    row("journal", "disk free", free, "journal");
    let memory = figures.value("pulseboard_resident_memory_bytes").map(words::bytes);
    row("process", "memory", memory, "");
    let cpu = figures.rate("pulseboard_cpu_seconds_total");
    row("process", "processor", cpu.map(|cores| format!("{:.0} % of a core", cores * 100.0)), "");
    row("process", "sockets", figures.value("pulseboard_sockets").map(words::whole), "");
    row("process", "up for", figures.value("pulseboard_uptime_seconds").map(words::lasting), "");
    rows
}

/// `48,210 events, 31.4 MB`.
fn lag(figures: &Figures) -> Option<String> {
    let events = figures.value("pulseboard_store_lag_events")?;
    let noun = if events == 1.0 { "event" } else { "events" };
    let mut text = format!("{} {noun}", words::whole(events));
    if let Some(bytes) = figures.value("pulseboard_store_lag_bytes") {
        text = format!("{text}, {}", words::bytes(bytes));
    }
    Some(text)
}

/// `12, up to 0.8 s`.
fn unwritten(figures: &Figures) -> Option<String> {
    let count = figures.value("pulseboard_store_unwritten_aggregates")?;
    let oldest = figures.value("pulseboard_store_unwritten_seconds").filter(|_| count > 0.0);
    let oldest = oldest.map(|secs| format!(", up to {}", words::seconds(secs)));
    Some(format!("{}{}", words::whole(count), oldest.unwrap_or_default()))
}

/// `1,250.0/s, 0.8 ms on average`: what this instance claimed for itself.
fn claimed(figures: &Figures) -> Option<String> {
    let rate = outcomes(figures, &["ours"])?;
    let mean = figures.mean("pulseboard_claims_seconds").map(words::seconds);
    let mean = mean.map(|mean| format!(", {mean} on average")).unwrap_or_default();
    Some(format!("{rate}{mean}"))
}

/// `2.0/s pending, 12.0/s taken`: what other instances had claimed. The first are to be sent again,
/// the others are duplicates.
fn elsewhere(figures: &Figures) -> Option<String> {
    let pending = outcomes(figures, &["pending"])?;
    let taken = outcomes(figures, &["taken", "lost"])?;
    Some(format!("{pending} pending, {taken} taken"))
}

/// `310.0/s, 48,210 to be claimed`: accepted while Redis was away or full.
fn unclaimed(figures: &Figures) -> Option<String> {
    let rate = outcomes(figures, &["away", "full"])?;
    let left = figures.value("pulseboard_claims_unconfirmed")?;
    Some(format!("{rate}, {} to be claimed", words::whole(left)))
}

/// `48,210, new ones for 24 h 1 min`.
fn held(figures: &Figures) -> Option<String> {
    let ids = words::whole(figures.value("pulseboard_claims_held")?);
    let horizon = words::lasting(figures.value("pulseboard_claims_horizon_seconds")?);
    Some(format!("{ids}, new ones for {horizon}"))
}

/// How many ids a second had one of these outcomes.
fn outcomes(figures: &Figures, outcomes: &[&str]) -> Option<String> {
    let mut together = Some(0.0);
    for outcome in outcomes {
        let name = format!("pulseboard_claims_total{{outcome=\"{outcome}\"}}");
        figures.value(&name)?;
        together = together.zip(figures.rate(&name)).map(|(sum, rate)| sum + rate);
    }
    Some(together.map_or_else(|| "–".to_owned(), per_second))
}

fn instances(state: &State) -> Option<String> {
    let nodes = state.nodes()?;
    (nodes.expected > 1 || state.is_cluster())
        .then(|| format!("{} of {}", nodes.reporting, nodes.expected))
}

/// `1.2 GB, 3,104,220 events`.
fn journal(figures: &Figures) -> Option<String> {
    let bytes = words::bytes(figures.value("pulseboard_journal_bytes")?);
    let events = figures.value("pulseboard_journal_events")?;
    Some(format!("{bytes}, {} events", words::whole(events)))
}

fn rate(figures: &Figures, name: &str) -> Option<String> {
    // A row stands from the first reading on; its rate needs the second.
    figures.value(name)?;
    Some(figures.rate(name).map_or_else(|| "–".to_owned(), per_second))
}

fn per_second(rate: f64) -> String {
    format!("{}/s", words::tenths(rate))
}

/// `4.2 ms on average, 12.0/s`.
fn timed(figures: &Figures, name: &str) -> Option<String> {
    let count = format!("{name}_count");
    figures.value(&count)?;
    let Some(rate) = figures.rate(&count) else { return Some("–".to_owned()) };
    let mean = figures.mean(name);
    Some(match mean {
        Some(mean) => format!("{} on average, {}", words::seconds(mean), per_second(rate)),
        None => "none just now".to_owned(),
    })
}
