//! `/metrics`: Prometheus text, or the same as JSON.
//!
//! Stages keep their own counters; they are copied into the recorder when somebody asks. Only
//! durations are recorded as they happen: by the stages through the `metrics` macros, and those of
//! answers by [`requests`]. [`names::METRICS`] lists every metric with what it means; nothing is
//! rendered that is not in it, and everything in it is rendered from the start.

pub mod names;
mod process;
pub mod requests;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use self::requests::Requests;
use super::{Stages, accept, health};
use crate::cluster::{Claimant, Cluster};
use crate::store::drain::Drain;

/// The recorder's read side.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    requests: Arc<Requests>,
}

impl Metrics {
    /// Installs the process's recorder. There is one a process: a second call fails.
    pub fn install() -> anyhow::Result<Self> {
        let seconds =
            [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
        // A frame is due after the grace; what is of interest is how much later it left.
        let delays = [0.1, 0.25, 0.26, 0.28, 0.3, 0.35, 0.4, 0.5, 0.75, 1.0, 2.5, 10.0];
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &seconds)?
            .set_buckets_for_metric(Matcher::Full("pulseboard_tick_delay_seconds".into()), &delays)?
            .install_recorder()?;
        names::describe();
        Ok(Self { handle, requests: Arc::default() })
    }

    /// Records how long a query took.
    pub fn query(&self, name: &'static str, took: Duration) {
        histogram!("pulseboard_store_query_seconds", "query" => name).record(took);
    }

    /// Where the durations of answers are kept.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Keeps the recorder's buffers of durations short; called every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Everything as Prometheus text. Asks the system about the process and the disk: blocking.
    pub fn render(&self, stages: &Stages) -> String {
        about_the_process(stages);
        about_events(stages);
        about_the_journal(stages);
        about_the_store(stages);
        about_frames(stages);
        about_the_cluster(stages);
        about_claims(stages);
        about_health(stages);
        let mut text = self.handle.render();
        process::render_cpu(&mut text);
        self.requests.render(&mut text);
        text
    }
}

fn about_the_process(stages: &Stages) {
    let uptime = stages.clock.elapsed().as_secs_f64();
    gauge!("pulseboard_uptime_seconds").set(uptime);
    gauge!("pulseboard_start_time_seconds").set(stages.clock.now_ms() as f64 / 1_000.0 - uptime);
    let version = env!("CARGO_PKG_VERSION");
    gauge!("pulseboard_build_info", "version" => version).set(1.0);
    gauge!("pulseboard_resident_memory_bytes").set(process::resident_bytes() as f64);
    gauge!("pulseboard_threads").set(process::threads() as f64);
    gauge!("pulseboard_open_files").set(process::open_files() as f64);
    gauge!("pulseboard_open_files_max").set(process::open_files_max() as f64);
    if let Some(disk) = process::disk(&stages.data_dir) {
        gauge!("pulseboard_disk_free_bytes").set(disk.free_bytes as f64);
        gauge!("pulseboard_disk_size_bytes").set(disk.size_bytes as f64);
    }
    gauge!("pulseboard_exports").set(stages.exports.running() as f64);
}

fn about_events(stages: &Stages) {
    let ingest = stages.ingest.stats();
    counter!("pulseboard_events_accepted_total").absolute(ingest.accepted);
    counter!("pulseboard_events_duplicate_total").absolute(ingest.duplicates);
    counter!("pulseboard_events_late_total").absolute(ingest.late);
    counter!("pulseboard_events_skewed_total").absolute(ingest.skewed);
    for (code, count) in ingest.rejected {
        counter!("pulseboard_events_rejected_total", "code" => code).absolute(count);
    }
    gauge!("pulseboard_inflight_calls").set(ingest.in_flight as f64);
    gauge!("pulseboard_inflight_bytes").set(ingest.inflight_bytes as f64);
    gauge!("pulseboard_dedupe_horizon_seconds").set(ingest.dedupe_horizon_secs as f64);
    gauge!("pulseboard_dedupe_ids").set(ingest.dedupe_ids as f64);
    gauge!("pulseboard_dedupe_bytes").set(ingest.dedupe_bytes as f64);
}

