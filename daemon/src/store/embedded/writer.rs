//! The one connection that writes.
//!
//! A minute's rollup is added to by appending a part, never by reading it first: imports touch
//! minutes at random. A minute that gathered many parts is merged into one, a few at a time.

use std::collections::HashMap;

use pulseboard::sketch::DecodeError;
use pulseboard::tick::{Names, RouteTable, Totals};
use pulseboard::window::encode_frame;
use rusqlite::{Connection, params};

use super::{Commit, StoreError, schema};

/// A minute with this many parts is merged.
const PARTS_MAX: u32 = 16;
/// Minutes whose parts are counted; past it counting starts anew.
const COUNTED_MAX: usize = 100_000;
/// Minutes merged with one commit.
const MERGES: usize = 8;
/// Frames forgotten with one commit.
const FORGET_MAX: i64 = 2_000;

/// Writes commits.
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    /// Parts written to a minute since it was last merged.
    parts: HashMap<i64, u32>,
    /// Minutes to merge.
    to_merge: Vec<i64>,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(32);
        Self { connection, parts: HashMap::new(), to_merge: Vec::new() }
    }

    /// Writes a commit, whole or not at all.
    pub fn write(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        put_ticks(&transaction, commit)?;
        put_minutes(&transaction, commit)?;
        forget(&transaction, commit)?;
        let merging = self.to_merge.len().min(MERGES);
        for minute in &self.to_merge[..merging] {
            merge(&transaction, *minute)?;
        }
        let at = commit.position;
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO position
             (id, commit_number, applied_seq, final_upto, folded_upto, last_event_ms)
             VALUES (1, ?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                at.commit as i64,
                at.applied_seq as i64,
                at.final_upto,
                at.folded_upto,
                at.last_event_ms
            ])?;
        transaction.commit()?;
        self.to_merge.drain(..merging);
        self.count_parts(commit);
        Ok(())
    }

    fn count_parts(&mut self, commit: &Commit) {
        if self.parts.len() > COUNTED_MAX {
            self.parts.clear();
        }
        for (minute, _) in &commit.minutes {
            let parts = self.parts.entry(*minute).or_default();
            *parts += 1;
            if *parts >= PARTS_MAX {
                self.parts.remove(minute);
                self.to_merge.push(*minute);
            }
        }
    }
}

fn put_ticks(connection: &Connection, commit: &Commit) -> Result<(), StoreError> {
    let mut put = connection.prepare_cached(
        "INSERT OR REPLACE INTO ticks (tick, totals, routes) VALUES (?1, ?2, ?3)",
    )?;
    for (tick, summary) in &commit.ticks {
        put.execute(params![tick, summary.totals.encode(), summary.routes.encode()])?;
    }
    let mut put = connection.prepare_cached(
        "INSERT OR REPLACE INTO frames (id, revised_after, frame) VALUES (?1, ?2, ?3)",
    )?;
    for frame in &commit.frames {
        let id = schema::frame_id(frame.tick, frame.secs);
        put.execute(params![id, frame.revised_after, encode_frame(&frame.frame)])?;
    }
    Ok(())
}

fn put_minutes(connection: &Connection, commit: &Commit) -> Result<(), StoreError> {
    let mut totals =
        connection.prepare_cached("INSERT OR REPLACE INTO minutes (id, totals) VALUES (?1, ?2)")?;
    let mut routes = connection
        .prepare_cached("INSERT OR REPLACE INTO minute_routes (id, routes) VALUES (?1, ?2)")?;
    for (minute, summary) in &commit.minutes {
        let id = schema::part_id(*minute, commit.position.commit);
        totals.execute(params![id, summary.totals.encode()])?;
        routes.execute(params![id, summary.routes.encode()])?;
    }
    Ok(())
}

fn forget(connection: &Connection, commit: &Commit) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM ticks WHERE tick < ?1")?
        .execute([commit.forget_ticks_before])?;
    connection
        .prepare_cached(
            "DELETE FROM frames WHERE id IN (SELECT id FROM frames WHERE id < ?1 LIMIT ?2)",
        )?
        .execute([schema::frame_id(commit.forget_frames_before, 0), FORGET_MAX])?;
    if let Some(last) = commit.forget_after {
        connection.execute("DELETE FROM ticks WHERE tick > ?1", [last])?;
        connection.execute("DELETE FROM frames WHERE id >= ?1", [schema::frame_id(last + 1, 0)])?;
    }
    Ok(())
}

/// Merges the parts of a minute into one.
fn merge(connection: &Connection, minute: i64) -> Result<(), StoreError> {
    let (from, to) = (schema::part_id(minute, 0), schema::part_id(minute + 1, 0));
    let mut names = Names::default();
    let (mut totals, mut routes) = (Totals::default(), RouteTable::default());
    let mut last = None;
    {
        let mut query = connection.prepare_cached(
            "SELECT id, totals, routes FROM minutes JOIN minute_routes USING (id)
             WHERE id >= ?1 AND id < ?2 ORDER BY id",
        )?;
        let mut rows = query.query([from, to])?;
        while let Some(row) = rows.next()? {
            let blob = |index| -> Result<&[u8], StoreError> {
                let blob = row.get_ref(index)?.as_blob();
                Ok(blob.map_err(|_| DecodeError::Damaged("minute"))?)
            };
            totals.merge(&Totals::decode(blob(1)?, &mut names)?);
            routes.merge_encoded(blob(2)?, &mut names)?;
            last = Some(row.get::<_, i64>(0)?);
        }
    }
    let Some(last) = last else { return Ok(()) };
    for table in ["minutes", "minute_routes"] {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE id >= ?1 AND id < ?2"))?
            .execute([from, to])?;
    }
    connection
        .prepare_cached("INSERT INTO minutes (id, totals) VALUES (?1, ?2)")?
        .execute(params![last, totals.encode()])?;
    connection
        .prepare_cached("INSERT INTO minute_routes (id, routes) VALUES (?1, ?2)")?
        .execute(params![last, routes.encode()])?;
    Ok(())
}
