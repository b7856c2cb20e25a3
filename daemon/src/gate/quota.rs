//! Rates as HTTP tells them: 429 with `Retry-After`, and the fields `RateLimit-Policy` and
//! `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11.
//!
//! Calls are the policy `"calls"`, in requests. Events are the policy `"events"`; the draft's
//! registry has no unit for them, so a parameter of our own names it. The effective window `t` is
//! the time until the bucket has one more: a bucket fills all the time and knows no end of a
//! window, and `Retry-After` must not end before it.

use std::cell::RefCell;
use std::io::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::api::problem::Problem;
use crate::rate_limit::{Exceeded, Limit, Standing};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Says how many are allowed and how many are left.
pub fn put_quota(headers: &mut HeaderMap, standing: &Standing) {
    headers.insert(POLICY, policy(standing.limit, standing.quota));
    headers.insert(LIMIT, left(standing.limit, standing.remaining, secs(standing.next_ms)));
}

/// The same on a problem document.
pub(super) fn on_problem(problem: Problem, standing: &Standing) -> Problem {
    let left = left(standing.limit, standing.remaining, secs(standing.next_ms));
    problem.header(POLICY, policy(standing.limit, standing.quota)).header(LIMIT, left)
}

/// 429: too many, and when to come back; or a batch that will never fit.
pub fn rate_limited(exceeded: &Exceeded) -> Problem {
    let status = StatusCode::TOO_MANY_REQUESTS;
    match *exceeded {
        Exceeded::Rate { limit, quota, retry_after_ms } => {
            let wait = secs(retry_after_ms);
            let detail = match limit {
                Limit::ApiPerMinute => format!(
                    "more than {quota} calls a minute (limits.api_per_minute); try again in {wait} s"
                ),
                _ => format!("more than {quota} events a second; try again in {wait} s"),
            };
            Problem::new(status, "rate_limited", detail)
                .retry_after_secs(wait)
                .header(POLICY, policy(limit, quota))
                .header(LIMIT, left(limit, 0, wait))
        }
        Exceeded::Burst { limit, burst } => {
            let detail = format!("at most {burst} events are taken at once: send fewer in a call");
            Problem::new(status, "batch_exceeds_burst", detail).header(POLICY, policy(limit, burst))
        }
    }
}

/// `"calls";q=100;w=60`. The same for nearly every answer: the last two are kept by each thread.
pub fn policy(limit: Limit, quota: u32) -> HeaderValue {
    thread_local! {
        static LAST: RefCell<[Option<(Limit, u32, HeaderValue)>; 2]> = const { RefCell::new([None, None]) };
    }
    LAST.with_borrow_mut(|last| {
        let slot = &mut last[usize::from(limit == Limit::ApiPerMinute)];
        match slot {
            Some((of, number, value)) if (*of, *number) == (limit, quota) => value.clone(),
            _ => {
                let value = write_policy(limit, quota);
                *slot = Some((limit, quota, value.clone()));
                value
            }
        }
    })
}

fn write_policy(limit: Limit, quota: u32) -> HeaderValue {
    let (name, window) = (name(limit), limit.window_secs());
    let unit = match limit {
        Limit::ApiPerMinute => "",
        _ => ";pulseboard-unit=\"events\"",
    };
    let text = format!("\"{name}\";q={quota};w={window}{unit}");
    HeaderValue::from_str(&text).expect("a structured field of digits and names")
}

/// `"calls";r=7;t=1`, on nearly every answer too.
fn left(limit: Limit, remaining: u32, within_secs: u32) -> HeaderValue {
    let mut text = [0; 48];
    let mut at = &mut text[..];
    let written = write!(at, "\"{}\";r={remaining};t={within_secs}", name(limit));
    written.expect("a name and two numbers take less");
    let left = at.len();
    let used = text.len() - left;
    HeaderValue::from_bytes(&text[..used]).expect("a structured field of digits and names")
}

fn name(limit: Limit) -> &'static str {
    match limit {
        Limit::ApiPerMinute => "calls",
        Limit::IngestEventsPerSecond | Limit::SocketEventsPerSecond => "events",
    }
}

fn secs(ms: u64) -> u32 {
    ms.div_ceil(1_000).max(1) as u32
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn the_fields_are_as_the_draft_writes_them() {
        let mut headers = HeaderMap::new();
        let limit = Limit::ApiPerMinute;
        put_quota(&mut headers, &Standing { limit, quota: 100, remaining: 7, next_ms: 600 });
        assert_eq!(headers["ratelimit-policy"], "\"calls\";q=100;w=60");
        assert_eq!(headers["ratelimit"], "\"calls\";r=7;t=1");
        let exceeded =
            Exceeded::Rate { limit: Limit::IngestEventsPerSecond, quota: 5, retry_after_ms: 1_200 };
        let response = rate_limited(&exceeded).into_response();
        let headers = response.headers();
        assert_eq!(headers["retry-after"], "2");
        assert_eq!(headers["ratelimit-policy"], "\"events\";q=5;w=1;pulseboard-unit=\"events\"");
        assert_eq!(headers["ratelimit"], "\"events\";r=0;t=2");
    }
}
