//! `pulseboard completions SHELL`: prints what a shell needs to complete our commands, from the one
//! definition of the command line. Talks to no daemon.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::commands::say;

const EXAMPLES: &str = "\
Examples:
  pulseboard completions bash > ~/.local/share/bash-completion/completions/pulseboard
  pulseboard completions zsh > ~/.zfunc/_pulseboard
  pulseboard completions fish > ~/.config/fish/completions/pulseboard.fish";

/// What `completions` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell to print them for
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script on stdout.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pulseboard", &mut script);
    say::stdout_bytes(&script);
    Ok(ExitCode::SUCCESS)
}
