//! The programs of a cluster: how each is started, which run, and the order they start and stop in.
//!
//! A part that is killed stays known under its name, so that it can be started again as it was.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::Signal;

use crate::children::Running;
use crate::run::now;
use crate::{packages, workspace};

/// What a part has to answer within.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);
/// The name of the replica set, which `replica_set.py` gives it.
const SET: &str = "pulseboard";
/// The balancer's settings, as an operator installs them.
const BALANCER: &str = "config/haproxy/pulseboard.cfg";

/// Programs that are not ours.
pub(super) struct Programs {
    pub(super) mongod: PathBuf,
    pub(super) redis: PathBuf,
    pub(super) haproxy: PathBuf,
    pub(super) python: PathBuf,
}

/// Who listens where, on the loopback address.
#[derive(Clone, Copy)]
pub(super) struct Ports {
    pub(super) balancer: u16,
    pub(super) daemons: [u16; 3],
    pub(super) mongods: [u16; 3],
    pub(super) redis: u16,
}

/// One program.
pub(super) struct Part {
    /// As it is typed: `daemon2`.
    pub(super) name: String,
    /// Where it listens; 0: nowhere.
    pub(super) port: u16,
    pub(super) log: PathBuf,
    words: Vec<String>,
    running: Option<Running>,
    /// Stopped by SIGSTOP.
    pub(super) is_frozen: bool,
}

impl Part {
    fn new(name: &str, port: u16, folder: &Path, program: &Path, words: Vec<String>) -> Self {
        let log = folder.join("logs").join(format!("{name}.log"));
        let words = std::iter::once(program.display().to_string()).chain(words).collect();
        Self { name: name.to_owned(), port, log, words, running: None, is_frozen: false }
    }

