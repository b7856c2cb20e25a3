//! Summaries as bytes: totals and routes apart, so that what needs only the totals reads only them.
//!
//! Both start with a version byte (a newer one is refused). Totals follow as they are: most of them
//! is a sketch that does not shrink. Routes follow as an LZ4 block of rows sorted by name, each name
//! without what it shares with the one before, so that equal tables are equal bytes.

use lz4_flex::block::{compress_prepend_size, decompress_size_prepended};

use super::{Names, RouteTable, TickSummary, Totals, TypeCounts, name_hash};
use crate::limits::{ROUTE_BYTES, SUMMARY_VERSION};
use crate::sketch::{DecodeError, Distinct, LatencyBins, Reader, SparseBins, Writer};

impl TickSummary {
    /// Both parts in one.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.blob(&self.totals.encode());
        writer.blob(&self.routes.encode());
        writer.into_bytes()
    }

    /// Reads what [`TickSummary::encode`] wrote.
    pub fn decode(bytes: &[u8], names: &mut Names) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let totals = Totals::decode(reader.blob()?, names)?;
        let mut routes = RouteTable::default();
        routes.merge_encoded(reader.blob()?, names)?;
        if !reader.is_done() {
            return Err(DecodeError::Damaged("end"));
        }
        Ok(Self { totals, routes })
    }
}

impl Totals {
    /// The serialised form: some 30 bytes for an idle tick, 5 KB at most.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.byte(SUMMARY_VERSION);
        writer.unsigned(self.events);
        writer.unsigned(self.errors);
        self.classes.iter().for_each(|count| writer.unsigned(*count));
        let types = self.types.sorted();
        writer.unsigned(types.len() as u64);
        for (kind, count) in types {
            writer.blob(kind.as_bytes());
            writer.unsigned(count);
        }
        self.users.encode(&mut writer);
        self.sessions.encode(&mut writer);
        self.latency.encode(&mut writer);
        writer.unsigned(self.late);
        writer.unsigned(self.skewed);
        writer.byte(u8::from(self.last_event_ms.is_some()));
        writer.signed(self.last_event_ms.unwrap_or(0));
        writer.into_bytes()
    }

    /// Reads what [`Totals::encode`] wrote.
    pub fn decode(bytes: &[u8], names: &mut Names) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(SUMMARY_VERSION)?;
        let (events, errors) = (reader.unsigned()?, reader.unsigned()?);
        let mut classes = [0; 5];
        for count in &mut classes {
            *count = reader.unsigned()?;
        }
        let mut types = TypeCounts::default();
        for _ in 0..reader.count(2)? {
            let kind = text(reader.blob()?)?;
            let hash = name_hash(kind);
            types.add_many(hash, &names.intern(hash, kind), reader.unsigned()?);
        }
        let totals = Self {
            events,
            errors,
            classes,
            types,
            users: Distinct::decode(&mut reader)?,
            sessions: Distinct::decode(&mut reader)?,
            latency: LatencyBins::decode(&mut reader)?,
            late: reader.unsigned()?,
            skewed: reader.unsigned()?,
            last_event_ms: match (reader.byte()?, reader.signed()?) {
                (0, _) => None,
                (_, ms) => Some(ms),
            },
        };
        if reader.is_done() { Ok(totals) } else { Err(DecodeError::Damaged("end")) }
    }
}

impl RouteTable {
    /// The serialised form: about 10 bytes a route and 2 for each of its latency bins.
    pub fn encode(&self) -> Vec<u8> {
        let mut rows: Vec<_> = self.rows().iter().collect();
        rows.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut body = Writer::default();
        body.unsigned(self.other_events);
        body.unsigned(self.other_errors);
        body.unsigned(rows.len() as u64);
        let mut before = "";
        for row in rows {
            let same = before.bytes().zip(row.name.bytes()).take_while(|(a, b)| a == b).count();
            body.unsigned(same as u64);
            body.blob(&row.name.as_bytes()[same..]);
            body.unsigned(row.events);
            body.unsigned(row.errors);
            row.latency.encode(&mut body);
            before = &row.name;
        }
        let mut bytes = vec![SUMMARY_VERSION];
        bytes.extend(compress_prepend_size(&body.into_bytes()));
        bytes
    }

    /// Adds a serialised table.
    pub fn merge_encoded(&mut self, bytes: &[u8], names: &mut Names) -> Result<(), DecodeError> {
        let mut header = Reader::new(bytes);
        header.version(SUMMARY_VERSION)?;
        let damaged = || DecodeError::Damaged("route table");
        let block = &bytes[1..];
        let size = block.first_chunk::<4>().ok_or(DecodeError::Truncated)?;
        // LZ4 never does better than 255 to 1: a larger claim is not worth its memory.
        if u32::from_le_bytes(*size) as usize > block.len().saturating_mul(255) {
            return Err(damaged());
        }
        let body = decompress_size_prepended(block).map_err(|_| damaged())?;
        let mut reader = Reader::new(&body);
        self.other_events += reader.unsigned()?;
        self.other_errors += reader.unsigned()?;
        let mut name = Vec::with_capacity(ROUTE_BYTES);
        for _ in 0..reader.count(5)? {
            let same = reader.unsigned()? as usize;
            if same > name.len() {
                return Err(damaged());
            }
            name.truncate(same);
            name.extend_from_slice(reader.blob()?);
            let counts = (reader.unsigned()?, reader.unsigned()?);
            let latency = SparseBins::decode(&mut reader)?;
            self.merge_row(text(&name)?, counts, &latency, names);
        }
        if reader.is_done() { Ok(()) } else { Err(damaged()) }
    }
}

fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::Damaged("text"))
}
