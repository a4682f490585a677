//! Paths of requests: which are plain enough to be decided about, and how servers
//! read them.

use std::borrow::Cow;

use keyward_vault::{decode_segment, without_parameters};

/// Whether a path means one thing only, and is written in one way. Backends differ
/// in what they make of dot and empty segments, encoded separators, broken encodings
/// and characters that no path may have (RFC 3986, 3.3), so such a path could pass
/// one pipeline's policies and reach what another one guards. Nor may a letter or
/// digit be encoded, or one of `-._~` (RFC 3986, 2.3): who compares paths would not
/// know it again. [`decode_unreserved`] makes that good.
pub fn is_unambiguous(path: &str) -> bool {
    let is_legal =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte);
    let is_needed = |rest: &str| escaped(rest).is_some_and(|byte| !is_unreserved(byte));
    let is_plain =
        |segment: &str| decode_segment(segment).is_some_and(|segment| !segment.contains(&b'%'));
    path.bytes().all(is_legal)
        && !path.contains("//")
        // To a server that cuts parameters off, `/;x/` is two slashes.
        && !(path.contains(';') && bare_path(path).is_none_or(|bare| bare.contains("//")))
        && path.split('%').skip(1).all(is_needed)
        && path.split('/').all(is_plain)
}

/// A path as servers read it that decode it and then cut the parameters (`;…`) off
/// its segments; bytes that are no text are replaced. None if even those servers
/// could disagree. For comparing: what [is unambiguous](is_unambiguous) is read as it
/// stands or so.
pub fn bare_path(path: &str) -> Option<Cow<'_, str>> {
    if !path.contains(['%', ';']) {
        return Some(Cow::Borrowed(path));
    }
    let mut bare = String::with_capacity(path.len());
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            bare.push('/');
        }
        let decoded = decode_segment(segment)?;
        bare.push_str(&String::from_utf8_lossy(without_parameters(&decoded)));
    }
    Some(Cow::Owned(bare))
}

/// The same path with each escape of a letter, a digit or one of `-._~` decoded,
/// which changes nothing of what it means (RFC 3986, 6.2.2.2).
pub fn decode_unreserved(path: &str) -> Cow<'_, str> {
    let mut parts = path.split('%');
    let mut written = Cow::Borrowed(parts.next().unwrap_or_default());
    for part in parts {
        let written = written.to_mut();
        match escaped(part).filter(|byte| is_unreserved(*byte)) {
            Some(byte) => {
                written.push(char::from(byte));
                written.push_str(part.get(2..).unwrap_or_default());
            }
            None => {
                written.push('%');
                written.push_str(part);
            }
        }
    }
    written
}

/// The byte of an escape, given what follows its `%`.
fn escaped(rest: &str) -> Option<u8> {
    // The parser of numbers would take a sign.
    let digits = rest.get(..2)?;
    let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| are_digits)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_mean_two_things_is_refused() {
        for path in [
            "/a/../b",
            "/a/./b",
            "/a/%2e%2e/b",
            "/a/%2E./b",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a/..;x/b",
            "/a%252fb",
            "/a%00",
            "/..",
            "/a//b",
            "//a",
            "/a//",
            "/a%2",
            "/a%zz",
            "/a\"b",
            "/{a}",
            "/\u{e4}",
            "/%61dmin",
            "/a%7E",
            "/a%2Db",
            "/;x/a",
            "/a/..%3bx/b",
        ] {
            assert!(!is_unambiguous(path), "{path}");
        }
        for path in [
            "/",
            "/a/b.c",
            "/a/..b",
            "/a%20b",
            "/a;x=1/b",
            "/a/(b)/@c/",
            "/;x",
            "/%e4%3b",
        ] {
            assert!(is_unambiguous(path), "{path}");
        }
    }

    #[test]
    fn a_path_has_one_spelling_of_what_need_not_be_encoded() {
        for (path, decoded) in [
            ("/a/b%20", "/a/b%20"),
            ("/%61%2fb%7e/%2D%5F", "/a%2fb~/-_"),
            ("/%2e%2E/%2561", "/../%2561"),
            ("/%", "/%"),
            ("/%6", "/%6"),
        ] {
            assert_eq!(decode_unreserved(path), decoded);
        }
    }

    #[test]
    fn a_bare_path_is_decoded_and_has_no_parameters() {
        for (path, bare) in [
            ("/a/b", "/a/b"),
            ("/a;x/b;y=1;z", "/a/b"),
            ("/a%3bx/%24", "/a/$"),
            ("/;x", "/"),
        ] {
            assert_eq!(bare_path(path).as_deref(), Some(bare));
        }
    }
}
