//! Every metric there is: its name, its type, its labels and what it means. Whoever adds one adds
//! its row; a test compares this with what the daemon renders.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, histogram};

/// Prometheus's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, from 0 at start.
    Counter,
    /// What holds now.
    Gauge,
    /// Counted by size: `_bucket{le}`, `_sum`, `_count`.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// `pulseboard_…`, unit last.
    pub name: &'static str,
    /// How Prometheus takes it.
    pub kind: Kind,
    /// The label it has, with every value it takes from the start on, if these are known.
    pub label: Option<(&'static str, &'static [&'static str])>,
    /// A sentence.
    pub help: &'static str,
}

const fn plain(kind: Kind, name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind, label: None, help }
}

const fn counted(name: &'static str, help: &'static str) -> Metric {
    plain(Kind::Counter, name, help)
}

const fn now(name: &'static str, help: &'static str) -> Metric {
    plain(Kind::Gauge, name, help)
}

const fn times(name: &'static str, help: &'static str) -> Metric {
    plain(Kind::Histogram, name, help)
}

const fn labelled(metric: Metric, label: &'static str, values: &'static [&'static str]) -> Metric {
    Metric { label: Some((label, values)), ..metric }
}

/// The keys of the limits on rates.
const LIMITS: &[&str] = &["api_per_minute", "ingest_events_per_second", "socket_events_per_second"];

/// Why a publish is refused as a whole.
const PUBLISHES: &[&str] = &[
    "bad_json",
    "empty_batch",
    "too_many_events",
    "busy",
    "disk_full",
    "spool_full",
    "dedupe_full",
    "stopping",
    "rate_limited",
    "batch_exceeds_burst",
];

/// Why an open socket is ended over its token.
const TOKENS: &[&str] = &[
    "token_malformed",
    "token_signature",
    "token_algorithm",
    "token_expired",
    "token_not_yet_valid",
    "token_claim_missing",
    "token_claim_invalid",
    "token_issuer",
    "token_audience",
    "unauthorized",
    "rate_limited",
];

/// All of them, by what they are about.
pub const METRICS: &[Metric] = &[
    // The process.
    now("pulseboard_uptime_seconds", "Since the daemon started."),
    now("pulseboard_start_time_seconds", "When the daemon started, Unix time."),
    labelled(now("pulseboard_build_info", "1, with the version that runs."), "version", &[]),
    now("pulseboard_resident_memory_bytes", "Resident memory of the process."),
    counted(
        "pulseboard_cpu_seconds_total",
        "Processor time of the process, the kernel's for it too.",
    ),
    now("pulseboard_threads", "Threads of the process."),
    now("pulseboard_open_files", "Files, sockets and pipes the process has open."),
    now("pulseboard_open_files_max", "How many it may have open (LimitNOFILE)."),
    now("pulseboard_disk_free_bytes", "Free on the disk of the data directory."),
    now("pulseboard_disk_size_bytes", "Size of the disk of the data directory."),
    // Requests.
    now("pulseboard_connections", "Connections open, sockets among them."),
    counted("pulseboard_connections_total", "Connections accepted."),
    times(
        "pulseboard_http_request_seconds",
        "From a request's headers to its answer's, by method, endpoint and status class.",
    ),
    labelled(
        counted(
            "pulseboard_requests_refused_total",
            "Answers of 400 and above, by the problem's code; items_refused where every event was.",
        ),
        "code",
        &[],
    ),
    labelled(
        counted("pulseboard_rate_limited_total", "What a limit on rates refused, by its key."),
        "limit",
        LIMITS,
    ),
    labelled(
        counted("pulseboard_publishes_refused_total", "Publishes refused as a whole, by code."),
        "code",
        PUBLISHES,
    ),
    labelled(
        counted(
            "pulseboard_sockets_refused_total",
            "Open sockets ended over their token, by code; unauthorized where none came in time.",
        ),
        "code",
        TOKENS,
    ),
    now("pulseboard_exports", "Exports under way."),
    // Events on their way in.
    counted("pulseboard_events_accepted_total", "New events, acknowledged and on disk."),
    counted("pulseboard_events_duplicate_total", "Events that had been taken before."),
    labelled(counted("pulseboard_events_rejected_total", "Events refused, by code."), "code", &[]),
    counted("pulseboard_events_late_total", "Events over 60 s old when they arrived."),
    counted("pulseboard_events_skewed_total", "Events from clocks ahead of ours."),
    times("pulseboard_ingest_ack_seconds", "From the end of a request's body to its answer."),
    now("pulseboard_inflight_calls", "Calls whose events are on their way to disk."),
    now("pulseboard_inflight_bytes", "Bytes of bodies being worked on."),
    now("pulseboard_dedupe_horizon_seconds", "How far back a repeated id is recognised."),
    now("pulseboard_dedupe_ids", "Ids remembered."),
    now("pulseboard_dedupe_bytes", "Memory they take."),
    // The journal.
    now("pulseboard_journal_bytes", "Disk the journal takes."),
    now("pulseboard_journal_events", "Events in the journal."),
    now("pulseboard_journal_segments", "Segments of the journal."),
    now("pulseboard_journal_damaged_blocks", "Blocks set aside as damaged."),
    counted("pulseboard_journal_written_bytes_total", "Bytes of blocks written, merged ones too."),
    counted("pulseboard_journal_trimmed_events_total", "Events that retention let go."),
    now(
        "pulseboard_journal_held_events",
        "Events on disk that readers do not see before their ids are confirmed.",
    ),
    counted(
        "pulseboard_tombstones_total",
        "Events hidden because another instance took their id first.",
    ),
    times("pulseboard_journal_sync_seconds", "Write and sync of one group commit."),
    now(
        "pulseboard_oldest_event_age_seconds",
        "Since the oldest event held arrived; 0 without any.",
    ),
    // Counting and the store.
    now("pulseboard_store_lag_events", "Acknowledged events not counted, or not in MongoDB yet."),
    now("pulseboard_store_lag_bytes", "Bytes in the journal that wait for MongoDB."),
    now("pulseboard_store_lag_bytes_max", "How many may wait; 0 with the embedded store."),
    now(
        "pulseboard_store_lag_seconds",
        "Age of the oldest event that is not counted, or not in MongoDB yet.",
    ),
    now(
        "pulseboard_store_unwritten_aggregates",
        "Aggregates that changed and are not in MongoDB yet; 0 with the embedded store.",
    ),
    now("pulseboard_store_unwritten_seconds", "How long ago the oldest of them changed."),
    times("pulseboard_store_write_seconds", "Time one batch of events takes to MongoDB."),
    labelled(
        counted("pulseboard_store_writes_total", "Batches MongoDB took."),
        "what",
        &["events", "aggregates"],
    ),
    labelled(
        counted(
            "pulseboard_store_duplicates_total",
            "Events that were in MongoDB already: from an earlier attempt, or as another event.",
        ),
        "of",
        &["own", "foreign"],
    ),
    counted(
        "pulseboard_store_set_aside_total",
        "Events MongoDB refused while it took others; they are in set-aside.bson.",
    ),
    now(
        "pulseboard_store_recounts_waiting",
        "Aggregates to be counted from MongoDB's events, where one was there already.",
    ),
    counted("pulseboard_store_recounts_total", "Aggregates counted from MongoDB's events."),
    labelled(
        times("pulseboard_store_query_seconds", "Time of REST queries, by what is asked."),
        "query",
        &["events", "aggregates", "history", "routes"],
    ),
    now("pulseboard_store_commit_seconds", "Time the store's last commit took."),
    // Frames and sockets.
    times("pulseboard_tick_delay_seconds", "From a tick's end to its frame."),
    now("pulseboard_frame_work_seconds", "Time the last frame took to make."),
    now("pulseboard_views", "Filtered views open, watched or lingering."),
    counted("pulseboard_views_refused_total", "Filtered views not opened: too_many_views."),
    now("pulseboard_view_fill_seconds", "Time the last filtered view took to fill."),
    now("pulseboard_sockets", "Open sockets."),
    counted("pulseboard_frames_sent_total", "Frames sent to sockets."),
    counted("pulseboard_frames_lagged_total", "Ticks merged for sockets that lagged."),
    // The other instances.
    now("pulseboard_nodes_reporting", "Instances in the numbers of the newest frame."),
    now("pulseboard_nodes_expected", "Instances there are, this one too."),
    now("pulseboard_heard_bytes", "Memory of what other instances said they counted."),
    counted(
        "pulseboard_heard_refused_total",
        "Ticks of other instances not joined: too old, too far ahead, or too many.",
    ),
    // Claims on ids.
    labelled(
        counted("pulseboard_claims_total", "Ids asked for in Redis, by what became of them."),
        "outcome",
        &["ours", "pending", "taken", "lost", "away", "full"],
    ),
    times("pulseboard_claims_seconds", "From a round of questions about ids to its answer."),
    counted(
        "pulseboard_claims_conflicts_total",
        "Ids accepted while Redis was away that another instance accepted too.",
    ),
    now("pulseboard_claims_unconfirmed", "Events accepted whose ids are still to be claimed."),
    now("pulseboard_claims_held", "Ids this instance holds in Redis, about."),
    now("pulseboard_claims_horizon_seconds", "For how long ids are claimed; 0 without a cluster."),
    now("pulseboard_cluster_up", "1 when Redis answers and this instance is one of the cluster."),
    now(
        "pulseboard_cluster_clock_offset_seconds",
        "How far this machine's clock is ahead of Redis's.",
    ),
    times("pulseboard_cluster_publish_seconds", "From a tick's end until Redis took it."),
    counted("pulseboard_cluster_ticks_sent_total", "Ticks told to the other instances."),
    counted("pulseboard_cluster_ticks_received_total", "Ticks heard from the other instances."),
    counted(
        "pulseboard_cluster_ticks_filled_total",
        "Ticks read from Redis since their message was missed.",
    ),
    counted("pulseboard_cluster_ticks_dropped_total", "Ticks let go before Redis took them."),
    counted("pulseboard_cluster_gaps_total", "Gaps found in what was heard."),
    labelled(
        counted("pulseboard_cluster_refused_total", "Messages of instances refused, by reason."),
        "reason",
        &["newer", "damaged", "future", "full"],
    ),
    // Health.
    now("pulseboard_ready", "1 when events are taken, as /health/ready says; else 0."),
    labelled(
        now("pulseboard_check_status", "Each check of /health/ready: 0 ok, 1 degraded, 2 failed."),
        "check",
        &["journal", "store", "cluster", "clock"],
    ),
];

/// What a metric means.
pub(super) fn help(name: &str) -> &'static str {
    METRICS.iter().find(|metric| metric.name == name).map_or("", |metric| metric.help)
}

