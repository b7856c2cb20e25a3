//! Stores that cannot serve: each is one clear line that names the setting, nothing is overwritten,
//! the daemon takes events meanwhile, and goes on by itself when the store is as it should be.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use mongodb::bson::{Document, RawDocumentBuf, doc, rawdoc};

use crate::shared::mongod::Mongod;
use crate::support::{Daemon, eventually, plain};
use crate::{check, daemon, line, setup, text};

/// Posts an event, which is taken whatever the store does.
fn takes_events(daemon: &Daemon, id: &str) {
    let event = format!(r#"{{"eventId":"{id}","type":"view","route":"/a"}}"#);
    assert_eq!(daemon.post("application/json", event).status, 201);
}

fn degraded(daemon: &Daemon, said: &str) -> String {
    eventually(said, || {
        let (status, detail) = check(daemon);
        (status == "degraded" && detail.contains(said)).then_some(detail)
    })
}

#[test]
fn a_wrong_address_is_refused_before_anything_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("uri");
    std::fs::write(&secret, "mongodb://paula:xyz@zy@host:1x").unwrap();
    for (key, value) in [
        ("PULSEBOARD_STORE__MONGODB__URI", "mongodb://paula:xyz@zy@host:1x"),
        ("PULSEBOARD_STORE__MONGODB__URI_FILE", secret.to_str().unwrap()),
    ] {
        for action in [&[][..], &["--check-config"], &["--setup-store"]] {
            let mut command = plain();
            command.env(key, value).env("PULSEBOARD_STORE__KIND", "mongodb");
            command.arg("--data-dir").arg(dir.path().join("data")).args(action);
            let output = command.output().unwrap();
            let said = line(&output);
            assert_eq!(output.status.code(), Some(2), "{said}");
            let name = key.strip_prefix("PULSEBOARD_").unwrap().to_lowercase().replace("__", ".");
            assert!(said.starts_with(&format!("error: {name}: is not a conn")), "{said}");
            assert!(!said.contains("paula") && !said.contains("xyz"), "{said}");
        }
    }
    assert!(!dir.path().join("data").exists());
}

#[test]
fn a_check_names_a_file_for_tls_that_is_missing_and_a_start_goes_on_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("ca.pem");
    let uri = format!("mongodb://127.0.0.1:9/pulseboard?tls=true&tlsCAFile={}", missing.display());
    let settings =
        [("PULSEBOARD_STORE__KIND", "mongodb"), ("PULSEBOARD_STORE__MONGODB__URI", uri.as_str())];
    let check_config = || {
        let mut command = plain();
        command.envs(settings).arg("--data-dir").arg(dir.path().join("data"));
        command.arg("--check-config").output().unwrap()
    };
    let output = check_config();
    let said = line(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let expected = format!("error: store.mongodb.uri: tlsCAFile: the file {}", missing.display());
    assert!(said.starts_with(&expected), "{said}");

    let daemon = Daemon::start_with(&dir.path().join("data"), &settings);
    takes_events(&daemon, "one");
    let detail = degraded(&daemon, "TLS");
    assert!(detail.starts_with("store.mongodb.uri: "), "{detail}");
    std::fs::write(&missing, "").unwrap();
    assert_eq!(check_config().status.code(), Some(0));
}

