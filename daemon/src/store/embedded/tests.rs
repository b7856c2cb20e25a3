//! Files that cannot be used as they are.

use std::sync::Arc;

use pulseboard::tick::TickSummary;
use tempfile::TempDir;

use super::*;

fn written(dir: &TempDir, applied_seq: u64) {
    let store = Store::open(dir.path(), applied_seq + 1, 60).unwrap();
    let (_, mut writer, _) = store.into_parts();
    let position = Position { commit: 1, applied_seq, final_upto: 100, ..Position::default() };
    let ticks = vec![(101, Arc::new(TickSummary::default()))];
    writer.write(&Commit { position, ticks, ..Commit::default() }).unwrap();
}

#[test]
fn what_was_written_is_there_when_it_is_opened_again() {
    let dir = TempDir::new().unwrap();
    written(&dir, 7);
    let store = Store::open(dir.path(), 8, 60).unwrap();
    assert_eq!((store.applied_seq(), store.set_aside()), (7, None));
    assert_eq!(store.into_parts().0.ticks.len(), 1);
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    written(&dir, 7);
    let path = dir.path().join(FILE);
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Store::open(dir.path(), 8, 60).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 9, known: 1, .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_damaged_file_is_set_aside_and_made_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(FILE);
    std::fs::write(&path, "this is not a database, nor was it ever one").unwrap();
    let store = Store::open(dir.path(), 8, 60).unwrap();
    assert_eq!(store.applied_seq(), 0);
    let (_, aside) = store.set_aside().unwrap();
    assert!(std::fs::read(aside).unwrap().starts_with(b"this is not"));
}

#[test]
fn a_store_ahead_of_its_journal_is_made_again() {
    let dir = TempDir::new().unwrap();
    written(&dir, 7);
    let store = Store::open(dir.path(), 5, 60).unwrap();
    assert_eq!(store.applied_seq(), 0);
    assert!(store.set_aside().is_some());
}

#[test]
fn minutes_with_many_parts_are_merged_and_keep_their_sums() {
    let dir = TempDir::new().unwrap();
    let (_, mut writer, reader) = Store::open(dir.path(), 1, 60).unwrap().into_parts();
    let mut summary = TickSummary::default();
    summary.totals.events = 3;
    let summary = Arc::new(summary);
    for commit in 1..=50 {
        let position = Position { commit, ..Position::default() };
        let minutes = vec![(-5, Arc::clone(&summary)), (29_398_080, Arc::clone(&summary))];
        writer.write(&Commit { position, minutes, ..Commit::default() }).unwrap();
    }
    let snapshot = reader.connect().unwrap();
    assert_eq!(snapshot.begin().unwrap().commit, 50);
    let (mut parts, mut events) = (0, 0);
    let mut each = |minute: i64, blob: &[u8]| {
        assert!(minute == -5 || minute == 29_398_080);
        let mut names = pulseboard::tick::Names::default();
        events += pulseboard::tick::Totals::decode(blob, &mut names)?.events;
        parts += 1;
        Ok(())
    };
    snapshot.minutes((-10, 29_398_081), &mut each).unwrap();
    assert_eq!(events, 2 * 50 * 3);
    assert!(parts < 40, "{parts}");
}
