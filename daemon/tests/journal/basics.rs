//! What an append, a tail and a scan promise on a disk that works.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pulseboard::event::{Class, EventBatch, Row, Span};
use pulseboardd::clock::Clock;
use pulseboardd::journal::{OpenError, Options, OsDisk, ScanRange, TailItem, open};

use crate::fake_disk::FakeDisk;
use crate::support::{
    NOW_MS, batch, batch_at, fingerprint, followed, next, open_on, open_with, options, scanned,
    until,
};

#[test]
fn sequences_are_dense_and_survive_a_restart_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { dir: dir.path().join("journal"), ..options() };
    let (journal, recovery) = open_with(&OsDisk, options.clone());
    assert_eq!((recovery.events, recovery.next_seq), (0, 1));
    let one = journal.append(batch("a", 3, 0)).unwrap().wait().unwrap();
    let two = journal.append(batch("b", 200, 300)).unwrap().wait().unwrap();
    assert_eq!((one.first_seq, one.count), (1, 3));
    assert_eq!((two.first_seq, two.count), (4, 200));
    let before = followed(&journal);
    journal.close();

    let (journal, recovery) = open_with(&OsDisk, options);
    assert_eq!((recovery.events, recovery.first_seq, recovery.next_seq), (203, 1, 204));
    assert_eq!((recovery.cut_bytes, recovery.damaged.len()), (0, 0));
    assert_eq!(followed(&journal), before);
    assert_eq!(scanned(&journal), before);
    assert_eq!(journal.append(batch("c", 1, 0)).unwrap().wait().unwrap().first_seq, 204);
}

#[test]
fn every_field_comes_back_as_it_was() {
    let disk = FakeDisk::default();
    let (journal, _) = open_on(&disk);
    let mut odd = EventBatch::default();
    let latencies = [0.0, 43.0, 43.25, 0.1 + 0.2, 86_400_000.0, 1e-300, f64::NAN, 12.345];
    for index in 0..600_usize {
        let text = |batch: &mut EventBatch, some: bool, text: &str| {
            if some { batch.add_text(text) } else { Span::default() }
        };
        let row = Row {
            fingerprint: fingerprint(&index.to_string()),
            arrival_ms: NOW_MS + index as i64 / 7 - (index as i64 % 3),
            timestamp_ms: NOW_MS - 3_600_000 * (index as i64 % 5) + 17,
            latency_ms: latencies[index % latencies.len()],
            event_id: odd.add_text(&format!("id-{index}-ü")),
            kind: odd.add_text(["page_view", "click", "error"][index % 3]),
            route: odd.add_text(&format!("/r/{}/ß", index % 90)),
            site: odd.add_text("default"),
            user_id: text(&mut odd, index % 2 == 0, &format!("user {index}")),
            session_id: text(&mut odd, index % 5 == 0, "s"),
            client_id: text(&mut odd, index % 7 == 0, "10.0.0.1"),
            props: text(&mut odd, index % 11 == 0, "{\"a\":1}"),
            status: [0, 200, 404, 503][index % 4],
            error: [None, Some(false), Some(true)][index % 3],
            class: [Class::Live, Class::Late, Class::Import][index % 3],
        };
        odd.push(row);
    }
    let plain = |batch: &EventBatch| -> Vec<String> {
        let event = |event: pulseboard::event::EventRef<'_>| {
            let row = event.row();
            let numbers = (row.fingerprint, row.arrival_ms, row.timestamp_ms);
            let codes = (row.latency_ms.to_bits(), row.status, row.error, row.class);
            let texts = [event.event_id(), event.kind(), event.route(), event.site()];
            let maybe = [event.user_id(), event.session_id(), event.client_id(), event.props()];
            format!("{numbers:?} {codes:?} {texts:?} {maybe:?}")
        };
        batch.iter().map(event).collect()
    };
    let expected = plain(&odd);
    let mut single = EventBatch::default();
    single.push_from(&odd, 3);
    journal.append(odd).unwrap().wait().unwrap();
    journal.append(single).unwrap().wait().unwrap();
    journal.close();

    let (journal, _) = open_on(&disk);
    let found: Vec<_> = journal.scan(ScanRange::default()).collect();
    let (newest, oldest) = (&found[0], &found[1]);
    assert_eq!(plain(&oldest.1), expected);
    assert_eq!((newest.0, plain(&newest.1)), (601, vec![expected[3].clone()]));
}

#[test]
fn small_appends_are_merged_and_keep_their_sequences() {
    let disk = FakeDisk::default();
    let (journal, _) = open_on(&disk);
    for number in 0..3_000 {
        let pending = journal.append(batch(&format!("{number}"), 1, 20)).unwrap();
        if number % 50 == 0 {
            pending.wait().unwrap();
        }
    }
    until(|| journal.next_seq() == 3_001 && journal.stats().unmerged < 1_000);
    let stats = journal.stats();
    assert_eq!(stats.events, 3_000);
    let expected: Vec<_> = (0..3_000).map(|n| (n as u64 + 1, format!("{n}.0"))).collect();
    assert_eq!(scanned(&journal), expected);
    assert_eq!(followed(&journal), expected);
    journal.close();
    let (journal, recovery) = open_on(&disk);
    assert_eq!((recovery.events, recovery.next_seq, recovery.damaged.len()), (3_000, 3_001, 0));
    assert_eq!(followed(&journal), expected);
}

