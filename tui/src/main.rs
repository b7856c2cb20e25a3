//! The `pulseboard` binary: reads the command line and hands over to the library.
//!
//! Decides nothing itself but exit codes: 0 done, 1 failed, 2 usage.

use std::process::ExitCode;

use clap::Parser as _;
use pulseboard_tui::cli::Cli;
use pulseboard_tui::commands::token::SecretError;
use pulseboard_tui::target::TargetError;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match pulseboard_tui::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            let is_usage = error.is::<TargetError>() || error.is::<SecretError>();
            if is_usage { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
