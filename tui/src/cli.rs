//! What `pulseboard` understands on its command line. One definition drives the parser, the help,
//! the completions and the man page; it does nothing itself.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use crate::commands;

const EXAMPLES: &str = "\
Examples:
  pulseboard                                     watch the daemon on this machine
  pulseboard --url http://edge-1:3000            watch another one
  pulseboard --once --json --window 60s          one snapshot for a script
  pulseboard replay access.log --speed max       send an access log through it";

/// Where the options stand that say which daemon: after a command's own.
const CONNECTION: usize = 100;

/// Watch a Pulseboard daemon live, or work with it from the command line.
#[derive(Debug, Parser)]
#[command(
    name = "pulseboard",
    version,
    after_help = EXAMPLES,
    max_term_width = 100,
    disable_help_flag = true
)]
pub struct Cli {
    /// Where the daemon is, or PULSEBOARD_URL
    #[arg(
        long,
        global = true,
        env = "PULSEBOARD_URL",
        hide_env = true,
        display_order = CONNECTION,
        default_value = "http://127.0.0.1:3000",
        value_name = "URL"
    )]
    pub url: String,

    /// The token; rather set PULSEBOARD_TOKEN, since `ps` shows this to everyone
    #[arg(
        long,
        global = true,
        env = "PULSEBOARD_TOKEN",
        hide_env = true,
        display_order = CONNECTION + 1,
        value_name = "JWT"
    )]
    pub token: Option<String>,

    /// A file that holds it, read anew each time, or PULSEBOARD_TOKEN_FILE
    #[arg(
        long,
        global = true,
        env = "PULSEBOARD_TOKEN_FILE",
        hide_env = true,
        display_order = CONNECTION + 2,
        value_name = "FILE"
    )]
    pub token_file: Option<PathBuf>,

    /// Authorities to trust over https (PEM file), or PULSEBOARD_CA_FILE
    #[arg(
        long,
        global = true,
        env = "PULSEBOARD_CA_FILE",
        hide_env = true,
        display_order = CONNECTION + 3,
        value_name = "FILE"
    )]
    pub ca_file: Option<PathBuf>,

    /// Print one snapshot and exit
    #[arg(long)]
    pub once: bool,

    /// With --once: print it as JSON, as the daemon sent it
    #[arg(long, requires = "once")]
    pub json: bool,

    /// The window to start with, or to print
    #[arg(long, default_value = "5s", value_name = "WINDOW")]
    pub window: String,

    /// How charts are drawn
    #[arg(long, value_enum, value_name = "STYLE")]
    pub charts: Option<Charts>,

    /// The colours
    #[arg(long, value_enum, value_name = "THEME")]
    pub theme: Option<ThemeName>,

    /// Print help
    // The short form for both, so that it fits a screen.
    #[arg(short, long, global = true, action = ArgAction::HelpShort)]
    pub help: Option<bool>,

    /// What to do instead of watching
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands beside the dashboard.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send realistic traffic and measure how it is taken
    Load(commands::load::Args),
    /// Send an access log or a file of events
    Replay(commands::replay::Args),
    /// Write stored events to a file or a pipe
    Export(commands::export::Args),
    /// Mint a token with the daemon's secret
    Token(commands::token::Args),
    /// Print a shell's completions
    Completions(commands::completions::Args),
    /// Print the manual page
    Man(commands::man::Args),
}

/// How charts are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Charts {
    /// Eighths of a cell: works in every font
    Block,
    /// Eight dots a cell: finer, needs braille in the font
    Braille,
}

/// A set of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ThemeName {
    /// Light on dark
    Dark,
    /// Dark on light
    Light,
    /// The strongest colours on black
    Contrast,
    /// The terminal's own 16 colours
    Terminal,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_fits_a_screen_and_shows_an_example() {
        for arguments in [vec!["pulseboard", "--help"], vec!["pulseboard", "-h"]] {
            let help = Cli::try_parse_from(arguments).unwrap_err().to_string();
            assert!(help.lines().count() <= 32, "{help}");
            assert!(help.contains("Examples:"));
        }
    }

    #[test]
    fn json_without_once_is_a_usage_error() {
        let error = Cli::try_parse_from(["pulseboard", "--json"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn the_address_may_follow_a_subcommand() {
        let cli = Cli::try_parse_from(["pulseboard", "load", "--url", "http://h:1"]).unwrap();
        assert_eq!(cli.url, "http://h:1");
    }
}