fn about_the_journal(stages: &Stages) {
    let journal = stages.journal.stats();
    gauge!("pulseboard_journal_bytes").set(journal.disk_bytes as f64);
    gauge!("pulseboard_journal_events").set(journal.events as f64);
    gauge!("pulseboard_journal_segments").set(journal.segments as f64);
    gauge!("pulseboard_journal_damaged_blocks").set(journal.damaged_blocks as f64);
    counter!("pulseboard_journal_written_bytes_total").absolute(journal.written_bytes);
    counter!("pulseboard_journal_trimmed_events_total").absolute(journal.trimmed_events);
    gauge!("pulseboard_journal_held_events").set(journal.held as f64);
    counter!("pulseboard_tombstones_total").absolute(journal.tombstones_made);
    let now_ms = stages.clock.now_ms();
    let oldest_ms = journal.oldest_arrival_ms.map_or(0, |oldest_ms| now_ms - oldest_ms);
    gauge!("pulseboard_oldest_event_age_seconds").set(oldest_ms.max(0) as f64 / 1_000.0);
}

fn about_the_store(stages: &Stages) {
    let lag_bytes_max = stages.journal.stats().waiting_bytes_max.unwrap_or(0);
    gauge!("pulseboard_store_lag_bytes_max").set(lag_bytes_max as f64);
    let Some(drain) = stages.drain.as_ref().map(Drain::stats) else {
        let behind_ms = stages.views.stats().behind_ms;
        gauge!("pulseboard_store_lag_events").set(health::lag_events(stages) as f64);
        gauge!("pulseboard_store_lag_bytes").set(0.0);
        gauge!("pulseboard_store_lag_seconds").set(behind_ms as f64 / 1_000.0);
        gauge!("pulseboard_store_recounts_waiting").set(0.0);
        gauge!("pulseboard_store_unwritten_aggregates").set(0.0);
        gauge!("pulseboard_store_unwritten_seconds").set(0.0);
        return;
    };
    gauge!("pulseboard_store_lag_events").set(drain.lag_events as f64);
    gauge!("pulseboard_store_lag_bytes").set(drain.lag_bytes as f64);
    gauge!("pulseboard_store_lag_seconds").set(drain.lag_seconds);
    gauge!("pulseboard_store_recounts_waiting").set(drain.recounts_waiting as f64);
    gauge!("pulseboard_store_unwritten_aggregates").set(drain.unwritten_buckets as f64);
    gauge!("pulseboard_store_unwritten_seconds").set(drain.unwritten_seconds);
    counter!("pulseboard_store_recounts_total").absolute(drain.recounted);
    counter!("pulseboard_store_set_aside_total").absolute(drain.set_aside);
    counter!("pulseboard_store_writes_total", "what" => "events").absolute(drain.event_batches);
    counter!("pulseboard_store_writes_total", "what" => "aggregates")
        .absolute(drain.bucket_batches);
    counter!("pulseboard_store_duplicates_total", "of" => "own").absolute(drain.own_duplicates);
    counter!("pulseboard_store_duplicates_total", "of" => "foreign")
        .absolute(drain.foreign_duplicates);
}

fn about_frames(stages: &Stages) {
    let views = stages.views.stats();
    gauge!("pulseboard_store_commit_seconds").set(views.commit_ms / 1_000.0);
    gauge!("pulseboard_frame_work_seconds").set(views.frame_work_ms / 1_000.0);
    gauge!("pulseboard_views").set(views.views as f64);
    counter!("pulseboard_views_refused_total").absolute(views.views_refused);
    gauge!("pulseboard_view_fill_seconds").set(views.view_fill_ms / 1_000.0);
    let hub = stages.hub.counters();
    gauge!("pulseboard_sockets").set(hub.sockets as f64);
    counter!("pulseboard_frames_sent_total").absolute(hub.frames_sent);
    counter!("pulseboard_frames_lagged_total").absolute(hub.frames_lagged);
    let nodes = stages.views.latest().windows.first().map(|window| window.aggregate.nodes);
    gauge!("pulseboard_nodes_reporting").set(nodes.map_or(1.0, |nodes| nodes.reporting.into()));
    gauge!("pulseboard_nodes_expected").set(nodes.map_or(1.0, |nodes| nodes.expected.into()));
    gauge!("pulseboard_heard_bytes").set(views.heard_bytes as f64);
    counter!("pulseboard_heard_refused_total").absolute(views.heard_refused);
}

