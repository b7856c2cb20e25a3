//! Old segments go whole, oldest first, and never too much of them.

use std::collections::BTreeSet;
use std::sync::Mutex;

use pulseboardd::journal::{Journal, Options, ScanRange};

use crate::fake_disk::FakeDisk;
use crate::support::{NOW_MS, batch_at, fingerprint, followed, open_with, options, until};

const HOUR_MS: i64 = 3_600_000;

/// Forty blocks of a hundred events, one an hour, some six a segment.
fn forty_hours(options: Options) -> (FakeDisk, Journal) {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, options);
    for hour in 0..40 {
        let arrival_ms = NOW_MS + hour * HOUR_MS;
        let batch = batch_at(&format!("h{hour}"), 100, 400, arrival_ms);
        journal.append(batch).unwrap().wait().unwrap();
    }
    (disk, journal)
}

fn fingerprints(journal: &Journal, since_ms: i64) -> BTreeSet<u128> {
    let seen = Mutex::new(BTreeSet::new());
    journal
        .fingerprints(since_ms, 2, &|prints, _| seen.lock().unwrap().extend(prints.iter().copied()))
        .unwrap();
    seen.into_inner().unwrap()
}

#[test]
fn past_the_age_limit_whole_segments_go_and_the_rest_survives_a_restart() {
    let one_day = Options { events_days: 1, ..options() };
    let (disk, journal) = forty_hours(one_day.clone());
    let all = followed(&journal);
    let trimmed = journal.enforce_retention(NOW_MS + 40 * HOUR_MS, u64::MAX).unwrap();
    assert!(trimmed.segments > 0 && trimmed.events.is_multiple_of(100));
    let left = followed(&journal);
    assert_eq!(left, all[trimmed.events as usize..]);
    assert!(trimmed.events <= 1_700, "nothing younger than a day goes");
    assert_eq!(journal.stats().trimmed_events, trimmed.events);
    journal.close();
    let (journal, recovery) = open_with(&disk, one_day);
    assert_eq!(recovery.first_seq, trimmed.events + 1);
    assert_eq!(followed(&journal), left);
}

#[test]
fn past_the_byte_limit_fingerprints_of_the_horizon_stay() {
    let small = Options { max_bytes: 600 * 1024, ..options() };
    let (disk, journal) = forty_hours(small.clone());
    let now_ms = NOW_MS + 40 * HOUR_MS;
    let horizon_ms = now_ms - 24 * HOUR_MS;
    let trimmed = journal.enforce_retention(now_ms, u64::MAX).unwrap();
    assert!(trimmed.events > 2_000, "more went than is past the horizon: {trimmed:?}");
    let expected: BTreeSet<u128> = (16..40)
        .flat_map(|hour| (0..100).map(move |index| fingerprint(&format!("h{hour}.{index}"))))
        .collect();
    assert!(fingerprints(&journal, horizon_ms).is_superset(&expected));
    journal.close();
    let (journal, _) = open_with(&disk, small);
    assert!(fingerprints(&journal, horizon_ms).is_superset(&expected));
    // A day on, they are of no use to anyone.
    journal.enforce_retention(now_ms + 30 * HOUR_MS, u64::MAX).unwrap();
    assert!(!disk.names().iter().any(|path| path.extension().is_some_and(|is| is == "fp")));
}

#[test]
fn nothing_young_unapplied_or_current_goes() {
    let tiny = Options { max_bytes: 1, events_days: 0, ..options() };
    let (_, journal) = forty_hours(tiny);
    let kept = journal.enforce_retention(NOW_MS + HOUR_MS, u64::MAX).unwrap();
    assert_eq!(kept.segments, 0, "less than two hours old");
    let kept = journal.enforce_retention(NOW_MS + 100 * HOUR_MS, 1).unwrap();
    assert_eq!(kept.segments, 0, "not applied yet");
    let trimmed = journal.enforce_retention(NOW_MS + 100 * HOUR_MS, 1_500).unwrap();
    assert!(trimmed.events > 0 && trimmed.events < 1_500);
    journal.enforce_retention(NOW_MS + 100 * HOUR_MS, u64::MAX).unwrap();
    let left = followed(&journal);
    assert_eq!(left.last().unwrap().0, 4_000, "the highest sequence stays");
}

#[test]
fn what_a_head_still_holds_of_a_trimmed_segment_does_not_come_back() {
    let disk = FakeDisk::default();
    let one_day = Options { events_days: 1, ..options() };
    let (journal, _) = open_with(&disk, one_day.clone());
    for number in 0..20 {
        let batch = batch_at(&format!("small{number}"), 1, 10, NOW_MS);
        journal.append(batch).unwrap().wait().unwrap();
    }
    until(|| journal.stats().unmerged == 0);
    for hour in 0..20 {
        let batch = batch_at(&format!("h{hour}"), 100, 400, NOW_MS + hour * HOUR_MS);
        journal.append(batch).unwrap().wait().unwrap();
    }
    let trimmed = journal.enforce_retention(NOW_MS + 40 * HOUR_MS, u64::MAX).unwrap();
    let left = followed(&journal);
    assert_eq!(left[0].0, trimmed.events + 1);
    assert!(trimmed.events > 20);
    journal.close();
    let (journal, recovery) = open_with(&disk, one_day);
    assert_eq!(followed(&journal), left);
    assert_eq!((recovery.first_seq, recovery.damaged.len()), (trimmed.events + 1, 0));
}

