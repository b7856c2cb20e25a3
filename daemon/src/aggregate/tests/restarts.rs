//! Restarts: in order or not, the numbers are those of one that never stopped.

use proptest::prelude::*;
use pulseboard::window::RouteSort;

use std::fmt::Write as _;

use super::harness::{Aggregator, Event, START};
use super::model::{Happening, events_of, happenings};

/// All numbers there are, as text, of the ticks since the start.
fn numbers(it: &Aggregator) -> String {
    let head = it.views.latest().tick;
    let mut text = String::new();
    for window in ["1s", "5s", "60s"] {
        let history = it.views.history(window, Some(START - 1)).unwrap().history;
        writeln!(text, "{window} {history:?}").unwrap();
        for tick in START..=head {
            let mut at = it.views.at(window, tick);
            if let Ok(at) = &mut at {
                at.behind_ms = 0;
            }
            writeln!(text, "{at:?}").unwrap();
        }
        let routes = it.views.window_routes(window, RouteSort::P95, 5).unwrap();
        writeln!(text, "{routes:?}").unwrap();
    }
    let (from, to) = ((START - 5_000) * 1_000, (head + 60) * 1_000);
    for step in [60, 3_600] {
        writeln!(text, "{:?}", it.views.range_history(from, to, Some(step)).unwrap()).unwrap();
    }
    let (from, to) = (START * 1_000, (head + 1) * 1_000);
    writeln!(text, "{:?}", it.views.range_history(from, to, Some(10)).unwrap()).unwrap();
    writeln!(text, "{:?}", it.views.range_routes(from, to, RouteSort::Events, 5).unwrap()).unwrap();
    text
}

fn happen(it: &mut Aggregator, happening: &Happening, events: &[Event]) {
    if !events.is_empty() {
        it.send(events);
    }
    if let Happening::Ticks(ticks) = happening {
        it.run_ticks(*ticks);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn killed_anywhere_it_comes_back_with_the_same_numbers(
        before in happenings(40),
        uncommitted in happenings(3),
        after in happenings(20),
    ) {
        let mut it = Aggregator::fresh();
        it.send(&[Event::at(START * 1_000)]);
        it.run_ticks(1);
        for happening in &before {
            let events = events_of(happening, it.now_ms());
            happen(&mut it, happening, &events);
        }
        it.run_ticks(1);
        it.settle();
        // What is counted after the last commit is counted again.
        for happening in uncommitted.iter().filter(|h| !matches!(h, Happening::Ticks(_))) {
            it.send(&events_of(happening, it.now_ms()));
        }
        while it.step() {}
        let mut back = Aggregator::open(it.copy_files(), it.log.clone(), it.now_ms());
        prop_assert!(back.views.applied_seq() < it.log.next_seq());
        while back.step() {}
        prop_assert_eq!(back.views.applied_seq(), it.log.next_seq() - 1);
        for happening in &after {
            let events = events_of(happening, it.now_ms());
            if !events.is_empty() {
                it.send(&events);
            }
            if let Happening::Ticks(ticks) = happening {
                it.run_ticks(*ticks);
                back.run_ticks(*ticks);
            }
        }
        it.run_ticks(2);
        back.run_ticks(2);
        prop_assert_eq!(numbers(&back), numbers(&it));
    }
}

#[test]
fn an_orderly_restart_keeps_everything_and_leaves_a_gap_for_the_time_between() {
    let mut it = Aggregator::fresh();
    for _ in 0..130 {
        let now_ms = it.now_ms();
        it.send(&[Event::at(now_ms), Event { route: 9, user: 2, ..Event::at(now_ms) }]);
        it.run_ticks(1);
    }
    let (before, history) = (it.views.latest(), it.views.history("5s", None).unwrap().history);
    let mut it = it.restart(3_000);
    let after = it.views.history("5s", None).unwrap().history;
    let shift = (it.views.latest().tick - before.tick) as usize;
    assert_eq!(after.events[300 - shift..], vec![None; shift]);
    assert_eq!(after.events[..300 - shift], history.events[shift..]);
    assert_eq!(it.views.at("60s", before.tick).unwrap(), *before.windows[2].aggregate);
    it.run_ticks(1);
    let resumed = it.views.history("60s", Some(before.tick)).unwrap();
    assert_eq!(resumed.history.events.last().unwrap(), &Some(2 * (60 - 4)));
}

#[test]
fn a_lost_store_is_made_again_from_the_journal() {
    let mut it = Aggregator::fresh();
    for tick in 0..400 {
        let now_ms = it.now_ms();
        let late_ms = if tick % 5 == 0 { 7_000 } else { 0 };
        it.send(&[Event { at_ms: now_ms - late_ms, ..Event::at(now_ms) }]);
        it.run_ticks(1);
    }
    it.settle();
    let empty = tempfile::TempDir::new().unwrap();
    let mut again = Aggregator::open(empty, it.log.clone(), it.now_ms());
    while again.step() {}
    again.run_ticks(1);
    it.run_ticks(1);
    let head = it.views.latest().tick;
    let history = |it: &Aggregator| it.views.history("60s", Some(START + 5)).unwrap().history;
    let (want, got) = (history(&it), history(&again));
    assert_eq!(want.tick, got.tick);
    let known = got.events.iter().zip(&want.events).filter(|(got, _)| got.is_some());
    assert_eq!(known.clone().filter(|(got, want)| got != want).count(), 0);
    assert!(known.count() >= 310, "four of five ticks have events, and these are known again");
    let range = |it: &Aggregator| {
        it.views.range_history((START - 60) * 1_000, head * 1_000, Some(60)).unwrap().history.events
    };
    assert_eq!(range(&it), range(&again));
}

#[test]
fn a_clock_that_went_back_far_starts_at_the_present_and_loses_no_minute() {
    let mut it = Aggregator::fresh();
    for _ in 0..100 {
        it.send(&[Event::at(it.now_ms())]);
        it.run_ticks(1);
    }
    let mut it = it.restart(-3_600_000);
    let now_ms = it.now_ms();
    it.send(&[Event::at(now_ms)]);
    it.run_ticks(2);
    assert_eq!(it.views.latest().windows[1].aggregate.events, 1);
    let (from, to) = ((START - 7_200) * 1_000, (START + 3_600) * 1_000);
    let history = it.views.range_history(from, to, Some(3_600)).unwrap().history;
    assert_eq!(history.events.iter().flatten().sum::<u64>(), 101);
}
