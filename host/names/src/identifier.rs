//! Identifiers that are numbers: a component's digest and an exchange's id.

use std::fmt;
use std::str::FromStr;

/// A text that is not such an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: it has the form {form}")]
pub struct IdentifierError {
    what: &'static str,
    form: &'static str,
}

const DIGEST_ERROR: IdentifierError = IdentifierError {
    what: "component digest",
    form: "\"sha256:\" and 64 digits of 0-9 and a-f",
};

const EXCHANGE_ERROR: IdentifierError = IdentifierError {
    what: "exchange id",
    form: "32 digits of 0-9 and a-f",
};

/// The SHA-256 of a component's bytes: which code a policy is.
///
/// As text it is `sha256:` and 64 hexadecimal digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentDigest([u8; 32]);

impl ComponentDigest {
    /// A digest from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses `sha256:` and 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        text.strip_prefix("sha256:")
            .and_then(from_hex)
            .map(Self)
            .ok_or(DIGEST_ERROR)
    }
}

/// Which exchange: 16 random bytes that the gateway draws for each.
///
/// As text it is 32 hexadecimal digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId([u8; 16]);

impl ExchangeId {
    /// An id from its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Parses 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        from_hex(text).map(Self).ok_or(EXCHANGE_ERROR)
    }
}

/// Lower-case digits only: one identifier has one spelling.
fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

macro_rules! identifier_text {
    ($($name:ident, $prefix:literal;)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdentifierError;

            fn from_str(text: &str) -> Result<Self, IdentifierError> {
                Self::parse(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;

                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("text of the form ", $prefix, "<hexadecimal digits>"))
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Visitor)
            }
        }
    )*};
}

identifier_text! {
    ComponentDigest, "sha256:";
    ExchangeId, "";
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn a_digest_reads_back_from_its_text() {
        let digest = ComponentDigest::from_bytes(std::array::from_fn(|i| 7 * i as u8));
        let text = digest.to_string();
        assert!(text.starts_with("sha256:00070e15"), "{text}");
        assert_eq!(text.len(), 71);
        assert_eq!(ComponentDigest::parse(&text).unwrap(), digest);
    }

    #[test]
    fn an_exchange_id_reads_back_from_its_text() {
        let id = ExchangeId::from_bytes([0xa5; 16]);
        assert_eq!(id.to_string(), "a5".repeat(16));
        assert_eq!("a5".repeat(16).parse::<ExchangeId>().unwrap(), id);
    }

    #[test]
    fn there_is_one_spelling() {
        let hex = "ab".repeat(32);
        for text in [
            String::new(),
            hex.clone(),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha256:{}", &hex[1..]),
            format!("sha256:{hex}0"),
            format!("sha256: {}", &hex[1..]),
            format!("SHA256:{hex}"),
        ] {
            assert!(ComponentDigest::parse(&text).is_err(), "{text}");
        }
        assert!(ExchangeId::parse(&"A5".repeat(16)).is_err());
    }
}
