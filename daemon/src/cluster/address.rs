//! Where Redis is: the setting's URL, read once, at the start.
//!
//! Forms, each also with `rediss` for TLS:
//!
//! - `redis://[[user]:password@]host[:port][/db]`: one server.
//! - `redis+cluster://[[user]:password@]host[:port],host[:port],…`: a Redis Cluster, by some of its
//!   nodes.
//! - `redis+sentinel://[[user]:password@]host[:port],…/primary[/db]`: the primary of that name, as
//!   its sentinels know it; `?sentinel_user=…&sentinel_password=…` where these ask for a password.
//!
//! User, password and names may be percent-encoded. Opens no socket; an error shows nothing of the
//! URL but its scheme, since there may be a password in it.

use std::fmt;

use redis::io::tcp::TcpSettings;
use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, RedisConnectionInfo,
};
use thiserror::Error;

/// Hosts a URL may name.
const HOSTS_MAX: usize = 32;
const PORT: u16 = 6_379;
const SENTINEL_PORT: u16 = 26_379;

/// What is wrong with a URL: a sentence without the setting's name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// No scheme, or another one.
    #[error(
        "it must start with redis://, rediss:// (TLS), redis+cluster://, rediss+cluster://, \
         redis+sentinel:// or rediss+sentinel://"
    )]
    Scheme,
    /// Nothing between scheme and path.
    #[error("it names no host")]
    NoHost,
    /// More hosts than one, without saying what they are.
    #[error("several hosts need redis+cluster:// or redis+sentinel://")]
    SeveralHosts,
    /// Too many hosts.
    #[error("it names over {HOSTS_MAX} hosts; some of them are enough")]
    TooManyHosts,
    /// A port that is none.
    #[error("the port of host {0} is not a number from 1 to 65535")]
    Port(usize),
    /// A host that is none.
    #[error("host {0} is not a name or an address")]
    Host(usize),
    /// The path is not a database.
    #[error("what follows the host must be the number of a database, 0 to 999")]
    Database,
    /// A cluster has one database.
    #[error("a Redis Cluster has no numbered databases; leave out what follows the hosts")]
    ClusterDatabase,
    /// Sentinels must be told which primary.
    #[error("redis+sentinel:// needs the primary's name after the hosts, such as …/mymaster")]
    NoPrimary,
    /// Percent signs that encode nothing.
    #[error(
        "a % in it is not followed by two hexadecimal digits, or what they stand for is not text"
    )]
    Encoding,
    /// A query or fragment that is not known.
    #[error(
        "what follows ? or # is not known; only redis+sentinel:// takes ?sentinel_user=… and &sentinel_password=…"
    )]
    Query,
    /// A file that TLS needs without TLS.
    #[error("certificates are named and TLS is not asked for; it must start with rediss")]
    NoTls,
}

/// How several hosts belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    One,
    Cluster,
    Sentinel { primary: String },
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Login {
    user: Option<String>,
    password: Option<String>,
}

