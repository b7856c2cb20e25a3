//! What this instance counted and is telling: the ticks of the last minutes, each as it is now.
//!
//! Held so that all of it can be told again to a Redis that lost it. A tick's newer count takes the
//! place of the older. Bounds: [`KEPT_SECS`] of each view and [`BYTES_MAX`] of summaries in all; past
//! it the oldest go, and are not told again. Does no I/O; the exchange takes what is to be sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulseboard::tick::TickSummary;

use crate::aggregate::Counted;

/// How long a tick can be told again: the five minutes that are joined, and the longest window with
/// some slack, which a view wants before them.
pub(super) const KEPT_SECS: i64 = 400;
/// Summaries as bytes.
const BYTES_MAX: usize = 64 << 20;
/// A summary as bytes; past it the routes with the fewest events go to the other routes.
pub(super) const SUMMARY_BYTES_MAX: usize = 2 << 20;
/// Ticks that wait to be encoded. Past it the oldest are left out.
const UNENCODED_MAX: usize = 2_000;

/// One tick of one view.
struct Entry {
    revision: u64,
    summary: Summary,
    is_sent: bool,
}

enum Summary {
    Counted(Arc<TickSummary>),
    Encoded(Arc<[u8]>),
}

/// A tick to be sent.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) view: Arc<str>,
    pub(super) tick: i64,
    pub(super) revision: u64,
    pub(super) summary: Arc<[u8]>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    views: BTreeMap<Arc<str>, BTreeMap<i64, Entry>>,
    bytes: usize,
    unencoded: usize,
    /// Ticks that were let go before they were sent.
    pub(super) dropped: u64,
}

impl Outbox {
    /// Takes in what was counted.
    pub(super) fn put(&mut self, view: &Arc<str>, counted: Vec<Counted>) {
        for Counted { tick, revision, summary } in counted {
            let entry = Entry { revision, summary: Summary::Counted(summary), is_sent: false };
            self.unencoded += 1;
            let ticks = self.views.entry(Arc::clone(view)).or_default();
            if let Some(before) = ticks.insert(tick, entry) {
                self.let_go(&before, true);
            }
        }
        self.bound();
    }

    /// What waits to be encoded.
    pub(super) fn unencoded(&self) -> Vec<(Arc<str>, Counted)> {
        let mut found = Vec::new();
        for (view, ticks) in &self.views {
            for (tick, entry) in ticks {
                if let Summary::Counted(summary) = &entry.summary {
                    let (tick, revision, summary) = (*tick, entry.revision, Arc::clone(summary));
                    found.push((Arc::clone(view), Counted { tick, revision, summary }));
                }
            }
        }
        found
    }

    /// Puts bytes in the place of what they encode, unless that has changed meanwhile.
    pub(super) fn encoded(&mut self, view: &str, tick: i64, revision: u64, bytes: Arc<[u8]>) {
        let entry = self.views.get_mut(view).and_then(|ticks| ticks.get_mut(&tick));
        let Some(entry) = entry.filter(|entry| entry.revision == revision) else { return };
        if matches!(entry.summary, Summary::Counted(_)) {
            self.unencoded -= 1;
            self.bytes += bytes.len();
            entry.summary = Summary::Encoded(bytes);
        }
        self.bound();
    }

    /// What is to be sent next, newest ticks first: at most `count`, and about `bytes_max`.
    pub(super) fn unsent(&self, count: usize, bytes_max: usize) -> Vec<Outgoing> {
        let mut found = Vec::new();
        for (view, ticks) in &self.views {
            for (tick, entry) in ticks.iter().filter(|(_, entry)| !entry.is_sent) {
                if let Summary::Encoded(bytes) = &entry.summary {
                    found.push(Outgoing {
                        view: Arc::clone(view),
                        tick: *tick,
                        revision: entry.revision,
                        summary: Arc::clone(bytes),
                    });
                }
            }
        }
        found.sort_unstable_by_key(|outgoing| std::cmp::Reverse(outgoing.tick));
        let mut bytes = 0;
        let mut fits = |outgoing: &Outgoing| {
            let is_first = bytes == 0;
            bytes += outgoing.summary.len();
            is_first || bytes <= bytes_max
        };
        let end = found.iter().take(count).take_while(|outgoing| fits(outgoing)).count();
        found.truncate(end);
        found
    }

    /// It was sent.
    pub(super) fn sent(&mut self, outgoing: &Outgoing) {
        let ticks = self.views.get_mut(&outgoing.view);
        if let Some(entry) = ticks.and_then(|ticks| ticks.get_mut(&outgoing.tick))
            && entry.revision == outgoing.revision
        {
            entry.is_sent = true;
        }
    }

    /// Redis may have lost everything: all of it is to be sent again.
    pub(super) fn send_again(&mut self) {
        let entries = self.views.values_mut().flat_map(BTreeMap::values_mut);
        entries.for_each(|entry| entry.is_sent = false);
    }

    fn let_go(&mut self, entry: &Entry, is_replaced: bool) {
        match &entry.summary {
            Summary::Counted(_) => self.unencoded -= 1,
            Summary::Encoded(bytes) => self.bytes -= bytes.len(),
        }
        if !entry.is_sent && !is_replaced {
            self.dropped += 1;
        }
    }

