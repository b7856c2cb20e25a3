//! Bytes of serialised summaries: variable-length integers (LEB128), texts and nested blobs.
//!
//! It never trusts a length it reads: every one is checked against what is left. Used by the
//! encodings of sketches, ticks and rollups.

/// Why bytes are not a summary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer build.
    #[error("it has version {found}, this build reads up to {known}")]
    Newer {
        /// Its version.
        found: u8,
        /// The newest this build knows.
        known: u8,
    },
    /// Cut off.
    #[error("it ends too early")]
    Truncated,
    /// Not what it should be.
    #[error("its {0} is damaged")]
    Damaged(&'static str),
}

/// Appends values to a buffer.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// One byte as it is.
    pub fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// 1 to 10 bytes, fewer for smaller values.
    pub fn unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// As [`Writer::unsigned`], small absolute values being small (zigzag).
    pub fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)) as u64);
    }

    /// 8 bytes.
    pub fn float(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Length and bytes.
    pub fn blob(&mut self, bytes: &[u8]) {
        self.unsigned(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

/// Reads what a [`Writer`] wrote.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether all is read.
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.0.len()
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.0.split_first().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*first)
    }

    /// See [`Writer::unsigned`].
    pub fn unsigned(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Damaged("number"))
    }

    /// A number that fits in 32 bits.
    pub fn unsigned32(&mut self) -> Result<u32, DecodeError> {
        self.unsigned()?.try_into().map_err(|_| DecodeError::Damaged("number"))
    }

    /// See [`Writer::signed`].
    pub fn signed(&mut self) -> Result<i64, DecodeError> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// See [`Writer::float`].
    pub fn float(&mut self) -> Result<f64, DecodeError> {
        let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(f64::from_le_bytes(*bytes))
    }

    /// See [`Writer::blob`].
    pub fn blob(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.unsigned()?;
        let len = usize::try_from(len).map_err(|_| DecodeError::Truncated)?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// How many items follow, each of at least `bytes_each` bytes: never more than could be there.
    pub fn count(&mut self, bytes_each: usize) -> Result<usize, DecodeError> {
        let count = self.unsigned()?;
        if count > (self.0.len() / bytes_each.max(1)) as u64 {
            return Err(DecodeError::Truncated);
        }
        Ok(count as usize)
    }

    /// A version byte: at most `known`.
    pub fn version(&mut self, known: u8) -> Result<u8, DecodeError> {
        match self.byte()? {
            0 => Err(DecodeError::Damaged("version")),
            found if found > known => Err(DecodeError::Newer { found, known }),
            found => Ok(found),
        }
    }
}
