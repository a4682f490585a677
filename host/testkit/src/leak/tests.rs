//! Each form of the security model's list E, as other layers write it.

use std::io::Write;

use data_encoding::{
    BASE32, BASE32_NOPAD, BASE64, BASE64_MIME, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER,
};

use super::{Canaries, Found};

/// Sixteen bytes, with characters that are escaped and encoded in many ways.
const VALUE: &str = "sk/Live+7f3a\"9&z";
/// Forty bytes, such as the canaries that the kit makes.
const LONG: &str = "kw-0a1b2c3d4e5f60718293a4b5c6d7e8f9abcde";

fn canaries() -> Canaries {
    Canaries::new([("stripe", VALUE.as_bytes()), ("github", LONG.as_bytes())])
}

#[track_caller]
fn shapes(bytes: &[u8]) -> Vec<String> {
    let name = |found: &Found| format!("{} {}", found.secret, found.shape);
    canaries().find(bytes).iter().map(name).collect()
}

#[track_caller]
fn is_found(bytes: &[u8], shape: &str) {
    let found = shapes(bytes);
    assert!(
        found.iter().any(|found| found.ends_with(shape)),
        "{shape} in {found:?}: {}",
        String::from_utf8_lossy(bytes)
    );
}

fn each(value: &str, write: impl Fn(u8) -> String) -> Vec<u8> {
    let text: String = value.bytes().map(write).collect();
    format!("before {text} after").into_bytes()
}

#[test]
fn a_value_is_found_as_it_is_and_in_either_case() {
    for value in [VALUE, LONG] {
        is_found(format!("x{value}y").as_bytes(), " raw");
        is_found(value.to_ascii_uppercase().as_bytes(), " case");
        let reversed: String = value.chars().rev().collect();
        is_found(reversed.as_bytes(), " reversed");
    }
    is_found(VALUE.to_ascii_lowercase().as_bytes(), " case");
}

#[test]
fn a_value_is_found_in_hexadecimal_base32_and_base64_at_every_alignment() {
    for value in [VALUE, LONG] {
        is_found(HEXLOWER.encode(value.as_bytes()).as_bytes(), " hexadecimal");
        is_found(HEXUPPER.encode(value.as_bytes()).as_bytes(), " hexadecimal");
        for before in 0..8 {
            for after in 0..5 {
                let text = ["?".repeat(before), value.into(), ">".repeat(after)].concat();
                let text = text.as_bytes();
                for encoding in [BASE64, data_encoding::BASE64_NOPAD] {
                    is_found(encoding.encode(text).as_bytes(), " base64");
                }
                for encoding in [BASE64URL, BASE64URL_NOPAD] {
                    // Where no digit differs, it is found as the other base64.
                    let encoded = encoding.encode(text);
                    let found = shapes(encoded.as_bytes());
                    assert!(found.iter().any(|it| it.contains("base64")), "{encoded}");
                }
                for encoding in [BASE32, BASE32_NOPAD] {
                    let encoded = encoding.encode(text);
                    is_found(encoded.as_bytes(), " base32");
                    is_found(encoded.to_ascii_lowercase().as_bytes(), " base32");
                }
            }
        }
    }
}

