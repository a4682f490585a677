//! Decodes a copy of an answer's body, for the guard to search.
//!
//! What is decoded is not passed on and not kept: it goes to a sink piece by piece.
//! So memory is bounded by the decoders' windows (deflate 32 KiB, zstd 8 MiB,
//! brotli 16 MiB), and time by what may come out: 100 bytes for each encoded one,
//! and 8 MiB however many there are.

mod gzip;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use http::header::{CONTENT_ENCODING, HeaderMap};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use gzip::Gzip;

/// How many encodings may lie one in the other.
const MAX_LAYERS: usize = 2;
/// How much may come out of each encoded byte.
const MAX_RATIO: u64 = 100;
/// How much may come out in any case, in bytes.
const ALWAYS: u64 = 8 << 20;
/// RFC 9659: no content in zstd needs a window of more than 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;
/// RFC 8878, 3.1.1.2.
const ZSTD_BLOCK_HEADER: usize = 3;
/// How much comes out at once, in bytes.
const PIECE: usize = 8 << 10;

/// Why a body can't be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// The encoding is not known here, or there are too many of them.
    #[error("the encoding is not known")]
    Unknown,
    /// The bytes are not in that encoding.
    #[error("the bytes are not in that encoding")]
    Malformed,
    /// More comes out than may.
    #[error("too much comes out")]
    TooMuch,
}

/// The decoders of one body.
pub(crate) struct Decoding {
    layers: Vec<Layer>,
    taken: u64,
    given: u64,
}

