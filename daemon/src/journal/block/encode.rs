//! From a batch to a block's bytes, on the core of whoever appends it.
//!
//! The header is left blank: sequence, file and position are the writer's to know, who seals it.

use std::cell::RefCell;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use pulseboard::event::{EventBatch, Row, Span};
use std::hash::BuildHasher;

use super::{Column, ENTRY_BYTES, HEADER_BYTES, Header, padded, varint};

/// Columns shorter than this are not worth packing.
const PACK_BYTES_MIN: usize = 512;
/// Scratch space a thread keeps between blocks; what one large block needed beyond is given back.
const SCRATCH_BYTES_KEPT: usize = 256 * 1024;

/// A block without its place: `header` lacks sequence and position, and is not written into
/// `bytes` yet.
#[derive(Debug)]
pub(in crate::journal) struct Encoded {
    pub(in crate::journal) header: Header,
    pub(in crate::journal) bytes: Vec<u8>,
}

struct Scratch {
    small: CompressTable,
    large: CompressTable,
    packed: Vec<u8>,
    distinct: HashTable<u32>,
    entries: Vec<Span>,
    numbers: Vec<u32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        small: CompressTable::small(),
        large: CompressTable::large(),
        packed: Vec::new(),
        distinct: HashTable::new(),
        entries: Vec::new(),
        numbers: Vec::new(),
    });
}

/// Encodes a batch that has at least one event.
pub(in crate::journal) fn encode(batch: &EventBatch, merged: bool) -> Encoded {
    SCRATCH.with_borrow_mut(|scratch| encode_with(batch, merged, scratch))
}

fn encode_with(batch: &EventBatch, merged: bool, scratch: &mut Scratch) -> Encoded {
    let rows = batch.rows();
    let shape = Shape::of(rows);
    let columns = shape.columns();
    let directory = HEADER_BYTES + columns.len() * ENTRY_BYTES;
    let mut out = Vec::with_capacity(directory + shape.bytes_max(rows.len()));
    out.resize(directory, 0);
    let mut text_len = 0;
    for (index, &column) in columns.iter().enumerate() {
        let start = out.len();
        text_len += shape.put(column, batch, &mut out, scratch);
        let packed = column != Column::Fingerprint && pack(&mut out, start, scratch);
        let entry = HEADER_BYTES + index * ENTRY_BYTES;
        let len = (out.len() - start) as u32;
        let crc = crc32c::crc32c(&out[start..]);
        out[entry] = column as u8;
        out[entry + 1] = u8::from(packed);
        out[entry + 4..entry + 8].copy_from_slice(&len.to_le_bytes());
        out[entry + 8..entry + 12].copy_from_slice(&crc.to_le_bytes());
    }
    if scratch.packed.len() > SCRATCH_BYTES_KEPT {
        scratch.packed = Vec::new();
    }
    let body_len = (out.len() - HEADER_BYTES) as u32;
    let directory_crc = crc32c::crc32c(&out[HEADER_BYTES..directory]);
    out.resize(padded(out.len() as u64) as usize, 0);
    let header = Header {
        columns: columns.len() as u8,
        merged,
        count: rows.len() as u32,
        body_len,
        first_seq: 0,
        arrival_ms: shape.arrival_ms,
        timestamp_ms: shape.timestamp_ms,
        synced_to: 0,
        text_len: text_len as u32,
        directory_crc,
        seen_seq: 0,
    };
    Encoded { header, bytes: out }
}

/// Packs `out[start..]` in place where that saves an eighth.
fn pack(out: &mut Vec<u8>, start: usize, scratch: &mut Scratch) -> bool {
    let len = out.len() - start;
    if len < PACK_BYTES_MIN {
        return false;
    }
    let room = get_maximum_output_size(len);
    if scratch.packed.len() < room {
        scratch.packed.resize(room, 0);
    }
    let table = if len < usize::from(u16::MAX) { &mut scratch.small } else { &mut scratch.large };
    match compress_into_with_table(&out[start..], &mut scratch.packed, table) {
        Ok(packed) if packed + 4 <= len - len / 8 => {
            out.truncate(start);
            out.extend_from_slice(&(len as u32).to_le_bytes());
            out.extend_from_slice(&scratch.packed[..packed]);
            true
        }
        _ => false,
    }
}

/// What one pass over the rows says about which columns there must be.
struct Shape {
    arrival_ms: (i64, i64),
    timestamp_ms: (i64, i64),
    own_time: bool,
    flags: bool,
    status: bool,
    latency: bool,
    /// Bytes of text of type, route, site, eventId, userId, sessionId, clientId, props.
    text: [usize; 8],
}

/// A column of text and where a row says its text is.
type TextOf = (Column, fn(&Row) -> Span);

const TEXTS: [TextOf; 8] = [
    (Column::Type, |row| row.kind),
    (Column::Route, |row| row.route),
    (Column::Site, |row| row.site),
    (Column::EventId, |row| row.event_id),
    (Column::UserId, |row| row.user_id),
    (Column::SessionId, |row| row.session_id),
    (Column::ClientId, |row| row.client_id),
    (Column::Props, |row| row.props),
];

impl Shape {
    fn of(rows: &[Row]) -> Self {
        let mut shape = Self {
            arrival_ms: (i64::MAX, i64::MIN),
            timestamp_ms: (i64::MAX, i64::MIN),
            own_time: false,
            flags: false,
            status: false,
            latency: false,
            text: [0; 8],
        };
        for row in rows {
            let (arrival, timestamp) = (&mut shape.arrival_ms, &mut shape.timestamp_ms);
            *arrival = (arrival.0.min(row.arrival_ms), arrival.1.max(row.arrival_ms));
            *timestamp = (timestamp.0.min(row.timestamp_ms), timestamp.1.max(row.timestamp_ms));
            shape.own_time |= row.arrival_ms != row.timestamp_ms;
            shape.flags |= flags(row) != 0;
            shape.status |= row.status != 0;
            shape.latency |= !row.latency_ms.is_nan();
            for (sum, (_, span)) in shape.text.iter_mut().zip(TEXTS) {
                *sum += usize::from(span(row).len);
            }
        }
        shape
    }

