//! Expressions: what they match, where a bad one is wrong, and that what is written reads back.

use proptest::prelude::*;

use super::*;
use crate::event::{EventBatch, Row};

fn routes() -> Normaliser {
    Normaliser::new(true, &["/user/:name"]).expect("right")
}

fn parse(text: &str) -> Filter {
    Filter::parse(text, &routes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn event(batch: &mut EventBatch, route: &str, kind: &str, user: &str, status: u16) {
    let (route, kind) = (batch.add_text(route), batch.add_text(kind));
    let site = batch.add_text("default");
    let user_id =
        if user.is_empty() { crate::event::Span::default() } else { batch.add_text(user) };
    batch.push(Row { kind, route, site, user_id, status, ..Row::default() });
}

#[test]
fn all_terms_must_hold() {
    let mut batch = EventBatch::default();
    event(&mut batch, "/checkout", "page_view", "ada", 503);
    event(&mut batch, "/checkout", "page_view", "", 200);
    event(&mut batch, "/shop/shoes", "error", "bob b", 0);
    event(&mut batch, "/user/:name", "a*b", "\"", 404);
    let cases = [
        ("", [true, true, true, true]),
        ("  ", [true, true, true, true]),
        ("route=/checkout", [true, true, false, false]),
        ("route=/checkout?a=b", [true, true, false, false]),
        ("route=/shop/*", [false, false, true, false]),
        ("route=/user/ada", [false, false, false, true]),
        ("route=* status=5xx", [true, false, false, false]),
        ("status=200", [false, true, false, false]),
        ("error=true", [true, false, true, false]),
        ("error=false", [false, true, false, true]),
        ("type=error", [false, false, true, false]),
        ("userId=\"bob b\"", [false, false, true, false]),
        ("userId=bob\\ b", [false, false, true, false]),
        ("userId=*", [true, false, true, true]),
        ("userId=\\\"", [false, false, false, true]),
        ("type=a\\*b", [false, false, false, true]),
        ("type=\"a\"*", [false, false, false, true]),
        ("type=\"a*\"", [false, false, false, true]),
        ("site=default status=503 route=/checkout", [true, false, false, false]),
        ("status=200 status=503", [false, false, false, false]),
        ("clientId=*", [false, false, false, false]),
    ];
    for (text, holds) in cases {
        let filter = parse(text);
        let got: Vec<bool> = batch.iter().map(|event| filter.matches(&event)).collect();
        assert_eq!(got, holds, "{text}");
    }
}

#[test]
fn the_same_events_have_the_same_text() {
    let cases = [
        ("status=5xx   route=/user/42?x", "route=/user/:name status=5xx"),
        ("route=/a/7 route=/a/8", "route=/a/:id"),
        ("route=/a/7/b*", "route=/a/:id/b*"),
        ("userId=\"a b\"", "userId=\"a b\""),
        ("userId=\"ab\"", "userId=ab"),
        ("type=\"a b\"*", "type=\"a b\"*"),
        ("error=true site=x", "site=x error=true"),
    ];
    for (text, canonical) in cases {
        assert_eq!(parse(text).to_string(), canonical, "{text}");
    }
    assert_eq!(parse("status=5xx").within_site("x").to_string(), "site=x status=5xx");
}

#[test]
fn a_mistake_is_named_with_its_column() {
    let cases = [
        ("rout=/a", 1, "`rout` is unknown; fields are"),
        ("status=500 user_id=x", 12, "did you mean `userId`?"),
        ("route", 6, "expected `=` after `route`"),
        ("route =/a", 6, "expected `=`"),
        ("=x", 1, "`` is unknown"),
        ("route=", 7, "the value is empty"),
        ("route=\"\"", 7, "the value is empty"),
        ("route=?x", 7, "empty once its query is cut"),
        ("route=\"/a", 7, "the quote is not closed"),
        ("route=/a\"b", 9, "a quote stands around"),
        ("route=\"/a\"b", 11, "expected a space after the quote"),
        ("route=/*/a", 9, "`*` may only end a value"),
        ("route=\"/*/a\"", 10, "`*` may only end a value"),
        ("route=/a\\", 9, "must be followed"),
        ("status=5x", 8, "status must be"),
        ("status=600", 8, "status must be"),
        ("status=6xx", 8, "status must be"),
        ("status=+200", 8, "status must be"),
        ("status=5*", 8, "status must be"),
        ("error=yes", 7, "error must be true or false"),
        ("type=é rout=1", 8, "`rout` is unknown"),
    ];
    for (text, column, message) in cases {
        let error = Filter::parse(text, &routes()).expect_err(text);
        assert_eq!(error.column, column, "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
    }
    let long = format!("route={}", "a".repeat(EXPR_BYTES));
    assert!(Filter::parse(&long, &routes()).is_err());
    let many = "status=500 ".repeat(TERMS_MAX + 1);
    assert!(Filter::parse(&many, &routes()).is_err());
}

proptest! {
    #[test]
    fn the_canonical_text_reads_back_as_the_same_filter(
        terms in proptest::collection::vec((0..6_usize, "\\PC{1,12}|[/a-z0-9*\"\\\\ ?]{1,12}", any::<bool>()), 0..8),
        status in proptest::option::of(100..600_u16),
        class in proptest::option::of(1..6_u16),
        error in proptest::option::of(any::<bool>()),
    ) {
        use std::fmt::Write as _;
        let mut text = String::new();
        for (field, value, prefix) in terms {
            let escaped: String = value.chars().flat_map(|c| ['\\', c]).collect();
            let star = if prefix { "*" } else { "" };
            let _ = write!(text, "{}={escaped}{star} ", TextField::ALL[field].name());
        }
        status.map(|status| write!(text, "status={status} "));
        class.map(|class| write!(text, "status={class}xx "));
        error.map(|error| write!(text, "error={error} "));
        if let Ok(filter) = Filter::parse(&text, &routes()) {
            let canonical = filter.to_string();
            let again = Filter::parse(&canonical, &routes());
            prop_assert_eq!(again.as_ref(), Ok(&filter), "{}", canonical);
            prop_assert_eq!(again.expect("parsed").to_string(), canonical);
        }
    }

    #[test]
    fn no_text_makes_the_parser_stumble(text in "\\PC{0,40}|[a-z=*\"\\\\ ]{0,40}") {
        let _ = Filter::parse(&text, &routes());
    }
}

#[test]
fn a_filter_on_another_site_is_known_as_such() {
    for (text, excluded) in [
        ("", false),
        ("route=/a status=5xx", false),
        ("site=shop", false),
        ("site=sh*", false),
        ("site=blog", true),
        ("site=shopping", true),
        ("route=/a site=blo*", true),
        ("site=shop site=blog", true),
    ] {
        assert_eq!(parse(text).excludes_site("shop"), excluded, "{text}");
    }
}
