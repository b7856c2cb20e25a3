//! Keeps `web/src/wire/generated.ts` equal to the protocol's types. Set `UPDATE_TYPES=1` to write
//! the file anew; without it the test fails when the two differ.

use ts_rs::{Config, TS};

use super::client::{ClientMessage, EventInput};
use super::server::{
    Ack, Aggregate, AuthState, Delta, ErrorMessage, History, Latency, Nodes, Notice, NoticeLevel,
    OtherRoutes, Rejection, RouteRow, ServerMessage, Snapshot, StoredEvent, Welcome, WelcomeLimits,
};

fn typescript() -> String {
    let config = Config::new().with_large_int("number");
    macro_rules! declarations {
        ($($name:ty),* $(,)?) => { vec![$(format!("export {}\n", <$name as TS>::decl(&config))),*] };
    }
    let declarations = declarations![
        ClientMessage,
        EventInput,
        ServerMessage,
        Welcome,
        AuthState,
        WelcomeLimits,
        Snapshot,
        Delta,
        Aggregate,
        Latency,
        RouteRow,
        OtherRoutes,
        Nodes,
        Notice,
        NoticeLevel,
        History,
        Ack,
        Rejection,
        ErrorMessage,
        StoredEvent,
    ];
    format!(
        "// Generated from src/wire by `UPDATE_TYPES=1 cargo test -p pulseboard typescript`. Do not edit.\n\n{}",
        declarations.join("\n")
    )
}

#[test]
fn generated_typescript_matches_the_protocol() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/web/src/wire/generated.ts");
    let wanted = typescript();
    if std::env::var_os("UPDATE_TYPES").is_some() {
        std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
        std::fs::write(path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == wanted,
        "{path} is not what src/wire says: run `UPDATE_TYPES=1 cargo test -p pulseboard typescript`"
    );
}