#[test]
fn a_value_is_found_under_any_mixture_of_escapes() {
    for value in [VALUE, LONG] {
        for some in 1..4_usize {
            let mixed = |write: fn(u8) -> String| {
                let bytes = value.bytes().enumerate();
                let text: Vec<_> = bytes
                    .map(|(index, byte)| match index % some {
                        0 => write(byte),
                        _ => char::from(byte).to_string(),
                    })
                    .collect();
                text.concat().into_bytes()
            };
            is_found(&mixed(|byte| format!("%{byte:02x}")), " percent");
            is_found(&mixed(|byte| format!("%{byte:02X}")), " percent");
            is_found(&mixed(|byte| format!("\\u{byte:04x}")), " JSON");
            is_found(&mixed(|byte| format!("\\x{byte:02X}")), " JSON");
            is_found(&mixed(|byte| format!("&#{byte};")), " markup");
            is_found(&mixed(|byte| format!("&#X{byte:x};")), " markup");
        }
    }
    let json = serde_json::to_vec(VALUE).expect("a text");
    is_found(&json, " JSON");
    let markup = VALUE.replace('&', "&amp;").replace('"', "&quot;");
    is_found(markup.as_bytes(), " markup");
    // Layer upon layer.
    is_found(
        &each(LONG, |byte| format!("%25{byte:02x}")),
        " percent in percent",
    );
    let odd = b"kw>>>???>>>???0123456789";
    let canaries = Canaries::new([("odd", &odd[..])]);
    let encoded = BASE64.encode(odd).replace('+', "%2B").replace('/', "%2f");
    let found = canaries.find(encoded.as_bytes());
    assert_eq!(found[0].shape.to_string(), "base64 in percent", "{encoded}");
}

#[test]
fn a_value_is_found_in_wide_characters_and_between_others() {
    for value in [VALUE, LONG] {
        let little: Vec<u8> = value.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = value.encode_utf16().flat_map(u16::to_be_bytes).collect();
        is_found(&little, " UTF-16");
        is_found(&big, " UTF-16");
        for filler in ["-", ".\n", " + "] {
            is_found(
                &each(value, |byte| format!("{}{filler}", char::from(byte))),
                " split",
            );
        }
        let (one, two) = value.split_at(9);
        is_found(format!("{one}\r\n\t{two}").as_bytes(), " split");
    }
}

fn deflated<W: Write>(bytes: &[u8], new: fn(Vec<u8>, flate2::Compression) -> W) -> W {
    let mut encoder = new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder
}

#[test]
fn a_value_is_found_in_what_is_compressed() {
    let text = format!("some text before {LONG} and after it, {LONG}");
    let text = text.as_bytes();
    let gzip = deflated(text, flate2::write::GzEncoder::new)
        .finish()
        .expect("memory");
    let zlib = deflated(text, flate2::write::ZlibEncoder::new)
        .finish()
        .expect("memory");
    let bare = deflated(text, flate2::write::DeflateEncoder::new)
        .finish()
        .expect("memory");
    let mut zstd = vec![0; zstd_safe::compress_bound(text.len())];
    let length = zstd_safe::compress(&mut zstd[..], text, 3).expect("memory");
    zstd.truncate(length);
    // One block that is stored as it is (RFC 7932, section 9.2), and a last, empty one.
    let length = u16::try_from(text.len() - 1).expect("a short text");
    let header = u32::from(length) << 4 | 1 << 20;
    let mut brotli = header.to_le_bytes()[..3].to_vec();
    brotli.extend_from_slice(text);
    brotli.push(3);

    for (name, body) in [("gzip", &gzip), ("deflate", &zlib), ("zstd", &zstd)] {
        let shape = format!("raw in {name}");
        is_found(body, &shape);
        is_found(
            &[b"in some memory: ", body.as_slice(), b"..."].concat(),
            &shape,
        );
    }
    let told = |body: &[u8], coding: &str| -> Vec<String> {
        let found = canaries().find_encoded(body, coding);
        found.iter().map(|found| found.shape.to_string()).collect()
    };
    assert_eq!(told(&bare, "deflate"), ["raw in deflate"]);
    assert!(told(&brotli, "br").contains(&"raw in brotli".to_owned()));
    let twice = deflated(&gzip, flate2::write::GzEncoder::new)
        .finish()
        .expect("memory");
    is_found(&twice, "raw in gzip in gzip");
    assert!(told(&twice, "gzip, gzip").contains(&"raw in gzip in gzip".to_owned()));
}

#[test]
fn a_value_is_found_whatever_the_level_of_compression() {
    let text = format!("some text before {LONG} and after it, {LONG}");
    for level in 1..=9 {
        let level = flate2::Compression::new(level);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
        zlib.write_all(text.as_bytes()).expect("memory");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
        gzip.write_all(text.as_bytes()).expect("memory");
        is_found(&zlib.finish().expect("memory"), "raw in deflate");
        is_found(&gzip.finish().expect("memory"), "raw in gzip");
    }
}

