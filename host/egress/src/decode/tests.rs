//! What comes out is what went in, whatever the pieces; what is malformed or too
//! much ends.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::io::Write as _;

use flate2::Compression;

use super::*;

fn gzip(text: &[u8]) -> Vec<u8> {
    let builder = flate2::GzBuilder::new();
    let builder = builder.filename("a name").comment("of a file").extra("x");
    let mut encoder = builder.write(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    let mut out = vec![0; zstd_safe::compress_bound(text.len())];
    let length = zstd_safe::compress(&mut out[..], text, 3).unwrap();
    out.truncate(length);
    out
}

/// A brotli stream of stored bytes (RFC 7932, section 9.2), at most 65,536.
fn brotli(text: &[u8]) -> Vec<u8> {
    // WBITS of 16: one zero bit. Then ISLAST 0, MNIBBLES 4, MLEN - 1, ISUNCOMPRESSED 1.
    let length = u32::try_from(text.len() - 1).unwrap();
    let bits = length << 4 | 1 << 20;
    let mut out = bits.to_le_bytes()[..3].to_vec();
    out.extend_from_slice(text);
    // ISLAST 1, ISLASTEMPTY 1.
    out.push(3);
    out
}

fn decoding(coding: &str) -> Result<Option<Decoding>, DecodeError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
    Decoding::of(&headers)
}

/// What comes out of a body in pieces of this size, and whether it is whole.
fn decode(coding: &str, body: &[u8], size: usize) -> Result<(Vec<u8>, bool), DecodeError> {
    let mut decoding = decoding(coding)?.unwrap();
    let mut out = Vec::new();
    for piece in body.chunks(size) {
        decoding.push(piece, &mut |text: &[u8]| -> Result<(), DecodeError> {
            out.extend_from_slice(text);
            Ok(())
        })?;
    }
    Ok((out, decoding.is_at_end()))
}

fn text() -> Vec<u8> {
    (0..3000u32)
        .flat_map(|index| format!("{{\"id\":{index},\"at\":{}}}", index * 7919 % 1013).into_bytes())
        .collect()
}

#[test]
fn every_encoding_gives_back_what_was_encoded_in_pieces_of_any_size() {
    let text = text();
    let short = &text[..50_000];
    let cases = [
        ("gzip", gzip(&text), &text[..]),
        ("X-GZIP", gzip(&text), &text),
        (
            "gzip",
            [gzip(&text[..100]), gzip(&text[100..])].concat(),
            &text,
        ),
        ("deflate", zlib(&text), &text),
        ("deflate", raw_deflate(&text), &text),
        ("zstd", zstd(&text), &text),
        (
            "zstd",
            [zstd(&text[..100]), zstd(&text[100..])].concat(),
            &text,
        ),
        ("br", brotli(short), short),
        ("gzip, zstd", zstd(&gzip(&text)), &text),
        ("identity, br , gzip", gzip(&brotli(short)), short),
    ];
    for (coding, encoded, expected) in cases {
        for size in [1, 2, 3, 10, 257, 100_000] {
            let (out, is_whole) = decode(coding, &encoded, size).unwrap();
            assert!(out == expected, "{coding} by {size}");
            assert!(is_whole, "{coding} by {size}");
        }
        let (_, is_whole) = decode(coding, &encoded[..encoded.len() - 1], 64).unwrap();
        assert!(!is_whole, "{coding}, cut off");
    }
}

#[test]
fn what_is_not_in_the_encoding_ends() {
    for (coding, body) in [
        ("gzip", b"plain text, no gzip".to_vec()),
        ("deflate", b"\x07\x07 no deflate either".to_vec()),
        ("zstd", gzip(b"text")),
        ("br", vec![0xff; 100]),
        ("gzip", [gzip(b"text"), b"and more".to_vec()].concat()),
        ("deflate", [zlib(b"text"), b"and more".to_vec()].concat()),
        ("br", [brotli(b"text"), b"and more".to_vec()].concat()),
        ("gzip, gzip", gzip(b"text")),
    ] {
        for size in [1, 1000] {
            let result = decode(coding, &body, size);
            assert_eq!(result, Err(DecodeError::Malformed), "{coding} by {size}");
        }
    }
    // Windows of a gigabyte, as only an extension has them.
    assert!(decode("br", &[0x11, 0x1e, 0, 0, 0, 0], 10).is_err());
}

#[test]
fn encodings_that_nobody_knows_and_too_many_of_them_are_refused() {
    for coding in ["compress", "", "gzip, , br", "aes128gcm", "gzip, br, zstd"] {
        assert_eq!(
            decoding(coding).err(),
            Some(DecodeError::Unknown),
            "{coding}"
        );
    }
    assert!(decoding("identity").unwrap().is_none());
    assert!(Decoding::of(&HeaderMap::new()).unwrap().is_none());
}

#[test]
fn a_bomb_ends_soon_after_the_limit() {
    let zeros = vec![0; 64 << 20];
    for (coding, bomb) in [
        ("gzip", gzip(&zeros)),
        ("zstd", zstd(&zeros)),
        ("gzip, gzip", gzip(&gzip(&zeros))),
    ] {
        let mut decoding = decoding(coding).unwrap().unwrap();
        let (mut out, mut read, mut result) = (0, 0, Ok(()));
        for piece in bomb.chunks(256) {
            read += piece.len();
            result = decoding.push(piece, &mut |text: &[u8]| -> Result<(), DecodeError> {
                out += text.len();
                Ok(())
            });
            if result.is_err() {
                break;
            }
        }
        assert_eq!(result, Err(DecodeError::TooMuch), "{coding}");
        assert!(out <= (8 << 20) + 100 * read, "{coding}: {out} of {read}");
    }
}
