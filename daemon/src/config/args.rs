//! The command line of `pulseboardd`. Its flags come from the registry, so that each key is
//! described once.
//!
//! Parses and decides nothing: values are checked with those of the other layers.

use std::env;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, ValueHint, value_parser};

use super::{Given, keys};

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run the daemon.
    Run,
    /// Say whether it would start.
    Check,
    /// Show what holds.
    Print,
    /// Make a secret and the first tokens.
    InitAuth,
    /// Make what is needed in the shared store.
    SetupStore,
    /// Ask the daemon that runs whether it lives.
    Health,
}

/// Describes the command line.
pub fn command() -> Command {
    let flags = keys::all().filter_map(|key| key.flag.map(|(flag, value)| (key, flag, value)));
    let settings = flags.map(|(key, flag, value)| {
        let help = key.docs.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        let help = if key.default.is_empty() {
            help
        } else {
            format!("{help} [default: {}]", key.default)
        };
        let help = match key.later {
            Some(_) => format!("{help} (not in this build yet)"),
            None => help,
        };
        Arg::new(flag).long(flag).value_name(value).help(help)
    });
    Command::new("pulseboardd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Takes events in, keeps rolling windows of them, and shows them live")
        .after_help(
            "Settings come from the file, then PULSEBOARD_SERVER__BIND and the like, then flags.\n\
             Example: pulseboardd --bind 127.0.0.1:8080 --data-dir /var/lib/pulseboard",
        )
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::FilePath)
                .help(
                    "Settings [default: ./pulseboard.toml, else /etc/pulseboard/pulseboard.toml]",
                ),
        )
        .args(settings)
        .arg(
            Arg::new("check-config")
                .long("check-config")
                .action(ArgAction::SetTrue)
                .help("Say whether the daemon would start with these settings, and exit"),
        )
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .conflicts_with("check-config")
                .help("Show every setting and where it came from, and exit"),
        )
        .arg(
            Arg::new("init-auth")
                .long("init-auth")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["check-config", "print-config"])
                .help("Make a secret, print a read and an ingest token, and exit"),
        )
        .arg(
            Arg::new("setup-store")
                .long("setup-store")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["check-config", "print-config", "init-auth"])
                .help("Make collections, indexes and validators in MongoDB, and exit: 0 or 1"),
        )
        .arg(
            Arg::new("health")
                .long("health")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["check-config", "print-config", "init-auth", "setup-store"])
                .help("Ask the daemon at this address whether it lives, and exit: 0 or 1"),
        )
}

/// Gathers what this process was given: its arguments, its environment, where files usually are.
/// Leaves with exit code 2 on a wrong argument, with 0 after `--help` and `--version`.
pub fn given() -> (Given, Action) {
    let matches = command().get_matches();
    let flags = keys::all().filter_map(|key| {
        let (flag, _) = key.flag?;
        Some((key.name, flag, matches.get_one::<String>(flag)?.clone()))
    });
    let one_off = [
        ("check-config", Action::Check),
        ("print-config", Action::Print),
        ("init-auth", Action::InitAuth),
        ("setup-store", Action::SetupStore),
        ("health", Action::Health),
    ];
    let asked = one_off.into_iter().find(|(flag, _)| matches.get_flag(flag));
    let action = asked.map_or(Action::Run, |(_, action)| action);
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    let given = Given {
        config: matches.get_one::<PathBuf>("config").cloned(),
        usual_files: vec!["./pulseboard.toml".into(), "/etc/pulseboard/pulseboard.toml".into()],
        environment: env::vars_os()
            .map(|(name, value)| (text(name), text(value)))
            .filter(|(name, _)| name.starts_with("PULSEBOARD_"))
            .collect(),
        state_directory: env::var_os("STATE_DIRECTORY").map(text),
        credentials_directory: env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        flags: flags.collect(),
    };
    (given, action)
}
