//! Sealing a policy's own data with a `data-key`: AES-256-GCM under a key that is
//! derived for each message. `SEALED.md` has the format byte by byte.
//!
//! A random nonce of 96 bits bounds how often one key of AES-GCM may be used (NIST SP
//! 800-38D, 8.3: 2³² messages), and nobody could count over restarts and machines. So
//! each message has 32 random bytes of its own, from which and the data key HKDF
//! (RFC 5869) makes the key and the nonce of that one message. Two messages would have
//! to draw the same 32 bytes.

use aws_lc_rs::aead;
use zeroize::Zeroizing;

use crate::derivation::derive;
use crate::grants::{Grant, Sealing, Terms};
use crate::live::Material;
use crate::mac::OperationError;
use crate::memory::{Scratch, burn_stack};
use crate::permit::Permit;
use crate::primitives::fill_random;
use crate::secret::Secret;
use crate::uses;

/// The longest text that is sealed, in bytes.
pub const MAX_SEALED_TEXT_BYTES: usize = 512 << 10;
/// The longest context, in bytes.
pub const MAX_CONTEXT_BYTES: usize = 4096;
/// How much longer sealed data are than the text, in bytes.
pub const SEALED_EXTRA_BYTES: usize = HEAD_BYTES + SALT_BYTES + TAG_BYTES;

/// The format's number, and that of the key's version.
const HEAD_BYTES: usize = 1 + 8;
const SALT_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = aead::NONCE_LEN;
const FORMAT: u8 = 1;
const LABEL: &[u8] = b"keyward sealed data v1";

/// A key of 32 bytes, shielded.
pub(crate) struct SealingKey(Secret);

crate::secret::assert_not_implemented!(SealingKey: std::fmt::Debug, Clone, serde::Serialize);

impl SealingKey {
    pub(crate) fn prepare(key: Secret) -> Self {
        Self(key)
    }

    /// Does something with the key and nonce of one message, and leaves no trace of them.
    fn using<T>(
        &self,
        salt: &[u8],
        operate: impl FnOnce(aead::LessSafeKey, aead::Nonce) -> Option<T>,
    ) -> Option<T> {
        let mut derived = Scratch::new(KEY_BYTES + NONCE_BYTES);
        let result = derive(&self.0.expose(), salt, &[LABEL], &mut derived)
            .ok()
            .and_then(|()| {
                let (key, nonce) = derived.split_at_checked(KEY_BYTES)?;
                // It cleanses itself when dropped.
                let key = aead::UnboundKey::new(&aead::AES_256_GCM, key).ok()?;
                let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
                operate(aead::LessSafeKey::new(key), nonce)
            });
        burn_stack();
        result
    }

    fn seal(&self, version: u64, bound: &Bound<'_>, text: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = Vec::with_capacity(text.len() + SEALED_EXTRA_BYTES);
        sealed.push(FORMAT);
        sealed.extend_from_slice(&version.to_be_bytes());
        let mut salt = [0; SALT_BYTES];
        fill_random(&mut salt);
        sealed.extend_from_slice(&salt);
        let associated = bound.associated(&sealed);
        let start = sealed.len();
        sealed.extend_from_slice(text);
        let tag = self.using(&salt, |key, nonce| {
            let text = sealed.get_mut(start..)?;
            key.seal_in_place_separate_tag(nonce, aead::Aad::from(&associated), text)
                .ok()
        })?;
        sealed.extend_from_slice(tag.as_ref());
        Some(sealed)
    }

    /// Of data whose head was read.
    fn open(&self, parts: &Parts<'_>, bound: &Bound<'_>) -> Option<Vec<u8>> {
        let associated = bound.associated(parts.head);
        let mut text = Zeroizing::new(parts.sealed.to_vec());
        let length = self.using(parts.salt, |key, nonce| {
            let opened = key.open_in_place(nonce, aead::Aad::from(&associated), &mut text);
            opened.ok().map(|opened| opened.len())
        })?;
        text.truncate(length);
        Some(std::mem::take(&mut *text))
    }
}

/// Sealed data, as they came.
struct Parts<'a> {
    version: u64,
    /// Everything before the ciphertext.
    head: &'a [u8],
    salt: &'a [u8],
    /// The ciphertext and its tag.
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let (head, sealed) = data.split_at_checked(HEAD_BYTES + SALT_BYTES)?;
        let (start, salt) = head.split_at_checked(HEAD_BYTES)?;
        let (format, version) = start.split_first_chunk::<1>()?;
        if *format != [FORMAT] || sealed.len() < TAG_BYTES {
            return None;
        }
        Some(Self {
            version: u64::from_be_bytes(version.try_into().ok()?),
            head,
            salt,
            sealed,
        })
    }
}

/// What sealed data are bound to.
struct Bound<'a> {
    /// Whose they are: 0 and the policy's name, or 1 and the name that a grant shares
    /// them under.
    owner: (u8, &'a str),
    context: &'a [u8],
}

impl<'a> Bound<'a> {
    fn new(grant: &'a Grant, context: &'a [u8]) -> Option<Self> {
        let (Terms::Seal(sealing) | Terms::Open(sealing)) = &grant.terms else {
            return None;
        };
        let owner = match sealing {
            Sealing { shared_as: None } => (0, grant.policy.as_str()),
            Sealing {
                shared_as: Some(name),
            } => (1, name.as_str()),
        };
        Some(Self { owner, context })
    }

