//! After any crash: every acknowledged batch is there exactly once, in order; one that was not
//! acknowledged is there whole or not at all; nothing is invented.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use pulseboardd::clock::Clock;
use pulseboardd::journal::{AppendError, Journal, Options, open};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fake_disk::FakeDisk;
use crate::support::{batch, followed, open_with, options, scanned};

/// What the appenders know.
#[derive(Default)]
struct Known {
    /// First sequence of each acknowledged batch.
    acknowledged: BTreeMap<String, u64>,
    /// Events of every batch that was tried.
    tried: BTreeMap<String, usize>,
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged() {
    let seeds = std::env::var("PULSEBOARD_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let first = std::env::var("PULSEBOARD_CRASH_FIRST").ok().and_then(|seed| seed.parse().ok());
    let first: u64 = first.unwrap_or(0);
    for seed in first..first + seeds.unwrap_or(150) {
        crash_repeatedly(seed);
    }
}

fn crash_repeatedly(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let known = Mutex::new(Known::default());
    let mut disk = FakeDisk::default();
    for round in 0..4 {
        // Some rounds die while opening, most while appending, rolling and merging.
        let operations = if random.random_bool(0.2) { 12 } else { 250 };
        disk.cut_power_after(random.random_range(0..operations));
        let options = Options { merge_after_ms: random.random_range(0..3), ..options() };
        let opened = open(std::sync::Arc::new(disk.clone()), options, Clock::system());
        if let Ok((journal, _)) = opened {
            std::thread::scope(|scope| {
                for appender in 0..3 {
                    let (journal, known) = (&journal, &known);
                    let name = format!("s{seed}r{round}a{appender}");
                    let seed = random.random();
                    scope.spawn(move || append_until_the_end(journal, &name, seed, known));
                }
            });
        }
        disk = disk.after_power_cut(random.random());
        // Another crash right after opening must not hurt either: what is read, is read from a
        // journal that was opened twice.
        if random.random_bool(0.3) {
            drop(open_with(&disk, self::options()));
            disk = disk.after_power_cut(random.random());
        }
        let (journal, _) = open_with(&disk, self::options());
        check(seed, round, &journal, &mut known.lock().unwrap());
        journal.close();
    }
}

fn append_until_the_end(journal: &Journal, name: &str, seed: u64, known: &Mutex<Known>) {
    let mut random = StdRng::seed_from_u64(seed);
    for number in 0.. {
        let name = format!("{name}n{number}");
        let (events, filler) = match random.random_range(0..10) {
            0 => (random.random_range(80..200), 400),
            1 | 2 => (random.random_range(2..30), 50),
            _ => (1, random.random_range(0..200)),
        };
        known.lock().unwrap().tried.insert(name.clone(), events);
        let answer = journal.append(batch(&name, events, filler));
        match answer.and_then(pulseboardd::journal::Pending::wait) {
            Ok(appended) => {
                assert_eq!(appended.count as usize, events);
                known.lock().unwrap().acknowledged.insert(name, appended.first_seq);
            }
            Err(AppendError::Failed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn check(seed: u64, round: i32, journal: &Journal, known: &mut Known) {
    let found = followed(journal);
    let context = format!("seed {seed} round {round}");
    let stats = journal.stats();
    let context = format!("{context}, damaged {:?}", stats.damaged);
    assert_eq!(found, scanned(journal), "{context}: tail and scan agree");
    assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0), "{context}: in order, once");
    let by_seq: BTreeMap<u64, &str> = found.iter().map(|(seq, id)| (*seq, id.as_str())).collect();
    for (name, first_seq) in &known.acknowledged {
        for index in 0..known.tried[name] {
            let id = format!("{name}.{index}");
            let there = by_seq.get(&(first_seq + index as u64));
            assert_eq!(there, Some(&id.as_str()), "{context}: acknowledged");
        }
    }
    let mut counts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, id) in &found {
        let (name, _) = id.rsplit_once('.').unwrap();
        assert!(counts.entry(name).or_default().insert(id), "{context}: {id} is there twice");
    }
    for (name, ids) in counts {
        assert_eq!(Some(&ids.len()), known.tried.get(name), "{context}: {name} is there whole");
    }
    // What survived unacknowledged stays where it is from now on.
    for (seq, id) in &found {
        let (name, index) = id.rsplit_once('.').unwrap();
        if index == "0" {
            known.acknowledged.insert(name.to_owned(), *seq);
        }
    }
}

#[test]
fn a_failed_sync_is_final_and_acknowledges_nothing() {
    let disk = FakeDisk::default();
    let (journal, _) = open_with(&disk, options());
    journal.append(batch("before", 1, 0)).unwrap().wait().unwrap();
    let fault = journal.fault();
    disk.fail_syncs();
    let pending: Vec<_> = (0..20).map(|n| journal.append(batch(&format!("{n}"), 1, 0))).collect();
    for pending in pending {
        let answer = pending.and_then(pulseboardd::journal::Pending::wait);
        assert_eq!(answer, Err(AppendError::Failed));
    }
    assert_eq!(journal.append(batch("after", 1, 0)).err(), Some(AppendError::Failed));
    assert!(fault.borrow().as_ref().unwrap().to_string().contains("the disk is broken"));
    assert_eq!(followed(&journal).len(), 1, "readers see nothing that is not durable");
}
