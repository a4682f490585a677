//! The forms in which an echo writes.

use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};

use super::Coding;

/// A form in which an echo writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Writing {
    /// As it came.
    Plain,
    /// Base64, with so many bytes before it.
    Base64(usize),
    /// Base64 of the URL alphabet.
    Base64Url,
    /// Hexadecimal digits.
    Hex,
    /// The same, in upper case.
    HexUpper,
    /// What is not a letter, a digit or one of `-._~`, percent-encoded.
    Percent,
    /// Every byte, percent-encoded.
    PercentAll,
    /// A JSON text.
    Json,
    /// The same, each character as `\u0041`.
    JsonEscapes,
    /// Text in HTML.
    Html,
    /// The same, each character as `&#65;`.
    HtmlEscapes,
    /// UTF-16, little-endian.
    Utf16,
    /// UTF-16, big-endian.
    Utf16Big,
    /// Letters in upper case.
    Upper,
    /// Letters in lower case.
    Lower,
}

/// Writes `bytes` in a form.
pub(crate) fn write(writing: Writing, bytes: &[u8]) -> Vec<u8> {
    let text = || String::from_utf8_lossy(bytes);
    match writing {
        Writing::Plain => bytes.to_vec(),
        Writing::Base64(before) => {
            let mut padded = vec![b'.'; before];
            padded.extend_from_slice(bytes);
            BASE64.encode(&padded).into_bytes()
        }
        Writing::Base64Url => BASE64URL.encode(bytes).into_bytes(),
        Writing::Hex => HEXLOWER.encode(bytes).into_bytes(),
        Writing::HexUpper => HEXUPPER.encode(bytes).into_bytes(),
        Writing::Percent => percent(bytes, |byte| {
            byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
        }),
        Writing::PercentAll => percent(bytes, |_| false),
        // A text always has a JSON form.
        Writing::Json => serde_json::to_vec(&text()).unwrap_or_default(),
        Writing::JsonEscapes => {
            let units: Vec<u16> = text().encode_utf16().collect();
            let escapes = units.iter().map(|unit| format!("\\u{unit:04x}"));
            format!("\"{}\"", escapes.collect::<String>()).into_bytes()
        }
        Writing::HtmlEscapes => text()
            .chars()
            .map(|character| format!("&#{};", u32::from(character)))
            .collect::<String>()
            .into_bytes(),
        Writing::Html => text()
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;")
            .into_bytes(),
        Writing::Utf16 => text().encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Writing::Utf16Big => text().encode_utf16().flat_map(u16::to_be_bytes).collect(),
        Writing::Upper => bytes.to_ascii_uppercase(),
        Writing::Lower => bytes.to_ascii_lowercase(),
    }
}

fn percent(bytes: &[u8], is_safe: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        if is_safe(*byte) {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend_from_slice(HEXUPPER.encode(&[*byte]).as_bytes());
        }
    }
    out
}

impl Coding {
    /// What `content-encoding` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
        }
    }

    /// Compresses; memory is all that could run out.
    pub(crate) fn encode(self, bytes: &[u8]) -> Vec<u8> {
        use flate2::Compression;
        use flate2::bufread::{GzEncoder, ZlibEncoder};
        use std::io::Read as _;
        let mut out = Vec::new();
        // Reading from memory does not fail.
        match self {
            Coding::Gzip => _ = GzEncoder::new(bytes, Compression::fast()).read_to_end(&mut out),
            Coding::Deflate => {
                _ = ZlibEncoder::new(bytes, Compression::fast()).read_to_end(&mut out);
            }
            Coding::Zstd => {
                out.resize(zstd_safe::compress_bound(bytes.len()), 0);
                let length = zstd_safe::compress(out.as_mut_slice(), bytes, 1);
                out.truncate(length.unwrap_or_default());
            }
            Coding::Brotli => out = stored_brotli(bytes),
        }
        out
    }
}

/// Brotli (RFC 7932, section 9) without compression: blocks of bytes as they are.
fn stored_brotli(bytes: &[u8]) -> Vec<u8> {
    // The window's size in one bit: 64 KiB. Then each block: not the last, four
    // nibbles of length less one, not compressed; 20 bits, so the first with the
    // window has 21 and those after it begin at a byte again.
    let mut out = Vec::with_capacity(bytes.len() + 8);
    let mut before = 1;
    for block in bytes.chunks(1 << 16) {
        let length = u32::try_from(block.len() - 1).unwrap_or_default();
        let head = length << 3 | 1 << 19;
        out.extend_from_slice(&(head << before).to_le_bytes()[..3]);
        out.extend_from_slice(block);
        before = 0;
    }
    // The last one, empty.
    out.push(3 << before);
    out
}
