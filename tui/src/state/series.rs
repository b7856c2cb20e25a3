//! A window's past as the charts need it: one sample a tick, dense, gaps included. Pure; fed by
//! frames, history and corrections, read by the view.

use std::collections::VecDeque;

use pulseboard::wire::server::{Aggregate, History, Nodes};

/// Ticks held; the oldest go. As many as the daemon sends after an absence.
pub const TICKS_MAX: usize = 3_600;

/// What a window held at a tick. `None` where there was nothing to measure, or nobody was up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Events in the window.
    pub events: Option<u64>,
    /// Distinct users.
    pub users: Option<u64>,
    /// Errors.
    pub errors: Option<u64>,
    /// 95th percentile of latency, ms.
    pub p95: Option<f64>,
    /// Of how many instances it is, where somebody's counts are missing.
    pub part: Option<Nodes>,
}

impl Sample {
    /// Errors per event, 0..1; none without events.
    pub fn error_rate(&self) -> Option<f64> {
        let events = self.events.filter(|events| *events > 0)?;
        Some(self.errors? as f64 / events as f64)
    }
}

/// Samples by tick, ascending and without holes: a tick nobody told us of is an empty sample.
#[derive(Clone, Debug, Default)]
pub struct Series {
    first: i64,
    samples: VecDeque<Sample>,
}

impl Series {
    /// The newest tick held.
    pub fn last(&self) -> Option<i64> {
        (!self.samples.is_empty()).then(|| self.first + self.samples.len() as i64 - 1)
    }

    /// The sample of a tick; empty where nothing is known.
    pub fn at(&self, tick: i64) -> Sample {
        usize::try_from(tick - self.first)
            .ok()
            .and_then(|index| self.samples.get(index))
            .copied()
            .unwrap_or_default()
    }

    /// The last `count` samples up to and with `tick`, oldest first.
    pub fn recent(&self, tick: i64, count: i64) -> impl Iterator<Item = Sample> + '_ {
        (tick - count + 1..=tick).map(|tick| self.at(tick))
    }

    /// Forgets ticks after `tick`: the daemon's clock went back, what came after is void.
    pub fn cut_after(&mut self, tick: i64) {
        while self.last().is_some_and(|last| last > tick) {
            self.samples.pop_back();
        }
    }

    /// Takes a frame's own numbers.
    pub fn record(&mut self, tick: i64, aggregate: &Aggregate) {
        let sample = Sample {
            events: Some(aggregate.events),
            users: Some(aggregate.active_users),
            errors: Some(aggregate.errors),
            p95: aggregate.latency_ms.map(|latency| latency.p95),
            part: lacking(aggregate.nodes.reporting, aggregate.nodes.expected),
        };
        self.put(tick, sample);
    }

    /// Takes history, growing to hold it.
    pub fn extend(&mut self, history: &History) {
        for (tick, sample) in columns(history) {
            self.put(tick, sample);
        }
    }

    /// Takes corrections: overwrites ticks held, ignores others.
    pub fn correct(&mut self, corrections: &History) {
        for (tick, sample) in columns(corrections) {
            if let Some(held) = usize::try_from(tick - self.first)
                .ok()
                .and_then(|index| self.samples.get_mut(index))
            {
                *held = sample;
            }
        }
    }

    fn put(&mut self, tick: i64, sample: Sample) {
        let Some(last) = self.last() else {
            self.first = tick;
            self.samples.push_back(sample);
            return;
        };
        if tick - last >= TICKS_MAX as i64 {
            self.samples.clear();
            self.first = tick;
            self.samples.push_back(sample);
            return;
        }
        if tick <= last {
            if let Some(held) = usize::try_from(tick - self.first)
                .ok()
                .and_then(|index| self.samples.get_mut(index))
            {
                *held = sample;
            } else if self.first - tick <= (TICKS_MAX - self.samples.len()) as i64 {
                for _ in tick + 1..self.first {
                    self.samples.push_front(Sample::default());
                }
                self.samples.push_front(sample);
                self.first = tick;
            }
            return;
        }
        for _ in last + 1..tick {
            self.samples.push_back(Sample::default());
        }
        self.samples.push_back(sample);
        while self.samples.len() > TICKS_MAX {
            self.samples.pop_front();
            self.first += 1;
        }
    }
}

