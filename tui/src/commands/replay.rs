//! `pulseboard replay FILE`: sends an access log or a file of events through the daemon, line by
//! line, and says what became of them.
//!
//! A thread reads, four connections send, at the pace asked for. Every event's id follows from its
//! line, so a replay that was cut off or repeated counts nothing twice. Never changes the file.

mod item;
mod lines;
mod reader;
mod sender;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, bail};
use pulseboard::accesslog::Format;
use tokio::sync::mpsc;

use self::item::Recipe;
use self::lines::Lines;
use self::reader::Head;
use self::sender::Sender;
use self::tally::Tally;
use crate::clock;
use crate::commands::progress::Progress;
use crate::commands::say;
use crate::commands::stop::Stop;
use crate::target::Target;

/// Batches read ahead; when it is full the reading thread waits.
const BATCHES_AHEAD: usize = 8;

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

/// Replays the file; done when every line that could be read has a verdict.
pub async fn run(args: Args, target: &Target) -> anyhow::Result<ExitCode> {
    let name = if args.file.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        args.file.display().to_string()
    };
    let path = if args.keep_time { "/api/events?import=true" } else { "/api/events" };
    let senders = Sender::connect(target, path).await?;

    let file = args.file.clone();
    let choice = args.format;
    let opened = tokio::task::spawn_blocking(move || {
        let mut lines = Lines::open(&file)?;
        let (head, format) = match choice {
            FormatChoice::Auto => reader::look(&mut lines)?,
            FormatChoice::Combined => (Head::none(), Some(Format::Combined)),
            FormatChoice::Common => (Head::none(), Some(Format::Common)),
            FormatChoice::Ndjson => (Head::none(), Some(Format::Ndjson)),
        };
        Ok::<_, std::io::Error>((lines, head, format))
    });
    let (lines, head, format) = opened.await?.with_context(|| format!("cannot read {name}"))?;
    let Some(format) = format else {
        let Some((number, trouble)) = head.first_trouble() else {
            say::line(format_args!("{name}: there is no line in it: nothing was sent"));
            return Ok(ExitCode::SUCCESS);
        };
        bail!(
            "{name} is neither an access log nor events, one JSON object a line (line {number}: \
             {trouble}); if it is all the same, name its format with --format"
        );
    };

    let recipe = Recipe {
        ndjson: format == Format::Ndjson,
        keep_time: args.keep_time,
        salt: args.new_ids.then(rand::random),
    };
    let speed = match args.speed {
        Speed::Max => None,
        Speed::Times(times) => Some(times),
    };
    let progress = match lines.bytes_total() {
        Some(bytes) => Progress::of(bytes, false),
        None => Progress::endless(false),
    };
    let stop = Stop::on_signal();
    let tally = Arc::new(Mutex::new(Tally::default()));
    let (batches, queue) = mpsc::channel(BATCHES_AHEAD);
    let began = clock::now();
    // A plain thread: one that waits for standard input must not keep the process from ending.
    std::thread::Builder::new()
        .name("replay-reader".to_owned())
        .spawn(move || reader::read(lines, head, recipe, speed, &batches))
        .context("cannot start the reading thread")?;
    let progress = Arc::new(progress);
    let result = sender::send_all(
        senders,
        queue,
        speed,
        Arc::clone(&tally),
        Arc::clone(&progress),
        stop.clone(),
    )
    .await;
    progress.clear();

    let tally = tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if result.is_ok() || tally.lines() > 0 {
        say::line(format_args!("{}", tally.sentence(began.elapsed(), args.new_ids)));
    }
    if let Err(error) = result {
        return Err(error.context(format!(
            "{name} was not sent to its end; run the same command again to send what is missing, \
             nothing counts twice"
        )));
    }
    if stop.is_asked() {
        say::aside(format_args!(
            "stopped before the end; run the same command again to send the rest, nothing counts \
             twice"
        ));
        return Ok(ExitCode::FAILURE);
    }
    if tally.accepted > 0 {
        say::line(format_args!("{}", next_step(args.keep_time, tally.span_ms, target)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Where to look now; `span_ms` is that of the lines' own times.
fn next_step(keep_time: bool, span_ms: Option<(i64, i64)>, target: &Target) -> String {
    let at = |time_ms| jiff::Timestamp::from_millisecond(time_ms).ok();
    let span = span_ms.and_then(|(from_ms, to_ms)| Some((at(from_ms)?, at(to_ms + 1_000)?)));
    match span {
        Some((from, to)) if keep_time => {
            let path = format!("/api/history?from={from:.0}&to={to:.0}&step=1d");
            format!("they stand in history at their own dates: {}", target.http(&path))
        }
        _ => format!("they count now: `pulseboard` shows them live, and so does {target}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_number_above_zero_or_max() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("10".parse(), Ok(Speed::Times(10.0)));
        assert_eq!("0.5x".parse(), Ok(Speed::Times(0.5)));
        for bad in ["0", "-1", "fast", "inf", "NaN", ""] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
    }
}
