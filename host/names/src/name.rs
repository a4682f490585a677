//! The names: one grammar, one macro, a type for each thing that is named.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// The longest name of a named value, in bytes.
const MAX_VALUE_NAME_BYTES: usize = 256;

/// A text that is not a name.
///
/// The error says what kind of name was expected and which rule the text breaks.
/// It doesn't carry the text: what is mistyped into a name's place is sometimes
/// a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: {fault}")]
pub struct NameError {
    what: &'static str,
    fault: NameFault,
}

impl NameError {
    /// What kind of name was expected, as people call it: `secret name`.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// Which rule was broken.
    pub fn fault(&self) -> NameFault {
        self.fault
    }
}

/// The rule of the grammar that a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// More bytes than such a name has.
    #[error("it is {length} bytes long; it may have at most {max}")]
    TooLong {
        /// The text's length in bytes.
        length: usize,
        /// The most that it may be.
        max: usize,
    },
    /// The first character is neither a small letter nor a digit.
    #[error("names start with one of a-z or 0-9")]
    Start,
    /// A character outside of the grammar.
    #[error("character {position} is not one of a-z, 0-9, '.', '_' and '-'")]
    Character {
        /// Which character, counted from 1.
        position: usize,
    },
    /// A character that the name of a named value can't have.
    #[error("character {position} is not one of A-Z, a-z, 0-9, '.', '_' and '-'")]
    ValueCharacter {
        /// Which character, counted from 1.
        position: usize,
    },
}

fn check(text: &str) -> Result<(), NameFault> {
    if text.is_empty() {
        return Err(NameFault::Empty);
    }
    if text.len() > MAX_NAME_BYTES {
        let (length, max) = (text.len(), MAX_NAME_BYTES);
        return Err(NameFault::TooLong { length, max });
    }
    for (index, character) in text.chars().enumerate() {
        match character {
            'a'..='z' | '0'..='9' => {}
            '.' | '_' | '-' if index > 0 => {}
            '.' | '_' | '-' => return Err(NameFault::Start),
            _ => {
                return Err(NameFault::Character {
                    position: index + 1,
                });
            }
        }
    }
    Ok(())
}

/// The grammar of named values: upper case too, and any of them first.
fn check_value_name(text: &str) -> Result<(), NameFault> {
    if text.is_empty() {
        return Err(NameFault::Empty);
    }
    if text.len() > MAX_VALUE_NAME_BYTES {
        let (length, max) = (text.len(), MAX_VALUE_NAME_BYTES);
        return Err(NameFault::TooLong { length, max });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match text.chars().position(|c| !allowed(c)) {
        None => Ok(()),
        Some(index) => Err(NameFault::ValueCharacter {
            position: index + 1,
        }),
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal, $check:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// Cheap to clone.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses a name. Errors: the text breaks the name's grammar.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                match $check(text) {
                    Ok(()) => Ok(Self(Arc::from(text))),
                    Err(fault) => Err(NameError { what: $what, fault }),
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), &self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        // `Hash` and `Ord` are derived from `Arc<str>`, hence the same as str's,
        // as `Borrow` demands.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;

                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a ", $what))
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

names! {
    /// The name of a policy, unique within a gateway.
    PolicyName = "policy name", check;
    /// The name of a secret in the vault.
    SecretName = "secret name", check;
    /// The name by which a policy opens a secret; a grant binds it.
    Alias = "alias", check;
    /// The name of a route: a destination that the operator has defined.
    RouteName = "route name", check;
    /// The identifier of a grant, as it appears in the audit trail.
    GrantId = "grant id", check;
    /// The name of a consumer of an API, as its client key identifies it.
    Subject = "subject", check;
    /// The name of an exchange variable.
    VariableName = "variable name", check;
    /// What a grant calls a statement that may be run on a database.
    StatementName = "statement name", check;
    /// The name of a source: where values come from that the vault doesn't hold.
    SourceName = "source name", check;
    /// The name of an issuer: whose tokens are checked with the keys that it publishes.
    IssuerName = "issuer name", check;
    /// A tag of a named value, by which operators find it.
    Tag = "tag", check;
    /// The name of a named value: 1 to 256 of `A-Z`, `a-z`, `0-9`, `.`, `_` and
    /// `-`. Upper and lower case differ.
    ValueName = "name of a named value", check_value_name;
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use std::collections::{BTreeSet, HashSet};

    fn fault(text: &str) -> NameFault {
        SecretName::parse(text).unwrap_err().fault()
    }

    #[test]
    fn the_grammar_accepts_what_it_says() {
        for text in [
            "a",
            "0",
            "billing-key",
            "a.b_c-9",
            "9lives",
            &"x".repeat(64),
        ] {
            assert_eq!(SecretName::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn the_grammar_rejects_and_never_normalises() {
        assert_eq!(fault(""), NameFault::Empty);
        let too_long = NameFault::TooLong {
            length: 65,
            max: 64,
        };
        assert_eq!(fault(&"x".repeat(65)), too_long);
        for text in ["-a", ".a", "_a", "."] {
            assert_eq!(fault(text), NameFault::Start);
        }
        for text in ["Key", " key", "\u{ff4b}ey", "\0"] {
            assert_eq!(fault(text), NameFault::Character { position: 1 });
        }
        for text in ["k ", "kE", "k/", "k\n", "k\u{0435}", "k\u{202e}"] {
            assert_eq!(fault(text), NameFault::Character { position: 2 });
        }
    }

    #[test]
    fn every_single_byte_is_judged_by_the_grammar() {
        for byte in 0..=127_u8 {
            let text = format!("a{}", char::from(byte));
            let allowed = matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
            assert_eq!(Alias::parse(&text).is_ok(), allowed, "{byte}");
        }
    }

    #[test]
    fn named_values_have_a_wider_grammar_and_keep_their_case() {
        for text in ["Billing-Key", "-", ".x", "A", &"X".repeat(256)] {
            assert_eq!(ValueName::parse(text).unwrap().as_str(), text);
        }
        assert_ne!(ValueName::parse("Key"), ValueName::parse("key"));
        let fault = |text: &str| ValueName::parse(text).unwrap_err().fault();
        assert_eq!(fault(""), NameFault::Empty);
        let (length, max) = (257, 256);
        assert_eq!(fault(&"x".repeat(257)), NameFault::TooLong { length, max });
        for text in ["a b", "a{", "a\u{e9}", "a\n"] {
            assert_eq!(fault(text), NameFault::ValueCharacter { position: 2 });
        }
    }

    #[test]
    fn errors_do_not_repeat_the_text() {
        let error = PolicyName::parse("hunter2-IN-THE-WRONG-PLACE").unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.to_lowercase().contains("hunter2"), "{text}");
        assert!(text.starts_with("not a valid policy name: character 9 "));
    }

    #[test]
    fn names_are_found_by_their_text() {
        let name = RouteName::parse("billing").unwrap();
        assert!(HashSet::from([name.clone()]).contains("billing"));
        assert!(BTreeSet::from([name]).contains("billing"));
    }
}
