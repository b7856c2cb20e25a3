//! SIGHUP as an operator sends it: what takes effect at once, what is refused, what has to wait,
//! and that nobody whose token is still good notices.

mod limits;

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::json;

use crate::client::{Dial, Heard, Request};
use crate::harness::{Edge, Expect};
use crate::support::token::{self, SECRET, Signer, claims};
use crate::support::{Daemon, eventually};

const OTHER_SECRET: &str = "another-secret-of-scenarios-that-nobody-has";

fn status(edge: &Edge, request: &Request) -> u16 {
    request.send(edge.address()).expect("an answer").status
}

fn history(token: &str) -> Request {
    Request::get("/api/history").bearer(token)
}

#[test]
fn limits_origins_and_openness_take_effect_and_nobody_is_disturbed() {
    let mut edge = Edge::with_config("auth.secret_file = \"secret\"\nlimits.routes = 20\n");
    let token = token::good("ann", "read");
    let metrics = Request::get("/metrics");
    let page = |origin: &str| history(&token).header("Origin", origin);
    let shop = "https://shop.example.org";
    edge.row("before", |edge| {
        assert_eq!(status(edge, &metrics), 401);
        let answer = page(shop).send(edge.address()).unwrap();
        assert_eq!(answer.header("access-control-allow-origin"), None);
        Ok(())
    });
    edge.row("a reload that changes much", |edge| {
        edge.write(
            "pulseboard.toml",
            "auth.secret_file = \"secret\"\nlimits.routes = 21\nlimits.api_per_minute = 3\n\
             metrics.public = true\nserver.allowed_origins = [\"https://shop.example.org\"]\n",
        );
        let said = edge.reload();
        for key in ["limits.api_per_minute", "metrics.public", "server.allowed_origins"] {
            assert!(said.contains(key), "{said}");
        }
        assert!(said.contains("need a restart: limits.routes"), "{said}");
        assert_eq!(status(edge, &metrics), 200);
        let answer = page(shop).send(edge.address()).unwrap();
        assert_eq!(answer.header("access-control-allow-origin"), Some(shop));
        Ok(())
    });
    edge.row("the new rate", |edge| {
        let bob = token::good("bob", "read");
        let statuses: Vec<u16> = (0..4).map(|_| status(edge, &history(&bob))).collect();
        assert_eq!(statuses, [200, 200, 200, 429]);
        Ok(())
    });
    edge.row("the same again", |edge| {
        let said = edge.reload();
        assert!(said.contains("nothing in it took effect"), "{said}");
        assert!(said.contains("need a restart: limits.routes"), "{said}");
        Ok(())
    });
    edge.write("pulseboard.toml", "auth.secret_file = \"secret\"\nlimits.routes = 20\n");
    edge.row("back", |edge| {
        let said = edge.reload();
        assert!(!said.contains("need a restart"), "{said}");
        assert_eq!(status(edge, &metrics), 401);
        Ok(())
    });
    edge.finish();
}

