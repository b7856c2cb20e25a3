//! `cargo xtask demo`: from a fresh clone to moving dashboards with one command.
//!
//! Checks what it needs before it builds, takes the next port when one is busy, and leaves nothing
//! running behind. The traffic is `pulseboard load --story`.

use std::fs;
use std::io::IsTerminal as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::Ordering;

use anyhow::Context as _;

use crate::children::{Daemon, Running, stop_flag, wait};
use crate::run::{cargo, plainly};
use crate::{packages, page, workspace};

/// How many ports are tried.
const PORTS: u16 = 100;

/// What `demo` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The first port to try
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Keep the data here; without it, it goes when the demo ends
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print the address and leave the terminal alone
    #[arg(long)]
    no_terminal: bool,
    /// Events a second the story revolves around
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
}

/// Runs the demo until `q` or Ctrl-C.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    packages::need_compiler()?;
    packages::need_node()?;

    println!("1 of 4  browser dashboard");
    page::install()?;
    page::build()?;
    println!("2 of 4  daemon and terminal dashboard (the first build takes a few minutes)");
    plainly(&mut cargo(&["build", "--workspace", "--bins"]))?;

    let temporary = tempfile::Builder::new().prefix("pulseboard-demo-").tempdir()?;
    let data_dir = args.data_dir.clone().unwrap_or_else(|| temporary.path().join("data"));
    let logs = workspace::target().join("demo");
    fs::create_dir_all(&logs)?;
    let stop = stop_flag()?;
    let log = logs.join("daemon.log");
    let mut daemon = Daemon::start(free_port(args.port)?, &data_dir, &log)?;
    println!("3 of 4  daemon at {} (log: {})", daemon.url, log.display());

    let mut load = Command::new(workspace::program("pulseboard"));
    load.args(["--url", &daemon.url, "load", "--story"]);
    if let Some(rate) = args.rate {
        load.args(["--rate", &rate.to_string()]);
    }
    let said = fs::File::create(logs.join("load.log"))?;
    load.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
    let mut load = Running::start(&mut load)?;
    println!("4 of 4  traffic: a day in eight minutes, bursts, an error spell every three minutes");
    println!("\nOpen {} in a browser.", daemon.url);

    if args.no_terminal || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        println!("Watch in a terminal: {}", watch(&daemon.url));
        println!("Ctrl-C ends the demo.");
        wait(&stop, &mut [&mut daemon.running, &mut load]);
        if !stop.load(Ordering::SeqCst) {
            let said = fs::read_to_string(logs.join("load.log")).unwrap_or_default();
            let daemon_said = fs::read_to_string(&log).unwrap_or_default();
            anyhow::bail!("the demo ended by itself\ntraffic: {said}\ndaemon: {daemon_said}");
        }
    } else {
        // The dashboard owns the terminal until `q`; it stays in our process group, so that the
        // terminal is its own, and handles Ctrl-C itself.
        let mut terminal = Command::new(workspace::program("pulseboard"));
        let status = terminal.args(["--url", &daemon.url]).status();
        status.context("the terminal dashboard could not be started")?;
    }
    drop(load);
    drop(daemon);
    println!("The demo has stopped; nothing is left running.");
    if args.data_dir.is_some() {
        println!("Its data is in {}.", data_dir.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn watch(url: &str) -> String {
    format!("{} --url {url}", workspace::program("pulseboard").display())
}

/// The first free port from `first` on.
fn free_port(first: u16) -> anyhow::Result<u16> {
    for port in first..first.saturating_add(PORTS) {
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(_) => println!("        port {port} is busy, trying the next"),
        }
    }
    anyhow::bail!("no port from {first} on is free; name another with --port")
}
