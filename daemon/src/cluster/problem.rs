//! What is wrong with Redis, as an operator reads it: one sentence that follows the setting's name.
//!
//! Tells apart what passes by itself (gone, frozen, loading) from what somebody must change (a
//! password, rights, a replica, a version). Both are tried again; only the words differ.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::address::{Address, Kind};

/// The oldest server that does: RESP3 and access lists came with it.
pub(super) const VERSION_MIN: &str = "6.0";

const PASSWORD: &str = "Redis demands a password; write it into the address, as in \
                        redis://:PASSWORD@HOST, or better into the file of cluster.redis_url_file";

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// It is not reached, or not now.
    Down(String),
    /// It answers, and somebody must change something.
    Refused(String),
}

impl Problem {
    pub(super) fn down(text: impl Into<String>) -> Self {
        Self::Down(text.into())
    }

    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    /// What an error of the library means.
    pub(super) fn of(error: &RedisError, address: &Address) -> Self {
        let said = address.scrubbed(&said(error));
        let upper = said.to_ascii_uppercase();
        let has = |part: &str| upper.contains(part);
        if error.kind() == ErrorKind::RESP3NotSupported || has("NOPROTO") || has("COMMAND `HELLO`")
        {
            return Self::refused(format!(
                "Redis {VERSION_MIN} or later is needed; this one is older"
            ));
        }
        if has("NOAUTH") {
            return Self::refused(PASSWORD);
        }
        if has("WRONGPASS") || has("INVALID PASSWORD") {
            return Self::refused("Redis does not take this user name and password");
        }
        if error.kind() == ErrorKind::AuthenticationFailed {
            return Self::refused(if address.has_password() {
                "Redis does not take this user name and password"
            } else {
                PASSWORD
            });
        }
        if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) || has("NOPERM") {
            return Self::refused(format!("the user's rights do not suffice: {said}"));
        }
        if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) || has("READONLY") {
            return Self::refused(
                "it is a read-only replica; name the primary, or its sentinels with redis+sentinel://",
            );
        }
        if has("MISCONF") || has("NOREPLICAS") || has("OOM COMMAND") || has("DENIED REDIS") {
            return Self::refused(format!("Redis refuses to be written to: {said}"));
        }
        if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) && address.kind == Kind::One {
            return Self::refused("it is a node of a Redis Cluster; write redis+cluster://");
        }
        if has("CLUSTER SUPPORT DISABLED") {
            return Self::refused("it is no Redis Cluster; write redis:// with one host");
        }
        if has("INVALIDCONTENTTYPE") {
            return Self::refused(
                "it does not speak TLS; write redis, not rediss, or name its TLS port",
            );
        }
        if has("UNKNOWNISSUER") || has("SELF-SIGNED") || has("CAUSEDASENDENTITY") {
            return Self::refused(
                "its certificate is signed by nobody this machine trusts; name the authority in \
                 cluster.redis_ca_file",
            );
        }
        if has("UNKNOWNCA") || has("BADCERTIFICATE") {
            return Self::refused(
                "it does not trust our certificate; see cluster.redis_cert_file and \
                 cluster.redis_key_file",
            );
        }
        if has("CERTIFICATEREQUIRED") || has("CERTIFICATE REQUIRED") {
            return Self::refused(
                "it wants a certificate of ours; name it in cluster.redis_cert_file and \
                 cluster.redis_key_file",
            );
        }
        if has("CERTIFICATE") {
            return Self::refused(format!("its certificate is not good: {said}"));
        }
        if error.is_timeout() {
            return Self::down("it does not answer");
        }
        if error.is_connection_refusal() {
            return Self::down("nobody listens there");
        }
        if error.kind() == ErrorKind::Parse {
            return Self::refused("what answers there does not speak Redis's protocol");
        }
        if has("LOADING") {
            return Self::down("it loads its data");
        }
        Self::Down(said)
    }
}

/// An error in its own words, without the library's.
fn said(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (None, Some(detail)) => format!("{}: {detail}", error.category()),
        _ => error.to_string(),
    }
}
