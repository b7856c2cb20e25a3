//! A bound on the log: so many lines from one place in the code in ten seconds, the rest counted.
//!
//! What clients do can be logged without a thought about floods: an attacker fills no disk, and what
//! happens next to it is still found. Places are as many as the code has; a line held back costs
//! one short lock. The counts are said when the interval turns.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// How long an interval is.
const INTERVAL: Duration = Duration::from_secs(10);
/// Lines of one place in an interval, at the levels an operator reads.
const LINES_MAX: u64 = 50;
/// The same at debug and trace, which somebody asked for.
const LINES_DEBUG_MAX: u64 = 2_000;

/// The filter; clones share their counts.
#[derive(Clone, Default)]
pub(super) struct Bounded {
    places: Arc<Mutex<HashMap<Identifier, Place>>>,
}

struct Place {
    metadata: &'static Metadata<'static>,
    lines: u64,
}

/// Lines of one place that were not written.
struct HeldBack {
    metadata: &'static Metadata<'static>,
    lines: u64,
}

impl Bounded {
    /// Turns the interval for as long as the process lives.
    pub(super) fn start(&self) -> std::io::Result<()> {
        let this = self.clone();
        let turn = move || {
            loop {
                std::thread::sleep(INTERVAL);
                for held_back in this.turn() {
                    held_back.say();
                }
            }
        };
        std::thread::Builder::new().name("log".into()).spawn(turn).map(drop)
    }

    /// Begins the next interval; what the one before held back.
    fn turn(&self) -> Vec<HeldBack> {
        let mut places = self.places.lock();
        let held_back = places.drain().filter_map(|(_, place)| {
            let lines = place.lines.saturating_sub(lines_max(*place.metadata.level()));
            (lines > 0).then_some(HeldBack { metadata: place.metadata, lines })
        });
        held_back.collect()
    }
}

fn lines_max(level: Level) -> u64 {
    if level <= Level::INFO { LINES_MAX } else { LINES_DEBUG_MAX }
}

impl HeldBack {
    fn say(&self) {
        let place = format_args!(
            "{}:{}",
            self.metadata.file().unwrap_or_else(|| self.metadata.target()),
            self.metadata.line().unwrap_or(0)
        );
        let (lines, secs) = (self.lines, INTERVAL.as_secs());
        match *self.metadata.level() {
            Level::ERROR => tracing::error!(%place, lines, secs, "more of these were held back"),
            Level::WARN => tracing::warn!(%place, lines, secs, "more of these were held back"),
            Level::INFO => tracing::info!(%place, lines, secs, "more of these were held back"),
            _ => tracing::debug!(%place, lines, secs, "more of these were held back"),
        }
    }
}

impl<S: Subscriber> Filter<S> for Bounded {
    fn enabled(&self, _metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _context: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let mut places = self.places.lock();
        let place = places.entry(metadata.callsite()).or_insert(Place { metadata, lines: 0 });
        place.lines += 1;
        place.lines <= lines_max(*metadata.level())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tracing_subscriber::Layer as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl Said {
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(std::mem::take(&mut *self.0.lock())).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_flood_from_one_place_is_cut_counted_and_hides_nothing_else() {
        let (bounded, said) = (Bounded::default(), Said::default());
        let writer = said.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .with_filter(bounded.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let flood = |number: u32| {
                for n in 0..number {
                    tracing::info!(n, "a token was refused");
                }
            };
            flood(1_000);
            tracing::error!("the disk is full");
            let lines = said.lines();
            assert_eq!(lines.len(), 51);
            assert!(lines[50].ends_with("the disk is full"), "{}", lines[50]);

            let held_back = bounded.turn();
            assert_eq!(held_back.len(), 1);
            held_back[0].say();
            let lines = said.lines();
            assert_eq!(lines.len(), 1);
            assert!(lines[0].contains("INFO") && lines[0].contains("lines=950"), "{}", lines[0]);
            assert!(lines[0].contains("bounded.rs"), "{}", lines[0]);

            flood(3);
            assert_eq!(said.lines().len(), 3, "the next interval begins anew");
            assert!(bounded.turn().is_empty());
        });
    }
}
