//! Filtered views: tick for tick what an aggregator of its own counts that is given the events the
//! filter lets through, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use pulseboard::event::Class;
use pulseboard::filter::Filter;
use pulseboard::route::Normaliser;
use pulseboard::window::RouteSort;
use pulseboard::wire::server::History;

use super::harness::{Aggregator, Event, START, batch};
use super::model::{Happening, events_of, happenings};
use crate::aggregate::{AtError, OpenError, ScanError, ViewsError};

const WINDOWS: [&str; 3] = ["1s", "5s", "60s"];

fn filter(text: &str) -> Filter {
    Filter::parse(text, &Normaliser::new::<&str>(false, &[]).unwrap()).unwrap()
}

fn through(filter: &Filter, events: &[Event]) -> Vec<Event> {
    let batch = batch(events);
    let let_through = batch.iter().zip(events).filter(|(event, _)| filter.matches(event));
    let_through.map(|(_, event)| *event).collect()
}

/// Numbers alone: a bucket that only others had events for is a zero in one and null in the other.
fn numbers(history: &History) -> Vec<(i64, u64, u64, u64, Option<f64>)> {
    let row = |nth: usize| {
        let number = |column: &[Option<u64>]| column[nth].unwrap_or(0);
        let (users, errors) = (number(&history.active_users), number(&history.errors));
        (history.tick[nth], number(&history.events), users, errors, history.p95[nth])
    };
    (0..history.tick.len()).map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_view_equals_an_aggregator_that_is_given_its_events_alone(
        before in happenings(20),
        after in happenings(20),
        expression in prop_oneof![
            Just("route=/r/3"), Just("status=5xx"), Just("userId=u7"), Just("route=/r/1*"),
            Just("error=false type=view"), Just("route=/nowhere"),
        ],
    ) {
        let filter = filter(expression);
        let (mut all, mut alone) = (Aggregator::fresh(), Aggregator::fresh());
        // Somebody was up for every tick an event may count in: others' events make none real.
        all.run_ticks(61);
        alone.run_ticks(61);
        let happen = |all: &mut Aggregator, alone: &mut Aggregator, happening: &Happening| {
            let events = events_of(happening, all.now_ms());
            if !events.is_empty() {
                all.send(&events);
                alone.send(&through(&filter, &events));
            }
            if let Happening::Ticks(ticks) = happening {
                all.run_ticks(*ticks);
                alone.run_ticks(*ticks);
            }
        };
        for happening in &before {
            happen(&mut all, &mut alone, happening);
        }
        all.run_ticks(1);
        alone.run_ticks(1);
        let watch = all.views.watch(filter.clone()).unwrap();
        prop_assert!(watch.latest().is_none());
        all.step_views();
        watch.wait_filled(Duration::ZERO).unwrap();
        let (first, want) = (watch.latest().unwrap(), alone.views.latest());
        prop_assert_eq!(first.tick, want.tick);
        for (got, want) in first.windows.iter().zip(&want.windows) {
            prop_assert_eq!(&got.aggregate, &want.aggregate);
        }
        drop((all.view_frames(watch.key()), alone.frames()));
        for happening in &after {
            happen(&mut all, &mut alone, happening);
        }
        all.run_ticks(2);
        alone.run_ticks(2);
        let (got, want) = (all.view_frames(watch.key()), alone.frames());
        prop_assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(&want) {
            prop_assert_eq!(got.tick, want.tick);
            for (got, want) in got.windows.iter().zip(&want.windows) {
                prop_assert_eq!(&got.aggregate, &want.aggregate);
                prop_assert_eq!(&got.corrections, &want.corrections);
            }
        }
        // History, whole and since a tick; rewinds, kept and recomputed; ranges and routes.
        let head = alone.views.latest().tick;
        let asked = all.views.through(&filter);
        for window in WINDOWS {
            let got = watch.history_until(window, Some(START - 100), head).unwrap();
            let want = alone.views.history(window, Some(START - 100)).unwrap();
            prop_assert_eq!(&got.history, &want.history);
            let since = head - 40;
            let got = watch.history_until(window, Some(since), head).unwrap();
            let want = alone.views.history(window, Some(since)).unwrap();
            prop_assert_eq!(&got.history, &want.history);
            let told = got.corrections.map(|history| numbers(&history)).unwrap_or_default();
            let changed = want.corrections.map(|history| numbers(&history)).unwrap_or_default();
            prop_assert!(changed.iter().all(|column| told.contains(column)));
            for tick in START..=head {
                let (got, want) = (asked.at(window, tick), alone.views.at(window, tick));
                prop_assert_eq!(got.unwrap(), want.unwrap(), "{} at {}", window, tick);
            }
            let got = asked.window_routes(window, RouteSort::P95, 5).unwrap();
            let want = alone.views.window_routes(window, RouteSort::P95, 5).unwrap();
            prop_assert_eq!(got, want);
        }
        for (from, step) in [(START - 5_000, 60), (START - 5_000, 3_600), (head - 600, 10)] {
            let (from, to) = (from * 1_000, (head + 60) * 1_000);
            let got = asked.range_history(from, to, Some(step)).unwrap();
            let want = alone.views.range_history(from, to, Some(step)).unwrap();
            prop_assert_eq!(numbers(&got.history), numbers(&want.history), "{} s", step);
            let got = asked.range_routes(from, to, RouteSort::Events, 7).unwrap();
            let want = alone.views.range_routes(from, to, RouteSort::Events, 7).unwrap();
            prop_assert_eq!(got, want);
        }
    }
}

