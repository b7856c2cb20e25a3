//! One window as it is shown: its numbers, its past, and the scale of each chart. Pure.

use std::sync::Arc;

use pulseboard::wire::server::Aggregate;

use super::scale::Scale;
use super::series::{Sample, Series};
use crate::event::Frame;

/// Ticks a chart looks back: five minutes.
pub const SPAN_TICKS: i64 = 300;

/// What a chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Events a second.
    Events,
    /// Distinct users.
    Users,
    /// Errors per event, percent.
    Errors,
    /// 95th percentile of latency, ms.
    Latency,
}

impl Measure {
    /// In the order they are drawn.
    pub const ALL: [Self; 4] = [Self::Events, Self::Users, Self::Errors, Self::Latency];

    /// The one after it, around.
    #[must_use]
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// The smallest top of its axis: below it, differences are noise.
    fn floor(self) -> f64 {
        match self {
            Self::Events | Self::Errors => 1.0,
            Self::Users => 4.0,
            Self::Latency => 10.0,
        }
    }
}

/// A window's numbers, past and scales.
#[derive(Clone, Debug)]
pub struct Picture {
    /// `5s`.
    pub window: Arc<str>,
    /// At its newest tick; none before the first frame.
    pub aggregate: Option<Arc<Aggregate>>,
    /// Its past.
    pub series: Series,
    scales: [Scale; 4],
    seconds: f64,
}

impl Picture {
    /// An empty one.
    pub fn new(window: Arc<str>) -> Self {
        let seconds = length_secs(&window).unwrap_or(1.0);
        let scales = Measure::ALL.map(|measure| Scale::new(measure.floor()));
        Self { window, aggregate: None, series: Series::default(), scales, seconds }
    }

    /// Its newest tick.
    pub fn tick(&self) -> Option<i64> {
        self.aggregate.as_ref().map(|aggregate| aggregate.tick)
    }

    /// Moves to a frame's tick.
    pub fn apply(&mut self, frame: Frame) {
        let Frame { tick, aggregate, history, corrections, .. } = frame;
        if aggregate.to > aggregate.from {
            self.seconds = (aggregate.to - aggregate.from) as f64 / 1_000.0;
        }
        let first = self.aggregate.is_none() || history.is_some();
        self.series.cut_after(tick);
        if let Some(history) = &history {
            self.series.extend(history);
        }
        if let Some(corrections) = &corrections {
            self.series.correct(corrections);
        }
        self.series.record(tick, &aggregate);
        self.aggregate = Some(Arc::new(aggregate));
        for measure in Measure::ALL {
            let largest = self
                .series
                .recent(tick, SPAN_TICKS)
                .filter_map(|sample| self.value(measure, sample))
                .fold(0.0, f64::max);
            let scale = &mut self.scales[measure as usize];
            if first { scale.reset(largest) } else { scale.follow(largest) }
        }
    }

    /// What a chart of `measure` draws for a sample.
    pub fn value(&self, measure: Measure, sample: Sample) -> Option<f64> {
        match measure {
            Measure::Events => sample.events.map(|events| events as f64 / self.seconds),
            Measure::Users => sample.users.map(|users| users as f64),
            Measure::Errors => sample.error_rate().map(|rate| rate * 100.0),
            Measure::Latency => sample.p95,
        }
    }

    /// The vertical scale of a chart.
    pub fn scale(&self, measure: Measure) -> Scale {
        self.scales[measure as usize]
    }

    /// The window's length, seconds.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Whether no event was ever counted here, as far as anybody told.
    pub fn never_counted(&self) -> bool {
        let Some(aggregate) = &self.aggregate else { return false };
        aggregate.last_event_at.is_none()
            && aggregate.events == 0
            && self
                .series
                .recent(aggregate.tick, SPAN_TICKS)
                .all(|sample| sample.events.unwrap_or(0) == 0)
    }
}

/// `5s`, `5m`, `1h` in seconds.
fn length_secs(window: &str) -> Option<f64> {
    let (digits, unit) = window.split_at_checked(window.len().checked_sub(1)?)?;
    let count: u32 = digits.parse().ok()?;
    let unit = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return None,
    };
    (count > 0).then(|| f64::from(count) * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_says_its_length() {
        assert_eq!(length_secs("5s"), Some(5.0));
        assert_eq!(length_secs("1m"), Some(60.0));
        for bad in ["", "s", "0s", "5x", "s5", "é"] {
            assert_eq!(length_secs(bad), None, "{bad}");
        }
    }
}
