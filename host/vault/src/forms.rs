//! The forms in which a value could come back.

use std::io::Write as _;

use zeroize::Zeroizing;

type Form = Zeroizing<Vec<u8>>;

/// The value itself and the forms that other layers give to text, each once.
///
/// Of base64, the characters are taken that the value alone determines: its
/// neighbours in a longer text share the first and the last.
pub(crate) fn forms(value: &[u8]) -> Vec<Form> {
    let mut forms = vec![
        build(value, |byte, out| out.push(byte)),
        // As in a header's name, and as in an environment variable's.
        build(value, |byte, out| out.push(byte.to_ascii_lowercase())),
        build(value, |byte, out| out.push(byte.to_ascii_uppercase())),
        build(value, |byte, out| hex(byte, DIGITS_LOWER, out)),
        build(value, |byte, out| hex(byte, DIGITS_UPPER, out)),
        build(value, |byte, out| out.extend_from_slice(&[byte, 0])),
        build(value, |byte, out| out.extend_from_slice(&[0, byte])),
    ];
    for escapes in MARKUP_ESCAPES {
        forms.push(build(value, |byte, out| escape(byte, escapes, out)));
    }
    for escapes in JSON_ESCAPES {
        forms.push(build(value, |byte, out| escape(byte, escapes, out)));
    }
    for digits in [DIGITS_LOWER, DIGITS_UPPER] {
        forms.push(build(value, |byte, out| {
            percent(byte, UNRESERVED, digits, out)
        }));
        forms.push(build(value, |byte, out| {
            percent(byte, FORM_SAFE, digits, out)
        }));
        forms.push(build(value, |byte, out| {
            percent(byte, URI_SAFE, digits, out)
        }));
        forms.push(build(value, |byte, out| percent(byte, b"", digits, out)));
        // Encoded once more, as an address in the query of another one is.
        forms.push(build(value, |byte, out| {
            percent_twice(byte, UNRESERVED, digits, out);
        }));
        // Every character, as nobody writes but who wants to hide it.
        forms.push(build(value, |byte, out| {
            out.extend_from_slice(b"\\u00");
            hex(byte, digits, out);
        }));
        forms.push(build(value, |byte, out| {
            out.extend_from_slice(b"&#x");
            hex(byte, digits, out);
            out.push(b';');
        }));
    }
    forms.push(build(value, |byte, out| {
        // To a vector, which takes it all.
        let _ = write!(out, "&#{byte};");
    }));
    for offset in 0..3 {
        forms.push(base64_core(value, offset, data_encoding::BASE64_NOPAD));
        forms.push(base64_core(value, offset, data_encoding::BASE64URL_NOPAD));
    }
    forms.retain(|form| !form.is_empty());
    forms.sort_by(|one, other| one.as_slice().cmp(other.as_slice()));
    forms.dedup_by(|one, other| one.as_slice() == other.as_slice());
    forms
}

const DIGITS_LOWER: &[u8; 16] = b"0123456789abcdef";
const DIGITS_UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// RFC 3986, section 2.3, without letters and digits.
const UNRESERVED: &[u8] = b"-._~";
/// What `application/x-www-form-urlencoded` leaves as it is (WHATWG URL), without
/// letters and digits.
const FORM_SAFE: &[u8] = b"*-._";
/// What JavaScript's `encodeURI` leaves as it is, without letters and digits.
const URI_SAFE: &[u8] = b"-_.!~*'();/?:@&=+$,#";

/// The most bytes that one byte becomes: `&quot;`, `\u0022`.
const MAX_EXPANSION: usize = 6;

fn build(value: &[u8], write: impl Fn(u8, &mut Vec<u8>)) -> Form {
    // Room for all, so that the buffer never moves.
    let mut form = Zeroizing::new(Vec::with_capacity(value.len() * MAX_EXPANSION));
    for byte in value {
        write(*byte, &mut form);
    }
    form
}

fn hex(byte: u8, digits: &[u8; 16], out: &mut Vec<u8>) {
    out.push(digits[usize::from(byte >> 4)]);
    out.push(digits[usize::from(byte & 15)]);
}

fn percent(byte: u8, safe: &[u8], digits: &[u8; 16], out: &mut Vec<u8>) {
    // With nothing safe, letters and digits are encoded too.
    let plain = !safe.is_empty() && byte.is_ascii_alphanumeric();
    if plain || safe.contains(&byte) {
        out.push(byte);
    } else {
        out.push(b'%');
        hex(byte, digits, out);
    }
}

fn percent_twice(byte: u8, safe: &[u8], digits: &[u8; 16], out: &mut Vec<u8>) {
    if byte.is_ascii_alphanumeric() || safe.contains(&byte) {
        out.push(byte);
    } else {
        out.extend_from_slice(b"%25");
        hex(byte, digits, out);
    }
}

/// What a writer puts in place of some bytes; the others stay as they are.
type Escapes = &'static [(u8, &'static str)];

/// HTML and XML, as common libraries write them.
const MARKUP_ESCAPES: [Escapes; 5] = [
    // PHP, Ruby, Jinja, and most others.
    &[
        (b'&', "&amp;"),
        (b'<', "&lt;"),
        (b'>', "&gt;"),
        (b'"', "&quot;"),
        (b'\'', "&#39;"),
    ],
    // Go's html/template.
    &[
        (b'&', "&amp;"),
        (b'<', "&lt;"),
        (b'>', "&gt;"),
        (b'"', "&#34;"),
        (b'\'', "&#39;"),
        (b'+', "&#43;"),
    ],
    // Python's html.escape, React.
    &[
        (b'&', "&amp;"),
        (b'<', "&lt;"),
        (b'>', "&gt;"),
        (b'"', "&quot;"),
        (b'\'', "&#x27;"),
    ],
    // Mustache and its like.
    &[
        (b'&', "&amp;"),
        (b'<', "&lt;"),
        (b'>', "&gt;"),
        (b'"', "&quot;"),
        (b'\'', "&#39;"),
        (b'/', "&#x2F;"),
        (b'`', "&#x60;"),
        (b'=', "&#x3D;"),
    ],
    // XML, with every predefined entity.
    &[
        (b'&', "&amp;"),
        (b'<', "&lt;"),
        (b'>', "&gt;"),
        (b'"', "&quot;"),
        (b'\'', "&apos;"),
    ],
];

