//! Appends that are held after their sync, and events under a tombstone: what readers see, what
//! survives a crash, and what a start has to decide again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pulseboardd::clock::Clock;
use pulseboardd::journal::{Journal, OpenError, Options, ScanRange, TailItem, open};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fake_disk::FakeDisk;
use crate::support::{batch, batch_at, followed, ids, next, open_with, options, scanned, until};

fn names(events: &[(u64, String)]) -> Vec<&str> {
    events.iter().map(|(_, id)| id.as_str()).collect()
}

fn forwarded(journal: &Journal) -> Vec<(u64, String)> {
    let batches = journal.forward(ScanRange::default());
    batches.flat_map(|(first_seq, batch)| ids(first_seq, &batch)).collect()
}

/// What every way of reading shows; the same by all of them.
fn seen(journal: &Journal) -> Vec<(u64, String)> {
    let seen = followed(journal);
    assert_eq!(scanned(journal), seen);
    assert_eq!(forwarded(journal), seen);
    seen
}

#[test]
fn a_held_append_is_durable_and_unseen_until_it_is_let_go_and_holds_back_what_follows() {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, options());
    journal.append(batch("a", 2, 0)).unwrap().wait().unwrap();
    let first = journal.append_held(batch("b", 1, 0)).unwrap().wait().unwrap();
    let second = journal.append_held(batch("c", 200, 300)).unwrap().wait().unwrap();
    journal.append(batch("d", 1, 0)).unwrap().wait().unwrap();
    assert_eq!((first.first_seq(), second.first_seq(), second.end_seq()), (3, 4, 204));
    assert_eq!((journal.next_seq(), journal.stats().held), (3, 202));
    assert_eq!(names(&seen(&journal)), ["a.0", "a.1"]);
    let mut tail = journal.tail(3);
    assert!(matches!(tail.next(Duration::ZERO), TailItem::Idle));

    let mut passed = ready(second.let_go());
    assert!(!passed(), "the one before is still held");
    assert_eq!(journal.next_seq(), 3);
    assert!(ready(first.let_go())(), "nothing is held before it");
    assert!(passed());
    assert_eq!((journal.next_seq(), journal.stats().held), (205, 0));
    let mut all = Vec::new();
    while all.len() < 202 {
        all.extend(next(&mut tail).unwrap());
    }
    assert_eq!((all[0].1.as_str(), all[201].1.as_str()), ("b.0", "d.0"));
    assert_eq!(seen(&journal).len(), 204);
}

/// Polls a future by hand: whether it is ready.
fn ready(seen: pulseboardd::journal::Seen) -> impl FnMut() -> bool {
    use std::task::{Context, Poll, Waker};
    let mut seen = Box::pin(seen);
    let mut passed = false;
    move || {
        let mut context = Context::from_waker(Waker::noop());
        passed = passed || matches!(seen.as_mut().poll(&mut context), Poll::Ready(()));
        passed
    }
}

#[test]
fn a_hold_that_is_given_up_lets_its_events_go_and_is_counted() {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, options());
    let hold = journal.append_held(batch("a", 1, 0)).unwrap().wait().unwrap();
    // Nobody waits for this one.
    drop(journal.append_held(batch("b", 1, 0)).unwrap());
    until(|| journal.stats().holds_dropped == 1);
    assert_eq!(journal.next_seq(), 1);
    drop(hold);
    assert_eq!((journal.next_seq(), journal.stats().holds_dropped), (3, 2));
    assert_eq!(names(&seen(&journal)), ["a.0", "b.0"]);
}

#[test]
fn a_merged_block_is_shown_only_as_far_as_it_was_let_go() {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, options());
    let mut holds = Vec::new();
    for number in 0..2_500 {
        let name = format!("{number}");
        if number % 500 == 400 {
            holds.push(journal.append_held(batch(&name, 1, 20)).unwrap().wait().unwrap());
        } else {
            let pending = journal.append(batch(&name, 1, 20)).unwrap();
            if number % 100 == 0 {
                pending.wait().unwrap();
            }
        }
    }
    until(|| journal.stats().unmerged < 500);
    assert_eq!(seen(&journal).len(), 400);
    for (index, hold) in holds.into_iter().enumerate() {
        drop(hold.let_go());
        until(|| seen(&journal).len() == (900 + index * 500).min(2_500));
    }
}

