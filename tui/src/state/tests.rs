//! The state as input changes it: frames, pauses, losses, keys, clicks.

use serde_json::json;

use super::*;
use crate::input::{Input, Key, Spot};
use crate::state::routes::Column;

const TICK: i64 = 1_763_906_607;

fn fresh() -> State {
    State::new(Setup {
        url: "http://h:1".into(),
        authority: "h:1".into(),
        window: "5s".into(),
        theme: ThemeName::Dark,
        size: (80, 24),
        start_unix_ms: 1_763_906_607_000,
    })
}

fn welcome(windows: &[&str]) -> Event {
    let welcome = serde_json::from_value(json!({
        "protocol": 1, "node": "n", "tick": TICK, "windows": windows, "auth": "dev",
        "scope": "admin", "limits": {"publishBytes": 1, "rooms": 32}
    }))
    .unwrap();
    Event::Feed(Feed::Welcome(Arc::new(welcome)))
}

fn frame(window: &str, tick: i64, events: u64) -> Event {
    let aggregate = serde_json::from_value(json!({
        "window": window, "tick": tick, "from": (tick - 4) * 1000, "to": (tick + 1) * 1000,
        "events": events, "eventsPerSecond": events as f64 / 5.0, "activeUsers": 1,
        "activeSessions": 1, "errors": 0, "statusClasses": {}, "types": {},
        "topRoutes": [
            {"route": "/a", "events": 5, "errors": 0, "errorRate": 0.0, "p95": 9.0},
            {"route": "/b", "events": 3, "errors": 3, "errorRate": 1.0},
            {"route": "/c", "events": 1, "errors": 0, "errorRate": 0.0, "p95": 90.0}
        ],
        "otherRoutes": {"routes": 0, "events": 0, "errors": 0}, "late": 0, "skewed": 0,
        "lastEventAt": 1, "behindMs": 0, "nodes": {"reporting": 1, "expected": 1}
    }))
    .unwrap();
    let frame = Frame {
        window: window.into(),
        tick,
        aggregate,
        history: None,
        corrections: None,
        lagged: 0,
    };
    Event::Feed(Feed::Frame(Box::new(frame)))
}

fn live() -> State {
    let mut state = fresh();
    state.update(welcome(&["1s", "5s", "60s"]), 1_000);
    for window in ["1s", "5s", "60s"] {
        state.update(frame(window, TICK, 10), 1_000);
    }
    state
}

fn press(state: &mut State, key: Key, now_ms: u64) -> Reaction {
    state.update(Event::Input(Input::Key(key)), now_ms)
}

fn notice(state: &State) -> &str {
    state.notice.as_ref().map_or("", |notice| &notice.text)
}

fn shown_events(state: &State) -> u64 {
    state.shown().unwrap().aggregate.as_ref().unwrap().events
}

#[test]
fn a_key_without_a_meaning_says_so_for_two_seconds() {
    let mut state = live();
    press(&mut state, Key::Char('x'), 5_000);
    assert_eq!(notice(&state), "x does nothing here; ? shows the keys");
    let due = state.deadline_ms().unwrap();
    assert!(due <= 7_000);
    state.update(Event::Time, 6_999);
    assert!(state.notice.is_some());
    state.update(Event::Time, 7_000);
    assert!(state.notice.is_none());
}

#[test]
fn every_key_that_is_drawn_does_something() {
    let paused = {
        let mut state = live();
        press(&mut state, Key::Char(' '), 1_000);
        state
    };
    let compact = {
        let mut state = live();
        state.update(Event::Input(Input::Resize { width: 60, height: 16 }), 1_000);
        state
    };
    let lost = {
        let mut state = live();
        let reason = String::new();
        state.update(Event::Feed(Feed::Waiting { attempt: 2, reason, retry_ms: 1_000 }), 1_000);
        state
    };
    let system = {
        let mut state = live();
        press(&mut state, Key::Named("tab"), 1_000);
        state
    };
    for state in [fresh(), live(), paused, compact, lost, system] {
        for binding in keys::of_screen(&state).into_iter().chain(keys::everywhere(&state)) {
            for name in binding.keys.split(' ') {
                let pressed: Vec<Key> = match name {
                    "space" => vec![Key::Char(' ')],
                    "esc" => vec![Key::Esc],
                    "tab" => vec![Key::Named("tab"), Key::Named("shift-tab")],
                    "↑↓" => vec![Key::Up, Key::Down, Key::Char('j'), Key::Home, Key::End],
                    name => name.chars().map(Key::Char).collect(),
                };
                for key in pressed {
                    let mut state = state.clone();
                    press(&mut state, key, 1_000);
                    assert!(!notice(&state).contains("nothing"), "{name}: {}", notice(&state));
                }
            }
        }
    }
}

