//! The merge laws, and summaries as bytes.

use proptest::prelude::*;

use super::*;
use crate::event::{EventBatch, Row};
use crate::sketch::DecodeError;

/// An event as numbers, so that random ones shrink.
pub(crate) type Draw = (u8, u8, u16, u16, Option<u16>, u8);

pub(crate) fn draw() -> impl Strategy<Value = Draw> {
    let latency = prop::option::of(0..3_000u16);
    (0..40u8, 0..5u8, 0..900u16, 0..500u16, latency, 0..8u8)
}

pub(crate) fn batch(draws: &[Draw]) -> EventBatch {
    let mut batch = EventBatch::default();
    for (route, kind, user, session, latency, status) in draws {
        let row = Row {
            route: batch.add_text(&format!("/route/{route}")),
            kind: batch.add_text(&format!("kind{kind}")),
            user_id: batch.add_text(&format!("user{user}")),
            session_id: batch.add_text(&format!("session{session}")),
            status: [0, 101, 200, 302, 404, 500, 503, 599][usize::from(*status)],
            latency_ms: latency.map_or(f64::NAN, f64::from),
            ..Row::default()
        };
        batch.push(row);
    }
    batch
}

fn summary(draws: &[Draw]) -> TickSummary {
    let (mut summary, mut names) = (TickSummary::default(), Names::default());
    for event in batch(draws).iter() {
        summary.add(&event.into(), &mut names, usize::MAX);
    }
    summary
}

fn merged(parts: &[&TickSummary]) -> TickSummary {
    let mut all = TickSummary::default();
    for part in parts {
        all.merge(part);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn merging_is_associative_commutative_and_the_same_as_counting_all(
        a in prop::collection::vec(draw(), 0..500),
        b in prop::collection::vec(draw(), 0..60),
        c in prop::collection::vec(draw(), 0..60),
    ) {
        let whole = summary(&[a.clone(), b.clone(), c.clone()].concat());
        let (a, b, c) = (summary(&a), summary(&b), summary(&c));
        prop_assert_eq!(&merged(&[&merged(&[&a, &b]), &c]), &whole);
        prop_assert_eq!(&merged(&[&a, &merged(&[&b, &c])]), &whole);
        let other_way = merged(&[&c, &a, &b]);
        prop_assert_eq!(&other_way, &whole);
        prop_assert_eq!(other_way.routes.encode(), whole.routes.encode());
        prop_assert_eq!(&merged(&[&whole, &TickSummary::default()]), &whole);
        prop_assert_eq!(&merged(&[&TickSummary::default(), &whole]), &whole);
    }

    #[test]
    fn what_was_encoded_comes_back(draws in prop::collection::vec(draw(), 0..500)) {
        let whole = summary(&draws);
        let bytes = whole.encode();
        let back = TickSummary::decode(&bytes, &mut Names::default()).unwrap();
        prop_assert_eq!(&back, &whole);
        prop_assert_eq!(merged(&[&back, &back]), merged(&[&whole, &whole]));
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_but_never_panic(
        draws in prop::collection::vec(draw(), 0..40),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        let mut bytes = summary(&draws).encode();
        let at = at.index(bytes.len());
        prop_assert!(TickSummary::decode(&bytes[..at], &mut Names::default()).is_err());
        bytes[at] ^= with;
        let _ = TickSummary::decode(&bytes, &mut Names::default());
    }
}

#[test]
fn a_newer_version_is_refused() {
    let mut totals = Totals::default().encode();
    totals[0] += 1;
    let error = Totals::decode(&totals, &mut Names::default()).unwrap_err();
    assert_eq!(error, DecodeError::Newer { found: 2, known: 1 });
    let mut routes = RouteTable::default().encode();
    routes[0] += 1;
    let error = RouteTable::default().merge_encoded(&routes, &mut Names::default()).unwrap_err();
    assert_eq!(error, DecodeError::Newer { found: 2, known: 1 });
}

#[test]
fn a_tick_admits_so_many_routes_and_types_and_counts_the_rest() {
    let draws: Vec<Draw> = (0..240).map(|n| (n, n % 120, 0, 0, None, 5)).collect();
    let (mut tick, mut names) = (TickSummary::default(), Names::default());
    for event in batch(&draws).iter() {
        tick.add(&event.into(), &mut names, 200);
    }
    assert_eq!(tick.totals.events, 240);
    assert_eq!((tick.routes.rows().len(), tick.routes.other_events), (200, 40));
    assert_eq!(tick.routes.other_errors, 40);
    let types = tick.totals.types.sorted();
    assert_eq!(types.len(), 101);
    assert!(types.contains(&(&"other".into(), 40)));
    let twice = merged(&[&tick, &summary(&[(250, 0, 0, 0, None, 0)])]);
    assert_eq!(twice.routes.rows().len(), 201, "merging refuses no route");
}
