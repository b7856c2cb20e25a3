//! What the state does about tokens: when the field opens, what keys do in it, when a token's end is
//! worth a word. Pure, like all of the state.

use super::field::{Field, Stage};
use super::held::Held;
use super::{Effect, Link, NOTICE_MS, REFUSAL_MS, Reaction, State};
use crate::input::Key;
use crate::socket::Denial;

impl State {
    /// Whether this daemon asks for tokens, as far as it has said.
    pub fn asks_for_tokens(&self) -> bool {
        match &self.link {
            Link::Denied { about_token, .. } => *about_token,
            _ => self.welcome.is_some() && !self.is_dev_mode(),
        }
    }

    /// The token in use.
    pub fn held(&self) -> Option<&Held> {
        self.held.as_ref().map(|(held, _)| held)
    }

    /// Seconds until the token in use ends.
    pub fn token_ends_in_secs(&self) -> Option<u64> {
        let (held, heard_ms) = self.held.as_ref()?;
        held.ends_in_secs(self.now_ms.saturating_sub(*heard_ms))
    }

    /// The same, while that is worth a notice and nobody but the reader will renew it.
    pub fn token_ending_in_secs(&self) -> Option<u64> {
        let (held, heard_ms) = self.held.as_ref()?;
        if self.link != Link::Live {
            return None;
        }
        held.ending_in_secs(self.now_ms.saturating_sub(*heard_ms))
    }

    /// Wall time, Unix ms, as far as the state knows it.
    pub fn unix_ms(&self) -> i64 {
        self.setup.start_unix_ms.saturating_add_unsigned(self.now_ms)
    }

    /// When what is said of the token changes next.
    pub(super) fn token_changes_ms(&self) -> Option<u64> {
        let (held, heard_ms) = self.held.as_ref()?;
        let passed_ms = self.now_ms.saturating_sub(*heard_ms);
        (self.link == Link::Live).then_some(())?;
        Some(self.now_ms + held.next_change_in_ms(passed_ms)?)
    }

    /// The daemon refused us; where another token helps, the field opens.
    pub(super) fn denied(&mut self, denial: Denial) {
        let Denial { reason, about_token } = denial;
        self.demo = false;
        self.held = None;
        if about_token {
            let field = self.field.get_or_insert_default();
            // The panel says why; below the field stands which token that is about.
            if *field.stage() == Stage::Sent {
                field.refuse("it was not taken".to_owned());
            }
            self.help = false;
        } else {
            self.field = None;
        }
        self.link = Link::Denied { reason, about_token };
    }

    /// A renewal failed; the token before goes on.
    pub(super) fn token_refused(&mut self, reason: &str) {
        match &mut self.field {
            Some(field) => field.refuse(format!("{reason}; the token before goes on")),
            None => self.say(format!("the new token was not taken: {reason}"), true, REFUSAL_MS),
        }
    }

    /// Connected, or renewed: the field has done its work, and so has one that nobody used before the
    /// way opened by itself (its file changed).
    pub(super) fn token_taken(&mut self) {
        let Some(field) = &self.field else { return };
        let was_sent = *field.stage() == Stage::Sent;
        let is_unused = *field.stage() == Stage::Writing && field.is_empty();
        if was_sent {
            self.say("the token was taken".to_owned(), false, NOTICE_MS);
        }
        if was_sent || (is_unused && self.link != Link::Live) {
            self.field = None;
        }
    }

    /// Opens the field, where a token is of use.
    pub(super) fn open_field(&mut self) -> bool {
        let opens = self.asks_for_tokens();
        if opens {
            self.help = false;
            self.field = Some(Field::default());
        }
        opens
    }

    /// A text was pasted.
    pub(super) fn pasted(&mut self, text: &str) {
        let is_waited_for = matches!(self.link, Link::Denied { about_token: true, .. });
        if self.field.is_none() && is_waited_for {
            self.open_field();
        }
        if let Some(field) = &mut self.field {
            field.paste(text);
        } else {
            let said = "a paste does nothing here; ? shows the keys".to_owned();
            self.say(said, false, NOTICE_MS);
        }
    }

    /// A key while the field is open; all that can be written goes into it.
    pub(super) fn key_in_field(&mut self, key: Key) -> Reaction {
        let Some(field) = &mut self.field else { return Reaction::default() };
        match key {
            Key::Ctrl('c') => return Reaction::with(Effect::Quit),
            Key::Ctrl('z') => return Reaction::with(Effect::Suspend),
            Key::Ctrl('l') => return Reaction::with(Effect::Repaint),
            Key::Ctrl('u') => field.clear(),
            Key::Esc => self.field = None,
            Key::Named("backspace") => field.pop(),
            Key::Named("enter") => {
                if let Some(token) = field.send() {
                    return Reaction::with(Effect::Token(token));
                }
            }
            Key::Char(character) => field.push(character),
            _ => self.nothing(key),
        }
        Reaction::redraw()
    }
}
