//! Header names and values, as settings carry them.

use core::fmt;
use core::ops::Deref;

use serde::{Deserialize, Deserializer, de};

/// The name of a header: a token (RFC 9110, section 5.1), in lower case.
///
/// Read from settings, it tells the operator at loading time what the exchange
/// would refuse at each request.
///
/// ```
/// use keyward_policy::HeaderName;
/// assert_eq!(HeaderName::new("X-Subject").as_deref(), Some("x-subject"));
/// assert!(HeaderName::new("x subject").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderName(String);

impl HeaderName {
    /// The name, if the text is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if text.is_empty() || !text.bytes().all(is_token) {
            return None;
        }
        Some(Self(text.to_ascii_lowercase()))
    }
}

impl Deref for HeaderName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The value of a header: text without control characters other than a tab
/// (RFC 9110, section 5.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderValue(String);

impl HeaderValue {
    /// The value, if the text is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_text = |character: char| character == '\t' || !character.is_ascii_control();
        text.chars().all(is_text).then(|| Self(text.to_owned()))
    }
}

impl Deref for HeaderValue {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Reads a text and makes it into something, or says what was expected.
struct Text<T> {
    make: fn(&str) -> Option<T>,
    expected: &'static str,
}

impl<T> de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.make)(text)
            .ok_or_else(|| E::custom(format_args!("{text:?} is not {}", self.expected)))
    }
}

impl<'de> Deserialize<'de> for HeaderName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text {
            make: Self::new,
            expected: "a header name, such as x-subject",
        })
    }
}

impl<'de> Deserialize<'de> for HeaderValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text {
            make: Self::new,
            expected: "a header value: text without control characters",
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn settings_with_a_malformed_header_do_not_load() {
        for text in ["", "x y", "x:y", "x\\r\\ny", "é"] {
            let json = format!("\"{text}\"");
            assert!(serde_json::from_str::<HeaderName>(&json).is_err(), "{text}");
        }
        let name: HeaderName = serde_json::from_str("\"X-Subject\"").unwrap();
        assert_eq!(&*name, "x-subject");
        assert!(serde_json::from_str::<HeaderValue>("\"a\\r\\nb: c\"").is_err());
        let value: HeaderValue = serde_json::from_str("\"a\\té\"").unwrap();
        assert_eq!(&*value, "a\té");
    }
}
