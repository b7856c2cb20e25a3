//! Connections that read, each in a transaction of its own: what it sees does not change while it
//! reads, whatever is written meanwhile.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use pulseboard::window::decode_frame;
use pulseboard::wire::server::Aggregate;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{Position, StoreError, load, schema};

/// Connections kept open for the next reader; more are opened when needed, and closed after.
const IDLE_MAX: usize = 2;

/// Takes a tick or a minute and its blob.
type Each<'a> = dyn FnMut(i64, &[u8]) -> Result<(), StoreError> + 'a;

/// Takes a tick, its totals and its routes.
type EachWhole<'a> = dyn FnMut(i64, &[u8], &[u8]) -> Result<(), StoreError> + 'a;

/// Opens snapshots.
#[derive(Clone, Debug)]
pub struct Reader {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
}

/// The store as it was at one moment.
#[derive(Debug)]
pub struct Snapshot {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Reader {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Arc::default() }
    }

    /// A connection for a snapshot that has not begun.
    pub fn connect(&self) -> Result<Snapshot, StoreError> {
        let idle = self.idle.lock().pop();
        let connection = if let Some(connection) = idle {
            connection
        } else {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.execute_batch(schema::EVERY)?;
            connection
        };
        Ok(Snapshot { connection: Some(connection), idle: Arc::clone(&self.idle) })
    }
}

impl Snapshot {
    /// Fixes what this snapshot sees, and says where that is. Some 10 us.
    pub fn begin(&self) -> Result<Position, StoreError> {
        self.connection().execute_batch("BEGIN")?;
        Ok(load::position(self.connection())?.unwrap_or_default())
    }

    /// A final frame.
    pub fn frame(&self, secs: u32, tick: i64) -> Result<Option<Aggregate>, StoreError> {
        let mut query =
            self.connection().prepare_cached("SELECT frame FROM frames WHERE id = ?1")?;
        let id = schema::frame_id(tick, secs);
        let bytes: Option<Vec<u8>> = query.query_row([id], |row| row.get(0)).optional()?;
        Ok(bytes.map(|bytes| decode_frame(&bytes, secs, tick)).transpose()?)
    }

    /// Totals of the ticks of `from..to`, ascending.
    pub fn ticks(&self, (from, to): (i64, i64), each: &mut Each<'_>) -> Result<(), StoreError> {
        let query = "SELECT tick, totals FROM ticks WHERE tick >= ?1 AND tick < ?2 ORDER BY tick";
        self.each(query, (from, to), each)
    }

    /// Totals and routes of the ticks of `from..to`, ascending.
    pub fn whole_ticks(
        &self,
        (from, to): (i64, i64),
        each: &mut EachWhole<'_>,
    ) -> Result<(), StoreError> {
        let mut query = self.connection().prepare_cached(
            "SELECT tick, totals, routes FROM ticks WHERE tick >= ?1 AND tick < ?2 ORDER BY tick",
        )?;
        let mut rows = query.query([from, to])?;
        while let Some(row) = rows.next()? {
            let blob = |column| Ok::<_, StoreError>(row.get_ref(column)?.as_blob().unwrap_or(&[]));
            each(row.get(0)?, blob(1)?, blob(2)?)?;
        }
        Ok(())
    }

    /// Minutes after `after` that there are parts of, ascending, at most `limit`.
    pub fn minutes_after(&self, after: i64, limit: usize) -> Result<Vec<i64>, StoreError> {
        let mut next = self
            .connection()
            .prepare_cached("SELECT id FROM minutes WHERE id >= ?1 ORDER BY id LIMIT 1")?;
        let (mut minutes, mut after) = (Vec::new(), after);
        while minutes.len() < limit {
            let from = schema::part_id(after.saturating_add(1), 0);
            let id: Option<i64> = next.query_row([from], |row| row.get(0)).optional()?;
            let Some(id) = id else { break };
            after = schema::minute_of_part(id);
            minutes.push(after);
        }
        Ok(minutes)
    }

    /// Totals of the parts of the minutes of `from..to`, ascending.
    pub fn minutes(&self, (from, to): (i64, i64), each: &mut Each<'_>) -> Result<(), StoreError> {
        let query = "SELECT id, totals FROM minutes WHERE id >= ?1 AND id < ?2 ORDER BY id";
        let range = (schema::part_id(from, 0), schema::part_id(to, 0));
        self.each(query, range, &mut |id, blob| each(schema::minute_of_part(id), blob))
    }

    /// Routes of the parts of the minutes of `from..to`, ascending.
    pub fn minute_routes(
        &self,
        (from, to): (i64, i64),
        each: &mut Each<'_>,
    ) -> Result<(), StoreError> {
        let query = "SELECT id, routes FROM minute_routes WHERE id >= ?1 AND id < ?2 ORDER BY id";
        let range = (schema::part_id(from, 0), schema::part_id(to, 0));
        self.each(query, range, &mut |id, blob| each(schema::minute_of_part(id), blob))
    }

    fn each(
        &self,
        query: &str,
        (from, to): (i64, i64),
        each: &mut Each<'_>,
    ) -> Result<(), StoreError> {
        let mut query = self.connection().prepare_cached(query)?;
        let mut rows = query.query([from, to])?;
        while let Some(row) = rows.next()? {
            each(row.get(0)?, row.get_ref(1)?.as_blob().unwrap_or(&[]))?;
        }
        Ok(())
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("taken only when dropped")
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if !connection.is_autocommit() && connection.execute_batch("COMMIT").is_err() {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }
}
