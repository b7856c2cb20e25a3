//! Programs that run beside us: the daemon and its traffic. Each is asked to stop, given time, and
//! only then killed; none outlives the value that holds it.
//!
//! Used by `demo`, `cluster` and `web`.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::workspace;

/// How long a child has to stop after it was asked; the daemon promises 10 s.
const STOP_TRIES: u32 = 120;
const STOP_PAUSE: Duration = Duration::from_millis(100);

/// A running program, stopped when dropped.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts it in a process group of its own, so that Ctrl-C reaches us alone and we stop things
    /// in their order.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let shown = command.get_program().to_string_lossy().into_owned();
        let child = command.process_group(0).spawn();
        let child = child.with_context(|| format!("{shown} could not be started"))?;
        Ok(Self { child })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal. One that has ended has nothing left to be told.
    pub(crate) fn signal(&mut self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let (false, Some(pid)) = (self.ended(), pid) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended() {
            self.signal(Signal::TERM);
            // One that was frozen could not act on it.
            self.signal(Signal::CONT);
            for _ in 0..STOP_TRIES {
                if self.ended() {
                    return;
                }
                thread::sleep(STOP_PAUSE);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon that said it is ready.
pub(crate) struct Daemon {
    pub(crate) running: Running,
    /// `http://ADDR:PORT`.
    pub(crate) url: String,
}

impl Daemon {
    /// Starts the daemon and waits for it to say where it listens. Its log goes to a file.
    pub(crate) fn start(port: u16, data_dir: &Path, log: &PathBuf) -> anyhow::Result<Self> {
        let written =
            File::create(log).with_context(|| format!("{} is not writable", log.display()))?;
        let mut command = Command::new(workspace::program("pulseboardd"));
        command
            .arg("--bind")
            .arg(format!("127.0.0.1:{port}"))
            .arg("--data-dir")
            .arg(data_dir)
            .current_dir(workspace::root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(written);
        let mut running = Running::start(&mut command)?;
        let stdout = running.child.stdout.take().expect("it was piped");
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if let Some(url) = line.strip_prefix("listening on ") {
                return Ok(Self { running, url: url.to_owned() });
            }
        }
        let said = std::fs::read_to_string(log).unwrap_or_default();
        bail!("the daemon did not start:\n{said}")
    }
}

/// Becomes true on Ctrl-C, SIGTERM or a closed terminal.
pub(crate) fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// Waits until `stop` is set or one of the programs ends by itself.
pub(crate) fn wait(stop: &AtomicBool, running: &mut [&mut Running]) {
    while !stop.load(Ordering::SeqCst) && !running.iter_mut().any(|program| program.ended()) {
        thread::sleep(STOP_PAUSE);
    }
}
