//! Ids are remembered exactly over the horizon, and forgotten, shortened and refused as stated.

use proptest::prelude::*;

use super::*;
use crate::ingest::Fingerprinter;

const NOW_MS: i64 = 1_763_884_800_000;

fn id(n: u64) -> u128 {
    Fingerprinter::new(&[1; 16]).of("default", &n.to_string())
}

fn ids(range: std::ops::Range<u64>) -> Vec<u128> {
    range.map(id).collect()
}

fn insert(dedupe: &Dedupe, ids: &[u128], at_ms: i64) -> Result<usize, DedupeFull> {
    dedupe.check_and_insert(ids, at_ms, &mut Vec::new())
}

#[test]
fn an_id_is_new_once_in_small_and_large_calls_and_within_one_call() {
    for count in [3, 5_000] {
        let dedupe = Dedupe::new(100_000, NOW_MS);
        let mut known = Vec::new();
        let all = ids(0..count);
        assert_eq!(dedupe.check_and_insert(&all, NOW_MS, &mut known), Ok(count as usize));
        assert!(known.iter().all(|known| !known));
        assert_eq!(dedupe.check_and_insert(&all, NOW_MS + 1, &mut known), Ok(0));
        assert!(known.len() == all.len() && known.iter().all(|known| *known));
        let twice = [id(count), id(1), id(count), id(count + 1)];
        assert_eq!(dedupe.check_and_insert(&twice, NOW_MS, &mut known), Ok(2));
        assert_eq!(known, [false, true, true, false]);
        assert_eq!(dedupe.ids(), count + 2);
    }
}

#[test]
fn an_id_is_remembered_for_the_horizon_and_a_little_more() {
    let dedupe = Dedupe::new(1_000, NOW_MS);
    assert_eq!(insert(&dedupe, &[id(1)], NOW_MS), Ok(1));
    let day_ms = limits::HORIZON_MS;
    assert_eq!(insert(&dedupe, &[id(1)], NOW_MS + day_ms + 64_000), Ok(0));
    assert_eq!(insert(&dedupe, &[id(1)], NOW_MS + day_ms + 71_000), Ok(1));
    assert_eq!(dedupe.ids(), 1);
    assert_eq!(dedupe.horizon_ms(NOW_MS + day_ms), day_ms);
}

#[test]
fn a_shorter_horizon_is_kept_to() {
    let dedupe = Dedupe::with_horizon(1_000, 3_600_000, NOW_MS);
    assert_eq!(dedupe.horizon_ms(NOW_MS), 3_600_000);
    assert_eq!(insert(&dedupe, &[id(1)], NOW_MS), Ok(1));
    assert_eq!(insert(&dedupe, &[id(1)], NOW_MS + 3_660_000), Ok(0));
    assert_eq!(insert(&dedupe, &[id(1)], NOW_MS + 3_671_000), Ok(1));
    assert_eq!(Dedupe::with_horizon(1, 0, NOW_MS).horizon_ms(NOW_MS), 65_000);
}

#[test]
fn past_the_most_ids_the_oldest_go_and_the_horizon_says_so() {
    let dedupe = Dedupe::new(1_000, NOW_MS);
    for minute in 0..20 {
        let at_ms = NOW_MS + minute * 60_000;
        let from = minute as u64 * 100;
        assert_eq!(insert(&dedupe, &ids(from..from + 100), at_ms), Ok(100), "minute {minute}");
        assert!(dedupe.ids() <= 1_000);
    }
    let now_ms = NOW_MS + 19 * 60_000;
    let horizon_ms = dedupe.horizon_ms(now_ms);
    assert!((65_000..=600_000).contains(&horizon_ms), "{horizon_ms}");
    // What arrived within the horizon is all there; the first minutes are gone.
    for minute in 0..20_u64 {
        let age_ms = now_ms - (NOW_MS + minute as i64 * 60_000);
        let known = dedupe.contains(id(minute * 100));
        if age_ms <= horizon_ms {
            assert!(known, "minute {minute}");
        }
        assert!(minute > 9 || !known, "minute {minute}");
    }
}

#[test]
fn too_many_young_ids_are_refused_and_repeats_still_answered() {
    let dedupe = Dedupe::new(1_000, NOW_MS);
    assert_eq!(insert(&dedupe, &ids(0..1_000), NOW_MS), Ok(1_000));
    assert_eq!(insert(&dedupe, &[id(5_000)], NOW_MS + 60_000), Err(DedupeFull));
    assert!(!dedupe.contains(id(5_000)), "nothing of a refused call is remembered");
    assert_eq!(insert(&dedupe, &ids(10..900), NOW_MS + 60_000), Ok(0));
    assert_eq!(dedupe.horizon_ms(NOW_MS + 60_000), limits::HORIZON_MS);
    assert_eq!(insert(&dedupe, &[id(5_000)], NOW_MS + 71_000), Ok(1), "65 s later there is room");
    assert_eq!(dedupe.horizon_ms(NOW_MS + 71_000), 65_000);
}

#[test]
fn released_ids_are_new_again_and_their_neighbours_stay() {
    let dedupe = Dedupe::new(100_000, NOW_MS);
    let all = ids(0..20_000);
    insert(&dedupe, &all, NOW_MS).unwrap();
    let gone: Vec<u128> = all.iter().copied().step_by(3).collect();
    dedupe.release(&gone, NOW_MS);
    dedupe.release(&gone, NOW_MS);
    assert_eq!(dedupe.ids(), (all.len() - gone.len()) as u64);
    for (index, id) in all.iter().enumerate() {
        assert_eq!(dedupe.contains(*id), index % 3 != 0, "{index}");
    }
    assert_eq!(insert(&dedupe, &all, NOW_MS), Ok(gone.len()));
}

