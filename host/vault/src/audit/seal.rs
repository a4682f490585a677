//! Seals: who wrote an entry, for the entries that no checkpoint covers yet.

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::encoding::{SEAL_BYTES, split_seal};
use crate::memory::Placed;

/// The key of a trail's seals, derived from the seed of its signing key. It stands
/// in secret pages, ready for use.
pub(crate) struct SealKey(Placed<hmac::Key>);

/// What the derivation is for; part of the format.
const LABEL: &[u8] = b"keyward audit seal 1";

impl SealKey {
    /// `HMAC-SHA-256(seed, label)` is the key.
    pub(crate) fn new(seed: &Zeroizing<[u8; 32]>) -> Self {
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, seed.as_slice()), LABEL);
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
        Self(Placed::in_secret_pages(key))
    }

    /// The seal of an entry: the first 16 bytes of the HMAC-SHA-256 of its index,
    /// in 64 bits big-endian, and its bytes up to the seal.
    pub(crate) fn seal(&self, index: u64, unsealed: &[u8]) -> [u8; SEAL_BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&index.to_be_bytes());
        context.update(unsealed);
        let tag = context.sign();
        let mut seal = [0; SEAL_BYTES];
        seal.iter_mut()
            .zip(tag.as_ref())
            .for_each(|(to, from)| *to = *from);
        seal
    }

    /// Whether the entry at this index carries the right seal.
    pub(crate) fn fits(&self, index: u64, entry: &[u8]) -> bool {
        split_seal(entry)
            .is_some_and(|(unsealed, seal)| self.seal(index, unsealed).ct_eq(seal).into())
    }
}
