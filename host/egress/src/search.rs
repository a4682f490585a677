//! A body on its way through the guard, as it is or with a decoded copy.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use keyward_vault::{Guard, GuardStream, Reflected};

use crate::body::BodyError;
use crate::decode::{DecodeError, Decoding};

/// How many encoded bytes are decoded between two looks at what may be let go.
const SLICE: usize = 256;
/// How many encoded bytes may wait for what is decoded from them to be told from a
/// value: far more than an honest sender causes.
const MAX_WAITING: usize = 1 << 20;

/// Searches a body, and holds back what could be the start of a value.
pub(crate) enum Search {
    Plain(GuardStream),
    Encoded(Box<Encoded>),
}

/// A body in a content encoding. What comes is searched as it is, too: an encoding
/// has places for text that nobody decodes.
pub(crate) struct Encoded {
    raw: GuardStream,
    copy: GuardStream,
    decoding: Decoding,
    /// What came and was not let go.
    waiting: BytesMut,
    slices: VecDeque<Slice>,
    decoded: u64,
    /// How many of the last decoded bytes could be the start of a value.
    live: usize,
}

/// A part of what waits. After each one more is decoded than after the one before.
struct Slice {
    length: usize,
    /// How much was decoded when it was in.
    decoded: u64,
    /// All that is in it was decoded then, and nothing is left for later.
    settled: bool,
}

impl From<Reflected> for BodyError {
    fn from(_: Reflected) -> Self {
        Self::Reflected
    }
}

impl From<DecodeError> for BodyError {
    fn from(_: DecodeError) -> Self {
        Self::Interrupted
    }
}

impl Search {
    /// Searches a body as it is. `readable` says whether that is what a client reads.
    pub(crate) fn plain(guard: &Guard, readable: bool) -> Self {
        Self::Plain(guard.stream(readable))
    }

    /// Searches a body that is encoded, and what it encodes.
    pub(crate) fn encoded(guard: &Guard, decoding: Decoding) -> Self {
        Self::Encoded(Box::new(Encoded {
            raw: guard.stream(true),
            copy: guard.stream(true),
            decoding,
            waiting: BytesMut::new(),
            slices: VecDeque::new(),
            decoded: 0,
            live: 0,
        }))
    }

    /// What may be passed on, of all that came; empty if nothing may yet.
    pub(crate) fn push(&mut self, chunk: Bytes) -> Result<Bytes, BodyError> {
        match self {
            Self::Plain(stream) => Ok(stream.push(chunk)?),
            Self::Encoded(encoded) => {
                let clean = encoded.raw.push(chunk)?;
                encoded.decode(&clean)?;
                encoded.release()
            }
        }
    }

    /// Ends the body: what was held back did not become a value.
    pub(crate) fn finish(&mut self) -> Result<Bytes, BodyError> {
        match self {
            Self::Plain(stream) => Ok(stream.finish()),
            Self::Encoded(encoded) => {
                let tail = encoded.raw.finish();
                encoded.decode(&tail)?;
                if !encoded.decoding.is_at_end() {
                    return Err(BodyError::Interrupted);
                }
                encoded.slices.clear();
                Ok(std::mem::take(&mut encoded.waiting).freeze())
            }
        }
    }

    /// How many bytes are held back.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Plain(stream) => stream.held(),
            Self::Encoded(encoded) => encoded.raw.held() + encoded.waiting.len(),
        }
    }

    /// Whether trailers hold no value.
    pub(crate) fn check_trailers(&mut self, trailers: &HeaderMap) -> Result<(), BodyError> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Encoded(encoded) => &mut encoded.raw,
        };
        Ok(stream.check_trailers(trailers)?)
    }
}

impl Encoded {
    fn decode(&mut self, clean: &[u8]) -> Result<(), BodyError> {
        let Self {
            copy,
            decoding,
            slices,
            decoded,
            live,
            ..
        } = self;
        for slice in clean.chunks(SLICE) {
            decoding.push(slice, &mut |piece: &[u8]| -> Result<(), BodyError> {
                *live = copy.search(piece)?;
                *decoded = decoded.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                Ok(())
            })?;
            match slices.back_mut().filter(|last| last.decoded == *decoded) {
                Some(last) => {
                    last.length = last.length.saturating_add(slice.len());
                    last.settled = decoding.is_settled();
                }
                None => slices.push_back(Slice {
                    length: slice.len(),
                    decoded: *decoded,
                    settled: decoding.is_settled(),
                }),
            }
        }
        self.waiting.extend_from_slice(clean);
        Ok(())
    }

    /// Lets those slices go from which nothing came that could become a value, nor
    /// will. Of a block that isn't in as a whole nothing has come yet: the slices
    /// that hold it wait for what comes of it.
    fn release(&mut self) -> Result<Bytes, BodyError> {
        let live = u64::try_from(self.live).unwrap_or(u64::MAX);
        let clean = self.decoded.saturating_sub(live);
        let mut length = 0;
        while let Some(slice) = self.slices.front() {
            let next = self.slices.get(1);
            let is_done = slice.settled || next.is_some_and(|next| next.decoded <= clean);
            if slice.decoded > clean || !is_done {
                break;
            }
            length += slice.length;
            self.slices.pop_front();
        }
        let released = self.waiting.split_to(length.min(self.waiting.len()));
        if self.waiting.len() > MAX_WAITING {
            return Err(BodyError::Interrupted);
        }
        Ok(released.freeze())
    }
}
