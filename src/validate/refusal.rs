//! One refusal, and the tally of those of a call.
//!
//! Refusals are the cold path: each is a sentence that names the field, the rule and what came
//! instead, with at most a few dozen characters of what the client sent. Only those that will be
//! listed in the answer are written out; all are counted.

use std::fmt::Write as _;

use super::{Code, Field};
use crate::limits;
use crate::wire::server::Rejection;

/// Why one item was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// The field at fault, as the client named it.
    pub field: Option<String>,
    /// A sentence that names the rule.
    pub message: String,
    /// When to try again, ms, where it may pass.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal of the item as a whole.
    #[cold]
    pub fn of_item(code: Code, message: impl Into<String>) -> Self {
        Self { code, field: None, message: message.into(), retry_after_ms: None }
    }

    /// A refusal of one field.
    #[cold]
    pub fn of_field(code: Code, field: Field, message: impl Into<String>) -> Self {
        let field = Some(field.name().into());
        Self { code, field, message: message.into(), retry_after_ms: None }
    }

    /// A refusal of the field the client calls `name`, cut to what an answer should carry.
    #[cold]
    pub fn of_name(code: Code, name: &str, message: impl Into<String>) -> Self {
        let field = Some(cut(name, 64).into());
        Self { code, field, message: message.into(), retry_after_ms: None }
    }

    /// The same, worth trying again after so many ms.
    #[must_use]
    pub fn after_ms(self, retry_after_ms: u64) -> Self {
        Self { retry_after_ms: Some(retry_after_ms), ..self }
    }
}

/// The refusals of one call: the first 100 in full, all of them counted by code.
#[derive(Clone, Debug)]
pub struct Refusals {
    listed: Vec<Rejection>,
    total: u64,
    by_code: [u32; Code::COUNT],
}

impl Default for Refusals {
    fn default() -> Self {
        Self { listed: Vec::new(), total: 0, by_code: [0; Code::COUNT] }
    }
}

impl Refusals {
    /// Counts a refusal of item `index` and keeps it while the list has room.
    #[cold]
    pub fn add(&mut self, index: usize, refusal: Refusal) {
        self.total += 1;
        self.by_code[refusal.code as usize] += 1;
        if self.listed.len() < limits::REJECTIONS_LISTED {
            self.listed.push(Rejection {
                index: index as u64,
                code: refusal.code.as_str().into(),
                message: refusal.message,
                field: refusal.field,
                retry_after_ms: refusal.retry_after_ms,
            });
        }
    }

    /// How many items were refused.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The first 100, as answers carry them.
    pub fn listed(&self) -> &[Rejection] {
        &self.listed
    }

    /// The first 100, as answers carry them.
    pub fn into_listed(self) -> Vec<Rejection> {
        self.listed
    }

    /// How many items each code refused; only codes that refused any.
    pub fn by_code(&self) -> impl Iterator<Item = (Code, u64)> + '_ {
        Code::ALL
            .iter()
            .map(|(code, _)| (*code, u64::from(self.by_code[*code as usize])))
            .filter(|(_, count)| *count > 0)
    }
}

#[cold]
pub(crate) fn missing(field: Field) -> Refusal {
    let message = format!("`{}` is required: {}", field.name(), field.expects());
    Refusal::of_field(Code::MissingField, field, message)
}

#[cold]
pub(crate) fn wrong_type(field: Field, got: &str) -> Refusal {
    let hint = if got == "null" { "; leave it out instead" } else { "" };
    let message = format!("`{}` must be {}, not {got}{hint}", field.name(), field.expects());
    Refusal::of_field(Code::WrongType, field, message)
}

#[cold]
pub(crate) fn unknown(name: &str) -> Refusal {
    let mut message = format!("`{}` is unknown; ", cut(name, 64));
    if let Some(field) = meant(name) {
        let _ = write!(message, "did you mean `{}`? ", field.name());
    }
    message.push_str("extras go in `props`");
    Refusal::of_name(Code::UnknownField, name, message)
}

#[cold]
pub(super) fn empty(field: Field) -> Refusal {
    let what = if field == Field::Route { " once its query is cut" } else { "" };
    let message = format!("`{}` is empty{what}: it must be {}", field.name(), field.expects());
    Refusal::of_field(Code::Empty, field, message)
}

#[cold]
pub(super) fn too_long(field: Field, len: usize, max: usize) -> Refusal {
    let (code, what) = match field {
        Field::Route => (Code::RouteTooLong, " without its query"),
        _ => (Code::TooLong, ""),
    };
    let message = format!("`{}` is {len} bytes long{what}: at most {max}", field.name());
    Refusal::of_field(code, field, message)
}

