//! What instances say to each other, as bytes: a tick's count, a sign of life, a goodbye.
//!
//! Layout, which every version keeps: `format` and `protocol` (a byte each), the sender's node id and
//! name (length and text each), its incarnation, then what the version says, and at the end the
//! CRC32C of all before it. So a message of a newer version is refused by name instead of guessed at,
//! and a damaged one is found. What a later build of the same protocol appends is not looked at.
//! Reading never trusts a length and never panics.

use std::sync::Arc;

use pulseboard::sketch::{DecodeError, Reader, Writer};
use thiserror::Error;

/// How the bytes are laid out.
const FORMAT: u8 = 1;
/// What they mean.
pub(super) const PROTOCOL: u8 = 1;
/// The longest message that is read: a summary of 2 MiB, and what stands around it.
pub(super) const MESSAGE_BYTES_MAX: usize = (2 << 20) + (8 << 10);
const NAME_BYTES_MAX: usize = 256;
const CHECKSUM_BYTES: usize = 4;

/// Who says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    /// A node's id.
    pub(super) node: Arc<str>,
    /// Its name, for people.
    pub(super) name: Arc<str>,
    /// Another one at every start.
    pub(super) incarnation: u64,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Told(Told),
    Beat(Beat),
    Leave,
}

/// A tick's count in a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Grows by one from message to message of an incarnation: a jump is a gap.
    pub(super) sequence: u64,
    /// The view's filter; empty for the view of everything.
    pub(super) view: Arc<str>,
    pub(super) tick: i64,
    pub(super) revision: u64,
    /// An encoded summary.
    pub(super) summary: Arc<[u8]>,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beat {
    /// The build.
    pub(super) version: Arc<str>,
    /// What its clock says, Unix ms.
    pub(super) wall_ms: i64,
    /// How far its clock is ahead of Redis's, ms, once it knows.
    pub(super) ahead_ms: Option<i64>,
    /// Of its last message.
    pub(super) sequence: u64,
    /// The first tick it counts as one of all.
    pub(super) first_tick: i64,
    /// What it counted in ticks up to this one is in the shared store; builds before this was said
    /// end here.
    pub(super) written_upto: Option<i64>,
}

/// Why a message is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    #[error("{name} ({node}) speaks version {found} of the cluster protocol, this build {known}")]
    Newer { node: Arc<str>, name: Arc<str>, found: u8, known: u8 },
    #[error("a message is damaged: {0}")]
    Damaged(&'static str),
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::Damaged(match error {
            DecodeError::Newer { .. } => "version",
            DecodeError::Truncated => "it ends too early",
            DecodeError::Damaged(part) => part,
        })
    }
}

/// The message as bytes.
pub(super) fn encode(sender: &Sender, message: &Message) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(FORMAT);
    writer.byte(PROTOCOL);
    writer.blob(sender.node.as_bytes());
    writer.blob(shortened(&sender.name).as_bytes());
    writer.unsigned(sender.incarnation);
    match message {
        Message::Told(told) => {
            writer.byte(1);
            writer.unsigned(told.sequence);
            writer.blob(told.view.as_bytes());
            writer.signed(told.tick);
            writer.unsigned(told.revision);
            writer.blob(&told.summary);
        }
        Message::Beat(beat) => {
            writer.byte(2);
            writer.blob(beat.version.as_bytes());
            writer.signed(beat.wall_ms);
            writer.byte(u8::from(beat.ahead_ms.is_some()));
            writer.signed(beat.ahead_ms.unwrap_or(0));
            writer.unsigned(beat.sequence);
            writer.signed(beat.first_tick);
            writer.byte(u8::from(beat.written_upto.is_some()));
            writer.signed(beat.written_upto.unwrap_or(0));
        }
        Message::Leave => writer.byte(3),
    }
    let mut bytes = writer.into_bytes();
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads a message.
pub(super) fn decode(bytes: &[u8]) -> Result<(Sender, Message), Refusal> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(Refusal::Damaged("it is too long"));
    }
    let end = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(DecodeError::Truncated)?;
    let (body, checksum) = bytes.split_at(end);
    if crc32c::crc32c(body).to_le_bytes() != *checksum {
        return Err(Refusal::Damaged("checksum"));
    }
    let mut reader = Reader::new(body);
    let (format, protocol) = (reader.byte()?, reader.byte()?);
    let sender = Sender {
        node: text(&mut reader, 64)?,
        name: text(&mut reader, NAME_BYTES_MAX)?,
        incarnation: reader.unsigned()?,
    };
    if format > FORMAT || protocol > PROTOCOL {
        let Sender { node, name, .. } = sender;
        let found = protocol.max(if format > FORMAT { PROTOCOL + 1 } else { 0 });
        return Err(Refusal::Newer { node, name, found, known: PROTOCOL });
    }
    let message = match reader.byte()? {
        1 => Message::Told(Told {
            sequence: reader.unsigned()?,
            view: text(&mut reader, 8 << 10)?,
            tick: reader.signed()?,
            revision: reader.unsigned()?,
            summary: reader.blob()?.into(),
        }),
        2 => Message::Beat(Beat {
            version: text(&mut reader, NAME_BYTES_MAX)?,
            wall_ms: reader.signed()?,
            ahead_ms: match (reader.byte()?, reader.signed()?) {
                (0, _) => None,
                (_, ms) => Some(ms),
            },
            sequence: reader.unsigned()?,
            first_tick: reader.signed()?,
            written_upto: if reader.is_done() {
                None
            } else {
                let (is_said, tick) = (reader.byte()?, reader.signed()?);
                (is_said > 0).then_some(tick)
            },
        }),
        3 => Message::Leave,
        _ => return Err(Refusal::Damaged("kind")),
    };
    Ok((sender, message))
}

