//! `pulseboard load`: sends made-up traffic and measures how the daemon takes it.
//!
//! A pace makes what is due, or every sender its own as fast as acknowledgements come; connections
//! or sockets send; a summary says what was achieved. Events carry ids, so whatever is sent again
//! after a lost connection counts once.

mod histogram;
mod publisher;
mod rest;
mod stats;
mod supply;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use self::publisher::Publisher;
use self::rest::Poster;
use self::stats::{Counts, Stats, Summary};
use self::supply::{Joint, Press, Supply};
use crate::commands::progress::Progress;
use crate::commands::say;
use crate::commands::stop::Stop;
use crate::commands::traffic::{Generator, Profile};
use crate::commands::waiting::Waiting;
use crate::target::Target;

/// How long a daemon may be away or busy before the load gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long answers are waited for after the end.
const LAST_WORDS: Duration = Duration::from_secs(5);
const DURATION: Duration = Duration::from_secs(30);
/// The largest frame a daemon takes is 1 MiB; an event is under 300 bytes.
const FRAME_EVENTS_MAX: u32 = 3_000;

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
    /// How events travel: POST /api/events, or publish frames on /ws
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
    /// Make the same traffic again, ids included: a second time, all are duplicates
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

/// How events travel: POST /api/events, or publish frames on the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs, reason = "a variant's documentation would double the length of --help")]
pub enum Via {
    #[default]
    Rest,
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

impl Via {
    fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Ws => "ws",
        }
    }
}

