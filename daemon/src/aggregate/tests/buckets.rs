//! Buckets for the shared store: absolute, of what changed, wherever the counts are by then.

use std::collections::BTreeMap;

use pulseboard::event::Class;
use pulseboard::rollup::minute_of;

use super::harness::{Aggregator, Event, START};
use crate::store::drain::{Counts as _, start_of};

/// What a reader of buckets has: of each the newest it was given.
#[derive(Default)]
struct Written(BTreeMap<(u32, i64), u64>);

impl Written {
    /// Writes what changed, as the drain does.
    fn catch_up(&mut self, aggregator: &Aggregator) {
        let views = &aggregator.views;
        let changed = views.take_changes();
        let mut wanted: Vec<(u32, i64)> = Vec::new();
        for secs in [1, 5] {
            wanted.extend(changed.ticks.iter().map(|tick| (secs, start_of(secs, *tick))));
        }
        wanted.extend(changed.minutes.iter().map(|minute| (60, minute * 60)));
        wanted.sort_unstable();
        wanted.dedup();
        while !wanted.is_empty() {
            let some = views.buckets(&wanted).unwrap();
            wanted.drain(..some.len());
            for bucket in some {
                assert_eq!(bucket.revision, views.applied_seq());
                self.0.insert((bucket.secs, bucket.start), bucket.summary.totals.events);
            }
        }
        views.changes_written();
    }

    fn sum(&self, secs: u32) -> u64 {
        self.0.iter().filter(|((of, _), _)| *of == secs).map(|(_, events)| events).sum()
    }
}

#[test]
fn buckets_add_up_to_what_was_counted_whatever_is_final_or_on_disk_by_then() {
    let mut aggregator = Aggregator::fresh();
    aggregator.views.follow_changes();
    let mut written = Written::default();
    let (mut live, mut aside) = (0, 0);
    for round in 0..200_i64 {
        let now_ms = aggregator.now_ms();
        let mut events = vec![Event::at(now_ms), Event::at(now_ms - 3_000 * (round % 20))];
        live += 2;
        if round % 7 == 0 {
            let late = Event { class: Class::Late, ..Event::at(now_ms) };
            events.push(Event { at_ms: now_ms - 100_000 - round * 1_000, ..late });
            let import = Event { class: Class::Import, ..Event::at(now_ms) };
            events.push(Event { at_ms: now_ms - round * 10_000_000, ..import });
            aside += 2;
        }
        aggregator.send(&events);
        aggregator.run_ticks(1 + usize::from(round % 50 == 0) * 70);
        if round % 3 == 0 {
            written.catch_up(&aggregator);
        }
        if round % 11 == 0 {
            aggregator.settle();
        }
    }
    written.catch_up(&aggregator);
    assert_eq!((written.sum(1), written.sum(5), written.sum(60)), (live, live, live + aside));
    // Nothing is left, and what is looked at again later is the same.
    let changed = aggregator.views.take_changes();
    assert!(changed.minutes.is_empty() && changed.ticks.is_empty(), "{changed:?}");
    aggregator.run_ticks(200);
    aggregator.settle();
    for ((secs, start), events) in &written.0 {
        if *secs == 60 || *start >= aggregator.views.oldest_tick() {
            let again = aggregator.views.buckets(&[(*secs, *start)]).unwrap();
            assert_eq!(again[0].summary.totals.events, *events, "{secs} s from {start}");
        }
    }
}

#[test]
fn what_is_not_written_yet_is_known_until_it_is() {
    let mut aggregator = Aggregator::fresh();
    aggregator.views.follow_changes();
    aggregator.send(&[Event::at(START * 1_000 + 10), Event::at(START * 1_000 + 20)]);
    aggregator.run_ticks(3);
    let unwritten = |secs, range| {
        let found = aggregator.views.unwritten(secs, range).unwrap();
        found.iter().map(|b| (b.start, b.summary.totals.events)).collect::<Vec<_>>()
    };
    let minute = minute_of(START) * 60;
    assert_eq!(unwritten(1, (START - 10, START + 10)), [(START, 2)]);
    assert_eq!(unwritten(60, (minute, minute + 60)), [(minute, 2)]);
    assert_eq!(unwritten(60, (minute + 60, minute + 600)), []);
    // Taken, and not written: a failure keeps it.
    assert_eq!(aggregator.views.take_changes().ticks, [START]);
    assert_eq!(unwritten(5, (START - 10, START + 10)), [(START, 2)]);
    assert_eq!(aggregator.views.take_changes().ticks, [START]);
    aggregator.views.changes_written();
    assert_eq!(unwritten(1, (START - 10, START + 10)), []);
}