#[test]
fn nothing_else_is_found() {
    let mut other = Vec::new();
    let mut state = 7_u32;
    for _ in 0..200_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        other.push(state.to_be_bytes()[0]);
    }
    assert_eq!(shapes(&other), [""; 0]);
    for encoded in [HEXLOWER.encode(&other), BASE64_MIME.encode(&other)] {
        assert_eq!(shapes(encoded.as_bytes()), [""; 0]);
    }
    let all_but_one = &LONG[1..];
    assert_eq!(shapes(all_but_one.as_bytes()), [""; 0]);
    assert_eq!(shapes(&[0; 70_000]), [""; 0]);
    // Base64 means what it says only in its own case.
    let base64 = BASE64.encode(LONG.as_bytes());
    assert_eq!(shapes(base64.to_ascii_lowercase().as_bytes()), [""; 0]);
}

#[test]
fn a_short_value_is_found_as_it_is_and_in_no_other_form() {
    let canaries = Canaries::new([("pin", &b"1234"[..]), ("none", b"")]);
    assert_eq!(canaries.find(b"x1234").len(), 1);
    assert_eq!(canaries.find(b"4321 31323334").len(), 0);
    assert!(Canaries::new([("none", &b""[..])]).is_empty());
}

#[test]
fn a_long_value_is_found_by_its_pieces_but_not_by_how_it_begins() {
    let value: Vec<u8> = (0..1700_u32)
        .map(|index| {
            let mixed = index.wrapping_mul(2_654_435_761).to_le_bytes();
            b'0' + (mixed[3] ^ mixed[2]) % 74
        })
        .collect();
    let canaries = Canaries::new([("certificate", value.as_slice())]);
    assert_eq!(canaries.find(&value)[0].at, 64..112);
    assert_eq!(canaries.find(&value[..64]), []);
    assert!(!canaries.find(&value[700..800]).is_empty());
    let redacted = canaries.redact(&value);
    assert!(redacted.len() < 2000);
    let kept = String::from_utf8_lossy(&redacted).replace("{{secret certificate}}", "");
    assert_eq!(kept.as_bytes(), [&value[..64], &value[1668..]].concat());
}

#[test]
fn what_is_redacted_holds_no_value_and_all_the_rest() {
    let canaries = canaries();
    for (text, redacted) in [
        (format!("a {LONG} b"), "a {{secret github}} b".to_owned()),
        (
            format!("{VALUE}{LONG}"),
            "{{secret stripe}}{{secret github}}".to_owned(),
        ),
        (
            format!("a {} b", VALUE.replace('/', "%2F")),
            "a {{secret stripe}} b".to_owned(),
        ),
        ("nothing".to_owned(), "nothing".to_owned()),
    ] {
        let out = canaries.redact(text.as_bytes());
        assert_eq!(String::from_utf8_lossy(&out), redacted);
    }
    let gzip = deflated(LONG.as_bytes(), flate2::write::GzEncoder::new);
    let gzip = gzip.finish().expect("memory");
    assert_eq!(&*canaries.redact(&gzip), b"{{secret github}}");
    for text in [
        HEXUPPER.encode(LONG.as_bytes()),
        BASE64.encode(format!("ab{LONG}cd").as_bytes()),
        BASE32.encode(VALUE.as_bytes()),
        each(LONG, |byte| format!("{} ", char::from(byte)))
            .into_iter()
            .map(char::from)
            .collect(),
    ] {
        let out = canaries.redact(text.as_bytes());
        assert_eq!(canaries.find(&out), [], "{text}");
        assert!(out.len() < text.len(), "{text}");
    }
}

#[test]
fn values_are_not_printed() {
    let text = format!("{:?}", canaries());
    assert_eq!(canaries().find(text.as_bytes()), []);
    assert!(text.contains("stripe"));
}
