//! From a block's bytes back to a batch, or to the two columns dedupe is rebuilt from.
//!
//! Every column is verified by its checksum before it is read, and every length against what is
//! there, so that no bytes, however damaged, do more than return [`Damage`].

use std::borrow::Cow;

use pulseboard::event::{Class, EventBatch, Row, Span};

use super::{Column, Damage, Entry, Header, directory, varint};

/// A block's body with its verified directory.
pub(in crate::journal) struct Body<'a> {
    header: &'a Header,
    bytes: &'a [u8],
    entries: Vec<Entry>,
}

impl<'a> Body<'a> {
    /// Reads the directory; `bytes` is the body, or the front of it that holds the columns wanted.
    pub(in crate::journal) fn open(header: &'a Header, bytes: &'a [u8]) -> Result<Self, Damage> {
        Ok(Self { header, bytes, entries: directory(header, bytes)? })
    }

    /// Length of the front of the body that holds arrivals and fingerprints.
    pub(in crate::journal) fn front_len(header: &Header, directory: &[u8]) -> Result<u32, Damage> {
        let entries = super::directory(header, directory)?;
        let entry = entries.iter().find(|entry| entry.id == Column::Fingerprint as u8);
        entry.map(|entry| entry.offset + entry.len).ok_or(Damage::Directory)
    }

