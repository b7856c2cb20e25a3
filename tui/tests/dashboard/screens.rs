//! Whole screens in every state and size, against the expected ones beside this file. After a
//! wanted change: `INSTA_UPDATE=always cargo test -p pulseboard-tui screens`, then look at the diff.

use pulseboard_tui::cli::{Charts, ThemeName};
use pulseboard_tui::event::{Event, Feed};
use pulseboard_tui::input::{Input, Key};
use pulseboard_tui::socket::Denial;
use pulseboard_tui::state::State;
use pulseboard_tui::theme::Depth;
use ratatui::style::{Color, Modifier};

use crate::fixture::{NOW, aggregate, first_run, frame, fresh, lines, live, look, picture, text};

const SIZES: [(u16, u16); 4] = [(80, 24), (60, 16), (100, 28), (160, 48)];

fn press(state: &mut State, key: Key, now_ms: u64) {
    state.update(Event::Input(Input::Key(key)), now_ms);
}

fn lose(state: &mut State, now_ms: u64) {
    let reason = "connection reset".to_owned();
    state.update(Event::Feed(Feed::Waiting { attempt: 3, reason, retry_ms: 1_800 }), now_ms);
}

fn check(name: &str, state: impl Fn((u16, u16)) -> State) {
    for size in SIZES {
        let name = format!("{name}-{}x{}", size.0, size.1);
        insta::assert_snapshot!(name, text(&state(size), size));
    }
}

#[test]
fn live_screens() {
    check("live", live);
}

#[test]
fn paused_screens_say_how_far_behind_they_are() {
    check("paused", |size| {
        let mut state = live(size);
        press(&mut state, Key::Char(' '), 1_500);
        state.update(frame("5s", aggregate("5s", NOW + 77), None), 78_000);
        state
    });
}

#[test]
fn reconnecting_screens_keep_the_picture_and_its_age() {
    check("reconnecting", |size| {
        let mut state = live(size);
        lose(&mut state, 2_000);
        state
    });
}

#[test]
fn first_run_screens_say_what_to_paste() {
    check("first-run", |size| first_run(size, "dev"));
}

#[test]
fn a_daemon_with_tokens_gets_a_line_with_a_token() {
    insta::assert_snapshot!("first-run-token-80x24", text(&first_run((80, 24), "ok"), (80, 24)));
}

#[test]
fn help_screens() {
    check("help", |size| {
        let mut state = live(size);
        press(&mut state, Key::Char('?'), 1_500);
        state
    });
}

#[test]
fn without_a_daemon_the_screen_says_where_it_looked_and_what_to_start() {
    check("no-daemon", |size| {
        let mut state = fresh(size);
        lose(&mut state, 1_000);
        state
    });
}

#[test]
fn a_refusal_says_which_command_mints_a_token() {
    let mut state = fresh((80, 24));
    let reason = "the token expired 3 minutes ago".to_owned();
    state.update(Event::Feed(Feed::Denied(Denial { reason, about_token: true })), 1_000);
    insta::assert_snapshot!("denied-80x24", text(&state, (80, 24)));
}

#[test]
fn the_moment_before_the_first_snapshot_has_its_layout() {
    insta::assert_snapshot!("connecting-80x24", text(&fresh((80, 24)), (80, 24)));
}

#[test]
fn too_small_screens_say_what_they_need() {
    insta::assert_snapshot!("too-small-50x10", text(&live((50, 10)), (50, 10)));
}

#[test]
fn no_size_makes_drawing_fail() {
    let mut helping = live((80, 24));
    press(&mut helping, Key::End, 1_000);
    let selected = helping.clone();
    press(&mut helping, Key::Char('?'), 1_000);
    let empty = first_run((80, 24), "ok");
    for width in (0..=30).chain(55..=64).chain([79, 80, 81, 100, 131, 132, 133, 159, 160, 250]) {
        for height in [0, 1, 2, 3, 10, 15, 16, 17, 23, 24, 25, 30, 60] {
            for state in [&helping, &selected, &empty] {
                text(state, (width, height));
            }
        }
    }
}

