//! A full disk refuses what does not fit, keeps nothing of it, and is forgotten when there is
//! space again.

use pulseboardd::journal::AppendError;

use crate::fake_disk::FakeDisk;
use crate::support::{batch, followed, open_on, until};

#[test]
fn a_full_disk_refuses_and_recovers_by_itself() {
    let disk = FakeDisk::default();
    let (journal, _) = open_on(&disk);
    disk.limit_space(Some(300 * 1024));
    let mut accepted = 0_u64;
    let mut refused = None;
    for number in 0..100 {
        match journal.append(batch(&format!("{number}"), 100, 400)).unwrap().wait() {
            Ok(appended) => {
                assert_eq!(appended.first_seq, accepted + 1, "refused batches leave no gap");
                accepted += 100;
            }
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert_eq!(refused, Some(AppendError::DiskFull));
    assert!(journal.stats().disk_full);
    assert_eq!(followed(&journal).len() as u64, accepted, "reading goes on");

    disk.limit_space(None);
    let appended = journal.append(batch("again", 100, 400)).unwrap().wait().unwrap();
    assert_eq!(appended.first_seq, accepted + 1);
    until(|| !journal.stats().disk_full);
    let all = followed(&journal);
    journal.close();
    let (journal, recovery) = open_on(&disk);
    assert_eq!((recovery.damaged.len(), recovery.events), (0, accepted + 100));
    assert_eq!(followed(&journal), all);
}

#[test]
fn small_appends_on_a_full_disk_are_refused_once_the_heads_are_full_and_lose_nothing() {
    let disk = FakeDisk::default();
    let (journal, _) = open_on(&disk);
    disk.limit_space(Some(0));
    let mut kept = Vec::new();
    let mut refusals = 0;
    for number in 0..4_000 {
        let name = format!("{number}");
        match journal.append(batch(&name, 1, 400)).unwrap().wait() {
            Ok(_) => kept.push(format!("{name}.0")),
            Err(AppendError::DiskFull) => refusals += 1,
            Err(error) => panic!("{error}"),
        }
        if refusals > 20 {
            break;
        }
    }
    assert!(refusals > 20, "the disk has an end");
    disk.limit_space(None);
    journal.append(batch("again", 1, 0)).unwrap().wait().unwrap();
    kept.push("again.0".to_owned());
    let ids = |all: Vec<(u64, String)>| all.into_iter().map(|(_, id)| id).collect::<Vec<_>>();
    assert_eq!(ids(followed(&journal)), kept);
    journal.close();
    let (journal, _) = open_on(&disk);
    assert_eq!(ids(followed(&journal)), kept);
}
