//! Tells whether a source gave the value that it gave before, without keeping it.

use aws_lc_rs::hmac;

use crate::format::Damaged;
use crate::memory::{Scratch, burn_stack};
use crate::primitives::fill_random;
use crate::secret::{Exposed, Secret};

const KEY_BYTES: usize = 32;
/// The length of a fingerprint.
pub(crate) const FINGERPRINT_BYTES: usize = 2 * KEY_BYTES;

/// A random key, and HMAC-SHA-256 of a value under it. Shielded, since a value that
/// can be guessed could be found with it.
pub(crate) struct Fingerprint(Secret);

crate::secret::assert_not_implemented!(Fingerprint: std::fmt::Debug, Clone, serde::Serialize);

impl Fingerprint {
    /// That of a value as the source gave it.
    pub(crate) fn of(value: &Secret) -> Self {
        let mut bytes = Scratch::new(FINGERPRINT_BYTES);
        let (key, tag) = bytes.split_at_mut(KEY_BYTES);
        fill_random(key);
        let code = hmac::sign(&hmac_key(key), &value.expose());
        burn_stack();
        tag.copy_from_slice(code.as_ref());
        Self(Secret::copy_of(&bytes))
    }

    /// One that was stored.
    pub(crate) fn stored(bytes: &[u8]) -> Result<Self, Damaged> {
        match bytes.len() {
            FINGERPRINT_BYTES => Ok(Self(Secret::copy_of(bytes))),
            _ => Err(Damaged),
        }
    }

    /// Its bytes, to be sealed.
    pub(crate) fn bytes(&self) -> Exposed {
        self.0.expose()
    }

    /// Whether it is this value's. Takes the same time for all values of one length.
    pub(crate) fn matches(&self, value: &Secret) -> bool {
        let bytes = self.0.expose();
        let (key, tag) = bytes.split_at(KEY_BYTES);
        let verified = hmac::verify(&hmac_key(key), &value.expose(), tag);
        burn_stack();
        verified.is_ok()
    }
}

fn hmac_key(key: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn a_fingerprint_is_its_values_and_no_other_ones_and_never_the_same_twice() {
        let secret = |text: &str| Secret::copy_of(text.as_bytes());
        let one = Fingerprint::of(&secret("value-1"));
        assert!(one.matches(&secret("value-1")));
        for other in ["value-2", "value-", "value-12", ""] {
            assert!(!one.matches(&secret(other)), "{other}");
        }
        let again = Fingerprint::of(&secret("value-1"));
        assert_ne!(*one.bytes(), *again.bytes());
        let stored = Fingerprint::stored(&one.bytes()).unwrap();
        assert!(stored.matches(&secret("value-1")));
        assert!(Fingerprint::stored(&one.bytes()[1..]).is_err());
    }
}
