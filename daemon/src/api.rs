//! What REST answers: events in, and events, aggregates, history, routes, health and metrics out,
//! and the dashboard's files.
//!
//! Routing and the shapes of answers only; every number comes from a stage's read side. Queries
//! that may touch disk run off the async threads. Built by [`crate::app`].

pub mod accept;
pub mod assets;
pub mod events;
pub mod export;
pub mod health;
pub mod metrics;
pub mod problem;
pub mod query;
pub mod windows;

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use pulseboard::filter::Filter;
use pulseboard::route::Normaliser;

use self::problem::{Problem, json};
use self::query::Parameters;
use crate::aggregate::Views;
use crate::broadcast::Hub;
use crate::clock::Clock;
use crate::gate::Caller;
use crate::ingest::Ingest;
use crate::ingest::dedupe::Dedupe;
use crate::ingest::rest::Rest;
use crate::journal::Journal;

/// The read sides of the stages, shared by all requests.
pub struct Stages {
    /// `POST /api/events`.
    pub rest: Rest,
    /// Counters of the pipeline.
    pub ingest: Ingest,
    /// Whose horizon metrics show.
    pub dedupe: Arc<Dedupe>,
    /// Raw events.
    pub journal: Journal,
    /// Numbers.
    pub views: Views,
    /// Sockets.
    pub hub: Arc<Hub>,
    /// The time.
    pub clock: Clock,
    /// How routes are normalised, in filters too.
    pub normaliser: Arc<Normaliser>,
    /// Where everything is kept; asked how full its disk is.
    pub data_dir: PathBuf,
    /// Files under way.
    pub exports: export::Exports,
    /// What `/metrics` renders.
    pub metrics: metrics::Metrics,
    /// Whether the daemon is on its way out.
    pub stopping: Arc<std::sync::atomic::AtomicBool>,
}

type Shared = State<Arc<Stages>>;
/// Who asks, as the gate found out.
type From = Extension<Caller>;

/// Routes of everything but the socket.
pub fn router(stages: Arc<Stages>) -> Router {
    let get_only = |handler: MethodRouter<Arc<Stages>>| {
        handler.fallback(|method: Method, uri: Uri| not_allowed(&method, &uri, "GET, HEAD"))
    };
    Router::new()
        .route(
            "/api/events",
            post(post_events)
                .get(get_events)
                .fallback(|method: Method, uri: Uri| not_allowed(&method, &uri, "GET, HEAD, POST")),
        )
        .route("/api/aggregates", get_only(get(get_aggregates)))
        .route("/api/history", get_only(get(get_history)))
        .route("/api/routes", get_only(get(get_routes)))
        .route("/api/export", get_only(get(get_export)))
        .route(
            "/api/openapi.json",
            get_only(get(|| async { Problem::not_available("the OpenAPI document") })),
        )
        .route(
            "/health",
            get_only(get(|| async { json(StatusCode::OK, &health::Alive::default()) })),
        )
        .route("/health/ready", get_only(get(get_ready)))
        .route("/metrics", get_only(get(get_metrics)))
        .fallback(assets::serve)
        .with_state(stages)
        .layer(axum::middleware::map_response(security_headers))
}

async fn security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn not_allowed(method: &Method, uri: &Uri, allow: &'static str) -> std::future::Ready<Response> {
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{method} is not answered at {}; {allow} are", uri.path()),
    )
    .header(header::ALLOW, HeaderValue::from_static(allow));
    std::future::ready(problem.into_response())
}

async fn post_events(State(stages): Shared, request: Request<Body>) -> Response {
    stages.rest.post(request).await
}

impl Stages {
    fn filter(&self, expression: &str) -> Result<Filter, Problem> {
        Filter::parse(expression, &self.normaliser)
            .map_err(|error| Problem::query("filter", "bad_filter", error.to_string()))
    }

    /// What a request's `filter` lets through, within what its caller may see.
    fn asked(&self, parameters: &Parameters, caller: &Caller) -> Result<Filter, Problem> {
        let filter = self.filter(parameters.text("filter").unwrap_or_default())?;
        query::visible(filter, &caller.grant)
    }

