//! `cargo xtask cluster`: the whole of several instances on this machine, from real programs: a replica
//! set of three mongod, redis-server, three daemons, HAProxy in front, traffic through it, and a prompt
//! to break things with.
//!
//! Starts nothing that it does not stop, keeps nothing but its logs, and never touches servers that
//! were there before. `parts` knows the command lines, `prompt` what can be typed.

mod parts;
mod prompt;
mod status;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};

use self::parts::{Parts, Ports};
use self::prompt::Line;
use crate::children::stop_flag;
use crate::run::{cargo, now, plainly};
use crate::{packages, page, servers, workspace};

/// How many ports are looked through.
const PORTS: u16 = 200;
/// How often programs are looked after.
const ROUND: Duration = Duration::from_millis(200);
/// How long instances may take to find each other and MongoDB before what they say is printed.
const MEET_WITHIN: Duration = Duration::from_secs(20);
/// Lines typed ahead; past it the reader waits.
const TYPED_AHEAD: usize = 16;

/// What `cluster` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The balancer's port; the others take the next free ones
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// End by itself after so long
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Events a second the traffic revolves around
    #[arg(long, value_name = "N", default_value_t = 300)]
    rate: u32,
    /// Take the programs as they were built, without building
    #[arg(long)]
    built: bool,
}

/// Runs the cluster until Ctrl-C, `quit` or its time is up.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let python = packages::python(&[packages::PYMONGO])?;
    let programs = parts::Programs {
        mongod: servers::mongod(&python)?,
        redis: servers::redis_server()?,
        haproxy: servers::haproxy()?,
        python: python.join("python3"),
    };
    if !args.built {
        build()?;
    }
    let stop = stop_flag()?;
    let started = now();

    let ports = free_ports(args.port)?;
    let folder =
        Folder::make(&workspace::target().join("cluster").join(ports.balancer.to_string()))?;
    let mut parts = Parts::new(&programs, &ports, &folder.path, args.rate)?;
    parts.start()?;
    println!("All of it runs after {:.1} s; the instances meet …", started.elapsed().as_secs_f64());
    let met = now();
    while !stop.load(Ordering::SeqCst) && met.elapsed() < MEET_WITHIN && !status::is_well(&parts) {
        thread::sleep(ROUND);
    }
    print!("\n{}", status::table(&mut parts));
    println!("\n{}", prompt::welcome(&parts));

    let typed = typed();
    loop {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        if args.seconds.is_some_and(|seconds| started.elapsed() > Duration::from_secs(seconds)) {
            break;
        }
        for name in parts.ended() {
            println!("{name} has ended. `start {name}` starts it again.");
        }
        match typed.recv_timeout(ROUND) {
            Ok(line) => match prompt::act(&line, &mut parts) {
                Line::Said(text) => println!("{text}"),
                Line::Quit => break,
            },
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody types: a pipe that ended.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(ROUND),
        }
    }
    println!("stopping …");
    parts.stop();
    let logs = folder.logs();
    drop(folder);
    println!("Everything has stopped; its data is gone, its logs are in {}.", logs.display());
    Ok(ExitCode::SUCCESS)
}

fn build() -> anyhow::Result<()> {
    packages::need_compiler()?;
    if packages::need_node().is_ok() {
        page::install()?;
        page::build()?;
    } else {
        println!("without Node.js: the daemons serve no dashboard for the browser");
    }
    println!("building (the first time takes a few minutes)");
    plainly(&mut cargo(&["build", "--quiet", "--workspace", "--bins"]))
}

/// What is typed, line by line. The thread ends with the process.
fn typed() -> Receiver<String> {
    let (sender, receiver) = sync_channel(TYPED_AHEAD);
    thread::spawn(move || {
        for line in BufReader::new(std::io::stdin()).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Eight ports that are free, the balancer's first.
fn free_ports(first: u16) -> anyhow::Result<Ports> {
    let mut free = (first..first.saturating_add(PORTS))
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let mut next = || free.next().with_context(|| format!("no ports from {first} on are free"));
    Ok(Ports {
        balancer: next()?,
        daemons: [next()?, next()?, next()?],
        mongods: [next()?, next()?, next()?],
        redis: next()?,
    })
}

/// Where a cluster's files are, locked while it runs. What it holds but logs goes when it is dropped.
struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    fn make(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path.join("logs")).with_context(|| path.display().to_string())?;
        let lock = File::create(path.join("lock"))?;
        if lock.try_lock().is_err() {
            bail!("another cluster uses {}; name other ports with --port", path.display());
        }
        let folder = Self { path: path.to_owned(), _lock: lock };
        // One that was killed left its data.
        folder.clear();
        fs::create_dir(folder.path.join("data"))?;
        Ok(folder)
    }

    fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    fn clear(&self) {
        let _ = fs::remove_dir_all(self.path.join("data"));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.clear();
    }
}
