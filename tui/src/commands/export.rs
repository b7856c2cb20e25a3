//! `pulseboard export`: every stored event that matches, as lines of JSON or as CSV, into a file or
//! a pipe.
//!
//! Writes what comes as it comes and keeps nothing: its memory does not grow with what is asked
//! for. A file gets its name when it is whole; on a pipe an export that ends early ends with an
//! error. A reader that went away (`pulseboard export | head`) is none.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use flate2::write::GzDecoder;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, StatusCode};

use crate::clock;
use crate::commands::http::{Connection, Streamed};
use crate::commands::progress::Progress;
use crate::commands::say;
use crate::commands::stop::Stop;
use crate::target::Target;

const EXAMPLES: &str = "\
Examples:
  pulseboard export > events.ndjson                          everything there is
  pulseboard export --from -1h --filter 'status=5xx' | jq .  the errors of the last hour
  pulseboard export --format csv --output events.csv         for a spreadsheet
Times are RFC 3339, Unix ms, now, or relative like -15m. What is exported as ndjson can be
sent to another daemon: pulseboard replay events.ndjson --format ndjson --keep-time";

/// What `export` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only events of this time and later
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Only events before this time
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// Only events that match, like 'route=/shop/* status=5xx'
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<String>,
    /// How they are written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Write to a file, which is replaced when the export is whole; else to standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A JSON object a line
    #[default]
    Ndjson,
    /// A header row and a row an event; texts like formulas begin with a '
    Csv,
}

