//! What docs/shared-store.md tells an administrator of MongoDB to type, typed into a real one that asks
//! for passwords; and that the daemon can do all it has to with the rights it is given there.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

#[path = "support/shared.rs"]
mod shared;
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use mongodb::bson::{Document, doc};
use shared::mongod::Mongod;
use support::{Daemon, eventually, now_ms};

/// A file of the repository.
fn file(path: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// Every `db.runCommand({…})` of the page.
fn commands() -> Vec<Document> {
    let page = file("docs/shared-store.md");
    page.split("db.runCommand(")
        .skip(1)
        .map(|rest| {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Document>();
            let command = values.next().unwrap().unwrap();
            assert!(rest[values.byte_offset()..].starts_with(')'), "{rest}");
            command
        })
        .collect()
}

/// The connection string of another user than the administrator.
fn uri(mongod: &Mongod, user: &str) -> String {
    let uri = mongod.uri().replace("admin:word@", &format!("{user}:PASSWORD@"));
    uri.replace("authSource=admin", "authSource=pulseboard")
}

fn send(daemon: &Daemon, id: &str) {
    let now = now_ms();
    let event =
        format!(r#"{{"eventId":"{id}","type":"page_view","route":"/a","timestamp":{now}}}"#);
    assert_eq!(daemon.post("application/json", event).status, 201);
}

fn has(mongod: &Mongod, id: &str) -> Option<()> {
    mongod.ids("events").contains(&format!("default/{id}")).then_some(())
}

fn run(mongod: &Mongod, command: Document) {
    mongod.with(async move |database| database.run_command(command).await.unwrap());
}

/// A daemon that keeps its events there.
fn daemon(data: &Path, uri: &str) -> Daemon {
    let settings = [("PULSEBOARD_STORE__KIND", "mongodb"), ("PULSEBOARD_STORE__MONGODB__URI", uri)];
    Daemon::start_with(data, &settings)
}

/// Has a daemon take an event, and waits until it is there.
fn keeps_events(mongod: &Mongod, user: &str) {
    let data = tempfile::tempdir().unwrap();
    let daemon = daemon(data.path(), &uri(mongod, user));
    eventually("the store is well", || {
        let ready = daemon.get("/health/ready").json();
        (ready["checks"]["store"]["status"] == "ok").then_some(())
    });
    let id = format!("of-{user}");
    let event =
        format!(r#"{{"eventId":"{id}","type":"page_view","route":"/a","timestamp":{}}}"#, now_ms());
    assert_eq!(daemon.post("application/json", event).status, 201);
    eventually("the event is in MongoDB", || {
        mongod.ids("events").contains(&format!("default/{id}")).then_some(())
    });
    eventually("a minute of it is in MongoDB", || {
        let minutes = doc! { "window": "60s" };
        (!mongod.find("aggregates", minutes, doc! { "_id": 1 }).is_empty()).then_some(())
    });
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn the_user_that_the_page_makes_may_do_what_the_daemon_does() {
    let mongod = Mongod::set(1).user("admin", "word").start();
    let commands = commands();
    let [role, user] = &commands[..] else { panic!("a role and a user: {commands:?}") };
    run(&mongod, role.clone());
    run(&mongod, user.clone());

    let mut setup = Command::new(env!("CARGO_BIN_EXE_pulseboardd"));
    let folder = tempfile::tempdir().unwrap();
    setup.current_dir(folder.path()).args(["--setup-store", "--store", "mongodb"]);
    let output = setup.env("PULSEBOARD_STORE__MONGODB__URI", uri(&mongod, "pulseboard")).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");

    // What only the first start and --setup-store need can be left out from then on.
    let actions: Vec<&str> = role.get_array("privileges").unwrap()[0]
        .as_document()
        .and_then(|privilege| privilege.get_array("actions").ok())
        .unwrap()
        .iter()
        .map(|action| action.as_str().unwrap())
        .filter(|action| {
            !["createCollection", "createIndex", "dropIndex", "collMod"].contains(action)
        })
        .collect();
    assert!(actions.len() > 3);
    let resource = doc! { "db": "pulseboard", "collection": "" };
    run(
        &mongod,
        doc! {
            "createRole": "less", "roles": [],
            "privileges": [{ "resource": resource, "actions": actions }],
        },
    );
    run(&mongod, doc! { "createUser": "less", "pwd": "PASSWORD", "roles": ["less"] });
    keeps_events(&mongod, "pulseboard");
    keeps_events(&mongod, "less");
}

#[test]
fn a_database_restored_from_a_backup_gets_again_what_the_journal_holds() {
    let page = file("docs/shared-store.md");
    assert!(page.contains("rm /var/lib/pulseboard/DRAINED"), "the page says how");
    let mongod = Mongod::set(1).start();
    let data = tempfile::tempdir().unwrap();
    let first = daemon(data.path(), &mongod.uri());
    for id in ["before-the-backup", "after-it"] {
        send(&first, id);
        eventually("the event is in MongoDB", || has(&mongod, id));
    }
    assert_eq!(first.terminate(), Some(0));
    // As an older backup has it.
    run(
        &mongod,
        doc! {
            "delete": "events",
            "deletes": [{ "q": { "_id": "default/after-it" }, "limit": 1 }],
        },
    );
    std::fs::remove_file(data.path().join("DRAINED")).unwrap();
    let again = daemon(data.path(), &mongod.uri());
    eventually("the event is in MongoDB again", || has(&mongod, "after-it"));
    eventually("nothing is left to drain", || {
        (again.metric("pulseboard_store_lag_events") == 0.0).then_some(())
    });
    assert_eq!(mongod.ids("events").len(), 2);
    assert_eq!(again.terminate(), Some(0));
}

#[test]
fn containers_make_the_role_of_the_page() {
    let actions = |text: &str| -> BTreeSet<String> {
        let list = text.split_once("actions").unwrap().1;
        let list = &list[list.find('[').unwrap()..=list.find(']').unwrap()];
        list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let of_the_page = actions(&file("docs/shared-store.md"));
    assert!(of_the_page.contains("find"), "{of_the_page:?}");
    assert_eq!(actions(&file("config/container/replica-set.js")), of_the_page);
}
