//! Whose request it is when proxies stand in between.
//!
//! Only `X-Forwarded-For` is read, and only from `server.trusted_proxies`: from the right, hop by
//! hop, while the hop is one of them; the first that is not is the client, whatever stands left of
//! it, which anyone can write. `Forwarded` (RFC 7239) and `X-Real-IP` are not read: a proxy sends
//! one or the other, a client that smuggles in the one its proxy does not touch must gain nothing.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;

use crate::config::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const NOT_READ: [HeaderName; 2] = [http::header::FORWARDED, HeaderName::from_static("x-real-ip")];
/// Peers that were told of; later ones are not.
const TOLD_MAX: usize = 64;

/// Peers that forward without being trusted, each logged once.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<Vec<IpAddr>>);

/// The client's own address.
pub(super) fn client(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &[Network],
    strangers: &Strangers,
) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        if headers.contains_key(X_FORWARDED_FOR)
            || NOT_READ.iter().any(|name| headers.contains_key(name))
        {
            strangers.tell(peer);
        }
        return peer;
    }
    let mut client = peer;
    for line in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for hop in line.as_bytes().rsplit(|byte| *byte == b',') {
            // A hop that is no address (`unknown`): who named it is all we know.
            let Some(hop) = std::str::from_utf8(hop).ok().and_then(address) else { return client };
            client = hop;
            if !is_trusted(client) {
                return client;
            }
        }
    }
    client
}

/// An address, also with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

impl Strangers {
    fn tell(&self, peer: IpAddr) {
        let mut told = self.0.lock();
        if told.len() < TOLD_MAX && !told.contains(&peer) {
            told.push(peer);
            tracing::warn!(
                %peer,
                "a forwarding header from {peer} is ignored; if a proxy of yours is there, add \
                 \"{peer}\" to server.trusted_proxies and let it send X-Forwarded-For"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::FromText;

    fn seen(peer: &str, lines: &[&str], trusted: &str) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted: Vec<_> =
            trusted.split(", ").map(|text| Network::from_text(text).unwrap()).collect();
        client(peer.parse().unwrap(), &headers, &trusted, &Strangers::default()).to_string()
    }

    #[test]
    fn the_rightmost_hop_that_is_not_trusted_is_the_client() {
        let trusted = "10.0.0.0/8, ::1";
        let rows: &[(&str, &[&str], &str)] = &[
            ("192.0.2.1", &["203.0.113.9"], "192.0.2.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["1.1.1.1", "203.0.113.9 , 10.2.3.4"], "203.0.113.9"),
            ("10.0.0.1", &["10.9.9.9, 10.2.3.4"], "10.9.9.9"),
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("::1", &["[2001:db8::7]"], "2001:db8::7"),
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9,"], "10.0.0.1"),
            ("10.0.0.1", &["unknown, 10.2.3.4"], "10.2.3.4"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ];
        for (peer, lines, client) in rows {
            assert_eq!(seen(peer, lines, trusted), *client, "{peer} {lines:?}");
        }
    }

    #[test]
    fn strangers_are_told_of_once_and_only_so_many() {
        let strangers = Strangers::default();
        for n in 0..1_000_u32 {
            strangers.tell(IpAddr::from(n.to_be_bytes()));
            strangers.tell(IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(strangers.0.lock().len(), TOLD_MAX);
    }
}