#[test]
fn readers_pass_over_tombstones_wherever_they_stand_and_over_restarts() {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, options());
    let hold = journal.append_held(batch("a", 5, 0)).unwrap().wait().unwrap();
    let large = journal.append_held(batch("b", 200, 300)).unwrap().wait().unwrap();
    let mut tail = journal.tail(1);
    journal.tombstone(&[1, 3, 4]).unwrap();
    drop(hold.let_go());
    journal.tombstone(&[6, 100, 205]).unwrap();
    drop(large.let_go());
    assert_eq!(next(&mut tail).unwrap(), [(2, "a.1".to_owned())]);
    assert_eq!(next(&mut tail).unwrap(), [(5, "a.4".to_owned())]);
    assert_eq!(next(&mut tail).unwrap().len(), 93);
    assert_eq!(next(&mut tail).unwrap().len(), 104);
    assert!(matches!(tail.next(Duration::ZERO), TailItem::Idle));
    assert_eq!(tail.next_seq(), 206);
    let before = seen(&journal);
    assert_eq!((before.len(), journal.stats().events, journal.stats().tombstones), (199, 199, 6));
    let mut forward = journal.forward(ScanRange::default());
    assert_eq!(forward.by_ref().map(|(_, batch)| batch.len()).sum::<usize>(), 199);
    assert_eq!(forward.missed(), 0, "nothing that is wanted is missing");
    let prints = Mutex::new(0);
    journal
        .fingerprints(0, 1, &|prints_here, _| *prints.lock().unwrap() += prints_here.len())
        .unwrap();
    assert_eq!(prints.into_inner().unwrap(), 205, "their ids stay known");
    journal.close();

    let (journal, recovery) = open_with(&disk.after_power_cut(1), options());
    assert_eq!((recovery.events, recovery.tombstones, recovery.next_seq), (199, 6, 206));
    assert_eq!(seen(&journal), before);
}

#[test]
fn what_was_let_go_is_known_after_a_restart_and_the_rest_is_decided_again() {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, options());
    let first = journal.append_held(batch("a", 10, 0)).unwrap().wait().unwrap();
    drop(first.let_go());
    let second = journal.append_held(batch("b", 10, 0)).unwrap().wait().unwrap();
    let third = journal.append_held(batch("c", 10, 0)).unwrap().wait().unwrap();
    let disk = disk.after_power_cut(7);
    drop((second, third));
    drop(journal);

    let (journal, recovery) = open_with(&disk, options());
    assert_eq!((recovery.seen_seq, recovery.next_seq), (11, 31));
    let mut unseen = journal.unseen_from(recovery.seen_seq).unwrap();
    assert_eq!(seen(&journal).len(), 10);
    // Appends go on, and wait behind what is being decided.
    journal.append(batch("d", 1, 0)).unwrap().wait().unwrap();
    let mut again = Vec::new();
    while let Some((first_seq, batch)) = unseen.next_events() {
        again.extend(ids(first_seq, &batch));
    }
    assert_eq!((again.len(), again[0].1.as_str(), again[19].1.as_str()), (20, "b.0", "c.9"));
    journal.tombstone(&[12]).unwrap();
    unseen.let_go_below(15);
    assert_eq!(seen(&journal).len(), 13);
    unseen.let_go_below(31);
    assert_eq!((seen(&journal).len(), journal.next_seq()), (30, 32));
    drop(unseen);
    assert_eq!(journal.stats().holds_dropped, 0);
    assert!(journal.unseen_from(32).is_none());
}

/// How far a start would take readers to have seen, if the power went now.
fn known(disk: &FakeDisk) -> u64 {
    open_with(&disk.after_power_cut(3), options()).1.seen_seq
}

#[test]
fn what_is_let_go_for_good_is_seen_no_sooner_than_a_start_would_know_it() {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, options());
    let _reader = journal.tail(1);
    let first = journal.append_held(batch("a", 2, 0)).unwrap().wait().unwrap();
    let second = journal.append_held(batch("b", 1, 0)).unwrap().wait().unwrap();
    journal.append_for_good(batch("c", 1, 0)).unwrap().wait().unwrap();
    assert_eq!((journal.next_seq(), known(&disk)), (1, 1));
    let mut passed = ready(first.let_go_for_good());
    until(&mut passed);
    assert_eq!((journal.next_seq(), known(&disk)), (3, 3));
    // What nobody could be asked about waits behind the other, and is known with it.
    drop(second.let_go());
    until(|| journal.next_seq() == 5);
    assert_eq!(known(&disk), 5);
    // With nothing held, a block says so itself.
    journal.append_for_good(batch("d", 3, 0)).unwrap().wait().unwrap();
    assert_eq!((journal.next_seq(), known(&disk)), (8, 8));
}