/// JSON (RFC 8259, section 7), as common libraries write it.
const JSON_ESCAPES: [Escapes; 4] = [
    &[(b'"', "\\\""), (b'\\', "\\\\")],
    // PHP.
    &[(b'"', "\\\""), (b'\\', "\\\\"), (b'/', "\\/")],
    // Go, Rails.
    &[
        (b'"', "\\\""),
        (b'\\', "\\\\"),
        (b'<', "\\u003c"),
        (b'>', "\\u003e"),
        (b'&', "\\u0026"),
    ],
    // .NET.
    &[
        (b'"', "\\u0022"),
        (b'\\', "\\\\"),
        (b'<', "\\u003C"),
        (b'>', "\\u003E"),
        (b'&', "\\u0026"),
        (b'\'', "\\u0027"),
        (b'+', "\\u002B"),
        (b'`', "\\u0060"),
    ],
];

fn escape(byte: u8, escapes: Escapes, out: &mut Vec<u8>) {
    match escapes.iter().find(|(escaped, _)| *escaped == byte) {
        Some((_, text)) => out.extend_from_slice(text.as_bytes()),
        None => out.push(byte),
    }
}

/// The characters of base64 that a value determines when `offset` bytes (modulo 3)
/// stand before it.
fn base64_core(value: &[u8], offset: usize, alphabet: data_encoding::Encoding) -> Form {
    // Zeros stand for the unknown bytes before and after; of their characters,
    // those that share bits with them are cut off.
    let total = offset + value.len();
    let mut padded = Zeroizing::new(Vec::with_capacity(total + 2));
    padded.resize(offset, 0);
    padded.extend_from_slice(value);
    let mut text = Zeroizing::new(vec![0; alphabet.encode_len(padded.len())]);
    alphabet.encode_mut(&padded, &mut text);
    let first = (offset * 8).div_ceil(6);
    let end = total * 8 / 6;
    Zeroizing::new(text.get(first..end).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(value: &str, form: &str) -> bool {
        let forms = forms(value.as_bytes());
        forms
            .iter()
            .any(|found| found.as_slice() == form.as_bytes())
    }

    #[test]
    fn each_form_is_what_another_layer_would_write() {
        let value = "a\"b/c&d\\e<é";
        for form in [
            "a\"b/c&d\\e<é",
            "6122622f632664",
            "6122622F632664",
            "a%22b%2Fc%26d%5Ce%3C%C3%A9",
            "a%22b%2fc%26d%5ce%3c%c3%a9",
            "a%2522b%252Fc%2526d%255Ce%253C%25C3%25A9",
            "a%2522b%252fc%2526d%255ce%253c%25c3%25a9",
            "a%22b/c&d%5Ce%3C%C3%A9",
            "%61%22%62%2F%63%26%64%5C%65%3C%C3%A9",
            "a&quot;b/c&amp;d\\e&lt;é",
            "a&#34;b/c&amp;d\\e&lt;é",
            "a&quot;b&#x2F;c&amp;d\\e&lt;é",
            "a\\\"b/c\\u0026d\\\\e\\u003cé",
            "a\\u0022b/c\\u0026d\\\\e\\u003Cé",
            "A\"B/C&D\\E<é",
            "a\\\"b/c&d\\\\e<é",
            "a\\\"b\\/c&d\\\\e<é",
            "\\u0061\\u0022\\u0062\\u002f\\u0063",
            "\\u0061\\u0022\\u0062\\u002F\\u0063",
            "&#97;&#34;&#98;&#47;&#99;",
            "&#x61;&#x22;&#x62;&#x2f;&#x63;",
            "&#x61;&#x22;&#x62;&#x2F;&#x63;",
            "a\0\"\0b\0/\0",
            "\0a\0\"\0b\0/",
        ] {
            let forms = forms(value.as_bytes());
            let found = forms.iter().any(|found| found.starts_with(form.as_bytes()));
            assert!(found, "{form}");
        }
    }

    #[test]
    fn base64_is_found_whatever_stands_around_the_value() {
        let value = b"k>?y-billing/0123456789";
        for before in 0..7 {
            for after in 0..5 {
                let text = [vec![b'>'; before], value.to_vec(), vec![b'?'; after]].concat();
                for encoding in [data_encoding::BASE64, data_encoding::BASE64URL] {
                    let encoded = encoding.encode(&text);
                    let found = forms(value).iter().any(|form| {
                        let form = std::str::from_utf8(form).unwrap_or("\0");
                        form.len() >= 29 && encoded.contains(form)
                    });
                    assert!(found, "{before} before, {after} after");
                }
            }
        }
    }

    #[test]
    fn equal_forms_are_kept_once() {
        let mut forms = forms(b"abcdefgh");
        let count = forms.len();
        forms.dedup_by(|one, other| one.as_slice() == other.as_slice());
        assert_eq!(forms.len(), count);
        assert!(has("abcdefgh", "abcdefgh"));
        // Itself, in upper case, hex (its digits have no letters here), percent
        // twice, each character escaped three times twice, UTF-16 twice, and base64, whose
        // core at offset 0 is the same in both alphabets.
        assert!(count <= 21, "{count}");
    }
}