    fn columns(&self) -> Vec<Column> {
        let mut columns = Vec::with_capacity(14);
        let fixed = [
            (Column::Arrival, self.arrival_ms.0 != self.arrival_ms.1),
            (Column::Fingerprint, true),
            (Column::Timestamp, self.own_time),
            (Column::Flags, self.flags),
            (Column::Status, self.status),
            (Column::Latency, self.latency),
        ];
        columns.extend(fixed.iter().filter(|(_, present)| *present).map(|(column, _)| *column));
        let texts = TEXTS.iter().zip(self.text).filter(|(_, sum)| *sum > 0);
        columns.extend(texts.map(|((column, _), _)| *column));
        columns
    }

    /// Room for the columns before packing; a guess, not a bound.
    fn bytes_max(&self, events: usize) -> usize {
        events * 48 + self.text[1..].iter().sum::<usize>() + 64
    }

    /// Appends a column; returns the bytes of text it decodes to.
    fn put(
        &self,
        column: Column,
        batch: &EventBatch,
        out: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> usize {
        let rows = batch.rows();
        match column {
            Column::Arrival => {
                let mut before = self.arrival_ms.0;
                for row in rows {
                    varint::put(out, varint::zigzag(row.arrival_ms.wrapping_sub(before)));
                    before = row.arrival_ms;
                }
            }
            Column::Fingerprint => {
                for row in rows {
                    out.extend_from_slice(&row.fingerprint.to_le_bytes());
                }
            }
            Column::Timestamp => {
                for row in rows {
                    let delta = row.timestamp_ms.wrapping_sub(row.arrival_ms);
                    varint::put(out, varint::zigzag(delta));
                }
            }
            Column::Flags => out.extend(rows.iter().map(flags)),
            Column::Status => {
                for row in rows {
                    out.extend_from_slice(&row.status.to_le_bytes());
                }
            }
            Column::Latency => rows.iter().for_each(|row| put_latency(out, row.latency_ms)),
            Column::Type => return put_dictionary(out, batch, |row| row.kind, scratch),
            Column::Route => return put_dictionary(out, batch, |row| row.route, scratch),
            Column::Site => return put_dictionary(out, batch, |row| row.site, scratch),
            Column::EventId => return put_text(out, batch, |row| row.event_id),
            Column::UserId => return put_text(out, batch, |row| row.user_id),
            Column::SessionId => return put_text(out, batch, |row| row.session_id),
            Column::ClientId => return put_text(out, batch, |row| row.client_id),
            Column::Props => return put_text(out, batch, |row| row.props),
        }
        0
    }
}

fn flags(row: &Row) -> u8 {
    row.class as u8 | row.error.map_or(0, |error| 1 + u8::from(error)) << 2
}

/// A float that is a whole number, or one of thousandths, in few bytes; any other as it is.
fn put_latency(out: &mut Vec<u8>, value: f64) {
    const WHOLE_MAX: f64 = (1_u64 << 52) as f64;
    if value.is_nan() {
        return out.push(0);
    }
    let same = |back: f64| back.to_bits() == value.to_bits();
    if (0.0..WHOLE_MAX).contains(&value) {
        let whole = value as u64;
        if same(whole as f64) {
            return varint::put(out, whole << 2 | 1);
        }
        let thousandths = (value * 1_000.0).round();
        if thousandths < WHOLE_MAX && same(thousandths / 1_000.0) {
            return varint::put(out, (thousandths as u64) << 2 | 2);
        }
    }
    out.push(3);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, batch: &EventBatch, span: impl Fn(&Row) -> Span) -> usize {
    for row in batch.rows() {
        varint::put(out, u64::from(span(row).len));
    }
    let start = out.len();
    for row in batch.rows() {
        out.extend_from_slice(batch.text(span(row)).as_bytes());
    }
    out.len() - start
}

fn put_dictionary(
    out: &mut Vec<u8>,
    batch: &EventBatch,
    span: impl Fn(&Row) -> Span,
    scratch: &mut Scratch,
) -> usize {
    let Scratch { distinct, entries, numbers, .. } = scratch;
    distinct.clear();
    entries.clear();
    numbers.clear();
    let hasher = FixedState::default();
    let hash = |span: &Span| hasher.hash_one(batch.text(*span).as_bytes());
    let mut last = 0;
    for row in batch.rows() {
        let this = span(row);
        let same = entries.get(last as usize).is_some_and(|&entry: &Span| {
            entry == this || (entry.len == this.len && batch.text(entry) == batch.text(this))
        });
        if !same {
            let equal = |&number: &u32| batch.text(entries[number as usize]) == batch.text(this);
            let hashed = hash(&this);
            last = if let Some(&number) = distinct.find(hashed, equal) {
                number
            } else {
                let number = entries.len() as u32;
                entries.push(this);
                distinct.insert_unique(hashed, number, |&n| hash(&entries[n as usize]));
                number
            };
        }
        numbers.push(last);
    }
    varint::put(out, entries.len() as u64);
    for entry in entries.iter() {
        varint::put(out, u64::from(entry.len));
    }
    let start = out.len();
    for entry in entries.iter() {
        out.extend_from_slice(batch.text(*entry).as_bytes());
    }
    let text_len = out.len() - start;
    for &number in numbers.iter() {
        varint::put(out, u64::from(number));
    }
    text_len
}
