//! What is taken in of what peers say, and what is not.

use std::sync::Arc;

use pulseboard::event::{EventBatch, Row};
use pulseboard::tick::{Names, Sample, TickSummary};

use super::Cluster;
use crate::aggregate::{Counted, Heard};

#[test]
fn of_what_a_peer_said_the_newest_revision_counts_in_whatever_order_they_come() {
    let mut cluster = Cluster::of(1);
    cluster.run_ticks(3);
    let head = cluster.whole.views.latest().tick;
    let heard = |revision: u64| {
        let mut summary = TickSummary::default();
        summary.totals.events = revision;
        let counted = Counted { tick: head, revision, summary: Arc::new(summary) };
        Heard { node: "b".into(), counted }
    };
    let mut state = cluster.nodes[0].shared.state.lock();
    for (revisions, want) in [(&[3, 5, 4, 5, 1][..], 5), (&[7, 6], 7), (&[2], 7)] {
        state.hear(revisions.iter().map(|revision| heard(*revision)).collect(), head);
        assert_eq!(state.shown().get(head).unwrap().totals.events, want);
    }
    assert_eq!(state.nodes_at(head).reporting, 2);
}

#[test]
fn what_peers_said_is_let_go_of_early_when_there_is_much_and_refused_when_there_is_too_much() {
    let mut cluster = Cluster::of(1);
    cluster.run_ticks(400);
    let head = cluster.whole.views.latest().tick;
    let mut state = cluster.nodes[0].shared.state.lock();
    let heard = |tick: i64, node: usize, summary: &Arc<TickSummary>| Heard {
        node: format!("{node}").into(),
        counted: Counted { tick, revision: 1, summary: Arc::clone(summary) },
    };
    let mut small = TickSummary::default();
    small.totals.events = 1_000;
    let small = Arc::new(small);
    let old: Vec<_> = (head - 290..head).flat_map(|tick| (0..63).map(move |n| (tick, n))).collect();
    state.hear(old.iter().map(|(tick, node)| heard(*tick, *node, &small)).collect(), head);
    let (refused, bytes) = state.heard_stats();
    assert_eq!(refused, 0, "they settle with what they have");
    assert!(bytes <= 128 << 20, "{bytes}");
    assert_eq!(state.nodes_at(head - 1).reporting, 64);
    state.hear(vec![heard(head - 289, 61, &small)], head);
    assert_eq!(state.heard_stats().0, 1, "this one has settled");
    // Ticks that are not final keep theirs, up to the bound.
    let mut large = TickSummary::default();
    let mut names = Names::default();
    for route in 0..20_000u32 {
        let mut batch = EventBatch::default();
        let row = Row { route: batch.add_text(&format!("/{route}")), ..Row::default() };
        batch.push(row);
        large.add(&Sample::from(batch.get(0)), &mut names, usize::MAX);
    }
    let large = Arc::new(large);
    let open: Vec<_> =
        (head - 60..=head).flat_map(|tick| (0..60).map(move |n| (tick, n))).collect();
    let again = |(tick, node): &(i64, usize)| {
        let mut heard = heard(*tick, *node, &large);
        heard.counted.revision = 2;
        heard
    };
    let state = &mut *state;
    let joined = state.joined_for_test();
    for heard in open.iter().map(again) {
        joined.hear(heard, head);
    }
    let (refused, bytes) = state.heard_stats();
    assert!(refused > 1 && bytes <= 2 << 30, "{refused} {bytes}");
}

#[test]
fn what_is_too_old_too_new_or_from_too_many_is_refused_and_counted() {
    let mut cluster = Cluster::of(1);
    cluster.run_ticks(3);
    let head = cluster.whole.views.latest().tick;
    let mut state = cluster.nodes[0].shared.state.lock();
    let heard = |tick: i64, node: usize| Heard {
        node: format!("{node}").into(),
        counted: Counted { tick, revision: 1, summary: Arc::default() },
    };
    state.hear(vec![heard(head - 400, 1), heard(head + 60, 1), heard(head, 1)], head);
    assert_eq!(state.heard_stats().0, 2);
    state.hear((1..100).map(|node| heard(head, node)).collect(), head);
    assert_eq!(state.heard_stats().0, 2 + 99 - 63);
    assert_eq!(state.nodes_at(head).reporting, 64);
}
