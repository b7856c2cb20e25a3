//! `pulseboard load`.

use std::process::ExitCode;
use std::time::Duration;

use crate::target::Target;

const EXAMPLES: &str = "\
Examples:
  pulseboard load                                       1,000 events/s for 30 s
  pulseboard load --rate max --connections 8            as fast as the daemon acknowledges
  pulseboard load --via ws --batch 1 --connections 32   one event a frame over 32 sockets
  pulseboard load --story                               a demonstration, until Ctrl-C";

/// What `load` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Events a second; max (or 0) is as fast as the daemon acknowledges
    #[arg(
        long,
        value_name = "N|max",
        default_value = "1000",
        default_value_if("story", "true", "300")
    )]
    pub rate: Rate,
    /// How long, like 30s, 500ms, 5m or 1h; with --story until stopped
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// How events travel: POST /api/events, or publish frames on the socket
    #[arg(long, value_enum, default_value_t)]
    pub via: Via,
    /// Events a request or a frame, at most [default: 1000 over rest, 100 over ws]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: Option<u32>,
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// Distinct visitors
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub users: u32,
    /// Distinct routes
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub routes: u32,
    /// Share of events that are errors, 0 to 1
    #[arg(long, value_name = "F", default_value_t = 0.01, value_parser = parse_share)]
    pub error_rate: f64,
    /// A day in eight minutes, bursts, and an error spell on one route every three minutes
    #[arg(long)]
    pub story: bool,
    /// Make the same traffic again
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Print the summary as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How many events a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// As fast as acknowledgements come.
    Max,
    /// So many events a second.
    PerSecond(f64),
}

impl std::str::FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.replace([',', '_'], "").parse::<f64>() {
            _ if text == "max" => Ok(Self::Max),
            Ok(0.0) => Ok(Self::Max),
            Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(Self::PerSecond(rate)),
            _ => Err("events a second, or max"),
        }
    }
}

/// How events travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Via {
    /// POST /api/events
    #[default]
    Rest,
    /// publish frames on /ws
    Ws,
}

/// Reads `30s`, `500ms`, `5m`, `1h`; a bare number is seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_secs = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        unit => return Err(format!("\"{unit}\" is not a unit; write 500ms, 30s, 5m or 1h")),
    };
    let number: f64 =
        digits.parse().map_err(|_| "write it like 500ms, 30s, 5m or 1h".to_owned())?;
    Duration::try_from_secs_f64(number * unit_secs)
        .ok()
        .filter(|time| !time.is_zero() && time.as_secs() <= 365 * 86_400)
        .ok_or_else(|| "more than nothing, and at most a year".to_owned())
}

fn parse_share(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or("a number from 0 to 1")
}

/// Runs it.
#[allow(clippy::unused_async, reason = "the shape every command has")]
pub async fn run(_args: Args, _target: &Target) -> anyhow::Result<ExitCode> {
    anyhow::bail!("load is not in this build")
}
