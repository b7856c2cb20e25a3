//! How latencies are distributed: DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable
//! quantile sketch with relative-error guarantees", VLDB 2019). Bins grow by a constant factor, so
//! that every value of a bin is within 1 % of the value the bin stands for.
//!
//! [`LatencyBins`] holds a bin for every index between its smallest and largest: for what there is
//! one of (a tick, a window). Where there are many, see [`super::SparseBins`].

use super::{DecodeError, Reader, SparseBins, Writer};

/// Relative error of a bin; what is left of 1 % is for rounding to four digits.
const ERROR: f64 = 0.009_4;
/// Values below this (a nanosecond, in ms) count as 0.
const SMALLEST_MS: f64 = 1e-6;
/// The bin of values that count as 0.
pub(super) const ZERO_BIN: i16 = i16::MIN;
/// Version of the serialised form.
const VERSION: u8 = 1;

/// Natural logarithm of the factor between bins: (1 + error) / (1 - error).
fn ln_gamma() -> f64 {
    // 2 * atanh(error), by its series: exact to the last bit for so small an argument.
    2.0 * (ERROR + ERROR.powi(3) / 3.0 + ERROR.powi(5) / 5.0 + ERROR.powi(7) / 7.0)
}

/// The bin of a latency of `ms`; negative and NaN count as 0, more than ten years as ten years.
pub fn bin_of(ms: f64) -> i16 {
    if ms >= SMALLEST_MS {
        (ms.min(3e11).ln() * (1.0 / ln_gamma())).ceil() as i16
    } else {
        ZERO_BIN
    }
}

/// The value a bin stands for, ms, to four digits: within 1 % of every value of the bin.
pub fn value_of(bin: i16) -> f64 {
    if bin == ZERO_BIN {
        return 0.0;
    }
    // 2 g^i / (g + 1), where g = (1 + e) / (1 - e): g^i (1 - e).
    let value = (f64::from(bin) * ln_gamma()).exp() * (1.0 - ERROR);
    let digits = 3 - value.log10().floor() as i32;
    let scale = 10f64.powi(digits.abs());
    if digits >= 0 { (value * scale).round() / scale } else { (value / scale).round() * scale }
}

/// A distribution of latencies, with its exact maximum.
#[derive(Clone, Debug, Default)]
pub struct LatencyBins {
    first: i16,
    counts: Vec<u64>,
    zero: u64,
    total: u64,
    max: f64,
}

impl LatencyBins {
    /// Counts one latency of `ms`.
    pub fn add(&mut self, ms: f64) {
        self.add_bin(bin_of(ms), ms);
    }

    /// Counts one latency of `ms`, whose bin is known.
    pub fn add_bin(&mut self, bin: i16, ms: f64) {
        self.total += 1;
        self.max = self.max.max(ms);
        *self.slot(bin) += 1;
    }

    /// Adds another distribution.
    pub fn merge(&mut self, other: &Self) {
        self.max = self.max.max(other.max);
        self.total += other.total;
        self.zero += other.zero;
        if let (Some(low), Some(high)) = other.occupied() {
            self.reach(low);
            self.reach(high);
            let from = (low - self.first) as usize;
            let theirs =
                &other.counts[(low - other.first) as usize..=(high - other.first) as usize];
            self.counts[from..].iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
    }

    /// Takes back a distribution that was added. The maximum stays: it cannot be taken back.
    pub fn subtract(&mut self, other: &Self) {
        self.total -= other.total;
        self.zero -= other.zero;
        if let (Some(low), Some(high)) = other.occupied() {
            let from = (low - self.first) as usize;
            let theirs =
                &other.counts[(low - other.first) as usize..=(high - other.first) as usize];
            self.counts[from..].iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine -= theirs);
        }
    }

    /// Adds the bins of many.
    pub fn merge_sparse(&mut self, other: &SparseBins) {
        for (bin, count) in other.iter() {
            self.total += u64::from(count);
            *self.slot(bin) += u64::from(count);
        }
    }

