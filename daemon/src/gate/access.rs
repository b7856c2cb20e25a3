//! What each path asks of whoever calls it. One table, by method and path as they came: the router
//! matches the same bytes, so that no other way to write a path leads around it.

use http::Method;
use pulseboard::claims::Scope;

/// Where the socket is.
pub(super) const SOCKET_PATH: &str = "/ws";

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing, and it is not counted: the page's files, `/health*`.
    Free,
    /// Nothing, but it is counted.
    Anyone,
    /// What the socket's endpoint says, which has more places for a token: `/ws`.
    Socket,
    /// Scope read.
    Read,
    /// Scope read, for every site: what cannot be told apart by site.
    ReadAll,
    /// Scope ingest. `import=true` needs more; the route, which reads it, says so.
    Ingest,
}

impl Access {
    /// The scope it takes.
    pub fn scope(self) -> Option<Scope> {
        match self {
            Self::Free | Self::Anyone | Self::Socket => None,
            Self::Read | Self::ReadAll => Some(Scope::Read),
            Self::Ingest => Some(Scope::Ingest),
        }
    }
}

/// What `method` at `path` needs. Under `/api` what is not named here needs a reader's token, also
/// to be told that it is not there.
pub fn access(method: &Method, path: &str, metrics_public: bool) -> Access {
    match path {
        "/api/events" if *method == Method::POST => Access::Ingest,
        "/api/openapi.json" => Access::Anyone,
        "/metrics" if metrics_public => Access::Anyone,
        "/metrics" => Access::ReadAll,
        SOCKET_PATH => Access::Socket,
        _ if path == "/api" || path.starts_with("/api/") => Access::Read,
        _ => Access::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_asks_for_what_the_contract_says() {
        let rows = [
            (Method::POST, "/api/events", Access::Ingest),
            (Method::GET, "/api/events", Access::Read),
            (Method::HEAD, "/api/events", Access::Read),
            (Method::DELETE, "/api/events", Access::Read),
            (Method::GET, "/api/export", Access::Read),
            (Method::GET, "/api/aggregates", Access::Read),
            (Method::GET, "/api/history", Access::Read),
            (Method::GET, "/api/routes", Access::Read),
            (Method::GET, "/api/openapi.json", Access::Anyone),
            (Method::GET, "/api/nothing", Access::Read),
            (Method::POST, "/api/events/", Access::Read),
            (Method::GET, "/api/../health", Access::Read),
            (Method::GET, "/api", Access::Read),
            (Method::GET, "/health", Access::Free),
            (Method::GET, "/health/ready", Access::Free),
            (Method::GET, "/", Access::Free),
            (Method::GET, "/assets/index.js", Access::Free),
            (Method::GET, "/ws", Access::Socket),
            (Method::GET, "/metrics", Access::ReadAll),
        ];
        for (method, path, wanted) in rows {
            assert_eq!(access(&method, path, false), wanted, "{method} {path}");
        }
        assert_eq!(access(&Method::GET, "/metrics", true), Access::Anyone);
    }
}
