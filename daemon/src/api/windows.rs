//! `GET /api/aggregates`, `/api/history` and `/api/routes`: the aggregator's numbers over REST.

use std::time::Duration;

use http::StatusCode;
use pulseboard::filter::Filter;
use pulseboard::wire::server::{History, OtherRoutes, RouteRow, Snapshot};
use schemars::JsonSchema;
use serde::Serialize;

use super::problem::Problem;
use super::query::Parameters;
use super::stored;
use crate::aggregate::{AtError, RangeError, RouteSort, Routes, RoutesError, ScanError, Views};
use crate::store::mongodb::Archive;

/// The answer of `GET /api/history`.
#[derive(JsonSchema, Serialize)]
pub struct HistoryAnswer {
    step: String,
    from: i64,
    to: i64,
    history: History,
}

/// The answer of `GET /api/routes`.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutesAnswer {
    routes: Vec<RouteRow>,
    other_routes: OtherRoutes,
}

/// How long an answer waits for a filtered view that is new.
const FILLED_WITHIN: Duration = Duration::from_secs(10);

fn window<'a>(views: &Views, parameters: &'a Parameters) -> Result<Option<&'a str>, Problem> {
    let Some(window) = parameters.text("window") else { return Ok(None) };
    let latest = views.latest();
    let known: Vec<&str> = latest.windows.iter().map(|frame| &*frame.window).collect();
    if known.contains(&window) {
        return Ok(Some(window));
    }
    let detail = format!("`window` is {window:?}; there are {}", known.join(", "));
    Err(Problem::query("window", "unknown_window", detail))
}

/// A snapshot: the newest framed tick, or as it was at a tick.
pub fn aggregates(
    archive: Option<&Archive>,
    views: &Views,
    filter: &Filter,
    parameters: &Parameters,
) -> Result<Snapshot, Problem> {
    let Some(window) = window(views, parameters)? else {
        let detail = "`window` is missing; name one, like `window=5s`".to_owned();
        return Err(Problem::query("window", "missing_parameter", detail));
    };
    let since = parameters.number("since", 0, i64::MAX)?;
    let at = parameters.number("at", 0, i64::MAX)?;
    let room = match parameters.text("filter") {
        Some(filter) => format!("window:{window}?filter={filter}"),
        None => format!("window:{window}"),
    };
    if let Some(at) = at {
        if since.is_some() {
            let detail = "`since` goes with the newest tick, not with `at`".to_owned();
            return Err(Problem::query("since", "conflicting_parameters", detail));
        }
        let aggregate = stored::at(archive, views, filter, window, at)?;
        return Ok(Snapshot {
            room,
            tick: at,
            aggregate,
            history: None,
            history_from: None,
            corrections: None,
            lagged: 0,
            id: None,
        });
    }
    let (latest, slice) = if filter.is_empty() {
        let latest = views.latest();
        let slice = views.history_until(window, since, latest.tick);
        (latest, slice)
    } else {
        let watch = views.watch(filter.clone()).map_err(|error| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_views", error.to_string())
                .retry_after_secs(60)
        })?;
        let latest = watch.wait_filled(FILLED_WITHIN).ok().and_then(|()| watch.latest());
        let latest = latest.ok_or_else(|| {
            let detail = "the view of this filter is being filled; ask again";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "view_filling", detail)
                .retry_after_secs(2)
        })?;
        let slice = watch.history_until(window, since, latest.tick);
        (latest, slice)
    };
    let frame = latest.windows.iter().find(|frame| &*frame.window == window);
    let (Some(frame), Some(slice)) = (frame, slice) else { return Err(unknown_window(window)) };
    Ok(Snapshot {
        room,
        tick: latest.tick,
        aggregate: (*frame.aggregate).clone(),
        history: Some(slice.history),
        history_from: Some(slice.from),
        corrections: slice.corrections,
        lagged: 0,
        id: None,
    })
}

fn unknown_window(window: &str) -> Problem {
    Problem::query("window", "unknown_window", format!("there is no window {window:?}"))
}

