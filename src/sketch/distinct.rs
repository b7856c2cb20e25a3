//! How many different texts there were: HyperLogLog (Apache DataSketches, lg_k 12), exact to about
//! 380, then with a standard error of 1.6 %.
//!
//! Read only through `composite_estimate`, which does not depend on the order of additions and
//! merges, so that two instances never disagree. It cannot forget: windows union what they hold
//! anew, in blocks. Held by ticks and rollups.

use std::fmt;

use datasketches::hash::value::raw_bytes;
use datasketches::hll::{HllSketch, HllType, HllUnion};

use super::{DecodeError, Reader, Writer};

/// Base-2 logarithm of the number of registers.
const LG_K: u8 = 12;
/// Version of the serialised form.
const VERSION: u8 = 1;

/// A set of texts of which only the size can be asked. At most 4.2 KB.
#[derive(Clone)]
pub struct Distinct(HllSketch);

/// Counts the texts of many [`Distinct`] together.
pub struct DistinctUnion(HllUnion);

impl Default for Distinct {
    fn default() -> Self {
        Self(HllSketch::new(LG_K, HllType::Hll8).expect("12 is between 4 and 21"))
    }
}

impl Distinct {
    /// Adds a text.
    pub fn add(&mut self, text: &str) {
        self.0.update(raw_bytes::from_str(text));
    }

    /// Adds all texts of another.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            *self = other.clone();
            return;
        }
        let mut union = DistinctUnion::default();
        union.add(self);
        union.add(other);
        *self = union.to_distinct();
    }

    /// Whether no text was added.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many different texts were added.
    pub fn count(&self) -> u64 {
        self.0.composite_estimate().round() as u64
    }

    /// Appends the serialised form: 2.1 KB at most.
    pub fn encode(&self, writer: &mut Writer) {
        writer.byte(VERSION);
        if self.is_empty() {
            writer.blob(&[]);
            return;
        }
        let mut union = DistinctUnion::default();
        union.add(self);
        writer.blob(&union.0.to_sketch(HllType::Hll4).serialize());
    }

    /// Reads what [`Distinct::encode`] wrote.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.version(VERSION)?;
        let bytes = reader.blob()?;
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let damaged = DecodeError::Damaged("distinct count");
        let sketch = HllSketch::deserialize(bytes).map_err(|_| damaged.clone())?;
        if sketch.lg_config_k() != LG_K {
            return Err(damaged);
        }
        let mut union = DistinctUnion::default();
        union.0.update(&sketch);
        Ok(union.to_distinct())
    }
}

impl fmt::Debug for Distinct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Distinct({})", self.count())
    }
}

impl Default for DistinctUnion {
    fn default() -> Self {
        Self(HllUnion::new(LG_K).expect("12 is between 4 and 21"))
    }
}

impl DistinctUnion {
    /// Adds all texts of a set.
    pub fn add(&mut self, set: &Distinct) {
        self.0.update(&set.0);
    }

    /// How many different texts there are in all.
    pub fn count(&self) -> u64 {
        self.0.composite_estimate().round() as u64
    }

    /// The union as a set of its own.
    pub fn to_distinct(&self) -> Distinct {
        Distinct(self.0.to_sketch(HllType::Hll8))
    }
}

impl fmt::Debug for DistinctUnion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistinctUnion({})", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: impl Iterator<Item = u32>) -> Distinct {
        let mut set = Distinct::default();
        texts.for_each(|n| set.add(&format!("user-{n}")));
        set
    }

    fn round_trip(set: &Distinct) -> Distinct {
        let mut writer = Writer::default();
        set.encode(&mut writer);
        Distinct::decode(&mut Reader::new(&writer.into_bytes())).unwrap()
    }

    #[test]
    fn small_sets_are_exact_and_large_ones_within_three_standard_errors() {
        for n in [0, 1, 7, 9, 100, 380] {
            assert_eq!(of(0..n).count(), u64::from(n));
        }
        for n in [1_000u32, 10_000, 200_000] {
            let error = (of(0..n).count() as f64 / f64::from(n) - 1.0).abs();
            assert!(error < 3.0 * 0.016, "{n}: {error}");
        }
    }

    #[test]
    fn the_count_does_not_depend_on_the_order_of_additions_and_merges() {
        for n in [30, 600, 20_000] {
            let whole = of(0..n);
            let backwards = of((0..n).rev());
            let mut merged = of(n / 3..n);
            merged.merge(&of(0..n / 2));
            let mut other_way = of(0..n / 2);
            other_way.merge(&of(n / 3..n));
            let counts =
                [&backwards, &merged, &other_way, &round_trip(&merged)].map(Distinct::count);
            assert_eq!(counts, [whole.count(); 4], "{n}");
        }
    }

    #[test]
    fn a_decoded_set_goes_on_counting() {
        for n in [0, 5, 300, 50_000] {
            let mut decoded = round_trip(&of(0..n));
            let mut kept = of(0..n);
            for set in [&mut decoded, &mut kept] {
                (n..n + 1_000).for_each(|n| set.add(&format!("user-{n}")));
            }
            assert_eq!(decoded.count(), kept.count());
        }
    }

    #[test]
    fn a_newer_version_is_refused() {
        let error = Distinct::decode(&mut Reader::new(&[2, 0])).unwrap_err();
        assert_eq!(error, DecodeError::Newer { found: 2, known: 1 });
    }
}
