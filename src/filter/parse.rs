//! Reading an expression: `field=value` terms joined by spaces, double quotes around a value with
//! spaces, `\` before a character that stands for itself, a `*` at the end for a prefix.

use super::{EXPR_BYTES, FilterError, Pattern, TERMS_MAX, Term, TextField};
use crate::route::{Normaliser, cut};

const FIELDS: &str = "route, type, site, status, error, userId, sessionId, clientId";

pub(super) fn terms(text: &str, routes: &Normaliser) -> Result<Vec<Term>, FilterError> {
    if text.len() > EXPR_BYTES {
        return Err(error(1, format!("the filter is longer than {EXPR_BYTES} bytes")));
    }
    let chars: Vec<char> = text.chars().collect();
    let mut reader = Reader { chars: &chars, at: 0 };
    let mut terms = Vec::new();
    loop {
        reader.skip_space();
        if reader.peek().is_none() {
            return Ok(terms);
        }
        if terms.len() == TERMS_MAX {
            let message = format!("the filter has more than {TERMS_MAX} terms");
            return Err(error(reader.column(), message));
        }
        terms.push(reader.term(routes)?);
    }
}

fn error(column: usize, message: impl Into<String>) -> FilterError {
    FilterError { column, message: message.into() }
}

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
}

/// A value as written, quotes and escapes resolved.
struct Value {
    text: String,
    prefix: bool,
    column: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn column(&self) -> usize {
        self.at + 1
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn term(&mut self, routes: &Normaliser) -> Result<Term, FilterError> {
        let column = self.column();
        let name_from = self.at;
        while self.peek().is_some_and(|c| c != '=' && !c.is_whitespace()) {
            self.at += 1;
        }
        let name: String = self.chars[name_from..self.at].iter().collect();
        if self.peek() != Some('=') {
            let message = format!("expected `=` after {}", crate::validate::shown(&name));
            return Err(error(self.column(), message));
        }
        self.at += 1;
        let field = TextField::ALL.into_iter().find(|field| field.name() == name);
        match (name.as_str(), field) {
            (_, Some(field)) => self.value()?.text_term(field, routes),
            ("status", _) => self.value()?.status_term(),
            ("error", _) => self.value()?.error_term(),
            _ => {
                let near =
                    TextField::ALL.iter().map(|field| field.name()).chain(["status", "error"]);
                let plain = |name: &str| name.replace(['_', '-'], "").to_lowercase();
                let meant = near.into_iter().find(|field| plain(field) == plain(&name));
                let hint = meant.map_or(String::new(), |meant| format!(" did you mean `{meant}`?"));
                let shown = crate::validate::shown(&name);
                Err(error(column, format!("{shown} is unknown;{hint} fields are {FIELDS}")))
            }
        }
    }

    fn value(&mut self) -> Result<Value, FilterError> {
        let column = self.column();
        let mut value = Value { text: String::new(), prefix: false, column };
        let quoted = self.peek() == Some('"');
        self.at += usize::from(quoted);
        loop {
            let Some(c) = self.peek() else {
                if quoted {
                    return Err(error(column, "the quote is not closed"));
                }
                break;
            };
            match c {
                '\\' => {
                    let Some(escaped) = self.chars.get(self.at + 1) else {
                        return Err(error(self.column(), "`\\` must be followed by a character"));
                    };
                    value.text.push(*escaped);
                    self.at += 2;
                    continue;
                }
                '"' if quoted => break,
                '"' => {
                    return Err(error(
                        self.column(),
                        "a quote stands around the whole value; write `\\\"` for one inside it",
                    ));
                }
                '*' => {
                    value.prefix = true;
                    self.at += 1;
                    break;
                }
                c if c.is_whitespace() && !quoted => break,
                c => value.text.push(c),
            }
            self.at += 1;
        }
        if quoted {
            if self.peek() != Some('"') {
                return Err(error(self.column(), STAR_LAST));
            }
            self.at += 1;
            if self.peek() == Some('*') && !value.prefix {
                value.prefix = true;
                self.at += 1;
            }
        }
        if self.peek().is_some_and(|c| !c.is_whitespace()) {
            let message = if value.prefix { STAR_LAST } else { "expected a space after the quote" };
            return Err(error(self.column(), message));
        }
        if value.text.is_empty() && !value.prefix {
            return Err(error(column, "the value is empty"));
        }
        Ok(value)
    }
}

const STAR_LAST: &str = "`*` may only end a value; write `\\*` for one inside it";

impl Value {
    fn text_term(self, field: TextField, routes: &Normaliser) -> Result<Term, FilterError> {
        let Value { text, prefix, column } = self;
        let pattern = match (field, prefix) {
            (TextField::Route, true) => {
                Pattern::Prefix(routes.normalise_prefix(&text).into_owned())
            }
            (TextField::Route, false) if cut(&text).is_empty() => {
                return Err(error(column, "the route is empty once its query is cut"));
            }
            (TextField::Route, false) => Pattern::Whole(routes.normalise(&text).into_owned()),
            (_, true) => Pattern::Prefix(text),
            (_, false) => Pattern::Whole(text),
        };
        Ok(Term::Text(field, pattern))
    }

    fn status_term(self) -> Result<Term, FilterError> {
        let digits = self.text.strip_suffix("xx").unwrap_or(&self.text);
        let class = digits.len() < self.text.len();
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        match digits.parse::<u16>() {
            Ok(class_of @ 1..=5) if class && plain && !self.prefix && digits.len() == 1 => {
                Ok(Term::StatusClass(class_of))
            }
            Ok(status @ 100..=599) if !class && plain && !self.prefix => Ok(Term::Status(status)),
            _ => Err(error(self.column, "status must be 100 to 599, or 1xx to 5xx")),
        }
    }

    fn error_term(self) -> Result<Term, FilterError> {
        match self.text.as_str() {
            "true" if !self.prefix => Ok(Term::Error(true)),
            "false" if !self.prefix => Ok(Term::Error(false)),
            _ => Err(error(self.column, "error must be true or false")),
        }
    }
}
