//! The field a token is pasted into: what was typed, what it says of itself, and what became of it.
//! Pure; nothing of it is printed but the token's last characters, and it is forgotten once sent.

use std::fmt;

use pulseboard::claims::Scope;

use crate::token::{Says, TOKEN_BYTES_MAX, Token};

/// The field while it is open.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Field {
    text: String,
    /// Pasted in one piece: while one is typed, last characters would tell it all in time.
    whole: bool,
    stage: Stage,
}

/// What became of the token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It is being written.
    #[default]
    Writing,
    /// The daemon has it.
    Sent,
    /// It was not taken, for this reason.
    Refused(String),
}

impl Field {
    /// What became of the token.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Characters in it.
    pub fn length(&self) -> usize {
        self.text.chars().count()
    }

    /// The last characters of a pasted token; nothing of a typed or a short one.
    pub fn tail(&self) -> String {
        self.token().filter(|_| self.whole).map(|token| token.tail().to_owned()).unwrap_or_default()
    }

    /// What the token says of itself, once it is one.
    pub fn says(&self) -> Option<Says> {
        self.token()?.says()
    }

    /// Takes a typed character.
    pub(super) fn push(&mut self, character: char) {
        (self.stage, self.whole) = (Stage::Writing, false);
        if self.text.len() + character.len_utf8() <= TOKEN_BYTES_MAX {
            self.text.push(character);
        } else {
            self.refuse("longer than any token; ctrl-u clears the field".to_owned());
        }
    }

    /// Takes a pasted text in place of what was there.
    pub(super) fn paste(&mut self, text: &str) {
        (self.stage, self.whole) = (Stage::Writing, true);
        match Token::read(text, "the clipboard") {
            Ok(Some(token)) => token.expose().clone_into(&mut self.text),
            Ok(None) => self.refuse("there was no text in that".to_owned()),
            Err(_) => {
                self.text.clear();
                self.refuse("that is no token; copy it again in one piece".to_owned());
            }
        }
    }

    /// Takes the last character away.
    pub(super) fn pop(&mut self) {
        (self.stage, self.whole) = (Stage::Writing, false);
        self.text.pop();
    }

    /// Empties it.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The token to send, and the field forgets it; or says what is wrong with it.
    pub(super) fn send(&mut self) -> Option<Token> {
        let Some(token) = self.token() else {
            let why = if self.text.is_empty() { "paste a token first" } else { NO_TOKEN };
            self.refuse(why.to_owned());
            return None;
        };
        let Some(says) = token.says() else {
            self.refuse(NO_TOKEN.to_owned());
            return None;
        };
        if !says.scopes.allow(Scope::Read) {
            let scopes = says.scopes.to_string();
            let has = if scopes.is_empty() { "nothing here" } else { &scopes };
            self.refuse(format!("that token is for {has}; watching needs the scope read"));
            return None;
        }
        self.text.clear();
        self.stage = Stage::Sent;
        Some(token)
    }

    /// The daemon, or we, do not take it.
    pub(super) fn refuse(&mut self, reason: String) {
        self.stage = Stage::Refused(reason);
    }

    fn token(&self) -> Option<Token> {
        Token::read(&self.text, "the field").ok().flatten()
    }
}

const NO_TOKEN: &str = "that is no token: one has three parts with dots between them";

/// What is in it never reaches a log.
impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field").field("stage", &self.stage).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"sub":"wall","scope":"read","iat":100,"exp":1000}`.
    const READ: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ3YWxsIiwic2NvcGUiOiJyZWFkIiwiaWF0IjoxMDAsImV4cCI6MTAwMH0.c2ln";
    /// `{"sub":"shop","scope":"ingest","exp":1000}`.
    const INGEST: &str =
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzaG9wIiwic2NvcGUiOiJpbmdlc3QiLCJleHAiOjEwMDB9.c2ln";

    #[test]
    fn a_pasted_token_is_sent_and_forgotten() {
        let mut field = Field::default();
        field.push('x');
        field.paste(&format!(" Bearer {READ}\n"));
        assert_eq!((field.length(), field.tail().as_str()), (READ.len(), "c2ln"));
        assert_eq!(field.says().unwrap().subject, "wall");
        assert!(!format!("{field:?}").contains("eyJ"));
        assert_eq!(field.send().unwrap().expose(), READ);
        assert_eq!((field.stage(), field.is_empty()), (&Stage::Sent, true));
    }

    #[test]
    fn what_cannot_be_a_token_for_watching_is_not_sent() {
        for (text, said) in [
            ("", "paste a token first"),
            ("hunter2", "no token"),
            ("a.b.c", "no token"),
            (INGEST, "that token is for ingest; watching needs the scope read"),
        ] {
            let mut field = Field::default();
            text.chars().for_each(|character| field.push(character));
            assert_eq!(field.send(), None, "{text}");
            let Stage::Refused(reason) = field.stage() else { panic!("{field:?}") };
            assert!(reason.contains(said), "{reason}");
        }
    }

    #[test]
    fn the_field_holds_no_more_than_the_longest_token() {
        let mut field = Field::default();
        (0..TOKEN_BYTES_MAX + 5).for_each(|_| field.push('x'));
        assert_eq!(field.length(), TOKEN_BYTES_MAX);
        assert!(matches!(field.stage(), Stage::Refused(reason) if reason.contains("ctrl-u")));
        field.paste(&"x".repeat(TOKEN_BYTES_MAX + 1));
        assert!(field.is_empty());
        field.push('y');
        field.pop();
        assert!(field.is_empty());
    }
}
