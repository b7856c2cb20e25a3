//! What the shared store is told at start, and whether its connection string is one.
//!
//! Asks nobody: a string that is wrong in itself is found before anything is touched. What is secret
//! in it is in no message and in no `Debug`.

use std::fmt;

use mongodb::options::{ConnectionString, Tls};

/// The database when the connection string names none.
const DATABASE: &str = "pulseboard";
/// Databases that MongoDB keeps its own things in.
const THEIRS: [&str; 3] = ["admin", "config", "local"];

/// What the shared store is told at start.
#[derive(Clone)]
pub struct Settings {
    /// The connection string.
    pub uri: String,
    /// The setting it came from: `store.mongodb.uri`, or `store.mongodb.uri_file`.
    pub key: &'static str,
    /// Most connections at a time.
    pub max_pool: u32,
    /// Days raw events are kept, from when they were stored.
    pub events_days: u32,
    /// Days minute aggregates are kept; 0 keeps them for ever.
    pub aggregates_days: u32,
}

impl Settings {
    /// A local server, for tests.
    pub fn for_tests(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            key: "store.mongodb.uri",
            max_pool: 16,
            events_days: 7,
            aggregates_days: 0,
        }
    }

    /// Whether the connection string is one.
    pub fn check(&self) -> Result<(), SettingsError> {
        let database = Self::database(&self.connection()?);
        if THEIRS.contains(&&*database) {
            return Err(SettingsError::Theirs { database });
        }
        Ok(())
    }

    /// Whether the files that it names can be read: for a check before a start. A start goes on
    /// without them, and says so as of anything else that keeps the store away.
    pub fn check_files(&self) -> Result<(), SettingsError> {
        let Some(Tls::Enabled(tls)) = self.connection()?.tls else { return Ok(()) };
        let files =
            [("tlsCAFile", tls.ca_file_path), ("tlsCertificateKeyFile", tls.cert_key_file_path)];
        for (option, file) in files {
            if let Some(file) = file
                && let Err(error) = std::fs::File::open(&file)
            {
                let file = file.display().to_string();
                return Err(SettingsError::NoFile { option, file, problem: error.to_string() });
            }
        }
        Ok(())
    }

    /// The connection string, read.
    pub(super) fn connection(&self) -> Result<ConnectionString, SettingsError> {
        let read = ConnectionString::parse(&self.uri);
        read.map_err(|error| self.wrong(&error.to_string()))
    }

    /// The database it names.
    pub(super) fn database(connection: &ConnectionString) -> String {
        connection.default_database.clone().unwrap_or_else(|| DATABASE.to_owned())
    }

    fn wrong(&self, message: &str) -> SettingsError {
        let problem = if !self.tells_secrets(message) {
            plain(message)
        } else if let Err(error) = ConnectionString::parse(self.without_user()) {
            // What is wrong with the rest is said without them.
            plain(&error.to_string())
        } else {
            "a user name or password holds one of : / ? # [ ] @ %, which is written as a percent \
             sign and two digits there"
                .to_owned()
        };
        SettingsError::NotOne { problem }
    }

    /// The connection string without user and password.
    fn without_user(&self) -> String {
        let (scheme, after) = self.uri.split_once("://").unwrap_or(("", &self.uri));
        let rest = after.rsplit_once('@').map_or(after, |(_, rest)| rest);
        format!("{scheme}://{rest}")
    }

    /// Whether a message holds any part of the user's name or password.
    fn tells_secrets(&self, message: &str) -> bool {
        let after_scheme = self.uri.split_once("://").map_or(&*self.uri, |(_, after)| after);
        let Some((user, _)) = after_scheme.rsplit_once('@') else { return false };
        let parts = user.split([':', '/', '@', '?', '#', '[', ']', '%', ',']);
        parts.into_iter().any(|part| !part.is_empty() && message.contains(part))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What is wrong with the connection string: a sentence without its setting's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It cannot be read as one.
    #[error("is not a connection string: {problem}; it looks like mongodb://HOST:27017/pulseboard")]
    NotOne { problem: String },
    /// It names a file that is not there.
    #[error("{option}: the file {file} cannot be read: {problem}")]
    NoFile { option: &'static str, file: String, problem: String },
    /// It names a database that is not for events.
    #[error(
        "the database {database} is MongoDB's own; name another, as in \
         mongodb://HOST:27017/pulseboard?authSource=admin"
    )]
    Theirs { database: String },
}

/// The driver's words, without what it puts around them.
fn plain(message: &str) -> String {
    let message = message.strip_prefix("Kind: ").unwrap_or(message);
    let message = message.strip_prefix("An invalid argument was provided: ").unwrap_or(message);
    message.split(", labels:").next().unwrap_or(message).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(uri: &str) -> String {
        Settings::for_tests(uri).connection().unwrap_err().to_string()
    }

    #[test]
    fn a_string_that_is_none_is_refused_with_what_is_wrong() {
        for (uri, said) in [
            ("localhost:27017", "no scheme"),
            ("http://localhost", "scheme: http"),
            ("mongodb://localhost:99999", "port"),
            ("mongodb://", ""),
            ("mongodb://localhost/?w=-1", ""),
        ] {
            let refused = refusal(uri);
            assert!(refused.contains(said), "{uri}: {refused}");
            assert!(refused.contains("is not a connection string"), "{uri}: {refused}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_beside_a_user_and_a_password_too() {
        for (uri, said) in [
            ("mongodb://o:p@localhost:99999", "port"),
            ("http://o:p@localhost", "scheme: http"),
            ("mongodb://o:p@localhost/?retryWrites=perhaps", "retrywrites"),
            ("mongodb://o:p/p@localhost", "a user name or password holds"),
        ] {
            let refused = refusal(uri);
            assert!(refused.to_lowercase().contains(said), "{uri}: {refused}");
        }
    }

    #[test]
    fn databases_of_mongodb_itself_are_not_written_to() {
        for database in ["admin", "config", "local"] {
            let uri = format!("mongodb://localhost/{database}");
            let refused = Settings::for_tests(uri).check().unwrap_err().to_string();
            assert!(refused.contains(&format!("the database {database} is")), "{refused}");
        }
        assert_eq!(Settings::for_tests("mongodb://localhost/?authSource=admin").check(), Ok(()));
    }

    #[test]
    fn a_refusal_tells_nothing_of_user_and_password() {
        for uri in [
            "mongodb://paula:xyzzyplugh/two@localhost",
            "mongodb://paula:xyzzy:plugh@localhost",
            "mongodb://paula:xyzzy@plugh@localhost:1x",
            "mongodb://paula:xyzzy%plugh@localhost",
            "mongodb://pau/la:xyzzyplugh@localhost:27017",
            "mongodb://paula:xyzzyplugh@localhost:port",
        ] {
            let Err(refused) = Settings::for_tests(uri).connection() else { continue };
            let refused = refused.to_string();
            for secret in ["paula", "xyzzy", "plugh"] {
                assert!(!refused.contains(secret), "{uri}: {refused}");
            }
        }
        let shown = format!("{:?}", Settings::for_tests("mongodb://paula:xyzzyplugh@localhost"));
        assert!(!shown.contains("xyzzyplugh"), "{shown}");
    }

    #[test]
    fn the_database_is_the_one_named_or_pulseboard() {
        for (uri, name) in [
            ("mongodb://localhost", "pulseboard"),
            ("mongodb://localhost/", "pulseboard"),
            ("mongodb://localhost/metrics?w=1", "metrics"),
        ] {
            let connection = Settings::for_tests(uri).connection().unwrap();
            assert_eq!(Settings::database(&connection), name);
        }
    }
}
