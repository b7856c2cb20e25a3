//! Screens where a token is needed, refused, about to end or given: in every size, and that nothing
//! of a token is ever drawn but its last characters.

use std::sync::Arc;

use pulseboard_tui::cli::{Charts, ThemeName};
use pulseboard_tui::event::{Event, Feed};
use pulseboard_tui::input::{Input, Key, Pasted};
use pulseboard_tui::socket::Denial;
use pulseboard_tui::state::{Effect, Reaction, State};
use pulseboard_tui::theme::Depth;
use ratatui::style::{Color, Modifier};

use crate::fixture::{fresh, jwt, lines, live, live_with_token, look, picture, text, welcome};

const SIZES: [(u16, u16); 3] = [(80, 24), (60, 16), (160, 48)];
const NO_TOKEN: &str = "it asks for a token, and none was given";
const EXPIRED: &str = "the token has expired; connect again with a new one";

fn press(state: &mut State, key: Key) -> Reaction {
    state.update(Event::Input(Input::Key(key)), 2_000)
}

fn paste(state: &mut State, text: &str) -> Reaction {
    state.update(Event::Input(Input::Paste(Pasted(text.to_owned()))), 2_000)
}

fn deny(state: &mut State, reason: &str) {
    let denial = Denial { reason: reason.to_owned(), about_token: true };
    state.update(Event::Feed(Feed::Denied(denial)), 2_000);
}

fn check(name: &str, state: impl Fn((u16, u16)) -> State) {
    for size in SIZES {
        let name = format!("{name}-{}x{}", size.0, size.1);
        insta::assert_snapshot!(name, text(&state(size), size));
    }
}

#[test]
fn a_daemon_that_asks_for_a_token_opens_the_field() {
    check("token-needed", |size| {
        let mut state = fresh(size);
        deny(&mut state, NO_TOKEN);
        state
    });
}

#[test]
fn a_pasted_token_is_dots_and_says_what_it_is_for() {
    check("token-pasted", |size| {
        let mut state = fresh(size);
        deny(&mut state, NO_TOKEN);
        paste(&mut state, &jwt("read", 60, 89 * 86_400 + 3_600));
        state
    });
}

#[test]
fn after_the_end_the_picture_stays_grey_and_the_field_asks() {
    check("token-ended", |size| {
        let mut state = live_with_token(size, 1);
        deny(&mut state, EXPIRED);
        state
    });
}

#[test]
fn a_token_that_nears_its_end_is_spoken_of_quietly() {
    check("token-ending", |size| live_with_token(size, 270));
    let long = text(&live_with_token((80, 24), 3_000), (80, 24));
    assert!(!long.contains("token ends"), "{long}");
}

#[test]
fn renewing_keeps_the_picture_behind_the_field() {
    check("token-renewing", |size| {
        let mut state = live_with_token(size, 270);
        press(&mut state, Key::Char('T'));
        state
    });
}

#[test]
fn a_refused_token_says_why_beside_the_field() {
    let mut state = fresh((80, 24));
    deny(&mut state, NO_TOKEN);
    paste(&mut state, &jwt("read", 60, 3_600));
    press(&mut state, Key::Named("enter"));
    insta::assert_snapshot!("token-sent-80x24", text(&state, (80, 24)));
    deny(
        &mut state,
        "the token's signature does not fit the daemon's key; mint it with its secret",
    );
    insta::assert_snapshot!("token-refused-80x24", text(&state, (80, 24)));
}

#[test]
fn a_token_that_cannot_watch_or_has_ended_is_told_so_before_it_is_sent() {
    let mut state = fresh((80, 24));
    deny(&mut state, NO_TOKEN);
    paste(&mut state, &jwt("ingest", 7_200, -3_600));
    insta::assert_snapshot!("token-unfit-80x24", text(&state, (80, 24)));
    assert_eq!(press(&mut state, Key::Named("enter")).effect, None);
    let screen = text(&state, (80, 24));
    assert!(screen.contains("watching needs the scope read"), "{screen}");
}

#[test]
fn nothing_of_a_token_is_drawn_but_its_last_characters() {
    let token = jwt("read", 60, 3_600);
    let mut state = fresh((160, 48));
    deny(&mut state, NO_TOKEN);
    // Typed, as terminals without bracketed paste send it.
    for character in token.chars() {
        press(&mut state, Key::Char(character));
        let screen = text(&state, (160, 48));
        let field = screen.lines().find(|line| line.contains('▸')).unwrap();
        let shown = field.trim_matches([' ', '│', '▸', '•']);
        assert!(shown.is_empty() || shown.ends_with("paste it here"), "{screen}");
    }
    paste(&mut state, &token);
    let screen = text(&state, (160, 48));
    assert!(screen.contains("•Xy9Q") && !screen.contains("sXy9Q"), "{screen}");
    let sent = press(&mut state, Key::Named("enter"));
    assert!(matches!(&sent.effect, Some(Effect::Token(sent)) if sent.expose() == token));
    assert!(!format!("{state:?} {sent:?}").contains(&token[..20]));
}

