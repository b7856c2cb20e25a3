//! The daemon as a service: what it tells the service manager.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use support::{Daemon, eventually};

/// The service manager's ear.
struct Manager(UnixDatagram);

impl Manager {
    fn next(&self) -> String {
        let mut buffer = [0; 512];
        let length = self.0.recv(&mut buffer).expect("the daemon says something within a minute");
        String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned()
    }

    fn until(&self, said: &str) {
        eventually(said, || (self.next() == said).then_some(()));
    }
}

#[test]
fn the_manager_hears_ready_then_that_all_is_well_then_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
    manager.0.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let settings = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "90000")];
    let daemon = Daemon::start_with(&folder.path().join("data"), &settings);

    assert_eq!(manager.next(), "READY=1");
    for _ in 0..5 {
        assert_eq!(manager.next(), "WATCHDOG=1");
    }
    let ended = std::thread::spawn(move || daemon.terminate());
    manager.until("STOPPING=1");
    assert_eq!(ended.join().unwrap(), Some(0));
}

#[test]
fn without_a_watchdog_nothing_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager(UnixDatagram::bind(&path).unwrap());
    let settings = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let daemon = Daemon::start_with(&folder.path().join("data"), &settings);
    let ended = std::thread::spawn(move || daemon.terminate());
    assert_eq!(manager.next(), "READY=1");
    assert_eq!(manager.next(), "STOPPING=1");
    assert_eq!(ended.join().unwrap(), Some(0));
}

/// Asks whether a daemon lives there: the exit code, and what was said.
fn health(bind: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulseboardd"));
    let output = command.args(["--health", "--bind", bind]).output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn health_says_whether_a_daemon_lives_there_and_needs_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("PULSEBOARD_AUTH__SECRET", support::token::SECRET)];
    let daemon = Daemon::start_with(folder.path(), &settings);
    let port = daemon.address.port();
    assert_eq!(health(&format!("127.0.0.1:{port}")), (Some(0), String::new()));
    // As in a container: it listens everywhere, and is asked from inside.
    assert_eq!(health(&format!("0.0.0.0:{port}")), (Some(0), String::new()));
    drop(daemon);

    let (code, said) = health(&format!("127.0.0.1:{port}"));
    assert_eq!(code, Some(1));
    assert!(said.contains(&format!("no daemon answers on 127.0.0.1:{port}")), "{said}");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let answers = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap();
    });
    let (code, said) = health(&address);
    answers.join().unwrap();
    assert_eq!(code, Some(1));
    assert!(said.contains("no daemon that is well"), "{said}");
}

/// A file of the repository.
fn file(path: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// What a daemon started by a unit would go by; `%i` and `%l` stand for the instance and the host.
fn settings_of(unit: &str, credentials: &[(&str, &str)]) -> String {
    let unit = file(unit).replace("%i", "3001").replace("%l", "here");
    let value = |key: &str| {
        let lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let folder = tempfile::tempdir().unwrap();
    let loaded = value("LoadCredential");
    let names: Vec<&str> = loaded.iter().map(|line| line.split_once(':').unwrap().0).collect();
    let given: Vec<&str> = credentials.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, given, "the unit's credentials");
    for (name, text) in credentials {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let state = tempfile::tempdir().unwrap();
    let [start] = &value("ExecStart")[..] else { panic!("one command") };
    let mut words = start.split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/pulseboardd"));

    let mut command = support::plain();
    command.args(words).arg("--print-config").current_dir(&state);
    for setting in value("Environment") {
        let (name, value) = setting.split_once('=').unwrap();
        command.env(name, value);
    }
    command.env("CREDENTIALS_DIRECTORY", folder.path()).env("STATE_DIRECTORY", state.path());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    for (name, _) in credentials {
        let path = folder.path().join(name).display().to_string();
        assert!(printed.contains(&path), "{path}: {printed}");
    }
    assert!(printed.contains(&state.path().display().to_string()), "{printed}");
    printed
}

#[test]
fn the_unit_starts_the_daemon_with_settings_it_takes() {
    let secret = [("auth.secret", support::token::SECRET)];
    settings_of("config/systemd/pulseboard.service", &secret);
}

#[test]
fn an_instance_of_the_template_listens_on_its_port_and_shares_the_rest() {
    let credentials = [
        ("auth.secret", support::token::SECRET),
        ("mongodb.uri", "mongodb://pulseboard:word@a:27017,b:27017/?replicaSet=pulseboard"),
        ("redis.url", "redis://:word@c:6379"),
    ];
    let printed = settings_of("config/systemd/pulseboardd@.service", &credentials);
    for holds in ["\"127.0.0.1:3001\"", "\"here-3001\"", "\"mongodb\""] {
        assert!(printed.contains(holds), "{holds}: {printed}");
    }
    assert!(!printed.contains(":word@"), "no password is shown: {printed}");
}