impl Decoding {
    /// What a head's `content-encoding` asks for; none if that is nothing.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, DecodeError> {
        let mut layers = Vec::new();
        for value in headers.get_all(CONTENT_ENCODING) {
            let value = value.to_str().map_err(|_| DecodeError::Unknown)?;
            for coding in value.split(',') {
                let coding = coding.trim().to_ascii_lowercase();
                if coding != "identity" {
                    layers.push(Layer::new(&coding)?);
                }
                if layers.len() > MAX_LAYERS {
                    return Err(DecodeError::Unknown);
                }
            }
        }
        // What of the inner one's block is in couldn't be told.
        if layers
            .iter()
            .filter(|layer| matches!(layer, Layer::Zstd(_)))
            .count()
            > 1
        {
            return Err(DecodeError::Unknown);
        }
        // The one that was applied last comes off first.
        layers.reverse();
        Ok((!layers.is_empty()).then_some(Self {
            layers,
            taken: 0,
            given: 0,
        }))
    }

    /// Decodes what comes next. All that can be decoded by now goes to `sink`.
    ///
    /// Errors: those of the sink, and [`DecodeError`].
    pub(crate) fn push<E: From<DecodeError>>(
        &mut self,
        encoded: &[u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.taken = self.taken.saturating_add(count(encoded));
        let mut budget = (self.taken.saturating_mul(MAX_RATIO))
            .saturating_add(ALWAYS)
            .saturating_sub(self.given);
        let before = budget;
        let mut counted = |piece: &[u8]| {
            budget = budget
                .checked_sub(count(piece))
                .ok_or(DecodeError::TooMuch)?;
            sink(piece)
        };
        let pushed = match self.layers.as_mut_slice() {
            [] => counted(encoded),
            [one] => one.push(encoded, &mut counted),
            [one, two, ..] => one.push(encoded, &mut |piece: &[u8]| two.push(piece, &mut counted)),
        };
        self.given = self.given.saturating_add(before - budget);
        pushed
    }

    /// Whether all that came in has come out, and nothing waits for the end of a
    /// block. Where it does, that comes out before anything else.
    pub(crate) fn is_settled(&self) -> bool {
        self.layers.iter().all(Layer::is_settled)
    }

    /// Whether the bytes so far are a whole content, or there were none.
    pub(crate) fn is_at_end(&self) -> bool {
        self.taken == 0 || self.layers.iter().all(Layer::is_at_end)
    }
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

enum Layer {
    Gzip(Gzip),
    Deflate(Deflate),
    Brotli { state: Box<Brotli>, ended: bool },
    Zstd(Zstd),
}

/// zstd (RFC 8878): nothing comes out of a block before all of it is in.
struct Zstd {
    context: DCtx<'static>,
    /// How many bytes the block that comes in needs, the next one's header included.
    needs: usize,
    /// Nothing of a block is in from which nothing has come out.
    settled: bool,
    ended: bool,
}

/// `deflate` is zlib's format (RFC 9110, 8.4.1.2); some senders leave its frame out.
struct Deflate {
    /// The first byte, until the second tells which it is.
    first: Option<u8>,
    inflate: Option<Decompress>,
    ended: bool,
}

/// What one step did.
pub(super) struct Step {
    pub(super) read: usize,
    pub(super) written: usize,
}

impl Layer {
    fn new(coding: &str) -> Result<Self, DecodeError> {
        Ok(match coding {
            "gzip" | "x-gzip" => Self::Gzip(Gzip::new()),
            "deflate" => Self::Deflate(Deflate {
                first: None,
                inflate: None,
                ended: false,
            }),
            "br" => Self::Brotli {
                // Strict: without the windows of a gigabyte that are no part of the
                // standard.
                state: Box::new(BrotliState::new_strict(
                    StandardAlloc::default(),
                    StandardAlloc::default(),
                    StandardAlloc::default(),
                )),
                ended: false,
            },
            "zstd" => {
                let mut context = DCtx::try_create().ok_or(DecodeError::Unknown)?;
                context
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))
                    .map_err(|_| DecodeError::Unknown)?;
                Self::Zstd(Zstd {
                    context,
                    needs: 0,
                    settled: true,
                    ended: false,
                })
            }
            _ => return Err(DecodeError::Unknown),
        })
    }

    fn push<E: From<DecodeError>>(
        &mut self,
        mut encoded: &[u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut piece = [0; PIECE];
        loop {
            let Step { read, written } = self.step(encoded, &mut piece)?;
            if read == 0 && written == 0 {
                // Whoever reads nothing of something and writes nothing never will.
                return match encoded.is_empty() {
                    true => Ok(()),
                    false => Err(DecodeError::Malformed.into()),
                };
            }
            encoded = encoded.get(read..).unwrap_or_default();
            if let Some(piece) = piece.get(..written).filter(|piece| !piece.is_empty()) {
                sink(piece)?;
            }
        }
    }

    /// Reads some of `encoded` and writes into `piece`; neither only when more is
    /// needed, or when bytes follow on the end.
    fn step(&mut self, encoded: &[u8], piece: &mut [u8]) -> Result<Step, DecodeError> {
        match self {
            Self::Gzip(gzip) => gzip.step(encoded, piece),
            Self::Deflate(deflate) => deflate.step(encoded, piece),
            Self::Brotli { state, ended } => {
                if *ended {
                    return Ok(Step {
                        read: 0,
                        written: 0,
                    });
                }
                let (mut left, mut read, mut total) = (encoded.len(), 0, 0);
                let (mut room, mut written) = (piece.len(), 0);
                let result = BrotliDecompressStream(
                    &mut left,
                    &mut read,
                    encoded,
                    &mut room,
                    &mut written,
                    piece,
                    &mut total,
                    state,
                );
                match result {
                    BrotliResult::ResultFailure => return Err(DecodeError::Malformed),
                    BrotliResult::ResultSuccess => *ended = true,
                    BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
                }
                Ok(Step { read, written })
            }
            Self::Zstd(zstd) => zstd.step(encoded, piece),
        }
    }

    fn is_at_end(&self) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.is_at_end(),
            Self::Deflate(Deflate { ended, .. })
            | Self::Brotli { ended, .. }
            | Self::Zstd(Zstd { ended, .. }) => *ended,
        }
    }

    /// Whether all has come out that is in. Of the other codings a few bits are not.
    fn is_settled(&self) -> bool {
        match self {
            Self::Zstd(zstd) => zstd.settled,
            Self::Gzip(_) | Self::Deflate(_) | Self::Brotli { .. } => true,
        }
    }
}

