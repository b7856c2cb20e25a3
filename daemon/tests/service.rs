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

#[test]
fn the_unit_starts_the_daemon_with_settings_it_takes() {
    let unit = file("config/systemd/pulseboard.service");
    let value = |key: &str| {
        let lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let credentials = tempfile::tempdir().unwrap();
    let [credential] = &value("LoadCredential")[..] else { panic!("one credential") };
    let (name, _) = credential.split_once(':').unwrap();
    std::fs::write(credentials.path().join(name), support::token::SECRET).unwrap();
    let state = tempfile::tempdir().unwrap();
    let [start] = &value("ExecStart")[..] else { panic!("one command") };
    let mut words = start.split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/pulseboardd"));

    let mut command = Command::new(env!("CARGO_BIN_EXE_pulseboardd"));
    command.args(words).arg("--print-config").current_dir(&state);
    for setting in value("Environment") {
        let (name, value) = setting.split_once('=').unwrap();
        command.env(name, value);
    }
    command.env("CREDENTIALS_DIRECTORY", credentials.path()).env("STATE_DIRECTORY", state.path());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let secret_file = credentials.path().join(name).display().to_string();
    assert!(printed.contains(&secret_file), "{printed}");
    assert!(printed.contains(&state.path().display().to_string()), "{printed}");
}
