//! `/health` and `/health/ready`: whether the process lives, and whether it can take events.
//!
//! Readiness is 503 only when events cannot be taken; everything else that is wrong is `degraded`.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use schemars::JsonSchema;
use serde::Serialize;

use super::Stages;
use crate::clock::Status as ClockStatus;
use crate::cluster::{Claimant, Cluster, Status};
use crate::store::drain::{self, Drain};
use crate::store::mongodb::{Mongo, State};

/// Counting that is this far behind accepting is worth a look, ms.
const BEHIND_MS: u64 = 5_000;

/// A spool that is this full is worth a look.
const FILLING_PERCENT: u64 = 50;

/// The answer of `/health`.
#[derive(JsonSchema, Serialize)]
pub struct Alive {
    status: &'static str,
}

impl Default for Alive {
    fn default() -> Self {
        Self { status: "ok" }
    }
}

/// The answer of `/health/ready`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Readiness {
    status: &'static str,
    checks: Checks,
    #[serde(skip)]
    refuses: bool,
}

/// One part of the daemon.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Check {
    status: &'static str,
    detail: String,
    /// The same in a few words, for a dashboard's badge; empty where it is ok.
    #[serde(skip)]
    brief: Cow<'static, str>,
}

#[derive(Debug, JsonSchema, Serialize)]
struct Checks {
    journal: Check,
    store: Check,
    cluster: Check,
    clock: Check,
}

impl Check {
    fn ok(detail: impl Into<String>) -> Self {
        Self { status: "ok", detail: detail.into(), brief: Cow::Borrowed("") }
    }

    fn degraded(brief: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { status: "degraded", detail: detail.into(), brief: brief.into() }
    }

    fn failed(brief: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { status: "failed", detail: detail.into(), brief: brief.into() }
    }

    /// What there is to say.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The same in a few words; empty where all is well.
    pub fn brief(&self) -> &str {
        &self.brief
    }

    /// As a metric: 0 ok, 1 degraded, 2 failed.
    pub fn level(&self) -> f64 {
        match self.status {
            "ok" => 0.0,
            "degraded" => 1.0,
            _ => 2.0,
        }
    }
}

impl From<Status> for Check {
    fn from(status: Status) -> Self {
        if status.is_ok {
            Self::ok(status.detail)
        } else {
            Self::degraded(status.brief, status.detail)
        }
    }
}

impl Readiness {
    /// Whether events can be taken now.
    pub fn takes_events(&self) -> bool {
        !self.refuses
    }

