//! Pulseboard's terminal dashboard and command-line tools.
//!
//! [`cli`] says what can be asked for, [`run`] does it: the dashboard, one snapshot, or one of the
//! [`commands`]. Talks to a daemon over its socket and REST alone; never opens its files.

pub mod app;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod connection;
pub mod dial;
pub mod event;
pub mod input;
pub mod once;
pub mod rest;
pub mod socket;
pub mod state;
pub mod target;
pub mod terminal;
pub mod theme;
pub mod tls;
pub mod token;
pub mod view;

use std::process::ExitCode;

use anyhow::Context as _;

use crate::cli::{Cli, Command};
use crate::target::{Target, TargetError};
use crate::token::Source;

/// Does what the command line asks for; the code is the process's.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    runtime.block_on(dispatch(cli))
}

async fn dispatch(mut cli: Cli) -> anyhow::Result<ExitCode> {
    let command = match cli.command.take() {
        // These talk to no daemon.
        Some(Command::Completions(args)) => return commands::completions::run(&args),
        Some(Command::Man(args)) => return commands::man::run(args),
        Some(Command::Token(args)) => return commands::token::run(args),
        other => other,
    };
    let target = target(&cli)?;
    match command {
        Some(Command::Load(args)) => commands::load::run(args, &target).await,
        Some(Command::Export(args)) => commands::export::run(args, &target).await,
        Some(Command::Replay(args)) => commands::replay::run(args, &target).await,
        Some(Command::Completions(_) | Command::Man(_) | Command::Token(_)) => {
            unreachable!("done above")
        }
        None if cli.once => once::run(&target, &cli.window, cli.json).await,
        None => app::run(target, app::Options::from_cli(&cli)).await,
    }
}

fn target(cli: &Cli) -> Result<Target, TargetError> {
    let token = match (&cli.token, &cli.token_file) {
        (Some(_), Some(_)) => return Err(TargetError::TwoTokens),
        (Some(token), None) => Source::given(token)?,
        (None, Some(path)) => Source::file(path)?,
        (None, None) => Source::None,
    };
    let target = Target::parse(&cli.url, token)?;
    match &cli.ca_file {
        Some(path) => target.trusting(path),
        None => Ok(target),
    }
}
