//! Windows against a model that keeps every event, on random streams with late and early events.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::event::EventBatch;
use crate::tick::tests::{Draw, batch, draw};
use crate::wire::server::Aggregate;

const START: i64 = 1_763_884_800;

/// What happens, in order.
#[derive(Clone, Debug)]
enum Step {
    /// An event so many ticks before the newest (0) or in the one after it (-1).
    Event(i64, Draw),
    /// Time moves on by a tick; whether anybody was up.
    Tick(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (-1..4i64, draw()).prop_map(|(age, draw)| Step::Event(age, draw)),
        1 => (-1..30i64, draw()).prop_map(|(age, draw)| Step::Event(age, draw)),
        2 => prop::bool::weighted(0.8).prop_map(Step::Tick),
    ]
}

/// The exact numbers of the events of some ticks.
fn exact(events: &[(i64, Draw)], secs: u32, tick: i64) -> (Aggregate, Vec<f64>) {
    let first = tick - i64::from(secs) + 1;
    let draws: Vec<Draw> =
        events.iter().filter(|(t, _)| (first..=tick).contains(t)).map(|(_, draw)| *draw).collect();
    let batch: EventBatch = batch(&draws);
    let mut routes: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let (mut classes, mut types) = (BTreeMap::new(), BTreeMap::new());
    let (mut users, mut sessions) = (BTreeSet::new(), BTreeSet::new());
    let mut latencies = Vec::new();
    for event in batch.iter() {
        let route = routes.entry(event.route()).or_default();
        route.0 += 1;
        route.1 += u64::from(event.is_error());
        if let Some(status) = event.status() {
            *classes.entry(format!("{}xx", status / 100)).or_insert(0) += 1;
        }
        *types.entry(event.kind().to_owned()).or_insert(0) += 1;
        users.insert(event.actor());
        sessions.insert(event.session_id());
        latencies.extend(event.latency_ms());
    }
    latencies.sort_by(f64::total_cmp);
    let mut rows: Vec<_> = routes.into_iter().collect();
    rows.sort_by_key(|(name, (events, _))| (std::cmp::Reverse(*events), *name));
    let errors = rows.iter().map(|(_, (_, errors))| errors).sum();
    let mut aggregate = Window::new(secs, tick).render(&mut Ticks::default(), &Around::default());
    aggregate.events = draws.len() as u64;
    aggregate.events_per_second = draws.len() as f64 / f64::from(secs);
    aggregate.errors = errors;
    aggregate.status_classes = classes;
    aggregate.types = types;
    aggregate.active_users = users.len() as u64;
    aggregate.active_sessions = sessions.len() as u64;
    for (nth, (name, (events, errors))) in rows.into_iter().enumerate() {
        if nth < 10 {
            let row =
                super::render::route_row(&name.into(), (events, errors), &LatencyBins::default());
            aggregate.top_routes.push(row);
        } else {
            aggregate.other_routes.routes += 1;
            aggregate.other_routes.events += events;
            aggregate.other_routes.errors += errors;
        }
    }
    (aggregate, latencies)
}

fn near(value: f64, exact: f64, error: f64) -> bool {
    (value - exact).abs() <= error * exact + 1e-9
}

