//! Texts out of JSON that are wiped when dropped, and numbers that some services
//! write as texts.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use zeroize::Zeroizing;

/// A text that is wiped when dropped. It has no `Debug`.
///
/// A text with escapes passes through the JSON reader's own buffer, which is wiped
/// only where the process's allocator wipes what is freed.
pub(crate) struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    /// The bytes: UTF-8.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Wiped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Wiped;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Wiped, E> {
                Ok(Wiped(Zeroizing::new(text.as_bytes().to_vec())))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Wiped, E> {
                Ok(Wiped(Zeroizing::new(text.into_bytes())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A whole number of seconds, written as a number or as a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) i64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Seconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds, as a number or a text")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Seconds, E> {
                Ok(Seconds(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Seconds, E> {
                i64::try_from(number).map(Seconds).map_err(E::custom)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Seconds, E> {
                text.trim().parse().map(Seconds).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn seconds_are_read_from_numbers_and_texts() {
        for text in ["1506484173", "\"1506484173\"", "\" 1506484173 \""] {
            let read: Seconds = serde_json::from_str(text).unwrap();
            assert_eq!(read, Seconds(1_506_484_173), "{text}");
        }
        for text in ["true", "1.5", "\"soon\"", "18446744073709551615", "null"] {
            assert!(serde_json::from_str::<Seconds>(text).is_err(), "{text}");
        }
    }
}
