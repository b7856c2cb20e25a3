//! What became of a replay's lines, and the sentences that say so. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use pulseboard::wire::server::Ack;

use crate::commands::say;

/// Line numbers named for each kind of trouble.
const LINES_NAMED: usize = 3;
/// Troubles shown one by one while it runs; the rest are counted.
const SHOWN: u64 = 10;

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    pub(super) rejected: u64,
    pub(super) unreadable: u64,
    /// Of the duplicates, those of bodies that were sent again because no answer came.
    pub(super) repeated: u64,
    /// How often a body was sent again.
    pub(super) repeats: u64,
    /// The earliest and the latest time among the lines, Unix ms.
    pub(super) span_ms: Option<(i64, i64)>,
    /// How much of the input these lines make up, bytes of the file.
    pub(super) bytes_in: u64,
    troubles: BTreeMap<String, Trouble>,
    shown: u64,
}

#[derive(Debug, Default)]
struct Trouble {
    count: u64,
    lines: Vec<u64>,
}

impl Tally {
    /// Lines that have been dealt with.
    pub(super) fn lines(&self) -> u64 {
        self.accepted + self.duplicates + self.rejected + self.unreadable
    }

    /// Takes in where a batch's lines stand, in the file and in time.
    pub(super) fn reach(&mut self, bytes_in: u64, span_ms: Option<(i64, i64)>) {
        self.bytes_in = self.bytes_in.max(bytes_in);
        self.span_ms = match (self.span_ms, span_ms) {
            (Some((from, to)), Some((from_too, to_too))) => {
                Some((from.min(from_too), to.max(to_too)))
            }
            (one, other) => one.or(other),
        };
    }

    /// Counts a verdict; `lines` are the numbers of its events. Gives what to show of it.
    pub(super) fn add(&mut self, verdict: &Ack, lines: &[u64], repeats: u32) -> Vec<String> {
        self.accepted += verdict.accepted;
        self.duplicates += verdict.duplicates;
        self.rejected += verdict.rejected_total;
        self.repeats += u64::from(repeats);
        if repeats > 0 {
            self.repeated += verdict.duplicates;
        }
        let mut show = Vec::new();
        for rejection in &verdict.rejected {
            let line = lines.get(rejection.index as usize).copied().unwrap_or_default();
            self.trouble(&rejection.code, line);
            let text = format!("line {line}: {} ({})", rejection.message, rejection.code);
            show.extend(self.shown(text));
        }
        let unlisted = verdict.rejected_total.saturating_sub(verdict.rejected.len() as u64);
        if unlisted > 0 {
            self.troubles.entry("not listed".to_owned()).or_default().count += unlisted;
        }
        show
    }

    /// Counts a line that is not an event. Gives what to show of it.
    pub(super) fn add_unreadable(&mut self, line: u64, reason: &str) -> Option<String> {
        self.unreadable += 1;
        self.trouble("unreadable", line);
        self.shown(format!("line {line}: {reason}"))
    }

    fn trouble(&mut self, kind: &str, line: u64) {
        if !self.troubles.contains_key(kind) {
            self.troubles.insert(kind.to_owned(), Trouble::default());
        }
        let Some(trouble) = self.troubles.get_mut(kind) else { return };
        trouble.count += 1;
        // Batches are answered in any order: keep the lowest numbers.
        let at = trouble.lines.partition_point(|known| *known < line);
        trouble.lines.insert(at, line);
        trouble.lines.truncate(LINES_NAMED);
    }

    fn shown(&mut self, text: String) -> Option<String> {
        self.shown += 1;
        match self.shown {
            shown if shown <= SHOWN => Some(text),
            shown if shown == SHOWN + 1 => Some("… more troubles are counted only".to_owned()),
            _ => None,
        }
    }

