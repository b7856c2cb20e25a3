//! What an error of the driver means for us: one line, and whether waiting helps.
//!
//! The driver's own texts list topologies and whole commands; an operator needs the host and the
//! cause. Nothing of a connection string is in them.

use mongodb::error::{Error, ErrorKind};

/// `MaxTimeMSExpired`.
const TOOK_TOO_LONG: i32 = 50;
/// `Unauthorized` and `AuthenticationFailed`.
const NOT_ALLOWED: [i32; 2] = [13, 18];
/// Characters of a text that is the server's own.
const LONGEST: usize = 200;

/// What went wrong, as a line without the setting's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody answers, or not now: it may pass by itself.
    #[error("{what}{at}")]
    Away {
        /// What is wrong.
        what: String,
        /// Where, and what the system says of it: for the log, not for everyone who asks.
        at: String,
    },
    /// It will not pass until somebody changes something.
    #[error("{0}")]
    Refused(String),
    /// It reached the time it was given.
    #[error("it took longer than it may")]
    TookTooLong,
}

impl Trouble {
    pub(super) fn away(what: impl Into<String>) -> Self {
        Self::Away { what: what.into(), at: String::new() }
    }

    /// What may be told to those who have shown no token: no addresses.
    pub fn brief(&self) -> String {
        match self {
            Self::Away { what, .. } => what.clone(),
            Self::Refused(_) | Self::TookTooLong => self.to_string(),
        }
    }
}

/// Reads an error.
pub fn trouble(error: &Error) -> Trouble {
    match &*error.kind {
        ErrorKind::Authentication { message, .. } => Trouble::Refused(format!(
            "the server refuses the user or the password ({}); correct them, and the user's \
             authSource",
            short(message)
        )),
        ErrorKind::Command(command) if command.code == TOOK_TOO_LONG => Trouble::TookTooLong,
        ErrorKind::Command(command) if NOT_ALLOWED.contains(&command.code) => {
            let what = command.message.split(" to execute command").next();
            Trouble::Refused(format!(
                "it may not do what is needed ({}); name a user in the connection string, and give \
                 it the role readWrite on the database",
                short(what.unwrap_or(&command.message))
            ))
        }
        ErrorKind::Command(command) => {
            let at = format!(": {}", short(&command.message));
            Trouble::Away { what: "the server does not do it".to_owned(), at }
        }
        ErrorKind::ServerSelection { message, .. } if message.contains("wire version") => {
            Trouble::Refused("the server is older than MongoDB 5.0; upgrade it".to_owned())
        }
        ErrorKind::ServerSelection { message, .. } => selection(message),
        ErrorKind::DnsResolve { message, .. } => {
            let at = format!(": {}", short(message));
            Trouble::Away { what: "its name cannot be resolved".to_owned(), at }
        }
        ErrorKind::Io(error) => {
            Trouble::Away { what: "the connection broke".to_owned(), at: format!(": {error}") }
        }
        ErrorKind::ConnectionPoolCleared { .. } => Trouble::away("the connection broke"),
        ErrorKind::InvalidTlsConfig { message, .. } => {
            Trouble::Refused(format!("its TLS options cannot be used: {}", short(message)))
        }
        ErrorKind::InvalidArgument { message, .. } => {
            Trouble::Refused(format!("it cannot be used: {}", short(message)))
        }
        other => {
            let at = format!(": {}", short(&other.to_string()));
            Trouble::Away { what: "it failed".to_owned(), at }
        }
    }
}

/// Of a list of servers: each address, and what is wrong there.
fn selection(message: &str) -> Trouble {
    let servers: Vec<String> = message
        .split("{ Address: ")
        .skip(1)
        .map(|server| {
            let address = server.split(", ").next().unwrap_or_default();
            let cause = server.split("Error: Kind: ").nth(1);
            match cause.and_then(|cause| cause.split(", labels:").next()) {
                Some(cause) => {
                    let cause = cause.strip_prefix("I/O error: ").unwrap_or(cause);
                    format!("{address} ({})", short(cause))
                }
                None => address.to_owned(),
            }
        })
        .collect();
    let what = match message.contains("ReplicaSetNoPrimary") {
        // Who answers for another set is struck from the list.
        true if servers.is_empty() => {
            "no server that answers is a member of the set that replicaSet= names; correct it"
        }
        true => "no primary can be reached",
        false => "no server answers",
    };
    let at = if servers.is_empty() { String::new() } else { format!(": {}", servers.join(", ")) };
    Trouble::Away { what: what.to_owned(), at }
}

/// One line, not too long.
fn short(text: &str) -> String {
    let line = text.replace(char::is_control, " ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_servers_becomes_addresses_with_causes() {
        let message = "Server selection timeout: No available servers. Topology: { Type: Unknown, \
             Servers: [ { Address: 127.0.0.1:1, Type: Unknown, Error: Kind: I/O error: Connection \
             refused (os error 111), labels: {} }, { Address: db:2, Type: Unknown } ] }";
        let trouble = selection(message);
        assert_eq!(trouble.brief(), "no server answers");
        assert_eq!(
            trouble.to_string(),
            "no server answers: 127.0.0.1:1 (Connection refused (os error 111)), db:2"
        );
        assert_eq!(selection("whatever").to_string(), "no server answers");
        let other = "Topology: { Type: ReplicaSetNoPrimary, Set Name: other, Servers: [  ] }";
        assert!(selection(other).brief().contains("replicaSet="));
    }

    #[test]
    fn a_text_of_the_servers_is_one_line_and_not_too_long() {
        assert_eq!(short("a\nb"), "a b");
        assert_eq!(short(&"é".repeat(500)).chars().count(), LONGEST + 1);
    }
}
