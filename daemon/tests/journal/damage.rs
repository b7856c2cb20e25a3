//! One flipped bit costs one block, and is said.

use std::path::PathBuf;
use std::time::Duration;

use pulseboardd::journal::{Options, TailItem};

use crate::fake_disk::FakeDisk;
use crate::support::{batch, followed, next, open_on, open_with, options, scanned};

/// A journal of twenty large blocks of a hundred events each, closed.
fn twenty_blocks() -> (FakeDisk, PathBuf, Vec<(u64, String)>) {
    let disk = FakeDisk::default();
    let big = Options { segment_bytes: 4 << 20, ..options() };
    let (journal, _) = open_with(&disk, big);
    for number in 0..20 {
        journal.append(batch(&format!("{number}"), 100, 400)).unwrap().wait().unwrap();
    }
    let all = followed(&journal);
    journal.close();
    let segment = disk.names().into_iter().find(|path| path.extension().unwrap() == "seg").unwrap();
    (disk, segment, all)
}

/// Where the blocks of a file start.
fn blocks(bytes: &[u8]) -> Vec<usize> {
    let at = |at: &usize| bytes[*at..].starts_with(b"PBbk");
    (4_096..bytes.len()).step_by(8).filter(at).collect()
}

fn without(all: &[(u64, String)], block: u64) -> Vec<(u64, String)> {
    let gone = block * 100 + 1..=block * 100 + 100;
    all.iter().filter(|(seq, _)| !gone.contains(seq)).cloned().collect()
}

#[test]
fn a_flipped_bit_in_a_header_sets_that_block_aside_and_says_so() {
    let (disk, segment, all) = twenty_blocks();
    disk.edit(&segment, |bytes| {
        let block = blocks(bytes)[7];
        bytes[block + 20] ^= 4;
    });
    let (journal, recovery) = open_on(&disk);
    assert_eq!(recovery.damaged.len(), 1);
    let damaged = &recovery.damaged[0];
    assert_eq!((damaged.first_seq, damaged.events), (Some(701), Some(100)));
    assert_eq!(followed(&journal), without(&all, 7));
    assert_eq!(scanned(&journal), without(&all, 7));
    assert_eq!(journal.stats().damaged_blocks, 1);
    assert_eq!(recovery.next_seq, 2_001);
}

#[test]
fn a_flipped_bit_in_a_column_sets_that_block_aside_when_it_is_read() {
    for (number, distance) in [(0, 100), (7, 260), (12, 9_000), (18, 30_000)] {
        let (disk, segment, all) = twenty_blocks();
        disk.edit(&segment, |bytes| {
            let block = blocks(bytes)[number];
            bytes[block + distance] ^= 1;
        });
        let (journal, recovery) = open_on(&disk);
        assert_eq!(recovery.next_seq, 2_001);
        assert_eq!(followed(&journal), without(&all, number as u64));
        assert_eq!(scanned(&journal), without(&all, number as u64));
        let stats = journal.stats();
        assert_eq!(stats.damaged_blocks, 1, "reported once, however often it is read");
        assert_eq!(stats.damaged[0].first_seq, Some(number as u64 * 100 + 1));
        // The journal goes on behind it.
        let appended = journal.append(batch("more", 100, 400)).unwrap().wait().unwrap();
        assert_eq!(appended.first_seq, 2_001);
    }
}

#[test]
fn a_flipped_bit_among_unmerged_blocks_costs_that_one() {
    let disk = FakeDisk::default();
    let patient = Options { merge_after_ms: 3_600_000, ..options() };
    let (journal, _) = open_with(&disk, patient.clone());
    for number in 0..30 {
        journal.append(batch(&format!("{number}"), 1, 40)).unwrap().wait().unwrap();
    }
    let all = followed(&journal);
    journal.close();
    let heads = disk.names().into_iter().filter(|path| path.extension().unwrap() == "head");
    for head in heads {
        disk.edit(&head, |bytes| {
            if let Some(block) = blocks(bytes).get(11) {
                bytes[block + 18] ^= 1;
            }
        });
    }
    let (journal, recovery) = open_with(&disk, patient);
    assert_eq!(recovery.damaged.len(), 1);
    assert_eq!((recovery.damaged[0].first_seq, recovery.damaged[0].events), (Some(12), Some(1)));
    let expected: Vec<_> = all.into_iter().filter(|(seq, _)| *seq != 12).collect();
    assert_eq!(followed(&journal), expected);
}

