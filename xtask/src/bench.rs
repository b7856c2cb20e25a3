//! `cargo xtask bench`: the benches of the daemon, in release, one after the other.
//!
//! Every figure is a ratio within one run, against a ceiling measured on the same cores, so that it
//! means the same on another machine; the machine is named all the same.

use std::fs;
use std::process::ExitCode;
use std::thread;

use crate::run::{Steps, cargo, plainly};
use crate::{packages, page, workspace};

/// What `bench` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these benches, by the name of their file in daemon/benches
    names: Vec<String>,
}

/// Runs the benches.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    packages::need_compiler()?;
    if packages::need_node().is_ok() {
        page::install()?;
        page::build()?;
    }
    let names = if args.names.is_empty() { all()? } else { args.names.clone() };
    println!("machine: {}", machine());
    let mut steps = Steps::new();
    for name in &names {
        let bench = ["bench", "--quiet", "--package", "pulseboardd", "--bench", name];
        steps.step(name, || plainly(&mut cargo(&bench)));
    }
    Ok(steps.close())
}

/// Every file in daemon/benches.
fn all() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace::root().join("daemon/benches"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Cores, memory and processor.
fn machine() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name))?.to_owned();
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let kib = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kib: f64 = kib.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0.0);
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    format!("{cores} cores, {:.1} GiB of memory, {model}", kib / 1_048_576.0)
}