#[test]
fn a_view_is_shared_lingers_for_a_minute_and_is_dropped() {
    let mut it = Aggregator::fresh();
    it.run_ticks(2);
    let one = it.views.watch(filter("status=5xx route=/r/1")).unwrap();
    let other = it.views.watch(filter("route=/r/1  status=5xx")).unwrap();
    assert_eq!(it.views.stats().views, 1, "one filter, however it is written");
    it.step_views();
    assert!(other.latest().is_some());
    drop((one, other));
    it.run_ticks(59);
    assert_eq!(it.views.stats().views, 1);
    let back = it.views.watch(filter("route=/r/1 status=5xx")).unwrap();
    assert_eq!(back.latest().unwrap().tick, it.views.latest().tick, "it went on meanwhile");
    it.run_ticks(70);
    assert_eq!(it.views.stats().views, 1, "somebody watches");
    drop(back);
    it.run_ticks(62);
    assert_eq!(it.views.stats().views, 0);
}

#[test]
fn past_the_limit_a_view_nobody_watches_makes_room_and_else_it_is_refused() {
    let mut it = Aggregator::fresh();
    it.run_ticks(2);
    let open = |it: &Aggregator, user: u32| it.views.watch(filter(&format!("userId=u{user}")));
    let kept: Vec<_> = (0..3).map(|user| open(&it, user).unwrap()).collect();
    assert_eq!(open(&it, 3).err(), Some(OpenError::TooMany { views: 3 }));
    assert!(open(&it, 2).is_ok(), "those that are open can be watched by more");
    it.step_views();
    drop(kept);
    it.run_ticks(1);
    let fourth = open(&it, 3).unwrap();
    assert_eq!(it.views.stats().views, 3);
    assert_eq!(fourth.wait_filled(Duration::ZERO), Err(ViewsError::TimedOut));
    it.step_views();
    assert_eq!(fourth.latest().unwrap().tick, it.views.latest().tick);
}

#[test]
fn a_view_knows_the_gaps_and_takes_part_in_the_next() {
    let mut it = Aggregator::fresh();
    it.run_ticks(5);
    it.jump_secs(40);
    it.run_ticks(5);
    let watch = it.views.watch(filter("route=/r/1")).unwrap();
    it.step_views();
    it.jump_secs(40);
    it.run_ticks(3);
    let head = it.views.latest().tick;
    let main = it.views.history("5s", Some(START - 1)).unwrap().history;
    let view = watch.history_until("5s", Some(START - 1), head).unwrap().history;
    assert_eq!(view, main, "there were no events, and the same ticks");
    assert!(view.events.contains(&None) && view.events.contains(&Some(0)));
}

#[test]
fn a_view_of_a_restarted_daemon_is_that_of_one_that_went_on() {
    let mut it = Aggregator::fresh();
    for tick in 0..200 {
        let now_ms = it.now_ms();
        let late_ms = if tick % 7 == 0 { 20_000 } else { 0 };
        let event = Event { user: tick % 9, ..Event::at(now_ms) };
        it.send(&[event, Event { route: 2, at_ms: now_ms - late_ms, ..event }]);
        it.run_ticks(1);
    }
    let watch = it.views.watch(filter("route=/r/2")).unwrap();
    it.step_views();
    let before = watch.latest().unwrap();
    let history = watch.history_until("60s", Some(START - 1), before.tick).unwrap().history;
    drop(watch);
    let mut it = it.restart(5_000);
    while it.step() {}
    let watch = it.views.watch(filter("route=/r/2")).unwrap();
    it.step_views();
    let again = watch.history_until("60s", Some(START - 1), before.tick).unwrap().history;
    assert_eq!(again, history);
    let at = it.views.through(&filter("route=/r/2")).at("60s", before.tick).unwrap();
    assert_eq!(at, *before.windows[2].aggregate);
}

