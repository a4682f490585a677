//! What a reference names in a KV engine: `PATH`, `PATH#FIELD`, `PATH@VERSION#FIELD`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::SourceError;

/// The longest, in bytes.
const MAX: usize = 512;
const EXPECTED: &str = "a key is PATH, PATH#FIELD or PATH@VERSION#FIELD, of visible ASCII characters \
                        without \\ ? % and without empty, . or .. segments in PATH";

/// What stands in a path as it is (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A secret of a KV engine, a version of it, and one of its fields.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key<'a> {
    path: &'a str,
    version: Option<u64>,
    field: Option<&'a str>,
}

impl<'a> Key<'a> {
    /// Errors: [`SourceError::Key`].
    pub(super) fn parse(text: &'a str) -> Result<Self, SourceError> {
        let wrong = || SourceError::Key { expected: EXPECTED };
        let is_visible = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'?' | b'%');
        if text.len() > MAX || !text.bytes().all(is_visible) {
            return Err(wrong());
        }
        let (place, field) = match text.split_once('#') {
            Some((_, field)) if field.is_empty() || field.contains('#') => return Err(wrong()),
            Some((place, field)) => (place, Some(field)),
            None => (text, None),
        };
        let (path, version) = match place.split_once('@') {
            Some((path, version)) => (path, Some(number(version).ok_or_else(wrong)?)),
            None => (place, None),
        };
        let is_name = |segment: &str| !matches!(segment, "" | "." | "..");
        match path.split('/').all(is_name) {
            true => Ok(Self {
                path,
                version,
                field,
            }),
            false => Err(wrong()),
        }
    }

    pub(super) fn field(&self) -> Option<&'a str> {
        self.field
    }

    /// Path and query of the data under a mount.
    pub(super) fn path_under(&self, mount: &str) -> String {
        let path = encoded(self.path);
        match self.version {
            Some(version) => format!("{mount}/data/{path}?version={version}"),
            None => format!("{mount}/data/{path}"),
        }
    }
}

/// A path, with each segment written so that it means itself.
pub(super) fn encoded(path: &str) -> String {
    let segments = path.split('/');
    let segments: Vec<String> = segments
        .map(|segment| utf8_percent_encode(segment, ENCODED).to_string())
        .collect();
    segments.join("/")
}

/// A version: digits without leading zeros. 0 means the newest to the server, and is
/// not a version.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && !text.starts_with('0'))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn a_key_is_a_path_a_version_and_a_field() {
        for (text, path) in [
            ("stripe", "kv/data/stripe"),
            ("team/stripe#key", "kv/data/team/stripe"),
            ("team/stripe@3#key", "kv/data/team/stripe?version=3"),
            ("stripe@12", "kv/data/stripe?version=12"),
            ("a&b=c/d+e;f", "kv/data/a%26b%3Dc/d%2Be%3Bf"),
        ] {
            assert_eq!(Key::parse(text).unwrap().path_under("kv"), path, "{text}");
        }
        assert_eq!(
            Key::parse("stripe@3#live.key").unwrap().field(),
            Some("live.key")
        );
        assert_eq!(Key::parse("stripe").unwrap().field(), None);
    }

    #[test]
    fn what_would_mean_something_else_on_the_way_is_no_key() {
        for text in [
            "",
            "/stripe",
            "stripe/",
            "a//b",
            "a/../b",
            "./a",
            "..",
            "a?version=1",
            "a%2f..%2fb",
            "a\\b",
            "a b",
            "a\nb",
            "ä",
            "a#",
            "a#b#c",
            "a@#b",
            "a@0",
            "a@01",
            "a@-1",
            "a@1@2",
            "a@18446744073709551616",
        ] {
            let expected = Err(SourceError::Key { expected: EXPECTED });
            assert_eq!(Key::parse(text), expected, "{text:?}");
        }
        assert!(Key::parse(&"a".repeat(MAX + 1)).is_err());
    }
}
