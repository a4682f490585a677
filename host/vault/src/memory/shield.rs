//! Values at rest in memory: encrypted under a key of this process.
//!
//! AES-256-GCM (NIST SP 800-38D). The key is drawn at first use; it and its
//! expanded form stand in secret pages and nowhere else. OpenSSH keeps its key on
//! the ordinary heap and therefore stretches it from 16 KiB of randomness at each
//! use, so that a thief needs them all without an error; that takes some 10 µs,
//! more than everything else a use does, and buys little where the pages can't be
//! read to begin with. Nonces are counted, so that none can repeat.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};

use super::{Placed, Scratch, burn_stack};
use crate::primitives::fill_random;

const TAG_BYTES: usize = 16;

struct Shield {
    cipher: Placed<Aes256Gcm>,
    /// The next nonce. At a billion a second it lasts for 500 years.
    next: AtomicU64,
}

fn shield() -> &'static Shield {
    static SHIELD: OnceLock<Shield> = OnceLock::new();
    SHIELD.get_or_init(|| {
        let mut key = Scratch::new(32);
        fill_random(&mut key);
        let cipher = Aes256Gcm::new_from_slice(&key).expect("the key has 32 bytes");
        Shield {
            cipher: Placed::in_secret_pages(cipher),
            next: AtomicU64::new(0),
        }
    })
}

/// A value at rest.
pub(crate) struct Shielded {
    nonce: u64,
    /// The ciphertext and its tag.
    bytes: Box<[u8]>,
}

impl Shielded {
    /// How many bytes the value has.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len().saturating_sub(TAG_BYTES)
    }

    /// Shields a copy of bytes that the caller goes on to wipe.
    pub(crate) fn new(value: &[u8]) -> Self {
        let shield = shield();
        let nonce = shield.next.fetch_add(1, Ordering::Relaxed);
        let mut bytes = vec![0; value.len().saturating_add(TAG_BYTES)].into_boxed_slice();
        let (sealed, tag_at) = bytes.split_at_mut(value.len());
        // From one buffer to the other: the value is never in the second in plain.
        let buffers = InOutBuf::new(value, sealed).expect("both have the value's length");
        let tag = shield
            .cipher
            .encrypt_inout_detached(&nonce_of(nonce), b"", buffers)
            .expect("values are far below GCM's 64 GiB");
        tag_at.copy_from_slice(&tag);
        burn_stack();
        Self { nonce, bytes }
    }

    /// The value, in secret pages.
    ///
    /// # Panics
    ///
    /// If the value's memory was changed by something other than this crate, after
    /// which nothing in this process can be relied on.
    pub(crate) fn open(&self) -> Scratch {
        let (sealed, tag) = self
            .bytes
            .split_last_chunk::<TAG_BYTES>()
            .expect("there is always a tag");
        let mut value = Scratch::new(sealed.len());
        let buffers = InOutBuf::new(sealed, &mut value).expect("both have the value's length");
        shield()
            .cipher
            .decrypt_inout_detached(&nonce_of(self.nonce), b"", buffers, &Tag::from(*tag))
            .expect("nobody else writes to this memory");
        burn_stack();
        value
    }
}

fn nonce_of(number: u64) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = [0; 12];
    for (to, from) in nonce.iter_mut().zip(number.to_le_bytes()) {
        *to = from;
    }
    nonce.into()
}

crate::secret::assert_not_implemented!(Shielded: std::fmt::Debug, Clone, serde::Serialize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shielded_opens_again_at_every_length() {
        for length in [0, 1, 15, 16, 17, 64, 65, 512, 2048, 8192, 8193, 1 << 20] {
            let value: Vec<u8> = (0..length).map(|at: usize| (at % 251) as u8).collect();
            let shielded = Shielded::new(&value);
            assert!(*shielded.open() == *value, "{length}");
            assert!(*shielded.open() == *value, "{length}, again");
        }
    }

    #[test]
    fn a_value_at_rest_is_not_there_in_plain() {
        let value = b"a value at rest, long enough";
        let (one, two) = (Shielded::new(value), Shielded::new(value));
        assert!(
            !one.bytes
                .windows(4)
                .any(|part| value.windows(4).any(|v| v == part))
        );
        assert_ne!(one.bytes, two.bytes, "two nonces");
    }

    #[test]
    #[should_panic(expected = "nobody else writes to this memory")]
    fn changed_memory_is_not_taken_for_the_value() {
        let mut shielded = Shielded::new(b"value");
        shielded.bytes[0] ^= 1;
        drop(shielded.open());
    }
}
