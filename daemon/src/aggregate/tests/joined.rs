//! Several instances that are dealt a stream show, each of them, what one shows that is given all of
//! it, whatever is lost, late, repeated and out of order between them.

use proptest::prelude::*;
use pulseboard::window::RouteSort;
use pulseboard::wire::server::{Aggregate, History, Nodes};
use tempfile::TempDir;

use super::bus::{Bus, Fate};
use super::harness::{Aggregator, Event, Log, START};
use super::model::{Happening, events_of, happenings};

mod bounds;
mod filled;
mod views;

const WINDOWS: [&str; 3] = ["1s", "5s", "60s"];

/// Some instances, and one that is given everything.
struct Cluster {
    bus: Bus,
    nodes: Vec<Aggregator>,
    whole: Aggregator,
}

impl Cluster {
    fn of(count: usize) -> Self {
        let bus = Bus::default();
        let node = |nth: usize| {
            let dir = TempDir::new().unwrap();
            Aggregator::among(bus.seat(nth), dir, Log::default(), START * 1_000 + 250)
        };
        let nodes = (0..count).map(node).collect();
        Self { bus, nodes, whole: Aggregator::fresh() }
    }

    fn now_ms(&self) -> i64 {
        self.whole.now_ms()
    }

    /// Deals events out; `to` says to which node the first goes.
    fn deal(&self, events: &[Event], to: usize) {
        let count = self.nodes.len();
        for (nth, node) in self.nodes.iter().enumerate() {
            let mine = events.iter().enumerate();
            let mine =
                mine.filter(|(at, event)| (at + to + usize::from(event.user)) % count == nth);
            let mine: Vec<Event> = mine.map(|(_, event)| *event).collect();
            if !mine.is_empty() {
                node.send(&mine);
            }
        }
        if !events.is_empty() {
            self.whole.send(events);
        }
    }

    /// Ticks pass everywhere.
    fn run_ticks(&mut self, ticks: usize) {
        for _ in 0..ticks {
            let over_ms = (self.whole.views.latest().tick + 2) * 1_000;
            for node in &mut self.nodes {
                node.run_to(over_ms + 5);
            }
            for node in &mut self.nodes {
                node.run_to(over_ms + 250);
            }
            self.whole.run_to(over_ms + 250);
        }
    }

    /// Nothing more is missing, and all of it is shown.
    fn calm(&mut self) {
        self.bus.set_fates(&[]);
        self.run_ticks(1);
        self.bus.fill();
        self.run_ticks(2);
    }
}

fn alone(aggregate: &Aggregate) -> Aggregate {
    let nodes = Nodes { reporting: 1, expected: 1 };
    Aggregate { behind_ms: 0, nodes, ..aggregate.clone() }
}

/// Every node shows what the one shows that was given all, from tick `from` on.
fn assert_same(cluster: &Cluster, from: i64) {
    let whole = &cluster.whole.views;
    let head = whole.latest().tick;
    for (nth, node) in cluster.nodes.iter().enumerate() {
        assert_eq!(node.views.latest().tick, head);
        for (index, window) in WINDOWS.into_iter().enumerate() {
            let got = &node.views.latest().windows[index].aggregate;
            let want = &whole.latest().windows[index].aggregate;
            assert_eq!(alone(got), alone(want), "{window} on {nth}");
            let history = |of: &Aggregator| of.views.history(window, Some(from - 1)).unwrap();
            let (got, want) = (history(node).history, history(&cluster.whole).history);
            assert_eq!(difference(&got, &want), None, "{window} on {nth}");
            for tick in from..=head {
                let got = node.views.at(window, tick).map(|at| alone(&at));
                let want = whole.at(window, tick).map(|at| alone(&at));
                assert_eq!(got, want, "{window} at {tick} (head {head}) on {nth}");
            }
            for sort in [RouteSort::Events, RouteSort::P95] {
                let routes = |of: &Aggregator| of.views.window_routes(window, sort, 5).unwrap();
                assert_eq!(routes(node), routes(&cluster.whole), "{window} on {nth}");
            }
        }
    }
}

/// The first tick that two histories say different things of.
fn difference(one: &History, other: &History) -> Option<(String, String)> {
    assert_eq!((one.tick.first(), one.tick.len()), (other.tick.first(), other.tick.len()));
    columns(one).into_iter().zip(columns(other)).find(|(one, other)| one != other)
}

