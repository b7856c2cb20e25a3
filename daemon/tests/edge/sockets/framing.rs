//! Frames that no client should send (RFC 6455, sections 5 and 7), one socket each.

use super::{reader, sender};
use crate::client::{Dial, frame};
use crate::harness::{Edge, Meets};

const TEXT: u8 = 0x81;
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// A ping message of exactly so many bytes.
fn message(bytes: usize) -> Vec<u8> {
    format!("{{\"op\":\"ping\"{}}}", " ".repeat(bytes - 13)).into_bytes()
}

/// Header bytes and a mask, of which the payload does not follow.
fn announced(header: &[u8]) -> Vec<u8> {
    [header, &MASK].concat()
}

fn length_64(first: u8, length: u64) -> Vec<u8> {
    announced(&[&[first, 0xff][..], &length.to_be_bytes()].concat())
}

/// A text message in fragments of so many bytes.
fn fragments(pieces: usize, bytes: usize) -> Vec<u8> {
    let piece = vec![b' '; bytes];
    let mut all = frame(0x01, &piece);
    for _ in 1..pieces {
        all.extend(frame(0x00, &piece));
    }
    all
}

#[test]
fn frames_that_break_the_protocol_close_their_socket_alone() {
    let mut edge = Edge::start(&[]);
    let read = Dial::bearer(&reader());
    let mut broken = |name: &str, bytes: &[u8]| {
        edge.bytes(name, &read, bytes, &Meets::Closed(1002));
    };
    broken("an unmasked frame", &[TEXT, 2, b'{', b'}']);
    broken("an unmasked frame, announced long", &[TEXT, 0x7f, 0, 0, 0, 0, 0, 15, 0, 0]);
    broken("the first reserved bit", &frame(TEXT | 0x40, b"{}"));
    broken("the second reserved bit", &frame(TEXT | 0x20, b"{}"));
    broken("the third reserved bit", &frame(TEXT | 0x10, b"{}"));
    broken("a reserved bit on a ping", &frame(0xc9, b""));
    for opcode in [0x83, 0x84, 0x87, 0x8b, 0x8f] {
        broken(&format!("opcode {opcode:#x}"), &frame(opcode, b""));
    }
    broken("a ping of 126 bytes", &frame(0x89, &[0; 126]));
    broken("a ping announced at 1 MiB", &length_64(0x89, 1 << 20));
    broken("a close of 126 bytes", &frame(0x88, &[0; 126]));
    broken("a ping in fragments", &frame(0x09, b""));
    broken("a close in fragments", &frame(0x08, b""));
    broken("a continuation of nothing", &frame(0x80, b"{}"));
    broken("a fragment that continues nothing", &frame(0x00, b"{}"));
    broken("a message within another", &[frame(0x01, b"{"), frame(TEXT, b"}")].concat());
    broken("a binary fragment within a text", &[frame(0x01, b"{"), frame(0x02, b"}")].concat());
    broken("a continuation after the last", &[frame(TEXT, b"{}"), frame(0x80, b"")].concat());
    broken("125 bytes with a length of 16 bits", &announced(&[TEXT, 0xfe, 0, 125]));
    broken("no bytes with a length of 16 bits", &announced(&[TEXT, 0xfe, 0, 0]));
    broken("125 bytes with a length of 64 bits", &length_64(TEXT, 125));
    broken("65,535 bytes with a length of 64 bits", &length_64(TEXT, 65_535));
    broken("a length with its highest bit set", &length_64(TEXT, 1 << 63));
    broken("the longest length of all", &length_64(TEXT, u64::MAX));
    broken("HTTP instead of frames", b"GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    broken("TLS instead of frames", &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]);
    broken("zeros instead of frames", &[0; 64]);
    broken("a close of one byte", &frame(0x88, &[3]));
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535_u16] {
        broken(&format!("a close with the code {code}"), &frame(0x88, &code.to_be_bytes()));
    }
    edge.finish();
}

