//! The only holder of a secret's bytes.
//!
//! A [`Secret`] can be made, moved, given to the vault and dropped. It can't be
//! printed, cloned, compared, serialised, dereferenced or measured, by this
//! crate's callers or by mistake. Inside the crate its bytes are reached through
//! one function, `expose`, whose callers are listed and tested
//! (`tests/vault/exposure.rs`); it decrypts them into secret pages (`memory/`),
//! which are wiped when the caller is done.
//!
//! What a type can't do is said here too: the value passes through the kernel's
//! buffers on its way in, and what is attached to a request stands in the HTTP
//! client's and TLS's buffers on its way out.

use std::io::{self, Read};

use crate::memory::{Scratch, Shielded};
use crate::primitives::fill_random;

/// The longest secret, in bytes: the room for it is made before it is read.
const MAX_BYTES: usize = 1 << 20;

/// The alphabet of [`Secret::generate`]: 64 characters, so that each carries
/// exactly 6 bits of a random byte.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A secret value on its way into the vault. In memory it is encrypted, under a key
/// that this process has drawn for itself.
///
/// There is no way to look inside:
///
/// ```compile_fail
/// let secret = keyward_vault::Secret::generate(43);
/// println!("{secret:?}");
/// ```
pub struct Secret(Shielded);

impl Secret {
    /// Reads a secret to the end of `source`, which may hold at most `max` bytes.
    ///
    /// One trailing line end (`\n` or `\r\n`) is removed, because files and pipes
    /// end in one that is not part of the secret; a second one is kept. A binary
    /// key whose last byte happens to be `\n` would lose it: store such keys as
    /// hexadecimal or base64 text.
    ///
    /// No secret has more than 1 MiB; a greater `max` counts as that.
    ///
    /// Errors: `source` fails, holds nothing, or holds more than `max` bytes.
    pub fn read_from(mut source: impl Read, max: usize) -> Result<Self, ImportError> {
        let max = max.min(MAX_BYTES);
        // Sized up front, since a buffer that grows leaves copies behind. The
        // extra bytes are for a line end and for noticing that there is more.
        let capacity = max.saturating_add(3);
        let mut buffer = Scratch::new(capacity);
        let mut filled = 0;
        while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
            match source.read(free) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ImportError::Read(error.kind())),
            }
        }
        let read = buffer.get(..filled).unwrap_or_default();
        let value = match read {
            [value @ .., b'\r', b'\n'] | [value @ .., b'\n'] => value,
            value => value,
        };
        if value.is_empty() {
            return Err(ImportError::Empty);
        }
        if value.len() > max {
            return Err(ImportError::TooLong { max });
        }
        Ok(Self::copy_of(value))
    }

    /// A random text of `length` characters out of `A-Z a-z 0-9 - _`, 6 bits of
    /// randomness each: 43 characters hold 256 bits.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn generate(length: usize) -> Self {
        let mut bytes = Scratch::new(length);
        fill_random(&mut bytes);
        for byte in &mut bytes[..] {
            *byte = ALPHABET[usize::from(*byte & 63)];
        }
        Self::copy_of(&bytes)
    }

    /// A secret of its own from bytes that the caller goes on to wipe.
    pub(crate) fn copy_of(value: &[u8]) -> Self {
        Self(Shielded::new(value))
    }

    /// How many bytes it has.
    pub(crate) fn length(&self) -> usize {
        self.0.length()
    }

    /// The bytes, for as long as what is returned is kept: not longer than they are
    /// used. Every caller is listed in `tests/vault/exposure.rs`, with its reason.
    pub(crate) fn expose(&self) -> Exposed {
        Exposed(self.0.open())
    }
}

/// A value in plain, in secret pages. Wiped when dropped.
pub(crate) struct Exposed(Scratch);

impl std::ops::Deref for Exposed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Why a value can't be stored as a secret of its kind.
///
/// No variant carries any part of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Nothing to store.
    #[error("the value is empty")]
    Empty,
    /// A text that says where the value is.
    #[error(
        "the value is a Key Vault reference, and not the secret that it names; have that fetched: \
         --from SOURCE:KEY"
    )]
    Reference,
    /// More than a secret of this kind may have.
    #[error("the value is longer than {max} bytes")]
    TooLong {
        /// The limit in bytes.
        max: usize,
    },
    /// Less than a secret of this kind must have.
    #[error("the value is too short: a secret of kind {kind} has at least {min} bytes")]
    TooShort {
        /// The kind, as people write it.
        kind: &'static str,
        /// The limit in bytes, after decoding.
        min: usize,
    },
    /// The value could not be read.
    #[error("the value could not be read: {0}")]
    Read(io::ErrorKind),
    /// A byte that a header can't carry, such as a line end or a space.
    #[error(
        "the value can't be written into a header: it has a character that is not visible ASCII \
         (a space, a line end, a control character, an accent)"
    )]
    NotHeaderSafe,
    /// The text is not in the encoding that the kind names.
    #[error("the value is not valid {encoding}")]
    NotEncoded {
        /// The encoding, as people write it.
        encoding: &'static str,
    },
    /// A key that can be guessed.
    #[error(
        "the key is too easy to guess: it repeats, counts, uses very few characters or reads like \
         a sentence; use random bytes, such as those of `openssl rand -base64 32`"
    )]
    LowEntropy,
    /// The value doesn't have the form of its kind.
    #[error("not a valid {kind}: {reason}")]
    Malformed {
        /// The kind, as people write it.
        kind: &'static str,
        /// What is valid.
        reason: &'static str,
    },
    /// A client's key is malformed.
    #[error("{0}")]
    ClientKey(ClientKeyFault),
    /// A set of client keys is malformed.
    #[error("line {line}: {fault}")]
    ClientKeys {
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong with it.
        fault: ClientKeyFault,
    },
}