/// Writes the export; done when all of it is written.
pub async fn run(args: Args, target: &Target) -> anyhow::Result<ExitCode> {
    let mut connection = Connection::new(target);
    let answer = connection.get(&path(&args), "*/*").await?;
    let status = answer.status;
    if status != StatusCode::OK {
        return refused(answer, target).await;
    }
    let mut out = Out::open(args.output.as_deref(), &answer.headers)?;
    let shown = args.output.is_some() || !io::stdout().is_terminal();
    let progress = Progress::endless(!shown);
    let written = copy(answer, &mut out, &progress).await;
    progress.clear();
    let summary = match written {
        Ok(Written::All(trailers)) => {
            out.finish().map_err(|error| out_error(error, &args))?;
            trailers
        }
        // The reader has what it wanted.
        Ok(Written::ReaderGone) => return Ok(ExitCode::SUCCESS),
        Ok(Written::Stopped) => {
            say::aside(format_args!("stopped before the end: what was written is not whole"));
            return Ok(ExitCode::FAILURE);
        }
        Err(CopyError::Write(error)) => return Err(out_error(error, &args)),
        Err(CopyError::Read(error)) => {
            return Err(error.context("the export is not whole; run the same command again"));
        }
    };
    if summary.missed > 0 {
        say::aside(format_args!(
            "{} could not be read any more when the export reached them: let go by retention, or \
             damaged",
            say::counted(summary.missed, "event")
        ));
    }
    if args.output.is_some() || (io::stderr().is_terminal() && shown) {
        let to = args.output.as_ref().map(|path| format!(" to {}", path.display()));
        let events =
            summary.events.map_or("done".to_owned(), |events| say::counted(events, "event"));
        say::aside(format_args!("{events}{}", to.unwrap_or_default()));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the daemon is asked.
fn path(args: &Args) -> String {
    let format = match args.format {
        Format::Ndjson => "ndjson",
        Format::Csv => "csv",
    };
    let mut path = format!("/api/export?format={format}");
    for (name, value) in [("from", &args.from), ("to", &args.to), ("filter", &args.filter)] {
        if let Some(value) = value {
            path.push('&');
            path.push_str(name);
            path.push('=');
            encode(value, &mut path);
        }
    }
    path
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn encode(value: &str, path: &mut String) {
    use std::fmt::Write as _;
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

/// A refusal in the daemon's own sentence: 2 for what was asked for, 1 for everything else.
async fn refused(answer: Streamed, target: &Target) -> anyhow::Result<ExitCode> {
    let answer = answer.whole().await?;
    let problem: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    let detail = problem.as_ref().and_then(|problem| problem.get("detail")?.as_str());
    let Some(detail) = detail else {
        let stranger = crate::dial::stranger(answer.status, &answer.headers, &answer.body);
        let what = stranger.unwrap_or_else(|| "that is no daemon's answer".to_owned());
        bail!("{target} answered {}: {what}", answer.status);
    };
    if answer.status == StatusCode::UNPROCESSABLE_ENTITY {
        say::aside(format_args!("error: {detail}"));
        return Ok(ExitCode::from(2));
    }
    bail!("{target} answered {}: {detail}", answer.status);
}

/// How it ended.
enum Written {
    All(Summary),
    ReaderGone,
    Stopped,
}

/// What the daemon says of a whole export.
struct Summary {
    events: Option<u64>,
    missed: u64,
}

enum CopyError {
    Read(anyhow::Error),
    Write(io::Error),
}

async fn copy(
    mut answer: Streamed,
    out: &mut Out,
    progress: &Progress,
) -> Result<Written, CopyError> {
    let mut stop = Stop::on_signal();
    let began = clock::now();
    loop {
        let piece = tokio::select! {
            piece = answer.chunk() => piece.map_err(|error| CopyError::Read(error.into()))?,
            () = stop.asked() => return Ok(Written::Stopped),
        };
        let Some(piece) = piece else { break };
        match out.write(&piece) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(Written::ReaderGone);
            }
            Err(error) => return Err(CopyError::Write(error)),
        }
        let rate = out.bytes as f64 / began.elapsed().as_secs_f64().max(0.001);
        progress.set(
            out.bytes,
            format_args!(
                "{}, {:.1} MB, {:.1} MB/s",
                say::counted(out.lines, "line"),
                out.bytes as f64 / 1e6,
                rate / 1e6
            ),
        );
    }
    let number = |name: &str| answer.trailers().get(name)?.to_str().ok()?.parse().ok();
    let events = number("pulseboard-events");
    Ok(Written::All(Summary { events, missed: number("pulseboard-missed").unwrap_or(0) }))
}

/// Where the export goes.
struct Out {
    sink: Sink,
    /// The file being written, and the name it gets.
    file: Option<(PathBuf, PathBuf)>,
    bytes: u64,
    lines: u64,
}

enum Sink {
    Plain(Box<dyn Write + Send>),
    Packed(Box<GzDecoder<Counted>>),
}

/// Counts what comes out of an unpacking decoder.
struct Counted {
    out: Box<dyn Write + Send>,
    bytes: u64,
    lines: u64,
}

impl Out {
    fn open(output: Option<&Path>, headers: &HeaderMap) -> anyhow::Result<Self> {
        let file = output.map(|path| {
            let mut part = path.as_os_str().to_owned();
            part.push(".part");
            (PathBuf::from(part), path.to_owned())
        });
        let out: Box<dyn Write + Send> = match &file {
            Some((part, _)) => Box::new(
                File::create(part).with_context(|| format!("cannot write {}", part.display()))?,
            ),
            None => Box::new(io::stdout()),
        };
        let packed = headers.get(CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
        let sink = if packed {
            Sink::Packed(Box::new(GzDecoder::new(Counted { out, bytes: 0, lines: 0 })))
        } else {
            Sink::Plain(out)
        };
        Ok(Self { sink, file, bytes: 0, lines: 0 })
    }

    fn write(&mut self, piece: &Bytes) -> io::Result<()> {
        match &mut self.sink {
            Sink::Plain(out) => {
                out.write_all(piece)?;
                self.bytes += piece.len() as u64;
                self.lines += lines(piece);
            }
            Sink::Packed(decoder) => {
                decoder.write_all(piece)?;
                (self.bytes, self.lines) = (decoder.get_ref().bytes, decoder.get_ref().lines);
            }
        }
        Ok(())
    }

    /// All is there: the file gets its name.
    fn finish(self) -> io::Result<()> {
        match self.sink {
            Sink::Plain(mut out) => out.flush()?,
            Sink::Packed(decoder) => decoder.finish()?.out.flush()?,
        }
        match self.file {
            Some((part, path)) => std::fs::rename(part, path),
            None => Ok(()),
        }
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        self.lines += lines(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').count() as u64 - 1
}

fn out_error(error: io::Error, args: &Args) -> anyhow::Error {
    let to = args
        .output
        .as_ref()
        .map_or("standard output".to_owned(), |path| path.display().to_string());
    anyhow::Error::new(error).context(format!("cannot write to {to}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_asked_for_reaches_the_daemon_as_it_was_written() {
        let args = Args {
            from: Some("-15m".into()),
            to: None,
            filter: Some("route=/a b&c status=5xx é".into()),
            format: Format::Csv,
            output: None,
        };
        assert_eq!(
            path(&args),
            "/api/export?format=csv&from=-15m&filter=route%3D%2Fa%20b%26c%20status%3D5xx%20%C3%A9"
        );
    }

    #[test]
    fn what_comes_packed_is_written_plain() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"{}\n{}\n").unwrap();
        let packed = Bytes::from(packed.finish().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
        let mut out = Out::open(Some(&path), &headers).unwrap();
        for piece in packed.chunks(5) {
            out.write(&Bytes::copy_from_slice(piece)).unwrap();
        }
        assert!(!path.exists(), "a file has its name only when it is whole");
        out.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{}\n{}\n");
    }
}