#[test]
fn a_reader_that_retention_overtakes_goes_on_and_says_what_it_missed() {
    let one_day = Options { events_days: 1, ..options() };
    let (_, journal) = forty_hours(one_day);
    let all = journal.stats().events;
    let mut forward = journal.forward(ScanRange::default());
    let (first_seq, batch) = forward.next().unwrap();
    assert_eq!(first_seq, 1);
    let trimmed = journal.enforce_retention(NOW_MS + 40 * HOUR_MS, u64::MAX).unwrap();
    assert!(trimmed.events > 100);
    // What comes after it was made is not in it.
    journal.append(batch_at("later", 10, 40, NOW_MS + 40 * HOUR_MS)).unwrap().wait().unwrap();
    let rest: Vec<(u64, usize)> = forward.by_ref().map(|(seq, batch)| (seq, batch.len())).collect();
    assert_eq!(rest[0].0, trimmed.events + 1);
    let read = batch.len() + rest.iter().map(|(_, events)| events).sum::<usize>();
    assert_eq!(forward.missed(), trimmed.events - batch.len() as u64);
    assert_eq!(read as u64 + forward.missed(), all);
}

#[test]
fn a_spool_lets_go_of_what_is_drained_and_over_two_hours_old_and_of_nothing_else() {
    let spool = Options {
        max_bytes: 0,
        events_days: u32::MAX,
        spool_bytes: Some(u64::MAX / 2),
        ..options()
    };
    let (_, journal) = forty_hours(spool);
    let now_ms = NOW_MS + 40 * HOUR_MS;
    assert_eq!(journal.enforce_retention(now_ms, 1).unwrap().segments, 0, "nothing is drained");
    let trimmed = journal.enforce_retention(now_ms, 1_501).unwrap();
    assert!((500..=1_500).contains(&trimmed.events), "{trimmed:?}");
    let more = journal.enforce_retention(now_ms, u64::MAX).unwrap();
    assert!(more.events > 1_500, "{more:?}");
    let newest = journal.enforce_retention(NOW_MS + 40 * HOUR_MS, u64::MAX).unwrap();
    assert_eq!(newest.segments, 0);
    assert!(journal.stats().events >= 200, "the last two hours stay");
}

#[test]
fn a_spool_is_full_by_what_waits_and_not_by_what_is_kept() {
    let spool_bytes = Some(400 * 1_024);
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, Options { spool_bytes, ..options() });
    let mut appended = 0;
    let mut fill = || {
        let mut number = 0;
        while let Ok(pending) =
            journal.append(batch_at(&format!("{appended}-{number}"), 50, 400, NOW_MS))
        {
            pending.wait().unwrap();
            number += 1;
            assert!(number < 1_000, "it is never full");
        }
        appended += number;
        number
    };
    let first = fill();
    assert!(journal.stats().spool_full && journal.stats().waiting_bytes > 400 * 1_024);
    let end_seq = journal.next_seq();
    journal.drained(end_seq / 2, end_seq / 2);
    assert!(!journal.stats().spool_full);
    let half = fill();
    assert!((first / 3..=first * 2 / 3).contains(&half), "{half} of {first}");
    journal.allow_waiting(800 * 1_024);
    assert!(!journal.stats().spool_full);
    fill();
    journal.drained(journal.next_seq(), journal.next_seq());
    assert_eq!((journal.stats().waiting_bytes, journal.stats().spool_full), (0, false));
    // Kept on disk all the same, and counted anew by a restart that is told how far the store is.
    let (taken, seq) = (journal.stats().disk_bytes, journal.next_seq());
    assert!(taken > 400 * 1_024);
    journal.close();
    let (journal, _) = open_with(&disk, Options { spool_bytes, ..options() });
    journal.drained(seq - 100, seq - 100);
    assert!((1..200 * 1_024).contains(&journal.stats().waiting_bytes));
    assert!(!journal.stats().spool_full);
}

#[test]
fn what_is_not_stored_counts_by_the_event_and_not_by_the_block() {
    let (spool_bytes, disk) = (Some(64 << 20), FakeDisk::default());
    let (journal, _) = open_with(&disk, Options { spool_bytes, ..options() });
    for number in 0..100 {
        journal.append(batch_at(&format!("{number}"), 10, 200, NOW_MS)).unwrap().wait().unwrap();
    }
    let whole = journal.stats().unstored_bytes;
    let an_event = whole / 1_000;
    assert!((100..1_000).contains(&an_event), "{an_event}");
    // Seven of a thousand are left, wherever blocks begin, and as it is merged.
    journal.drained(994, 1);
    for _ in 0..200 {
        let bytes = journal.stats().unstored_bytes;
        assert!((1..=7 * an_event * 2).contains(&bytes), "{bytes} of {whole}");
        if journal.stats().unmerged == 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let (bytes, waiting) = (journal.stats().unstored_bytes, journal.stats().waiting_bytes);
    assert!(waiting > bytes * 50, "aggregates hold all of it: {waiting}");
    let mut before = u64::MAX;
    for seq in (1..=1_001).step_by(40) {
        journal.drained(seq, 1);
        let bytes = journal.stats().unstored_bytes;
        assert!(bytes < before, "{bytes} after {before}");
        before = bytes;
    }
    assert_eq!(before, 0);
    journal.close();
    let (journal, _) = open_with(&disk, Options { spool_bytes, ..options() });
    journal.drained(994, 1);
    assert!(journal.stats().unstored_bytes.abs_diff(bytes) <= an_event);
}
