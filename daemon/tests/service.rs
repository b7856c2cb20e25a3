//! The daemon as a service: what it tells the service manager.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]

mod support;

use std::os::unix::net::UnixDatagram;
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