#[test]
fn block_charts_draw_the_same_picture_coarser() {
    let state = live((80, 24));
    let buffer = picture(&state, (80, 24), &look(Depth::True, Charts::Block));
    insta::assert_snapshot!("blocks-80x24", lines(&buffer));
}

#[test]
fn the_selected_route_is_named_in_full() {
    let mut state = live((80, 24));
    for _ in 0..6 {
        press(&mut state, Key::Down, 1_500);
    }
    insta::assert_snapshot!("selected-80x24", text(&state, (80, 24)));
}

#[test]
fn a_lagging_session_and_a_daemon_behind_say_so() {
    let mut state = live((100, 28));
    let mut late = aggregate("5s", NOW + 4);
    late["behindMs"] = serde_json::json!(2_300);
    let Event::Feed(Feed::Frame(mut lagged)) = frame("5s", late, None) else { unreachable!() };
    lagged.lagged = 3;
    state.update(Event::Feed(Feed::Frame(lagged)), 5_000);
    let title = text(&state, (100, 28)).lines().next().unwrap().to_owned();
    assert!(title.contains("lagging, 3 ticks merged"), "{title}");
    assert!(title.contains("counts 2,300 ms behind"), "{title}");
    state.update(Event::Time, 15_000);
    let title = text(&state, (100, 28)).lines().next().unwrap().to_owned();
    assert!(!title.contains("lagging"), "{title}");
    assert!(title.contains("no frame for 10 s"), "{title}");
}

#[test]
fn without_colours_marks_and_weight_carry_the_meaning() {
    let mut state = live((80, 24));
    state.theme = ThemeName::Dark;
    let buffer = picture(&state, (80, 24), &look(Depth::None, Charts::Braille));
    let coloured = buffer
        .content
        .iter()
        .filter(|cell| !matches!(cell.fg, Color::Reset) || !matches!(cell.bg, Color::Reset));
    assert_eq!(coloured.count(), 0);
    let screen = lines(&buffer);
    let row = screen.lines().position(|line| line.contains("/search")).unwrap();
    let line = screen.lines().nth(row).unwrap();
    let mark = line.chars().take_while(|character| *character != '!').count();
    assert!(line.contains("!!"), "{line}");
    assert!(buffer[(mark as u16, row as u16)].modifier.contains(Modifier::BOLD));
}

#[test]
fn a_lost_picture_is_dimmed_and_a_live_one_is_not() {
    let mut state = live((80, 24));
    let look = look(Depth::True, Charts::Braille);
    let coloured = |state: &State| {
        let buffer = picture(state, (80, 24), &look);
        let kinds: std::collections::HashSet<_> =
            (2..21).flat_map(|y| (0..80).map(move |x| (x, y))).map(|at| buffer[at].fg).collect();
        kinds.len()
    };
    assert!(coloured(&state) > 5);
    lose(&mut state, 2_000);
    assert_eq!(coloured(&state), 1);
}

/// Prints what drawing costs; a figure to look at, not to pass or fail by.
#[test]
fn drawing_160_by_48_is_measured() {
    let size = (160, 48);
    let look = look(Depth::True, Charts::Braille);
    let mut state = live(size);
    let mut terminal =
        ratatui::Terminal::new(ratatui::backend::TestBackend::new(size.0, size.1)).unwrap();
    let rounds = 100;
    let start = pulseboard_tui::clock::now();
    for round in 0..rounds {
        state.update(frame("5s", aggregate("5s", NOW + 1 + round), None), 2_000);
        terminal.draw(|frame| drop(pulseboard_tui::view::draw(frame, &state, &look))).unwrap();
    }
    let each = start.elapsed() / rounds as u32;
    println!("update and draw of 160 x 48: {:.2} ms each", each.as_secs_f64() * 1_000.0);
}
