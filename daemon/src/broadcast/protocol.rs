//! Reading the WebSocket protocol from bytes already received: the protocol library without a
//! socket of its own.
//!
//! Bytes go in as slices, messages come out; what the protocol has to answer by itself (pongs, the
//! reply to a close) is collected for the caller to send. Never waits, never writes.

use std::io::{self, Read, Write};

use tungstenite::error::{CapacityError, Error};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Message, Utf8Bytes};

use super::framing::{Broken, Framing};
use pulseboard::wire::close;

/// Read buffer of a session at rest, bytes; a longer message gets a buffer of its own.
const READ_BUFFER_BYTES: usize = 512;
/// A longer frame's buffer is given back once it was read.
const KEPT_BYTES_MAX: usize = 4 * 1024;
/// Control frames the protocol may have to send at a time: a pong and a close, 127 bytes each.
const CONTROL_BYTES_MAX: usize = 4 * 1024;

/// What the protocol says next.
#[derive(Debug)]
pub(super) enum Heard {
    /// A text message.
    Text(Utf8Bytes),
    /// Nothing more in what was received.
    Nothing,
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client is gone, or said goodbye and was answered.
    Gone,
    /// To be told with this close code and reason.
    Close(u16, &'static str),
}

/// See the module.
pub(super) struct Reader {
    context: WebSocketContext,
    framing: Framing,
    /// The rule that was broken; nothing after it is looked at.
    broken: Option<&'static str>,
    /// What it ended with; the library is not asked again after that.
    over: Option<Ending>,
    /// The longest text since the buffer was last made.
    longest_bytes: usize,
}

/// The library's view of a socket: what was received, and where answers go.
struct Feed<'a, 'b> {
    input: &'a mut &'b [u8],
    control: &'a mut Vec<u8>,
    framing: &'a mut Framing,
    broken: &'a mut Option<&'static str>,
}

impl Read for Feed<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = self.input.len().min(into.len());
        let good = match self.framing.walk(&self.input[..room]) {
            _ if self.broken.is_some() => 0,
            Ok(()) => room,
            Err(Broken { good, rule }) => {
                *self.broken = Some(rule);
                good
            }
        };
        if good == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(&mut into[..good])
    }
}

impl Write for Feed<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.control.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Reader {
    /// A reader that takes frames and messages of at most `bytes_max` bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            context: context(bytes_max),
            framing: Framing::default(),
            broken: None,
            over: None,
            longest_bytes: 0,
        }
    }

    /// Changes how many bytes frames and messages may have from the next on.
    pub(super) fn limit(&mut self, bytes_max: usize) {
        if self.context.get_config().max_frame_size == Some(bytes_max) {
            return;
        }
        self.context.set_config(|config| {
            config.max_message_size = Some(bytes_max);
            config.max_frame_size = Some(bytes_max);
        });
    }

    /// The next message in `input`, which it consumes as far as it needs; answers of the protocol
    /// are added to `control`. After an ending there is nothing but this ending.
    pub(super) fn next(
        &mut self,
        input: &mut &[u8],
        control: &mut Vec<u8>,
    ) -> Result<Heard, Ending> {
        let heard = self.over.map_or_else(|| self.decode(input, control), Err);
        self.over = heard.as_ref().err().copied();
        heard
    }

    fn decode(&mut self, input: &mut &[u8], control: &mut Vec<u8>) -> Result<Heard, Ending> {
        let (framing, broken) = (&mut self.framing, &mut self.broken);
        let mut feed = Feed { input, control, framing, broken };
        loop {
            match self.context.read(&mut feed) {
                Ok(Message::Text(text)) => {
                    self.longest_bytes = self.longest_bytes.max(text.len());
                    return Ok(Heard::Text(text));
                }
                Ok(Message::Binary(_)) => {
                    return Err(Ending::Close(close::UNSUPPORTED, "the protocol is text"));
                }
                // Answered by the library on the next turn of this loop.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => {}
                Ok(Message::Frame(_)) => {
                    return Err(Ending::Close(close::INTERNAL, "unexpected raw frame"));
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Some(rule) = self.broken {
                        return Err(Ending::Close(close::PROTOCOL, rule));
                    }
                    self.rest();
                    return Ok(Heard::Nothing);
                }
                Err(error) => return Err(ending(&error)),
            }
        }
    }

    /// Gives a big buffer back: the library keeps the one of the longest frame it ever read.
    fn rest(&mut self) {
        if self.longest_bytes > KEPT_BYTES_MAX && self.framing.is_between_messages() {
            let config = *self.context.get_config();
            self.context = WebSocketContext::new(Role::Server, Some(config));
            self.longest_bytes = 0;
        }
    }
}

