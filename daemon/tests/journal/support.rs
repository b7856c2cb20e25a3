//! Batches whose content says who they are, and journals small enough to roll often.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use pulseboard::event::{Class, EventBatch, Row, Span};
use pulseboardd::clock::Clock;
use pulseboardd::journal::{Disk, Journal, Options, Recovery, ScanRange, Tail, TailItem, open};

pub(crate) const NOW_MS: i64 = 1_763_884_800_000;

/// Small files, so that a test fills several.
pub(crate) fn options() -> Options {
    Options {
        segment_bytes: 256 * 1024,
        head_bytes: 64 * 1024,
        merge_after_ms: 1,
        ..Options::new("journal")
    }
}

pub(crate) fn open_on(disk: &(impl Disk + Clone + 'static)) -> (Journal, Recovery) {
    open_with(disk, options())
}

pub(crate) fn open_with(
    disk: &(impl Disk + Clone + 'static),
    options: Options,
) -> (Journal, Recovery) {
    open(Arc::new(disk.clone()), options, Clock::system()).unwrap()
}

/// `events` events called `name.0`, `name.1`, ..., each with about `filler` bytes of props.
pub(crate) fn batch(name: &str, events: usize, filler: usize) -> EventBatch {
    batch_at(name, events, filler, NOW_MS)
}

pub(crate) fn batch_at(name: &str, events: usize, filler: usize, arrival_ms: i64) -> EventBatch {
    let mut batch = EventBatch::default();
    for index in 0..events {
        let id = format!("{name}.{index}");
        let fingerprint = fingerprint(&id);
        // Noise, so that packing does not make a large batch small.
        let mut noise = fingerprint as u64 | 1;
        let mut props = String::from("{\"f\":\"");
        while props.len() < filler {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(97);
            write!(props, "{noise:016x}").unwrap();
        }
        props.push_str("\"}");
        let row = Row {
            fingerprint,
            arrival_ms,
            timestamp_ms: arrival_ms - 5,
            event_id: batch.add_text(&id),
            route: batch.add_text("/checkout"),
            kind: batch.add_text("page_view"),
            site: batch.add_text("default"),
            props: if filler > 0 { batch.add_text(&props) } else { Span::default() },
            class: Class::Live,
            ..Row::default()
        };
        batch.push(row);
    }
    batch
}

pub(crate) fn fingerprint(id: &str) -> u128 {
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in id.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    hash
}

/// All events, as `(sequence, id)`, by following from the start.
pub(crate) fn followed(journal: &Journal) -> Vec<(u64, String)> {
    let mut tail = journal.tail(1);
    let mut all = Vec::new();
    while tail.next_seq() < journal.next_seq() {
        // What is durable is there at once; behind the last event there may be sequences that
        // nobody has.
        match tail.next(Duration::ZERO) {
            TailItem::Events { first_seq, batch } => all.extend(ids(first_seq, &batch)),
            TailItem::Idle | TailItem::Closed => break,
        }
    }
    all
}

/// The next batch of a tail, as `(sequence, id)`.
pub(crate) fn next(tail: &mut Tail) -> Option<Vec<(u64, String)>> {
    match tail.next(Duration::from_secs(5)) {
        TailItem::Events { first_seq, batch } => Some(ids(first_seq, &batch)),
        TailItem::Idle | TailItem::Closed => None,
    }
}

/// All events, as `(sequence, id)`, by scanning from the newest; in ascending order.
pub(crate) fn scanned(journal: &Journal) -> Vec<(u64, String)> {
    let batches: Vec<_> = journal.scan(ScanRange::default()).collect();
    batches.iter().rev().flat_map(|(first_seq, batch)| ids(*first_seq, batch)).collect()
}

pub(crate) fn ids(first_seq: u64, batch: &EventBatch) -> Vec<(u64, String)> {
    let ids = batch.iter().map(|event| event.event_id().to_owned());
    (first_seq..).zip(ids).collect()
}

/// Waits until `done` holds; what is waited for is bound to happen.
pub(crate) fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it never happened");
}
