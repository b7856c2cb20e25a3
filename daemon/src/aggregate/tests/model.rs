//! Random streams against a model that keeps every event, and a client that applies what it is sent.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use pulseboard::event::Class;
use pulseboard::window::RouteSort;
use pulseboard::wire::server::History;

use super::harness::{Aggregator, Event, START};

/// What happens between two frames.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// Events with ages in ms; over 60 s they are late.
    Events(Vec<(i64, u8, u16)>),
    /// An import of events of some minutes ago.
    Import(Vec<(i64, u8, u16)>),
    /// So many ticks pass.
    Ticks(usize),
}

pub(super) fn happenings(most: usize) -> impl Strategy<Value = Vec<Happening>> {
    let age = prop_oneof![
        6 => 0..900i64,
        2 => 0..6_000i64,
        1 => -4_000..60_000i64,
        1 => 60_001..400_000i64,
    ];
    let events = prop::collection::vec((age, 0..14u8, 0..300u16), 1..25);
    let imports = prop::collection::vec((0..4_000_000i64, 0..14u8, 0..300u16), 1..6);
    let one = prop_oneof![
        6 => events.prop_map(Happening::Events),
        1 => imports.prop_map(Happening::Import),
        5 => (1..3usize).prop_map(Happening::Ticks),
        1 => (20..75usize).prop_map(Happening::Ticks),
    ];
    prop::collection::vec(one, 1..most)
}

/// The events of a happening, as they would be journaled now.
pub(super) fn events_of(happening: &Happening, now_ms: i64) -> Vec<Event> {
    let (draws, import) = match happening {
        Happening::Events(draws) => (draws, false),
        Happening::Import(draws) => (draws, true),
        Happening::Ticks(_) => return Vec::new(),
    };
    let event = |(age, route, user): &(i64, u8, u16)| Event {
        at_ms: now_ms - age,
        class: match age {
            _ if import => Class::Import,
            60_001.. => Class::Late,
            _ => Class::Live,
        },
        route: *route,
        user: *user,
        status: if user % 7 == 0 { 503 } else { 200 },
        latency_ms: f64::from(*user) + 1.0,
        ..Event::at(now_ms)
    };
    draws.iter().map(event).collect()
}

/// What is exact about a point: events, errors, users (few enough), 5xx.
type Exact = (u64, u64, u64, u64);

fn exact<'a>(events: impl Iterator<Item = &'a Event>) -> Exact {
    let (mut count, mut errors, mut users) = (0, 0, BTreeSet::new());
    for event in events {
        count += 1;
        errors += u64::from(event.status >= 500);
        users.insert(event.user);
    }
    (count, errors, users.len() as u64, errors)
}

fn tick_of(event: &Event) -> i64 {
    event.at_ms.min(event.arrival_ms).div_euclid(1_000)
}

fn window(events: &[Event], secs: i64, tick: i64) -> Exact {
    let inside = |event: &&Event| {
        event.class == Class::Live && (tick - secs + 1..=tick).contains(&tick_of(event))
    };
    exact(events.iter().filter(inside))
}

/// What a client knows: the newest value of every tick it was sent.
#[derive(Default)]
struct Client(BTreeMap<i64, Exact>);

impl Client {
    fn take(&mut self, history: &History) {
        for (index, tick) in history.tick.iter().enumerate() {
            let classes = history.status_classes.get("5xx");
            let fives = classes.and_then(|column| column[index]).unwrap_or(0);
            if let (Some(events), Some(errors), Some(users)) =
                (history.events[index], history.errors[index], history.active_users[index])
            {
                self.0.insert(*tick, (events, errors, users, fives));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn frames_corrections_histories_and_ranges_equal_the_exact_model(
        happenings in happenings(60),
    ) {
        let mut it = Aggregator::fresh();
        let mut all = Vec::new();
        let mut clients = [(1, Client::default()), (5, Client::default()), (60, Client::default())];
        for happening in &happenings {
            let events = events_of(happening, it.now_ms());
            if !events.is_empty() {
                it.send(&events);
                all.extend(events);
            }
            let Happening::Ticks(ticks) = happening else { continue };
            it.run_ticks(*ticks);
            for frame in it.frames() {
                for ((_, client), window) in clients.iter_mut().zip(&frame.windows) {
                    if let Some(corrections) = &window.corrections {
                        client.take(corrections);
                    }
                    let aggregate = &window.aggregate;
                    let fives = aggregate.status_classes.get("5xx").copied().unwrap_or(0);
                    let values =
                        (aggregate.events, aggregate.errors, aggregate.active_users, fives);
                    client.0.insert(frame.tick, values);
                }
            }
        }
        it.run_ticks(1);
        for frame in it.frames() {
            for ((secs, client), window) in clients.iter_mut().zip(&frame.windows) {
                window.corrections.iter().for_each(|corrections| client.take(corrections));
                client.0.insert(frame.tick, super::model::window(&all, *secs, frame.tick));
            }
        }
        // What a client was sent, what history says and what rewinding shows are the exact numbers.
        let head = it.views.latest().tick;
        for (secs, client) in &clients {
            let name = format!("{secs}s");
            let mut fresh = Client::default();
            fresh.take(&it.views.history(&name, Some(START - 200)).unwrap().history);
            for tick in START..=head {
                let want = window(&all, *secs, tick);
                prop_assert_eq!(client.0.get(&tick), Some(&want), "{} at {}", name, tick);
                prop_assert_eq!(fresh.0.get(&tick), Some(&want), "{} at {}", name, tick);
                let at = it.views.at(&name, tick).unwrap();
                prop_assert_eq!((at.events, at.errors, at.active_users), (want.0, want.1, want.2));
            }
        }
        // Every event is in exactly one minute, and in one route of it.
        let (from, to) = ((START - 5_000) * 1_000, (head + 60) * 1_000);
        let minutes = it.views.range_history(from, to, Some(60)).unwrap().history;
        for (index, minute) in minutes.tick.iter().enumerate() {
            let inside = all.iter().filter(|event| tick_of(event).div_euclid(60) * 60 == *minute);
            let want = exact(inside);
            let events = minutes.events[index].unwrap_or(0);
            let users = minutes.active_users[index].unwrap_or(0);
            prop_assert_eq!((events, users), (want.0, want.2));
        }
        let routes = it.views.range_routes(from, to, RouteSort::Events, 100).unwrap();
        let mut by_route: BTreeMap<String, u64> = BTreeMap::new();
        for event in &all {
            *by_route.entry(format!("/r/{}", event.route)).or_default() += 1;
        }
        let got = routes.routes.iter().map(|row| (row.route.to_string(), row.events));
        prop_assert_eq!(got.collect::<BTreeMap<_, _>>(), by_route);
        // Fine history has the live ones, each in one bucket.
        let fine = it.views.range_history((head - 600) * 1_000, head * 1_000, Some(10)).unwrap();
        let live = all.iter().filter(|event| {
            event.class == Class::Live && (fine.from_ms..fine.to_ms).contains(&(tick_of(event) * 1_000))
        });
        prop_assert_eq!(fine.history.events.iter().flatten().sum::<u64>(), live.count() as u64);
    }
}
