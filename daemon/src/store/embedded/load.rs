//! Opening the file, and reading what counting goes on from.

use std::path::Path;
use std::sync::Arc;

use pulseboard::limits::HISTORY_TICKS;
use pulseboard::tick::{Names, RouteTable, TickSummary, Totals};
use pulseboard::window::{Point, decode_frame, decode_point};
use pulseboard::wire::server::Nodes;
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::{Position, StoreError, schema};

/// One window's history point of a final tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadedPoint {
    /// The tick.
    pub tick: i64,
    /// Length of the window, in seconds.
    pub secs: u32,
    /// Its numbers.
    pub point: Point,
    /// How many ticks after its own it last changed; 0 for never.
    pub revised_after: i64,
    /// Whose numbers these are.
    pub nodes: Nodes,
}

/// What a store held when it was opened.
#[derive(Debug, Default)]
pub struct Loaded {
    /// How far it is.
    pub position: Position,
    /// The last ticks, ascending.
    pub ticks: Vec<(i64, Arc<TickSummary>)>,
    /// The last hour's points, ascending.
    pub points: Vec<LoadedPoint>,
    /// The names in `ticks`.
    pub names: Names,
}

/// Why a file cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("version {found}, known up to {known}")]
    Newer { found: i64, known: i64 },
    #[error("{0}")]
    Damaged(String),
    #[error("{0}")]
    Unusable(String),
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull,
            ) => Self::Unusable(text),
            _ => Self::Damaged(text),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Sqlite(error) => error.into(),
            StoreError::Damaged(error) => Self::Damaged(error.to_string()),
        }
    }
}

/// Opens or makes the file. Of the ticks that are final, the last `ticks_back` are loaded.
pub(super) fn open(path: &Path, ticks_back: i64) -> Result<(Connection, Loaded), Problem> {
    let connection = Connection::open(path)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > schema::VERSION {
        return Err(Problem::Newer { found: version, known: schema::VERSION });
    }
    connection.execute_batch(schema::EVERY)?;
    connection.execute_batch(schema::WRITER)?;
    if version == 0 {
        connection.execute_batch(&format!("BEGIN; {} COMMIT;", schema::TABLES))?;
    }
    let loaded = read(&connection, ticks_back)?;
    Ok((connection, loaded))
}

fn read(connection: &Connection, ticks_back: i64) -> Result<Loaded, StoreError> {
    let Some(position) = position(connection)? else { return Ok(Loaded::default()) };
    let mut loaded = Loaded { position, ..Loaded::default() };
    let from = position.folded_upto.min(position.final_upto - ticks_back);
    let mut query = connection
        .prepare("SELECT tick, totals, routes FROM ticks WHERE tick > ?1 ORDER BY tick")?;
    let mut rows = query.query([from])?;
    while let Some(row) = rows.next()? {
        let totals = Totals::decode(row.get_ref(1)?.as_blob().unwrap_or(&[]), &mut loaded.names)?;
        let mut routes = RouteTable::default();
        routes.merge_encoded(row.get_ref(2)?.as_blob().unwrap_or(&[]), &mut loaded.names)?;
        loaded.ticks.push((row.get(0)?, Arc::new(TickSummary { totals, routes })));
    }
    let from = position.final_upto - HISTORY_TICKS as i64;
    let mut query = connection
        .prepare("SELECT id, revised_after, frame FROM frames WHERE id > ?1 ORDER BY id")?;
    let mut rows = query.query([schema::frame_id(from, 0)])?;
    // The same for every window of a tick.
    let mut nodes = (i64::MIN, Nodes::ALONE);
    while let Some(row) = rows.next()? {
        let (tick, secs) = schema::frame_of(row.get(0)?);
        let frame = row.get_ref(2)?.as_blob().unwrap_or(&[]);
        let point = decode_point(frame)?;
        if nodes.0 != tick {
            nodes = (tick, decode_frame(frame, secs, tick)?.nodes);
        }
        let (revised_after, nodes) = (row.get(1)?, nodes.1);
        loaded.points.push(LoadedPoint { tick, secs, point, revised_after, nodes });
    }
    Ok(loaded)
}

/// Where the store stands as this connection sees it.
pub(super) fn position(connection: &Connection) -> Result<Option<Position>, rusqlite::Error> {
    let mut query = connection.prepare_cached(
        "SELECT commit_number, applied_seq, final_upto, folded_upto, last_event_ms FROM position",
    )?;
    let position = query.query_row([], |row| {
        Ok(Position {
            commit: row.get::<_, i64>(0)? as u64,
            applied_seq: row.get::<_, i64>(1)? as u64,
            final_upto: row.get(2)?,
            folded_upto: row.get(3)?,
            last_event_ms: row.get(4)?,
        })
    });
    position.optional()
}
