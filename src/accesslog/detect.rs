//! What a file is, from its first lines. Called by `replay` when nobody said which format to read.

use super::parse;

/// A format of lines that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Access log with referer and user agent.
    Combined,
    /// Access log without them.
    Common,
    /// Our events, one JSON object a line.
    Ndjson,
}

/// The format of most of `lines` that can be read; the first of the three on a tie. `None` when
/// none can.
pub fn detect<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Option<Format> {
    let (mut combined, mut common, mut ndjson) = (0, 0, 0);
    for line in lines {
        match line_format(line) {
            Some(Format::Combined) => combined += 1,
            Some(Format::Common) => common += 1,
            Some(Format::Ndjson) => ndjson += 1,
            None => {}
        }
    }
    let most = combined.max(common).max(ndjson);
    match most {
        0 => None,
        _ if combined == most => Some(Format::Combined),
        _ if common == most => Some(Format::Common),
        _ => Some(Format::Ndjson),
    }
}

fn line_format(line: &[u8]) -> Option<Format> {
    let line = line.trim_ascii();
    if line.starts_with(b"{") {
        let object: Option<serde_json::Map<String, serde_json::Value>> =
            serde_json::from_slice(line).ok();
        return object.map(|_| Format::Ndjson);
    }
    parse(line).ok()?;
    // Both formats read alike; what tells them apart is that combined goes on after the size, and
    // so has quotes beyond those of the request.
    let quotes = memchr::memchr_iter(b'"', line).count();
    Some(if quotes > 2 { Format::Combined } else { Format::Common })
}
