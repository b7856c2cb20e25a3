//! A real daemon for tests: its own folder, a free port, ended with the test.
//!
//! The binary is that of `PULSEBOARDD`, else the one beside our own: build it first with
//! `cargo build -p pulseboardd`.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Started and ready.
pub(crate) struct Daemon {
    child: Child,
    address: SocketAddr,
}

impl Daemon {
    /// Starts one on `folder` and waits until it listens. The error is what it said instead.
    pub(crate) fn start(folder: &Path) -> Result<Self, String> {
        Self::start_by(command(folder, 0), folder)
    }

    /// The same, on a given port.
    pub(crate) fn start_at(folder: &Path, port: u16) -> Result<Self, String> {
        Self::start_by(command(folder, port), folder)
    }

    /// The same, by a command line of [`command`] with more to it.
    pub(crate) fn start_by(mut command: Command, folder: &Path) -> Result<Self, String> {
        let mut child = command.spawn().map_err(|error| {
            format!("{}: {error}; build it: cargo build -p pulseboardd", binary().display())
        })?;
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut said = String::new();
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("listening on http://") {
                let address = address.trim().parse().map_err(|_| format!("bad address: {line}"))?;
                return Ok(Self { child, address });
            }
            said.push_str(&line);
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        let log = std::fs::read_to_string(log(folder)).unwrap_or_default();
        Err(format!("the daemon ended with {status} before it listened: {said}\n{log}"))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was started here");
    }

    /// SIGTERM, and the exit it leads to.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there");
        assert!(sent.success());
        self.child.wait().expect("it was started here")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon's command line on `folder`: any free port for port 0, routes as they are sent.
pub(crate) fn command(folder: &Path, port: u16) -> Command {
    let log = std::fs::File::options().create(true).append(true).open(log(folder));
    let mut command = Command::new(binary());
    command
        .args(["--bind", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(folder.join("data"))
        .env("PULSEBOARD_ROUTES__NORMALISE", "false")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.expect("the test's folder can be written"));
    command
}

/// What all daemons on `folder` logged.
pub(crate) fn log(folder: &Path) -> PathBuf {
    folder.join("daemon.log")
}

fn binary() -> PathBuf {
    let beside = || Path::new(env!("CARGO_BIN_EXE_pulseboard")).with_file_name("pulseboardd");
    std::env::var_os("PULSEBOARDD").map_or_else(beside, PathBuf::from)
}

/// Asks again until the answer is the one expected; what is counted appears a moment after it is
/// acknowledged. The last answer is compared for good.
#[allow(clippy::disallowed_methods, reason = "a bound on waiting, not a measurement")]
pub(crate) fn eventually<T: PartialEq + std::fmt::Debug>(expected: &T, mut ask: impl FnMut() -> T) {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = ask();
        if answer == *expected {
            return;
        }
        assert!(Instant::now() < give_up, "expected {expected:?}, still {answer:?} after 20 s");
        std::thread::sleep(Duration::from_millis(100));
    }
}