/// Sends traffic until the time is over or it is asked to stop, and prints the summary.
pub async fn run(args: Args, target: &Target) -> anyhow::Result<ExitCode> {
    let batch = args.batch.unwrap_or(match args.via {
        Via::Rest => 1_000,
        Via::Ws => 100,
    });
    if args.via == Via::Ws && batch > FRAME_EVENTS_MAX {
        bail!("--batch {batch} makes frames over 1 MiB; over ws it is at most {FRAME_EVENTS_MAX}");
    }
    let duration = args.duration.or((!args.story).then_some(DURATION));
    let senders = connect(&args, target).await?;

    let stats = Arc::new(Stats::default());
    let progress = Arc::new(match duration {
        Some(duration) => Progress::of(duration.as_millis() as u64, args.json),
        None => Progress::endless(args.json),
    });
    let waiting = Waiting::new(Arc::clone(&progress));
    let (end, ended) = watch::channel(false);
    let supplies = supplies(&args, batch, &Stopped(ended.clone()));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (sender, supply) in senders.into_iter().zip(supplies) {
        let (stats, stopped) = (Arc::clone(&stats), Stopped(ended.clone()));
        let waiting = waiting.clone();
        tasks.spawn(async move {
            match sender {
                Sender::Poster(poster) => poster.run(supply, stats, stopped, waiting).await,
                Sender::Publisher(publisher) => {
                    publisher.run(supply, stats, stopped, waiting).await
                }
            }
        });
    }
    let result = watch_over(&mut tasks, &stats, duration, &progress).await;
    let took = began.elapsed();
    end.send_replace(true);
    // Senders end when their last answer is there.
    let mut result = result;
    while let Some(ended) = tasks.join_next().await {
        result = result.and(ended.context("a sending task failed")?);
    }

    let counts = stats.now();
    let summary = Summary::new(&args, batch, &counts, took);
    if args.json {
        say::line(format_args!("{}", serde_json::to_string(&summary)?));
    } else if result.is_ok() || counts.requests > 0 {
        for line in summary.sentences(&args, &counts) {
            say::line(format_args!("{line}"));
        }
    }
    result?;
    let all_refused = counts.accepted + counts.duplicates == 0 && counts.rejected > 0;
    Ok(if all_refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

enum Sender {
    Poster(Box<Poster>),
    Publisher(Box<Publisher>),
}

async fn connect(args: &Args, target: &Target) -> anyhow::Result<Vec<Sender>> {
    let mut senders = Vec::with_capacity(args.connections as usize);
    for _ in 0..args.connections {
        senders.push(match args.via {
            Via::Rest => Sender::Poster(Box::new(Poster::connect(target).await?)),
            Via::Ws => Sender::Publisher(Box::new(Publisher::connect(target).await?)),
        });
    }
    Ok(senders)
}

/// A supply for each connection.
fn supplies(args: &Args, batch: u32, stopped: &Stopped) -> Vec<Supply> {
    let seed = args.seed.unwrap_or_else(rand::random);
    let profile = Profile {
        users: args.users,
        routes: args.routes,
        error_rate: args.error_rate,
        story: args.story,
    };
    let joint = match args.via {
        Via::Rest => Joint::LineFeed,
        Via::Ws => Joint::Comma,
    };
    match args.rate {
        Rate::Max => (0..args.connections)
            .map(|number| {
                // Far apart, so that ids of one never meet those of another.
                let seed = seed.wrapping_add(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let press = Press::new(seed, profile, batch, joint, args.connections);
                Supply::Press(Box::new(press))
            })
            .collect(),
        Rate::PerSecond(rate) => {
            let generator = Generator::new(seed, profile);
            let pace = supply::pace(generator, rate, args.story, batch, joint, stopped.clone());
            (0..args.connections).map(|_| Supply::Pace(pace.clone())).collect()
        }
    }
}

/// Shows progress until the time is over, someone asks to stop, or a sender fails.
async fn watch_over(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    stats: &Stats,
    duration: Option<Duration>,
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut stop = Stop::on_signal();
    let began = Instant::now();
    let mut steps = interval(Duration::from_millis(500));
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let over = async {
        match duration {
            Some(duration) => sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let (mut before, mut before_at) = (0, began);
    let result = loop {
        tokio::select! {
            biased;
            () = stop.asked() => break Ok(()),
            () = &mut over => break Ok(()),
            Some(ended) = tasks.join_next() => break ended.context("a sending task failed")?,
            _ = steps.tick() => {
                let counts = stats.now();
                let now = Instant::now();
                let secs = (now - before_at).as_secs_f64().max(0.001);
                let rate = (counts.accepted - before) as f64 / secs;
                (before, before_at) = (counts.accepted, now);
                progress.set((now - began).as_millis() as u64, words(&counts, rate));
            }
        }
    };
    progress.clear();
    result
}

fn words(counts: &Counts, rate: f64) -> String {
    let mut text = format!("{} events/s", say::count(rate as u64));
    if let Some(p95_ms) = counts.acks.quantile_ms(0.95) {
        text = format!("{text}, ack p95 {}", say::millis(p95_ms));
    }
    if counts.rejected > 0 {
        text = format!("{text}, {} rejected", say::count(counts.rejected));
    }
    text
}

/// The end of the load, as its tasks see it.
#[derive(Clone)]
struct Stopped(watch::Receiver<bool>);

impl Stopped {
    fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    async fn wait(&mut self) {
        // A sender that is gone means the end as well.
        let _ = self.0.wait_for(|ended| *ended).await;
    }

    /// Returns some time after the end.
    async fn wait_longer(&mut self, longer: Duration) {
        self.wait().await;
        sleep(longer).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_durations_are_read_as_people_write_them() {
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!("0".parse(), Ok(Rate::Max));
        assert_eq!("50,000".parse(), Ok(Rate::PerSecond(50_000.0)));
        assert!("-1".parse::<Rate>().is_err() && "fast".parse::<Rate>().is_err());
        let durations = ["30s", "500ms", "5m", "1h", "2"].map(|text| parse_duration(text).unwrap());
        assert_eq!(
            durations.map(|time| time.as_millis()),
            [30_000, 500, 300_000, 3_600_000, 2_000]
        );
        for bad in ["0s", "-5s", "soon", "10 parsecs", "", "1e300h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_rate_is_a_share() {
        assert_eq!(parse_share("0.05"), Ok(0.05));
        assert!(parse_share("5").is_err() && parse_share("NaN").is_err());
    }
}