    /// Lets counting catch up with what was acknowledged before this request, so that a query
    /// right after a post sees it. Gives up when the aggregator is far behind.
    fn settle(&self) {
        let newest = self.journal.next_seq() - 1;
        let waited = self.views.wait_applied(newest, std::time::Duration::from_secs(2));
        if let Err(error) = waited {
            tracing::debug!(%error, "a query answers from what is counted so far");
        }
    }
}

/// Runs a query off the async threads.
async fn blocking<T: serde::Serialize + Send + 'static>(
    stages: Arc<Stages>,
    query: impl FnOnce(&Stages) -> Result<T, Problem> + Send + 'static,
) -> Response {
    let answer = tokio::task::spawn_blocking(move || {
        let started = stages.clock.elapsed();
        let answer = query(&stages);
        stages.metrics.query(stages.clock.elapsed().saturating_sub(started));
        answer.map(|value| json(StatusCode::OK, &value))
    });
    match answer.await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => internal(),
    }
}

fn internal() -> Response {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the query failed; the daemon's log says why",
    )
    .into_response()
}

async fn get_events(State(stages): Shared, caller: From, uri: Uri) -> Response {
    blocking(stages, move |stages| {
        let parameters = Parameters::parse(uri.query(), events::PARAMETERS)?;
        let now_ms = stages.clock.now_ms();
        let asked = events::Asked::read(&parameters, now_ms, |text| {
            query::visible(stages.filter(text)?, &caller.grant)
        })?;
        Ok(events::page(&stages.journal, &asked))
    })
    .await
}

async fn get_export(State(stages): Shared, caller: From, request: Request<Body>) -> Response {
    let asked = || {
        let parameters = Parameters::parse(request.uri().query(), export::PARAMETERS)?;
        let now_ms = stages.clock.now_ms();
        export::Asked::read(&parameters, now_ms, |text| {
            query::visible(stages.filter(text)?, &caller.grant)
        })
    };
    match asked() {
        Ok(asked) => {
            let gzip = accept::coding(request.headers(), "gzip");
            let (journal, now_ms) = (&stages.journal, stages.clock.now_ms());
            stages.exports.answer(journal, asked, request.method(), gzip, now_ms)
        }
        Err(problem) => problem.into_response(),
    }
}

async fn get_aggregates(State(stages): Shared, caller: From, uri: Uri) -> Response {
    blocking(stages, move |stages| {
        let parameters = Parameters::parse(uri.query(), &["window", "since", "at", "filter"])?;
        let filter = stages.asked(&parameters, &caller)?;
        windows::aggregates(&stages.views, &filter, &parameters)
    })
    .await
}

async fn get_history(State(stages): Shared, caller: From, uri: Uri) -> Response {
    blocking(stages, move |stages| {
        let parameters = Parameters::parse(uri.query(), &["from", "to", "step", "filter"])?;
        stages.settle();
        let filter = stages.asked(&parameters, &caller)?;
        windows::history(&stages.views, &filter, &parameters, stages.clock.now_ms())
    })
    .await
}

async fn get_routes(State(stages): Shared, caller: From, uri: Uri) -> Response {
    blocking(stages, move |stages| {
        let parameters =
            Parameters::parse(uri.query(), &["window", "from", "to", "limit", "sort", "filter"])?;
        stages.settle();
        let filter = stages.asked(&parameters, &caller)?;
        windows::routes(&stages.views, &filter, &parameters, stages.clock.now_ms())
    })
    .await
}

async fn get_ready(State(stages): Shared) -> Response {
    let ready = health::readiness(&stages);
    let status =
        if ready.takes_events() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &ready)
}

async fn get_metrics(State(stages): Shared, headers: HeaderMap) -> Response {
    let form = metrics::Form::preferred(&headers);
    let rendered = tokio::task::spawn_blocking(move || stages.metrics.render(&stages)).await;
    let mut response = match (rendered, form) {
        (Ok(text), metrics::Form::Json) => json(StatusCode::OK, &metrics::as_json(&text)),
        (Ok(text), metrics::Form::Text) => {
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        (Err(_), _) => internal(),
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}
