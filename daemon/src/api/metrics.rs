//! `/metrics`: Prometheus text, or the same as JSON.
//!
//! Stages keep their own counters; they are copied into the recorder when somebody asks. Only
//! durations are recorded as they happen, in [`Metrics::query`] and by the stages through the
//! `metrics` macros.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::{Stages, health};

/// The recorder's read side.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Installs the process's recorder. There is one a process: a second call fails.
    pub fn install() -> anyhow::Result<Self> {
        let seconds =
            [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &seconds)?
            .install_recorder()?;
        describe();
        Ok(Self { handle })
    }

    /// Records how long a query took.
    pub fn query(&self, took: Duration) {
        histogram!("pulseboard_store_query_seconds").record(took);
    }

    /// Keeps the recorder's buffers of durations short; called every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Everything as Prometheus text.
    pub fn render(&self, stages: &Stages) -> String {
        gauge!("pulseboard_uptime_seconds").set(stages.clock.elapsed().as_secs_f64());
        gauge!("pulseboard_resident_memory_bytes").set(resident_bytes() as f64);

        let ingest = stages.ingest.stats();
        counter!("pulseboard_events_accepted_total").absolute(ingest.accepted);
        counter!("pulseboard_events_duplicate_total").absolute(ingest.duplicates);
        counter!("pulseboard_events_late_total").absolute(ingest.late);
        for (code, count) in ingest.rejected {
            counter!("pulseboard_events_rejected_total", "code" => code).absolute(count);
        }

        let journal = stages.journal.stats();
        gauge!("pulseboard_journal_bytes").set(journal.disk_bytes as f64);
        gauge!("pulseboard_journal_events").set(journal.events as f64);
        gauge!("pulseboard_journal_damaged_blocks").set(journal.damaged_blocks as f64);
        gauge!("pulseboard_dedupe_horizon_seconds").set(ingest.dedupe_horizon_secs as f64);
        gauge!("pulseboard_dedupe_ids").set(ingest.dedupe_ids as f64);

        gauge!("pulseboard_store_lag_events").set(health::lag_events(stages) as f64);
        let views = stages.views.stats();
        gauge!("pulseboard_store_lag_seconds").set(views.behind_ms as f64 / 1_000.0);
        gauge!("pulseboard_frame_work_seconds").set(views.frame_work_ms / 1_000.0);
        counter!("pulseboard_events_skewed_total").absolute(views.skewed_total);

        let hub = stages.hub.counters();
        gauge!("pulseboard_sockets").set(hub.sockets as f64);
        counter!("pulseboard_frames_sent_total").absolute(hub.frames_sent);
        counter!("pulseboard_frames_lagged_total").absolute(hub.frames_lagged);
        gauge!("pulseboard_exports").set(stages.exports.running() as f64);
        gauge!("pulseboard_nodes_reporting").set(1.0);
        counter!("pulseboard_rate_limited_total").absolute(0);
        self.handle.render()
    }
}

fn describe() {
    describe_gauge!("pulseboard_uptime_seconds", "Seconds since the daemon started.");
    describe_gauge!("pulseboard_resident_memory_bytes", "Resident memory of the process.");
    describe_counter!("pulseboard_events_accepted_total", "New events, acknowledged and on disk.");
    describe_counter!("pulseboard_events_duplicate_total", "Events that had been taken before.");
    describe_counter!("pulseboard_events_rejected_total", "Events refused, by code.");
    describe_counter!("pulseboard_events_late_total", "Events over 60 s old when they arrived.");
    describe_histogram!("pulseboard_ingest_ack_seconds", "From a request's body to its answer.");
    describe_gauge!("pulseboard_journal_bytes", "Disk the journal takes.");
    describe_gauge!("pulseboard_journal_events", "Events in the journal.");
    describe_gauge!("pulseboard_journal_damaged_blocks", "Blocks set aside as damaged.");
    describe_histogram!("pulseboard_journal_sync_seconds", "Write and sync of one group commit.");
    describe_gauge!("pulseboard_dedupe_horizon_seconds", "How far back ids are remembered.");
    describe_gauge!("pulseboard_dedupe_ids", "Ids remembered.");
    describe_gauge!("pulseboard_store_lag_events", "Acknowledged events not counted yet.");
    describe_gauge!("pulseboard_store_lag_seconds", "Age of the oldest event not counted yet.");
    describe_histogram!("pulseboard_store_query_seconds", "Time of REST queries.");
    describe_gauge!("pulseboard_sockets", "Open sockets.");
    describe_counter!("pulseboard_frames_sent_total", "Frames sent to sockets.");
    describe_counter!("pulseboard_frames_lagged_total", "Ticks merged for sockets that lagged.");
    describe_gauge!("pulseboard_frame_work_seconds", "Time the last frame took to make.");
    describe_counter!("pulseboard_events_skewed_total", "Events from clocks ahead of ours.");
    describe_histogram!("pulseboard_tick_delay_seconds", "From a tick's end to its frame.");
    describe_gauge!("pulseboard_exports", "Exports under way.");
    describe_gauge!("pulseboard_nodes_reporting", "Instances in the numbers.");
    describe_counter!("pulseboard_rate_limited_total", "Requests refused by a rate limit.");
}

/// Resident memory as the kernel counts it; 0 where it cannot be read.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages: Option<u64> =
        pages.and_then(|text| text.split_whitespace().nth(1).and_then(|word| word.parse().ok()));
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

/// The same figures as a JSON object: a number by name, or by name and labels as Prometheus writes
/// them.
pub fn as_json(text: &str) -> serde_json::Map<String, serde_json::Value> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, value)| {
            let value: f64 = value.parse().ok()?;
            Some((name.to_owned(), serde_json::Number::from_f64(value)?.into()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_the_same_figures_as_the_text() {
        let json = as_json("# HELP a b\n# TYPE a counter\na 3\nb{code=\"x y\"} 0.5\n\n");
        assert_eq!(json.len(), 2);
        assert_eq!(json["a"], 3.0);
        assert_eq!(json["b{code=\"x y\"}"], 0.5);
    }
}
