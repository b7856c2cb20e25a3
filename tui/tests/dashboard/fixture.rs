//! A daemon's words without a daemon: aggregates, history and frames for any tick, the same every
//! time.

use std::sync::Arc;

use jiff::tz::TimeZone;
use pulseboard::wire::server::{Aggregate, History, Welcome};
use pulseboard_tui::cli::{Charts, ThemeName};
use pulseboard_tui::event::{Event, Feed, Frame};
use pulseboard_tui::state::held::Held;
use pulseboard_tui::state::{Setup, State};
use pulseboard_tui::theme::Depth;
use pulseboard_tui::view::{Look, draw};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use serde_json::{Value, json};

/// 2025-11-23 14:03:27 UTC.
pub(crate) const NOW: i64 = 1_763_906_607;

pub(crate) const WINDOWS: [&str; 3] = ["1s", "5s", "60s"];

const ROUTES: [(&str, u64, f64, Option<f64>); 10] = [
    ("/", 310, 0.0, Some(18.2)),
    ("/checkout", 250, 0.021, Some(120.4)),
    ("/product/:id", 140, 0.004, Some(64.0)),
    ("/cart", 90, 0.0, None),
    ("/search", 60, 0.07, Some(1_840.0)),
    ("/api/v1/sessions/:id/refresh/of/every/token", 50, 0.0, Some(7.4)),
    ("/login", 40, 0.01, Some(42.0)),
    ("/static/app.js", 30, 0.0, Some(2.1)),
    ("/größe/日本語", 20, 0.0, Some(33.0)),
    ("/about", 10, 0.0, Some(12.0)),
];

/// A wave between 0 and 1, without trigonometry so that every machine agrees.
fn wave(tick: i64, period: i64) -> f64 {
    let place = tick.rem_euclid(period) as f64 / period as f64;
    1.0 - (2.0 * place - 1.0).powi(2)
}

pub(crate) fn events(tick: i64, seconds: i64) -> u64 {
    ((300.0 + 900.0 * wave(tick, 170) + 84.0 * wave(tick, 23)) * seconds as f64) as u64
}

pub(crate) fn aggregate(window: &str, tick: i64) -> Value {
    let seconds: i64 = window.trim_end_matches('s').parse().unwrap();
    let events = events(tick, seconds);
    let errors = events / if tick.rem_euclid(120) < 20 { 15 } else { 120 };
    let p95 = 60.0 + 40.0 * wave(tick, 90);
    let rows: Vec<Value> = ROUTES
        .iter()
        .map(|(route, share, error_rate, p95)| {
            let events = events * share / 1_020;
            let errors = (events as f64 * error_rate) as u64;
            let mut row = json!({"route": route, "events": events, "errors": errors,
                "errorRate": errors as f64 / events as f64});
            if let Some(p95) = p95 {
                row["p95"] = json!(p95);
            }
            row
        })
        .collect();
    json!({
        "window": window, "tick": tick, "from": (tick - seconds + 1) * 1_000, "to": (tick + 1) * 1_000,
        "events": events, "eventsPerSecond": events as f64 / seconds as f64,
        "activeUsers": 260 + (80.0 * wave(tick, 211)) as u64, "activeSessions": 300,
        "errors": errors, "errorRate": errors as f64 / events as f64,
        "statusClasses": {"2xx": events * 97 / 100, "3xx": events / 80, "4xx": events / 110, "5xx": errors},
        "types": {"page_view": events * 6 / 10, "api_call": events * 3 / 10, "click": events / 10},
        "latencyMs": {"count": events, "p50": p95 / 4.0, "p95": p95, "p99": p95 * 3.0, "max": 812.0},
        "topRoutes": rows, "otherRoutes": {"routes": 37, "events": events / 51, "errors": 0},
        "late": 2, "skewed": 0, "lastEventAt": tick * 1_000, "behindMs": 0,
        "nodes": {"reporting": 1, "expected": 1}
    })
}

pub(crate) fn empty_aggregate(window: &str, tick: i64) -> Value {
    let seconds: i64 = window.trim_end_matches('s').parse().unwrap();
    json!({
        "window": window, "tick": tick, "from": (tick - seconds + 1) * 1_000, "to": (tick + 1) * 1_000,
        "events": 0, "eventsPerSecond": 0.0, "activeUsers": 0, "activeSessions": 0, "errors": 0,
        "statusClasses": {}, "types": {}, "topRoutes": [],
        "otherRoutes": {"routes": 0, "events": 0, "errors": 0},
        "late": 0, "skewed": 0, "behindMs": 0, "nodes": {"reporting": 1, "expected": 1}
    })
}

