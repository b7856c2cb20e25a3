//! `pulseboard replay`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::target::Target;

const EXAMPLES: &str = "\
Examples:
  pulseboard replay access.log                      as fast as the daemon acknowledges
  pulseboard replay access.log.gz --speed 10        ten times the pace of the log
  tail -F access.log | pulseboard replay -          follow a log as it grows
  pulseboard replay old.log --keep-time             into stored history, at its own dates";

/// What `replay` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// An access log or a file of events, gzip or not; - is standard input
    #[arg(value_name = "FILE|-")]
    pub file: PathBuf,
    /// What the lines are
    #[arg(long, value_enum, default_value_t, value_name = "auto|combined|common|ndjson")]
    pub format: FormatChoice,
    /// How many times the log's own pace, or max: as fast as the daemon acknowledges
    #[arg(long, default_value = "max", value_name = "N|max")]
    pub speed: Speed,
    /// Keep the lines' own times: they land in stored history, not in the live windows
    #[arg(long)]
    pub keep_time: bool,
    /// Count lines that were replayed before once more
    #[arg(long)]
    pub new_ids: bool,
}

/// What the lines are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs, reason = "the names are the formats' own")]
pub enum FormatChoice {
    #[default]
    Auto,
    Combined,
    Common,
    Ndjson,
}

/// How fast to go through a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as the daemon acknowledges.
    Max,
    /// So many times the pace of the lines' own times.
    Times(f64),
}

impl std::str::FromStr for Speed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.trim_end_matches(['x', 'X']).parse::<f64>() {
            Ok(times) if times.is_finite() && times > 0.0 => Ok(Self::Times(times)),
            _ => Err("a number above 0, or max"),
        }
    }
}

/// Runs it.
#[allow(clippy::unused_async, reason = "the shape every command has")]
pub async fn run(_args: Args, _target: &Target) -> anyhow::Result<ExitCode> {
    anyhow::bail!("replay is not in this build")
}
