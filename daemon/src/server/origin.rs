//! Which web pages may open a socket: the daemon's own, and those an operator listed.
//!
//! Browsers send `Origin` and let no page forge it; other programs send none and are not kept out
//! by it. Asked by the socket's endpoint and by CORS; holds nothing but the list, which can change
//! while the daemon runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, header};

/// Whose pages are welcome. Cheap to clone; clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Origins(Arc<ArcSwap<Listed>>);

#[derive(Debug, Default)]
struct Listed {
    public_url: Option<String>,
    allowed: Vec<String>,
}

impl Origins {
    /// `public_url` is the daemon's own origin as browsers see it, where a proxy stands in front
    /// (`server.public_url`): `https://pulse.example.org`. `allowed` are others
    /// (`server.allowed_origins`), each `scheme://host[:port]`.
    pub fn new(public_url: Option<String>, allowed: Vec<String>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Listed { public_url, allowed })))
    }

    /// Puts another list in place, for all clones.
    pub fn reload(&self, public_url: Option<String>, allowed: Vec<String>) {
        self.0.store(Arc::new(Listed { public_url, allowed }));
    }

    /// Whether a request may come from where it says; one that says nothing is no browser's.
    pub fn admit(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        if origins.next().is_some() {
            return false;
        }
        let Ok(origin) = origin.to_str() else { return false };
        self.is_listed(origin) || self.0.load().is_own(origin, headers)
    }

    /// Whether an origin is one of those CORS answers for.
    pub fn is_listed(&self, origin: &str) -> bool {
        self.0.load().allowed.iter().any(|allowed| same(allowed, origin))
    }

    /// Whether browsers reach the daemon over https.
    pub fn is_https(&self) -> bool {
        let listed = self.0.load();
        listed.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }

    /// Whether CORS answers for anyone.
    pub fn lists_any(&self) -> bool {
        !self.0.load().allowed.is_empty()
    }
}

impl Listed {
    /// The public address, and the address the daemon itself was asked at: one that stands behind a
    /// balancer serves its page to whoever opens it directly, too.
    fn is_own(&self, origin: &str, headers: &HeaderMap) -> bool {
        let public_url = self.public_url.as_deref();
        if public_url.is_some_and(|url| same(url, origin)) {
            return true;
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        host.is_some_and(|host| same(&format!("http://{host}"), origin))
            && !public_url.is_some_and(|url| is_unsafe_twin(url, origin))
    }
}

/// Whether an origin is in plain http what is public over https: anyone on the way can write such
/// a page.
fn is_unsafe_twin(public_url: &str, origin: &str) -> bool {
    let (public, other) = (parts(public_url), parts(origin));
    public.zip(other).is_some_and(|((scheme, host, _), (other_scheme, other_host, _))| {
        scheme == "https" && other_scheme != "https" && host == other_host
    })
}

/// Whether two URLs have one origin: scheme, host and port.
fn same(left: &str, right: &str) -> bool {
    matches!((parts(left), parts(right)), (Some(left), Some(right)) if left == right)
}

/// Scheme, host and port of a URL, lower-cased; `None` for what has no host, `null` among it.
fn parts(url: &str) -> Option<(String, String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split('/').next().filter(|authority| !authority.contains('@'))?;
    let authority: http::uri::Authority = authority.parse().ok()?;
    let port = match (authority.port_u16(), scheme.as_str()) {
        (Some(port), _) => port,
        (None, "http") => 80,
        (None, "https") => 443,
        (None, _) => return None,
    };
    Some((scheme, authority.host().to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(origins: &Origins, host: &str, origin: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert("host", host.parse().unwrap());
        headers.insert("origin", origin.parse().unwrap());
        origins.admit(&headers)
    }

    #[test]
    fn the_daemons_own_page_is_welcome_and_no_other() {
        let origins = Origins::default();
        assert!(admits(&origins, "localhost:3000", "http://localhost:3000"));
        assert!(admits(&origins, "LOCALHOST", "http://localhost:80"));
        for origin in [
            "http://localhost:5173",
            "https://localhost:3000",
            "http://127.0.0.1:3000",
            "http://example.org",
            "null",
            "",
            "http://localhost:3000@example.org",
        ] {
            assert!(!admits(&origins, "localhost:3000", origin), "{origin}");
        }
    }

    #[test]
    fn a_program_that_is_no_browser_sends_no_origin() {
        assert!(Origins::default().admit(&HeaderMap::new()));
    }

    #[test]
    fn listed_pages_are_welcome_and_behind_a_proxy_the_public_one() {
        let origins = Origins::default();
        origins.clone().reload(
            Some("https://pulse.example.org/".to_owned()),
            vec!["http://localhost:5173".to_owned()],
        );
        assert!(admits(&origins, "inside:3000", "https://pulse.example.org"));
        assert!(admits(&origins, "inside:3000", "http://localhost:5173"));
        assert!(!admits(&origins, "inside:3000", "http://example.org"));
        assert!(!admits(&origins, "pulse.example.org", "https://example.org"));
    }

    #[test]
    fn behind_a_balancer_the_page_opened_at_the_daemon_itself_is_its_own_too() {
        let origins = Origins::new(Some("http://127.0.0.1:3000".to_owned()), Vec::new());
        assert!(admits(&origins, "127.0.0.1:3001", "http://127.0.0.1:3000"));
        assert!(admits(&origins, "127.0.0.1:3001", "http://127.0.0.1:3001"));
        assert!(!admits(&origins, "127.0.0.1:3001", "http://127.0.0.1:3002"));
    }

    #[test]
    fn what_is_public_over_https_is_not_welcome_in_plain_http() {
        let origins = Origins::new(Some("https://pulse.example.org".to_owned()), Vec::new());
        for origin in ["http://pulse.example.org", "http://PULSE.example.org:3000"] {
            let host = origin.trim_start_matches("http://");
            assert!(!admits(&origins, host, origin), "{origin}");
        }
        assert!(admits(&origins, "inside:3000", "http://inside:3000"));
    }

    #[test]
    fn two_origins_are_one_too_many() {
        let mut headers = HeaderMap::new();
        headers.insert("host", "localhost".parse().unwrap());
        headers.append("origin", "http://localhost".parse().unwrap());
        headers.append("origin", "http://example.org".parse().unwrap());
        assert!(!Origins::default().admit(&headers));
    }
}
