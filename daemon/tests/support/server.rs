//! A program other than ours that scenarios run: where it is, a port nobody else takes, and a process
//! that is started, stopped, killed, frozen and gone when the test is.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Below what the kernel hands out for port 0, so that nobody gets one of these by chance.
const PORTS: std::ops::Range<u16> = 21_700..21_900;

/// A program by the variable that names it, else on PATH. A test that needs it and finds none fails.
pub(crate) fn program(variable: &str, name: &str, install: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{variable}: {} is not there; {install}", path.display());
        return path;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name));
    found.into_iter().find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("this test needs {name}: {install}, or set {variable} to its path")
    })
}

/// A port for a server that cannot choose one itself. It is ours as long as this value lives: a
/// locked file says so to all tests of this machine.
pub(crate) struct Port {
    pub(crate) number: u16,
    _lock: File,
}

impl Port {
    pub(crate) fn take() -> Self {
        let folder = std::env::temp_dir().join("pulseboard-test-ports");
        std::fs::create_dir_all(&folder).unwrap();
        let count = PORTS.len() as u32;
        let first = std::process::id().wrapping_mul(7) % count;
        for step in 0..count {
            let number = PORTS.start + ((first + step) % count) as u16;
            let mut options = OpenOptions::new();
            let lock = options.create(true).append(true).open(folder.join(number.to_string()));
            let lock = lock.unwrap();
            let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
            if lock.try_lock().is_ok() && free() {
                return Self { number, _lock: lock };
            }
        }
        panic!("no port of {PORTS:?} is free");
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

/// A server's process, killed when dropped.
pub(crate) struct Process {
    program: PathBuf,
    args: Vec<OsString>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Not started yet. What it prints is appended to the log.
    pub(crate) fn new(program: PathBuf, args: Vec<OsString>, log: &Path) -> Self {
        Self { program, args, log: log.to_owned(), child: None }
    }

    pub(crate) fn start(&mut self) {
        assert!(!self.is_running(), "it runs already");
        let mut options = OpenOptions::new();
        let log = options.create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// Whether it has been started and has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// SIGTERM, and waits for its end.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
        self.wait();
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub(crate) fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    /// The last lines it printed.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    fn signal(&mut self, signal: Signal) {
        if self.is_running()
            && let Some(child) = &self.child
        {
            kill_process(Pid::from_child(child), signal).unwrap();
        }
    }

    fn wait(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
