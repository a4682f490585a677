//! Takes layers off: escapes of text, with the place that each byte came from, and
//! compression.
//!
//! Decoders here are generous. What no parser would accept in whole may still hold
//! a value, and nothing that comes out is used but for being searched.

use std::io::Read as _;

use super::form::Layer;

/// The most bytes that are taken out of one compressed text.
const MOST_DECODED: u64 = 4 << 20;
/// How many beginnings of compressed text are tried in one text.
const MOST_BEGINNINGS: usize = 8;

/// Text without a layer of escapes.
pub(crate) struct Undone {
    /// What the escapes stood for, and all that was no escape.
    pub(crate) bytes: Vec<u8>,
    /// Where each byte's writing begins in the text; and the text's end.
    pub(crate) origins: Vec<usize>,
}

/// The layers of escapes.
pub(crate) const ESCAPES: [Layer; 3] = [Layer::Percent, Layer::Json, Layer::Markup];

/// Takes one layer of escapes off; none where there is none.
pub(crate) fn escapes(layer: Layer, text: &[u8]) -> Option<Undone> {
    let (sign, read): (u8, Read) = match layer {
        Layer::Percent => (b'%', percent),
        Layer::Json => (b'\\', json),
        Layer::Markup => (b'&', markup),
        _ => return None,
    };
    memchr::memchr(sign, text)?;
    let mut undone = Undone {
        bytes: Vec::with_capacity(text.len()),
        origins: Vec::with_capacity(text.len() + 1),
    };
    let (mut at, mut changed) = (0, false);
    while let Some(&byte) = text.get(at) {
        let escape = if byte == sign {
            read(&text[at..])
        } else {
            None
        };
        let length = match escape {
            None => {
                undone.bytes.push(byte);
                1
            }
            Some((character, length)) => {
                changed = true;
                let mut buffer = [0; 4];
                let written = match character {
                    What::Byte(byte) => {
                        buffer[0] = byte;
                        &buffer[..1]
                    }
                    What::Character(character) => character.encode_utf8(&mut buffer).as_bytes(),
                };
                undone.bytes.extend_from_slice(written);
                length
            }
        };
        undone.origins.resize(undone.bytes.len(), at);
        at += length;
    }
    undone.origins.push(text.len());
    changed.then_some(undone)
}

enum What {
    Byte(u8),
    Character(char),
}

/// Reads the escape that a text begins with: what it stands for, and its length.
type Read = fn(&[u8]) -> Option<(What, usize)>;

fn percent(text: &[u8]) -> Option<(What, usize)> {
    Some((What::Byte(digits(text.get(1..3)?)?), 3))
}

fn json(text: &[u8]) -> Option<(What, usize)> {
    let byte = match *text.get(1)? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        b'0' => 0,
        escaped @ (b'"' | b'\'' | b'\\' | b'/') => escaped,
        b'x' => return Some((What::Byte(digits(text.get(2..4)?)?), 4)),
        b'u' => {
            let high = u32::from(digits(text.get(2..4)?)?);
            let low = u32::from(digits(text.get(4..6)?)?);
            let character = char::from_u32(high << 8 | low)?;
            return Some((What::Character(character), 6));
        }
        _ => return None,
    };
    Some((What::Byte(byte), 2))
}

fn markup(text: &[u8]) -> Option<(What, usize)> {
    const NAMED: [(&[u8], char); 5] = [
        (b"&amp;", '&'),
        (b"&lt;", '<'),
        (b"&gt;", '>'),
        (b"&quot;", '"'),
        (b"&apos;", '\''),
    ];
    for (name, character) in NAMED {
        if text
            .get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
        {
            return Some((What::Character(character), name.len()));
        }
    }
    // `&#47;`, `&#x2f;`; nobody needs more than ten characters.
    let end = text.iter().take(10).position(|byte| *byte == b';')?;
    let number = std::str::from_utf8(text.get(2..end)?).ok()?;
    if text.get(1) != Some(&b'#') {
        return None;
    }
    let code = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => number.parse().ok()?,
    };
    Some((What::Character(char::from_u32(code)?), end + 1))
}