#[test]
fn a_moment_after_the_last_append_and_at_a_close_nothing_is_left_to_be_decided() {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, options());
    let _reader = journal.tail(1);
    drop(journal.append_held(batch("a", 2, 0)).unwrap().wait().unwrap().let_go());
    until(|| known(&disk) == 3);
    let held = journal.append_held(batch("b", 2, 0)).unwrap().wait().unwrap();
    drop(journal.append_held(batch("c", 2, 0)).unwrap().wait().unwrap().let_go());
    drop(held.let_go());
    journal.close();
    assert_eq!(known(&disk), 7);
    // A disk that forgets what it had synced makes no sequence be given out twice.
    let blocks: Vec<_> =
        disk.names().into_iter().filter(|name| !name.ends_with("mark.seen")).collect();
    for name in blocks {
        disk.edit(&name, |bytes| bytes.iter_mut().skip(4_096).for_each(|byte| *byte = 0));
    }
    assert_eq!(open_with(&disk, options()).1.next_seq, 7);
}

#[test]
fn what_is_merged_before_there_is_a_reader_is_not_taken_to_be_seen() {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, options());
    let _held = journal.append_held(batch("a", 3, 0)).unwrap().wait().unwrap();
    let disk = disk.after_power_cut(1);
    let (journal, recovery) = open_with(&disk, options());
    assert_eq!((recovery.seen_seq, recovery.next_seq), (0, 4));
    until(|| journal.stats().unmerged == 0);
    assert_eq!(known(&disk), 0);
}

#[test]
fn what_a_start_has_not_decided_about_is_still_to_be_decided_at_the_next() {
    let disk = FakeDisk::default();
    let later = Options { merge_after_ms: 60_000, ..options() };
    let (journal, _) = open_with(&disk, later);
    drop(journal.append_held(batch("a", 10, 0)).unwrap().wait().unwrap().let_go());
    let held = journal.append_held(batch("b", 10, 0)).unwrap().wait().unwrap();
    let disk = disk.after_power_cut(7);
    drop(held);
    drop(journal);

    // Blocks are merged from the first moment on, whoever reads.
    let (journal, recovery) = open_with(&disk, options());
    assert_eq!((recovery.seen_seq, recovery.next_seq), (11, 21));
    until(|| journal.stats().unmerged == 0);
    let disk = disk.after_power_cut(8);
    drop(journal);
    let (_, recovery) = open_with(&disk, options());
    assert_eq!((recovery.seen_seq, recovery.next_seq), (11, 21));
}

#[test]
fn tombstones_go_with_their_segment() {
    let disk = FakeDisk::default();
    let options = Options { max_bytes: 0, ..options() };
    let clock = Clock::system();
    let old_ms = clock.now_ms() - 3 * 3_600_000;
    let (journal, _) = open_with(&disk, options.clone());
    for number in 0..12 {
        let hold = journal.append_held(batch_at(&format!("{number}"), 200, 300, old_ms)).unwrap();
        let hold = hold.wait().unwrap();
        journal.tombstone(&[hold.first_seq() + 7]).unwrap();
        drop(hold.let_go());
    }
    assert_eq!(journal.stats().tombstones, 12);
    let trimmed = journal.enforce_retention(clock.now_ms(), u64::MAX).unwrap();
    assert!(trimmed.segments > 0);
    let kept = journal.stats().tombstones;
    assert!((1..12).contains(&kept), "{kept}");
    let before = seen(&journal);
    assert_eq!(before.len() as u64, journal.stats().events);
    journal.close();
    let (journal, recovery) = open_with(&disk, options);
    assert_eq!(recovery.tombstones, kept);
    assert_eq!(seen(&journal), before);
}

#[test]
fn a_build_that_knows_no_tombstones_would_refuse_the_journal() {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, options());
    let version = |disk: &FakeDisk| {
        let mark = disk.names().into_iter().find(|name| name.ends_with("mark.trimmed")).unwrap();
        let mut version = 0;
        disk.edit(&mark, |bytes| version = bytes[8]);
        version
    };
    let hold = journal.append_held(batch("a", 1, 0)).unwrap().wait().unwrap();
    assert_eq!(version(&disk), 1, "a journal without any is what it always was");
    journal.tombstone(&[1]).unwrap();
    drop(hold);
    journal.close();
    assert_eq!(version(&disk), 2);

    let mark = disk.names().into_iter().find(|name| name.ends_with("mark.tombstones")).unwrap();
    disk.edit(&mark, |bytes| {
        for copy in [0, 2_048] {
            bytes[copy + 8] = 9;
            let crc = crc32c::crc32c(&bytes[copy..copy + 32]);
            bytes[copy + 32..copy + 36].copy_from_slice(&crc.to_le_bytes());
        }
    });
    let opened = open(Arc::new(disk.clone()), options(), Clock::system());
    assert!(matches!(opened.err(), Some(OpenError::Newer { found: 9, newest: 1, .. })));
}