#[cold]
pub(super) fn bad_site(value: &str) -> Refusal {
    let message = format!("`site` must be {}, not {}", Field::Site.expects(), shown(value));
    Refusal::of_field(Code::BadSite, Field::Site, message)
}

#[cold]
pub(super) fn wrong_site(value: &str, site: &str) -> Refusal {
    let message = format!("this token sends events of site `{site}`, not of `{value}`");
    Refusal::of_field(Code::WrongSite, Field::Site, message)
}

#[cold]
pub(super) fn bad_status(value: f64) -> Refusal {
    let message = format!("`status` must be {}, not {value:?}", Field::Status.expects());
    Refusal::of_field(Code::BadStatus, Field::Status, whole(&message))
}

#[cold]
pub(super) fn bad_latency(value: f64) -> Refusal {
    let message = format!("`latencyMs` must be {}, not {value:?}", Field::LatencyMs.expects());
    Refusal::of_field(Code::BadLatency, Field::LatencyMs, whole(&message))
}

/// `600.0` at the end of a message is `600` as the client wrote it.
fn whole(message: &str) -> &str {
    message.strip_suffix(".0").unwrap_or(message)
}

/// A client's text as a message quotes it: at most 40 characters, control characters escaped.
pub(crate) fn shown(value: &str) -> String {
    let start = cut(value, 40);
    let more = if start.len() < value.len() { "…" } else { "" };
    format!("`{}{more}`", start.escape_debug())
}

/// The longest start of `text` that is at most `bytes` long and ends between characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Names other systems use, beside the fields' own.
const ALIASES: [(&str, Field); 20] = [
    ("id", Field::EventId),
    ("event", Field::Type),
    ("eventtype", Field::Type),
    ("eventname", Field::Type),
    ("kind", Field::Type),
    ("name", Field::Type),
    ("path", Field::Route),
    ("url", Field::Route),
    ("page", Field::Route),
    ("time", Field::Timestamp),
    ("ts", Field::Timestamp),
    ("user", Field::UserId),
    ("session", Field::SessionId),
    ("client", Field::ClientId),
    ("statuscode", Field::Status),
    ("latency", Field::LatencyMs),
    ("duration", Field::LatencyMs),
    ("durationms", Field::LatencyMs),
    ("properties", Field::Props),
    ("metadata", Field::Props),
];

/// The field an unknown key was probably meant to be: the same but for case, `_` and `-`, one or
/// two letters off, or another system's name for it.
fn meant(name: &str) -> Option<Field> {
    if name.len() > 32 {
        return None;
    }
    let plain = plain(name);
    if let Some((_, field)) = ALIASES.iter().find(|(alias, _)| *alias == plain) {
        return Some(*field);
    }
    let near = |field: &Field| {
        let own = self::plain(field.name());
        (distance(&plain, &own), own.len())
    };
    let best = Field::ALL.into_iter().min_by_key(|field| near(field).0)?;
    let (off, len) = near(&best);
    (off <= if len > 5 { 2 } else { 1 }).then_some(best)
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Edit distance in which swapping two neighbours counts one (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let same = usize::from(a[i - 1] != b[j - 1]);
                let mut best =
                    (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + same);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_suggests_the_one_that_was_meant() {
        let cases = [
            ("user_id", Some(Field::UserId)),
            ("userid", Some(Field::UserId)),
            ("UserID", Some(Field::UserId)),
            ("event-id", Some(Field::EventId)),
            ("rotue", Some(Field::Route)),
            ("path", Some(Field::Route)),
            ("latency_ms", Some(Field::LatencyMs)),
            ("latencyms", Some(Field::LatencyMs)),
            ("timestmap", Some(Field::Timestamp)),
            ("prop", Some(Field::Props)),
            ("colour", None),
            ("x", None),
            ("", None),
        ];
        for (name, field) in cases {
            assert_eq!(meant(name), field, "{name}");
        }
    }

    #[test]
    fn a_refusal_quotes_little_of_what_was_sent() {
        assert_eq!(shown("\u{1b}[31m"), "`\\u{1b}[31m`");
        assert_eq!(shown(&"é".repeat(300)), format!("`{}…`", "é".repeat(20)));
    }

    #[test]
    fn all_refusals_are_counted_and_the_first_hundred_listed() {
        let mut refusals = Refusals::default();
        for index in 0..250 {
            refusals.add(index, Refusal::of_item(Code::BadJson, "no"));
        }
        assert_eq!((refusals.total(), refusals.listed().len()), (250, 100));
        assert_eq!(refusals.by_code().collect::<Vec<_>>(), [(Code::BadJson, 250)]);
    }
}
