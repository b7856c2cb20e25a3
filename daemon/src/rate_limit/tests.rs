//! Rates on a clock that the test sets.

use std::net::{Ipv4Addr, Ipv6Addr};

use pulseboard::claims::Scopes;

use super::*;

const NOW_MS: i64 = 1_763_884_800_000;

fn limits(clock: &Clock) -> RateLimits {
    RateLimits::new(Limits::default(), clock.clone())
}

fn grant(subject: &str, rate: Option<u32>) -> Arc<Grant> {
    Arc::new(Grant {
        subject: subject.into(),
        scopes: Scopes::ALL,
        site: None,
        rate: rate.and_then(NonZeroU32::new),
        expires_ms: None,
    })
}

fn calls_taken(rates: &RateLimits, who: Who<'_>, tries: u32) -> u32 {
    (0..tries).filter(|_| rates.call(who).is_ok()).count() as u32
}

#[test]
fn a_hundred_calls_pass_and_then_one_every_six_hundred_ms() {
    let clock = Clock::manual(NOW_MS);
    let rates = limits(&clock);
    let ada = Who::Subject("ada");
    for left in (0..100).rev() {
        let standing = rates.call(ada).unwrap().unwrap();
        assert_eq!((standing.quota, standing.remaining), (100, left));
    }
    let refused = Exceeded::Rate { limit: Limit::ApiPerMinute, quota: 100, retry_after_ms: 600 };
    assert_eq!(rates.call(ada), Err(refused));
    assert!(rates.call(Who::Subject("bob")).is_ok(), "others are not in it");
    clock.set_ms(NOW_MS + 599);
    assert!(rates.call(ada).is_err());
    clock.set_ms(NOW_MS + 600);
    assert_eq!(calls_taken(&rates, ada, 2), 1);
}

#[test]
fn addresses_are_told_apart_by_all_of_ipv4_and_half_of_ipv6() {
    let rates = limits(&Clock::manual(NOW_MS));
    let v4 = |last| Who::Address(Ipv4Addr::new(192, 0, 2, last).into());
    let mapped = Who::Address(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().into());
    let v6 = |net, host| Who::Address(Ipv6Addr::new(0x2001, 0xdb8, 0, net, 0, 0, 0, host).into());
    assert_eq!(calls_taken(&rates, v4(1), 101), 100);
    assert_eq!(calls_taken(&rates, mapped, 1), 0);
    assert_eq!(calls_taken(&rates, v4(2), 101), 100);
    assert_eq!(calls_taken(&rates, v6(1, 1), 60), 60);
    assert_eq!(calls_taken(&rates, v6(1, 2), 60), 40);
    assert_eq!(calls_taken(&rates, v6(2, 1), 60), 60);
    assert_eq!(calls_taken(&rates, Who::Subject("192.0.2.1"), 1), 1);
}

#[test]
fn a_token_sends_its_rate_and_a_batch_over_it_never_fits() {
    let clock = Clock::manual(NOW_MS);
    let rates = limits(&clock);
    let budget = rates.events(&grant("shop", None));
    assert_eq!(budget.charge(9_000).unwrap().unwrap().remaining, 1_000);
    let refused =
        Exceeded::Rate { limit: Limit::IngestEventsPerSecond, quota: 10_000, retry_after_ms: 500 };
    assert_eq!(budget.charge(6_000), Err(refused));
    assert!(budget.charge(1_000).is_ok(), "what was refused took nothing");
    clock.set_ms(NOW_MS + 1_000);
    let too_large = Exceeded::Burst { limit: Limit::IngestEventsPerSecond, burst: 10_000 };
    assert_eq!(budget.charge(10_001), Err(too_large));
    assert!(budget.charge(10_000).is_ok());
    let own = rates.events(&grant("sensor", Some(5)));
    assert_eq!(own.events_per_second(), Some(5));
    assert!(own.charge(5).is_ok() && own.charge(1).is_err());
}

#[test]
fn two_connections_of_one_subject_share_its_budget() {
    let rates = limits(&Clock::manual(NOW_MS));
    let (one, other) = (rates.events(&grant("a", Some(10))), rates.events(&grant("a", Some(10))));
    assert!(one.charge(6).is_ok());
    assert!(other.charge(6).is_err());
    assert!(rates.events(&grant("b", Some(10))).charge(6).is_ok());
}

