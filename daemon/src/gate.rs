//! The gate every request passes before a route sees it: from whom it comes, what it may do, how
//! often, and which pages may ask.
//!
//! It reads no body and answers no question; what it lets through carries a [`Caller`] in its
//! extensions. A layer around the one router, put there by [`crate::app`]. In order: a page's
//! preflight is answered, the client's address is found, its token checked, then whether the token
//! suffices, then whether it has calls left. A request without a valid token is counted by address,
//! so that nobody tries tokens faster than [`crate::rate_limit`] allows.

mod access;
mod cors;
mod credentials;
mod proxies;
mod quota;
mod refuse;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};
use pulseboard::claims::Scope;

use crate::api::problem::Problem;
use crate::auth::{Authority, Grant};
use crate::config::Network;
use crate::rate_limit::{EventBudget, RateLimits, Standing, Who};
use crate::server::origin::Origins;
use crate::server::{Client, Peer, discard};

pub use access::{Access, access};
pub use quota::{policy, put_quota, rate_limited};
pub use refuse::{
    bad_token, misplaced_token, other_scheme, several_tokens, wrong_scope, wrong_site,
};

/// What is still read of the body of a request that was refused, so that its client, which may be
/// sending it, gets to read the answer.
const DISCARD_BYTES: usize = 1 << 20;
/// For how long.
const DISCARD_WITHIN: Duration = Duration::from_secs(2);

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

/// What an operator may set.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `server.trusted_proxies`.
    pub trusted_proxies: Vec<Network>,
    /// `metrics.public`.
    pub metrics_public: bool,
}

/// What decides. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    /// About tokens.
    pub authority: Authority,
    /// About rates.
    pub rates: RateLimits,
    /// About pages.
    pub origins: Origins,
    settings: Arc<ArcSwap<Settings>>,
    strangers: Arc<proxies::Strangers>,
}

/// What is done with the answer of a request that passed.
struct Passed {
    standing: Option<Standing>,
    /// Set at the socket's endpoint, which reads tokens itself: whom to count a bad one against.
    stranger: Option<IpAddr>,
}

impl Gate {
    /// A gate; `origins` are shared with whoever else asks about pages.
    pub fn new(
        authority: Authority,
        rates: RateLimits,
        origins: Origins,
        settings: Settings,
    ) -> Self {
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        Self { authority, rates, origins, settings, strangers: Arc::default() }
    }

    /// Puts other settings in place, for connections that are open too.
    pub fn reload(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Whether a request may pass; then it carries its [`Caller`].
    fn admit(&self, request: &mut Request) -> Result<Passed, Problem> {
        let Some(peer) = request.extensions().get::<Peer>().map(|peer| peer.address.ip()) else {
            return Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the connection does not say whose it is",
            ));
        };
        let settings = self.settings.load();
        let address =
            proxies::client(peer, request.headers(), &settings.trusted_proxies, &self.strangers);
        request.extensions_mut().insert(Client(address));
        let access = access(request.method(), request.uri().path(), settings.metrics_public);
        let (grant, standing) = match self.authority.open_to_all() {
            Some(everyone) => {
                self.only_our_pages_write(request)?;
                (Arc::clone(everyone), None)
            }
            None => self.check(request, access, address)?,
        };
        let budget = self.rates.events(&grant);
        request.extensions_mut().insert(Caller { address, grant, budget });
        let stranger = (access == Access::Socket).then_some(address);
        Ok(Passed { standing, stranger })
    }

    /// The token, what it allows, and the calls it has left.
    fn check(
        &self,
        request: &Request,
        access: Access,
        address: IpAddr,
    ) -> Result<(Arc<Grant>, Option<Standing>), Problem> {
        if matches!(access, Access::Free | Access::Socket) {
            return Ok((Arc::new(Grant::nothing()), None));
        }
        let stranger = |problem: Problem| match self.rates.call(Who::Address(address)) {
            Ok(_) => problem,
            Err(exceeded) => rate_limited(&exceeded),
        };
        let Some(token) = credentials::find(request, access).map_err(stranger)? else {
            if access != Access::Anyone {
                return Err(stranger(refuse::missing_token()));
            }
            let standing = self.rates.call(Who::Address(address));
            let standing = standing.map_err(|exceeded| rate_limited(&exceeded))?;
            return Ok((Arc::new(Grant::nothing()), standing));
        };
        let verified = self.authority.verify(token.text);
        let grant = verified.map_err(|denied| stranger(refuse::bad_token(&denied)))?;
        if token.is_in_query && access == Access::Ingest && !grant.scopes.is_only(Scope::Ingest) {
            return Err(stranger(refuse::query_token_may_more()));
        }
        let scope = access.scope();
        let may = scope.is_none_or(|scope| grant.allows(scope));
        // Events that may be sent count by themselves.
        let standing = if access == Access::Ingest && may {
            None
        } else {
            let standing = self.rates.call(Who::Subject(&grant.subject));
            standing.map_err(|exceeded| rate_limited(&exceeded))?
        };
        let forbidden = match (scope, &grant.site) {
            (Some(scope), _) if !may => wrong_scope(scope),
            (_, Some(site)) if access == Access::ReadAll => {
                wrong_site(format!("these figures count all sites, and this token is for {site:?}"))
            }
            _ => return Ok((grant, standing)),
        };
        Err(match standing {
            Some(standing) => quota::on_problem(forbidden, &standing),
            None => forbidden,
        })
    }

    /// Without a key everyone on this machine may write, and a page of another origin that is open
    /// in a browser here is not meant by that.
    fn only_our_pages_write(&self, request: &Request) -> Result<(), Problem> {
        let is_harmless = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if is_harmless || self.origins.admit(request.headers()) {
            return Ok(());
        }
        Err(cors::not_allowed())
    }
}

/// The gate as a layer of a router.
pub async fn layer(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    pass(&gate, request, async |request| next.run(request).await).await
}

/// Lets a request pass to `next`, or answers it.
pub async fn pass(
    gate: &Gate,
    mut request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let is_socket = request.uri().path() == access::SOCKET_PATH;
    if cors::is_preflight(&request) && !is_socket {
        return cors::preflight(&gate.origins, &request);
    }
    let asks = if is_socket { None } else { cors::Asks::of(&gate.origins, request.headers()) };
    let admitted = gate.admit(&mut request);
    let client = request.extensions().get::<Client>().copied();
    let mut response = match admitted {
        Ok(passed) => {
            let mut response = next(request).await;
            if let Some(standing) = passed.standing {
                put_quota(response.headers_mut(), &standing);
            }
            if response.status() == StatusCode::UNAUTHORIZED
                && let Some(stranger) = passed.stranger
                && let Err(exceeded) = gate.rates.call(Who::Address(stranger))
            {
                response = rate_limited(&exceeded).into_response();
            }
            response
        }
        Err(problem) => {
            if request.headers().contains_key(header::CONTENT_LENGTH)
                || request.headers().contains_key(header::TRANSFER_ENCODING)
            {
                let body = std::mem::replace(request.body_mut(), Body::empty());
                discard(request.headers(), body, DISCARD_BYTES, DISCARD_WITHIN).await;
            }
            problem.into_response()
        }
    };
    if let Some(asks) = asks {
        asks.answer(response.headers_mut());
    }
    if let Some(client) = client {
        response.extensions_mut().insert(client);
    }
    response
}
