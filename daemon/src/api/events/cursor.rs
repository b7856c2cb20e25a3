//! Cursors: where a page of events ends, written so that it says nothing else.
//!
//! A place in the journal counts the events of all sites. Who may see one site gets cursors too, and
//! must not learn from two of them how many events others sent in between. So a place is written
//! under a permutation that only this data directory knows: four rounds of a Feistel network (Luby
//! and Rackoff, 1988) around SipHash. Pure; a cursor is good as long as the directory.

use siphasher::sip128::SipHasher13;

use crate::store::mongodb::Spot;

const ROUNDS: u8 = 4;
const DIGITS: usize = 16;
/// Places there can be, in bits: the bits left over tell that a cursor is one of ours.
const PLACE_BITS: u32 = 48;

/// Writes and reads cursors under one key.
pub struct Cursors(SipHasher13);

impl Cursors {
    /// Under this key.
    pub fn new(key: &[u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(key))
    }

    /// The cursor of a place.
    pub(super) fn write(&self, seq: u64) -> String {
        let (mut left, mut right) = ((seq >> 32) as u32, seq as u32);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.mixed(round, right));
        }
        format!("b{left:08x}{right:08x}")
    }

    /// The place of a cursor; `None` when it is none that was written under this key.
    pub(super) fn read(&self, cursor: &str) -> Option<u64> {
        let digits = cursor.strip_prefix('b').filter(|digits| digits.len() == DIGITS)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let written = u64::from_str_radix(digits, 16).ok()?;
        let (mut left, mut right) = ((written >> 32) as u32, written as u32);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.mixed(round, left), left);
        }
        let seq = (u64::from(left) << 32) | u64::from(right);
        (seq >> PLACE_BITS == 0).then_some(seq)
    }

    /// The cursor of a place in the shared store. When it was stored and where are in the event too.
    pub(super) fn write_spot(&self, spot: &Spot) -> String {
        format!("s{:x}-{}-{}", spot.stored_ms, spot.node, self.write(spot.seq))
    }

    /// The place in the shared store; `None` when it is none that was written under this key.
    pub(super) fn read_spot(&self, cursor: &str) -> Option<Spot> {
        let mut parts = cursor.strip_prefix('s')?.split('-');
        let (stored_ms, node, seq) = (parts.next()?, parts.next()?, parts.next()?);
        let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if parts.next().is_some() || !is_word(stored_ms) || !is_word(node) {
            return None;
        }
        let stored_ms = i64::from_str_radix(stored_ms, 16).ok()?;
        Some(Spot { stored_ms, node: node.into(), seq: self.read(seq)? })
    }

    fn mixed(&self, round: u8, half: u32) -> u32 {
        let [a, b, c, d] = half.to_le_bytes();
        self.0.hash(&[round, a, b, c, d]).h1 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let cursors = Cursors::new(&[7; 16]);
        for seq in [1, 2, 3, 1_000, u64::from(u32::MAX) + 1, (1 << PLACE_BITS) - 1] {
            assert_eq!(cursors.read(&cursors.write(seq)), Some(seq));
        }
    }

    #[test]
    fn a_cursor_of_the_shared_store_leads_back_to_its_place() {
        let cursors = Cursors::new(&[7; 16]);
        let spot = Spot { stored_ms: 1_763_884_800_123, node: "00c0ffee0000".into(), seq: 9 };
        let cursor = cursors.write_spot(&spot);
        assert_eq!(cursors.read_spot(&cursor), Some(spot));
        let foreign = Cursors::new(&[8; 16]).read_spot(&cursor);
        assert_eq!(foreign, None);
        for no in ["", "s", "s1-a", &cursors.write(9), &format!("{cursor}-"), &cursor[1..]] {
            assert_eq!(cursors.read_spot(no), None, "{no}");
        }
    }

    #[test]
    fn cursors_do_not_show_how_far_apart_places_are() {
        let cursors = Cursors::new(&[7; 16]);
        let number = |seq| u64::from_str_radix(&cursors.write(seq)[1..], 16).unwrap();
        for seq in 1..1_000 {
            assert!(number(seq).abs_diff(number(seq + 1)) > 1_000, "{seq}");
        }
    }

    #[test]
    fn what_this_directory_did_not_write_is_no_cursor() {
        let cursors = Cursors::new(&[7; 16]);
        let foreign = Cursors::new(&[8; 16]).write(5);
        let short = cursors.write(5)[..16].to_owned();
        for no in ["", "b", "b5", "b+000000000000005", "b0000000000000005", "bé", &foreign, &short]
        {
            assert_eq!(cursors.read(no), None, "{no}");
        }
    }
}