/// See the module. `Debug` shows no password.
#[derive(Clone)]
pub struct Address {
    pub(super) kind: Kind,
    pub(super) tls: bool,
    pub(super) hosts: Vec<(String, u16)>,
    database: i64,
    login: Login,
    sentinel_login: Login,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Address");
        shown.field("kind", &self.kind).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Address {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = url.trim().split_once("://").ok_or(AddressError::Scheme)?;
        let (tls, form) = match scheme.split_once('+') {
            Some(("redis", form)) => (false, form),
            Some(("rediss", form)) => (true, form),
            None if scheme == "redis" => (false, ""),
            None if scheme == "rediss" => (true, ""),
            _ => return Err(AddressError::Scheme),
        };
        if !["", "cluster", "sentinel"].contains(&form) {
            return Err(AddressError::Scheme);
        }
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, query),
            None => (rest, ""),
        };
        if rest.contains('#') || query.contains('#') {
            return Err(AddressError::Query);
        }
        // A password may hold a slash or an @: the last @ ends it.
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Login::parse(login)?, rest),
            None => (Login::default(), rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let port = if form == "sentinel" { SENTINEL_PORT } else { PORT };
        let hosts = read_hosts(hosts, port)?;
        let mut path = path.trim_end_matches('/');
        let kind = match form {
            "cluster" if path.is_empty() => Kind::Cluster,
            "cluster" => return Err(AddressError::ClusterDatabase),
            "sentinel" => {
                let (primary, database) = path.split_once('/').unwrap_or((path, ""));
                path = database;
                let primary = decoded(primary)?;
                if primary.is_empty() {
                    return Err(AddressError::NoPrimary);
                }
                Kind::Sentinel { primary }
            }
            _ if hosts.len() > 1 => return Err(AddressError::SeveralHosts),
            _ => Kind::One,
        };
        let database = match path {
            "" => 0,
            path => match path.parse::<u16>() {
                Ok(database) if database < 1_000 => i64::from(database),
                _ => return Err(AddressError::Database),
            },
        };
        let sentinel_login = Login::from_query(query, &kind)?;
        Ok(Self { kind, tls, hosts, database, login, sentinel_login })
    }

    /// Whether a password is sent.
    pub(super) fn has_password(&self) -> bool {
        self.login.password.is_some()
    }

    /// What must not appear in any text.
    fn secrets(&self) -> impl Iterator<Item = &str> {
        [&self.login.password, &self.sentinel_login.password].into_iter().flatten().map(|p| &**p)
    }

    /// A text in which no password stands.
    pub(super) fn scrubbed(&self, text: &str) -> String {
        let hide = |text: String, secret: &str| text.replace(secret, "***");
        self.secrets().filter(|secret| !secret.is_empty()).fold(text.to_owned(), hide)
    }

    /// The number of the database, which tells clusters on one server apart.
    pub(super) fn database(&self) -> i64 {
        self.database
    }

    /// How to reach a server at `host` and speak to it as ours.
    pub(super) fn server(&self, host: &(String, u16)) -> redis::RedisResult<ConnectionInfo> {
        self.info(host, &self.login, self.database)
    }

    /// How to reach a sentinel.
    pub(super) fn sentinel(&self, host: &(String, u16)) -> redis::RedisResult<ConnectionInfo> {
        self.info(host, &self.sentinel_login, 0)
    }

    fn info(
        &self,
        (host, port): &(String, u16),
        login: &Login,
        database: i64,
    ) -> redis::RedisResult<ConnectionInfo> {
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(database)
            .set_lib_name("pulseboard", env!("CARGO_PKG_VERSION"));
        if let Some(user) = &login.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(password);
        }
        let info = (host.as_str(), *port).into_connection_info()?.set_redis_settings(settings);
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        if !self.tls {
            return Ok(info);
        }
        let (host, port) = (host.clone(), *port);
        Ok(info.set_addr(ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }))
    }
}

impl Login {
    fn parse(text: &str) -> Result<Self, AddressError> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let given = |text: String| (!text.is_empty()).then_some(text);
        Ok(Self { user: given(decoded(user)?), password: given(decoded(password)?) })
    }

    fn from_query(query: &str, kind: &Kind) -> Result<Self, AddressError> {
        let mut login = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(AddressError::Query)?;
            let value = Some(decoded(value)?);
            match (name, kind) {
                ("sentinel_user", Kind::Sentinel { .. }) => login.user = value,
                ("sentinel_password", Kind::Sentinel { .. }) => login.password = value,
                _ => return Err(AddressError::Query),
            }
        }
        Ok(login)
    }
}