    /// A column's content, unpacked; `None` when the block has no such column.
    fn column(&self, column: Column) -> Result<Option<Cow<'a, [u8]>>, Damage> {
        let Some(entry) = self.entries.iter().find(|entry| entry.id == column as u8) else {
            return Ok(None);
        };
        let damage = Damage::Column(entry.id);
        let from = entry.offset as usize;
        let stored = self.bytes.get(from..from + entry.len as usize).ok_or(damage)?;
        if crc32c::crc32c(stored) != entry.crc {
            return Err(damage);
        }
        if !entry.packed {
            return Ok(Some(Cow::Borrowed(stored)));
        }
        let (len, packed) = stored.split_first_chunk::<4>().ok_or(damage)?;
        let len = u32::from_le_bytes(*len);
        if len > super::BODY_BYTES_MAX {
            return Err(damage);
        }
        let mut plain = vec![0; len as usize];
        match lz4_flex::block::decompress_into(packed, &mut plain) {
            Ok(read) if read == plain.len() => Ok(Some(Cow::Owned(plain))),
            _ => Err(damage),
        }
    }

    fn count(&self) -> usize {
        self.header.count as usize
    }

    /// Appends every event's fingerprint.
    pub(in crate::journal) fn fingerprints(&self, out: &mut Vec<u128>) -> Result<(), Damage> {
        let damage = Damage::Column(Column::Fingerprint as u8);
        let bytes = self.column(Column::Fingerprint)?.ok_or(damage)?;
        if bytes.len() != self.count() * 16 {
            return Err(damage);
        }
        out.extend(bytes.as_chunks::<16>().0.iter().map(|bytes| u128::from_le_bytes(*bytes)));
        Ok(())
    }

    /// Appends every event's arrival, Unix ms.
    pub(in crate::journal) fn arrivals(&self, out: &mut Vec<i64>) -> Result<(), Damage> {
        let Some(bytes) = self.column(Column::Arrival)? else {
            out.resize(out.len() + self.count(), self.header.arrival_ms.0);
            return Ok(());
        };
        let mut bytes = &bytes[..];
        let mut at = self.header.arrival_ms.0;
        for _ in 0..self.count() {
            let delta = varint::take(&mut bytes).ok_or(Damage::Column(Column::Arrival as u8))?;
            at = at.wrapping_add(varint::unzigzag(delta));
            out.push(at);
        }
        Ok(())
    }

    /// Decodes all of it.
    pub(in crate::journal) fn batch(&self) -> Result<EventBatch, Damage> {
        let count = self.count();
        let mut batch = EventBatch::with_capacity(count, self.header.text_len as usize);
        let mut fingerprints = Vec::with_capacity(count);
        let mut arrivals = Vec::with_capacity(count);
        self.fingerprints(&mut fingerprints)?;
        self.arrivals(&mut arrivals)?;
        for (&fingerprint, &arrival_ms) in fingerprints.iter().zip(&arrivals) {
            let row = Row { fingerprint, arrival_ms, timestamp_ms: arrival_ms, ..Row::default() };
            batch.push(row);
        }
        self.numbers(batch.rows_mut())?;
        self.dictionary(Column::Type, &mut batch, |row| &mut row.kind)?;
        self.dictionary(Column::Route, &mut batch, |row| &mut row.route)?;
        self.dictionary(Column::Site, &mut batch, |row| &mut row.site)?;
        self.text(Column::EventId, &mut batch, |row| &mut row.event_id)?;
        self.text(Column::UserId, &mut batch, |row| &mut row.user_id)?;
        self.text(Column::SessionId, &mut batch, |row| &mut row.session_id)?;
        self.text(Column::ClientId, &mut batch, |row| &mut row.client_id)?;
        self.text(Column::Props, &mut batch, |row| &mut row.props)?;
        Ok(batch)
    }

    fn numbers(&self, rows: &mut [Row]) -> Result<(), Damage> {
        if let Some(bytes) = self.column(Column::Timestamp)? {
            let mut bytes = &bytes[..];
            let damage = Damage::Column(Column::Timestamp as u8);
            for row in rows.iter_mut() {
                let delta = varint::unzigzag(varint::take(&mut bytes).ok_or(damage)?);
                row.timestamp_ms = row.arrival_ms.wrapping_add(delta);
            }
        }
        if let Some(bytes) = self.column(Column::Flags)? {
            let damage = Damage::Column(Column::Flags as u8);
            if bytes.len() != rows.len() {
                return Err(damage);
            }
            for (row, &byte) in rows.iter_mut().zip(bytes.iter()) {
                row.class = Class::from_u8(byte & 3).ok_or(damage)?;
                row.error = (byte >> 2 > 0).then_some(byte >> 2 == 2);
            }
        }
        if let Some(bytes) = self.column(Column::Status)? {
            if bytes.len() != rows.len() * 2 {
                return Err(Damage::Column(Column::Status as u8));
            }
            for (row, bytes) in rows.iter_mut().zip(bytes.as_chunks::<2>().0) {
                row.status = u16::from_le_bytes(*bytes);
            }
        }
        if let Some(bytes) = self.column(Column::Latency)? {
            let mut bytes = &bytes[..];
            for row in rows {
                let latency = take_latency(&mut bytes);
                row.latency_ms = latency.ok_or(Damage::Column(Column::Latency as u8))?;
            }
        }
        Ok(())
    }

    fn text(
        &self,
        column: Column,
        batch: &mut EventBatch,
        span: impl Fn(&mut Row) -> &mut Span,
    ) -> Result<(), Damage> {
        let Some(bytes) = self.column(column)? else { return Ok(()) };
        let damage = Damage::Column(column as u8);
        let mut rest = &bytes[..];
        let mut offset = batch.text_len() as u64;
        let base = offset;
        for row in batch.rows_mut() {
            let len = varint::take(&mut rest).ok_or(damage)?;
            if len > 0 {
                *span(row) = place(offset, len).ok_or(damage)?;
            }
            offset += len;
        }
        let text = std::str::from_utf8(rest).map_err(|_| damage)?;
        if offset - base != text.len() as u64 {
            return Err(damage);
        }
        let whole = |at: u32| text.is_char_boundary((u64::from(at) - base) as usize);
        let sound = batch.rows_mut().iter_mut().all(|row| {
            let span = *span(row);
            span.len == 0 || whole(span.offset)
        });
        if !sound {
            return Err(damage);
        }
        batch.add_text(text);
        Ok(())
    }

    fn dictionary(
        &self,
        column: Column,
        batch: &mut EventBatch,
        span: impl Fn(&mut Row) -> &mut Span,
    ) -> Result<(), Damage> {
        let Some(bytes) = self.column(column)? else { return Ok(()) };
        let damage = Damage::Column(column as u8);
        let mut rest = &bytes[..];
        let entries = varint::take(&mut rest).ok_or(damage)?;
        if entries > u64::from(self.header.count) {
            return Err(damage);
        }
        let base = batch.text_len() as u64;
        let mut offset = base;
        let mut spans = Vec::with_capacity(entries as usize);
        for _ in 0..entries {
            let len = varint::take(&mut rest).ok_or(damage)?;
            let place = if len > 0 { place(offset, len) } else { Some(Span::default()) };
            spans.push(place.ok_or(damage)?);
            offset += len;
        }
        let (text, mut rest) = rest.split_at_checked((offset - base) as usize).ok_or(damage)?;
        let text = std::str::from_utf8(text).map_err(|_| damage)?;
        let whole = |span: &Span| {
            span.len == 0 || text.is_char_boundary((u64::from(span.offset) - base) as usize)
        };
        if !spans.iter().all(whole) {
            return Err(damage);
        }
        batch.add_text(text);
        for row in batch.rows_mut() {
            let number = varint::take(&mut rest).ok_or(damage)?;
            *span(row) = *spans.get(number as usize).ok_or(damage)?;
        }
        Ok(())
    }
}

fn place(offset: u64, len: u64) -> Option<Span> {
    Some(Span { offset: offset.try_into().ok()?, len: len.try_into().ok()? })
}

fn take_latency(bytes: &mut &[u8]) -> Option<f64> {
    let number = varint::take(bytes)?;
    let value = (number >> 2) as f64;
    match number & 3 {
        0 => Some(f64::NAN),
        1 => Some(value),
        2 => Some(value / 1_000.0),
        _ => {
            let (bits, rest) = bytes.split_first_chunk::<8>()?;
            *bytes = rest;
            Some(f64::from_bits(u64::from_le_bytes(*bits)))
        }
    }
}
