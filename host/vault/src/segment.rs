//! Segments of a request's path (RFC 3986, 3.3), as servers read them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A segment, decoded once; none if servers could disagree about where the path
/// leads: they decode once or twice, cut parameters (`;…`) off before or after that,
/// and take a backslash for a slash.
pub fn decode_segment(raw: &str) -> Option<Cow<'_, [u8]>> {
    let decoded: Cow<'_, [u8]> = percent_decode_str(raw).into();
    let is_plain = escapes_are_whole(raw)
        && !decoded.iter().any(|byte| b"/\\\0".contains(byte))
        && percent_encoding::percent_decode(&decoded).eq(decoded.iter().copied())
        && !matches!(without_parameters(&decoded), b"." | b"..");
    is_plain.then_some(decoded)
}

/// A segment without its parameters: what stands before the first `;`.
pub fn without_parameters(segment: &[u8]) -> &[u8] {
    let mut parts = segment.split(|byte| *byte == b';');
    parts.next().unwrap_or_default()
}

/// Whether every `%` starts an escape.
fn escapes_are_whole(raw: &str) -> bool {
    raw.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_decoded_where_all_servers_read_the_same() {
        for (raw, decoded) in [
            ("", &b""[..]),
            ("a", b"a"),
            ("%61", b"a"),
            ("a%20b", b"a b"),
            ("%e4", b"\xe4"),
            ("100%25", b"100%"),
            ("...", b"..."),
            ("a;x=%31", b"a;x=1"),
        ] {
            assert_eq!(decode_segment(raw).as_deref(), Some(decoded), "{raw}");
        }
        for raw in [
            "%",
            "%2",
            "%zz",
            "%+1",
            "a%2fb",
            "a%5Cb",
            "a\\b",
            "%00",
            "%2561",
            "%25%36%31",
            ".",
            "..",
            "%2e.",
            ".;x",
            "..;",
            "..%3bx",
            "%2E%2e%3B",
        ] {
            assert_eq!(decode_segment(raw), None, "{raw}");
        }
    }
}