/// Those that are rendered apart from the recorder.
const APART: [&str; 2] = [super::requests::NAME, "pulseboard_cpu_seconds_total"];

/// Tells the recorder what each means, and makes them be there before anything has happened.
/// Gauges are set whenever figures are rendered.
pub(super) fn describe() {
    for metric in METRICS.iter().filter(|metric| !APART.contains(&metric.name)) {
        let (name, help) = (metric.name, metric.help);
        match metric.kind {
            Kind::Counter => describe_counter!(name, help),
            Kind::Gauge => describe_gauge!(name, help),
            Kind::Histogram => describe_histogram!(name, help),
        }
        match (metric.kind, metric.label) {
            (Kind::Counter, None) => counter!(name).absolute(0),
            (Kind::Counter, Some((label, values))) => {
                for &value in values {
                    counter!(name, label => value).absolute(0);
                }
            }
            (Kind::Histogram, None) => drop(histogram!(name)),
            (Kind::Histogram, Some((label, values))) => {
                for &value in values {
                    drop(histogram!(name, label => value));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        for metric in METRICS {
            assert!(metric.name.starts_with("pulseboard_"), "{}", metric.name);
            let is_counter = metric.kind == Kind::Counter;
            assert_eq!(metric.name.ends_with("_total"), is_counter, "{}", metric.name);
            if metric.kind == Kind::Histogram {
                assert!(metric.name.ends_with("_seconds"), "{}", metric.name);
            }
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
        let mut names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len(), "a name stands twice");
    }
}
