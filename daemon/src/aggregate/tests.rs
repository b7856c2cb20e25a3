//! The aggregator as a whole, driven step by step on a clock that stands: against a model that
//! keeps every event, over restarts, and at the edges.

mod buckets;
mod bus;
mod harness;
mod joined;
mod model;
mod restarts;
mod views;

use std::time::Duration;

use harness::{Aggregator, Event, START};
use pulseboard::event::Class;
use pulseboard::window::RouteSort;

use super::{AtError, RangeError, ViewsError};

#[test]
fn a_frame_leaves_a_quarter_second_after_its_tick_and_counts_what_came_by_then() {
    let mut it = Aggregator::fresh();
    it.send(&[Event::at(START * 1_000 + 100)]);
    it.run_to(START * 1_000 + 1_249);
    assert!(it.frames().is_empty());
    it.send(&[Event::at(START * 1_000 + 900)]);
    it.run_to(START * 1_000 + 1_250);
    let frames = it.frames();
    assert_eq!((frames.len(), frames[0].tick), (1, START));
    let counts = frames[0].windows.iter().map(|w| (w.window.to_string(), w.aggregate.events));
    let want = [("1s", 2), ("5s", 2), ("60s", 2)].map(|(name, events)| (name.to_owned(), events));
    assert_eq!(counts.collect::<Vec<_>>(), want);
    assert_eq!(frames[0].windows[1].aggregate.events_per_second, 0.4);
    assert_eq!(frames[0].windows[1].aggregate.from, (START - 4) * 1_000);
}

#[test]
fn a_late_event_corrects_every_window_it_is_in_and_history_follows() {
    let mut it = Aggregator::fresh();
    it.run_ticks(10);
    let now_ms = it.now_ms();
    let tick = START + 3;
    it.send(&[Event { at_ms: tick * 1_000 + 5, ..Event::at(now_ms) }]);
    it.run_ticks(1);
    let frames = it.frames();
    let frame = frames.last().unwrap();
    let corrected = |index: usize| {
        let history = frame.windows[index].corrections.as_ref().unwrap();
        assert!(history.events.iter().all(|events| *events == Some(1)));
        history.tick.clone()
    };
    assert_eq!(corrected(0), [tick]);
    assert_eq!(corrected(1), (tick..tick + 5).collect::<Vec<_>>());
    assert_eq!(corrected(2), (tick..frame.tick).collect::<Vec<_>>());
    let resumed = it.views.history("5s", Some(frame.tick - 1)).unwrap();
    assert_eq!(resumed.corrections.unwrap().tick, (tick..tick + 5).collect::<Vec<_>>());
    assert_eq!(it.views.history("5s", Some(frame.tick)).unwrap().corrections, None);
}

#[test]
fn an_event_over_a_minute_late_counts_in_its_minute_and_as_late_where_it_arrived() {
    let mut it = Aggregator::fresh();
    it.run_ticks(3);
    let now_ms = it.now_ms();
    let hours_ago = now_ms - 3 * 3_600_000;
    it.send(&[
        Event { at_ms: hours_ago, class: Class::Late, ..Event::at(now_ms) },
        Event { at_ms: hours_ago + 86_400, class: Class::Import, ..Event::at(now_ms) },
    ]);
    it.run_ticks(2);
    let latest = it.views.latest();
    let aggregate = &latest.windows[1].aggregate;
    assert_eq!((aggregate.events, aggregate.late), (0, 1));
    let history = it.views.range_history(hours_ago, hours_ago + 120_000, Some(60)).unwrap().history;
    let events = history.events.iter().flatten().sum::<u64>();
    assert_eq!(events, 2);
}

