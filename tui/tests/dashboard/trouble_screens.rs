//! What the dashboard says of several instances, and of a store, a clock or a journal that is not as
//! it should be: in the title, at the routes' lower edge, on the System screen. Nothing else on the
//! screen moves for it.

use std::sync::Arc;

use pulseboard_tui::cli::{Charts, ThemeName};
use pulseboard_tui::event::{Event, Feed};
use pulseboard_tui::input::{Input, Key};
use pulseboard_tui::state::{Effect, State};
use pulseboard_tui::theme::Depth;
use ratatui::style::Modifier;
use serde_json::{Value, json};

use crate::fixture::{NOW, WINDOWS, aggregate, frame, history, lines, live, look, picture, text};

const SIZES: [(u16, u16); 4] = [(60, 16), (80, 24), (100, 28), (160, 48)];

fn mongodb_away() -> Value {
    json!({"check": "store", "level": "degraded", "brief": "MongoDB away, 48 k events wait",
        "detail": "store.mongodb.uri: no member of the replica set answers since 14:01:12 (connection \
            refused); 48 k events (31 MB, 2 min) wait on disk and are stored when it is back"})
}

fn redis_gone() -> Value {
    json!({"check": "cluster", "level": "degraded", "brief": "Redis gone, own numbers only",
        "detail": "cluster.redis_url: Redis does not answer since 14:02:40; these are this \
            instance's own numbers until it is back"})
}

fn spool_full() -> Value {
    json!({"check": "journal", "level": "failed", "brief": "spool full",
        "detail": "the journal has reached limits.spool_bytes; events are refused meanwhile"})
}

/// With so many instances, and what is wrong.
fn with(size: (u16, u16), nodes: (u32, u32), notices: &[Value]) -> State {
    let mut state = live(size);
    state.update(told(NOW + 1, (3, 3), &[]), 2_000);
    for window in WINDOWS {
        let mut aggregate = aggregate(window, NOW + 2);
        aggregate["nodes"] = json!({"reporting": nodes.0, "expected": nodes.1});
        if !notices.is_empty() {
            aggregate["notices"] = notices.into();
        }
        state.update(frame(window, aggregate, None), 3_000);
    }
    state
}

fn told(tick: i64, nodes: (u32, u32), notices: &[Value]) -> Event {
    let mut aggregate = aggregate("5s", tick);
    aggregate["nodes"] = json!({"reporting": nodes.0, "expected": nodes.1});
    aggregate["notices"] = notices.into();
    frame("5s", aggregate, None)
}

fn figures(written: f64) -> Event {
    let metrics = json!({
        "pulseboard_store_lag_events": 48_210, "pulseboard_store_lag_bytes": 31_400_000,
        "pulseboard_store_lag_bytes_max": 8_589_934_592_u64, "pulseboard_store_lag_seconds": 132.4,
        "pulseboard_store_unwritten_aggregates": 14, "pulseboard_store_unwritten_seconds": 131.2,
        "pulseboard_store_write_seconds_sum": written / 1e4,
        "pulseboard_store_write_seconds_count": written / 1e2,
        "pulseboard_store_query_seconds_sum{query=\"events\"}": written / 1e5,
        "pulseboard_store_query_seconds_count{query=\"events\"}": written / 1e3,
        "pulseboard_claims_total{outcome=\"ours\"}": written / 5.0,
        "pulseboard_claims_total{outcome=\"pending\"}": 2,
        "pulseboard_claims_total{outcome=\"taken\"}": written / 2e3,
        "pulseboard_claims_total{outcome=\"lost\"}": 0,
        "pulseboard_claims_total{outcome=\"away\"}": written / 2.0,
        "pulseboard_claims_total{outcome=\"full\"}": 0,
        "pulseboard_claims_seconds_sum": written / 1e6,
        "pulseboard_claims_seconds_count": written / 1e3,
        "pulseboard_claims_conflicts_total": 3, "pulseboard_claims_unconfirmed": 48_210,
        "pulseboard_claims_held": 1_204_310, "pulseboard_claims_horizon_seconds": 86_465,
        "pulseboard_events_accepted_total": 1_000_000.0 + written,
        "pulseboard_events_duplicate_total": 12, "pulseboard_events_rejected_total{code=\"busy\"}": 3,
        "pulseboard_ingest_ack_seconds_sum": written / 1e4,
        "pulseboard_ingest_ack_seconds_count": written / 10.0,
        "pulseboard_journal_bytes": 1_240_000_000, "pulseboard_journal_events": 3_104_220,
        "pulseboard_journal_sync_seconds_sum": 1, "pulseboard_journal_sync_seconds_count": 1_000,
        "pulseboard_disk_free_bytes": 52_000_000_000_u64,
        "pulseboard_resident_memory_bytes": 121_000_000, "pulseboard_cpu_seconds_total": 40.0,
        "pulseboard_sockets": 3, "pulseboard_uptime_seconds": 12_000,
    });
    Event::Feed(Feed::Figures(Ok(Arc::new(serde_json::from_value(metrics).unwrap()))))
}

