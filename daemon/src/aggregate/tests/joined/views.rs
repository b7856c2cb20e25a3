//! Filtered views among instances: watched on one, counted on all.

use pulseboard::filter::Filter;
use pulseboard::route::Normaliser;
use pulseboard::window::RouteSort;
use pulseboard::wire::server::Nodes;

use super::{Cluster, WINDOWS, alone, difference};
use crate::aggregate::Watch;
use crate::aggregate::tests::harness::{Aggregator, Event};

fn filter(text: &str) -> Filter {
    Filter::parse(text, &Normaliser::new::<&str>(false, &[]).unwrap()).unwrap()
}

#[test]
fn a_view_watched_on_one_instance_is_counted_on_all_and_joined() {
    let mut cluster = Cluster::of(3);
    let happen = |cluster: &mut Cluster, turns: std::ops::Range<u16>| {
        for turn in turns {
            let now_ms = cluster.now_ms();
            let event = |user: u16, route| Event {
                user,
                route,
                at_ms: now_ms - i64::from(turn % 5) * 3_000,
                ..Event::at(now_ms)
            };
            cluster.deal(&[event(turn, 1), event(turn + 1, 2), event(turn + 2, 1)], 0);
            cluster.run_ticks(1);
        }
    };
    happen(&mut cluster, 0..400);
    let one = filter("route=/r/1");
    let watch = cluster.nodes[0].views.watch(one.clone()).unwrap();
    let want = cluster.whole.views.watch(one.clone()).unwrap();
    happen(&mut cluster, 400..420);
    assert!(cluster.nodes.iter().all(|node| node.views.stats().views == 1));
    let (got, frame) = (watch.latest().unwrap(), want.latest().unwrap());
    assert_eq!(got.tick, frame.tick);
    for (got, want) in got.windows.iter().zip(&frame.windows) {
        assert_eq!(alone(&got.aggregate), alone(&want.aggregate));
        assert_eq!(got.aggregate.nodes, Nodes { reporting: 3, expected: 3 });
    }
    for window in WINDOWS {
        let since = Some(frame.tick - 300);
        let history = watch.history_until(window, since, frame.tick).unwrap().history;
        let whole = want.history_until(window, since, frame.tick).unwrap().history;
        assert_eq!(difference(&history, &whole), None, "{window}");
        let asked = |of: &Aggregator| {
            let through = of.views.through(&one);
            let at = through.at(window, frame.tick - 30).unwrap();
            (alone(&at), through.window_routes(window, RouteSort::Events, 3).unwrap())
        };
        assert_eq!(asked(&cluster.nodes[0]), asked(&cluster.whole));
    }
    // Nobody watches any more: it goes here after a minute, and with it there.
    drop((watch, want));
    happen(&mut cluster, 420..490);
    assert!(cluster.nodes.iter().all(|node| node.views.stats().views == 0));
}

#[test]
fn a_view_that_gave_way_and_is_opened_again_shows_what_peers_said_before() {
    let mut cluster = Cluster::of(2);
    let one = filter("route=/r/1");
    let theirs = cluster.nodes[1].views.watch(one.clone()).unwrap();
    for turn in 0..90 {
        let event = Event { user: turn, ..Event::at(cluster.now_ms()) };
        cluster.deal(&[event, event], 0);
        cluster.run_ticks(1);
    }
    let open = |node: &Aggregator, user: u32| node.views.watch(filter(&format!("userId=u{user}")));
    let mine: Vec<_> = (0..3).map(|user| open(&cluster.nodes[0], user).unwrap()).collect();
    cluster.run_ticks(2);
    drop(mine);
    let watch = cluster.nodes[0].views.watch(one.clone()).unwrap();
    cluster.run_ticks(3);
    let head = theirs.latest().unwrap().tick;
    for window in WINDOWS {
        let of =
            |watch: &Watch| watch.history_until(window, Some(head - 80), head).unwrap().history;
        assert_eq!(difference(&of(&watch), &of(&theirs)), None, "{window}");
    }
    assert_eq!(watch.latest().unwrap().windows[2].aggregate.events, 2 * 55);
}

#[test]
fn views_of_others_give_way_to_who_watches_here() {
    let mut cluster = Cluster::of(2);
    cluster.run_ticks(2);
    let open = |node: &Aggregator, user: u32| node.views.watch(filter(&format!("userId=u{user}")));
    let theirs: Vec<_> = (0..3).map(|user| open(&cluster.nodes[1], user).unwrap()).collect();
    cluster.run_ticks(2);
    assert_eq!(cluster.nodes[0].views.stats().views, 3);
    let mine: Vec<_> = (7..10).map(|user| open(&cluster.nodes[0], user).unwrap()).collect();
    cluster.run_ticks(2);
    assert!(mine.iter().all(|watch| watch.latest().is_some()));
    assert_eq!(cluster.nodes[0].views.stats().views, 3);
    assert_eq!(cluster.nodes[0].views.stats().views_refused, 0);
    drop((mine, theirs));
}
