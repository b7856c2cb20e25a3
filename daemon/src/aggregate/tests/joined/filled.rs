//! What nobody told in time is read from the shared store: the hour of one that was down, or cut off,
//! for longer than anybody keeps ticks is that of the others, tick by tick.

use std::sync::Arc;

use parking_lot::Mutex;
use pulseboard::tick::{Names, TickSummary};
use pulseboard::wire::server::Nodes;

use super::super::bus::name;
use super::super::harness::{Aggregator, Event, START};
use super::{Cluster, WINDOWS, difference};
use crate::aggregate::{StoredTick, StoredTicks, Views};
use crate::store::drain::Counts as _;

/// What the shared store is to an aggregator: what each node counted.
#[derive(Default)]
struct Inside {
    nodes: Vec<Option<Views>>,
    /// Nothing of this node's ticks after that one is written.
    written: Option<(usize, i64)>,
    is_away: bool,
    asked: usize,
}

#[derive(Clone)]
struct Store(Arc<Mutex<Inside>>, Arc<str>);

impl StoredTicks for Store {
    fn node(&self) -> &Arc<str> {
        &self.1
    }

    fn each(
        &self,
        (from, to): (i64, i64),
        with_routes: bool,
        visit: &mut dyn FnMut(StoredTick),
    ) -> Result<(), String> {
        let mut inside = self.0.lock();
        inside.asked += 1;
        if inside.is_away {
            return Err("it is away".into());
        }
        for tick in from..to {
            for (nth, views) in inside.nodes.iter().enumerate() {
                let Some(views) = views else { continue };
                let bucket = views.buckets(&[(1, tick)]).unwrap().remove(0);
                let is_written = inside.written.is_none_or(|(of, upto)| of != nth || tick <= upto);
                if bucket.summary.totals.events == 0 || !is_written {
                    continue;
                }
                let bytes = bucket.summary.encode();
                let mut summary = TickSummary::decode(&bytes, &mut Names::default()).unwrap();
                if !with_routes {
                    summary.routes = pulseboard::tick::RouteTable::default();
                }
                let (node, revision) = (name(nth), bucket.revision);
                visit(StoredTick { node, tick, revision, summary });
            }
        }
        Ok(())
    }
}

/// A cluster over one store.
struct Shared {
    cluster: Cluster,
    store: Arc<Mutex<Inside>>,
}

impl Shared {
    fn of(count: usize) -> Self {
        let mut shared = Self { cluster: Cluster::of(count), store: Arc::default() };
        for nth in 0..count {
            shared.store.lock().nodes.push(None);
            shared.connect(nth);
        }
        shared
    }

    /// A node that was made anew has the store too.
    fn connect(&mut self, nth: usize) {
        let node = &mut self.cluster.nodes[nth];
        self.store.lock().nodes[nth] = Some(node.views.clone());
        node.fill_from(Arc::new(Store(Arc::clone(&self.store), name(nth))));
    }

    /// Events come in to these nodes, tick by tick; in every seventh tick none.
    fn run(&mut self, ticks: u16, to: &[usize]) {
        for turn in 0..ticks {
            let now_ms = self.cluster.now_ms();
            let busy = turn % 7 != 3;
            for nth in (0..8_u16).filter(|_| busy) {
                let event = Event {
                    user: turn.wrapping_mul(31).wrapping_add(nth * 7) % 900,
                    route: (nth % 5) as u8,
                    status: if nth == 4 { 503 } else { 200 },
                    latency_ms: f64::from(nth * 13 + turn % 50 + 1),
                    ..Event::at(now_ms)
                };
                self.cluster.nodes[to[usize::from(nth) % to.len()]].send(&[event]);
                self.cluster.whole.send(&[event]);
            }
            self.cluster.run_ticks(1);
        }
    }

    /// Everybody reads what is to be read, and a frame brings it.
    fn backfill(&mut self) {
        self.cluster.nodes.iter_mut().for_each(Aggregator::backfill);
        self.cluster.run_ticks(1);
    }

    /// A node's hour is the hour of the one that was given all; `whole`: and says so.
    fn assert_hour(&self, nth: usize, whole: bool) {
        let hour = |of: &Aggregator, window| of.views.history(window, Some(START - 1)).unwrap();
        for window in WINDOWS {
            let mut got = hour(&self.cluster.nodes[nth], window).history;
            assert!(!whole || got.reporting.is_empty(), "{:?}", got.reporting);
            (got.reporting, got.expected) = (Vec::new(), Vec::new());
            let want = hour(&self.cluster.whole, window).history;
            assert_eq!(difference(&got, &want), None, "{window} on {nth}");
        }
    }

    /// What a node's newest frames corrected, of the second's window.
    fn events_at(&self, nth: usize, tick: i64) -> (Option<u64>, Option<Nodes>) {
        let history = self.cluster.nodes[nth].views.history("1s", Some(tick - 1)).unwrap().history;
        let column = |column: &[Option<u32>]| column.first().copied().flatten();
        let nodes = column(&history.reporting).zip(column(&history.expected));
        let nodes = nodes.map(|(reporting, expected)| Nodes { reporting, expected });
        (history.events[0], nodes)
    }
}

