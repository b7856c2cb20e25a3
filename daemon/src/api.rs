//! What REST answers: events in, and events, aggregates, history, routes, health and metrics out,
//! and the dashboard's files.
//!
//! Routing and the shapes of answers only; every number comes from a stage's read side. Queries
//! that may touch disk run off the async threads. Built by [`crate::app`].

pub mod accept;
pub mod assets;
pub mod endpoints;
pub mod events;
pub mod export;
pub mod headers;
pub mod health;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod query;
mod stored;
pub mod windows;

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use pulseboard::filter::Filter;
use pulseboard::route::Normaliser;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

use self::endpoints::{Endpoint, Id};
use self::metrics::requests::Place;
use self::problem::{Problem, json};
use self::query::Parameters;
use crate::aggregate::Views;
use crate::broadcast::Hub;
use crate::clock::Clock;
use crate::cluster::{Claimant, Cluster};
use crate::gate::Caller;
use crate::ingest::Ingest;
use crate::ingest::dedupe::Dedupe;
use crate::ingest::rest::Rest;
use crate::journal::Journal;
use crate::server::origin::Origins;
use crate::store::drain::Drain;
use crate::store::mongodb::{Archive, Mongo};

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
    /// The shared store, where there is one.
    pub mongo: Option<Mongo>,
    /// Its read side, which answers what is asked of stored things.
    pub archive: Option<Archive>,
    /// Numbers.
    pub views: Views,
    /// What fills the shared store, if there is one.
    pub drain: Option<Drain>,
    /// Sockets.
    pub hub: Arc<Hub>,
    /// The other instances, where there can be any.
    pub cluster: Option<Cluster>,
    /// Claims on ids, where there may be other instances.
    pub claims: Option<Claimant>,
    /// The time.
    pub clock: Clock,
    /// How routes are normalised, in filters too.
    pub normaliser: Arc<Normaliser>,
    /// What browsers know the daemon as.
    pub origins: Origins,
    /// Where everything is kept; asked how full its disk is.
    pub data_dir: PathBuf,
    /// How pages of events are named.
    pub cursors: events::Cursors,
    /// Files under way.
    pub exports: export::Exports,
    /// What `/metrics` renders.
    pub metrics: metrics::Metrics,
    /// Whether the daemon is on its way out.
    pub stopping: Arc<std::sync::atomic::AtomicBool>,
}

/// Shorter answers fit a packet as they are.
const PACKED_BYTES_MIN: u64 = 1_024;
/// Of gzip and of Brotli: most of the gain for little of the time.
const PACKED_LEVEL: i32 = 4;

type Shared = State<Arc<Stages>>;
/// Who asks, as the gate found out.
type From = Extension<Caller>;

/// Routes of everything but the socket, as the table of endpoints has them.
pub fn router(stages: Arc<Stages>) -> Router {
    let mut router = Router::new();
    let mut paths: Vec<&'static str> = Vec::new();
    for endpoint in endpoints::ALL {
        if !paths.contains(&endpoint.path) && handler(endpoint.id).is_some() {
            paths.push(endpoint.path);
        }
    }
    for path in paths {
        let methods = endpoints::ALL.iter().filter(|endpoint| endpoint.path == path);
        let handlers = methods.filter_map(|endpoint| handler(endpoint.id));
        let route = handlers.fold(MethodRouter::new(), MethodRouter::merge);
        let allow = endpoints::allow(path);
        let other =
            move |method: Method, uri: Uri| std::future::ready(other_method(&method, &uri, &allow));
        router = router.route(path, route.fallback(other));
    }
    router.fallback(assets::serve).with_state(stages)
}

/// The socket's route: who upgrades answers GET alone.
pub fn socket<H, T>(upgrade: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    let path = Endpoint::of(Id::OpenSocket).path;
    let allow = endpoints::allow(path);
    let other =
        move |method: Method, uri: Uri| std::future::ready(other_method(&method, &uri, &allow));
    Router::new().route(path, get(upgrade).fallback(other))
}

/// Around everything, the gate too: how long an answer took, and what each says besides its body.
pub async fn around(
    stages: &Stages,
    request: Request<Body>,
    next: impl AsyncFnOnce(Request<Body>) -> Response,
) -> Response {
    let place = Place::of(request.method(), request.uri().path());
    let started = stages.clock.elapsed();
    let mut response = next(request).await;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        headers::protect(response.headers_mut());
        if stages.origins.is_https() {
            headers::keep_to_https(response.headers_mut());
        }
    }
    let took = stages.clock.elapsed().saturating_sub(started);
    stages.metrics.requests().record(place, response.status(), took);
    response
}