#[test]
fn what_a_filter_cannot_be_asked_says_why() {
    let mut it = Aggregator::fresh();
    it.run_ticks(3);
    let filter = filter("route=/r/1");
    let asked = it.views.through(&filter);
    let head = it.views.latest().tick;
    assert_eq!(asked.at("7s", head), Err(AtError::UnknownWindow));
    assert_eq!(asked.at("5s", head + 1), Err(AtError::Ahead { tick: head + 1, newest: head }));
    assert_eq!(asked.at("5s", START - 10), Err(AtError::Gap { tick: START - 10 }));
    assert!(asked.window_routes("7s", RouteSort::Events, 5).is_err());
    assert!(asked.range_history(2_000, 1_000, None).is_err());
    let kept = ScanError::NotKept { from_ms: 7_000 };
    assert_eq!(
        kept.to_string(),
        "events are kept from 7000 (Unix ms) on; a filter reaches no further back"
    );
}

#[test]
fn late_events_of_others_are_not_the_views() {
    let mut it = Aggregator::fresh();
    it.run_ticks(2);
    let watch = it.views.watch(filter("route=/r/1")).unwrap();
    it.step_views();
    let now_ms = it.now_ms();
    let late = Event { at_ms: now_ms - 100_000, class: Class::Late, ..Event::at(now_ms) };
    it.send(&[late, Event { route: 2, ..late }]);
    it.run_ticks(1);
    assert_eq!(it.views.latest().windows[0].aggregate.late, 2);
    assert_eq!(watch.latest().unwrap().windows[0].aggregate.late, 1);
}

#[test]
fn views_opened_together_or_later_are_filled_to_the_same_numbers() {
    let mut it = Aggregator::fresh();
    for user in 0..50 {
        let event = Event { user, route: (user % 4) as u8, ..Event::at(it.now_ms()) };
        it.send(&[event]);
        it.run_ticks(1);
    }
    let open =
        |it: &Aggregator, route: u8| it.views.watch(filter(&format!("route=/r/{route}"))).unwrap();
    let mut watches = vec![open(&it, 0), open(&it, 1)];
    it.run_ticks(1);
    it.send(&[Event::at(it.now_ms())]);
    watches.push(open(&it, 2));
    it.run_ticks(2);
    for (route, watch) in watches.iter().enumerate() {
        let alone = it.views.through(&filter(&format!("route=/r/{route}"))).at("60s", START + 49);
        let history = watch.history_until("60s", Some(START + 48), START + 52).unwrap().history;
        let count = 12 + u64::from(route < 2);
        assert_eq!((alone.unwrap().events, history.events[0]), (count, Some(count)), "{route}");
        assert_eq!(watch.latest().unwrap().tick, it.views.latest().tick);
    }
    let events = watches.iter().map(|watch| watch.latest().unwrap().windows[2].aggregate.events);
    assert_eq!(events.collect::<Vec<_>>(), [13, 14, 12], "one more came to /r/1");
}

#[test]
fn a_view_that_may_hold_no_more_routes_counts_new_ones_as_others() {
    let mut it = Aggregator::fresh();
    it.run_ticks(2);
    let all = filter("status=200");
    let watch = it.views.watch(all.clone()).unwrap();
    it.step_views();
    it.send(&[Event::at(it.now_ms())]);
    while it.step() {}
    it.step_views();
    it.shared.open.find(&all).unwrap().set_routes_max(0);
    it.send(&[Event::at(it.now_ms()), Event { route: 2, ..Event::at(it.now_ms()) }]);
    it.run_ticks(1);
    let aggregate = Arc::clone(&watch.latest().unwrap().windows[0].aggregate);
    assert_eq!((aggregate.events, aggregate.top_routes.len()), (3, 1));
    assert_eq!((aggregate.top_routes[0].events, aggregate.other_routes.events), (2, 1));
}
