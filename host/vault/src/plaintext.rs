//! What is written before it is sealed: bytes in secret pages, in a buffer that
//! has room for all of them from the start, so that it never moves.

use std::ops::Deref;

use minicbor::Encoder;
use minicbor::encode::write::{Cursor, EndOfSlice};

use crate::memory::Scratch;

/// Bytes in secret pages. Wiped when dropped.
pub(crate) struct Plaintext {
    bytes: Scratch,
    length: usize,
}

crate::secret::assert_not_implemented!(Plaintext: std::fmt::Debug, Clone, serde::Serialize);

/// Writes CBOR (RFC 8949) into a [`Plaintext`].
pub(crate) type Writer<'a> = Encoder<Cursor<&'a mut [u8]>>;

/// How writing ends: it fails only if there is too little room.
pub(crate) type Encoded = Result<(), minicbor::encode::Error<EndOfSlice>>;

impl Plaintext {
    /// Empty, with room for `room` bytes.
    pub(crate) fn with_room(room: usize) -> Self {
        Self {
            bytes: Scratch::new(room),
            length: 0,
        }
    }

    /// What `write` writes, which is at most `room` bytes.
    ///
    /// # Panics
    ///
    /// If it is more: whoever computes the room is wrong.
    pub(crate) fn written(room: usize, write: impl FnOnce(&mut Writer<'_>) -> Encoded) -> Self {
        let mut text = Self::with_room(room);
        let mut writer = Encoder::new(Cursor::new(&mut text.bytes[..]));
        write(&mut writer).expect("there is room for all of it");
        text.length = writer.writer().position();
        text
    }

    /// Adds a byte. `None` if there is no room for it.
    pub(crate) fn push(&mut self, byte: u8) -> Option<()> {
        *self.bytes.get_mut(self.length)? = byte;
        self.length += 1;
        Some(())
    }

    /// Makes it `length` bytes long: shorter, or longer by zeros. `None` if there is
    /// no room.
    pub(crate) fn resize(&mut self, length: usize) -> Option<()> {
        let (from, to) = (self.length.min(length), self.length.max(length));
        self.bytes.get_mut(from..to)?.fill(0);
        self.length = length;
        Some(())
    }

    /// The bytes, to be written over.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }
}

impl Deref for Plaintext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