#[test]
fn a_socket_has_a_bucket_of_its_own_unless_its_token_has_a_rate() {
    let clock = Clock::manual(NOW_MS);
    let rates = limits(&clock);
    let token = grant("page", None);
    let socket = rates.socket(&token, None);
    assert_eq!(socket.events_per_second(), Some(50));
    let too_large = Exceeded::Burst { limit: Limit::SocketEventsPerSecond, burst: 100 };
    assert_eq!(socket.charge(101), Err(too_large));
    assert!(socket.charge(100).is_ok());
    let refused =
        Exceeded::Rate { limit: Limit::SocketEventsPerSecond, quota: 50, retry_after_ms: 20 };
    assert_eq!(socket.charge(1), Err(refused));
    assert!(rates.socket(&token, None).charge(100).is_ok(), "another socket");
    let renewed = rates.socket(&grant("page", None), Some(&socket));
    assert!(renewed.charge(1).is_err(), "a renewed token does not fill the bucket");
    let own = rates.socket(&grant("bulk", Some(5_000)), Some(&socket));
    assert!(own.charge(5_000).is_ok());
    let rest = rates.events(&token).charge(1).unwrap().unwrap();
    assert_eq!(rest.remaining, 10_000 - 201, "what sockets refused was given back");
}

#[test]
fn other_limits_hold_at_once_and_keep_the_share_that_was_used() {
    let rates = limits(&Clock::manual(NOW_MS));
    let budget = rates.socket(&grant("a", None), None);
    assert!(budget.charge(100).is_ok());
    let ada = Who::Subject("ada");
    assert_eq!(calls_taken(&rates, ada, 60), 60);
    let ten = NonZeroU32::new(10).unwrap();
    rates.reload(Limits { api_per_minute: ten, socket_events_burst: ten, ..Limits::default() });
    assert_eq!(calls_taken(&rates, ada, 60), 4, "60 % was used");
    assert!(matches!(budget.charge(11), Err(Exceeded::Burst { burst: 10, .. })));
}

#[test]
fn in_dev_mode_nothing_is_counted() {
    let rates = RateLimits::default();
    assert_eq!(rates.call(Who::Subject("a")), Ok(None));
    let budget = rates.socket(&grant("a", Some(1)), None);
    assert_eq!((budget.charge(u32::MAX), budget.events_per_second()), (Ok(None), None));
}

#[test]
fn a_million_addresses_leave_memory_flat_and_whoever_is_known_keeps_their_bucket() {
    let clock = Clock::manual(NOW_MS);
    let rates = limits(&clock);
    let innocent = Who::Address(Ipv4Addr::new(203, 0, 113, 7).into());
    assert_eq!(calls_taken(&rates, innocent, 40), 40);
    for n in 0..1_000_000_u32 {
        let _ = rates.call(Who::Address(Ipv4Addr::from(0x0a00_0000 + n).into()));
    }
    let inner = rates.0.as_ref().unwrap();
    assert_eq!(rates.remembered(), Table::KEYS_MAX);
    let table = &inner.strangers;
    assert!(table.heap_bytes() < 4 << 20, "{} bytes", table.heap_bytes());
    assert_eq!(calls_taken(&rates, innocent, 100), 60);
    // Those who come new now share 16 buckets, long empty.
    let late = Who::Address(Ipv4Addr::new(203, 0, 113, 8).into());
    assert!(rates.call(late).is_err());
    assert!(rates.call(Who::Subject("late")).is_ok(), "a token has room of its own");

    clock.set_ms(NOW_MS + 61_000);
    assert_eq!(calls_taken(&rates, late, 100), 100, "room is made at once");
    rates.prune();
    assert_eq!(rates.remembered(), 1);
    assert!(table.heap_bytes() < 64 << 10, "{} bytes", table.heap_bytes());
}

#[test]
fn the_smallest_and_the_largest_rates_work() {
    let rates = limits(&Clock::manual(0));
    assert!(rates.events(&grant("a", Some(1))).charge(1).is_ok());
    let huge = rates.events(&grant("b", Some(u32::MAX)));
    assert!(huge.charge(u32::MAX).is_ok());
    assert!(huge.charge(u32::MAX).is_err());
}