fn press(state: &mut State, key: Key) -> Option<Effect> {
    state.update(Event::Input(Input::Key(key)), 3_100).effect
}

fn check(name: &str, state: impl Fn((u16, u16)) -> State) {
    for size in SIZES {
        let name = format!("{name}-{}x{}", size.0, size.1);
        insta::assert_snapshot!(name, text(&state(size), size));
    }
}

#[test]
fn an_instance_that_does_not_report_is_counted_in_the_title() {
    check("two-of-three", |size| with(size, (2, 3), &[]));
}

#[test]
fn a_store_that_is_away_and_a_redis_that_is_gone_are_said_in_words() {
    check("both-away", |size| with(size, (1, 1), &[mongodb_away(), redis_gone()]));
}

#[test]
fn the_system_screen_says_it_in_full_with_the_figures() {
    check("system-both-away", |size| {
        let mut state = with(size, (1, 1), &[mongodb_away(), redis_gone()]);
        assert_eq!(press(&mut state, Key::Named("tab")), Some(Effect::Figures(true)));
        state.update(figures(100_000.0), 3_200);
        state.update(figures(102_500.0), 5_200);
        state
    });
}

#[test]
fn the_system_screen_of_a_daemon_that_is_well_says_so() {
    check("system-well", |size| {
        let mut state = with(size, (3, 3), &[]);
        press(&mut state, Key::Named("tab"));
        state
    });
}

#[test]
fn nothing_is_said_of_one_of_one() {
    for size in SIZES {
        let screen = text(&live(size), size);
        let title = screen.lines().next().unwrap();
        assert!(!title.contains(" of "), "{title}");
    }
}

