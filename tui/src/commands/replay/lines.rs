//! A file or standard input, gzip or not, as numbered lines of bounded length. Knows nothing of
//! what is in them. Used by the replay's reading thread.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// The longest line that is read, in bytes; a longer one is skipped and counted as unreadable.
pub(super) const LINE_BYTES: usize = 64 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Lines, one after the other.
pub(super) struct Lines {
    input: BufReader<Box<dyn Read + Send>>,
    bytes_in: Arc<AtomicU64>,
    bytes_total: Option<u64>,
    number: u64,
}

/// What came next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line is in the buffer, without its line feed.
    Text,
    /// A line was longer than [`LINE_BYTES`] and was skipped.
    TooLong,
    /// There are no more.
    End,
}

impl Lines {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Self::new(Box::new(io::stdin()), None);
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder"));
        }
        // A named pipe has no length.
        let length = metadata.is_file().then_some(metadata.len());
        Self::new(Box::new(file), length)
    }

    fn new(input: Box<dyn Read + Send>, bytes_total: Option<u64>) -> io::Result<Self> {
        let bytes_in = Arc::new(AtomicU64::new(0));
        let counted = Counted { input, bytes: Arc::clone(&bytes_in) };
        let mut raw = BufReader::with_capacity(BUFFER_BYTES, counted);
        // The magic is short: whoever writes gzip into a pipe writes these two bytes at once.
        let is_gzip = raw.fill_buf()?.starts_with(&GZIP_MAGIC);
        let input: Box<dyn Read + Send> =
            if is_gzip { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
        let input = BufReader::with_capacity(BUFFER_BYTES, input);
        Ok(Self { input, bytes_in, bytes_total, number: 0 })
    }

    /// Reads the next line into `line`, which is emptied first.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Line> {
        line.clear();
        let mut too_long = false;
        let mut any = false;
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                break;
            }
            any = true;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            too_long |= line.len() + part.len() > LINE_BYTES;
            if !too_long {
                line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(Line::End);
        }
        self.number += 1;
        Ok(if too_long { Line::TooLong } else { Line::Text })
    }

    /// Whether the next line is here already: `next` will not wait for more input.
    pub(super) fn has_next_at_hand(&self) -> bool {
        self.input.buffer().contains(&b'\n')
    }

    /// The number of the line read last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of input taken so far, as they stand in the file.
    pub(super) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// The file's length in bytes, where it is one.
    pub(super) fn bytes_total(&self) -> Option<u64> {
        self.bytes_total
    }
}

/// Counts what goes through.
struct Counted {
    input: Box<dyn Read + Send>,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read_all(bytes: Vec<u8>) -> Vec<(u64, Line, String)> {
        let mut lines = Lines::new(Box::new(io::Cursor::new(bytes)), None).unwrap();
        let mut line = Vec::new();
        let mut all = Vec::new();
        loop {
            match lines.next(&mut line).unwrap() {
                Line::End => return all,
                what => {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    all.push((lines.number(), what, text));
                }
            }
        }
    }

    #[test]
    fn lines_are_numbered_and_the_last_needs_no_line_feed() {
        let all = read_all(b"a\n\nb\r\nc".to_vec());
        let texts: Vec<_> = all.iter().map(|(number, _, text)| (*number, &**text)).collect();
        assert_eq!(texts, [(1, "a"), (2, ""), (3, "b\r"), (4, "c")]);
    }

    #[test]
    fn a_line_beyond_the_bound_is_skipped_and_keeps_its_number() {
        let mut bytes = vec![b'x'; 3 * BUFFER_BYTES];
        bytes.extend_from_slice(b"\nshort\n");
        let all = read_all(bytes);
        assert_eq!(all[0].1, Line::TooLong);
        assert_eq!((all[1].0, &*all[1].2), (2, "short"));
    }

    #[test]
    fn gzip_is_seen_by_its_first_bytes_whatever_the_name() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"a\nb\n").unwrap();
        let mut bytes = gzip.finish().unwrap();
        // Logs that were rotated and joined are several members in one file.
        bytes.extend_from_within(..);
        assert_eq!(read_all(bytes).len(), 4);
    }
}
