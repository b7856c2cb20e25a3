//! Readiness as notices on the aggregator's board, so that both dashboards say what is wrong.
//!
//! Every frame carries them, to everyone: a detail that counts on each second would cost each
//! subscriber bytes each second. One that differs in its numbers alone is renewed every
//! [`RENEWED_AFTER`]; one that says something else, at once. Exact figures are in the metrics.

use std::time::Duration;

use pulseboard::wire::server::{Notice, NoticeLevel};

use crate::aggregate::Board;
use crate::api::health::{Check, Readiness};

/// How long numbers in a notice stand.
const RENEWED_AFTER: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Notices {
    board: Board,
    shown: Vec<(Notice, Duration)>,
}

impl Notices {
    pub(super) fn new(board: Board) -> Self {
        Self { board, shown: Vec::new() }
    }

    /// Shows what is not ok; `elapsed` since the daemon's start.
    pub(super) fn look(&mut self, now: &Readiness, elapsed: Duration) {
        let wrong = now.checks().into_iter().filter_map(|(name, check)| notice(name, check));
        let mut shown: Vec<_> = wrong.map(|notice| self.settle(notice, elapsed)).collect();
        // What costs events comes first: where there is little room, the first is what is seen.
        shown.sort_by_key(|(notice, _)| notice.level != NoticeLevel::Failed);
        self.shown = shown;
        self.board.put(self.shown.iter().map(|(notice, _)| notice.clone()).collect());
    }

    /// The notice as it is shown already, where it says the same but for numbers, and when it was
    /// last renewed.
    fn settle(&self, notice: Notice, elapsed: Duration) -> (Notice, Duration) {
        let same = |shown: &&(Notice, Duration)| {
            let (shown, since) = shown;
            shown.check == notice.check
                && shown.level == notice.level
                && elapsed.saturating_sub(*since) < RENEWED_AFTER
                && is_same_but_for_numbers(&shown.brief, &notice.brief)
                && is_same_but_for_numbers(&shown.detail, &notice.detail)
        };
        let shown = self.shown.iter().find(same).cloned();
        shown.unwrap_or((notice, elapsed))
    }
}

fn notice(name: &str, check: &Check) -> Option<Notice> {
    let level = match check.level() {
        0.0 => return None,
        1.0 => NoticeLevel::Degraded,
        _ => NoticeLevel::Failed,
    };
    Some(Notice::new(name, level, check.brief(), check.detail()))
}

/// Whether two texts have the same words: "12.5 s behind" and "9 s behind" do.
fn is_same_but_for_numbers(one: &str, other: &str) -> bool {
    let words = |text: &str| {
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
        text.split(is_number).filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    words(one) == words(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(detail: &str) -> Notice {
        Notice::new("store", NoticeLevel::Degraded, "store behind", detail)
    }

    #[test]
    fn numbers_that_count_on_are_renewed_now_and_then_and_new_words_at_once() {
        let mut notices = Notices::new(Board::default());
        let mut say = |detail: &str, secs| {
            let shown = notices.settle(store(detail), Duration::from_secs(secs));
            notices.shown = vec![shown.clone()];
            shown.0.detail
        };
        assert_eq!(say("1,200 events, 5.5 s behind", 100), "1,200 events, 5.5 s behind");
        assert_eq!(say("900 events, 6 s behind", 101), "1,200 events, 5.5 s behind");
        assert_eq!(say("900 events, 6 s behind", 110), "900 events, 6 s behind");
        assert_eq!(say("MongoDB does not answer", 111), "MongoDB does not answer");
    }

    #[test]
    fn a_board_holds_no_more_than_a_frame_may_carry() {
        let board = Board::default();
        board.put((0..20).map(|nth| store(&nth.to_string())).collect());
        assert_eq!(board.read().len(), Notice::MOST);
        board.put(Vec::new());
        assert_eq!(board.read(), []);
    }
}
