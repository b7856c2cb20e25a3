//! The developer's own commands: `cargo xtask demo`, `cluster`, `test`, `bench`, `web`.
//!
//! Ordinary Rust instead of scripts. Knows the product's programs by their command lines alone and
//! links none of it. What it keeps true about the code itself is in `tests/tidy.rs`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod children;
mod cluster;
mod demo;
mod packages;
mod page;
mod run;
mod servers;
mod service;
mod test;
mod tools;
mod workspace;

/// Work on Pulseboard.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything, start the daemon with live demo traffic, open the dashboards
    Demo(demo::Args),
    /// Three daemons, a replica set, Redis, a balancer and traffic, on this machine, to try failures on
    Cluster(cluster::Args),
    /// Everything that must hold before a change goes in; what `.ci/run` runs
    Test,
    /// Fetch the servers and clients that tests use, and print where they are, for a shell:
    /// eval "$(cargo xtask tools)"
    Tools,
    /// Measure in release: ratios against ceilings, on this machine
    Bench(bench::Args),
    /// Work on the browser dashboard: Vite with a proxy to a daemon
    Web(page::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Cluster(args) => cluster::run(&args),
        Command::Test => test::run(),
        Command::Tools => Ok(tools::print()),
        Command::Bench(args) => bench::run(&args),
        Command::Web(args) => page::develop(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
