//! The log: stderr, as text for people or one JSON object a line.
//!
//! Levels say what the operator must do: error, act; warn, look; info, what the daemon did; debug
//! and trace, for whoever looks for a fault. Our own modules log at the level that was set; libraries
//! only what an operator must see. No line holds a token, a secret or a query. Started once, by
//! `main`; [`bounded`] keeps floods short.

mod bounded;

use std::io::IsTerminal as _;

use pulseboardd::config::{Log, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{FilterExt as _, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use bounded::Bounded;

/// Starts logging; whatever is logged before is lost.
pub(crate) fn start(settings: &Log) {
    let level = match settings.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("pulseboard", level)
        .with_target("pulseboardd", level);
    let bounded = Bounded::default();
    let filter = targets.and(bounded.clone());
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry();
    match settings.format {
        LogFormat::Json => {
            registry.with(layer.json().flatten_event(true).with_filter(filter)).init();
        }
        LogFormat::Text => {
            let coloured =
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry.with(layer.with_ansi(coloured).with_target(false).with_filter(filter)).init();
        }
    }
    if let Err(error) = bounded.start() {
        tracing::warn!(%error, "the log's thread could not be started: floods stay cut for good");
    }
}