/// Two hexadecimal digits.
fn digits(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [high, low] = text else { return None };
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

/// All that comes out of compressed texts which begin somewhere in `bytes`, each
/// with its layer.
pub(crate) fn compressed(bytes: &[u8]) -> Vec<(Layer, Vec<u8>)> {
    // RFC 1950, section 2.2: a window of 32 KiB, and each of the four levels.
    const BEGINNINGS: [(&[u8], Layer); 6] = [
        (b"\x1f\x8b\x08", Layer::Gzip),
        (b"\x28\xb5\x2f\xfd", Layer::Zstd),
        (b"\x78\x01", Layer::Deflate),
        (b"\x78\x5e", Layer::Deflate),
        (b"\x78\x9c", Layer::Deflate),
        (b"\x78\xda", Layer::Deflate),
    ];
    let mut out = Vec::new();
    for (beginning, layer) in BEGINNINGS {
        for start in memchr::memmem::find_iter(bytes, beginning).take(MOST_BEGINNINGS) {
            let decoded = decompress(layer, &bytes[start..]);
            if !decoded.is_empty() {
                out.push((layer, decoded));
            }
        }
    }
    out
}

/// What comes out of the encodings that a head's `content-encoding` lists, in the
/// order in which they come off; nothing of one that isn't known.
pub(crate) fn content_encodings(list: &str) -> Vec<Layer> {
    let layer = |coding: &str| match coding.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => Some(Layer::Gzip),
        "deflate" => Some(Layer::Deflate),
        "zstd" => Some(Layer::Zstd),
        "br" => Some(Layer::Brotli),
        _ => None,
    };
    list.rsplit(',').filter_map(layer).collect()
}

/// As much as can be decoded, however the text ends.
pub(crate) fn decompress(layer: Layer, bytes: &[u8]) -> Vec<u8> {
    match layer {
        Layer::Gzip => all(flate2::read::MultiGzDecoder::new(bytes)),
        // What is called deflate comes with the head of RFC 1950 or without it.
        Layer::Deflate => {
            let decoded = all(flate2::read::ZlibDecoder::new(bytes));
            if decoded.is_empty() {
                return all(flate2::read::DeflateDecoder::new(bytes));
            }
            decoded
        }
        Layer::Brotli => all(brotli_decompressor::Decompressor::new(bytes, 4096)),
        Layer::Zstd => zstd(bytes),
        Layer::Percent | Layer::Json | Layer::Markup => Vec::new(),
    }
}

fn all(decoder: impl std::io::Read) -> Vec<u8> {
    let mut out = Vec::new();
    // What came out before an error stays in.
    let _ = decoder.take(MOST_DECODED).read_to_end(&mut out);
    out
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut context = zstd_safe::DCtx::create();
    let mut input = zstd_safe::InBuffer::around(bytes);
    let mut piece = vec![0; 16 << 10];
    while out.len() < usize::try_from(MOST_DECODED).unwrap_or(usize::MAX) {
        let before = input.pos();
        let mut output = zstd_safe::OutBuffer::around(piece.as_mut_slice());
        let result = context.decompress_stream(&mut output, &mut input);
        let written = output.pos();
        out.extend_from_slice(&piece[..written]);
        if result.is_err() || (written == 0 && input.pos() == before) {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(layer: Layer, text: &str) -> Option<String> {
        let undone = escapes(layer, text.as_bytes())?;
        assert_eq!(undone.origins.len(), undone.bytes.len() + 1);
        assert!(undone.origins.is_sorted());
        String::from_utf8(undone.bytes).ok()
    }

    #[test]
    fn escapes_come_off_wherever_they_stand() {
        for (layer, text, without) in [
            (Layer::Percent, "a%2Fb%2fc%41", "a/b/cA"),
            (Layer::Percent, "100% %zz %4", "-"),
            (Layer::Json, r#"a\/b\u002F\"\x41\n"#, "a/b/\"A\n"),
            (Layer::Json, r"\u00e9", "é"),
            (Layer::Json, r"\q \u12", "-"),
            (Layer::Markup, "&lt;&#47;&#x2F;&amp;&QUOT;", "<//&\""),
            (Layer::Markup, "&nbsp; &#; &", "-"),
        ] {
            let expected = Some(without).filter(|without| *without != "-");
            assert_eq!(undone(layer, text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn each_byte_is_known_by_the_place_of_its_escape() {
        let undone = escapes(Layer::Percent, b"a%2Fb").expect("an escape");
        assert_eq!(undone.origins, [0, 1, 4, 5]);
    }

    #[test]
    fn what_is_no_compressed_text_gives_nothing() {
        for bytes in [
            &b""[..],
            b"\x1f\x8b\x08",
            b"\x28\xb5\x2f\xfd!",
            b"\x78\x9cxx",
        ] {
            assert!(compressed(bytes).iter().all(|(_, out)| out.is_empty()));
        }
        assert_eq!(
            content_encodings("gzip, br, quite-new"),
            [Layer::Brotli, Layer::Gzip]
        );
    }
}
