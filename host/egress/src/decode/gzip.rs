//! gzip (RFC 1952): members, one after the other, each a header, deflate, and
//! eight bytes.
//!
//! The checksum is for whoever reads the content; the search needs none.

use flate2::Decompress;

use super::{DecodeError, Step, inflate_step};

const HAS_CHECKSUM: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

pub(super) struct Gzip {
    part: Part,
    flags: u8,
    inflate: Decompress,
}

/// Where in a member the next byte stands.
#[derive(Clone, Copy)]
enum Part {
    /// The ten bytes that each header has; this one of them.
    Fixed(u8),
    /// The low byte of the extra field's length, and the high one.
    ExtraLow,
    ExtraHigh(u8),
    /// So many bytes of the extra field.
    Extra(u16),
    Name,
    Comment,
    /// So many bytes of the header's checksum.
    Checksum(u8),
    Content,
    /// So many bytes of the member's end.
    End(u8),
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self {
            part: Part::Fixed(0),
            flags: 0,
            inflate: Decompress::new(false),
        }
    }

    /// Whether a member has just ended.
    pub(super) fn is_at_end(&self) -> bool {
        // Before the first member, it also stands at a header's first byte.
        matches!(self.part, Part::Fixed(0)) && self.inflate.total_in() > 0
    }

    pub(super) fn step(&mut self, encoded: &[u8], piece: &mut [u8]) -> Result<Step, DecodeError> {
        let mut read = 0;
        while !matches!(self.part, Part::Content) {
            let Some(byte) = encoded.get(read) else {
                return Ok(Step { read, written: 0 });
            };
            self.part = self.after(*byte)?;
            read += 1;
        }
        let rest = encoded.get(read..).unwrap_or_default();
        let (step, ended) = inflate_step(&mut self.inflate, rest, piece)?;
        if ended {
            self.part = Part::End(8);
        }
        Ok(Step {
            read: read + step.read,
            written: step.written,
        })
    }

    /// The part after a byte that is not of the content.
    fn after(&mut self, byte: u8) -> Result<Part, DecodeError> {
        let expect = |expected: bool| expected.then_some(()).ok_or(DecodeError::Malformed);
        Ok(match self.part {
            Part::Fixed(index) => {
                match index {
                    0 => expect(byte == 0x1f)?,
                    1 => expect(byte == 0x8b)?,
                    2 => expect(byte == 8)?,
                    3 => {
                        expect(byte & RESERVED == 0)?;
                        self.flags = byte;
                    }
                    _ => {}
                }
                match index {
                    9 => self.at_extra(),
                    _ => Part::Fixed(index + 1),
                }
            }
            Part::ExtraLow => Part::ExtraHigh(byte),
            Part::ExtraHigh(low) => match u16::from_le_bytes([low, byte]) {
                0 => self.at_name(),
                length => Part::Extra(length),
            },
            Part::Extra(1) => self.at_name(),
            Part::Extra(left) => Part::Extra(left - 1),
            Part::Name if byte == 0 => self.at_comment(),
            Part::Comment if byte == 0 => self.at_checksum(),
            Part::Name | Part::Comment => self.part,
            Part::Checksum(1) => self.content(),
            Part::Checksum(left) => Part::Checksum(left - 1),
            Part::Content => Part::Content,
            Part::End(1) => Part::Fixed(0),
            Part::End(left) => Part::End(left - 1),
        })
    }

    fn at_extra(&mut self) -> Part {
        match self.flags & HAS_EXTRA {
            0 => self.at_name(),
            _ => Part::ExtraLow,
        }
    }

    fn at_name(&mut self) -> Part {
        match self.flags & HAS_NAME {
            0 => self.at_comment(),
            _ => Part::Name,
        }
    }

    fn at_comment(&mut self) -> Part {
        match self.flags & HAS_COMMENT {
            0 => self.at_checksum(),
            _ => Part::Comment,
        }
    }

    fn at_checksum(&mut self) -> Part {
        match self.flags & HAS_CHECKSUM {
            0 => self.content(),
            _ => Part::Checksum(2),
        }
    }

    fn content(&mut self) -> Part {
        self.inflate = Decompress::new(false);
        Part::Content
    }
}
