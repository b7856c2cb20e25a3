//! The settings' own small types: which store, how to log, windows, origins, networks of proxies,
//! route templates. Each reads itself from text and says what is wrong with it.
//!
//! Does no I/O and resolves no names. Named by the registry, read by the stages they configure.

use std::net::{IpAddr, SocketAddr};

use pulseboard::limits;
use pulseboard::route::Normaliser;

use super::value::{FromText, Words};

/// Where events and aggregates are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// In the data directory.
    Embedded,
    /// In MongoDB, with the journal as the spool in front of it.
    Mongodb,
}

impl Words for StoreKind {
    const ALL: &'static [(&'static str, Self)] =
        &[("embedded", Self::Embedded), ("mongodb", Self::Mongodb)];
}

/// How much is logged: everything at this level and above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// The operator must act.
    Error,
    /// The operator should look.
    Warn,
    /// What the daemon did.
    Info,
    /// What it decided on the way.
    Debug,
    /// Every step.
    Trace,
}

impl Words for LogLevel {
    const ALL: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Words for LogFormat {
    const ALL: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl FromText for SocketAddr {
    fn from_text(text: &str) -> Result<Self, String> {
        let wanted = "an address and port such as 127.0.0.1:3000";
        text.parse().map_err(|_| format!("{text:?} is not {wanted}"))
    }
}

/// A sliding window: whole seconds, named `5s` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its length, 1 to 3,600.
    pub secs: u32,
}

impl FromText for Window {
    fn from_text(text: &str) -> Result<Self, String> {
        let end = text.len() - usize::from(text.ends_with(['s', 'm', 'h']));
        let factor = match &text[end..] {
            "m" => 60,
            "h" => 3_600,
            _ => 1,
        };
        let secs = text[..end].parse::<u32>().ok().filter(|_| end < text.len());
        let secs = secs.and_then(|number| number.checked_mul(factor));
        match secs {
            Some(secs @ 1..=3_600) => Ok(Self { secs }),
            Some(_) => Err(format!("{text:?} is not a window of 1s to 1h")),
            None => Err(format!("{text:?} is not a window such as 5s")),
        }
    }
}

/// A web origin, `https://example.org` or with a port; the address under which browsers see a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The origin as browsers send it: scheme and host in lower case, no path, no default port.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for Origin {
    fn from_text(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is not an origin such as https://pulse.example.org");
        let origin = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
        let (scheme, host) = origin.split_once("://").ok_or_else(refused)?;
        let default_port = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return Err(refused()),
        };
        let host = host.strip_suffix(default_port).unwrap_or(host);
        let strange = |c: char| !c.is_ascii_alphanumeric() && !"-._:[]".contains(c);
        if host.is_empty() || host.starts_with(':') || host.contains(strange) {
            return Err(refused());
        }
        Ok(Self(format!("{scheme}://{host}")))
    }
}

/// A network of addresses, `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// Whether `address` lies in it. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = u32::from(network) ^ u32::from(address);
                differ.checked_shr(32 - u32::from(self.prefix_bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = u128::from(network) ^ u128::from(address);
                differ.checked_shr(128 - u32::from(self.prefix_bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromText for Network {
    fn from_text(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is not an address or network such as 10.0.0.0/8");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => bits,
            Some(prefix) => {
                let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
                let number = prefix.parse().ok().filter(|prefix| digits && *prefix <= bits);
                number.ok_or_else(refused)?
            }
        };
        Ok(Self { address, prefix_bits })
    }
}

/// A template that names routes: a segment that starts with `:` stands for any one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePattern(String);

impl RoutePattern {
    /// The template, which is also the route that events are counted under.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for RoutePattern {
    fn from_text(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') || text.contains(['?', '#']) {
            return Err(format!("{text:?} is not a route template such as /users/:name/files"));
        }
        if text.len() > limits::ROUTE_BYTES {
            return Err(format!("{text:?} is longer than a route's {} bytes", limits::ROUTE_BYTES));
        }
        Normaliser::new(true, &[text]).map_err(|error| error.to_string())?;
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses_and_no_others() {
        let inside = |network: &str, address: &str| {
            Network::from_text(network).unwrap().contains(address.parse().unwrap())
        };
        assert!(inside("10.0.0.0/8", "10.255.1.2"));
        assert!(!inside("10.0.0.0/8", "11.0.0.1"));
        assert!(inside("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(inside("192.0.2.7", "192.0.2.7"));
        assert!(!inside("192.0.2.7", "192.0.2.6"));
        assert!(inside("0.0.0.0/0", "203.0.113.9"));
        assert!(!inside("0.0.0.0/0", "2001:db8::1"));
        assert!(inside("2001:db8::/32", "2001:db8:1::1"));
        for wrong in ["10.0.0.0/33", "10.0.0.0/+8", "10.0.0", "10.0.0.0/", "2001:db8::/129", "host"]
        {
            assert!(Network::from_text(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins_are_kept_as_browsers_send_them() {
        let kept = |text: &str| Origin::from_text(text).map(|origin| origin.0);
        assert_eq!(
            kept("HTTPS://Pulse.Example.org:443/").as_deref(),
            Ok("https://pulse.example.org")
        );
        assert_eq!(kept("http://[::1]:3000").as_deref(), Ok("http://[::1]:3000"));
        for wrong in ["*", "pulse.example.org", "https://", "ftp://a", "https://a/b", "https://a b"]
        {
            assert!(kept(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn windows_are_whole_seconds_up_to_an_hour() {
        let secs = |text: &str| Window::from_text(text).map(|window| window.secs);
        assert_eq!(secs("5s"), Ok(5));
        assert_eq!(secs("2m"), Ok(120));
        assert_eq!(secs("1h"), Ok(3_600));
        for wrong in ["", "5", "0s", "3601s", "2h", "s", "5 s", "500ms", "99999999h"] {
            assert!(Window::from_text(wrong).is_err(), "{wrong}");
        }
    }
}
