//! The browser dashboard: its packages, its build, and `cargo xtask web`, the loop for working on
//! it: Vite reloads the page on every save and proxies the daemon's paths to a daemon.
//!
//! Called by `demo` and `test` for the packages and the build.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use crate::children::{Daemon, Running, stop_flag, wait};
use crate::run::{cargo, npm, plainly};
use crate::{packages, workspace};

/// What `web` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The daemon to show; without one listening there, a new one is started on this machine
    #[arg(long, env = "PULSEBOARD_URL", default_value = "http://127.0.0.1:3000")]
    url: String,
}

/// Installs the packages of `package-lock.json`, unless they are there.
pub(crate) fn install() -> anyhow::Result<()> {
    let web = workspace::web();
    let installed = modified(&web.join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= modified(&web.join("package-lock.json")) {
        return Ok(());
    }
    plainly(&mut npm(&["ci", "--no-audit", "--no-fund"]))
}

/// Builds the page, unless it is newer than everything it is made of.
pub(crate) fn build() -> anyhow::Result<()> {
    let web = workspace::web();
    let built = modified(&web.join("dist/index.html"));
    let sources = ["src", "public", "index.html", "package-lock.json", "vite.config.ts"];
    if built.is_some() && built >= sources.iter().filter_map(|path| newest(&web.join(path))).max() {
        return Ok(());
    }
    plainly(&mut npm(&["run", "--silent", "build"]))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
}

fn newest(path: &Path) -> Option<SystemTime> {
    let inside = fs::read_dir(path).into_iter().flatten().flatten();
    inside.filter_map(|entry| newest(&entry.path())).chain(modified(path)).max()
}

/// `cargo xtask web`.
pub(crate) fn develop(args: &Args) -> anyhow::Result<ExitCode> {
    packages::need_node()?;
    install()?;
    let stop = stop_flag()?;
    let address = args.url.trim_start_matches("http://").trim_end_matches('/');
    let mut daemon = None;
    let mut url = args.url.clone();
    if TcpStream::connect(address).is_err() {
        println!("no daemon at {url}: starting one");
        packages::need_compiler()?;
        plainly(&mut cargo(&["build", "--bin", "pulseboardd"]))?;
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(3000);
        let folder = workspace::target().join("web-loop");
        fs::create_dir_all(&folder)?;
        let log = folder.join("daemon.log");
        let started = Daemon::start(port, &folder.join("data"), &log)?;
        println!("daemon: {} (log: {})", started.url, log.display());
        url.clone_from(&started.url);
        daemon = Some(started);
    }
    let mut vite = Running::start(npm(&["run", "--silent", "dev"]).env("PULSEBOARD_URL", &url))?;
    match &mut daemon {
        Some(daemon) => wait(&stop, &mut [&mut vite, &mut daemon.running]),
        None => wait(&stop, &mut [&mut vite]),
    }
    Ok(ExitCode::SUCCESS)
}
