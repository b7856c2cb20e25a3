//! The `pulseboard` binary: reads the command line and hands over to the library.
//!
//! Decides nothing itself but exit codes: 0 done, 1 failed, 2 usage.

use std::process::ExitCode;

use clap::Parser as _;
use pulseboard_tui::cli::Cli;
use pulseboard_tui::target::TargetError;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match pulseboard_tui::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<TargetError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
