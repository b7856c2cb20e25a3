//! Latency bins where there are many distributions of few values: each route of each tick.
//!
//! Counts only, no maximum. Read by adding them up in a [`super::LatencyBins`].

use std::cmp::Ordering;

use super::latency::ZERO_BIN;
use super::{DecodeError, Reader, Writer, bin_of};

/// Bins with something in them, ascending; 8 bytes each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseBins(Vec<(i16, u32)>);

impl SparseBins {
    /// Counts one latency in a bin.
    pub fn add_bin(&mut self, bin: i16) {
        self.add_many(bin, 1);
    }

    fn add_many(&mut self, bin: i16, count: u32) {
        let at = self.0.partition_point(|(b, _)| *b < bin);
        match self.0.get_mut(at) {
            Some((b, mine)) if *b == bin => *mine = mine.saturating_add(count),
            _ => {
                if self.0.is_empty() {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, (bin, count));
            }
        }
    }

    /// Adds another distribution.
    pub fn merge(&mut self, other: &Self) {
        if other.0.len() * 4 < self.0.len() {
            other.iter().for_each(|(bin, count)| self.add_many(bin, count));
            return;
        }
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        let (mine, theirs) = (&self.0, &other.0);
        let mut merged = Vec::with_capacity(mine.len() + theirs.len());
        let (mut i, mut j) = (0, 0);
        while let (Some(a), Some(b)) = (mine.get(i), theirs.get(j)) {
            merged.push(match a.0.cmp(&b.0) {
                Ordering::Less => *a,
                Ordering::Equal => (a.0, a.1.saturating_add(b.1)),
                Ordering::Greater => *b,
            });
            i += usize::from(a.0 <= b.0);
            j += usize::from(b.0 <= a.0);
        }
        merged.extend_from_slice(&mine[i..]);
        merged.extend_from_slice(&theirs[j..]);
        self.0 = merged;
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes it holds on to.
    pub fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<(i16, u32)>()
    }

    /// Bins and their counts, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i16, u32)> + '_ {
        self.0.iter().copied()
    }

    /// Appends the serialised form; what holds it carries the version.
    pub fn encode(&self, writer: &mut Writer) {
        writer.unsigned(self.0.len() as u64);
        let mut before = 0;
        for (bin, count) in self.iter() {
            writer.signed(i64::from(bin) - before);
            writer.unsigned(u64::from(count));
            before = i64::from(bin);
        }
    }

    /// Reads what [`SparseBins::encode`] wrote.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.count(2)?;
        let mut bins = Vec::with_capacity(count);
        let mut before = 0i64;
        for nth in 0..count {
            let bin = before.saturating_add(reader.signed()?);
            let in_range = bin == i64::from(ZERO_BIN) || bin.abs() <= i64::from(bin_of(3e11));
            if !in_range || (nth > 0 && bin <= before) {
                return Err(DecodeError::Damaged("latency"));
            }
            bins.push((bin as i16, reader.unsigned32()?));
            before = bin;
        }
        Ok(Self(bins))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(bins: &[i16]) -> SparseBins {
        let mut sparse = SparseBins::default();
        for bin in bins {
            sparse.add_bin(*bin);
        }
        sparse
    }

    proptest! {
        #[test]
        fn merging_is_adding_in_any_order(
            a in prop::collection::vec(-40i16..90, 0..80),
            b in prop::collection::vec(-40i16..90, 0..20),
        ) {
            let whole = of(&[a.clone(), b.clone()].concat());
            let (mut ab, mut ba) = (of(&a), of(&b));
            ab.merge(&of(&b));
            ba.merge(&of(&a));
            prop_assert_eq!(&ab, &whole);
            prop_assert_eq!(&ba, &whole);
            let mut writer = Writer::default();
            whole.encode(&mut writer);
            prop_assert_eq!(SparseBins::decode(&mut Reader::new(&writer.into_bytes())), Ok(whole));
        }
    }
}