#[test]
fn a_damaged_list_of_tombstones_is_reported_and_everything_else_is_read() {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, options());
    let hold = journal.append_held(batch("a", 3, 0)).unwrap().wait().unwrap();
    journal.tombstone(&[2]).unwrap();
    drop(hold);
    journal.close();
    let list = disk.names().into_iter().find(|name| name.ends_with("mark.tombstones")).unwrap();
    disk.edit(&list, |bytes| bytes[4_096 + 17] ^= 1);
    let (journal, recovery) = open_with(&disk, options());
    assert_eq!((recovery.damaged.len(), recovery.damaged[0].file.as_str()), (1, "mark.tombstones"));
    assert_eq!((recovery.tombstones, seen(&journal).len()), (0, 3));
}

/// What the appenders of a crash know.
#[derive(Default)]
struct Known {
    /// Sequences of acknowledged tombstones.
    gone: BTreeSet<u64>,
    /// Sequences that were let go and seen by a reader.
    seen: BTreeSet<u64>,
    /// Sequences that were durable and never let go.
    held: BTreeSet<u64>,
}

#[test]
fn a_power_cut_at_any_moment_keeps_tombstones_and_shows_nothing_that_was_held() {
    for seed in 0..100 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut disk = FakeDisk::default();
        let mut known = Known::default();
        for round in 0..3 {
            disk.cut_power_after(random.random_range(0..200));
            if let Ok((journal, recovery)) =
                open(Arc::new(disk.clone()), options(), Clock::system())
            {
                decide_again(&journal, recovery.seen_seq, &mut known);
                append_until_the_end(
                    &journal,
                    &format!("s{seed}r{round}"),
                    &mut random,
                    &mut known,
                );
            }
            disk = disk.after_power_cut(random.random());
            // Looked at on a copy: whoever looks has seen what is there, which may be written down.
            let (journal, recovery) = open_with(&disk.after_power_cut(0), options());
            let context = format!("seed {seed} round {round} {recovery:?}");
            let shown: BTreeSet<u64> = seen(&journal).into_iter().map(|(seq, _)| seq).collect();
            assert!(known.gone.is_disjoint(&shown), "{context}");
            assert!(known.held.iter().all(|seq| *seq >= recovery.seen_seq), "{context}");
            assert!(known.seen.is_subset(&shown), "{context}");
            drop(journal);
        }
    }
}

/// As a start does: what was not seen is let go, all of it.
fn decide_again(journal: &Journal, seen_seq: u64, known: &mut Known) {
    let Some(mut unseen) = journal.unseen_from(seen_seq) else { return };
    while let Some((first_seq, batch)) = unseen.next_events() {
        unseen.let_go_below(first_seq + batch.len() as u64);
    }
    drop(unseen);
    known.held.clear();
}

fn append_until_the_end(journal: &Journal, name: &str, random: &mut StdRng, known: &mut Known) {
    let mut held = Vec::new();
    for number in 0..60 {
        let events = if random.random_bool(0.1) { 150 } else { random.random_range(1..6) };
        let appended = journal.append_held(batch(&format!("{name}n{number}"), events, 100));
        let Ok(hold) = appended.and_then(pulseboardd::journal::PendingHold::wait) else { break };
        known.held.extend(hold.first_seq()..hold.end_seq());
        held.push(hold);
        if random.random_bool(0.6) {
            let hold = held.swap_remove(random.random_range(0..held.len()));
            let seqs = hold.first_seq()..hold.end_seq();
            if random.random_bool(0.2) {
                if journal.tombstone(&[seqs.start]).is_err() {
                    held.push(hold);
                    break;
                }
                known.gone.insert(seqs.start);
            }
            drop(hold.let_go());
        }
    }
    // Let go is not yet seen: not while an earlier one is held.
    let end_seq = journal.next_seq();
    known.held.retain(|seq| *seq >= end_seq);
    known.seen.extend(seen(journal).into_iter().map(|(seq, _)| seq));
    // The process is killed: nobody lets go of anything.
    held.into_iter().for_each(std::mem::forget);
}
