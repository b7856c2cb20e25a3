//! The token a client presents: where it comes from, and what it says about itself. Nothing in here
//! prints one, signs one or decides whether it holds; the daemon does. Called by every way in, and
//! by the dashboard, which says when a token ends.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use pulseboard::claims::Scopes;
use serde::Deserialize;
use thiserror::Error;

/// The longest token taken: a header block of the daemon's holds 16 KiB in all.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Characters of a token that are shown, its last ones, so that two can be told apart.
const TAIL: usize = 4;
/// A token shorter than this shows nothing of itself.
const TAIL_FROM_BYTES: usize = 24;

/// A token, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

/// Where the token comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// There is none.
    #[default]
    None,
    /// It was given as it is.
    Given(Token),
    /// A file that holds it, read anew for every connection.
    File(PathBuf),
}

/// What is wrong with a token before anyone asks the daemon.
#[derive(Debug, Error)]
pub enum TokenError {
    /// Its file cannot be read.
    #[error("--token-file: {path} could not be read: {problem}")]
    File {
        /// The file.
        path: String,
        /// The system's word.
        problem: String,
    },
    /// Its file holds nothing.
    #[error("--token-file: {path} is empty; write a token into it: pulseboard token --scope read")]
    Empty {
        /// The file.
        path: String,
    },
    /// It cannot stand in a header.
    #[error("{place}: the token holds characters that no token has; copy it again in one piece")]
    Characters {
        /// The flag it came by.
        place: &'static str,
    },
    /// It is longer than any.
    #[error("{place}: the token is over {} KiB, longer than the daemon reads", TOKEN_BYTES_MAX >> 10)]
    Long {
        /// The flag it came by.
        place: &'static str,
    },
}

impl Token {
    /// Takes a token as people paste it: blanks around it and line ends within it are dropped, and
    /// so is a leading `Bearer`. `None` when nothing is left.
    pub fn read(text: &str, place: &'static str) -> Result<Option<Self>, TokenError> {
        let text = text.trim();
        let bare = text.strip_prefix("Bearer ").unwrap_or(text);
        let token: String = bare.chars().filter(|character| !character.is_whitespace()).collect();
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Long { place });
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Characters { place });
        }
        Ok((!token.is_empty()).then(|| Self(token.into())))
    }

    /// The token itself, for the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `Authorization`, marked so that nothing logs it.
    pub fn bearer(&self) -> HeaderValue {
        let text = format!("Bearer {}", self.0);
        let mut value = HeaderValue::try_from(text).expect("a token is visible ASCII");
        value.set_sensitive(true);
        value
    }

    /// Its last characters, nothing of a short one.
    pub fn tail(&self) -> &str {
        if self.0.len() < TAIL_FROM_BYTES { "" } else { &self.0[self.0.len() - TAIL..] }
    }

    /// What it says of itself, unverified; `None` when it is no JWT.
    pub fn says(&self) -> Option<Says> {
        let claims: RawClaims = jsonwebtoken::dangerous::insecure_decode_claims(&*self.0).ok()?;
        let millis = |seconds: f64| (seconds * 1_000.0) as i64;
        Some(Says {
            subject: claims.sub.unwrap_or_default(),
            scopes: Scopes::of_claim(&claims.scope.unwrap_or_default()),
            site: claims.site,
            issued_ms: claims.iat.map(millis),
            expires_ms: claims.exp.map(millis),
        })
    }
}

/// A token never reaches a log.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// What a token says of itself. The daemon alone knows whether it is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Says {
    /// Whose it is.
    pub subject: String,
    /// What it is for.
    pub scopes: Scopes,
    /// The one site it is for.
    pub site: Option<String>,
    /// When it was minted, Unix ms.
    pub issued_ms: Option<i64>,
    /// When it ends, Unix ms.
    pub expires_ms: Option<i64>,
}

/// Claims as others may write them.
#[derive(Deserialize)]
struct RawClaims {
    sub: Option<String>,
    scope: Option<String>,
    site: Option<String>,
    iat: Option<f64>,
    exp: Option<f64>,
}

impl Source {
    /// From the command line and the environment.
    pub fn given(token: &str) -> Result<Self, TokenError> {
        Ok(Token::read(token, "--token")?.map_or(Self::None, Self::Given))
    }

    /// From a file, which must hold one now.
    pub fn file(path: &Path) -> Result<Self, TokenError> {
        let source = Self::File(path.to_owned());
        source.token().map(|_| source)
    }

    /// The token as it is now.
    pub fn token(&self) -> Result<Option<Token>, TokenError> {
        match self {
            Self::None => Ok(None),
            Self::Given(token) => Ok(Some(token.clone())),
            Self::File(path) => {
                let shown = || path.display().to_string();
                let text = read(path).map_err(|error| TokenError::File {
                    path: shown(),
                    problem: crate::dial::plain(&error),
                })?;
                let token = Token::read(&text, "--token-file")?;
                token.map(Some).ok_or_else(|| TokenError::Empty { path: shown() })
            }
        }
    }

    /// Whether the token may change without anyone saying so.
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

fn read(path: &Path) -> io::Result<String> {
    let about = fs::metadata(path)?;
    if about.len() > 2 * TOKEN_BYTES_MAX as u64 {
        return Err(io::Error::other("it is too large for a token"));
    }
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"alg":"none"}`, `{"sub":"wall","scope":"read","iat":100,"exp":1000}`.
    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ3YWxsIiwic2NvcGUiOiJyZWFkIiwiaWF0IjoxMDAsImV4cCI6MTAwMH0.c2ln";

    fn token(text: &str) -> Token {
        Token::read(text, "--token").unwrap().unwrap()
    }

    #[test]
    fn a_token_is_taken_as_people_paste_it() {
        let (head, tail) = JWT.split_at(40);
        for pasted in [format!("  {JWT}\r\n"), format!("Bearer {JWT}"), format!("{head}\n{tail}")] {
            assert_eq!(token(&pasted).expose(), JWT);
        }
        assert_eq!(Token::read(" \n", "--token").unwrap(), None);
        assert!(Token::read("größe", "--token").is_err());
        assert!(Token::read(&"x".repeat(TOKEN_BYTES_MAX + 1), "--token").is_err());
    }

    #[test]
    fn a_token_says_what_it_is_for_and_when_it_ends() {
        let says = token(JWT).says().unwrap();
        assert_eq!((says.subject.as_str(), says.scopes.to_string()), ("wall", "read".to_owned()));
        assert_eq!((says.issued_ms, says.expires_ms), (Some(100_000), Some(1_000_000)));
        assert_eq!(token("not-a-token").says(), None);
    }

    #[test]
    fn a_token_shows_its_last_four_characters_at_most() {
        let long = token(JWT);
        assert_eq!((long.tail(), token("short").tail()), ("c2ln", ""));
        assert!(
            !format!("{long:?}{:?}{:?}", Source::Given(long.clone()), long.bearer())
                .contains("eyJ")
        );
    }

    #[test]
    fn a_file_is_read_anew_each_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Source::file(file.path()).unwrap_err().to_string();
        assert!(error.contains("--token-file") && error.contains("is empty"), "{error}");
        fs::write(file.path(), "one\n").unwrap();
        let source = Source::file(file.path()).unwrap();
        fs::write(file.path(), "two\n").unwrap();
        assert_eq!(source.token().unwrap().unwrap().expose(), "two");
        let missing = Source::file(Path::new("/nowhere/token")).unwrap_err().to_string();
        assert!(missing.starts_with("--token-file: /nowhere/token could not be read"), "{missing}");
    }
}