#[test]
fn a_reader_that_fell_out_of_the_ring_catches_up_from_the_blocks() {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, Options { handoff_bytes: 20_000, ..options() });
    let mut slow = journal.tail(1);
    for number in 0..40 {
        let (events, filler) = if number % 3 == 0 { (150, 300) } else { (2, 10) };
        let name = format!("{number}");
        journal.append(batch(&name, events, filler)).unwrap().wait().unwrap();
    }
    assert!(journal.stats().handoff_bytes <= 20_000);
    let mut seen = Vec::new();
    while slow.next_seq() < journal.next_seq() {
        seen.extend(next(&mut slow).unwrap());
    }
    assert_eq!(seen, scanned(&journal));
    assert!(matches!(slow.next(Duration::ZERO), TailItem::Idle));
    let mut waiting = journal.tail(journal.next_seq());
    let thread = std::thread::spawn(move || {
        let first = next(&mut waiting);
        (first, matches!(waiting.next(Duration::from_secs(5)), TailItem::Closed))
    });
    journal.append(batch("last", 1, 0)).unwrap().wait().unwrap();
    journal.close();
    let (events, closed) = thread.join().unwrap();
    assert_eq!(events.unwrap()[0].1, "last.0");
    assert!(closed, "a closed journal says so once everything was handed out");
}

#[test]
fn a_scan_pages_exactly_and_skips_blocks_by_time() {
    let disk = FakeDisk::default();
    let (journal, _) = open_on(&disk);
    for hour in 0..4 {
        let arrival_ms = NOW_MS + hour * 3_600_000;
        let name = format!("h{hour}");
        journal.append(batch_at(&name, 150, 300, arrival_ms)).unwrap().wait().unwrap();
    }
    let range = ScanRange { before_seq: Some(320), from_seq: Some(100), ..Default::default() };
    let page: Vec<_> = journal.scan(range).map(|(first, batch)| (first, batch.len())).collect();
    assert_eq!(page, [(301, 19), (151, 150), (100, 51)]);
    let range = ScanRange {
        from_ms: Some(NOW_MS + 3_600_000 - 5),
        to_ms: Some(NOW_MS + 2 * 3_600_000 - 5),
        ..Default::default()
    };
    let page: Vec<_> = journal.scan(range).map(|(first, batch)| (first, batch.len())).collect();
    assert_eq!(page, [(151, 150)], "own timestamps are 5 ms before arrival");
}

#[test]
fn fingerprints_are_those_of_every_event_once() {
    let disk = FakeDisk::default();
    let (journal, _) = open_on(&disk);
    for number in 0..30 {
        let (events, filler) = if number % 2 == 0 { (150, 300) } else { (1, 10) };
        let arrival_ms = NOW_MS + number;
        let batch = batch_at(&format!("{number}"), events, filler, arrival_ms);
        journal.append(batch).unwrap().wait().unwrap();
    }
    let expected: BTreeMap<u128, usize> =
        scanned(&journal).into_iter().map(|(_, id)| (fingerprint(&id), 1)).collect();
    let seen = Mutex::new(BTreeMap::new());
    let read = journal
        .fingerprints(0, 3, &|prints, arrivals| {
            assert_eq!(prints.len(), arrivals.len());
            let mut seen = seen.lock().unwrap();
            for print in prints {
                *seen.entry(*print).or_insert(0) += 1;
            }
        })
        .unwrap();
    assert_eq!(read.events as usize, expected.len());
    assert_eq!(seen.into_inner().unwrap(), expected);
}

#[test]
fn an_append_past_the_bound_is_busy_and_costs_nothing() {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, Options { inflight_bytes: 1, ..options() });
    let mut refused = 0;
    for number in 0..200 {
        match journal.append(batch(&format!("{number}"), 100, 300)) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, pulseboardd::journal::AppendError::Busy);
                refused += 1;
            }
        }
    }
    until(|| journal.stats().inflight_bytes == 0);
    assert_eq!(journal.stats().events, (200 - refused) * 100);
}

#[test]
fn a_journal_of_a_newer_version_is_refused_and_left_as_it_is() {
    let disk = FakeDisk::default();
    let (journal, _) = open_on(&disk);
    journal.append(batch("a", 1, 0)).unwrap().wait().unwrap();
    journal.close();
    let segment = disk.names().into_iter().find(|path| path.extension().unwrap() == "seg").unwrap();
    disk.edit(&segment, |bytes| {
        for copy in [0, 2_048] {
            bytes[copy + 8] = 2;
            let crc = crc32c::crc32c(&bytes[copy..copy + 32]);
            bytes[copy + 32..copy + 36].copy_from_slice(&crc.to_le_bytes());
        }
    });
    let syncs = disk.syncs();
    let opened = open(std::sync::Arc::new(disk.clone()), options(), Clock::system());
    match opened {
        Err(error @ OpenError::Newer { found: 2, .. }) => {
            assert!(error.to_string().contains("written by a newer version"));
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it opened"),
    }
    assert_eq!(disk.syncs(), syncs);
}

#[test]
fn a_writer_beats_while_it_lives_and_falls_silent_when_its_disk_hangs() {
    let disk = FakeDisk::default();
    let clock = Clock::manual(0);
    let (journal, _) = open(Arc::new(disk.clone()), options(), clock.clone()).unwrap();
    clock.set_ms(60_000);
    until(|| journal.silent_for().is_zero());

    let hang = disk.hang_syncs();
    let pending = journal.append(batch("a", 1, 0)).unwrap();
    until(|| disk.hangs());
    clock.set_ms(120_000);
    assert_eq!(journal.silent_for(), Duration::from_mins(1));
    drop(hang);
    pending.wait().unwrap();
    until(|| journal.silent_for().is_zero());
}
