//! The gate every request passes before a route sees it: from whom it comes, what it may do, how
//! often, and which pages may ask.
//!
//! It reads no body and answers no question; what it lets through carries a [`Caller`] in its
//! extensions. A layer around the one router, put there by [`crate::app`].

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;

use crate::auth::{Authority, Grant};
use crate::rate_limit::{EventBudget, RateLimits};
use crate::server::{Peer, refusal};

/// Who asks. In the extensions of every request that a route sees.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The client's own address: the peer's, or what a trusted proxy says.
    pub address: IpAddr,
    /// What it may do.
    pub grant: Arc<Grant>,
    /// What it may send.
    pub budget: EventBudget,
}

/// What decides. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    /// About tokens.
    pub authority: Authority,
    /// About rates.
    pub rates: RateLimits,
}

/// The layer.
pub async fn pass(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let Some(peer) = request.extensions().get::<Peer>() else {
        return refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the connection does not say whose it is",
        );
    };
    let address = peer.address.ip();
    let grant = match gate.authority.open_to_all() {
        Some(grant) => Arc::clone(grant),
        None => Arc::new(Grant::nothing()),
    };
    let budget = gate.rates.events(&grant);
    request.extensions_mut().insert(Caller { address, grant, budget });
    next.run(request).await
}
