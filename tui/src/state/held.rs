//! The token in use, as far as the dashboard shows it: its last characters and when it ends. Pure:
//! the time comes with the news, and moves on with the state's own clock.

/// How long before its end a token is spoken of, at most.
const NOTICE_MS_MAX: u64 = 24 * 3_600_000;
/// And at least.
const NOTICE_MS_MIN: u64 = 60_000;
/// For a token that does not say when it was minted.
const NOTICE_MS: u64 = 3_600_000;

/// The token of this connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its last characters.
    pub tail: String,
    /// Until it ends, ms, when this was heard; negative once it has. Absent: it never does.
    pub ends_in_ms: Option<i64>,
    /// From minting to end, ms.
    pub lasts_ms: Option<i64>,
    /// Whether it comes from a file, which whoever renews it writes.
    pub from_file: bool,
}

impl Held {
    /// How long before its end it is spoken of: a tenth of its life, within bounds.
    fn notice_ms(&self) -> u64 {
        let tenth = self.lasts_ms.map(|lasts_ms| lasts_ms.unsigned_abs() / 10);
        tenth.unwrap_or(NOTICE_MS).clamp(NOTICE_MS_MIN, NOTICE_MS_MAX)
    }

    /// Seconds until it ends, rounded up, `passed_ms` after this was heard; 0 once it has.
    pub fn ends_in_secs(&self, passed_ms: u64) -> Option<u64> {
        Some(self.left_ms(passed_ms)?.div_ceil(1_000))
    }

    /// The same, while that is worth a notice.
    pub fn ending_in_secs(&self, passed_ms: u64) -> Option<u64> {
        let left_ms = self.left_ms(passed_ms)?;
        (left_ms <= self.notice_ms()).then(|| left_ms.div_ceil(1_000))
    }

    /// When the notice changes next, ms after now.
    pub fn next_change_in_ms(&self, passed_ms: u64) -> Option<u64> {
        let left_ms = self.left_ms(passed_ms)?;
        let until_notice_ms = left_ms.saturating_sub(self.notice_ms());
        if until_notice_ms > 0 {
            return Some(until_notice_ms);
        }
        if left_ms == 0 {
            return None;
        }
        // Seconds are shown below two minutes, minutes above.
        let step_ms = if left_ms <= 120_000 { 1_000 } else { 60_000 };
        Some((left_ms - 1) % step_ms + 1)
    }

    fn left_ms(&self, passed_ms: u64) -> Option<u64> {
        let left_ms = self.ends_in_ms?.saturating_sub_unsigned(passed_ms);
        Some(left_ms.max(0).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(ends_in_ms: i64, lasts_ms: i64) -> Held {
        Held {
            tail: "c2ln".into(),
            ends_in_ms: Some(ends_in_ms),
            lasts_ms: Some(lasts_ms),
            from_file: false,
        }
    }

    #[test]
    fn a_token_is_spoken_of_in_the_last_tenth_of_its_life_and_a_day_at_most() {
        let hour = held(3_600_000, 3_600_000);
        assert_eq!(hour.ending_in_secs(3_239_999), None);
        assert_eq!(hour.ending_in_secs(3_240_000), Some(360));
        assert_eq!(hour.ending_in_secs(9_000_000), Some(0));
        let year = held(365 * 86_400_000, 365 * 86_400_000);
        assert_eq!(year.ending_in_secs(363 * 86_400_000), None);
        assert_eq!(year.ending_in_secs(364 * 86_400_000), Some(86_400));
    }

    #[test]
    fn the_notice_wakes_when_it_begins_and_as_often_as_its_words_change() {
        let hour = held(3_600_000, 3_600_000);
        assert_eq!(hour.next_change_in_ms(0), Some(3_240_000));
        assert_eq!(hour.next_change_in_ms(3_240_000), Some(60_000));
        assert_eq!(hour.next_change_in_ms(3_599_500), Some(500));
        assert_eq!(hour.next_change_in_ms(3_600_000), None);
        let endless = Held { ends_in_ms: None, ..hour };
        assert_eq!((endless.next_change_in_ms(0), endless.ends_in_secs(0)), (None, None));
    }
}