pub(super) fn at_problem(error: &AtError) -> Problem {
    let code = match error {
        AtError::UnknownWindow => "unknown_window",
        AtError::Ahead { .. } => "tick_ahead",
        AtError::TooOld { .. } => "tick_too_old",
        AtError::Gap { .. } => "tick_gap",
        AtError::Scan(error) => return scan_problem(*error),
        AtError::Store(_) => return store_problem(error.to_string()),
    };
    Problem::query("at", code, error.to_string())
}

pub(super) fn range_problem(error: &RangeError) -> Problem {
    let (field, code) = match error {
        RangeError::Empty => ("from", "empty_span"),
        RangeError::BadStep { .. } => ("step", "bad_step"),
        RangeError::TooFine { .. } => ("step", "step_too_fine"),
        RangeError::TooManyPoints { .. } => ("step", "too_many_points"),
        RangeError::Scan(error) => return scan_problem(*error),
        RangeError::Store(_) => return store_problem(error.to_string()),
    };
    Problem::query(field, code, error.to_string())
}

fn scan_problem(error: ScanError) -> Problem {
    match error {
        ScanError::Busy => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), error.to_string())
                .retry_after_secs(2)
        }
        ScanError::Unavailable => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), error.to_string())
                .retry_after_secs(5)
        }
        ScanError::TooLong | ScanError::NotKept { .. } => {
            Problem::query("filter", error.code(), error.to_string())
        }
    }
}

fn store_problem(detail: String) -> Problem {
    Problem::new(http::StatusCode::INTERNAL_SERVER_ERROR, "store_unreadable", detail)
}

/// Tumbling buckets over a span; the last hour unless told.
pub fn history(
    archive: Option<&Archive>,
    views: &Views,
    filter: &Filter,
    parameters: &Parameters,
    now_ms: i64,
) -> Result<HistoryAnswer, Problem> {
    let to_ms = parameters.time_ms("to", now_ms)?.unwrap_or(now_ms);
    let from_ms = parameters.time_ms("from", now_ms)?.unwrap_or(to_ms - 3_600_000);
    let step_secs = parameters.step_secs("step")?;
    let range = stored::history(archive, views, filter, (from_ms, to_ms), step_secs)?;
    Ok(HistoryAnswer {
        step: format!("{}s", range.step_secs),
        from: range.from_ms,
        to: range.to_ms,
        history: range.history,
    })
}

/// Routes of a live window or of a span of stored minutes.
pub fn routes(
    archive: Option<&Archive>,
    views: &Views,
    filter: &Filter,
    parameters: &Parameters,
    now_ms: i64,
) -> Result<RoutesAnswer, Problem> {
    let limit = parameters.number("limit", 1, 20_000)?.unwrap_or(50) as usize;
    let sort = match parameters.text("sort") {
        None | Some("events") => RouteSort::Events,
        Some("errors") => RouteSort::Errors,
        Some("p95") => RouteSort::P95,
        Some(other) => {
            let detail = format!("`sort` is {other:?}; it is `events`, `errors` or `p95`");
            return Err(Problem::query("sort", "bad_sort", detail));
        }
    };
    let from_ms = parameters.time_ms("from", now_ms)?;
    let to_ms = parameters.time_ms("to", now_ms)?;
    let window = window(views, parameters)?;
    let Routes { routes, other_routes } = match (window, from_ms, to_ms) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            let detail = "give `window` or a span of `from` and `to`, not both".to_owned();
            return Err(Problem::query("window", "conflicting_parameters", detail));
        }
        (None, None, None) => {
            let detail =
                "give `window`, like `window=60s`, or a span of `from` and `to`".to_owned();
            return Err(Problem::query("window", "missing_parameter", detail));
        }
        (Some(window), None, None) => views
            .through(filter)
            .window_routes(window, sort, limit)
            .map_err(|error| match error {
                RoutesError::UnknownWindow => unknown_window(window),
                RoutesError::Scan(error) => scan_problem(error),
            })?,
        (None, from_ms, to_ms) => {
            let to_ms = to_ms.unwrap_or(now_ms);
            let from_ms = from_ms.unwrap_or(to_ms - 3_600_000);
            stored::routes(archive, views, filter, (from_ms, to_ms), sort, limit)?
        }
    };
    Ok(RoutesAnswer { routes, other_routes })
}