    /// Every check with its name.
    pub fn checks(&self) -> [(&'static str, &Check); 4] {
        let checks = &self.checks;
        [
            ("journal", &checks.journal),
            ("store", &checks.store),
            ("cluster", &checks.cluster),
            ("clock", &checks.clock),
        ]
    }
}

/// Asks every stage.
pub fn readiness(stages: &Stages) -> Readiness {
    let journal_stats = stages.journal.stats();
    let journal = if stages.stopping.load(Ordering::Relaxed) {
        Check::failed("stopping", "the daemon is stopping")
    } else if stages.journal.fault().borrow().is_some() {
        Check::failed("disk failed", "a sync failed; the daemon ends and must be started again")
    } else if journal_stats.spool_full {
        Check::failed(
            "spool full",
            "the journal has reached limits.spool_bytes; events are refused meanwhile",
        )
    } else if journal_stats.disk_full {
        Check::failed("disk full", "the disk is full; events are refused until there is room")
    } else if stages.dedupe.is_full(stages.clock.now_ms()) {
        let detail = "dedupe.max_ids ids are remembered and none is older than 65 s; events are \
                      refused until some are, or until the daemon runs with a higher bound";
        Check::failed("ids full", detail)
    } else if let Some(check) =
        filling(journal_stats.waiting_bytes, journal_stats.waiting_bytes_max)
    {
        check
    } else if journal_stats.damaged_blocks > 0 {
        let damaged = journal_stats.damaged_blocks;
        let detail = format!("{damaged} damaged blocks are set aside; the rest is readable");
        Check::degraded("journal damaged", detail)
    } else {
        // No number: whoever asks has shown no token.
        Check::ok("events are written to disk")
    };
    let views = stages.views.stats();
    let behind_ms = views.behind_ms;
    let drain = stages.drain.as_ref().map(Drain::stats);
    let behind = match &drain {
        Some(drain) => {
            let (events, ms) = (drain.lag_events, drain.lag_seconds * 1e3);
            format!("mongodb; {events} events, {ms:.0} ms behind")
        }
        None => format!("embedded; {} events, {behind_ms} ms behind", lag_events(stages)),
    };
    let shared = stages.mongo.as_ref().zip(drain.as_ref());
    let store = if let Some(check) = shared.and_then(|(mongo, drain)| shared_store(mongo, drain)) {
        check
    } else if views.store_fails {
        let detail = "the last commit failed and is tried again; the daemon's log says why";
        Check::degraded("store fails", detail)
    } else if behind_ms > BEHIND_MS {
        Check::degraded(format!("counting {} s behind", behind_ms / 1_000), behind)
    } else {
        Check::ok(behind)
    };
    let cluster = match &stages.cluster {
        None => Check::ok("one instance"),
        Some(cluster) => {
            let status = cluster.status();
            let trouble = || stages.claims.as_ref().and_then(Claimant::trouble);
            if status.is_ok { trouble().unwrap_or(status) } else { status }.into()
        }
    };
    let against_others = stages.cluster.as_ref().and_then(Cluster::clock_status);
    let clock = match (stages.clock.status(), against_others) {
        (ClockStatus::Ok, None) => Check::ok("wall and monotonic time agree"),
        (ClockStatus::Ok, Some(differs)) => differs.into(),
        (ClockStatus::Skewed { behind_ms }, _) => {
            let secs = behind_ms / 1_000;
            let detail =
                format!("skewed: the wall clock jumped back by {secs} s; monotonic time is kept");
            Check::degraded(format!("clock {secs} s off"), detail)
        }
    };
    let checks = Checks { journal, store, cluster, clock };
    let refuses = checks.journal.status == "failed";
    let mut ready = Readiness { status: "ready", checks, refuses };
    if ready.checks().iter().any(|(_, check)| check.status != "ok") {
        ready.status = "degraded";
    }
    ready
}

/// What to say of a journal that fills up while a store is away.
fn filling(waiting_bytes: u64, bytes_max: Option<u64>) -> Option<Check> {
    let bytes_max = bytes_max?;
    let percent = (waiting_bytes * 100).checked_div(bytes_max)?;
    (percent >= FILLING_PERCENT).then(|| {
        let detail = format!(
            "limits.spool_bytes: the journal is {percent} % full of events that wait for the store; \
             when it is full events are refused"
        );
        Check::degraded(format!("spool {percent} % full"), detail)
    })
}

/// A number of events as one reads it at a glance: `812`, `48 k`, `3 M`.
fn roughly(events: u64) -> String {
    match events {
        0..1_000 => events.to_string(),
        1_000..10_000 => format!("{:.1} k", events as f64 / 1e3),
        10_000..1_000_000 => format!("{} k", events / 1_000),
        1_000_000..10_000_000 => format!("{:.1} M", events as f64 / 1e6),
        _ => format!("{} M", events / 1_000_000),
    }
}

/// What is wrong with the shared store, if anything is.
fn shared_store(mongo: &Mongo, drain: &drain::Stats) -> Option<Check> {
    let waiting = drain.waiting();
    let away = |what: &str| match drain.lag_events {
        0 => what.to_owned(),
        events => format!("{what}, {} events wait", roughly(events)),
    };
    match mongo.state() {
        State::Ready(ready) => {
            if let Some((brief, problem)) = drain.problem() {
                return Some(Check::degraded(brief, problem));
            }
            let differs = ready.differs.first()?;
            Some(Check::degraded("MongoDB set up otherwise", differs.clone()))
        }
        State::Connecting => {
            let detail = format!("{}: not connected yet; {waiting}", mongo.settings().key);
            Some(Check::degraded("MongoDB not connected yet", detail))
        }
        State::Unreachable { reason, .. } => {
            Some(Check::degraded(away("MongoDB away"), format!("{reason}; {waiting}")))
        }
        State::Refused { reason } => {
            Some(Check::degraded(away("MongoDB unusable"), format!("{reason}; {waiting}")))
        }
    }
}

/// Acknowledged events that are not counted yet.
pub fn lag_events(stages: &Stages) -> u64 {
    (stages.journal.next_seq() - 1).saturating_sub(stages.views.applied_seq())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_says_that_it_fills_before_it_is_full() {
        assert!(filling(1 << 40, None).is_none(), "there is no limit");
        assert!(filling(49, Some(100)).is_none());
        assert!(filling(0, Some(0)).is_none());
        let check = filling(620, Some(1_000)).unwrap();
        assert_eq!((check.status, check.brief()), ("degraded", "spool 62 % full"));
        assert!(check.detail().starts_with("limits.spool_bytes: "));
    }

    #[test]
    fn what_waits_is_told_at_a_glance() {
        let told = [0, 999, 1_000, 48_210, 3_104_220].map(roughly);
        assert_eq!(told, ["0", "999", "1.0 k", "48 k", "3.1 M"]);
    }
}
