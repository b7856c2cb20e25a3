//! One HTTP connection from accept to its end or its upgrade. Run by the accept loop alone.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::Service;

use super::{Peer, Settings, fence, refusal, request_id};

/// What hyper may buffer of one connection: a URI and a header block that we still answer with a
/// document of our own. Past it hyper's bare 431 or 414 stands.
const BUFFER_BYTES: usize = 128 * 1024;

pub(super) async fn run(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    settings: Arc<Settings>,
    mut stopping: watch::Receiver<bool>,
) {
    // Fails only on a connection that is gone already; reading it will tell.
    let _ = stream.set_nodelay(true);
    let header_timeout = settings.limits.load().header_timeout;
    let client = peer.address;
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let refused = refuse(&request, &settings);
        request.extensions_mut().insert(peer.clone());
        let asked = request_id::Asked::of(&request, peer.address);
        let mut router = router.clone();
        async move {
            let mut response = match refused {
                Some(response) => response,
                None => router.call(request).await?,
            };
            asked.close(&mut response);
            Ok::<Response, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %client, "a connection ended early");
    }
}

/// Resolves when shutdown began, or when the accept loop is gone.
async fn told(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// The answer to a request that no route shall see.
fn refuse(request: &Request<Incoming>, settings: &Settings) -> Option<Response> {
    let limits = settings.limits.load();
    let uri_bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if uri_bytes > limits.uri_bytes {
        return Some(refusal(
            StatusCode::URI_TOO_LONG,
            "uri_too_long",
            format!("the URI has {uri_bytes} bytes; at most {} are taken", limits.uri_bytes),
        ));
    }
    let header_bytes = header_block_bytes(request.headers());
    if header_bytes > limits.header_bytes {
        return Some(refusal(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers_too_large",
            format!(
                "the header block has {header_bytes} bytes; at most {} are taken",
                limits.header_bytes
            ),
        ));
    }
    if settings.dev_mode
        && let Err(outside) = fence::check(request.uri(), request.headers())
    {
        return Some(refusal(StatusCode::FORBIDDEN, "dev_mode_is_local", outside.to_string()));
    }
    ambiguous(request.version(), request.headers())
}

/// The answer to a request that two servers in a row could take for two different ones (RFC 9112,
/// section 3.2). The connection ends with it. Of two lengths hyper takes the chunks alone.
fn ambiguous(version: Version, headers: &HeaderMap) -> Option<Response> {
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts == 1 || hosts == 0 && version == Version::HTTP_10 {
        return None;
    }
    let detail = "a request names its Host once";
    let mut response = refusal(StatusCode::BAD_REQUEST, "bad_host", detail);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Some(response)
}

/// The header block as it was on the wire: names, values, colon, space and line ends.
fn header_block_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}