/// One line for each tick.
fn columns(history: &History) -> Vec<String> {
    let line = |nth: usize| {
        let class = |name: &str| history.status_classes.get(name).and_then(|column| column[nth]);
        let of = (history.events[nth], history.active_users[nth], history.errors[nth]);
        let latency = (history.p50[nth], history.p95[nth], history.p99[nth]);
        format!("{} {of:?} {latency:?} {:?}", history.tick[nth], class("5xx"))
    };
    (0..history.tick.len()).map(line).collect()
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        5 => Just(Fate::Arrives),
        1 => Just(Fate::Twice),
        2 => Just(Fate::Waits),
        1 => Just(Fate::Lost),
    ]
}

/// What happens to the cluster besides.
#[derive(Clone, Debug)]
enum Trouble {
    None,
    /// What waited arrives.
    Release,
    /// Messages meet other fates.
    Fates(Vec<Fate>),
    /// A node is restarted; whether in order.
    Restart(usize, bool),
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        6 => Just(Trouble::None),
        2 => Just(Trouble::Release),
        2 => prop::collection::vec(fate(), 1..9).prop_map(Trouble::Fates),
        1 => (0..5usize, any::<bool>()).prop_map(|(node, orderly)| Trouble::Restart(node, orderly)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_instance_shows_what_one_shows_that_is_given_all(
        count in 1..=5usize,
        happenings in happenings(40),
        troubles in prop::collection::vec(trouble(), 40),
    ) {
        let mut cluster = Cluster::of(count);
        for (nth, (happening, trouble)) in happenings.iter().zip(&troubles).enumerate() {
            cluster.deal(&events_of(happening, cluster.now_ms()), nth);
            match trouble {
                Trouble::None => {}
                Trouble::Release => cluster.bus.release(),
                Trouble::Fates(fates) => cluster.bus.set_fates(fates),
                Trouble::Restart(node, orderly) => {
                    // What was shown last is what is stored.
                    cluster.calm();
                    let node = node % count;
                    cluster.nodes[node].settle();
                    let before = cluster.nodes.remove(node);
                    let after = if *orderly { before.restart(0) } else { before.die(0) };
                    cluster.nodes.insert(node, after);
                    cluster.bus.fill();
                }
            }
            if let Happening::Ticks(ticks) = happening {
                cluster.run_ticks(*ticks);
            }
        }
        cluster.calm();
        assert_same(&cluster, START);
        // And when all of it is final.
        cluster.run_ticks(75);
        assert_same(&cluster, START);
    }
}

#[test]
fn instances_that_hear_each_other_in_time_show_the_same_frame() {
    let mut cluster = Cluster::of(3);
    for turn in 0..70u16 {
        let events: Vec<Event> = (0..30)
            .map(|nth| Event {
                user: nth * 7 + turn,
                route: (nth % 4) as u8,
                latency_ms: f64::from(nth + 1) * f64::from(turn + 1),
                ..Event::at(cluster.now_ms())
            })
            .collect();
        cluster.deal(&events, usize::from(turn));
        cluster.run_ticks(1);
        let whole = cluster.whole.frames().pop().unwrap();
        for node in &cluster.nodes {
            let frame = node.frames().pop().unwrap();
            assert_eq!(frame.tick, whole.tick);
            for (got, want) in frame.windows.iter().zip(&whole.windows) {
                assert_eq!(alone(&got.aggregate), alone(&want.aggregate));
                assert_eq!(got.aggregate.nodes, Nodes { reporting: 3, expected: 3 });
                assert_eq!(got.corrections, None);
            }
        }
    }
}

#[test]
fn what_is_heard_late_is_missing_from_the_frame_and_corrected_after_it() {
    let mut cluster = Cluster::of(2);
    cluster.run_ticks(2);
    cluster.bus.set_fates(&[Fate::Waits]);
    let now_ms = cluster.now_ms();
    cluster
        .deal(&[Event { user: 0, ..Event::at(now_ms) }, Event { user: 2, ..Event::at(now_ms) }], 0);
    cluster.run_ticks(1);
    let frame = cluster.nodes[0].frames().pop().unwrap();
    let first = &frame.windows[0].aggregate;
    assert_eq!((first.events, first.nodes), (1, Nodes { reporting: 1, expected: 2 }));
    cluster.bus.release();
    cluster.run_ticks(1);
    let next = cluster.nodes[0].frames().pop().unwrap();
    let corrections = next.windows[0].corrections.as_ref().unwrap();
    assert_eq!((&corrections.tick, &corrections.events), (&vec![frame.tick], &vec![Some(2)]));
    assert_eq!(corrections.active_users, [Some(2)]);
    let at = cluster.nodes[0].views.at("1s", frame.tick).unwrap();
    assert_eq!((at.events, at.nodes), (2, Nodes { reporting: 2, expected: 2 }));
}

#[test]
fn seconds_in_which_only_others_were_up_are_no_gaps_when_one_comes_back() {
    let mut cluster = Cluster::of(3);
    cluster.run_ticks(20);
    let mut frozen = cluster.nodes.remove(1);
    for user in 0..40 {
        let event = Event { user, ..Event::at(cluster.now_ms()) };
        cluster.nodes[usize::from(user % 2)].send(&[event]);
        cluster.whole.send(&[event]);
        cluster.run_ticks(1);
    }
    let nodes = cluster.nodes[0].views.latest().windows[0].aggregate.nodes;
    assert_eq!(nodes, Nodes { reporting: 2, expected: 3 });
    frozen.run_to(cluster.now_ms());
    cluster.nodes.insert(1, frozen);
    cluster.run_ticks(2);
    assert_same(&cluster, START);
    let nodes = cluster.nodes[1].views.latest().windows[0].aggregate.nodes;
    assert_eq!(nodes, Nodes { reporting: 3, expected: 3 });
    cluster.run_ticks(70);
    assert_same(&cluster, START);
}

#[test]
fn who_was_cut_off_for_minutes_is_joined_second_by_second() {
    let mut cluster = Cluster::of(2);
    cluster.run_ticks(5);
    cluster.bus.set_fates(&[Fate::Lost]);
    for user in 0..200u16 {
        let event = Event { user: user % 90, ..Event::at(cluster.now_ms()) };
        cluster.deal(&[event, Event { user: user + 1, route: 2, ..event }], 0);
        cluster.run_ticks(1);
    }
    let parted = cluster.nodes[0].views.latest().windows[2].aggregate.events;
    assert!(parted < cluster.whole.views.latest().windows[2].aggregate.events);
    cluster.calm();
    cluster.run_ticks(1);
    assert_same(&cluster, START);
    // What was stored meanwhile is stored anew.
    for node in &mut cluster.nodes {
        node.settle();
    }
    let node = cluster.nodes.remove(0);
    let back = node.restart(0);
    cluster.nodes.insert(0, back);
    cluster.bus.fill();
    cluster.run_ticks(2);
    assert_same(&cluster, START);
}

#[test]
fn minutes_and_what_is_stored_of_ticks_stay_this_instances_own() {
    let mut cluster = Cluster::of(2);
    for _ in 0..130 {
        let event = Event::at(cluster.now_ms());
        cluster.deal(&[event, event, event], 0);
        cluster.run_ticks(1);
    }
    let (from, to) = (START * 1_000, (START + 120) * 1_000);
    let own = |node: &Aggregator, step| {
        let history = node.views.range_history(from, to, Some(step)).unwrap().history;
        history.events.iter().flatten().sum::<u64>()
    };
    for step in [60, 10] {
        let owns: Vec<u64> = cluster.nodes.iter().map(|node| own(node, step)).collect();
        assert_eq!(owns.iter().sum::<u64>(), own(&cluster.whole, step));
        assert!(owns.iter().all(|own| *own > 0));
    }
}

#[test]
fn an_instance_alone_tells_a_tick_once_or_twice() {
    let mut cluster = Cluster::of(1);
    for _ in 0..20 {
        cluster.deal(&[Event::at(cluster.now_ms())], 0);
        cluster.run_ticks(1);
    }
    assert!((20..=40).contains(&cluster.bus.told()), "{}", cluster.bus.told());
    assert_same(&cluster, START);
    cluster.bus.leave(0);
}
