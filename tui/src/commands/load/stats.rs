//! What a load has brought about so far, shared by its senders, and the summary at the end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pulseboard::wire::server::Ack;
use serde::Serialize;

use super::histogram::Histogram;
use super::{Args, Rate, Via};
use crate::commands::say;

/// Counts behind a lock that is held for a few additions.
#[derive(Debug, Default)]
pub(super) struct Stats {
    counts: Mutex<Counts>,
}

/// Counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    pub(super) rejected: u64,
    /// Requests or frames that have a verdict.
    pub(super) requests: u64,
    /// Requests or frames sent again: no answer came, or the daemon asked for it.
    pub(super) repeats: u64,
    /// How often the daemon's rates put a request or a frame off.
    pub(super) limited: u64,
    /// Events sent that have no verdict, because the load ended or the daemon went away.
    pub(super) unanswered: u64,
    pub(super) acks: Histogram,
    /// Refused events by code, of those that answers list.
    codes: BTreeMap<String, u64>,
    /// The first refusal's sentence.
    first_refusal: Option<String>,
}

impl Stats {
    /// A verdict arrived.
    pub(super) fn answered(&self, verdict: &Ack, ack_time: Duration, repeats: u32) {
        let mut counts = self.lock();
        counts.accepted += verdict.accepted;
        counts.duplicates += verdict.duplicates;
        counts.rejected += verdict.rejected_total;
        counts.requests += 1;
        counts.repeats += u64::from(repeats);
        counts.acks.add(ack_time);
        for rejection in &verdict.rejected {
            *counts.codes.entry(rejection.code.clone()).or_default() += 1;
        }
        if let (None, Some(first)) = (&counts.first_refusal, verdict.rejected.first()) {
            counts.first_refusal = Some(first.message.clone());
        }
    }

    /// Something was sent again.
    pub(super) fn repeated(&self, requests: u64) {
        self.lock().repeats += requests;
    }

    /// The daemon's rates put something off.
    pub(super) fn limited(&self, times: u64) {
        self.lock().limited += times;
    }

    /// Events were given up on.
    pub(super) fn unanswered(&self, events: u64) {
        self.lock().unanswered += events;
    }

    /// The counts as they stand.
    pub(super) fn now(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a load, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    seconds: f64,
    via: &'static str,
    connections: u32,
    batch: u32,
    /// Events a second asked for; absent for as fast as possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    unanswered: u64,
    /// Accepted events a second.
    events_per_second: f64,
    requests: u64,
    repeats: u64,
    /// Requests or frames that the daemon's rates put off.
    rate_limited: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack_ms: Option<AckMs>,
    rejected_codes: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct AckMs {
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

impl Summary {
    /// Of a load that took so long.
    pub(super) fn new(args: &Args, batch: u32, counts: &Counts, took: Duration) -> Self {
        let seconds = took.as_secs_f64().max(0.001);
        let acks = &counts.acks;
        Self {
            seconds,
            via: args.via.name(),
            connections: args.connections,
            batch,
            rate: match args.rate {
                Rate::Max => None,
                Rate::PerSecond(rate) => Some(rate),
            },
            accepted: counts.accepted,
            duplicates: counts.duplicates,
            rejected: counts.rejected,
            unanswered: counts.unanswered,
            events_per_second: counts.accepted as f64 / seconds,
            requests: counts.requests,
            repeats: counts.repeats,
            rate_limited: counts.limited,
            ack_ms: acks.max_ms().and_then(|max| {
                Some(AckMs {
                    p50: acks.quantile_ms(0.5)?,
                    p95: acks.quantile_ms(0.95)?,
                    p99: acks.quantile_ms(0.99)?,
                    max,
                })
            }),
            rejected_codes: counts.codes.clone(),
        }
    }

    /// For people: what was done, how it was taken, what to do next.
    pub(super) fn sentences(&self, args: &Args, counts: &Counts) -> Vec<String> {
        let carrier = match args.via {
            Via::Rest => "connection",
            Via::Ws => "socket",
        };
        let mut lines = vec![format!(
            "{} accepted in {}: {} events/s over {}, {} a {}",
            say::counted(self.accepted, "event"),
            say::duration(Duration::from_secs_f64(self.seconds)),
            say::count(self.events_per_second.round() as u64),
            say::counted(u64::from(self.connections), carrier),
            say::counted(u64::from(self.batch), "event"),
            match args.via {
                Via::Rest => "request at most",
                Via::Ws => "frame at most",
            },
        )];
        let mut second = format!(
            "{}, {} rejected",
            say::counted(self.duplicates, "duplicate"),
            say::count(self.rejected)
        );
        if let Some(ack) = &self.ack_ms {
            let [p50, p95, p99, max] = [ack.p50, ack.p95, ack.p99, ack.max].map(say::millis);
            second =
                format!("acknowledgement p50 {p50}, p95 {p95}, p99 {p99}, max {max}; {second}");
        }
        lines.push(second);
        for (code, count) in &self.rejected_codes {
            lines.push(format!("  {} {code}", say::count(*count)));
        }
        if let Some(first) = &counts.first_refusal {
            lines.push(format!("  the first: {first}"));
        }
        if self.repeats > 0 {
            lines.push(format!("{} sent again, none counts twice", say::count(self.repeats)));
        }
        if self.rate_limited > 0 {
            let times = say::counted(self.rate_limited, "time");
            lines.push(format!(
                "the daemon's rates put it off {times}; a token with a higher --rate goes faster"
            ));
        }
        if self.unanswered > 0 {
            lines.push(format!("{} never had an answer", say::counted(self.unanswered, "event")));
        }
        if let (Some(rate), false) = (self.rate, args.story)
            && self.events_per_second < rate * 0.95
            && self.seconds > 1.0
            && self.rate_limited == 0
        {
            lines.push(format!(
                "that is less than the {} events/s asked for: more --connections or a larger \
                 --batch may help",
                say::count(rate as u64)
            ));
        }
        lines
    }
}
