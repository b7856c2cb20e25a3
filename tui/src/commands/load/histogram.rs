//! Acknowledgement times in bins that widen with the value: a bounded few kilobytes however many
//! are counted, quantiles within 1.6 % of the exact value. Pure.

use std::time::Duration;

/// Bins for each doubling: a bin is 1/32 of its value wide, so its middle is within 1/64.
const BINS_PER_DOUBLING: usize = 32;
const DOUBLINGS: usize = 40;

/// Counts of times, in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    bins: Vec<u64>,
    count: u64,
    max_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { bins: vec![0; BINS_PER_DOUBLING * DOUBLINGS], count: 0, max_us: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub(super) fn add(&mut self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bin = bin(us).min(self.bins.len() - 1);
        self.bins[bin] += 1;
        self.count += 1;
        self.max_us = self.max_us.max(us);
    }

    /// The time that a share `q` of all are at or below, ms; `None` when nothing was counted.
    pub(super) fn quantile_ms(&self, q: f64) -> Option<f64> {
        let rank = ((self.count as f64 * q).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (at, count) in self.bins.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                let middle_us = u64::midpoint(low(at), low(at + 1));
                return Some(middle_us.min(self.max_us) as f64 / 1_000.0);
            }
        }
        None
    }

    /// The longest, ms, exact; `None` when nothing was counted.
    pub(super) fn max_ms(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max_us as f64 / 1_000.0)
    }
}

/// Values below the number of bins have one each; from there on, each doubling is cut alike.
fn bin(us: u64) -> usize {
    if us < BINS_PER_DOUBLING as u64 {
        return us as usize;
    }
    let doubling = us.ilog2() as usize - BINS_PER_DOUBLING.ilog2() as usize;
    (doubling * BINS_PER_DOUBLING) + (us >> doubling) as usize
}

/// The smallest value of a bin.
fn low(bin: usize) -> u64 {
    let doubling = (bin / BINS_PER_DOUBLING).saturating_sub(1);
    ((bin - doubling * BINS_PER_DOUBLING) as u64) << doubling
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_follow_each_other_without_a_gap() {
        for at in 0..BINS_PER_DOUBLING * 30 {
            assert_eq!(bin(low(at)), at);
            assert_eq!(bin(low(at + 1) - 1), at);
        }
    }

    #[test]
    fn quantiles_are_within_their_error_and_the_longest_is_exact() {
        let mut histogram = Histogram::default();
        for us in 1..=100_000 {
            histogram.add(Duration::from_micros(us));
        }
        for q in [0.5, 0.95, 0.99] {
            let exact_ms = 100.0 * q;
            let found_ms = histogram.quantile_ms(q).unwrap();
            assert!((found_ms - exact_ms).abs() <= exact_ms / 64.0, "{q}: {found_ms}");
        }
        assert_eq!(histogram.max_ms(), Some(100.0));
    }

    #[test]
    fn nothing_counted_has_no_quantiles() {
        assert_eq!(Histogram::default().quantile_ms(0.5), None);
        assert_eq!(Histogram::default().max_ms(), None);
    }
}