    fn bound(&mut self) {
        let newest = self.views.values().filter_map(|ticks| ticks.keys().next_back()).max();
        let Some(newest) = newest.copied() else { return };
        while let Some((view, tick)) = self.oldest() {
            let is_full = self.bytes > BYTES_MAX || self.unencoded > UNENCODED_MAX;
            if tick > newest - KEPT_SECS && !is_full {
                return;
            }
            let ticks = self.views.get_mut(&view);
            let gone = ticks.and_then(|ticks| ticks.remove(&tick));
            if let Some(gone) = gone {
                self.let_go(&gone, false);
            }
            self.views.retain(|_, ticks| !ticks.is_empty());
        }
    }

    fn oldest(&self) -> Option<(Arc<str>, i64)> {
        let first = |(view, ticks): (&Arc<str>, &BTreeMap<i64, Entry>)| {
            ticks.keys().next().map(|tick| (*tick, Arc::clone(view)))
        };
        self.views.iter().filter_map(first).min().map(|(tick, view)| (view, tick))
    }
}

/// A summary as bytes that fit a message.
pub(super) fn encode(summary: &TickSummary) -> Vec<u8> {
    let bytes = summary.encode();
    if bytes.len() <= SUMMARY_BYTES_MAX {
        return bytes;
    }
    // What a row takes differs by its name: a few tries come close.
    let mut rows = summary.routes.rows().len();
    let mut size = bytes.len();
    loop {
        rows = (rows * SUMMARY_BYTES_MAX / size) * 9 / 10;
        let routes = summary.routes.bounded(rows);
        let bytes = TickSummary { totals: summary.totals.clone(), routes }.encode();
        if bytes.len() <= SUMMARY_BYTES_MAX || rows == 0 {
            return bytes;
        }
        size = bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulseboard::tick::{Names, Sample, name_hash};

    fn view() -> Arc<str> {
        "".into()
    }

    fn counted(tick: i64, revision: u64) -> Counted {
        Counted { tick, revision, summary: Arc::default() }
    }

    fn encode_all(outbox: &mut Outbox) {
        for (view, Counted { tick, revision, summary }) in outbox.unencoded() {
            outbox.encoded(&view, tick, revision, encode(&summary).into());
        }
    }

    #[test]
    fn a_newer_count_takes_the_place_of_what_is_under_way() {
        let mut outbox = Outbox::default();
        outbox.put(&view(), vec![counted(10, 1)]);
        encode_all(&mut outbox);
        let under_way = outbox.unsent(10, 1 << 20);
        outbox.put(&view(), vec![counted(10, 2)]);
        outbox.sent(&under_way[0]);
        encode_all(&mut outbox);
        let next = outbox.unsent(10, 1 << 20);
        assert_eq!((next.len(), next[0].revision), (1, 2));
        outbox.sent(&next[0]);
        assert!(outbox.unsent(10, 1 << 20).is_empty());
        outbox.send_again();
        assert_eq!(outbox.unsent(10, 1 << 20).len(), 1);
        assert_eq!(outbox.dropped, 0);
    }

    #[test]
    fn the_last_minutes_are_kept_and_what_was_never_sent_is_counted() {
        let mut outbox = Outbox::default();
        outbox.put(&view(), (0..1_000).map(|tick| counted(tick, 1)).collect());
        encode_all(&mut outbox);
        let all = outbox.unsent(10_000, 1 << 30);
        assert_eq!(all.len() as i64, KEPT_SECS);
        assert_eq!((all[0].tick, outbox.dropped), (999, 600), "the newest first");
        assert_eq!(outbox.unsent(7, 1 << 30).len(), 7);
        assert_eq!(outbox.unsent(7, 1).len(), 1);
    }

    #[test]
    fn a_summary_past_the_bound_keeps_its_busiest_routes_and_every_event() {
        let mut names = Names::default();
        let mut summary = TickSummary::default();
        for number in 0..12_000_u64 {
            // Names of which nothing repeats, so that they do not shrink.
            let mut noise = number;
            let mut route = String::from("/");
            for _ in 0..24 {
                noise =
                    noise.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
                route = format!("{route}{:016x}", noise ^ (noise >> 29));
            }
            let sample = Sample {
                route: &route,
                route_hash: name_hash(&route),
                kind: "page_view",
                kind_hash: name_hash("page_view"),
                is_error: false,
                class: None,
                latency: None,
                actor: None,
                session: None,
                at_ms: 0,
                is_skewed: false,
            };
            for _ in 0..=u64::from(number < 10) {
                summary.add(&sample, &mut names, 20_000);
            }
        }
        assert!(summary.encode().len() > SUMMARY_BYTES_MAX);
        let bytes = encode(&summary);
        assert!(bytes.len() <= SUMMARY_BYTES_MAX && bytes.len() > SUMMARY_BYTES_MAX / 2);
        let read = TickSummary::decode(&bytes, &mut names).unwrap();
        let told: u64 = read.routes.rows().iter().map(|row| row.events).sum();
        assert_eq!(told + read.routes.other_events, 12_010);
        assert_eq!(read.routes.rows().iter().filter(|row| row.events == 2).count(), 10);
    }
}