/// History as the daemon sends it, with nobody up from 200 to 180 seconds ago.
pub(crate) fn history(window: &str, from: i64, to: i64) -> History {
    let mut history = History::default();
    for tick in from..=to {
        let known = !(NOW - 200..=NOW - 180).contains(&tick);
        let aggregate: Option<Aggregate> =
            known.then(|| serde_json::from_value(aggregate(window, tick)).unwrap());
        let latency = aggregate.as_ref().and_then(|aggregate| aggregate.latency_ms);
        history.tick.push(tick);
        history.events.push(aggregate.as_ref().map(|aggregate| aggregate.events));
        history.active_users.push(aggregate.as_ref().map(|aggregate| aggregate.active_users));
        history.errors.push(aggregate.as_ref().map(|aggregate| aggregate.errors));
        history.p50.push(latency.map(|latency| latency.p50));
        history.p95.push(latency.map(|latency| latency.p95));
        history.p99.push(latency.map(|latency| latency.p99));
    }
    history
}

pub(crate) fn welcome(auth: &str) -> Welcome {
    serde_json::from_value(json!({
        "protocol": 1, "node": "edge-1", "tick": NOW, "windows": WINDOWS, "auth": auth,
        "scope": "admin", "limits": {"publishBytes": 1 << 20, "rooms": 32}
    }))
    .unwrap()
}

pub(crate) fn frame(window: &str, aggregate: Value, history: Option<History>) -> Event {
    let aggregate: Aggregate = serde_json::from_value(aggregate).unwrap();
    let frame = Frame {
        window: window.into(),
        tick: aggregate.tick,
        aggregate,
        history,
        corrections: None,
        lagged: 0,
    };
    Event::Feed(Feed::Frame(Box::new(frame)))
}

/// Before anything was heard.
pub(crate) fn fresh(size: (u16, u16)) -> State {
    State::new(Setup {
        url: "http://edge-1:3000".into(),
        authority: "edge-1:3000".into(),
        window: "5s".into(),
        theme: ThemeName::Dark,
        size,
        start_unix_ms: 1_763_906_607_000,
    })
}

/// Connected, with a full picture of every window, ms 1,000 on its clock.
pub(crate) fn live(size: (u16, u16)) -> State {
    let mut state = fresh(size);
    state.update(Event::Feed(Feed::Welcome(Arc::new(welcome("dev")))), 1_000);
    for window in WINDOWS {
        let past = history(window, NOW - 299, NOW);
        state.update(frame(window, aggregate(window, NOW), Some(past)), 1_000);
    }
    state
}

/// Connected to a daemon nobody sent anything.
pub(crate) fn first_run(size: (u16, u16), auth: &str) -> State {
    let mut state = fresh(size);
    state.update(Event::Feed(Feed::Welcome(Arc::new(welcome(auth)))), 1_000);
    for window in WINDOWS {
        state.update(frame(window, empty_aggregate(window, NOW), None), 1_000);
    }
    state
}

/// A token that says it is for watching, minted so long before [`NOW`] and ending so long after,
/// seconds. Nobody signed it.
pub(crate) fn jwt(scope: &str, minted_ago: i64, ends_in: i64) -> String {
    let claims =
        json!({"sub": "wall-1", "scope": scope, "iat": NOW - minted_ago, "exp": NOW + ends_in});
    let part = |json: &Value| base64url(json.to_string().as_bytes());
    let header = part(&json!({"alg": "HS256", "typ": "JWT"}));
    format!("{header}.{}.{}Xy9Q", part(&claims), "s".repeat(39))
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..=chunk.len() {
            text.push(char::from(DIGITS[(group >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

/// Connected with a token that was minted an hour before its end, of which so much is left.
pub(crate) fn live_with_token(size: (u16, u16), ends_in_secs: i64) -> State {
    let mut state = fresh(size);
    let held = Held {
        tail: "Xy9Q".into(),
        ends_in_ms: Some(ends_in_secs * 1_000),
        lasts_ms: Some(3_600_000),
        from_file: false,
    };
    state.update(Event::Feed(Feed::Token(Some(held))), 1_000);
    state.update(Event::Feed(Feed::Welcome(Arc::new(welcome("ok")))), 1_000);
    for window in WINDOWS {
        let past = history(window, NOW - 299, NOW);
        state.update(frame(window, aggregate(window, NOW), Some(past)), 1_000);
    }
    state
}

pub(crate) fn look(depth: Depth, charts: Charts) -> Look {
    Look { depth, charts, zone: TimeZone::UTC }
}

pub(crate) fn picture(state: &State, size: (u16, u16), look: &Look) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| drop(draw(frame, state, look))).unwrap();
    terminal.backend().buffer().clone()
}

/// The screen as text, without blanks at the ends of lines.
pub(crate) fn text(state: &State, size: (u16, u16)) -> String {
    lines(&picture(state, size, &look(Depth::True, Charts::Braille)))
}

pub(crate) fn lines(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += (ratatui::text::Span::raw(symbol).width() as u16).max(1);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