/// A history's rows; a column shorter than `tick` counts as empty there.
fn columns(history: &History) -> impl Iterator<Item = (i64, Sample)> + '_ {
    history.tick.iter().enumerate().map(|(row, tick)| {
        let sample = Sample {
            events: history.events.get(row).copied().flatten(),
            users: history.active_users.get(row).copied().flatten(),
            errors: history.errors.get(row).copied().flatten(),
            p95: history.p95.get(row).copied().flatten(),
            part: part(history, row),
        };
        (*tick, sample)
    })
}

/// Who is missing in a history's row. Without the columns nobody is; a row nobody was up for is a
/// gap, which says it already.
fn part(history: &History, row: usize) -> Option<Nodes> {
    history.events.get(row).copied().flatten()?;
    let reporting = history.reporting.get(row).copied().flatten()?;
    lacking(reporting, history.expected.get(row).copied().flatten()?)
}

fn lacking(reporting: u32, expected: u32) -> Option<Nodes> {
    (reporting < expected).then_some(Nodes { reporting, expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(ticks: std::ops::RangeInclusive<i64>, events: u64) -> History {
        let tick: Vec<i64> = ticks.collect();
        History { events: vec![Some(events); tick.len()], tick, ..History::default() }
    }

    fn events(series: &Series, ticks: std::ops::RangeInclusive<i64>) -> Vec<Option<u64>> {
        ticks.map(|tick| series.at(tick).events).collect()
    }

    #[test]
    fn ticks_nobody_told_us_of_stay_gaps() {
        let mut series = Series::default();
        series.extend(&history(10..=11, 5));
        series.extend(&history(14..=14, 7));
        assert_eq!(events(&series, 9..=15), [None, Some(5), Some(5), None, None, Some(7), None]);
    }

    #[test]
    fn corrections_overwrite_what_is_held_and_nothing_else() {
        let mut series = Series::default();
        series.extend(&history(10..=12, 5));
        series.correct(&history(11..=14, 6));
        assert_eq!(events(&series, 10..=14), [Some(5), Some(6), Some(6), None, None]);
        series.correct(&history(1..=2, 6));
        assert_eq!(series.at(1).events, None);
    }

    #[test]
    fn a_tick_that_lacks_an_instance_is_known_until_a_correction_makes_it_whole() {
        const ONE: Option<Nodes> = Some(Nodes { reporting: 1, expected: 3 });
        let mut series = Series::default();
        let mut past = history(10..=13, 5);
        past.events[3] = None;
        past.reporting = vec![Some(3), Some(1), Some(1), None];
        past.expected = vec![Some(3), Some(3), Some(3), None];
        series.extend(&past);
        let parts = |series: &Series| [10, 11, 12, 13].map(|tick| series.at(tick).part);
        assert_eq!(parts(&series), [None, ONE, ONE, None]);
        series.correct(&history(11..=11, 9));
        assert_eq!(parts(&series), [None, None, ONE, None]);
        let lost =
            History { reporting: vec![Some(1)], expected: vec![Some(3)], ..history(10..=10, 2) };
        series.correct(&lost);
        assert_eq!(parts(&series), [ONE, None, ONE, None]);
    }

    #[test]
    fn the_oldest_go_when_it_is_full() {
        let mut series = Series::default();
        series.extend(&history(1..=TICKS_MAX as i64 + 10, 1));
        assert_eq!(series.samples.len(), TICKS_MAX);
        assert_eq!(series.at(10).events, None);
        assert_eq!(series.at(11).events, Some(1));
    }

    #[test]
    fn an_absence_longer_than_it_holds_starts_anew() {
        let mut series = Series::default();
        series.extend(&history(1..=5, 1));
        series.extend(&history(1_000_000..=1_000_001, 2));
        assert_eq!(series.samples.len(), 2);
        assert_eq!(series.last(), Some(1_000_001));
    }

    #[test]
    fn history_may_arrive_before_what_is_held() {
        let mut series = Series::default();
        series.extend(&history(10..=10, 3));
        series.extend(&history(7..=8, 2));
        assert_eq!(events(&series, 7..=10), [Some(2), Some(2), None, Some(3)]);
    }

    #[test]
    fn a_rate_without_events_is_none() {
        assert_eq!(
            Sample { events: Some(0), errors: Some(0), ..Sample::default() }.error_rate(),
            None
        );
        let sample = Sample { events: Some(4), errors: Some(1), ..Sample::default() };
        assert_eq!(sample.error_rate(), Some(0.25));
    }
}
