//! Made-up traffic is valid, repeatable by its seed, and has the story it tells.

use std::collections::{BTreeMap, HashSet};

use pulseboard::limits;
use pulseboard::wire::client::EventInput;

use super::*;

fn events(seed: u64, profile: Profile, count: usize, elapsed_ms: u64) -> Vec<EventInput> {
    let mut generator = Generator::new(seed, profile);
    (0..count)
        .map(|_| {
            let mut json = Vec::new();
            generator.next_event(elapsed_ms).write_json(&mut json);
            serde_json::from_slice(&json).unwrap()
        })
        .collect()
}

fn is_error(event: &EventInput) -> bool {
    event.kind == "error" || event.status.is_some_and(|status| status >= 500)
}

#[test]
fn every_event_keeps_to_the_contract_and_has_an_id_of_its_own() {
    let events = events(1, Profile::default(), 20_000, 0);
    let ids: HashSet<_> = events.iter().map(|event| event.event_id.clone().unwrap()).collect();
    assert_eq!(ids.len(), events.len());
    for event in &events {
        assert!(event.route.starts_with('/') && event.route.len() <= limits::ROUTE_BYTES);
        assert!(event.status.is_none_or(|status| (100..600).contains(&status)));
        assert!(event.latency_ms.is_none_or(|ms| (0.0..limits::LATENCY_MS_MAX).contains(&ms)));
        assert!(event.session_id.is_some() && event.client_id.is_some());
    }
}

#[test]
fn one_seed_always_makes_the_same_traffic_and_another_makes_other() {
    let text = |seed| format!("{:?}", events(seed, Profile::default(), 500, 0));
    assert_eq!(text(7), text(7));
    assert_ne!(text(7), text(8));
}

#[test]
fn the_error_rate_is_the_one_asked_for() {
    for rate in [0.0, 0.05, 1.0] {
        let profile = Profile { error_rate: rate, ..Profile::default() };
        let events = events(3, profile, 40_000, 0);
        let share = events.iter().filter(|e| is_error(e)).count() as f64 / events.len() as f64;
        assert!((share - rate).abs() < 0.006, "asked {rate}, got {share}");
    }
}

#[test]
fn a_few_routes_take_most_requests_and_every_route_occurs() {
    let profile = Profile { routes: 300, ..Profile::default() };
    let mut counts = BTreeMap::<String, usize>::new();
    for event in events(4, profile, 60_000, 0) {
        let route = event.route.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        *counts.entry(route).or_default() += 1;
    }
    assert_eq!(counts.len(), 300);
    let mut counts: Vec<_> = counts.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    assert!(counts[..30].iter().sum::<usize>() > 30_000);
}

#[test]
fn as_many_routes_as_asked_for_have_names_of_their_own() {
    let names: HashSet<_> = catalogue::routes(100_000).into_iter().map(|r| r.path).collect();
    assert_eq!(names.len(), 100_000);
    assert!(names.iter().all(|name| name.len() <= limits::ROUTE_BYTES));
}

#[test]
fn in_a_spell_only_the_route_in_trouble_fails() {
    let profile = Profile { story: true, error_rate: 0.01, ..Profile::default() };
    let share = |of: &dyn Fn(&EventInput) -> bool| {
        let events: Vec<_> = events(5, profile, 60_000, 50_000).into_iter().filter(of).collect();
        events.iter().filter(|e| is_error(e)).count() as f64 / events.len() as f64
    };
    assert!(share(&|e| e.route == "/checkout") > 0.3);
    assert!(share(&|e| e.route != "/checkout") < 0.02);
}

#[test]
fn an_id_can_be_replaced_in_a_prepared_body() {
    let mut generator = Generator::new(6, Profile::default());
    let mut body = b"before ".to_vec();
    let at = generator.next_event(0).write_json(&mut body);
    let id = generator.next_id();
    body[at.clone()].copy_from_slice(&id.to_text());
    assert_eq!(&body[at], format!("{:016x}{:016x}", id.run, id.number).as_bytes());
    assert!(serde_json::from_slice::<EventInput>(&body[7..]).is_ok());
}
