//! The tables, and how their keys are made.
//!
//! `user_version` is the version of what follows. Blobs carry versions of their own.

/// Version of the schema.
pub(super) const VERSION: i64 = 1;

/// Version 1. Totals and routes are apart so that long histories never read routes.
pub(super) const TABLES: &str = "
    CREATE TABLE position (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        commit_number INTEGER NOT NULL,
        applied_seq INTEGER NOT NULL,
        final_upto INTEGER NOT NULL,
        folded_upto INTEGER NOT NULL,
        last_event_ms INTEGER
    );
    CREATE TABLE ticks (tick INTEGER PRIMARY KEY, totals BLOB NOT NULL, routes BLOB NOT NULL);
    CREATE TABLE frames (id INTEGER PRIMARY KEY, revised_after INTEGER NOT NULL, frame BLOB NOT NULL);
    CREATE TABLE minutes (id INTEGER PRIMARY KEY, totals BLOB NOT NULL);
    CREATE TABLE minute_routes (id INTEGER PRIMARY KEY, routes BLOB NOT NULL);
    PRAGMA user_version = 1;
";

/// Every connection: a small cache, since an idle daemon should be small, and patience.
pub(super) const EVERY: &str = "
    PRAGMA cache_size = -1024;
    PRAGMA temp_store = MEMORY;
    PRAGMA busy_timeout = 5000;
";

/// The writing connection.
pub(super) const WRITER: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA journal_size_limit = 16777216;
    PRAGMA cache_size = -4096;
";

/// The key of a window's frame: frames of a tick are neighbours.
pub(super) fn frame_id(tick: i64, secs: u32) -> i64 {
    (tick << 16) | i64::from(secs.min(0xffff))
}

/// The tick and the window of a frame's key.
pub(super) fn frame_of(id: i64) -> (i64, u32) {
    (id >> 16, (id & 0xffff) as u32)
}

/// The key of a part of a minute: parts of a minute are neighbours, in order of their commits.
pub(super) fn part_id(minute: i64, commit: u64) -> i64 {
    (minute << 32) | (commit & 0xffff_ffff) as i64
}

/// The minute of a part's key.
pub(super) fn minute_of_part(id: i64) -> i64 {
    id >> 32
}
