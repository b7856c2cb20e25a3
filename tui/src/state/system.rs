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

/// The store's figures are in order below this many seconds, whatever a notice is about.
const LAG_SECS: f64 = 5.0;
/// So is the disk with more than this share of it free.
const DISK_FREE: f64 = 0.05;

/// All rows there are, from what was last read.
pub fn rows(state: &State) -> Vec<Row> {
    let figures = &state.figures;
    let mut rows = about_the_store(state, figures);
    rows.extend(about_instances(state, figures));
    rows.extend([
        row("events in", "accepted", rate(figures, "pulseboard_events_accepted_total")),
        row("events in", "duplicates", rate(figures, "pulseboard_events_duplicate_total")),
        row("events in", "refused", rate(figures, "pulseboard_events_rejected_total")),
        row("events in", "acknowledged", timed(figures, "pulseboard_ingest_ack_seconds")),
    ]);
    rows.extend(about_the_journal(state, figures));
    let cpu = figures.rate("pulseboard_cpu_seconds_total");
    let cpu = cpu.map(|cores| format!("{:.0} % of a core", cores * 100.0));
    let memory = figures.value("pulseboard_resident_memory_bytes").map(words::bytes);
    rows.extend([
        row("process", "memory", memory),
        row("process", "processor", cpu),
        row("process", "sockets", figures.value("pulseboard_sockets").map(words::whole)),
        row("process", "up for", figures.value("pulseboard_uptime_seconds").map(words::lasting)),
    ]);
    rows.into_iter().flatten().collect()
}

/// A row, where there is a value for it.
fn row(about: &'static str, name: &'static str, value: Option<String>) -> Option<Row> {
    Some(Row { about, name, value: value?, is_noticed: false })
}

/// The same, for a figure that stands for what is wrong.
fn noticed(row: Option<Row>, is_noticed: bool) -> Option<Row> {
    row.map(|row| Row { is_noticed, ..row })
}

fn has_notice(state: &State, check: &str) -> bool {
    state.notices().iter().any(|notice| notice.check == check)
}

fn about_the_store(state: &State, figures: &Figures) -> Vec<Option<Row>> {
    let lag_secs = figures.value("pulseboard_store_lag_seconds");
    let is_behind = has_notice(state, "store") && lag_secs.is_some_and(|secs| secs > LAG_SECS);
    let mut rows = vec![
        noticed(row("store", "to be stored", lag(figures)), is_behind),
        noticed(row("store", "oldest waits", lag_secs.map(words::seconds)), is_behind),
    ];
    // The embedded store writes neither batches nor aggregates anywhere.
    if figures.value("pulseboard_store_lag_bytes_max").is_some_and(|max| max > 0.0) {
        let oldest = figures.value("pulseboard_store_unwritten_seconds");
        let is_old = has_notice(state, "store") && oldest.is_some_and(|secs| secs > LAG_SECS);
        rows.push(noticed(row("store", "aggregates", unwritten(figures)), is_old));
        rows.push(row("store", "batches", timed(figures, "pulseboard_store_write_seconds")));
    }
    rows.push(row("store", "queries", timed(figures, "pulseboard_store_query_seconds")));
    rows
}

fn about_instances(state: &State, figures: &Figures) -> Vec<Option<Row>> {
    let has_notice = has_notice(state, "cluster");
    let some_miss = state.nodes().is_some_and(|nodes| nodes.reporting < nodes.expected);
    let numbers = row("instances", "in the numbers", instances(state));
    let mut rows = vec![noticed(numbers, has_notice && some_miss)];
    if state.is_cluster() {
        let up = figures.value("pulseboard_cluster_up").map(|up| up > 0.0);
        let redis = up.map(|up| if up { "joined" } else { "not joined" }.to_owned());
        let is_apart = has_notice && up == Some(false);
        let heard = rate(figures, "pulseboard_cluster_ticks_received_total");
        let twice = figures.value("pulseboard_claims_conflicts_total");
        let twice = twice.map(|ids| format!("{} so far", words::whole(ids)));
        rows.extend([
            noticed(row("instances", "Redis", redis), is_apart),
            row("instances", "ticks heard", heard),
            row("ids", "claimed", claimed(figures)),
            row("ids", "elsewhere", elsewhere(figures)),
            noticed(row("ids", "not claimed", unclaimed(figures)), is_apart),
            row("ids", "taken twice", twice),
            row("ids", "held in Redis", held(figures)),
        ]);
    }
    rows
}

fn about_the_journal(state: &State, figures: &Figures) -> [Option<Row>; 3] {
    let has_notice = has_notice(state, "journal");
    let free = figures.value("pulseboard_disk_free_bytes");
    let size = figures.value("pulseboard_disk_size_bytes");
    let is_full = free.zip(size).is_some_and(|(free, size)| free < size * DISK_FREE);
    [
        noticed(row("journal", "on disk", journal(figures)), has_notice && !is_full),
        row("journal", "syncs", timed(figures, "pulseboard_journal_sync_seconds")),
        noticed(row("journal", "disk free", free.map(words::bytes)), has_notice && is_full),
    ]
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

/// `12 wait, up to 0.8 s`.
fn unwritten(figures: &Figures) -> Option<String> {
    let count = figures.value("pulseboard_store_unwritten_aggregates")?;
    let oldest = figures.value("pulseboard_store_unwritten_seconds").filter(|_| count > 0.0);
    let oldest = oldest.map(|secs| format!(", up to {}", words::seconds(secs)));
    Some(format!("{} wait{}", words::whole(count), oldest.unwrap_or_default()))
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
