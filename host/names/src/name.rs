//! The names: one grammar, one macro, a type for each thing that is named.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 64;

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
    /// More than 64 bytes.
    #[error("it is {length} bytes long; names have at most {MAX_NAME_BYTES}")]
    TooLong {
        /// The text's length in bytes.
        length: usize,
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
}

fn check(text: &str) -> Result<(), NameFault> {
    if text.is_empty() {
        return Err(NameFault::Empty);
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(NameFault::TooLong { length: text.len() });
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

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// Cheap to clone. The grammar is the crate's.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses a name. Errors: the text breaks the crate's grammar.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                match check(text) {
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
    PolicyName = "policy name";
    /// The name of a secret in the vault.
    SecretName = "secret name";
    /// The name by which a policy opens a secret; a grant binds it.
    Alias = "alias";
    /// The name of a route: a destination that the operator has defined.
    RouteName = "route name";
    /// The identifier of a grant, as it appears in the audit trail.
    GrantId = "grant id";
    /// The name of a consumer of an API, as its client key identifies it.
    Subject = "subject";
    /// The name of an exchange variable.
    VariableName = "variable name";
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
        assert_eq!(fault(&"x".repeat(65)), NameFault::TooLong { length: 65 });
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
