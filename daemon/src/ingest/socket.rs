//! Where sockets come in: the endpoint of `GET /ws`, from the upgrade request to a session.
//!
//! It checks what can be refused with an HTTP answer (origin, handshake, token, limits), switches
//! protocols, and hands the bare TCP connection to the broadcast hub, whose session does the rest.
//! It reads no message.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::broadcast::{self, Full, Hub, Socket};
use crate::gate::{self, Caller};
use crate::server::{Peer, origin::Origins, refusal};
use pulseboard::wire::SUBPROTOCOL;

mod credentials;
mod handshake;

/// Seconds after which a refused client may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// See the module. Cheap to clone; clones share what can be reloaded.
#[derive(Clone)]
pub struct Endpoint {
    hub: Arc<Hub>,
    origins: Origins,
    query_token: Arc<AtomicBool>,
}

impl Endpoint {
    /// An endpoint whose sessions belong to `hub`.
    pub fn new(hub: Arc<Hub>, origins: Origins) -> Self {
        Self { hub, origins, query_token: Arc::default() }
    }

    /// Says whether `?token=` is taken (`auth.allow_query_token`).
    #[must_use]
    pub fn with_query_token(self, allowed: bool) -> Self {
        self.take_query_token(allowed);
        self
    }

    /// The same, while the daemon runs.
    pub fn take_query_token(&self, allowed: bool) {
        self.query_token.store(allowed, Ordering::Relaxed);
    }

    /// Answers `GET /ws`: 101 and a session, or a problem document.
    pub fn upgrade(&self, request: Request) -> Response {
        match self.try_upgrade(request) {
            Ok(response) | Err(response) => response,
        }
    }

    #[allow(clippy::result_large_err, reason = "an answer either way, made once a socket")]
    fn try_upgrade(&self, mut request: Request) -> Result<Response, Response> {
        if !self.origins.admit(request.headers()) {
            return Err(refusal(
                StatusCode::FORBIDDEN,
                "origin_not_allowed",
                "pages of this origin may not open a socket; list it in server.allowed_origins",
            ));
        }
        let handshake = handshake::read(&request)?;
        let extensions = request.extensions();
        let (Some(peer), Some(caller)) =
            (extensions.get::<Peer>().cloned(), extensions.get::<Caller>().cloned())
        else {
            return Err(refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the connection does not say whose it is",
            ));
        };
        let query_token = self.query_token.load(Ordering::Relaxed);
        let token = credentials::token(&request, &handshake, query_token)
            .map_err(IntoResponse::into_response)?;
        let standing = self
            .hub
            .admission()
            .admit(token, None)
            .map_err(|denied| gate::bad_token(&denied).into_response())?;
        let seat = self.hub.admit(caller.address).map_err(|full| {
            let (status, code) = match full {
                Full::Sockets => (StatusCode::SERVICE_UNAVAILABLE, "too_many_sockets"),
                Full::Address => (StatusCode::TOO_MANY_REQUESTS, "too_many_sockets_of_address"),
                Full::Closing => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
            };
            let mut response = refusal(status, code, full.to_string());
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
            response
        })?;
        let upgrade = hyper::upgrade::on(&mut request);
        let hub = self.hub.clone();
        tokio::spawn(async move {
            let upgraded = match upgrade.await {
                Ok(upgraded) => upgraded,
                Err(error) => return tracing::debug!(%error, "a client left during its upgrade"),
            };
            let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
                return tracing::error!("an upgraded connection is no TCP connection");
            };
            hub.open(Socket {
                tcp: parts.io.into_inner(),
                // A copy: the original would keep hyper's whole read buffer.
                received: Bytes::copy_from_slice(&parts.read_buf),
                seat,
                hold: peer.hold,
                standing,
            });
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        let accept = broadcast::accept_key(handshake.key.as_bytes());
        let accept = HeaderValue::from_str(&accept).expect("base64 is a header value");
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        if handshake.names_subprotocol {
            let name = HeaderValue::from_static(SUBPROTOCOL);
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
        }
        Ok(response)
    }
}
