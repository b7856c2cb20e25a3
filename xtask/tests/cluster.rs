//! `cargo xtask cluster` as a developer sees it: real servers come up, three daemons meet, one is
//! killed and comes back, and nothing is left at the end.
//!
//! Needs the programs that `cargo xtask tools` fetches, and the daemon and terminal as they were built.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on has failed")]
#![allow(clippy::disallowed_methods, reason = "waiting needs a clock")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Below what the kernel hands out, and apart from what other scenarios use.
const PORTS: Range<u16> = 21_500..21_700;
/// As many as a cluster takes.
const BLOCK: u16 = 8;
const PATIENCE: Duration = Duration::from_mins(2);

/// Ports for one cluster. They are ours as long as this value lives: a locked file says so to all
/// tests of this machine.
struct Ports {
    all: Range<u16>,
    _lock: File,
}

impl Ports {
    fn take() -> Self {
        let folder = std::env::temp_dir().join("pulseboard-test-ports");
        std::fs::create_dir_all(&folder).unwrap();
        for first in PORTS.step_by(BLOCK.into()) {
            let mut options = OpenOptions::new();
            let lock = options.create(true).append(true).open(folder.join(first.to_string()));
            let lock = lock.unwrap();
            let all = first..first + BLOCK;
            let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if lock.try_lock().is_ok() && all.clone().all(free) {
                return Self { all, _lock: lock };
            }
        }
        panic!("no {BLOCK} ports of {PORTS:?} are free");
    }
}

struct Cluster {
    child: Child,
    typed: ChildStdin,
    said: Receiver<String>,
}

impl Cluster {
    fn start(ports: &Ports) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["cluster", "--built", "--rate", "50"]);
        command.args(["--port", &ports.all.start.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let (typed, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, said) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                println!("{line}");
                let _ = sender.send(line);
            }
        });
        Self { child, typed, said }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.typed, "{line}").unwrap();
    }

    /// The next line that holds this.
    fn line_with(&self, text: &str) -> String {
        let started = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            let line = self.said.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("it never said: {text}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Asks for the status until a daemon's line holds this.
    fn until(&mut self, daemon: &str, text: &str) {
        let started = Instant::now();
        loop {
            self.type_line("status");
            let line = self.line_with(daemon);
            if line.contains(text) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{daemon} never said {text}: {line}");
            thread::sleep(Duration::from_millis(300));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Its parts end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process id in a line of the status.
fn pid(line: &str) -> u32 {
    line.split_whitespace().nth(2).unwrap().parse().unwrap()
}

#[test]
fn a_cluster_comes_up_survives_a_killed_daemon_and_leaves_nothing_behind() {
    let ports = Ports::take();
    let mut cluster = Cluster::start(&ports);
    let daemon = pid(&cluster.line_with("daemon2"));
    cluster.line_with("Ctrl-C stops all");
    cluster.until("daemon3", "3 of 3 instances");

    cluster.type_line("kill daemon2");
    cluster.line_with("daemon2 is killed");
    cluster.until("daemon1", "2 of 3 instances");
    cluster.type_line("start daemon2");
    cluster.line_with("daemon2 runs");
    cluster.until("daemon1", "ready, 3 of 3 instances");
    cluster.type_line("status");
    assert_ne!(pid(&cluster.line_with("daemon2")), daemon);

    cluster.type_line("nonsense");
    cluster.line_with("`nonsense` is not understood");
    let mut own = Command::new("kill");
    own.args(["-INT", &cluster.child.id().to_string()]).status().unwrap();
    let logs = cluster.line_with("Everything has stopped");
    assert_eq!(cluster.child.wait().unwrap().code(), Some(0));
    let logs = logs.rsplit(' ').next().unwrap().trim_end_matches('.').to_owned();
    let folder = std::path::Path::new(&logs).parent().unwrap();
    assert!(!folder.join("data").exists(), "its data is gone");
    for port in ports.all.clone() {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "{port} is still in use");
    }
}
