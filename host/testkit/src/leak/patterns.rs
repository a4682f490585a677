//! Patterns: what a value looks like in each form that can be searched for as it
//! stands.

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, Encoding, HEXLOWER};

use super::form::Form;

/// Shorter patterns than this are too easily met by chance, in bytes.
const LEAST_PATTERN: usize = 8;
/// Values longer than this are looked for piece by piece, in bytes.
const LONG: usize = 96;
/// The length of such a piece, in bytes.
const PIECE: usize = 48;
/// What is left out at the beginning of a long value: the line that says what it
/// is, and what the keys of one algorithm have in common.
const COMMON: usize = 64;
/// What is left out at its end.
const TAIL: usize = 32;

/// The parts of a value that are looked for: itself, or pieces of a long one.
pub(crate) fn pieces(value: &[u8]) -> Vec<&[u8]> {
    if value.len() <= LONG {
        return vec![value];
    }
    let inner = value.get(COMMON..value.len() - TAIL).unwrap_or(value);
    let mut pieces: Vec<&[u8]> = inner.chunks_exact(PIECE).collect();
    let covered = pieces.len() * PIECE;
    if covered < inner.len() {
        pieces.push(&inner[inner.len().saturating_sub(PIECE)..]);
    }
    pieces
}

/// What a value looks like in each form that stands still, for searches through much
/// more than [`Canaries`](super::Canaries) is made for. All are to be matched without
/// regard to case; base64 that differs in it is no find.
pub fn patterns(piece: &[u8]) -> Vec<(Form, Vec<u8>)> {
    let mut patterns = vec![(Form::Raw, piece.to_vec())];
    if piece.len() < LEAST_PATTERN {
        return patterns;
    }
    let reversed: Vec<u8> = piece.iter().rev().copied().collect();
    if reversed != piece {
        patterns.push((Form::Reversed, reversed));
    }
    patterns.push((Form::Hexadecimal, HEXLOWER.encode(piece).into_bytes()));
    for offset in 0..3 {
        patterns.push((Form::Base64, core(piece, offset, &BASE64_NOPAD, 6)));
        let url = core(piece, offset, &BASE64URL_NOPAD, 6);
        if !patterns.iter().any(|(_, known)| *known == url) {
            patterns.push((Form::Base64Url, url));
        }
    }
    for offset in 0..5 {
        patterns.push((Form::Base32, core(piece, offset, &BASE32_NOPAD, 5)));
    }
    // Without the outermost zero bytes, so that one pattern serves both orders.
    let mut wide: Vec<u8> = piece.iter().flat_map(|byte| [*byte, 0]).collect();
    wide.pop();
    patterns.push((Form::Utf16, wide));
    patterns.retain(|(_, pattern)| pattern.len() >= LEAST_PATTERN);
    patterns
}

/// The characters that a value alone determines when `offset` other bytes stand
/// before it, in an encoding with so many bits a character.
fn core(value: &[u8], offset: usize, encoding: &Encoding, bits: usize) -> Vec<u8> {
    let mut padded = vec![0; offset];
    padded.extend_from_slice(value);
    let text = encoding.encode(&padded).into_bytes();
    let first = (offset * 8).div_ceil(bits);
    let end = padded.len() * 8 / bits;
    text.get(first..end).unwrap_or_default().to_vec()
}

impl Form {
    /// Whether a difference of case is a difference.
    pub(crate) fn is_exact(self) -> bool {
        matches!(self, Form::Base64 | Form::Base64Url)
    }
}
