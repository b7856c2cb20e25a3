//! What a person does at the terminal, in the dashboard's own words. Translates crossterm's events;
//! knows no state and no layout, so that the state needs to know neither crossterm nor ratatui.

use std::fmt;

use crossterm::event::{
    Event as Raw, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};

use crate::state::routes::Column;

/// One action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A key was pressed.
    Key(Key),
    /// A text was pasted.
    Paste(Pasted),
    /// Something drawn was clicked.
    Click(Spot),
    /// The wheel turned over the screen: rows down, or up when negative.
    Scroll(i32),
    /// The terminal has a new size, in cells.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
}

/// A pasted text. It may be a token, so it never reaches a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Pasted(pub String);

impl fmt::Debug for Pasted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pasted(***)")
    }
}

/// A key, with what was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character as typed.
    Char(char),
    /// A character with Ctrl.
    Ctrl(char),
    /// Cursor up.
    Up,
    /// Cursor down.
    Down,
    /// Home.
    Home,
    /// End.
    End,
    /// Escape.
    Esc,
    /// Any other, by its name.
    Named(&'static str),
    /// A function key.
    Function(u8),
}

/// What a click can hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// A window's tab, by its place.
    Window(usize),
    /// A heading of the routes.
    Heading(Column),
    /// A row of the routes, by its place as shown.
    Row(usize),
    /// The state of the connection in the title bar.
    Live,
    /// The chart of the compact layout.
    Chart,
    /// What is said not to be as it should.
    Notices,
}

/// What crossterm reported, before anyone knows what is drawn where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Needs no layout.
    Input(Input),
    /// The left button went down at a cell.
    Press {
        /// Column.
        x: u16,
        /// Row.
        y: u16,
    },
}

/// Reads one of crossterm's events; `None` for those that mean nothing here.
pub fn report(raw: &Raw) -> Option<Report> {
    match raw {
        Raw::Key(key) if key.kind != KeyEventKind::Release => {
            Some(Report::Input(Input::Key(read_key(key))))
        }
        Raw::Mouse(mouse) => match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) => {
                Some(Report::Press { x: mouse.column, y: mouse.row })
            }
            MouseEventKind::ScrollDown => Some(Report::Input(Input::Scroll(1))),
            MouseEventKind::ScrollUp => Some(Report::Input(Input::Scroll(-1))),
            _ => None,
        },
        Raw::Paste(text) => Some(Report::Input(Input::Paste(Pasted(text.clone())))),
        Raw::Resize(width, height) => {
            Some(Report::Input(Input::Resize { width: *width, height: *height }))
        }
        _ => None,
    }
}

fn read_key(key: &KeyEvent) -> Key {
    match key.code {
        KeyCode::Char(character) if key.modifiers.contains(KeyModifiers::CONTROL) => {
            Key::Ctrl(character.to_ascii_lowercase())
        }
        KeyCode::Char(_) if key.modifiers.contains(KeyModifiers::ALT) => Key::Named("that key"),
        KeyCode::Char(character) => Key::Char(character),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Esc => Key::Esc,
        KeyCode::F(number) => Key::Function(number),
        KeyCode::Left => Key::Named("←"),
        KeyCode::Right => Key::Named("→"),
        KeyCode::Enter => Key::Named("enter"),
        KeyCode::Tab => Key::Named("tab"),
        KeyCode::BackTab => Key::Named("shift-tab"),
        KeyCode::Backspace => Key::Named("backspace"),
        KeyCode::Delete => Key::Named("delete"),
        KeyCode::Insert => Key::Named("insert"),
        KeyCode::PageUp => Key::Named("page up"),
        KeyCode::PageDown => Key::Named("page down"),
        _ => Key::Named("that key"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_release_is_no_second_press() {
        let mut key = KeyEvent::new(KeyCode::Char('t'), KeyModifiers::NONE);
        assert_eq!(report(&Raw::Key(key)), Some(Report::Input(Input::Key(Key::Char('t')))));
        key.kind = KeyEventKind::Release;
        assert_eq!(report(&Raw::Key(key)), None);
    }

    #[test]
    fn ctrl_is_told_apart() {
        let key = KeyEvent::new(KeyCode::Char('C'), KeyModifiers::CONTROL);
        assert_eq!(report(&Raw::Key(key)), Some(Report::Input(Input::Key(Key::Ctrl('c')))));
    }
}
