//! Which token to present: one that was pasted, else the one given at the start, else what its file
//! holds now. Remembers which one was refused, so that it is not presented in place of a better one.
//! Touches no socket.

use crate::token::{Source, Token, TokenError};

/// The tokens of one dashboard.
#[derive(Debug)]
pub(super) struct Tokens {
    source: Source,
    /// Given while it runs; goes before the source's.
    pasted: Option<Token>,
    /// What this connection was opened with, or renewed by.
    current: Option<Token>,
    /// Sent on the open socket, not answered yet; and whether it was pasted.
    offered: Option<(Token, bool)>,
    /// The last one that was not taken.
    refused: Option<Token>,
}

impl Tokens {
    pub(super) fn new(source: Source) -> Self {
        Self { source, pasted: None, current: None, offered: None, refused: None }
    }

    /// The one to open a connection with.
    pub(super) fn pick(&mut self) -> Result<Option<Token>, TokenError> {
        self.offered = None;
        let wanted = match &self.pasted {
            Some(token) => Some(token.clone()),
            None => match self.source.token() {
                Ok(token) => token,
                // A file that is away for a moment: the one it held goes on.
                Err(_) if self.current.is_some() => self.current.clone(),
                Err(error) => return Err(error),
            },
        };
        // One that was just refused gives way to the one that held until then.
        if wanted.is_none() || wanted != self.refused || self.current.is_none() {
            self.current = wanted;
        }
        Ok(self.current.clone())
    }

    /// One was pasted while there is no connection.
    pub(super) fn paste(&mut self, token: Token) {
        self.pasted = Some(token);
        self.refused = None;
    }

    /// One is sent on the open socket.
    pub(super) fn offer(&mut self, token: Token, pasted: bool) {
        self.offered = Some((token, pasted));
    }

    /// The daemon took the one it was sent last.
    pub(super) fn taken(&mut self) {
        if let Some((token, pasted)) = self.offered.take() {
            if pasted {
                self.pasted = Some(token.clone());
            }
            self.current = Some(token);
        }
        self.refused = None;
    }

    /// The daemon did not take the one it was sent last. True when there is another that held until
    /// now: only a renewal failed.
    pub(super) fn turned_down(&mut self) -> bool {
        if let Some((token, _)) = self.offered.take() {
            self.refused = Some(token);
            return self.current.is_some();
        }
        if self.pasted == self.current {
            self.pasted = None;
        }
        self.refused = self.current.take();
        false
    }

    /// Whether one was sent that has no answer yet.
    pub(super) fn has_offered(&self) -> bool {
        self.offered.is_some()
    }

    /// The one in use.
    pub(super) fn current(&self) -> Option<&Token> {
        self.current.as_ref()
    }

    /// Whether the one in use comes from a file.
    pub(super) fn is_from_file(&self) -> bool {
        self.source.is_file() && self.pasted.is_none()
    }

    /// What the file holds now, when that is neither in use nor refused.
    pub(super) fn rotated(&self) -> Option<Token> {
        if !self.is_from_file() {
            return None;
        }
        let token = self.source.token().ok().flatten()?;
        let is_known = |known: &Option<Token>| known.as_ref() == Some(&token);
        let is_offered = self.offered.as_ref().is_some_and(|(offered, _)| *offered == token);
        (!is_known(&self.current) && !is_known(&self.refused) && !is_offered).then_some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        Token::read(text, "--token").unwrap().unwrap()
    }

    fn of_file() -> (tempfile::NamedTempFile, Tokens) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one").unwrap();
        let tokens = Tokens::new(Source::file(file.path()).unwrap());
        (file, tokens)
    }

    #[test]
    fn a_pasted_token_goes_before_the_given_one_until_it_is_refused() {
        let mut tokens = Tokens::new(Source::given("given").unwrap());
        assert_eq!(tokens.pick().unwrap(), Some(token("given")));
        tokens.paste(token("pasted"));
        assert_eq!(tokens.pick().unwrap(), Some(token("pasted")));
        assert!(!tokens.turned_down());
        assert_eq!(tokens.pick().unwrap(), Some(token("given")));
    }

    #[test]
    fn a_renewal_that_fails_leaves_the_token_that_held() {
        let mut tokens = Tokens::new(Source::None);
        tokens.paste(token("old"));
        tokens.pick().unwrap();
        tokens.offer(token("bad"), true);
        assert!(tokens.turned_down());
        assert_eq!(tokens.pick().unwrap(), Some(token("old")));
        tokens.offer(token("new"), true);
        tokens.taken();
        assert_eq!(tokens.pick().unwrap(), Some(token("new")));
    }

    #[test]
    fn a_file_is_followed_when_it_changes() {
        let (file, mut tokens) = of_file();
        assert_eq!(tokens.pick().unwrap(), Some(token("one")));
        assert_eq!(tokens.rotated(), None);
        std::fs::write(file.path(), "two").unwrap();
        assert_eq!(tokens.rotated(), Some(token("two")));
        tokens.offer(token("two"), false);
        assert_eq!(tokens.rotated(), None, "it is on its way");
        assert!(tokens.turned_down());
        assert_eq!(tokens.rotated(), None, "it was refused");
        assert_eq!(tokens.pick().unwrap(), Some(token("one")), "the one that held");
        std::fs::write(file.path(), "three").unwrap();
        assert_eq!(tokens.rotated(), Some(token("three")));
    }

    #[test]
    fn a_file_that_is_gone_for_a_moment_changes_nothing() {
        let (file, mut tokens) = of_file();
        tokens.pick().unwrap();
        std::fs::write(file.path(), "").unwrap();
        assert_eq!(tokens.rotated(), None);
        assert_eq!(tokens.pick().unwrap(), Some(token("one")), "it holds on");
        assert!(!tokens.turned_down());
        assert!(tokens.pick().is_err());
        std::fs::write(file.path(), "two").unwrap();
        assert_eq!(tokens.rotated(), Some(token("two")));
    }
}
