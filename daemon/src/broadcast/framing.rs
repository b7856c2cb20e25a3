//! The rules a client's frames keep (RFC 6455, section 5), checked as soon as a header is here: a
//! frame that breaks them is not waited for, however long it says it is.
//!
//! Looks at headers and passes over payloads; decodes nothing, and knows no limit on length. The
//! [`super::protocol`] walks over everything it hands to the protocol library.

/// The longest header of a client: opcode, length marker, 64-bit length, mask.
const HEADER_BYTES_MAX: usize = 14;
/// The longest payload of a control frame.
const CONTROL_BYTES_MAX: u8 = 125;
const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const MASK_BYTES: usize = 4;
const LONG_LENGTH: &str = "a length in more bytes than it needs";

/// Where in the frames of a client the bytes received so far end.
#[derive(Default)]
pub(super) struct Framing {
    header: [u8; HEADER_BYTES_MAX],
    /// Bytes of the header that are here.
    have: usize,
    /// Bytes of the payload that are not.
    payload: u64,
    /// Whether a message has begun whose last fragment has not.
    fragmented: bool,
}

/// The first bytes that break a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// How many bytes before them are whole frames, or parts of frames met earlier.
    pub(super) good: usize,
    /// Which rule, as a close frame tells it.
    pub(super) rule: &'static str,
}

impl Framing {
    /// Walks over bytes that come next.
    pub(super) fn walk(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let mut at = 0;
        while at < bytes.len() {
            if self.payload > 0 {
                let left = (bytes.len() - at) as u64;
                let passed = left.min(self.payload);
                self.payload -= passed;
                at += passed as usize;
                continue;
            }
            self.header[self.have] = bytes[at];
            self.have += 1;
            at += 1;
            self.check().map_err(|rule| Broken { good: at.saturating_sub(self.have), rule })?;
        }
        Ok(())
    }

    /// Whether a message just ended, or none began yet.
    pub(super) fn is_between_messages(&self) -> bool {
        self.have == 0 && self.payload == 0 && !self.fragmented
    }

    /// Checks the byte of the header that came last; after the last of all the payload follows.
    fn check(&mut self) -> Result<(), &'static str> {
        let [first, second, ..] = self.header;
        let is_control = first & 0x08 != 0;
        let short = second & !MASKED;
        let length_bytes = match short {
            127 => 8,
            126 => 2,
            _ => 0,
        };
        let extended = self.header[2..].iter().take(length_bytes);
        let extended = extended.fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        match self.have {
            1 => self.check_first(first)?,
            2 if second & MASKED == 0 => return Err("an unmasked frame"),
            2 if is_control && short > CONTROL_BYTES_MAX => return Err("a long control frame"),
            4 if length_bytes == 2 && extended < 126 => return Err(LONG_LENGTH),
            10 if length_bytes == 8 && extended < 1 << 16 => return Err(LONG_LENGTH),
            10 if length_bytes == 8 && extended >= 1 << 63 => {
                return Err("a length with its highest bit set");
            }
            have if have == 2 + length_bytes + MASK_BYTES => {
                self.payload = if length_bytes == 0 { u64::from(short) } else { extended };
                self.have = 0;
                if !is_control {
                    self.fragmented = first & FIN == 0;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check_first(&self, first: u8) -> Result<(), &'static str> {
        if first & RESERVED != 0 {
            return Err("reserved bits");
        }
        match first & OPCODE {
            0 if !self.fragmented => Err("a continuation of nothing"),
            1 | 2 if self.fragmented => Err("a message within another"),
            0x8..=0xa if first & FIN == 0 => Err("a control frame in fragments"),
            0..=2 | 0x8..=0xa => Ok(()),
            _ => Err("a reserved opcode"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn broken(bytes: &[u8]) -> Option<Broken> {
        let whole = Framing::default().walk(bytes).err();
        let mut split = Framing::default();
        let first = bytes.iter().find_map(|byte| split.walk(&[*byte]).err());
        assert_eq!(
            whole.as_ref().map(|broken| broken.rule),
            first.as_ref().map(|broken| broken.rule),
            "however it arrives"
        );
        whole
    }

    fn frame(head: &[u8], payload: usize) -> Vec<u8> {
        [head, &MASK, &vec![0; payload]].concat()
    }

    #[test]
    fn frames_that_keep_the_rules_pass_in_any_pieces() {
        let good = [
            frame(&[0x81, 0x80], 0),
            frame(&[0x01, 0xfd], 125),
            frame(&[0x89, 0xfd], 125),
            frame(&[0x00, 0xfe, 0, 126], 126),
            frame(&[0x80, 0xfe, 0xff, 0xff], 65_535),
            frame(&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0], 65_536),
        ]
        .concat();
        assert_eq!(broken(&good), None);
        let mut framing = Framing::default();
        framing.walk(&good).unwrap();
        assert!(framing.is_between_messages());
        framing.walk(&frame(&[0x01, 0x80], 0)).unwrap();
        assert!(!framing.is_between_messages(), "a fragment is open");
    }

    #[test]
    fn a_broken_header_is_told_before_its_payload_and_after_what_came_first() {
        let good = frame(&[0x81, 0x82], 2);
        for (head, rule) in [
            (&[0x81, 0x7f][..], "an unmasked frame"),
            (&[0xc1], "reserved bits"),
            (&[0xa1], "reserved bits"),
            (&[0x91], "reserved bits"),
            (&[0x83], "a reserved opcode"),
            (&[0x8b], "a reserved opcode"),
            (&[0x80], "a continuation of nothing"),
            (&[0x09], "a control frame in fragments"),
            (&[0x89, 0xfe], "a long control frame"),
            (&[0x88, 0xff], "a long control frame"),
            (&[0x81, 0xfe, 0, 125], LONG_LENGTH),
            (&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], LONG_LENGTH),
            (&[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], "a length with its highest bit set"),
        ] {
            let found = broken(&[&good[..], head].concat());
            assert_eq!(found, Some(Broken { good: good.len(), rule }));
        }
        let open = [frame(&[0x01, 0x80], 0), vec![0x81]].concat();
        assert_eq!(broken(&open), Some(Broken { good: 6, rule: "a message within another" }));
    }
}