#[test]
fn a_notice_that_comes_and_goes_moves_nothing_else() {
    let cells =
        |state: &State, size: (u16, u16)| picture(state, size, &look(Depth::True, Charts::Braille));
    let cases: [&[Value]; 3] = [&[redis_gone()], &[mongodb_away(), redis_gone()], &[spool_full()]];
    for size in SIZES {
        let before = cells(&with(size, (3, 3), &[]), size);
        for notices in cases {
            let after = cells(&with(size, (3, 3), notices), size);
            let words: Vec<&str> =
                notices.iter().map(|each| each["brief"].as_str().unwrap()).collect();
            let edge = lines(&before).lines().count() as u16 - 3;
            for y in 0..size.1 {
                for x in 0..size.0 {
                    let (was, is) = (&before[(x, y)], &after[(x, y)]);
                    // The title's free cells and an edge of the routes say it.
                    let is_free =
                        (y == 0 && was.symbol() == " ") || (y + 4 > edge && was.symbol() == "─");
                    assert!(
                        was == is || is_free,
                        "{words:?} at {x},{y} of {size:?}: {was:?} {is:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_word_of_what_is_wrong_can_be_read_in_every_size() {
    for size in SIZES {
        for notice in [mongodb_away(), redis_gone(), spool_full()] {
            let state = with(size, (3, 3), std::slice::from_ref(&notice));
            let screen = text(&state, size);
            assert!(screen.contains(notice["brief"].as_str().unwrap()), "{size:?}\n{screen}");
        }
        let mut state = with(size, (1, 1), &[mongodb_away(), redis_gone()]);
        press(&mut state, Key::Named("tab"));
        let screen = text(&state, size);
        for _ in 0..12 {
            press(&mut state, Key::Down);
        }
        let screen = format!("{screen}{}", text(&state, size));
        let flat: Vec<&str> = screen
            .split(|c: char| c.is_whitespace() || c == '│')
            .filter(|w| !w.is_empty())
            .collect();
        let flat = flat.join(" ");
        for notice in [mongodb_away(), redis_gone()] {
            assert!(flat.contains(notice["detail"].as_str().unwrap()), "{size:?}\n{screen}");
        }
    }
}

#[test]
fn without_colours_what_is_wrong_is_bold_and_marked() {
    let mut state = with((80, 24), (2, 3), &[spool_full()]);
    state.theme = ThemeName::Dark;
    let buffer = picture(&state, (80, 24), &look(Depth::None, Charts::Braille));
    let screen = lines(&buffer);
    for words in ["2 of 3 instances", "!! spool full"] {
        let y = screen.lines().position(|line| line.contains(words)).unwrap();
        let line = screen.lines().nth(y).unwrap();
        let x = line[..line.find(words).unwrap()].chars().count();
        assert!(buffer[(x as u16, y as u16)].modifier.contains(Modifier::BOLD), "{words}");
    }
}

#[test]
fn only_figures_that_stand_for_what_is_wrong_are_marked() {
    let otherwise = json!({"check": "store", "level": "degraded", "brief": "MongoDB set up otherwise",
        "detail": "the validator of events was changed"});
    let silent = json!({"check": "cluster", "level": "degraded", "brief": "daemon2 not heard",
        "detail": "2 of 3: daemon2 not heard for 3 s"});
    let cases: [(&str, f64, Value, Vec<&str>); 3] = [
        ("pulseboard_store_lag_seconds", 0.2, otherwise, vec![]),
        (
            "pulseboard_store_lag_seconds",
            12.0,
            mongodb_away(),
            vec!["to be stored", "oldest waits"],
        ),
        ("pulseboard_cluster_up", 1.0, silent, vec!["in the numbers"]),
    ];
    for (metric, value, notice, expected) in cases {
        let mut state = with((100, 40), (2, 3), &[notice]);
        let metrics = json!({"pulseboard_store_lag_events": 812, "pulseboard_cluster_up": 1,
            metric: value});
        let metrics = Arc::new(serde_json::from_value(metrics).unwrap());
        state.update(Event::Feed(Feed::Figures(Ok(metrics))), 3_200);
        let rows = pulseboard_tui::state::system::rows(&state);
        let marked: Vec<&str> =
            rows.iter().filter(|row| row.is_noticed).map(|row| row.name).collect();
        assert_eq!(marked, expected, "{metric} {value}");
    }
}

#[test]
fn figures_are_read_while_they_are_looked_at() {
    let mut state = with((80, 24), (3, 3), &[]);
    assert_eq!(press(&mut state, Key::Named("tab")), Some(Effect::Figures(true)));
    let refused = "the token sees one site; this needs one that sees all".to_owned();
    state.update(Event::Feed(Feed::Figures(Err(refused))), 3_200);
    assert!(text(&state, (80, 24)).contains("the token sees one site"));
    state.update(figures(1.0), 3_300);
    assert!(!text(&state, (80, 24)).contains("the token sees one site"));
    assert_eq!(press(&mut state, Key::Esc), Some(Effect::Figures(false)));
    assert!(text(&state, (80, 24)).contains("top routes"));
}

#[test]
fn the_figures_scroll_where_they_do_not_fit() {
    let mut state = with((60, 16), (3, 3), &[mongodb_away()]);
    press(&mut state, Key::Named("tab"));
    state.update(figures(1.0), 3_300);
    assert!(!text(&state, (60, 16)).contains("up for"));
    for _ in 0..40 {
        press(&mut state, Key::Down);
    }
    assert!(text(&state, (60, 16)).contains("up for"));
}

#[test]
fn charts_mark_the_seconds_that_lack_an_instance_without_a_colour_too() {
    let size = (100, 28);
    let mut state = live(size);
    let whole = text(&state, size);
    assert!(!whole.contains('×'), "{whole}");
    for tick in NOW + 1..=NOW + 40 {
        let nodes = if tick <= NOW + 30 { (1, 3) } else { (3, 3) };
        state.update(told(tick, nodes, &[]), 2_000);
    }
    for depth in [Depth::None, Depth::Sixteen, Depth::True] {
        for charts in [Charts::Braille, Charts::Block] {
            let drawn = lines(&picture(&state, size, &look(depth, charts)));
            assert_eq!(drawn.matches("× 1 of 3").count(), 4, "{drawn}");
            let axes: Vec<&str> = drawn.lines().filter(|line| line.contains(" now ")).collect();
            assert_eq!(axes.len(), 2, "{drawn}");
            assert!(axes.iter().all(|axis| axis.contains("××")), "{drawn}");
        }
    }
    // Where both fit the details stand beside it, and where one does it is the note.
    let heading = |size: (u16, u16), name: &str| {
        let mut resized = state.clone();
        resized.update(Event::Input(Input::Resize { width: size.0, height: size.1 }), 2_100);
        let drawn = text(&resized, size);
        let (_, heading) = drawn.split_once(name).expect("the chart is drawn");
        heading.split(" ─╮").next().unwrap_or_default().to_owned()
    };
    let wide = heading((160, 48), "latency p95, 5s");
    assert!(wide.contains("─ × 1 of 3 ─ p50 ") && wide.contains("p99 "), "{wide}");
    let events = heading((160, 48), "events/s, 5s");
    assert!(events.contains("─ × 1 of 3 instances ─ ") && events.contains(" events ─"), "{events}");
    let narrow = heading((80, 24), "latency p95, 5s");
    assert!(narrow.contains("× 1 of 3") && !narrow.contains("p99"), "{narrow}");
    // All that lacked somebody is made whole.
    let corrections = history("5s", NOW + 1, NOW + 30);
    let Event::Feed(Feed::Frame(mut mended)) = told(NOW + 41, (3, 3), &[]) else { unreachable!() };
    mended.corrections = Some(corrections);
    state.update(Event::Feed(Feed::Frame(mended)), 3_000);
    let drawn = text(&state, size);
    assert!(!drawn.contains('×'), "{drawn}");
}