#[test]
fn a_rebuild_knows_what_the_journal_held_and_for_how_long() {
    let dedupe = Dedupe::new(100_000, NOW_MS);
    dedupe.reserve(3_000);
    let arrivals: Vec<i64> = (0..1_000).map(|n| NOW_MS - n * 100_000).collect();
    std::thread::scope(|threads| {
        threads.spawn(|| dedupe.load(&ids(0..1_000), &arrivals));
        threads.spawn(|| dedupe.load(&ids(2_000..3_000), &[NOW_MS; 1_000]));
    });
    dedupe.load(&[id(2_000)], &[NOW_MS - 5_000_000]);
    assert!(dedupe.contains(id(0)) && dedupe.contains(id(800)));
    assert!(!dedupe.contains(id(870)), "over 24 h ago");
    assert_eq!(insert(&dedupe, &[id(2_000)], NOW_MS), Ok(0));
    let alive = arrivals.iter().filter(|ms| **ms >= NOW_MS - 86_465_000).count() as u64;
    assert!(dedupe.ids().abs_diff(alive + 1_000) <= 1, "{} {alive}", dedupe.ids());
}

#[test]
fn it_is_full_exactly_while_no_new_id_can_be_taken() {
    let dedupe = Dedupe::new(1_000, NOW_MS);
    insert(&dedupe, &ids(0..999), NOW_MS).unwrap();
    assert!(!dedupe.is_full(NOW_MS), "there is room for one");
    assert!(insert(&dedupe, &ids(2_000..3_000), NOW_MS).is_err());
    assert!(!dedupe.is_full(NOW_MS), "a call too large says nothing of others");
    insert(&dedupe, &[id(999)], NOW_MS).unwrap();
    for second in 0..120 {
        let now_ms = NOW_MS + second * 1_000;
        let probe = [id(10_000)];
        let full = dedupe.is_full(now_ms);
        let taken = insert(&dedupe, &probe, now_ms);
        assert_eq!(full, taken.is_err(), "after {second} s");
        if taken.is_ok() {
            assert!((65..=75).contains(&second), "after {second} s");
            return;
        }
    }
    panic!("it is full for ever");
}

#[test]
fn a_short_horizon_is_not_yet_a_full_memory() {
    let dedupe = Dedupe::new(1_000, NOW_MS);
    insert(&dedupe, &ids(0..1_000), NOW_MS).unwrap();
    let later_ms = NOW_MS + 80_000;
    insert(&dedupe, &ids(1_000..1_500), later_ms).unwrap();
    assert_eq!(dedupe.horizon_ms(later_ms), 65_000);
    assert!(!dedupe.is_full(later_ms));
}

#[test]
fn a_rebuild_of_more_than_fits_keeps_the_newest() {
    let dedupe = Dedupe::new(1_000, NOW_MS);
    let arrivals: Vec<i64> = (0..2_000).map(|n| NOW_MS - n * 1_000).collect();
    dedupe.load(&ids(0..2_000), &arrivals);
    assert!(dedupe.ids() <= 1_000);
    assert!(dedupe.contains(id(0)) && dedupe.contains(id(900)));
    assert!(!dedupe.contains(id(1_100)));
    assert!((dedupe.horizon_ms(NOW_MS) - 930_000).abs() <= 10_000);
}

#[test]
fn threads_that_send_the_same_ids_take_each_once() {
    let dedupe = Dedupe::new(1_000_000, NOW_MS);
    let taken: usize = std::thread::scope(|threads| {
        let runs: Vec<_> = (0..4)
            .map(|offset| {
                let dedupe = &dedupe;
                threads.spawn(move || {
                    (0..200)
                        .map(|call| {
                            let from = (call + offset * 7) % 200 * 100;
                            insert(dedupe, &ids(from..from + 150), NOW_MS).unwrap()
                        })
                        .sum::<usize>()
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    });
    assert_eq!((taken, dedupe.ids()), (20_050, 20_050));
}

proptest! {
    #[test]
    fn a_shard_answers_as_a_map_would(steps in proptest::collection::vec((0..3_u8, 0..400_u64, 0..50_u32), 1..600)) {
        let mut shard = Shard::new(Sizes::for_ids(100, 0, 1));
        let mut model = std::collections::HashMap::new();
        let (mut now, mut cutoff) = (1_000_u32, 0);
        for (what, n, later) in steps {
            now += later;
            cutoff = cutoff.max(now.saturating_sub(600));
            // All in one shard, and near one another.
            let id = u128::from(n % 100) << 90 | u128::from(n) | 1 << 70;
            match what {
                0 => {
                    let known = model.get(&id).is_some_and(|at| *at >= cutoff);
                    prop_assert_eq!(shard.insert(id, now, cutoff), !known);
                    if !known {
                        model.insert(id, now);
                    }
                }
                1 => {
                    let known = model.get(&id).is_some_and(|at| *at >= cutoff);
                    prop_assert_eq!(shard.contains(id, cutoff), known);
                }
                _ => {
                    let known = model.remove(&id).is_some_and(|at| at >= cutoff);
                    let removed = shard.remove(id);
                    prop_assert!(removed || !known);
                }
            }
        }
    }
}