impl Zstd {
    fn step(&mut self, encoded: &[u8], piece: &mut [u8]) -> Result<Step, DecodeError> {
        // Never more than one block at a time, so that what comes out is that one's.
        let given = encoded.len().min(self.needs.max(1));
        let mut input = InBuffer::around(encoded.get(..given).unwrap_or_default());
        let mut output = OutBuffer::around(piece);
        self.needs = self
            .context
            .decompress_stream(&mut output, &mut input)
            .map_err(|_| DecodeError::Malformed)?;
        let (read, written) = (input.pos(), output.pos());
        if read > 0 || written > 0 {
            // Zero at the end of a frame, after which another may begin.
            self.ended = self.needs == 0;
        }
        if read > 0 {
            // What is missing is the next block's header, and not the end of this.
            let is_between = written > 0 && self.needs <= ZSTD_BLOCK_HEADER;
            self.settled = self.ended || is_between;
        }
        Ok(Step { read, written })
    }
}

impl Deflate {
    fn step(&mut self, encoded: &[u8], piece: &mut [u8]) -> Result<Step, DecodeError> {
        if self.ended {
            return Ok(Step {
                read: 0,
                written: 0,
            });
        }
        let Some(inflate) = &mut self.inflate else {
            let mut bytes = encoded.iter().copied();
            let (first, read) = match self.first {
                Some(first) => (first, 0),
                None => match bytes.next() {
                    Some(first) => (first, 1),
                    None => {
                        return Ok(Step {
                            read: 0,
                            written: 0,
                        });
                    }
                },
            };
            let Some(second) = bytes.next() else {
                self.first = Some(first);
                return Ok(Step { read, written: 0 });
            };
            let has_frame =
                first & 0x0f == 8 && (u16::from(first) << 8 | u16::from(second)) % 31 == 0;
            let inflate = self.inflate.insert(Decompress::new(has_frame));
            // The first byte may have come alone. Nothing comes out of it yet.
            inflate_step(inflate, &[first], piece)?;
            let rest = encoded.get(read..).unwrap_or_default();
            let (step, ended) = inflate_step(inflate, rest, piece)?;
            self.ended = ended;
            return Ok(Step {
                read: read + step.read,
                written: step.written,
            });
        };
        let (step, ended) = inflate_step(inflate, encoded, piece)?;
        self.ended = ended;
        Ok(step)
    }
}

/// One step of deflate, and whether its stream ended.
fn inflate_step(
    inflate: &mut Decompress,
    encoded: &[u8],
    piece: &mut [u8],
) -> Result<(Step, bool), DecodeError> {
    let (read, written) = (inflate.total_in(), inflate.total_out());
    let status = inflate
        .decompress(encoded, piece, FlushDecompress::None)
        .map_err(|_| DecodeError::Malformed)?;
    let step = Step {
        // No more than the lengths of the two buffers.
        read: (inflate.total_in() - read) as usize,
        written: (inflate.total_out() - written) as usize,
    };
    Ok((step, status == Status::StreamEnd))
}

/// Decodes the parts of a body in these codings as an answer is decoded, and gives
/// what comes out to `sink`. For fuzzing. False if it is refused.
#[cfg(feature = "fuzz")]
pub fn decode_for_search<'a>(
    codings: &str,
    mut parts: impl Iterator<Item = &'a [u8]>,
    mut sink: impl FnMut(&[u8]),
) -> bool {
    let mut headers = HeaderMap::new();
    let Ok(codings) = codings.parse() else {
        return false;
    };
    headers.insert(CONTENT_ENCODING, codings);
    let Ok(Some(mut decoding)) = Decoding::of(&headers) else {
        return false;
    };
    let decoded = parts.try_for_each(|part| {
        decoding.push(part, &mut |piece: &[u8]| -> Result<(), DecodeError> {
            sink(piece);
            Ok(())
        })
    });
    decoded.is_ok() && decoding.is_at_end()
}

#[cfg(test)]
mod tests;