fn read_hosts(text: &str, default_port: u16) -> Result<Vec<(String, u16)>, AddressError> {
    if text.is_empty() {
        return Err(AddressError::NoHost);
    }
    if text.split(',').count() > HOSTS_MAX {
        return Err(AddressError::TooManyHosts);
    }
    let host = |(index, text): (usize, &str)| {
        let number = index + 1;
        let (host, port) = match text.strip_prefix('[') {
            // An IPv6 address.
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(AddressError::Host(number))?;
                (
                    host,
                    if port.is_empty() {
                        None
                    } else {
                        Some(port.strip_prefix(':').ok_or(AddressError::Host(number))?)
                    },
                )
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let is_odd =
            |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%'));
        if host.is_empty() || host.contains(is_odd) {
            return Err(AddressError::Host(number));
        }
        let port = match port.map(str::parse::<u16>) {
            None => default_port,
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return Err(AddressError::Port(number)),
        };
        Ok((host.to_owned(), port))
    };
    text.split(',').map(str::trim).enumerate().map(host).collect()
}

/// Text with its percent signs resolved.
fn decoded(text: &str) -> Result<String, AddressError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = after;
            continue;
        }
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(byte.ok_or(AddressError::Encoding)?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| AddressError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(address: &Address) -> Vec<String> {
        address.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect()
    }

    #[test]
    fn each_form_is_read_with_its_defaults() {
        let one = Address::parse("redis://r.example").unwrap();
        assert_eq!((&one.kind, one.tls, one.database), (&Kind::One, false, 0));
        assert_eq!(hosts(&one), ["r.example:6379"]);
        let tls = Address::parse("rediss://:p%40ss@10.0.0.1:7000/3").unwrap();
        assert_eq!((tls.tls, tls.database, tls.login.password.as_deref()), (true, 3, Some("p@ss")));
        let cluster = Address::parse("redis+cluster://a:1,b:2,[::1]:3").unwrap();
        assert_eq!(cluster.kind, Kind::Cluster);
        assert_eq!(hosts(&cluster), ["a:1", "b:2", "::1:3"]);
        let sentinel =
            Address::parse("rediss+sentinel://u:p@a,b:5/my%20master/2?sentinel_password=s")
                .unwrap();
        assert_eq!(sentinel.kind, Kind::Sentinel { primary: "my master".into() });
        assert_eq!(hosts(&sentinel), ["a:26379", "b:5"]);
        assert_eq!((sentinel.database, sentinel.tls), (2, true));
        assert_eq!(sentinel.login.user.as_deref(), Some("u"));
        assert_eq!(sentinel.sentinel_login.password.as_deref(), Some("s"));
    }

    #[test]
    fn a_password_may_hold_what_separates_elsewhere() {
        let address = Address::parse("redis://:a/b@c:d@host:1").unwrap();
        assert_eq!(address.login.password.as_deref(), Some("a/b@c:d"));
        assert_eq!(hosts(&address), ["host:1"]);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, error) in [
            ("", AddressError::Scheme),
            ("localhost:6379", AddressError::Scheme),
            ("http://x", AddressError::Scheme),
            ("redis+tls://x", AddressError::Scheme),
            ("redis://", AddressError::NoHost),
            ("redis://:hunter2@", AddressError::NoHost),
            ("redis://a,b", AddressError::SeveralHosts),
            ("redis://:hunter2@a:port", AddressError::Port(1)),
            ("redis://:hunter2@a:0", AddressError::Port(1)),
            ("redis+cluster://a,b:99999", AddressError::Port(2)),
            ("redis://a b", AddressError::Host(1)),
            ("redis+cluster://a,,b", AddressError::Host(2)),
            ("redis://a/x", AddressError::Database),
            ("redis://a/-1", AddressError::Database),
            ("redis+cluster://a/1", AddressError::ClusterDatabase),
            ("redis+sentinel://a", AddressError::NoPrimary),
            ("redis://:hunter2%zz@a", AddressError::Encoding),
            ("redis://a?protocol=2", AddressError::Query),
            ("rediss://a/#insecure", AddressError::Query),
        ] {
            let refused = Address::parse(url).unwrap_err();
            assert_eq!(refused, error, "{url}");
            assert!(!refused.to_string().contains("hunter2"));
        }
        let shown = format!("{:?}", Address::parse("redis://:hunter2@a").unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