#[test]
fn what_is_wrong_is_one_line_and_everything_stays() {
    let mut edge = Edge::with_config("auth.secret_file = \"secret\"\n");
    let token = token::good("ann", "read");
    let good = "auth.secret_file = \"secret\"\n";
    for (name, toml, secret, said) in [
        ("not TOML", "auth = [", SECRET, "(./pulseboard.toml, line 1)"),
        (
            "unknown key",
            "auth.secret_file = \"secret\"\nlimit.x = 1",
            SECRET,
            "limit.x: no such setting",
        ),
        (
            "negative limit",
            "auth.secret_file = \"secret\"\nlimits.api_per_minute = -1",
            SECRET,
            "is negative",
        ),
        (
            "no CIDR",
            "auth.secret_file = \"secret\"\nserver.trusted_proxies = [\"10/8\"]",
            SECRET,
            "is not an address or network",
        ),
        ("short secret", good, "swordfish", "auth.secret_file: 9 bytes are too few"),
    ] {
        edge.row(name, |edge| {
            edge.write("pulseboard.toml", toml);
            edge.write("secret", secret);
            let lines = edge.reload();
            // Others write to the log too: of refused requests, for one.
            let about: Vec<&str> =
                lines.lines().filter(|line| line.contains("the configuration")).collect();
            let [line] = about.as_slice() else { panic!("{lines}") };
            assert!(line.contains("the configuration stays as it was: "), "{lines}");
            assert!(line.contains(said), "{lines}");
            let is_whole = |line: &str| line.starts_with("20") && line.contains('Z');
            assert!(lines.lines().all(is_whole), "a reason in several lines: {lines}");
            assert!(!lines.contains("swordfish"), "{lines}");
            Ok(())
        });
        edge.rest(name, &history(&token), &Expect::status(200));
        edge.rest(name, &Request::get("/api/history"), &Expect::problem(401, "unauthorized"));
    }
    edge.row("no key any more", |edge| {
        edge.write("pulseboard.toml", "");
        let lines = edge.reload();
        assert!(lines.contains("from tokens to dev mode needs a restart"), "{lines}");
        Ok(())
    });
    edge.rest("no key any more", &history(&token), &Expect::status(200));
    edge.rest(
        "no key any more",
        &Request::get("/api/history"),
        &Expect::problem(401, "unauthorized"),
    );
    edge.finish();
}

#[test]
fn a_new_secret_ends_the_tokens_of_the_old_one_on_open_sockets_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, SECRET).unwrap();
    let settings = [("PULSEBOARD_AUTH__SECRET_FILE", path.to_str().unwrap())];
    let daemon = Daemon::start_with(&folder.path().join("data"), &settings);
    let old = token::good("ann", "read");
    let mut socket = Dial::bearer(&old).open(daemon.address).unwrap();
    socket.say(&json!({"op": "subscribe", "rooms": ["window:1s"]}).to_string());
    assert!(matches!(socket.hear_op("snapshot"), Heard::Message(_)));

    std::fs::write(&path, OTHER_SECRET).unwrap();
    daemon.hang_up();
    eventually("the new secret", || {
        daemon.stderr().contains("now in effect: auth.secret").then_some(())
    });
    let new = Signer::secret(OTHER_SECRET).token(&claims("ann", "read"));
    let status = |token: &str| history(token).send(daemon.address).unwrap().status;
    assert_eq!((status(&old), status(&new)), (401, 200));
    let told = socket.hear_op("error");
    assert!(
        matches!(&told, Heard::Message(error) if error["code"] == "token_signature"),
        "{told:?}"
    );
    assert_eq!(socket.hear_op("welcome"), Heard::Close(Some(1008), "token_signature".to_owned()));
    assert!(Dial::bearer(&old).open(daemon.address).is_err());
    assert!(Dial::bearer(&new).open(daemon.address).is_ok());
}

#[test]
fn dev_mode_stays_dev_mode_until_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let daemon = Daemon::start(&data);
    std::fs::write(data.join("auth.secret"), SECRET).unwrap();
    daemon.hang_up();
    eventually("it says so", || {
        daemon.stderr().contains("from dev mode to tokens needs a restart").then_some(())
    });
    assert_eq!(daemon.get("/api/history").status, 200);
    drop(daemon);
    assert_eq!(Daemon::start(&data).get("/api/history").status, 401);
}

#[test]
fn the_service_manager_is_told_when_a_reload_begins_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let heard = || {
        let mut buffer = [0; 512];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let settings = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let daemon = Daemon::start_with(&folder.path().join("data"), &settings);
    assert_eq!(heard().trim(), "READY=1");
    daemon.hang_up();
    let begins = heard();
    let usec = begins.trim().strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&begins);
    assert!(usec.parse::<u64>().unwrap() > 0);
    assert_eq!(heard().trim(), "READY=1");
}