/// Three, of which the second is killed and away for ten minutes.
fn one_was_down() -> Shared {
    let mut shared = Shared::of(3);
    shared.run(100, &[0, 1, 2]);
    shared.cluster.nodes[1].settle();
    shared.cluster.bus.leave(1);
    let away = shared.cluster.nodes.remove(1);
    let (before, log) = (away.copy_files(), away.log.clone());
    shared.run(600, &[0, 1]);
    let now_ms = shared.cluster.now_ms();
    shared.cluster.bus.forget_before(now_ms / 1_000 - 300);
    shared.cluster.bus.join(1);
    let back = Aggregator::among(shared.cluster.bus.seat(1), before, log, now_ms);
    shared.cluster.nodes.insert(1, back);
    shared.connect(1);
    shared.cluster.bus.fill();
    shared.cluster.run_ticks(2);
    shared
}

#[test]
fn the_hour_of_one_that_was_down_for_minutes_is_filled_with_what_the_others_counted() {
    let mut shared = one_was_down();
    assert_eq!(shared.events_at(1, START + 300), (None, None), "a gap, and told as one");
    let (events, nodes) = shared.events_at(1, START + 90);
    assert!(events.is_some_and(|events| events < 8));
    assert_eq!(nodes, Some(Nodes { reporting: 1, expected: 3 }), "what it had counted itself");
    shared.backfill();
    for nth in 0..3 {
        shared.assert_hour(nth, true);
    }
    // Nor does anything of it change when all of it is final, and read again.
    shared.run(90, &[0, 1, 2]);
    shared.backfill();
    for nth in 0..3 {
        shared.assert_hour(nth, true);
    }
    let asked = shared.store.lock().asked;
    shared.backfill();
    assert_eq!(shared.store.lock().asked, asked, "there is nothing left to ask");
}

#[test]
fn while_the_store_is_away_gaps_stay_and_it_is_asked_again() {
    let mut shared = one_was_down();
    shared.store.lock().is_away = true;
    shared.backfill();
    assert_eq!(shared.events_at(1, START + 300), (None, None));
    shared.store.lock().is_away = false;
    shared.backfill();
    shared.assert_hour(1, true);
}

#[test]
fn who_comes_back_to_a_socket_is_sent_what_was_filled_since() {
    let mut shared = one_was_down();
    let views = shared.cluster.nodes[1].views.clone();
    let since = views.latest().tick;
    shared.backfill();
    let corrections = views.history("60s", Some(since)).unwrap().corrections.unwrap();
    assert!(corrections.tick.contains(&(START + 300)));
    let frames = shared.cluster.nodes[1].frames();
    let sent = frames.iter().rev().find_map(|frame| frame.windows[2].corrections.clone()).unwrap();
    assert!(sent.tick.contains(&(START + 300)));
}

#[test]
fn seconds_somebody_has_not_written_yet_say_so_and_are_read_again_when_it_has() {
    let mut shared = one_was_down();
    shared.store.lock().written = Some((2, START + 200));
    shared.cluster.bus.has_written(2, START + 200);
    shared.backfill();
    let (_, nodes) = shared.events_at(1, START + 300);
    assert_eq!(nodes, Some(Nodes { reporting: 1, expected: 2 }));
    shared.store.lock().written = None;
    shared.cluster.bus.has_written(2, i64::MAX);
    shared.backfill();
    shared.assert_hour(1, true);
}

#[test]
fn one_that_was_cut_off_and_those_it_was_cut_off_from_show_the_same_hour_again() {
    let mut shared = Shared::of(3);
    shared.run(100, &[0, 1, 2]);
    shared.backfill();
    shared.cluster.bus.cut(0);
    shared.run(500, &[0, 1, 2]);
    let tick = START + 320;
    assert!(shared.events_at(0, tick).0.is_some_and(|events| events < 8));
    assert_eq!(shared.events_at(0, tick).1, Some(Nodes { reporting: 1, expected: 3 }));
    shared.cluster.bus.mend();
    shared.run(5, &[0, 1, 2]);
    for _ in 0..4 {
        shared.backfill();
        shared.run(90, &[0, 1, 2]);
    }
    for nth in 0..3 {
        shared.assert_hour(nth, true);
    }
}

#[test]
fn what_redis_lost_of_the_last_minutes_is_read_from_the_store_too() {
    let mut shared = Shared::of(2);
    shared.run(100, &[0, 1]);
    shared.cluster.nodes[1].settle();
    let away = shared.cluster.nodes.remove(1);
    let (before, log) = (away.copy_files(), away.log.clone());
    shared.run(120, &[0]);
    // Redis comes back empty.
    let now_ms = shared.cluster.now_ms();
    shared.cluster.bus.forget_before(i64::MAX);
    let back = Aggregator::among(shared.cluster.bus.seat(1), before, log, now_ms);
    shared.cluster.nodes.insert(1, back);
    shared.connect(1);
    shared.cluster.run_ticks(2);
    assert_eq!(shared.events_at(1, START + 130), (None, None));
    for _ in 0..4 {
        shared.backfill();
        shared.run(30, &[0, 1]);
    }
    shared.assert_hour(1, true);
    let routes = |of: &Aggregator| {
        of.views.window_routes("60s", pulseboard::window::RouteSort::Events, 9).unwrap()
    };
    assert_eq!(routes(&shared.cluster.nodes[1]), routes(&shared.cluster.whole));
}