fn about_claims(stages: &Stages) {
    let stats = stages.claims.as_ref().map(Claimant::stats).unwrap_or_default();
    for (outcome, ids) in stats.outcomes() {
        counter!("pulseboard_claims_total", "outcome" => outcome).absolute(ids);
    }
    counter!("pulseboard_claims_conflicts_total").absolute(stats.conflicts);
    gauge!("pulseboard_claims_unconfirmed").set(stats.unconfirmed as f64);
    gauge!("pulseboard_claims_held").set(stats.held as f64);
    gauge!("pulseboard_claims_horizon_seconds").set(stats.horizon_secs as f64);
}

fn about_the_cluster(stages: &Stages) {
    let stats = stages.cluster.as_ref().map(Cluster::stats).unwrap_or_default();
    gauge!("pulseboard_cluster_up").set(if stats.is_up { 1.0 } else { 0.0 });
    gauge!("pulseboard_cluster_clock_offset_seconds").set(stats.ahead_ms as f64 / 1_000.0);
    counter!("pulseboard_cluster_ticks_sent_total").absolute(stats.sent);
    counter!("pulseboard_cluster_ticks_received_total").absolute(stats.received);
    counter!("pulseboard_cluster_ticks_filled_total").absolute(stats.filled);
    counter!("pulseboard_cluster_ticks_dropped_total").absolute(stats.dropped);
    counter!("pulseboard_cluster_gaps_total").absolute(stats.gaps);
    for (reason, count) in [
        ("newer", stats.refused_newer),
        ("damaged", stats.refused_damaged),
        ("future", stats.refused_future),
        ("full", stats.refused_full),
    ] {
        counter!("pulseboard_cluster_refused_total", "reason" => reason).absolute(count);
    }
}

fn about_health(stages: &Stages) {
    let ready = health::readiness(stages);
    gauge!("pulseboard_ready").set(if ready.takes_events() { 1.0 } else { 0.0 });
    for (name, check) in ready.checks() {
        gauge!("pulseboard_check_status", "check" => name).set(check.level());
    }
}

/// How figures can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `text/plain; version=0.0.4`, which Prometheus reads.
    Text,
    /// A JSON object.
    Json,
}

impl Form {
    /// The one a client prefers; text where it does not mind, or wants what there is not.
    pub fn preferred(headers: &HeaderMap) -> Self {
        let text = accept::quality(headers, "text", "plain");
        let json = accept::quality(headers, "application", "json");
        if json > text { Self::Json } else { Self::Text }
    }
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
    use http::{HeaderValue, header};

    #[test]
    fn json_holds_the_same_figures_as_the_text() {
        let json = as_json("# HELP a b\n# TYPE a counter\na 3\nb{code=\"x y\"} 0.5\n\n");
        assert_eq!(json.len(), 2);
        assert_eq!(json["a"], 3.0);
        assert_eq!(json["b{code=\"x y\"}"], 0.5);
    }

    #[test]
    fn a_client_gets_the_form_it_prefers() {
        let form = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            Form::preferred(&headers)
        };
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(form(prometheus), Form::Text);
        assert_eq!(form("application/json"), Form::Json);
        assert_eq!(form("application/json, text/plain, */*"), Form::Text);
        assert_eq!(form("application/json, text/plain;q=0.9"), Form::Json);
        assert_eq!(form("application/json;q=0"), Form::Text);
        assert_eq!(form("text/html, */*;q=0.1"), Form::Text);
        assert_eq!(form("application/*"), Form::Json);
        assert_eq!(Form::preferred(&HeaderMap::new()), Form::Text);
    }
}