#[test]
fn a_wrong_password_is_named_and_the_right_one_is_taken_without_a_restart() {
    let mongod = Mongod::standalone().user("daemon", "rightpass").start();
    let wrong = mongod.uri().replace("rightpass", "wrongpass");
    let output = setup(&wrong, &[]);
    let said = line(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("error: store.mongodb.uri: the server refuses the user"), "{said}");
    assert!(!said.contains("wrongpass"), "{said}");

    let dir = tempfile::tempdir().unwrap();
    let settings =
        [("PULSEBOARD_STORE__KIND", "mongodb"), ("PULSEBOARD_STORE__MONGODB__URI", &wrong)];
    let daemon = Daemon::start_with(dir.path(), &settings);
    takes_events(&daemon, "one");
    let detail = degraded(&daemon, "the server refuses the user");
    assert!(detail.starts_with("store.mongodb.uri: "), "{detail}");
    let refused = daemon.get("/api/events");
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("store_unavailable")));
    assert!(refused.header("retry-after").is_some());

    mongod.with(async |database| {
        let admin = database.client().database("admin");
        admin.run_command(doc! { "updateUser": "daemon", "pwd": "wrongpass" }).await.unwrap();
    });
    eventually("it goes on by itself", || Some(()).filter(|()| check(&daemon).0 == "ok"));
    assert_eq!(daemon.get("/api/events").json()["events"][0]["eventId"], "one");
    assert!(!daemon.stderr().contains("wrongpass"), "{}", daemon.stderr());
    // It is a server on its own, which is worth a warning.
    eventually("it says so", || daemon.stderr().contains("the server is on its own").then_some(()));
}

#[test]
fn foreign_collections_are_refused_and_left_as_they_are() {
    for change in ["document", "index", "validator"] {
        let mongod = Mongod::set(1).start();
        mongod.with(async move |database| match change {
            "document" => {
                let events = database.collection::<Document>("events");
                events.insert_one(doc! { "_id": "theirs" }).await.unwrap();
            }
            "index" => {
                let index = doc! { "name": "who", "key": { "who": 1 } };
                let command = doc! { "createIndexes": "aggregates", "indexes": [index] };
                database.run_command(command).await.unwrap();
            }
            _ => {
                let validator = doc! { "who": { "$exists": true } };
                database.create_collection("nodes").validator(validator).await.unwrap();
            }
        });
        let listed = || {
            mongod.with(async |database| {
                let mut names = database.list_collection_names().await.unwrap();
                names.sort();
                names
            })
        };
        let before = listed();
        let output = setup(&mongod.uri(), &[]);
        let said = line(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("store.mongodb.uri: the database pulseboard has a coll"), "{said}");
        let dir = tempfile::tempdir().unwrap();
        let daemon = daemon(dir.path(), &mongod);
        takes_events(&daemon, "one");
        degraded(&daemon, "that Pulseboard did not make");
        assert_eq!(listed(), before, "{change}");
        assert!(mongod.ids("events").iter().all(|id| id == "theirs"));
    }
}

#[test]
fn a_database_laid_out_by_a_newer_version_is_refused() {
    let mongod = Mongod::set(1).start();
    assert_eq!(setup(&mongod.uri(), &[]).status.code(), Some(0));
    mongod.with(async |database| {
        let newer = doc! { "$set": { "layout": 99 } };
        database.collection::<Document>("meta").update_one(doc! {}, newer).await.unwrap();
    });
    let said = line(&setup(&mongod.uri(), &[]));
    assert!(said.contains("store.mongodb.uri: ") && said.contains("newer version"), "{said}");
}