/// Who answers; the page and the socket are answered elsewhere.
fn handler(id: Id) -> Option<MethodRouter<Arc<Stages>>> {
    Some(match id {
        Id::SendEvents => post(post_events),
        Id::ListEvents => packed(get(get_events)),
        Id::ExportEvents => get(get_export),
        Id::ReadAggregate => packed(get(get_aggregates)),
        Id::ReadHistory => packed(get(get_history)),
        Id::ListRoutes => packed(get(get_routes)),
        Id::DescribeApi => {
            packed(get(|headers: HeaderMap| async move { openapi::serve(&headers) }))
        }
        Id::CheckAlive => get(|| async { json(StatusCode::OK, &health::Alive::default()) }),
        Id::CheckReady => get(get_ready),
        Id::ReadMetrics => packed(get(get_metrics)),
        Id::OpenSocket | Id::OpenPage => return None,
    })
}

/// Answers from [`PACKED_BYTES_MIN`] on are sent packed to who accepts it. Not those to posts, which
/// are short, and not exports, which pack by themselves off the async threads.
fn packed(handler: MethodRouter<Arc<Stages>>) -> MethodRouter<Arc<Stages>> {
    let quick = CompressionLevel::Precise(PACKED_LEVEL);
    let long = SizeAbove::new(PACKED_BYTES_MIN);
    handler.layer(CompressionLayer::new().quality(quick).compress_when(long))
}

/// What a path answers to a method it has no answer for: OPTIONS is told what there is, any other
/// that it is none of it.
pub(super) fn other_method(method: &Method, uri: &Uri, allow: &str) -> Response {
    let value = HeaderValue::from_str(allow).expect("methods are visible ASCII");
    if *method == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, [(header::ALLOW, value)]).into_response();
    }
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{method} is not answered at {}; {allow} are", uri.path()),
    )
    .header(header::ALLOW, value)
    .into_response()
}

/// Whether a request brings events. Those are most of all requests by far, and go without the
/// router's detours.
pub fn brings_events(request: &Request<Body>) -> bool {
    request.uri().path() == "/api/events" && *request.method() == Method::POST
}

async fn post_events(State(stages): Shared, request: Request<Body>) -> Response {
    stages.rest.post(request).await
}

/// The parameters of a call: those of the table and no other.
fn parameters(id: Id, uri: &Uri) -> Result<Parameters, Problem> {
    Parameters::parse(uri.query(), &Endpoint::of(id).query())
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
    name: &'static str,
    query: impl FnOnce(&Stages) -> Result<T, Problem> + Send + 'static,
) -> Response {
    let answer = tokio::task::spawn_blocking(move || {
        let started = stages.clock.elapsed();
        let answer = query(&stages);
        stages.metrics.query(name, stages.clock.elapsed().saturating_sub(started));
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
    blocking(stages, "events", move |stages| {
        let parameters = parameters(Id::ListEvents, &uri)?;
        let now_ms = stages.clock.now_ms();
        let asked = events::Asked::read(&parameters, now_ms, |text| {
            query::visible(stages.filter(text)?, &caller.grant)
        })?;
        match &stages.archive {
            Some(archive) => events::shared_page(archive, &asked),
            None => events::page(&stages.journal, &stages.cursors, &asked),
        }
    })
    .await
}

async fn get_export(State(stages): Shared, caller: From, request: Request<Body>) -> Response {
    let (request, _) = request.into_parts();
    let asked = parameters(Id::ExportEvents, &request.uri).and_then(|parameters| {
        let now_ms = stages.clock.now_ms();
        export::Asked::read(&parameters, now_ms, |text| {
            query::visible(stages.filter(text)?, &caller.grant)
        })
    });
    match asked {
        Ok(asked) => {
            let gzip = accept::coding(&request.headers, "gzip");
            let (journal, now_ms) = (&stages.journal, stages.clock.now_ms());
            let archive = stages.archive.as_ref();
            stages.exports.answer((journal, archive), asked, &request.method, gzip, now_ms).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn get_aggregates(State(stages): Shared, caller: From, uri: Uri) -> Response {
    blocking(stages, "aggregates", move |stages| {
        let parameters = parameters(Id::ReadAggregate, &uri)?;
        let filter = stages.asked(&parameters, &caller)?;
        windows::aggregates(stages.archive.as_ref(), &stages.views, &filter, &parameters)
    })
    .await
}

async fn get_history(State(stages): Shared, caller: From, uri: Uri) -> Response {
    blocking(stages, "history", move |stages| {
        let parameters = parameters(Id::ReadHistory, &uri)?;
        stages.settle();
        let filter = stages.asked(&parameters, &caller)?;
        let now_ms = stages.clock.now_ms();
        windows::history(stages.archive.as_ref(), &stages.views, &filter, &parameters, now_ms)
    })
    .await
}

async fn get_routes(State(stages): Shared, caller: From, uri: Uri) -> Response {
    blocking(stages, "routes", move |stages| {
        let parameters = parameters(Id::ListRoutes, &uri)?;
        stages.settle();
        let filter = stages.asked(&parameters, &caller)?;
        let now_ms = stages.clock.now_ms();
        windows::routes(stages.archive.as_ref(), &stages.views, &filter, &parameters, now_ms)
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