    /// Forgets everything, keeping its memory.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        (self.zero, self.total, self.max) = (0, 0, 0.0);
    }

    /// How many latencies were counted.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The largest latency, exactly; 0 without any. Without meaning after [`Self::subtract`].
    pub fn max(&self) -> f64 {
        self.max
    }

    /// The values at ascending quantiles (each 0 to 1), ms: that of the latency of rank
    /// `quantile * (count - 1)`, rounded down, within 1 %. `None` without any.
    pub fn quantiles<const N: usize>(&self, quantiles: [f64; N]) -> Option<[f64; N]> {
        let last = self.total.checked_sub(1)?;
        let mut values = [0.0; N];
        let (mut seen, mut bin, mut index) = (self.zero, ZERO_BIN, 0);
        for (value, quantile) in values.iter_mut().zip(quantiles) {
            let rank = (quantile * last as f64) as u64;
            while seen <= rank && index < self.counts.len() {
                seen += self.counts[index];
                bin = self.first + index as i16;
                index += 1;
            }
            *value = value_of(bin);
        }
        Some(values)
    }

    /// Bins with something in them, ascending, without the zero bin.
    pub fn iter(&self) -> impl Iterator<Item = (i16, u64)> + '_ {
        let bins = self.counts.iter().enumerate();
        bins.filter(|(_, count)| **count > 0).map(|(i, count)| (self.first + i as i16, *count))
    }

    /// Appends the serialised form.
    pub fn encode(&self, writer: &mut Writer) {
        writer.byte(VERSION);
        writer.unsigned(self.zero);
        writer.unsigned(self.iter().count() as u64);
        let mut before = 0;
        for (bin, count) in self.iter() {
            writer.signed(i64::from(bin) - before);
            writer.unsigned(count);
            before = i64::from(bin);
        }
        if self.total > 0 {
            writer.float(self.max);
        }
    }

    /// Reads what [`LatencyBins::encode`] wrote.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version(VERSION)?;
        let damaged = || DecodeError::Damaged("latency");
        let zero = reader.unsigned()?;
        let mut bins = Self { zero, total: zero, ..Self::default() };
        let (lowest, highest) = (i64::from(bin_of(SMALLEST_MS)), i64::from(bin_of(3e11)));
        let mut bin = 0i64;
        for _ in 0..reader.count(2)? {
            bin = bin.saturating_add(reader.signed()?);
            if !(lowest..=highest).contains(&bin) {
                return Err(damaged());
            }
            let count = reader.unsigned()?;
            bins.total = bins.total.checked_add(count).ok_or_else(damaged)?;
            *bins.slot(bin as i16) += count;
        }
        if bins.total > 0 {
            bins.max = reader.float()?;
        }
        Ok(bins)
    }

    fn slot(&mut self, bin: i16) -> &mut u64 {
        if bin == ZERO_BIN {
            return &mut self.zero;
        }
        let at = i32::from(bin) - i32::from(self.first);
        if at < 0 || at as usize >= self.counts.len() {
            self.reach(bin);
        }
        &mut self.counts[(bin - self.first) as usize]
    }

    /// Makes room for a bin, with some to spare on its side.
    fn reach(&mut self, bin: i16) {
        const SPARE: i16 = 16;
        if self.counts.is_empty() {
            self.first = bin - SPARE / 2;
            self.counts.resize(SPARE as usize, 0);
        } else if bin < self.first {
            let first = bin - SPARE;
            let more = (self.first - first) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, more));
            self.first = first;
        } else if (bin - self.first) as usize >= self.counts.len() {
            self.counts.resize((bin - self.first + SPARE) as usize, 0);
        }
    }

    /// The smallest and largest bin with something in it.
    fn occupied(&self) -> (Option<i16>, Option<i16>) {
        let low = self.counts.iter().position(|count| *count > 0);
        let high = self.counts.iter().rposition(|count| *count > 0);
        (low.map(|i| self.first + i as i16), high.map(|i| self.first + i as i16))
    }
}

/// Equal when every bin is; room to spare does not count.
impl PartialEq for LatencyBins {
    fn eq(&self, other: &Self) -> bool {
        (self.zero, self.total, self.max) == (other.zero, other.total, other.max)
            && self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> LatencyBins {
        let mut bins = LatencyBins::default();
        for ms in values {
            bins.add(*ms);
        }
        bins
    }

    fn latency() -> impl Strategy<Value = f64> {
        prop_oneof![Just(0.0), (-6.0..7.9f64).prop_map(|power| 10f64.powf(power)), 1.0..500.0f64]
    }

    proptest! {
        #[test]
        fn a_bin_stands_for_its_values_within_one_percent(ms in latency()) {
            let value = value_of(bin_of(ms));
            prop_assert!((value - ms).abs() <= 0.01 * ms, "{ms} became {value}");
        }

        #[test]
        fn a_quantile_is_within_one_percent_of_the_exact_one(
            mut values in prop::collection::vec(latency(), 1..400),
            quantile in 0.0..=1.0f64,
        ) {
            let [value] = of(&values).quantiles([quantile]).unwrap();
            values.sort_by(f64::total_cmp);
            let exact = values[(quantile * (values.len() - 1) as f64) as usize];
            prop_assert!((value - exact).abs() <= 0.01 * exact, "{exact} became {value}");
        }

        #[test]
        fn merging_is_adding_in_any_order_and_subtracting_undoes_it(
            a in prop::collection::vec(latency(), 0..60),
            b in prop::collection::vec(latency(), 0..60),
        ) {
            let whole = of(&[a.clone(), b.clone()].concat());
            let (mut ab, mut ba) = (of(&a), of(&b));
            ab.merge(&of(&b));
            ba.merge(&of(&a));
            prop_assert_eq!(&ab, &whole);
            prop_assert_eq!(&ba, &whole);
            ab.subtract(&of(&b));
            prop_assert!(ab.iter().eq(of(&a).iter()));
            prop_assert_eq!(ab.count(), a.len() as u64);
        }

        #[test]
        fn what_was_encoded_comes_back(values in prop::collection::vec(latency(), 0..60)) {
            let mut writer = Writer::default();
            of(&values).encode(&mut writer);
            let bytes = writer.into_bytes();
            prop_assert_eq!(LatencyBins::decode(&mut Reader::new(&bytes)).unwrap(), of(&values));
            for cut in 0..bytes.len() {
                prop_assert!(LatencyBins::decode(&mut Reader::new(&bytes[..cut])).is_err());
            }
        }
    }

    #[test]
    fn values_are_short_to_write() {
        for bin in -600..1_400 {
            assert!(
                format!("{}", value_of(bin)).trim_matches('0').len() <= 14,
                "{}",
                value_of(bin)
            );
        }
    }
}
