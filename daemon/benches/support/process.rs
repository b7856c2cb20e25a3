//! A server as a process of its own: started, found by the address it prints, killed when dropped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a command and waits for its `listening on http://ADDR:PORT`.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the server says where it listens").unwrap();
            if let Some(address) = line.strip_prefix("listening on http://") {
                break address.parse().unwrap();
            }
        };
        Self { child, address }
    }

    /// The daemon on a data directory, with more settings as environment variables.
    pub(crate) fn daemon(data_dir: &std::path::Path, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pulseboardd"));
        command
            .args(["--bind", "127.0.0.1:0", "--log-level", "warn", "--data-dir"])
            .arg(data_dir)
            .stderr(Stdio::null())
            .envs(settings.iter().copied());
        Self::start(&mut command)
    }

    /// This benchmark again, as the server that only parses.
    pub(crate) fn ceiling() -> Self {
        let own: PathBuf = std::env::current_exe().unwrap();
        Self::start(Command::new(own).arg("--ceiling"))
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    /// Processor time it has used, its own and the kernel's for it.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = text.rsplit(") ").next().unwrap();
        let ticks = |field: usize| -> f64 {
            after_name.split(' ').nth(field).and_then(|word| word.parse().ok()).unwrap()
        };
        // Fields 14 and 15 of proc(5), in hundredths of a second.
        (ticks(11) + ticks(12)) / 100.0
    }

    /// Kills it the hard way.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
