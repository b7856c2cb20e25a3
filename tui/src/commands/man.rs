//! `pulseboard man`: prints the manual page, or writes one for every command into a folder, from the
//! one definition of the command line. Talks to no daemon.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::commands::say;

const EXAMPLES: &str = "\
Examples:
  pulseboard man | man -l -
  pulseboard man replay | man -l -
  pulseboard man --dir ~/.local/share/man/man1";

/// What `man` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The command whose page to print; the whole program's without
    #[arg(conflicts_with = "dir")]
    pub command: Option<String>,
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Prints one page on stdout, or writes all of them.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut program = Cli::command();
    program.build();
    if let Some(dir) = args.dir {
        return write_all(&program, &dir);
    }
    let command = match &args.command {
        Some(name) => program.find_subcommand(name).with_context(|| {
            format!("there is no command \"{name}\"; pulseboard --help lists them")
        })?,
        None => &program,
    };
    say::stdout_bytes(&page(command)?);
    Ok(ExitCode::SUCCESS)
}

fn write_all(program: &clap::Command, dir: &Path) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let commands = program.get_subcommands().filter(|command| command.get_name() != "help");
    for command in std::iter::once(program).chain(commands) {
        let path = dir.join(format!("{}.1", file_stem(command)));
        std::fs::write(&path, page(command)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        say::line(format_args!("wrote {}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// `pulseboard`, `pulseboard-replay`.
fn file_stem(command: &clap::Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: &clap::Command) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone().disable_help_subcommand(true)).render(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let mut program = Cli::command();
        program.build();
        let replay = program.find_subcommand("replay").unwrap();
        assert_eq!(file_stem(replay), "pulseboard-replay");
        let page = String::from_utf8(page(replay).unwrap()).unwrap();
        assert!(page.contains("keep\\-time"), "{page}");
    }
}
