//! The fence of dev mode: without a key everyone may do everything, so only this machine may ask.
//!
//! A request that a proxy passed on, or that names us by anything but a loopback address (a page of
//! another site whose name was made to point here), is refused. Pure; applied to every request by
//! the server, before any route.

use http::uri::Authority;
use http::{HeaderMap, Uri, header};

/// Why a request is from outside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outside {
    /// It went through a proxy.
    #[error(
        "no key is configured, so only this machine is served, but the request carries the \
         forwarding header `{0}`; run `pulseboardd --init-auth` to serve others"
    )]
    Forwarded(String),
    /// It does not say whom it asks.
    #[error("no key is configured, so only this machine is served, and the request names no Host")]
    NoHost,
    /// It asks for another name.
    #[error(
        "no key is configured, so only this machine is served, but the request is for `{0}`; \
         use localhost, or run `pulseboardd --init-auth` to serve others"
    )]
    Host(String),
}

/// Whether a request comes straight from this machine, for this machine.
pub fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Outside> {
    if let Some(name) = headers.keys().find(|name| is_forwarding(name.as_str())) {
        return Err(Outside::Forwarded(name.to_string()));
    }
    if let Some(authority) = uri.authority() {
        loopback(authority.as_str())?;
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else { return Err(Outside::NoHost) };
    for host in std::iter::once(host).chain(hosts) {
        loopback(&String::from_utf8_lossy(host.as_bytes()))?;
    }
    Ok(())
}

fn is_forwarding(name: &str) -> bool {
    matches!(name, "forwarded" | "via" | "x-real-ip") || name.starts_with("x-forwarded-")
}

fn loopback(host: &str) -> Result<(), Outside> {
    let outside = || Outside::Host(host.chars().take(200).collect());
    let authority: Authority = host.parse().map_err(|_| outside())?;
    if host.contains('@') || !is_loopback(authority.host()) {
        return Err(outside());
    }
    Ok(())
}

fn is_loopback(name: &str) -> bool {
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(v6) => v6.parse().is_ok_and(|v6: std::net::Ipv6Addr| v6.is_loopback()),
        None => name.parse().is_ok_and(|v4: std::net::Ipv4Addr| v4.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&'static str, &str)]) -> Result<(), Outside> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        check(&Uri::from_static("/api/aggregates"), &map)
    }

    #[test]
    fn every_way_to_write_this_machine_is_taken() {
        for host in ["localhost", "LocalHost:3000", "127.0.0.1", "127.8.9.10:80", "[::1]:3000"] {
            assert_eq!(request(&[("host", host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn any_other_host_is_outside() {
        for host in [
            "example.org",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "10.0.0.1:3000",
            "[::2]",
            "localhost@example.org",
            "example.org@localhost",
            "127.1",
            "",
        ] {
            assert!(matches!(request(&[("host", host)]), Err(Outside::Host(_))), "{host}");
        }
        assert_eq!(request(&[]), Err(Outside::NoHost));
        assert!(request(&[("host", "localhost"), ("host", "example.org")]).is_err());
    }

    #[test]
    fn the_target_of_a_request_counts_as_its_host_too() {
        let mut map = HeaderMap::new();
        map.insert("host", "localhost".parse().unwrap());
        assert!(check(&Uri::from_static("http://example.org/"), &map).is_err());
        assert!(check(&Uri::from_static("http://localhost:3000/"), &map).is_ok());
    }

    #[test]
    fn what_a_proxy_passed_on_is_outside() {
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "via"] {
            let refused = request(&[("host", "localhost"), (name, "1")]);
            assert_eq!(refused, Err(Outside::Forwarded(name.to_owned())));
        }
    }
}