#[test]
fn pausing_holds_every_window_and_going_live_shows_what_came_meanwhile() {
    let mut state = live();
    press(&mut state, Key::Char(' '), 1_000);
    for window in ["1s", "5s", "60s"] {
        state.update(frame(window, TICK + 7, 99), 8_000);
    }
    assert_eq!(shown_events(&state), 10);
    assert_eq!(state.behind_secs(), Some(7));
    press(&mut state, Key::Char('1'), 8_000);
    assert_eq!(shown_events(&state), 10, "the other window is held too");
    press(&mut state, Key::Char('g'), 8_000);
    assert_eq!(shown_events(&state), 99);
    assert_eq!(state.behind_secs(), None);
}

#[test]
fn only_the_window_in_view_makes_it_draw() {
    let mut state = live();
    assert!(state.update(frame("5s", TICK + 1, 1), 2_000).redraw);
    assert!(!state.update(frame("60s", TICK + 1, 1), 2_000).redraw);
    assert!(!state.update(frame("7m", TICK + 1, 1), 2_000).redraw);
}

#[test]
fn the_wanted_window_is_chosen_and_a_missing_one_is_named() {
    assert_eq!(live().window(), 1);
    let mut state = fresh();
    state.update(welcome(&["1s", "10s"]), 1_000);
    assert_eq!(state.window(), 0);
    assert!(notice(&state).contains("no window 5s"), "{}", notice(&state));
}

#[test]
fn a_new_connection_keeps_the_pictures_it_had() {
    let mut state = live();
    press(&mut state, Key::Char('3'), 1_000);
    let reason = "connection reset".to_owned();
    state.update(Event::Feed(Feed::Waiting { attempt: 2, reason, retry_ms: 900 }), 2_000);
    assert_eq!(state.retry_in_secs(), Some(1));
    state.update(welcome(&["1s", "5s", "60s"]), 3_000);
    assert_eq!(state.link, Link::Live);
    assert_eq!(state.window(), 2);
    assert_eq!(shown_events(&state), 10);
}

#[test]
fn silence_is_noticed_by_the_second() {
    let mut state = live();
    assert_eq!(state.deadline_ms(), Some(4_000));
    state.update(Event::Time, 4_000);
    assert_eq!(state.stale_secs(), Some(3));
    assert_eq!(state.deadline_ms(), Some(5_000));
    state.update(frame("5s", TICK + 1, 1), 4_500);
    assert_eq!(state.stale_secs(), None);
}

#[test]
fn the_selection_follows_its_route_when_the_order_changes() {
    let mut state = live();
    press(&mut state, Key::Down, 1_000);
    press(&mut state, Key::Char('j'), 1_000);
    assert_eq!(state.routes.selected.as_deref(), Some("/b"));
    press(&mut state, Key::Char('s'), 1_000);
    assert_eq!(state.routes.column, Column::Errors);
    let aggregate = state.shown().unwrap().aggregate.clone().unwrap();
    let rows = state.routes.rows(&aggregate);
    assert_eq!(state.routes.place(&rows), Some(0));
    state.update(Event::Input(Input::Click(Spot::Row(2))), 1_000);
    assert_eq!(state.routes.selected.as_deref(), Some("/c"));
    press(&mut state, Key::Esc, 1_000);
    assert_eq!(state.routes.selected, None);
}

#[test]
fn demo_traffic_is_for_dev_mode_alone() {
    let mut state = live();
    assert_eq!(press(&mut state, Key::Char('d'), 1_000).effect, Some(Effect::Demo(true)));
    assert_eq!(press(&mut state, Key::Char('d'), 1_000).effect, Some(Effect::Demo(false)));
    let mut welcome = (*state.welcome.clone().unwrap()).clone();
    welcome.auth = AuthState::Ok;
    state.update(Event::Feed(Feed::Welcome(Arc::new(welcome))), 1_000);
    assert_eq!(press(&mut state, Key::Char('d'), 1_000).effect, None);
    assert!(notice(&state).contains("dev mode"), "{}", notice(&state));
}

#[test]
fn a_clock_that_went_back_voids_what_came_after() {
    let mut state = live();
    state.update(frame("5s", TICK - 100, 3), 2_000);
    let picture = state.shown().unwrap();
    assert_eq!(picture.tick(), Some(TICK - 100));
    assert_eq!(picture.series.last(), Some(TICK - 100));
}