#[test]
fn a_validator_that_somebody_changed_is_reported_and_left() {
    let mongod = Mongod::set(1).start();
    assert_eq!(setup(&mongod.uri(), &[]).status.code(), Some(0));
    mongod.with(async |database| {
        let validator = doc! { "$jsonSchema": { "bsonType": "object" } };
        let command = doc! { "collMod": "events", "validator": validator };
        database.run_command(command).await.unwrap();
    });
    let dir = tempfile::tempdir().unwrap();
    let daemon = daemon(dir.path(), &mongod);
    takes_events(&daemon, "one");
    let detail = degraded(&daemon, "the validator of the collection events was changed");
    assert!(detail.starts_with("store.mongodb.uri: "), "{detail}");
    // Events are stored nevertheless, and the validator is still theirs.
    eventually("the event is in the store", || {
        Some(()).filter(|()| mongod.ids("events").len() == 1)
    });
    let options = mongod.with(async |database| {
        use futures_util::TryStreamExt as _;
        let filter = doc! { "name": "events" };
        let command = doc! { "listCollections": 1, "filter": filter };
        let cursor = database.run_cursor_command(command).await.unwrap();
        let found: Vec<Document> = cursor.try_collect().await.unwrap();
        found[0].get_document("options").unwrap().clone()
    });
    let validator = options.get_document("validator").unwrap();
    assert_eq!(validator, &doc! { "$jsonSchema": { "bsonType": "object" } });
    let output = setup(&mongod.uri(), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    // Removed, as it says, there is ours again.
    mongod.with(async |database| {
        let command = doc! { "collMod": "events", "validator": doc! {} };
        database.run_command(command).await.unwrap();
    });
    let output = setup(&mongod.uri(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("its validator, which is made"));
    assert_eq!(setup(&mongod.uri(), &[]).status.code(), Some(0));
}

#[test]
fn a_server_that_is_too_old_is_named() {
    for (wire, said) in [(9, "the server is version 4.4.29; MongoDB 5.0"), (8, "older than Mongo")]
    {
        let address = old_server(wire);
        let uri = format!("mongodb://{address}/?directConnection=true");
        let output = setup(&uri, &[]);
        let line = line(&output);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(line.contains("store.mongodb.uri: ") && line.contains(said), "{line}");
    }
}

/// Something that says of itself what a MongoDB 4.4 or older does; its address.
fn old_server(wire: i32) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer_as_old(stream, wire));
        }
    });
    address
}

fn answer_as_old(mut stream: std::net::TcpStream, wire: i32) -> Option<()> {
    loop {
        let mut header = [0; 16];
        stream.read_exact(&mut header).ok()?;
        let number = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let (length, id, opcode) = (number(0), number(4), number(12));
        let mut body = vec![0; length as usize - 16];
        stream.read_exact(&mut body).ok()?;
        let answer = rawdoc! {
            "ok": 1, "helloOk": true, "ismaster": true, "isWritablePrimary": true,
            "minWireVersion": 0, "maxWireVersion": wire, "maxBsonObjectSize": 16_777_216,
            "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
            "version": "4.4.29", "versionArray": [4, 4, 29, 0],
        };
        let reply = reply(&answer, id, opcode);
        stream.write_all(&reply).ok()?;
    }
}

/// An answer to OP_MSG, or to the OP_QUERY that a handshake begins with.
fn reply(answer: &RawDocumentBuf, to: i32, opcode: i32) -> Vec<u8> {
    const OP_MSG: i32 = 2013;
    const OP_REPLY: i32 = 1;
    let mut body = Vec::new();
    if opcode == OP_MSG {
        body.extend([0; 5]);
    } else {
        body.extend(8_i32.to_le_bytes());
        body.extend([0; 8]);
        body.extend(0_i32.to_le_bytes());
        body.extend(1_i32.to_le_bytes());
    }
    body.extend(answer.as_bytes());
    let opcode = if opcode == OP_MSG { OP_MSG } else { OP_REPLY };
    let mut reply = Vec::new();
    for number in [16 + body.len() as i32, 0, to, opcode] {
        reply.extend(number.to_le_bytes());
    }
    reply.extend(body);
    reply
}

#[test]
fn a_server_that_goes_away_and_comes_back_is_used_again() {
    let mut mongod = Mongod::set(1).start();
    let dir = tempfile::tempdir().unwrap();
    let daemon = daemon(dir.path(), &mongod);
    takes_events(&daemon, "one");
    crate::drained(&daemon);
    mongod.freeze();
    takes_events(&daemon, "two");
    degraded(&daemon, "store.mongodb.uri: ");
    let refused = daemon.get("/api/history");
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("store_unavailable")));
    assert_eq!(daemon.get("/api/aggregates?window=5s").status, 200);
    mongod.thaw();
    crate::drained(&daemon);
    mongod.stop();
    degraded(&daemon, "store.mongodb.uri: ");
    takes_events(&daemon, "three");
    mongod.start();
    crate::drained(&daemon);
    let page = daemon.get("/api/events").json();
    let ids: Vec<&str> = page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["eventId"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["three", "two", "one"]);
}