/// What is wrong with a line of client keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientKeyFault {
    /// There is no `=`, or the text is not UTF-8.
    #[error("expected `subject = key`")]
    Form,
    /// The part before the `=` is not a name.
    #[error("the part before `=` is {0}")]
    Subject(keyward_names::NameError),
    /// The key is too short to resist guessing.
    #[error("the key has fewer than {min} characters")]
    KeyTooShort {
        /// The least number of characters.
        min: usize,
    },
    /// The key is longer than a header should be.
    #[error("the key has more than {max} characters")]
    KeyTooLong {
        /// The greatest number of characters.
        max: usize,
    },
    /// The key has a character that a header can't carry.
    #[error("the key has a character that is not visible ASCII")]
    KeyCharacter,
    /// The subject has two keys already.
    #[error("this subject has {max} keys already")]
    TooManyKeys {
        /// The greatest number of keys of one subject.
        max: usize,
    },
    /// The same key stands on an earlier line.
    #[error("this key stands on an earlier line, too")]
    DuplicateKey,
}

/// Fails to compile if `$type` implements one of the traits: with an
/// implementation, two candidates for `Absent` apply and inference gives up.
macro_rules! assert_not_implemented {
    ($type:ty: $($trait:path),+ $(,)?) => {$(
        const _: fn() = || {
            trait Absent<A> {
                fn absent() {}
            }
            impl<T: ?Sized> Absent<()> for T {}
            struct Present;
            impl<T: ?Sized + $trait> Absent<Present> for T {}
            let _ = <$type as Absent<_>>::absent;
        };
    )+};
}
pub(crate) use assert_not_implemented;

assert_not_implemented!(
    Secret: std::fmt::Debug, std::fmt::Display, Clone, PartialEq<Secret>, PartialEq<[u8]>,
    PartialOrd<Secret>, std::hash::Hash, std::ops::Deref, AsRef<[u8]>, AsRef<str>,
    std::borrow::Borrow<[u8]>, Into<Vec<u8>>, Into<String>, IntoIterator, serde::Serialize,
    Default,
);
assert_not_implemented!(Exposed: std::fmt::Debug, Clone, serde::Serialize);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn read(text: &str, max: usize) -> Result<Vec<u8>, ImportError> {
        Secret::read_from(text.as_bytes(), max).map(|secret| secret.expose().to_vec())
    }

    #[test]
    fn one_trailing_line_end_is_removed() {
        for (text, value) in [
            ("key", "key"),
            ("key\n", "key"),
            ("key\r\n", "key"),
            ("key\n\n", "key\n"),
            ("key\r", "key\r"),
            ("\nkey", "\nkey"),
        ] {
            assert_eq!(read(text, 100).unwrap(), value.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn the_limit_counts_the_value_without_its_line_end() {
        assert_eq!(read("12345\r\n", 5).unwrap(), b"12345");
        for text in ["123456", "123456\n", "12345\n\r\n", "123456789012"] {
            assert_eq!(
                read(text, 5),
                Err(ImportError::TooLong { max: 5 }),
                "{text:?}"
            );
        }
    }

    #[test]
    fn nothing_is_not_a_secret() {
        for text in ["", "\n", "\r\n"] {
            assert_eq!(read(text, 5), Err(ImportError::Empty));
        }
    }

    #[test]
    fn a_source_that_trickles_is_read_to_its_end() {
        struct Trickle(&'static [u8], bool);
        impl Read for Trickle {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                let count = self.0.len().min(1).min(buffer.len());
                buffer[..count].copy_from_slice(&self.0[..count]);
                self.0 = &self.0[count..];
                Ok(count)
            }
        }
        let secret = Secret::read_from(Trickle(b"trickled\n", false), 64).unwrap();
        assert_eq!(&*secret.expose(), b"trickled");
    }

    #[test]
    fn generated_secrets_are_header_safe_and_differ() {
        let (one, two) = (Secret::generate(43), Secret::generate(43));
        assert_eq!(one.expose().len(), 43);
        assert_ne!(*one.expose(), *two.expose());
        assert!(one.expose().iter().all(|byte| ALPHABET.contains(byte)));
    }
}
