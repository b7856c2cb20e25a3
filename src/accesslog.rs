//! Access logs of web servers: the *common* log format and the *combined* one, which adds referer
//! and user agent. [`parse`] reads one line, [`detect`] says what a file's first lines look like.
//!
//! Lenient as real logs need: any host, any request, missing quotes at the end, a size of `-`,
//! bytes that are not UTF-8. A line is refused only when it has no host, time, request or status.
//! Never opens a file and never turns a line into an event; the `replay` command does both.
//!
//! Format: the Apache HTTP Server's `"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-agent}i\""`,
//! which nginx writes too as its `combined`.

mod detect;
mod request;
mod time;

use std::borrow::Cow;

pub use detect::{Format, detect};
use thiserror::Error;

/// One request, as its line tells it. Text borrows from the line where it needed no repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Who asked: an address or a host name, as written.
    pub client: Cow<'a, str>,
    /// When, Unix ms.
    pub time_ms: i64,
    /// `GET`; `None` where the request has no target.
    pub method: Option<Cow<'a, str>>,
    /// What was asked for, query included. The whole request where it has no target; never empty.
    pub target: Cow<'a, str>,
    /// 100..599; `None` for `-` and for codes outside of HTTP.
    pub status: Option<u16>,
    /// Size of the answer in bytes; `None` for `-`.
    pub bytes: Option<u64>,
    /// The page that led here; `None` for `-` and in the common format.
    pub referer: Option<Cow<'a, str>>,
    /// The user agent; `None` for `-` and in the common format.
    pub agent: Option<Cow<'a, str>>,
}

/// Why a line is not an entry of an access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LineError {
    /// Nothing but blanks.
    #[error("the line is empty")]
    Empty,
    /// No `[` after the host.
    #[error("no [time] after the host")]
    NoTime,
    /// Brackets around something else.
    #[error("the [time] is not like 17/May/2015:10:05:03 +0000")]
    BadTime,
    /// No `"` after the time.
    #[error("no \"request\" in quotes after the time")]
    NoRequest,
    /// The request's closing quote is missing, or no number follows it.
    #[error("no status after the \"request\"")]
    NoStatus,
}

/// Reads one line, with or without its line ending.
///
/// ```
/// let line = br#"10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 71 "-" "curl""#;
/// let entry = pulseboard::accesslog::parse(line).unwrap();
/// assert_eq!((&*entry.target, entry.status), ("/a?b", Some(200)));
/// ```
pub fn parse(line: &[u8]) -> Result<Entry<'_>, LineError> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Err(LineError::Empty);
    }
    let host_end = memchr::memchr(b' ', line).ok_or(LineError::NoTime)?;
    let (client, rest) = line.split_at(host_end);
    let (time_ms, rest) = bracketed_time(rest)?;
    let rest = rest.trim_ascii_start().strip_prefix(b"\"").ok_or(LineError::NoRequest)?;
    let (request, numbers, rest) = quoted_request(rest)?;
    let (method, target) = request::split(request);
    let (referer, rest) = quoted_field(rest);
    let (agent, _) = quoted_field(rest);
    Ok(Entry {
        client: String::from_utf8_lossy(client),
        time_ms,
        method,
        target,
        status: numbers.status,
        bytes: numbers.bytes,
        referer,
        agent,
    })
}

/// The time in brackets, and what follows. Identity and user stand before it; a user may hold
/// anything, brackets too, so each bracket is tried.
fn bracketed_time(rest: &[u8]) -> Result<(i64, &[u8]), LineError> {
    let mut error = LineError::NoTime;
    for at in memchr::memmem::find_iter(rest, b" [") {
        // The user cannot stand inside of the request: stop looking there.
        if memchr::memchr(b'"', &rest[..at]).is_some() {
            break;
        }
        let inside = &rest[at + 2..];
        if let Some(close) = memchr::memchr(b']', inside)
            && let Some(time_ms) = time::parse(&inside[..close])
        {
            return Ok((time_ms, &inside[close + 1..]));
        }
        error = LineError::BadTime;
    }
    Err(error)
}

struct Numbers {
    status: Option<u16>,
    bytes: Option<u64>,
}

/// The request up to the quote that closes it, the numbers behind it, and what follows those. The
/// closing quote is the first one that numbers follow. An escaped quote closes nothing, so that a
/// request cannot forge its own status, unless no other does: servers that escape nothing end a
/// target on a lone backslash.
fn quoted_request(rest: &[u8]) -> Result<(&[u8], Numbers, &[u8]), LineError> {
    let escaped =
        |at: usize| rest[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
    let closed_at = |at: usize| {
        let (numbers, after) = numbers(&rest[at + 1..])?;
        Some((&rest[..at], numbers, after))
    };
    let quotes = || memchr::memchr_iter(b'"', rest);
    quotes()
        .filter(|at| !escaped(*at))
        .find_map(closed_at)
        .or_else(|| quotes().filter(|at| escaped(*at)).find_map(closed_at))
        .ok_or(LineError::NoStatus)
}

/// ` 200 1234`, the size optional, and what follows.
fn numbers(rest: &[u8]) -> Option<(Numbers, &[u8])> {
    let (status, rest) = word(rest.strip_prefix(b" ")?);
    if status != b"-" && !status.iter().all(u8::is_ascii_digit) || status.is_empty() {
        return None;
    }
    let status = number(status).and_then(|status| u16::try_from(status).ok());
    let status = status.filter(|status| (100..600).contains(status));
    let (size, after) = word(rest.trim_ascii_start());
    if size == b"-" || !size.is_empty() && size.iter().all(u8::is_ascii_digit) {
        return Some((Numbers { status, bytes: number(size) }, after));
    }
    Some((Numbers { status, bytes: None }, rest))
}

fn word(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(memchr::memchr(b' ', text).unwrap_or(text.len()))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The next field in quotes, and what follows it. Without a closing quote it is the rest of the
/// line. `-` and an empty field are `None`.
fn quoted_field(rest: &[u8]) -> (Option<Cow<'_, str>>, &[u8]) {
    let Some(inside) = rest.trim_ascii_start().strip_prefix(b"\"") else {
        return (None, rest);
    };
    let mut end = inside.len();
    let mut after = &inside[inside.len()..];
    let mut escaped = false;
    for (at, byte) in inside.iter().enumerate() {
        match byte {
            b'"' if !escaped => {
                end = at;
                after = &inside[at + 1..];
                break;
            }
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    let text = &inside[..end];
    let absent = text.is_empty() || text == b"-";
    ((!absent).then(|| request::unescape(text)), after)
}

#[cfg(test)]
mod tests;
