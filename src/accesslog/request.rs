//! The request inside of its quotes: method and target, or neither. Called by the line parser.

use std::borrow::Cow;

/// Splits `GET /a HTTP/1.1` into method and target; a request that is not of this shape (a TLS
/// handshake, a `-`, a lone word) has no method and is its own target.
pub(super) fn split(request: &[u8]) -> (Option<Cow<'_, str>>, Cow<'_, str>) {
    let whole = request.trim_ascii();
    if let Some(space) = memchr::memchr(b' ', whole) {
        let method = &whole[..space];
        let target = without_protocol(whole[space + 1..].trim_ascii());
        if is_method(method) && !target.is_empty() {
            return (Some(String::from_utf8_lossy(method)), unescape(target));
        }
    }
    if whole.is_empty() {
        return (None, Cow::Borrowed("-"));
    }
    (None, unescape(whole))
}

/// Takes ` HTTP/1.1` off the end. A target may hold spaces, the protocol never does. What is left
/// is empty for `GET HTTP/1.0`, which asks for nothing.
fn without_protocol(text: &[u8]) -> &[u8] {
    let last = memchr::memrchr(b' ', text).map_or(0, |space| space + 1);
    if text[last..].starts_with(b"HTTP/") { text[..last].trim_ascii_end() } else { text }
}

/// A token of letters, as RFC 9110's methods are; WebDAV's `VERSION-CONTROL` has a hyphen.
fn is_method(word: &[u8]) -> bool {
    (1..=32).contains(&word.len())
        && word.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'))
}

/// Undoes `\"` and `\\`. Other escapes (`\x16`, `\n`) stay as written: they stand for bytes that
/// nobody wants in a route.
pub(super) fn unescape(text: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text).is_none() {
        return String::from_utf8_lossy(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && matches!(bytes.peek(), Some(b'"' | b'\\')) {
            plain.extend(bytes.next());
        } else {
            plain.push(byte);
        }
    }
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}