#[test]
fn a_taken_token_closes_the_field_and_the_picture_is_live() {
    let mut state = live_with_token((80, 24), 1);
    deny(&mut state, EXPIRED);
    paste(&mut state, &jwt("read", 60, 3_600));
    press(&mut state, Key::Named("enter"));
    state.update(Event::Feed(Feed::Connecting { attempt: 1 }), 2_100);
    assert!(state.field.is_some(), "it is still being tried");
    state.update(Event::Feed(Feed::Welcome(Arc::new(welcome("ok")))), 2_200);
    assert!(state.field.is_none() && state.shown().is_some());
    let screen = text(&state, (80, 24));
    assert!(screen.contains("● live") && screen.contains("the token was taken"), "{screen}");
}

#[test]
fn a_field_that_nobody_used_closes_when_the_way_opens_by_itself() {
    let mut state = live_with_token((80, 24), 1);
    deny(&mut state, EXPIRED);
    assert!(state.field.is_some());
    state.update(Event::Feed(Feed::Connecting { attempt: 1 }), 2_100);
    state.update(Event::Feed(Feed::Welcome(Arc::new(welcome("ok")))), 2_200);
    assert!(state.field.is_none());
}

#[test]
fn a_failed_renewal_says_that_the_token_before_goes_on() {
    let mut state = live_with_token((80, 24), 270);
    press(&mut state, Key::Char('T'));
    paste(&mut state, &jwt("read", 60, 3_600));
    press(&mut state, Key::Named("enter"));
    let reason = "the token's signature does not fit".to_owned();
    state.update(Event::Feed(Feed::TokenRefused { reason }), 2_100);
    state.update(Event::Feed(Feed::Connecting { attempt: 1 }), 2_100);
    state.update(Event::Feed(Feed::Welcome(Arc::new(welcome("ok")))), 2_200);
    let screen = text(&state, (80, 24));
    assert!(screen.contains("the token before goes on"), "{screen}");
}

#[test]
fn esc_leaves_the_field_and_a_paste_brings_it_back() {
    let mut state = fresh((80, 24));
    deny(&mut state, NO_TOKEN);
    press(&mut state, Key::Char('q'));
    assert!(state.field.is_some(), "letters are letters in a field");
    press(&mut state, Key::Esc);
    assert!(state.field.is_none());
    insta::assert_snapshot!("token-left-80x24", text(&state, (80, 24)));
    paste(&mut state, &jwt("read", 60, 3_600));
    assert!(state.field.is_some());
    assert_eq!(press(&mut state, Key::Ctrl('c')).effect, Some(Effect::Quit));
}

#[test]
fn in_dev_mode_there_is_no_field() {
    let mut state = live((80, 24));
    press(&mut state, Key::Char('T'));
    assert!(state.field.is_none());
    let screen = text(&state, (80, 24));
    assert!(screen.contains("it asks for no token"), "{screen}");
}

#[test]
fn without_colours_and_with_sixteen_the_field_can_be_told() {
    for depth in [Depth::None, Depth::Sixteen] {
        let mut state = live_with_token((80, 24), 1);
        state.theme = ThemeName::Terminal;
        deny(&mut state, EXPIRED);
        paste(&mut state, &jwt("read", 60, 3_600));
        let buffer = picture(&state, (80, 24), &look(depth, Charts::Block));
        assert_eq!(lines(&buffer), {
            let full = picture(&state, (80, 24), &look(Depth::True, Charts::Block));
            lines(&full)
        });
        let cursor = buffer
            .content
            .iter()
            .filter(|cell| cell.modifier.contains(Modifier::REVERSED) && cell.symbol() == " ");
        assert!(cursor.count() >= 1, "the cursor stands in the field");
        if depth == Depth::None {
            let coloured = buffer.content.iter().filter(|cell| cell.fg != Color::Reset);
            assert_eq!(coloured.count(), 0);
        }
    }
}

#[test]
fn no_size_makes_drawing_the_field_fail() {
    let mut state = live_with_token((80, 24), 1);
    deny(&mut state, EXPIRED);
    paste(&mut state, &jwt("read", 60, 3_600));
    for width in (0..=70).chain([80, 160]) {
        for height in [0, 1, 2, 15, 16, 17, 24, 60] {
            text(&state, (width, height));
        }
    }
}