#[test]
fn an_invalid_tail_is_cut_and_written_over() {
    let (disk, segment, all) = twenty_blocks();
    disk.edit(&segment, |bytes| {
        let last = *blocks(bytes).last().unwrap();
        bytes[last + 20_000..last + 20_600].fill(0xa5);
    });
    let (journal, recovery) = open_on(&disk);
    assert!(recovery.cut_bytes > 20_000);
    // A block that was acknowledged and then damaged looks the same as one that never was: its
    // sequences are not given out again.
    assert_eq!((recovery.damaged.len(), recovery.next_seq), (0, 2_001));
    assert_eq!(followed(&journal), without(&all, 19));
    journal.close();
    let (_, recovery) = open_on(&disk);
    assert_eq!(recovery.cut_bytes, 0, "what was cut once is not found again");
}

#[test]
fn a_forged_block_inside_somebodys_text_is_not_taken_for_one() {
    let (disk, segment, all) = twenty_blocks();
    // A whole block of another journal, magic, checksums and all, stands inside a damaged one.
    let (other, other_segment, _) = twenty_blocks();
    let mut forged = Vec::new();
    other.edit(&other_segment, |bytes| {
        let blocks = blocks(bytes);
        forged = bytes[blocks[3]..blocks[3] + 20_000].to_vec();
    });
    disk.edit(&segment, |bytes| {
        let block = blocks(bytes)[5];
        bytes[block + 10] ^= 1;
        bytes[block + 4_000..block + 24_000].copy_from_slice(&forged);
    });
    let (journal, recovery) = open_on(&disk);
    assert_eq!(recovery.damaged.len(), 1);
    assert_eq!(followed(&journal), without(&all, 5));
}

#[test]
fn a_disk_that_does_not_answer_for_a_moment_costs_no_event() {
    let (disk, _, all) = twenty_blocks();
    let (journal, _) = open_on(&disk);
    disk.fail_reads(3);
    let mut tail = journal.tail(1);
    // It is asked again while nothing comes.
    let first = (0..10).find_map(|_| next(&mut tail)).unwrap();
    assert_eq!(first, all[..100]);
    assert_eq!(followed(&journal), all);
    disk.fail_reads(3);
    assert_eq!(scanned(&journal), all);
    assert_eq!(journal.stats().damaged_blocks, 0, "nothing is damaged");
}

#[test]
fn what_a_disk_never_gives_is_passed_over_in_the_end_and_said() {
    let (disk, _, all) = twenty_blocks();
    let (journal, _) = open_on(&disk);
    disk.fail_reads(u64::MAX);
    let mut tail = journal.tail(1).patient(Duration::ZERO);
    assert!(matches!(tail.next(Duration::ZERO), TailItem::Idle));
    assert_eq!((tail.next_seq(), journal.stats().damaged_blocks), (2_001, 20));
    // Whoever waits longer has all of it when the disk is back.
    let mut tail = journal.tail(1).patient(Duration::from_mins(10));
    for _ in 0..3 {
        assert!(matches!(tail.next(Duration::from_millis(1)), TailItem::Idle));
        assert_eq!(tail.next_seq(), 1);
    }
    disk.fail_reads(0);
    assert!(matches!(tail.next(Duration::ZERO), TailItem::Events { first_seq: 1, .. }));
    assert_eq!(followed(&journal), all);
}
