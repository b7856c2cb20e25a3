//! Whether a server is one that can serve: its version, and what kind it is.

use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

use super::reason::{Trouble, trouble};

/// The oldest version that is taken.
const OLDEST: (i64, i64) = (5, 0);

/// A server that can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) version: String,
    /// Neither a member of a replica set nor a router.
    pub(super) is_standalone: bool,
}

/// Asks the server.
pub(super) async fn server(database: &Database) -> Result<Server, Trouble> {
    let ask = async |command| database.run_command(command).await.map_err(|e| trouble(&e));
    let build = ask(doc! { "buildInfo": 1 }).await?;
    let hello = ask(doc! { "hello": 1 }).await?;
    judge(&build, &hello)
}

/// Judges what it said of itself.
fn judge(build: &Document, hello: &Document) -> Result<Server, Trouble> {
    let version = build.get_str("version").unwrap_or("unknown").to_owned();
    let number = |at: usize| match build.get_array("versionArray").ok()?.get(at)? {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    };
    match (number(0), number(1)) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => {}
        _ => {
            let (major, minor) = OLDEST;
            return Err(Trouble::Refused(format!(
                "the server is version {version}; MongoDB {major}.{minor} or later is needed"
            )));
        }
    }
    let is_router = hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
    Ok(Server { version, is_standalone: !is_router && !hello.contains_key("setName") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(version: &str) -> Document {
        let parts = version.split('.').map(|part| part.parse::<i32>().unwrap());
        doc! { "version": version, "versionArray": parts.collect::<Vec<_>>() }
    }

    #[test]
    fn servers_from_5_0_on_are_taken_and_older_ones_named() {
        let member = doc! { "setName": "rs0" };
        for version in ["5.0.0", "6.0.5", "8.0.1", "10.0.0"] {
            let server = judge(&build(version), &member).unwrap();
            assert_eq!((server.version.as_str(), server.is_standalone), (version, false));
        }
        for version in ["4.4.29", "3.6.0"] {
            let refused = judge(&build(version), &member).unwrap_err().to_string();
            assert!(refused.contains(version) && refused.contains("5.0 or later"), "{refused}");
        }
        assert!(judge(&doc! {}, &member).is_err());
    }

    #[test]
    fn a_server_on_its_own_is_told_from_members_and_routers() {
        let alone = |hello| judge(&build("6.0.5"), &hello).unwrap().is_standalone;
        assert!(alone(doc! { "isWritablePrimary": true }));
        assert!(!alone(doc! { "setName": "rs0" }));
        assert!(!alone(doc! { "msg": "isdbgrid" }));
    }
}
