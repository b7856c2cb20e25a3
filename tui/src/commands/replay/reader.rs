//! The reading thread: lines become events, events become batches, batches go to the senders
//! through a short bounded queue. Blocks on the input and on the queue, never on the network.

use std::io;

use bytes::Bytes;
use pulseboard::accesslog::{self, Format};
use tokio::sync::mpsc;

use super::item::Recipe;
use super::lines::{LINE_BYTES, Line, Lines};

/// Events of one batch at most; each is one call, and its answer lists up to 100 refusals.
const BATCH_EVENTS: usize = 1_000;
/// A batch is sent when it is this large, in bytes. With a line's bound it stays far below the
/// 8 MiB a daemon takes.
const BATCH_BYTES: usize = 1024 * 1024;
/// With a pace, a batch spans at most this much of real time, ms.
const PACE_STEP_MS: f64 = 100.0;
/// Lines looked at to find the format.
const LOOKED_AT: usize = 20;

/// What the reading thread tells.
pub(super) enum Read {
    /// Events to send.
    Batch(Batch),
    /// A line that is not an event.
    Unreadable {
        /// Its number, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// The input failed; nothing comes after.
    Failed(io::Error),
}

/// Events, as NDJSON.
pub(super) struct Batch {
    pub(super) body: Bytes,
    /// The number of the line of each event.
    pub(super) lines: Vec<u64>,
    /// When it is due after the start, ms of the log's own time.
    pub(super) due_ms: i64,
    /// The earliest and the latest time among its lines, Unix ms.
    pub(super) span_ms: Option<(i64, i64)>,
    /// How much of the input has been read, bytes of the file.
    pub(super) bytes_in: u64,
}

/// Lines that were looked at to find the format, to be read again.
pub(super) struct Head {
    lines: Vec<(u64, Vec<u8>)>,
    too_long: Vec<u64>,
    ended: bool,
}

impl Head {
    /// Nothing looked at.
    pub(super) fn none() -> Self {
        Self { lines: Vec::new(), too_long: Vec::new(), ended: false }
    }

    /// Why the first line with anything in it is no entry, for people; `None` when all are blank.
    pub(super) fn first_trouble(&self) -> Option<(u64, String)> {
        let (number, line) = self.lines.iter().find(|(_, line)| !is_blank(line))?;
        let trouble = accesslog::parse(line).err()?;
        Some((*number, trouble.to_string()))
    }
}

/// Looks at the first lines. On a pipe it does not wait for more than there are, once one of them
/// tells the format.
pub(super) fn look(lines: &mut Lines) -> io::Result<(Head, Option<Format>)> {
    let mut head = Head::none();
    let mut line = Vec::new();
    loop {
        let seen = head.lines.iter().filter(|(_, line)| !is_blank(line));
        let format = accesslog::detect(seen.clone().map(|(_, line)| &**line));
        let enough = seen.count() >= LOOKED_AT || head.too_long.len() >= LOOKED_AT;
        if enough || head.ended || format.is_some() && !lines.has_next_at_hand() {
            return Ok((head, format));
        }
        match lines.next(&mut line)? {
            Line::End => head.ended = true,
            Line::TooLong => head.too_long.push(lines.number()),
            Line::Text => head.lines.push((lines.number(), line.clone())),
        }
    }
}

/// Reads all of it, and ends early when nobody takes its batches any more.
pub(super) fn read(
    mut lines: Lines,
    head: Head,
    recipe: Recipe,
    speed: Option<f64>,
    out: &mpsc::Sender<Read>,
) {
    let mut batcher = Batcher {
        recipe,
        step_ms: speed.map(|speed| (speed * PACE_STEP_MS).max(1.0) as i64),
        out,
        body: Vec::new(),
        lines: Vec::new(),
        batch_due_ms: 0,
        span_ms: None,
        first_ms: None,
        latest_ms: 0,
        bytes_in: 0,
    };
    // An error means that the senders are gone: they know why.
    let _ = batcher.run(&mut lines, head);
}

struct Gone;

struct Batcher<'a> {
    recipe: Recipe,
    step_ms: Option<i64>,
    out: &'a mpsc::Sender<Read>,
    body: Vec<u8>,
    lines: Vec<u64>,
    batch_due_ms: i64,
    span_ms: Option<(i64, i64)>,
    first_ms: Option<i64>,
    latest_ms: i64,
    bytes_in: u64,
}

impl Batcher<'_> {
    fn run(&mut self, lines: &mut Lines, head: Head) -> Result<(), Gone> {
        for number in head.too_long {
            self.unreadable(number, too_long())?;
        }
        for (number, line) in head.lines {
            self.add(&line, number)?;
        }
        if head.ended {
            return self.flush();
        }
        let mut line = Vec::new();
        loop {
            // What is here is sent before more is waited for: a log that is being written shows
            // at once.
            if lines.bytes_total().is_none() && !lines.has_next_at_hand() {
                self.flush()?;
            }
            let next = lines.next(&mut line);
            self.bytes_in = lines.bytes_in();
            match next {
                Ok(Line::Text) => self.add(&line, lines.number())?,
                Ok(Line::TooLong) => self.unreadable(lines.number(), too_long())?,
                Ok(Line::End) => break,
                Err(error) => {
                    self.flush()?;
                    return self.tell(Read::Failed(error));
                }
            }
        }
        self.flush()
    }

    fn add(&mut self, line: &[u8], number: u64) -> Result<(), Gone> {
        if is_blank(line) {
            return Ok(());
        }
        let length_before = self.body.len();
        let time_ms = match self.recipe.append(line, number, &mut self.body) {
            Ok(time_ms) => time_ms,
            Err(error) => return self.unreadable(number, error.to_string()),
        };
        if let (Some(step_ms), Some(time_ms)) = (self.step_ms, time_ms) {
            let since_first_ms = time_ms - *self.first_ms.get_or_insert(time_ms);
            // A line out of order does not go back.
            self.latest_ms = self.latest_ms.max(since_first_ms);
            if self.latest_ms - self.batch_due_ms >= step_ms {
                let event = self.body.split_off(length_before);
                self.flush()?;
                self.body = event;
            }
        }
        if self.lines.is_empty() {
            self.batch_due_ms = self.latest_ms;
        }
        self.lines.push(number);
        if let Some(time_ms) = time_ms {
            let (from_ms, to_ms) = self.span_ms.unwrap_or((time_ms, time_ms));
            self.span_ms = Some((from_ms.min(time_ms), to_ms.max(time_ms)));
        }
        if self.lines.len() >= BATCH_EVENTS || self.body.len() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Gone> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let batch = Batch {
            body: std::mem::take(&mut self.body).into(),
            lines: std::mem::take(&mut self.lines),
            due_ms: self.batch_due_ms,
            span_ms: self.span_ms.take(),
            bytes_in: self.bytes_in,
        };
        self.batch_due_ms = self.latest_ms;
        self.tell(Read::Batch(batch))
    }

    fn unreadable(&mut self, line: u64, reason: String) -> Result<(), Gone> {
        self.tell(Read::Unreadable { line, reason })
    }

    fn tell(&mut self, read: Read) -> Result<(), Gone> {
        self.out.blocking_send(read).map_err(|_| Gone)
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

fn too_long() -> String {
    format!("longer than {} KiB", LINE_BYTES / 1024)
}