#[test]
fn an_event_ahead_of_the_clock_counts_where_it_arrived_and_as_skewed() {
    let mut it = Aggregator::fresh();
    let now_ms = it.now_ms();
    it.send(&[Event { at_ms: now_ms + 120_000, ..Event::at(now_ms) }]);
    it.run_ticks(2);
    let aggregate = it.views.at("1s", now_ms / 1_000).unwrap();
    assert_eq!((aggregate.events, aggregate.skewed), (1, 1));
    assert_eq!(aggregate.last_event_at, Some(now_ms));
}

#[test]
fn ticks_nobody_was_up_for_are_gaps_until_an_event_makes_them_real() {
    let mut it = Aggregator::fresh();
    it.run_ticks(5);
    it.jump_secs(40);
    it.run_ticks(1);
    let head = it.views.latest().tick;
    let gap = head - 10;
    assert_eq!(it.views.at("5s", gap), Err(AtError::Gap { tick: gap }));
    let events = |it: &Aggregator| {
        let history = it.views.history("5s", Some(gap - 1)).unwrap().history;
        (history.tick[0], history.events[0])
    };
    assert_eq!(events(&it), (gap, None));
    let now_ms = it.now_ms();
    it.send(&[Event { at_ms: gap * 1_000, ..Event::at(now_ms) }]);
    it.run_ticks(1);
    assert_eq!(events(&it), (gap, Some(1)));
    assert_eq!(it.views.at("5s", gap).unwrap().events, 1);
}

#[test]
fn behind_ms_is_the_age_of_the_oldest_event_that_is_not_counted() {
    let mut it = Aggregator::fresh();
    it.run_ticks(3);
    let now_ms = it.now_ms();
    it.send(&[Event::at(now_ms)]);
    it.clock.set_ms(now_ms + 3_000);
    it.step();
    let frames = it.frames();
    assert_eq!(frames.last().unwrap().windows[0].aggregate.behind_ms, 3_000);
    it.run_ticks(1);
    assert_eq!(it.frames().last().unwrap().windows[0].aggregate.behind_ms, 0);
}

#[test]
fn questions_without_an_answer_say_why() {
    let mut it = Aggregator::fresh();
    it.run_ticks(2);
    let head = it.views.latest().tick;
    let (tick, oldest) = (head - 90_000, head - 86_400);
    assert_eq!(it.views.at("7s", head), Err(AtError::UnknownWindow));
    assert_eq!(it.views.at("5s", head + 1), Err(AtError::Ahead { tick: head + 1, newest: head }));
    assert_eq!(it.views.at("5s", tick), Err(AtError::TooOld { tick, oldest }));
    let ask = |from, to, step| it.views.range_history(from * 1_000, to * 1_000, step).map(drop);
    assert_eq!(ask(head, head, None), Err(RangeError::Empty));
    assert!(matches!(ask(head - 8_000, head, Some(10)), Err(RangeError::TooFine { .. })));
    assert!(it.views.history("7s", None).is_none());
    assert!(it.views.window_routes("7s", RouteSort::Events, 5).is_err());
    assert_eq!(it.views.wait_applied(1, Duration::ZERO), Err(ViewsError::TimedOut));
}

#[test]
fn what_is_counted_can_be_read_at_once() {
    let mut it = Aggregator::fresh();
    it.run_ticks(2);
    let now_ms = it.now_ms();
    let seq = it.send(&[Event::at(now_ms), Event { route: 3, ..Event::at(now_ms) }]);
    it.step();
    it.views.wait_applied(seq, Duration::ZERO).unwrap();
    let (from, to) = (now_ms - 1_000, now_ms + 1_000);
    let routes = it.views.range_routes(from, to, RouteSort::Events, 1).unwrap();
    assert_eq!((routes.routes.len(), routes.other_routes.events), (1, 1));
    let history = it.views.range_history(from, to, Some(60)).unwrap().history;
    assert_eq!(history.events.iter().flatten().sum::<u64>(), 2);
    let history = it.views.range_history(from, to, Some(1)).unwrap().history;
    assert_eq!(history.events.iter().flatten().sum::<u64>(), 2);
}