#[test]
fn messages_that_are_too_long_or_no_text_close_their_socket_alone() {
    let mut edge = Edge::start(&[]);
    let (read, send) = (Dial::bearer(&reader()), Dial::bearer(&sender()));
    for (who, dial, most) in [("a reader", &read, 16 << 10), ("a sender", &send, 1 << 20)] {
        let name = |what: &str| format!("{who}: {what}");
        edge.bytes(&name("as long as allowed"), dial, &frame(TEXT, &message(most)), &Meets::Pong);
        for (what, bytes) in [
            ("one byte longer", frame(TEXT, &message(most + 1))),
            ("one byte longer, announced", length_64(TEXT, (most as u64 + 1).max(1 << 16))),
            ("an exabyte, announced", length_64(TEXT, 1 << 60)),
            ("fragments without end", fragments(most / 1_000 + 2, 1_000)),
            ("two halves and a byte", [frame(0x01, &message(most)), frame(0x80, b" ")].concat()),
        ] {
            edge.bytes(&name(what), dial, &bytes, &Meets::Closed(1009));
        }
    }
    let stranger = Dial::plain();
    let long = frame(TEXT, &message((16 << 10) + 1));
    edge.bytes("a stranger: one byte longer", &stranger, &long, &Meets::Closed(1009));
    edge.bytes("a binary message", &read, &frame(0x82, b"{}"), &Meets::Closed(1003));
    edge.bytes("an empty binary message", &read, &frame(0x82, b""), &Meets::Closed(1003));
    let mut no_text = |name: &str, bytes: &[u8]| {
        edge.bytes(name, &read, bytes, &Meets::Closed(1007));
    };
    no_text("a byte that is not UTF-8", &frame(TEXT, b"{\"op\":\"\xff\"}"));
    no_text("a surrogate in UTF-8", &frame(TEXT, b"{\"op\":\"\xed\xa0\x80\"}"));
    no_text("an overlong NUL", &frame(TEXT, b"{\"op\":\"\xc0\x80\"}"));
    no_text("past the last character", &frame(TEXT, b"{\"op\":\"\xf4\x90\x80\x80\"}"));
    no_text("a character cut off", &frame(TEXT, b"{\"op\":\"ping\"}\xe2\x82"));
    no_text("a bad half", &[frame(0x01, b"\"\xc3"), frame(0x80, b"(\"")].concat());
    no_text("a goodbye that is not UTF-8", &frame(0x88, b"\x03\xe8\xff"));
    edge.finish();
}

#[test]
fn odd_frames_that_keep_the_rules_are_taken() {
    let mut edge = Edge::start(&[]);
    let read = Dial::bearer(&reader());
    let ping = br#"{"op":"ping"}"#;
    let bytewise: Vec<u8> = ping.iter().flat_map(|byte| frame(0x00, &[*byte])).collect();
    let bytewise = [frame(0x01, b""), bytewise, frame(0x80, b"")].concat();
    edge.bytes("a byte a fragment", &read, &bytewise, &Meets::Pong);
    let between = [frame(0x01, &ping[..5]), frame(0x89, b"x"), frame(0x80, &ping[5..])].concat();
    edge.bytes("a ping between fragments", &read, &between, &Meets::Pong);
    let split = [frame(0x01, b"{\"op\":\"ping\",\"x\":\"\xc3"), frame(0x80, b"\xa4\"}")].concat();
    edge.bytes("a character over two fragments", &read, &split, &Meets::Pong);
    edge.bytes("a close without a code", &read, &frame(0x88, b""), &Meets::ClosedPlainly);
    for code in [1000, 1001, 1013, 3000, 4999_u16] {
        let bytes = frame(0x88, &code.to_be_bytes());
        edge.bytes(&format!("a close with {code}"), &read, &bytes, &Meets::Closed(code));
    }
    let late = [frame(0x88, &1000_u16.to_be_bytes()), frame(TEXT, ping), vec![0; 32]].concat();
    edge.bytes("more after the goodbye", &read, &late, &Meets::Closed(1000));
    edge.finish();
}
