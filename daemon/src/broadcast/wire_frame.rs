//! Complete WebSocket frames of a server (RFC 6455, section 5.2): never masked, never fragmented,
//! so that the same bytes go to every socket. Written by hand because they are prepared once and
//! sent many times; reading is the protocol library's ([`super::protocol`]).

use bytes::{BufMut, Bytes, BytesMut};

const FIN_TEXT: u8 = 0x81;
const FIN_CLOSE: u8 = 0x88;
/// A ping without payload.
pub(super) const PING: Bytes = Bytes::from_static(&[0x89, 0]);
/// The longest header: opcode, length marker, 64-bit length.
pub(super) const HEADER_BYTES_MAX: usize = 10;
/// The longest reason: a control frame has at most 125 bytes, 2 of them the code.
const REASON_BYTES_MAX: usize = 123;

/// A text frame.
pub(super) fn text(payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER_BYTES_MAX + payload.len());
    put_text_header(&mut frame, payload.len());
    frame.extend_from_slice(payload);
    frame.freeze()
}

/// The header of a text frame whose payload follows.
pub(super) fn put_text_header(frame: &mut impl BufMut, payload_bytes: usize) {
    frame.put_u8(FIN_TEXT);
    match payload_bytes {
        0..126 => frame.put_u8(payload_bytes as u8),
        126..65_536 => {
            frame.put_u8(126);
            frame.put_u16(payload_bytes as u16);
        }
        _ => {
            frame.put_u8(127);
            frame.put_u64(payload_bytes as u64);
        }
    }
}

/// A close frame.
pub(super) fn close(code: u16, reason: &str) -> Bytes {
    let mut cut = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut frame = BytesMut::with_capacity(4 + cut);
    frame.put_u8(FIN_CLOSE);
    frame.put_u8(2 + cut as u8);
    frame.put_u16(code);
    frame.extend_from_slice(&reason.as_bytes()[..cut]);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_takes_as_many_bytes_as_it_needs() {
        let header = |payload: usize| {
            let frame = text(&vec![b'x'; payload]);
            frame[..frame.len() - payload].to_vec()
        };
        assert_eq!(header(0), [0x81, 0]);
        assert_eq!(header(125), [0x81, 125]);
        assert_eq!(header(126), [0x81, 126, 0, 126]);
        assert_eq!(header(65_535), [0x81, 126, 0xff, 0xff]);
        assert_eq!(header(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let frame = close(1008, &"é".repeat(100));
        assert_eq!(frame[..4], [0x88, 124, 0x03, 0xf0]);
        assert!(std::str::from_utf8(&frame[4..]).is_ok());
    }
}