fn context(bytes_max: usize) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(CONTROL_BYTES_MAX)
        .max_message_size(Some(bytes_max))
        .max_frame_size(Some(bytes_max))
        .accept_unmasked_frames(false);
    WebSocketContext::new(Role::Server, Some(config))
}

fn ending(error: &Error) -> Ending {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Ending::Close(close::TOO_BIG, "message too big")
        }
        Error::Utf8(_) => Ending::Close(close::NOT_UTF8, "text that is not UTF-8"),
        Error::Protocol(_) | Error::Capacity(_) => Ending::Close(close::PROTOCOL, "broken framing"),
        _ => Ending::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked text frame; the mask changes nothing.
    fn text(payload: &str) -> Vec<u8> {
        let length = (payload.len() as u16).to_be_bytes();
        [&[0x81, 0xfe, length[0], length[1], 0, 0, 0, 0], payload.as_bytes()].concat()
    }

    /// Lengths of the texts in what is received.
    fn read(reader: &mut Reader, mut received: &[u8]) -> Vec<usize> {
        let (mut texts, mut control) = (Vec::new(), Vec::new());
        loop {
            match reader.next(&mut received, &mut control) {
                Ok(Heard::Text(text)) => texts.push(text.len()),
                Ok(Heard::Nothing) => return texts,
                Err(ending) => panic!("{ending:?}"),
            }
        }
    }

    #[test]
    fn the_buffer_of_a_long_message_goes_when_nothing_of_the_next_is_in_it() {
        let mut reader = Reader::new(100_000);
        let (long, short) = (text(&"x".repeat(50_000)), text(&"y".repeat(200)));
        let (begun, rest) = short.split_at(3);
        assert_eq!(read(&mut reader, &[&long, begun].concat()), [50_000]);
        assert_eq!(reader.longest_bytes, 50_000, "the beginning of a header is in it");
        assert_eq!(read(&mut reader, rest), [200]);
        assert_eq!(reader.longest_bytes, 0, "it was made anew");
        assert_eq!(read(&mut reader, &[&short[..], &long].concat()), [200, 50_000]);
        assert_eq!(reader.longest_bytes, 0);
    }

    #[test]
    fn a_limit_counts_from_the_next_frame_on_though_that_was_received_already() {
        let mut reader = Reader::new(100);
        let (short, long) =
            ([&[0x81, 0x82, 0, 0, 0, 0], &b"{}"[..]].concat(), text(&"x".repeat(300)));
        let bytes = [&short[..], &long].concat();
        let (mut input, mut control) = (&bytes[..], Vec::new());
        assert!(matches!(reader.next(&mut input, &mut control), Ok(Heard::Text(_))));
        reader.limit(300);
        assert!(matches!(reader.next(&mut input, &mut control), Ok(Heard::Text(_))));
        reader.limit(299);
        let (mut input, mut control) = (&long[..], Vec::new());
        let ending = reader.next(&mut input, &mut control).unwrap_err();
        assert_eq!(ending, Ending::Close(close::TOO_BIG, "message too big"));
        assert_eq!(reader.next(&mut input, &mut control).unwrap_err(), ending, "and that is it");
    }
}