    /// The data that are authenticated beside the text.
    fn associated(&self, head: &[u8]) -> Vec<u8> {
        let (kind, name) = self.owner;
        // Names have at most 64 bytes, so that one holds the length.
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        [head, &[kind, length], name.as_bytes(), self.context].concat()
    }
}

impl Permit<uses::Seal> {
    /// Seals a text under the secret's current version. The same text gives other data
    /// each time.
    ///
    /// `context` says what the text is and where it belongs; it is not part of the data,
    /// and they open only with the same. Whose they are is bound, too: the policy's, or
    /// the name that its grant shares them under.
    ///
    /// Errors: the text is longer than [`MAX_SEALED_TEXT_BYTES`], or the context than
    /// [`MAX_CONTEXT_BYTES`]; or the key stays in its source.
    pub fn seal(self, text: &[u8], context: &[u8]) -> Result<Vec<u8>, OperationError> {
        if text.len() > MAX_SEALED_TEXT_BYTES || context.len() > MAX_CONTEXT_BYTES {
            return Err(OperationError::MessageTooLong);
        }
        let secret = self.secret();
        let bound = Bound::new(self.grant(), context).ok_or(OperationError::Unavailable)?;
        let version = secret.current.as_ref().ok_or(OperationError::Unavailable)?;
        match &version.material {
            Material::DataKey(key) => key
                .seal(version.number, &bound, text)
                .ok_or(OperationError::Unavailable),
            Material::Remote(_) => Err(OperationError::Remote),
            _ => Err(OperationError::Unavailable),
        }
    }
}

impl Permit<uses::Open> {
    /// The text of sealed data, under the version that they name: the secret's current
    /// one, or the one before it while that is still accepted.
    ///
    /// Errors: [`OperationError::NotSealed`] for data that were not sealed so: with
    /// another key or version, by another policy, in another context, or changed since.
    /// Which of them is not said.
    pub fn open(self, data: &[u8], context: &[u8]) -> Result<Vec<u8>, OperationError> {
        if data.len() > MAX_SEALED_TEXT_BYTES + SEALED_EXTRA_BYTES
            || context.len() > MAX_CONTEXT_BYTES
        {
            return Err(OperationError::MessageTooLong);
        }
        let secret = self.secret();
        let bound = Bound::new(self.grant(), context).ok_or(OperationError::Unavailable)?;
        match secret.material() {
            Some(Material::DataKey(_)) => {}
            Some(Material::Remote(_)) => return Err(OperationError::Remote),
            _ => return Err(OperationError::Unavailable),
        }
        let parts = Parts::read(data).ok_or(OperationError::NotSealed)?;
        let versions = secret.current.as_deref().into_iter().chain(self.previous());
        let mut keys = versions.filter_map(|version| match &version.material {
            Material::DataKey(key) if version.number == parts.version => Some(key),
            _ => None,
        });
        let key = keys.next().ok_or(OperationError::NotSealed)?;
        key.open(&parts, &bound).ok_or(OperationError::NotSealed)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn key() -> SealingKey {
        SealingKey::prepare(Secret::copy_of(&[7; 32]))
    }

    fn bound<'a>(owner: (u8, &'a str), context: &'a [u8]) -> Bound<'a> {
        Bound { owner, context }
    }

    #[test]
    fn what_was_sealed_opens_with_the_same_owner_and_context_only() {
        let sealed = key().seal(3, &bound((0, "p"), b"c"), b"text").unwrap();
        assert_eq!(sealed.len(), 4 + SEALED_EXTRA_BYTES);
        let parts = Parts::read(&sealed).unwrap();
        assert_eq!(parts.version, 3);
        let opened = key().open(&parts, &bound((0, "p"), b"c"));
        assert_eq!(opened.as_deref(), Some(&b"text"[..]));
        for (owner, context) in [
            ((0, "q"), &b"c"[..]),
            ((1, "p"), b"c"),
            ((0, "p"), b"d"),
            ((0, "p"), b""),
            // The same bytes, divided elsewhere.
            ((0, "pc"), b""),
            ((0, ""), b"pc"),
        ] {
            assert_eq!(key().open(&parts, &bound(owner, context)), None);
        }
        let other = SealingKey::prepare(Secret::copy_of(&[8; 32]));
        assert_eq!(other.open(&parts, &bound((0, "p"), b"c")), None);
    }

    #[test]
    fn no_bit_of_sealed_data_can_be_changed_and_nothing_cut_off() {
        let sealed = key().seal(3, &bound((0, "p"), b"c"), b"text").unwrap();
        let opens = |data: &[u8]| {
            let parts = Parts::read(data);
            let opened = parts.and_then(|parts| key().open(&parts, &bound((0, "p"), b"c")));
            opened.is_some()
        };
        assert!(opens(&sealed));
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!opens(&changed), "{bit}");
        }
        for length in 0..sealed.len() {
            assert!(!opens(&sealed[..length]), "{length}");
        }
        assert!(!opens(&[&sealed[..], &[0]].concat()));
    }

    #[test]
    fn the_same_text_is_sealed_to_other_data_each_time() {
        let one = key().seal(1, &bound((0, "p"), b""), b"").unwrap();
        let two = key().seal(1, &bound((0, "p"), b""), b"").unwrap();
        assert_ne!(one, two);
        assert_eq!(one.len(), SEALED_EXTRA_BYTES);
    }
}
