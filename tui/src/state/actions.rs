//! What keys, clicks and the wheel do to the state. A key that means nothing at the moment is
//! answered, never swallowed. Pure, like all of the state.

use super::{Effect, Link, NOTICE_MS, Reaction, Screen, Shape, State};
use crate::cli::ThemeName;
use crate::input::{Input, Key, Spot};

impl State {
    pub(super) fn input(&mut self, input: Input) -> Reaction {
        match input {
            Input::Resize { width, height } => self.size = (width, height),
            Input::Key(key) if self.field.is_some() => return self.key_in_field(key),
            Input::Key(key) => return self.key(key),
            Input::Paste(text) => self.pasted(&text.0),
            Input::Scroll(rows) if self.screen == Screen::System => self.scroll(rows),
            Input::Scroll(rows) => self.step(rows),
            Input::Click(spot) => return self.click(spot),
        }
        Reaction::redraw()
    }

    fn click(&mut self, spot: Spot) -> Reaction {
        if self.field.is_some() {
            return Reaction::redraw();
        }
        if self.help {
            self.help = false;
            return Reaction::redraw();
        }
        match spot {
            Spot::Window(place) => self.choose(place),
            Spot::Notices => return self.turn(),
            Spot::Heading(column) => self.routes.column = column,
            Spot::Live => self.pause(),
            Spot::Chart => self.chart = self.chart.next(),
            Spot::Row(place) => {
                let Some(aggregate) = self.shown().and_then(|shown| shown.aggregate.clone()) else {
                    return Reaction::redraw();
                };
                let rows = self.routes.rows(&aggregate);
                self.routes.select(&rows, place);
            }
        }
        Reaction::redraw()
    }

    /// The other screen. Figures are read while they are looked at.
    fn turn(&mut self) -> Reaction {
        self.screen = match self.screen {
            Screen::Overview => Screen::System,
            Screen::System => Screen::Overview,
        };
        self.scrolled = 0;
        if self.screen == Screen::Overview {
            self.figures.forget();
        }
        Reaction::with(Effect::Figures(self.screen == Screen::System))
    }

    /// Scrolls the System screen, as far as it has more than it shows.
    fn scroll(&mut self, rows: i32) {
        let to = self.scrolled.saturating_add_signed(rows as isize);
        self.scrolled = to.min(self.scroll_max);
    }

    fn key(&mut self, key: Key) -> Reaction {
        match key {
            Key::Char('q') | Key::Ctrl('c') => return Reaction::with(Effect::Quit),
            Key::Ctrl('z') => return Reaction::with(Effect::Suspend),
            Key::Ctrl('l') => return Reaction::with(Effect::Repaint),
            Key::Char('?') => self.help = !self.help,
            Key::Esc if self.help => self.help = false,
            Key::Named("tab" | "shift-tab") if self.shown().is_some() => return self.turn(),
            Key::Esc if self.screen == Screen::System => return self.turn(),
            Key::Char('t') => self.theme = next_theme(self.theme),
            Key::Char('T') if self.open_field() => {}
            Key::Char('T') if self.is_dev_mode() => {
                let said = "this daemon is in dev mode: it asks for no token".to_owned();
                self.say(said, false, NOTICE_MS);
            }
            Key::Char('r') if matches!(self.link, Link::Waiting { .. } | Link::Denied { .. }) => {
                return Reaction::with(Effect::Retry);
            }
            Key::Char('d') if self.may_demo() => {
                self.demo = !self.demo;
                let said = if self.demo { "demo traffic starts" } else { "demo traffic stopped" };
                self.say(said.to_owned(), false, NOTICE_MS);
                return Reaction::with(Effect::Demo(self.demo));
            }
            Key::Char('d') if self.link == Link::Live => {
                let said = "demo traffic needs a daemon in dev mode".to_owned();
                self.say(said, false, NOTICE_MS);
            }
            Key::Down | Key::Char('j') if self.screen == Screen::System => self.scroll(1),
            Key::Up | Key::Char('k') if self.screen == Screen::System => self.scroll(-1),
            Key::Home if self.screen == Screen::System => self.scroll(-1_000),
            Key::End if self.screen == Screen::System => self.scroll(1_000),
            _ if self.screen == Screen::System => self.nothing(key),
            Key::Char(digit @ '1'..='9') if self.shown().is_some() => {
                let place = digit as usize - '1' as usize;
                if place < self.pictures().len() {
                    self.choose(place);
                } else {
                    self.nothing(key);
                }
            }
            Key::Char(' ') if self.shown().is_some() => self.pause(),
            Key::Char('g') if self.is_paused() => self.paused = None,
            Key::Char('c') if self.shown().is_some() && self.shape() == Shape::Compact => {
                self.chart = self.chart.next();
            }
            Key::Char('s') if self.has_routes() => self.routes.column = self.routes.column.next(),
            Key::Down | Key::Char('j') if self.has_routes() => self.step(1),
            Key::Up | Key::Char('k') if self.has_routes() => self.step(-1),
            Key::Home if self.has_routes() => self.step(-1_000),
            Key::End if self.has_routes() => self.step(1_000),
            Key::Esc if self.routes.selected.is_some() => self.routes.selected = None,
            _ => self.nothing(key),
        }
        Reaction::redraw()
    }

    fn choose(&mut self, place: usize) {
        if place < self.pictures().len() {
            self.window = place;
        }
    }

    fn pause(&mut self) {
        self.paused = match self.paused.take() {
            None if self.shown().is_some() => Some(self.live.clone()),
            _ => None,
        };
    }

    fn step(&mut self, rows: i32) {
        let Some(aggregate) = self.shown().and_then(|shown| shown.aggregate.clone()) else {
            return;
        };
        let order = self.routes.rows(&aggregate);
        self.routes.step(&order, rows);
    }

    pub(super) fn nothing(&mut self, key: Key) {
        let name = match key {
            Key::Char(' ') => "space".to_owned(),
            Key::Char(character) => character.to_string(),
            Key::Ctrl(character) => format!("Ctrl-{}", character.to_ascii_uppercase()),
            Key::Up => "↑".to_owned(),
            Key::Down => "↓".to_owned(),
            Key::Home => "home".to_owned(),
            Key::End => "end".to_owned(),
            Key::Esc => "esc".to_owned(),
            Key::Named(name) => name.to_owned(),
            Key::Function(number) => format!("F{number}"),
        };
        let hint = if self.field.is_some() { "esc leaves the field" } else { "? shows the keys" };
        self.say(format!("{name} does nothing here; {hint}"), false, NOTICE_MS);
    }
}

fn next_theme(theme: ThemeName) -> ThemeName {
    match theme {
        ThemeName::Dark => ThemeName::Light,
        ThemeName::Light => ThemeName::Contrast,
        ThemeName::Contrast => ThemeName::Terminal,
        ThemeName::Terminal => ThemeName::Dark,
    }
}