fn text(reader: &mut Reader<'_>, bytes_max: usize) -> Result<Arc<str>, Refusal> {
    let bytes = reader.blob()?;
    if bytes.len() > bytes_max {
        return Err(Refusal::Damaged("text"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::Damaged("text"))?;
    // It may end up in a line of the log.
    if text.chars().any(char::is_control) {
        return Err(Refusal::Damaged("text"));
    }
    Ok(text.into())
}

/// A name as it is sent: its first 64 characters, without what would break a line.
fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_BYTES_MAX / 4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sender() -> Sender {
        Sender { node: "0123456789ab".into(), name: "node-a".into(), incarnation: 7 }
    }

    fn messages() -> Vec<Message> {
        let told = Told {
            sequence: 3,
            view: "route=/checkout".into(),
            tick: 1_763_884_800,
            revision: 12_345,
            summary: Arc::from(&b"some summary"[..]),
        };
        let beat = Beat {
            version: "0.1.0".into(),
            wall_ms: 1_763_884_800_123,
            ahead_ms: Some(-12),
            sequence: 9,
            first_tick: 1_763_884_801,
            written_upto: Some(1_763_884_735),
        };
        vec![Message::Told(told), Message::Beat(beat), Message::Leave]
    }

    #[test]
    fn what_is_said_is_understood() {
        for message in messages() {
            assert_eq!(decode(&encode(&sender(), &message)), Ok((sender(), message)));
        }
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_refused() {
        for message in messages() {
            let bytes = encode(&sender(), &message);
            for end in 0..bytes.len() {
                assert!(decode(&bytes[..end]).is_err(), "cut at {end}");
            }
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(decode(&flipped).is_err(), "bit {bit}");
            }
        }
    }

    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    #[test]
    fn a_newer_version_is_refused_by_the_name_of_who_speaks_it() {
        let mut bytes = encode(&sender(), &Message::Leave);
        bytes.truncate(bytes.len() - 4);
        for (at, found) in [(0, 2), (1, 9)] {
            let mut newer = bytes.clone();
            newer[at] = 9;
            newer.extend_from_slice(b"of which nothing is known");
            let refusal = decode(&sealed(newer)).unwrap_err();
            let (node, name) = (sender().node, sender().name);
            assert_eq!(refusal, Refusal::Newer { node, name, found, known: 1 });
        }
    }

    #[test]
    fn a_name_that_would_break_a_line_is_shortened_and_one_that_does_is_refused() {
        let odd = Sender { name: format!("a\n{}", "é".repeat(1_000)).into(), ..sender() };
        let (read, _) = decode(&encode(&odd, &Message::Leave)).unwrap();
        assert_eq!(read.name.chars().count(), 64);
        assert!(!read.name.contains('\n'));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            let _ = decode(&sealed(bytes));
        }

        #[test]
        fn no_damage_under_a_right_checksum_makes_it_panic(
            at in 0_usize..60, with in any::<u8>(), which in 0_usize..3,
        ) {
            let mut bytes = encode(&sender(), &messages()[which]);
            bytes.truncate(bytes.len() - 4);
            let at = at % bytes.len();
            bytes[at] = with;
            let _ = decode(&sealed(bytes));
        }
    }
}
