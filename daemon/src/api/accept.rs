//! What a client prefers, as `Accept` and `Accept-Encoding` say it (RFC 9110, section 12.5).
//! Decides nothing about answers.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// How much a client wants a media type, 0..1000: by the most specific range that covers it. One
/// that sends no `Accept` wants everything alike.
pub fn quality(headers: &HeaderMap, kind: &str, subtype: &str) -> u16 {
    if !headers.contains_key(header::ACCEPT) {
        return 1_000;
    }
    let fits = |range: &str| {
        let (range_kind, range_subtype) = range.split_once('/')?;
        match (range_kind, range_subtype) {
            ("*", "*") => Some(0),
            (range_kind, "*") => range_kind.eq_ignore_ascii_case(kind).then_some(1),
            _ => (range_kind.eq_ignore_ascii_case(kind)
                && range_subtype.eq_ignore_ascii_case(subtype))
            .then_some(2),
        }
    };
    items(headers, &header::ACCEPT)
        .filter_map(|(range, q)| Some((fits(range)?, q)))
        .max()
        .map_or(0, |(_, q)| q)
}

/// Whether a content coding may be used: named, or covered by `*`, and not refused by `q=0`.
pub fn coding(headers: &HeaderMap, coding: &str) -> bool {
    let fits = |name: &str| match name {
        "*" => Some(0),
        _ => name.eq_ignore_ascii_case(coding).then_some(1),
    };
    items(headers, &header::ACCEPT_ENCODING)
        .filter_map(|(name, q)| Some((fits(name)?, q)))
        .max()
        .is_some_and(|(_, q)| q > 0)
}

/// The members of a list with their weights, in thousandths.
fn items<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = (&'a str, u16)> + 'a {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let q = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let q = q.and_then(|q| q.trim().parse::<f32>().ok()).unwrap_or(1.0);
        (name, (q.clamp(0.0, 1.0) * 1_000.0) as u16)
    })
}

/// Whether `If-None-Match` names this entity tag, or any: weak comparison, as RFC 9110 has it for
/// this header (section 13.1.2).
pub fn has_already(headers: &HeaderMap, etag: &str) -> bool {
    let listed = headers.get_all(header::IF_NONE_MATCH).into_iter();
    listed.filter_map(|value: &HeaderValue| value.to_str().ok()).any(|value| {
        value.trim() == "*" || tags(value).any(|tag| tag == etag.trim_start_matches("W/"))
    })
}

/// The tags of a list, quotes included, without their weakness. A comma may stand inside a tag.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let from = rest.find('"')?;
        let to = from + 1 + rest[from + 1..].find('"')?;
        let tag = &rest[from..=to];
        rest = &rest[to + 1..];
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn a_coding_refused_by_q_zero_is_not_sent() {
        let accepts = |value, name| coding(&with(header::ACCEPT_ENCODING, value), name);
        assert!(accepts("gzip, br", "br"));
        assert!(accepts("gzip;q=0.5", "gzip"));
        assert!(!accepts("gzip, br;q=0", "br"));
        assert!(!accepts("identity", "gzip"));
        assert!(accepts("*", "gzip"));
        assert!(!accepts("*, gzip;q=0", "gzip"));
        assert!(!accepts("*;q=0", "gzip"));
        assert!(!coding(&HeaderMap::new(), "gzip"));
    }

    #[test]
    fn the_most_specific_range_decides() {
        let wants = |value, kind, subtype| quality(&with(header::ACCEPT, value), kind, subtype);
        assert_eq!(wants("text/*;q=0.5, text/plain;q=0.1", "text", "plain"), 100);
        assert_eq!(wants("text/*;q=0.5, */*", "text", "plain"), 500);
        assert_eq!(wants("text/html", "text", "plain"), 0);
        assert_eq!(wants("Text/Plain;version=0.0.4", "text", "plain"), 1_000);
        assert_eq!(quality(&HeaderMap::new(), "text", "plain"), 1_000);
    }

    #[test]
    fn entity_tags_are_compared_weakly_in_lists_and_by_star() {
        let known = |value| has_already(&with(header::IF_NONE_MATCH, value), "\"abc\"");
        for value in ["\"abc\"", "W/\"abc\"", "\"x\", W/\"abc\"", "*", "\"x,y\",\"abc\""] {
            assert!(known(value), "{value}");
        }
        for value in ["abc", "\"ab\"", "\"x,abc\"", "\"*\"", ""] {
            assert!(!known(value), "{value}");
        }
        assert!(has_already(&with(header::IF_NONE_MATCH, "\"abc\""), "W/\"abc\""));
    }
}