    /// `9,999 accepted, 0 duplicates, 1 rejected in 0.3 s (route_too_long at line 3029)`.
    pub(super) fn sentence(&self, took: Duration, new_ids: bool) -> String {
        let took = say::duration(took);
        let troubles = self.troubles_sentence();
        if self.lines() == 0 {
            return "there is no line in it: nothing was sent".to_owned();
        }
        let seen_before = self.duplicates > self.repeated && !new_ids;
        if self.accepted == 0 && seen_before {
            return format!(
                "{}; --new-ids sends them again{} ({took}, nothing new)",
                say::counted(self.duplicates, "duplicate"),
                if troubles.is_empty() { String::new() } else { format!("; {troubles}") },
            );
        }
        let mut text = format!(
            "{} accepted, {}, {} rejected",
            say::count(self.accepted),
            say::counted(self.duplicates, "duplicate"),
            say::count(self.rejected),
        );
        if self.unreadable > 0 {
            let _ = write!(text, ", {} unreadable", say::count(self.unreadable));
        }
        let _ = write!(text, " in {took}");
        if !troubles.is_empty() {
            let _ = write!(text, " ({troubles})");
        }
        if self.repeats > 0 {
            let _ = write!(
                text,
                "; {} sent again after no answer came, {} of the duplicates {} from that",
                say::counted(self.repeats, "batch").replace("batchs", "batches"),
                say::count(self.repeated),
                if self.repeated == 1 { "is" } else { "are" },
            );
        } else if seen_before {
            text += "; --new-ids sends the duplicates again";
        }
        text
    }

    /// `route_too_long at line 3029; unreadable at lines 4, 9 and 30 more`.
    fn troubles_sentence(&self) -> String {
        let one = |(kind, trouble): (&String, &Trouble)| {
            let lines: Vec<_> = trouble.lines.iter().map(u64::to_string).collect();
            let more = trouble.count - lines.len() as u64;
            match (lines.len(), more) {
                (0, _) => format!("{} {kind}", say::count(more)),
                (1, 0) => format!("{kind} at line {}", lines[0]),
                (_, 0) => format!("{kind} at lines {}", lines.join(" and ")),
                _ => format!("{kind} at lines {} and {} more", lines.join(", "), say::count(more)),
            }
        };
        self.troubles.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use pulseboard::wire::server::Rejection;

    use super::*;

    fn verdict(accepted: u64, duplicates: u64, rejected: &[(u64, &str)]) -> Ack {
        let rejection = |(index, code): &(u64, &str)| Rejection {
            index: *index,
            code: (*code).to_owned(),
            message: "why".to_owned(),
            field: None,
            retry_after_ms: None,
        };
        Ack {
            id: None,
            accepted,
            duplicates,
            rejected: rejected.iter().map(rejection).collect(),
            rejected_total: rejected.len() as u64,
        }
    }

    const TOOK: Duration = Duration::from_millis(312);

    #[test]
    fn the_sentence_names_each_trouble_with_its_line() {
        let mut tally = Tally::default();
        let lines: Vec<u64> = (1..=10_000).collect();
        let shown = tally.add(&verdict(9_999, 0, &[(3_028, "route_too_long")]), &lines, 0);
        assert_eq!(shown, ["line 3029: why (route_too_long)"]);
        assert_eq!(
            tally.sentence(TOOK, false),
            "9,999 accepted, 0 duplicates, 1 rejected in 0.3 s (route_too_long at line 3029)"
        );
    }

    #[test]
    fn a_second_replay_says_how_to_send_the_lines_again() {
        let mut tally = Tally::default();
        tally.add(&verdict(0, 10_000, &[]), &[], 0);
        assert!(tally.sentence(TOOK, false).starts_with("10,000 duplicates; --new-ids sends them"));
    }

    #[test]
    fn duplicates_that_come_from_sending_again_are_told_apart() {
        let mut tally = Tally::default();
        tally.add(&verdict(500, 0, &[]), &[], 0);
        tally.add(&verdict(0, 500, &[]), &[], 2);
        let sentence = tally.sentence(TOOK, false);
        assert!(sentence.contains("2 batches sent again"), "{sentence}");
        assert!(!sentence.contains("--new-ids"), "{sentence}");
    }

    #[test]
    fn after_ten_troubles_the_rest_are_only_counted() {
        let mut tally = Tally::default();
        let shown = (1..=40).filter_map(|line| tally.add_unreadable(line, "why")).count();
        assert_eq!(shown, 11);
        tally.add(&verdict(1, 0, &[]), &[41], 0);
        assert_eq!(
            tally.sentence(TOOK, false),
            "1 accepted, 0 duplicates, 0 rejected, 40 unreadable in 0.3 s \
             (unreadable at lines 1, 2, 3 and 37 more)"
        );
    }

    #[test]
    fn an_empty_file_is_said_to_be_one() {
        assert!(Tally::default().sentence(TOOK, false).contains("nothing was sent"));
    }
}