    /// Starts it; its log goes on where it was.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        ensure!(!self.is_running(), "{} runs already", self.name);
        // Where util-linux is there, a part does not outlive us even if we are killed.
        let guard = packages::which("setpriv").map(|program| program.display().to_string());
        let mut words: Vec<&str> = Vec::new();
        if let Some(guard) = &guard {
            words.extend([guard, "--pdeathsig", "KILL", "--"]);
        }
        words.extend(self.words.iter().map(String::as_str));
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PULSEBOARD_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.log.parent().expect("logs lie in a folder"));
        self.running = Some(Running::start(&mut command)?);
        self.is_frozen = false;
        Ok(())
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|running| !running.ended())
    }

    /// Its process id while it runs.
    pub(super) fn pid(&mut self) -> Option<u32> {
        if self.is_running() { self.running.as_ref().map(Running::id) } else { None }
    }

    pub(super) fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        ensure!(self.is_running(), "{} does not run", self.name);
        let running = self.running.as_mut().expect("it runs");
        running.signal(signal);
        match signal {
            Signal::STOP => self.is_frozen = true,
            Signal::CONT => self.is_frozen = false,
            Signal::KILL => self.running = None,
            _ => {}
        }
        Ok(())
    }

    /// Asks it to stop, gives it time, and only then kills it.
    pub(super) fn stop(&mut self) {
        self.running = None;
    }

    /// Waits until it takes connections.
    pub(super) fn wait(&mut self) -> anyhow::Result<()> {
        let started = now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if !self.is_running() || started.elapsed() > PATIENCE {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                let lines: Vec<&str> = said.lines().collect();
                let last = lines[lines.len().saturating_sub(10)..].join("\n");
                bail!("{} did not start:\n{last}", self.name);
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

/// All of them, in the order they start in.
pub(super) struct Parts {
    pub(super) all: Vec<Part>,
    pub(super) ports: Ports,
    python: PathBuf,
    script: PathBuf,
}

impl Parts {
    /// Writes their settings and knows how to start them; starts none.
    pub(super) fn new(
        programs: &Programs,
        ports: &Ports,
        folder: &Path,
        rate: u32,
    ) -> anyhow::Result<Self> {
        let data = folder.join("data");
        let mut all = Vec::new();
        for (number, port) in (1..).zip(ports.mongods) {
            let name = format!("mongo{number}");
            let path = data.join(&name);
            fs::create_dir_all(&path)?;
            let words = format!(
                "--replSet {SET} --bind_ip 127.0.0.1 --port {port} --nounixsocket --quiet \
                 --wiredTigerCacheSizeGB 0.25 --oplogSize 128 --setParameter \
                 diagnosticDataCollectionEnabled=false --dbpath"
            );
            let mut words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            words.push(path.display().to_string());
            all.push(Part::new(&name, port, folder, &programs.mongod, words));
        }
        let words = format!(
            "--bind 127.0.0.1 --port {} --save  --appendonly no --maxmemory-policy noeviction --dir",
            ports.redis
        );
        // A save of nothing is an empty word.
        let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        words.push(data.display().to_string());
        all.push(Part::new("redis", ports.redis, folder, &programs.redis, words));
        for (number, port) in (1..).zip(ports.daemons) {
            let name = format!("daemon{number}");
            let settings = folder.join(format!("{name}.toml"));
            fs::write(&settings, daemon_settings(&name, port, ports, &data.join(&name)))?;
            let words = vec!["--config".to_owned(), settings.display().to_string()];
            all.push(Part::new(&name, port, folder, &workspace::program("pulseboardd"), words));
        }
        let settings = folder.join("haproxy.cfg");
        fs::write(&settings, balancer_settings(ports)?)?;
        let words = ["-db", "-f"].map(str::to_owned).into_iter();
        let words = words.chain([settings.display().to_string()]).collect();
        all.push(Part::new("balancer", ports.balancer, folder, &programs.haproxy, words));
        let words = format!("--url http://127.0.0.1:{} load --story --rate {rate}", ports.balancer);
        let words = words.split_whitespace().map(str::to_owned).collect();
        all.push(Part::new("traffic", 0, folder, &workspace::program("pulseboard"), words));
        let script = folder.join("replica_set.py");
        fs::write(&script, include_str!("replica_set.py"))?;
        for part in &all {
            let _ = fs::remove_file(&part.log);
        }
        Ok(Self { all, ports: *ports, python: programs.python.clone(), script })
    }

    /// Starts everything: what others need first.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        for group in [&["mongo", "redis"][..], &["daemon"], &["balancer"], &["traffic"]] {
            let in_group = |part: &Part| group.iter().any(|start| part.name.starts_with(start));
            for part in self.all.iter_mut().filter(|part| in_group(part)) {
                part.start()?;
            }
            for part in self.all.iter_mut().filter(|part| in_group(part) && part.port > 0) {
                part.wait()?;
            }
            if group.contains(&"mongo") {
                self.replica_set("initiate")?;
            }
        }
        Ok(())
    }

    /// Stops everything, in the order opposite to the start; each group at once.
    pub(super) fn stop(&mut self) {
        for start in ["traffic", "balancer", "daemon", "redis", "mongo"] {
            for part in self.all.iter_mut().filter(|part| part.name.starts_with(start)) {
                if let Some(running) = &mut part.running {
                    // Data is thrown away, so a mongod need not put it in order.
                    running.signal(if start == "mongo" { Signal::KILL } else { Signal::TERM });
                }
            }
            for part in self.all.iter_mut().filter(|part| part.name.starts_with(start)) {
                part.stop();
            }
        }
    }

    /// A part by its name.
    pub(super) fn find(&mut self, name: &str) -> Option<&mut Part> {
        self.all.iter_mut().find(|part| part.name == name)
    }

    /// The name of the part that listens at `HOST:PORT`.
    pub(super) fn name_at(&self, address: &str) -> Option<&str> {
        let (_, port) = address.rsplit_once(':')?;
        let part = self.all.iter().find(|part| part.port.to_string() == port)?;
        Some(&part.name)
    }

    /// Those that ended by themselves since this was asked last.
    pub(super) fn ended(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        for part in &mut self.all {
            if part.running.is_some() && !part.is_running() {
                part.running = None;
                names.push(part.name.clone());
            }
        }
        names
    }

    /// Asks something of the replica set: `initiate`, `step-down` or `primary`. Answers the primary.
    pub(super) fn replica_set(&self, what: &str) -> anyhow::Result<String> {
        let mut command = Command::new(&self.python);
        command.arg(&self.script).arg(what).args(self.ports.mongods.map(|port| port.to_string()));
        let output = command.output().context("python3 could not be started")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The connection string of the replica set.
    pub(super) fn mongodb_uri(ports: &Ports) -> String {
        let members = ports.mongods.map(|port| format!("127.0.0.1:{port}")).join(",");
        format!("mongodb://{members}/pulseboard?replicaSet={SET}")
    }
}

impl Drop for Parts {
    // Also where a start failed halfway, or there is no terminal any more to say something to.
    fn drop(&mut self) {
        self.stop();
    }
}

/// A daemon's pulseboard.toml.
fn daemon_settings(name: &str, port: u16, ports: &Ports, data: &Path) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "# One of three; made by `cargo xtask cluster`.");
    let _ = writeln!(text, "data_dir = {:?}", data.display().to_string());
    let _ = writeln!(text, "[server]\nbind = \"127.0.0.1:{port}\"");
    let _ = writeln!(text, "public_url = \"http://127.0.0.1:{}\"", ports.balancer);
    let _ = writeln!(text, "[node]\nname = \"{name}\"");
    let _ = writeln!(text, "[store]\nkind = \"mongodb\"");
    let _ = writeln!(text, "[store.mongodb]\nuri = \"{}\"", Parts::mongodb_uri(ports));
    let _ = writeln!(text, "[cluster]\nredis_url = \"redis://127.0.0.1:{}\"", ports.redis);
    text
}

/// The operators' file, for these ports, without TLS and without what dev mode refuses.
fn balancer_settings(ports: &Ports) -> anyhow::Result<String> {
    let text = fs::read_to_string(workspace::root().join(BALANCER)).context(BALANCER)?;
    // A developer's shell may not allow as many connections.
    let dropped = ["maxconn ", "http-request set-header X-Forwarded-"];
    let mut kept = Vec::new();
    let mut changed = 0;
    for line in text.lines() {
        let word = line.trim_start();
        if word.starts_with("bind ") {
            kept.push(format!("    bind 127.0.0.1:{}", ports.balancer));
        } else if let Some(rest) = word.strip_prefix("server instance") {
            let number: usize = rest[..1].parse().context("a number after `server instance`")?;
            let port = ports.daemons.get(number - 1).context("more servers than daemons")?;
            kept.push(format!("    server daemon{number} 127.0.0.1:{port}"));
        } else if !dropped.iter().any(|start| word.starts_with(start)) {
            kept.push(line.to_owned());
            continue;
        }
        changed += 1;
    }
    ensure!(changed == 7, "{BALANCER}: {changed} lines were changed, not 7");
    Ok(kept.join("\n") + "\n")
}
