//! Query parameters: times, windows, limits, cursors. Every refusal is a 422 that names the
//! parameter. Here too: what part of the events a caller may see. Reads no clock; the caller says
//! what time it is.

use std::collections::BTreeMap;

use pulseboard::filter::Filter;

use super::problem::Problem;
use crate::auth::Grant;
use crate::gate;

/// What of `filter` a grant may see: all of it, or its own site's part. Every answer that is made
/// of events goes through this. A filter on another site is refused.
pub fn visible(filter: Filter, grant: &Grant) -> Result<Filter, Problem> {
    match &grant.site {
        None => Ok(filter),
        Some(site) if filter.excludes_site(site) => {
            Err(gate::wrong_site(format!("this token may see site {site:?} only")).field("filter"))
        }
        Some(site) => Ok(filter.within_site(site)),
    }
}

/// The parameters of a request, each known by name and given once.
#[derive(Debug)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Parses a query string. A parameter that is not in `known`, or that is given twice, is
    /// refused, so that a misspelled filter never silently matches everything.
    pub fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> = axum::extract::Query::try_from_uri(
            &format!("/?{}", query.unwrap_or_default()).parse().map_err(|_| {
                Problem::bad_request("malformed_query", "the query string is not valid")
            })?,
        )
        .map(|axum::extract::Query(pairs)| pairs)
        .map_err(|error| Problem::bad_request("malformed_query", error.body_text()))?;
        let mut map = BTreeMap::new();
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                return Err(Problem::query(
                    &name,
                    "unknown_parameter",
                    format!("`{name}` is not a parameter here; there are {}", known.join(", ")),
                ));
            }
            if map.insert(name.clone(), value).is_some() {
                let detail = format!("`{name}` is given twice");
                return Err(Problem::query(&name, "repeated_parameter", detail));
            }
        }
        Ok(Self(map))
    }

    /// The text of a parameter, if given and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A time in Unix ms: Unix ms, RFC 3339, `now`, or relative (`-15m`).
    pub fn time_ms(&self, name: &str, now_ms: i64) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        parse_time(text, now_ms).map(Some).ok_or_else(|| {
            Problem::query(
                name,
                "bad_time",
                format!(
                    "`{name}` is {text:?}; a time is Unix milliseconds, RFC 3339, `now`, or relative like `-15m`"
                ),
            )
        })
    }

    /// A whole number within bounds.
    pub fn number(&self, name: &str, min: i64, max: i64) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => Err(Problem::query(
                name,
                "bad_number",
                format!("`{name}` is {text:?}; it is a whole number from {min} to {max}"),
            )),
        }
    }

    /// `true` or `false`; absent is false.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(text) => Err(Problem::query(
                name,
                "bad_flag",
                format!("`{name}` is {text:?}; it is `true` or `false`"),
            )),
        }
    }

    /// A length of time in seconds: `Ns`, `Nm`, `Nh`, `Nd`.
    pub fn step_secs(&self, name: &str) -> Result<Option<u32>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        parse_span_ms(text)
            .filter(|ms| *ms >= 1_000 && ms % 1_000 == 0)
            .and_then(|ms| u32::try_from(ms / 1_000).ok())
            .map(Some)
            .ok_or_else(|| {
                Problem::query(
                    name,
                    "bad_step",
                    format!("`{name}` is {text:?}; a step is like `10s`, `5m`, `1h` or `1d`"),
                )
            })
    }
}

/// A point in time as the contract writes it.
pub fn parse_time(text: &str, now_ms: i64) -> Option<i64> {
    if text == "now" {
        return Some(now_ms);
    }
    if let Some(span) = text.strip_prefix('-')
        && let Some(ms) = parse_span_ms(span)
    {
        return now_ms.checked_sub(ms);
    }
    if let Ok(ms) = text.parse::<i64>() {
        return (0..=253_402_300_799_999).contains(&ms).then_some(ms);
    }
    // A plus sign of an offset may have become a space on its way through a query string.
    let text = text.replace(' ', "+");
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

fn parse_span_ms(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: i64 = text[..digits].parse().ok()?;
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_all_four_forms() {
        let now_ms = 1_763_884_800_000;
        assert_eq!(parse_time("now", now_ms), Some(now_ms));
        assert_eq!(parse_time("-15m", now_ms), Some(now_ms - 900_000));
        assert_eq!(parse_time("1763884800000", now_ms), Some(now_ms));
        assert_eq!(parse_time("2025-11-23T08:00:00Z", now_ms), Some(now_ms));
        assert_eq!(parse_time("2025-11-23T09:00:00 01:00", now_ms), Some(now_ms));
        for bad in ["", "15m", "-15", "-m", "yesterday", "-99999999999999999999s", "-1"] {
            assert_eq!(parse_time(bad, now_ms), None, "{bad}");
        }
    }

    #[test]
    fn an_unknown_or_repeated_parameter_is_refused_by_name() {
        let unknown = Parameters::parse(Some("limt=5"), &["limit"]).unwrap_err();
        assert_eq!(unknown.code(), "unknown_parameter");
        let repeated = Parameters::parse(Some("limit=5&limit=6"), &["limit"]).unwrap_err();
        assert_eq!(repeated.code(), "repeated_parameter");
        let parameters = Parameters::parse(Some("limit=5&route=%2Fa%20b"), &["limit", "route"]);
        assert_eq!(parameters.unwrap().text("route"), Some("/a b"));
    }
}