fn agree(got: &Aggregate, events: &[(i64, Draw)], secs: u32) {
    let (mut want, latencies) = exact(events, secs, got.tick);
    // Exact to about 380, then three standard errors.
    for (got, want) in
        [(got.active_users, want.active_users), (got.active_sessions, want.active_sessions)]
    {
        assert!(near(got as f64, want as f64, if want < 380 { 0.0 } else { 0.048 }));
    }
    match got.latency_ms {
        None => assert!(latencies.is_empty()),
        Some(ms) => {
            let rank = |q: f64| latencies[(q * (latencies.len() - 1) as f64) as usize];
            assert_eq!(ms.count, latencies.len() as u64);
            assert_eq!(Some(&ms.max), latencies.last());
            for (value, q) in [(ms.p50, 0.5), (ms.p95, 0.95), (ms.p99, 0.99)] {
                assert!(near(value, rank(q), 0.01), "{value} for {}", rank(q));
            }
        }
    }
    let mut got = got.clone();
    got.top_routes.iter_mut().for_each(|row| row.p95 = None);
    (got.active_users, got.active_sessions) = (want.active_users, want.active_sessions);
    got.latency_ms = None;
    got.error_rate = None;
    want.error_rate = None;
    assert_eq!(got, want);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sliding_windows_equal_the_exact_model_with_late_and_early_events(
        steps in prop::collection::vec(step(), 0..900),
    ) {
        let (mut ticks, mut names) = (Ticks::default(), Names::default());
        let mut windows = [1, 5, 17].map(|secs| Window::new(secs, START));
        let (mut newest, mut events) = (START, Vec::new());
        let mut late = BTreeSet::new();
        for step in steps {
            match step {
                Step::Event(age, draw) => {
                    let tick = newest - age;
                    let one = batch(&[draw]);
                    let sample = Sample::from(one.get(0));
                    let admitted = ticks.change(tick).add(&sample, &mut names, usize::MAX);
                    for window in &mut windows {
                        if (window.first()..=window.tick()).contains(&tick) {
                            window.add(&sample, admitted, &mut names);
                        }
                    }
                    events.push((tick, draw));
                    if tick <= newest {
                        late.insert(tick);
                    }
                }
                Step::Tick(up) => {
                    newest += 1;
                    if up {
                        ticks.change(newest);
                    }
                    for window in &mut windows {
                        window.slide(&ticks);
                        let got = window.render(&mut ticks, &Around::default());
                        agree(&got, &events, window.secs());
                        prop_assert_eq!(Point::of(&got), Point::at(&mut ticks, window.secs(), newest));
                        let anew = Window::merged(window.secs(), newest, &ticks);
                        prop_assert_eq!(&anew.render(&mut ticks, &Around::default()), &got);
                        let bytes = encode_frame(&got);
                        prop_assert_eq!(decode_point(&bytes), Ok(Point::of(&got)));
                        prop_assert_eq!(decode_frame(&bytes, window.secs(), newest), Ok(got));
                    }
                    // A late event changes the points of the ticks after its own.
                    for tick in std::mem::take(&mut late) {
                        let changed = Window::merged(5, tick, &ticks);
                        let changed = changed.render(&mut ticks, &Around::default());
                        agree(&changed, &events, 5);
                        prop_assert_eq!(Point::of(&changed), Point::at(&mut ticks, 5, tick));
                    }
                    ticks.forget_before(newest - 60);
                }
            }
        }
    }

    #[test]
    fn a_window_whose_tick_is_exchanged_is_the_window_merged_anew(
        turns in prop::collection::vec((0..7i64, prop::collection::vec(draw(), 0..12)), 1..12),
    ) {
        let (mut ticks, mut names) = (Ticks::default(), Names::default());
        let mut window = Window::new(5, START);
        for (age, draws) in turns {
            let mut summary = TickSummary::default();
            for event in batch(&draws).iter() {
                summary.add(&Sample::from(event), &mut names, 3);
            }
            let tick = START - age;
            if (window.first()..=window.tick()).contains(&tick) {
                window.exchange(ticks.get(tick).map(|old| &**old), &summary);
            }
            ticks.insert(tick, summary.into());
            let anew = Window::merged(5, START, &ticks).render(&mut ticks, &Around::default());
            prop_assert_eq!(window.render(&mut ticks, &Around::default()), anew);
        }
    }
}

#[test]
fn columns_are_null_where_nobody_was_up_or_nothing_was_measured() {
    let idle = Point::default();
    let busy =
        Point { events: 3, classes: [0, 2, 0, 0, 1], latency: Some([1.0, 2.0, 3.0]), ..idle };
    let history = columns(&[(7, Some(busy)), (8, None), (9, Some(idle))].into_iter());
    assert_eq!(history.tick, [7, 8, 9]);
    assert_eq!(history.events, [Some(3), None, Some(0)]);
    assert_eq!(history.p95, [Some(2.0), None, None]);
    assert_eq!(history.status_classes.keys().collect::<Vec<_>>(), ["2xx", "5xx"]);
    assert_eq!(history.status_classes["5xx"], [Some(1), None, Some(0)]);
}
