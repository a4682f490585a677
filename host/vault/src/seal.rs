//! The key hierarchy and authenticated encryption of the vault file.
//!
//! ```text
//! master key (key file, passphrase or credential)
//!                ──HKDF──► keys of a slot: commitment, encryption
//!                                     └─unwraps─► root key (one for each vault)
//! root key ──HKDF──► file MAC key
//!                └─► wrapping key of epoch N ──unwraps──► data key of one item
//!                                                             └─opens─► that item
//! ```
//!
//! AES-256-GCM (NIST SP 800-38D) with 96-bit nonces and whole tags; HKDF with
//! SHA-256 (RFC 5869), salted with the vault's id. A data key encrypts exactly one
//! message, so its nonce can't repeat. GCM does not commit to its key: the slot's
//! commitment is compared before anything is decrypted, and what it unwraps is
//! covered by the MAC over the whole file.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use aws_lc_rs::{constant_time, hmac};

use crate::derivation::derive;
use crate::format::Damaged;
use crate::memory::{Scratch, burn_stack};
use crate::primitives::fill_random;
use crate::slots::{Method, Slot, SlotHead};

/// The length of every key here, in bytes.
pub(crate) const KEY_BYTES: usize = 32;
/// The length of a nonce, in bytes.
pub(crate) const NONCE_BYTES: usize = 12;
/// The length of an authentication tag, in bytes.
pub(crate) const TAG_BYTES: usize = 16;
/// The length of an encrypted key, in bytes.
pub(crate) const WRAPPED_BYTES: usize = KEY_BYTES + TAG_BYTES;

/// A 256-bit key, in plain in secret pages for as long as it lives. Wiped when
/// dropped.
pub(crate) struct Key(Scratch);

impl Key {
    pub(crate) fn random() -> Self {
        let mut key = Self::zero();
        fill_random(&mut key.0[..]);
        key
    }

    /// A key that `fill` writes into its place.
    pub(crate) fn filled_by<E>(fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut key = Self::zero();
        fill(&mut key.0)?;
        Ok(key)
    }

    fn zero() -> Self {
        Self(Scratch::new(KEY_BYTES))
    }

    /// The key, ready to encrypt and decrypt. Wiped when dropped.
    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new_from_slice(&self.0).expect("a key has 32 bytes")
    }

    pub(crate) fn copy_of(bytes: &[u8]) -> Result<Self, Damaged> {
        if bytes.len() != KEY_BYTES {
            return Err(Damaged);
        }
        let mut key = Self::zero();
        key.0.copy_from_slice(bytes);
        Ok(key)
    }

    /// The bytes of a key that is sealed as it is.
    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        (&self.0[..]).try_into().expect("a key has 32 bytes")
    }

    /// A key from a text of 64 hexadecimal digits in lower case.
    pub(crate) fn from_hex(text: &[u8]) -> Result<Self, Damaged> {
        let mut key = Self::zero();
        let hex = &data_encoding::HEXLOWER;
        if hex.decode_len(text.len()) != Ok(KEY_BYTES) {
            return Err(Damaged);
        }
        match hex.decode_mut(text, &mut key.0[..]) {
            Ok(KEY_BYTES) => Ok(key),
            _ => Err(Damaged),
        }
    }

    /// Writes the key as 64 hexadecimal digits; `text` has that length.
    pub(crate) fn write_hex(&self, text: &mut [u8]) {
        data_encoding::HEXLOWER.encode_mut(&self.0[..], text);
    }

    /// A subordinate key.
    fn derive(&self, salt: &[u8], label: &[&[u8]]) -> Self {
        let mut key = Self::zero();
        derive(&self.0[..], salt, label, &mut key.0[..])
            .expect("32 bytes are within HKDF-SHA-256's limit");
        key
    }

    /// The key, ready to make codes. It cleanses itself when dropped.
    fn mac_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }

    /// The bytes of a key that is no secret, such as a commitment.
    fn published(&self) -> [u8; KEY_BYTES] {
        let mut bytes = [0; KEY_BYTES];
        bytes.copy_from_slice(&self.0);
        bytes
    }

    /// The ciphertext, with its tag, of `plaintext` under a nonce that this key
    /// has not seen.
    fn seal(&self, nonce: &[u8; NONCE_BYTES], associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
        // From one buffer to the other: the second never holds the plaintext.
        let mut sealed = vec![0; plaintext.len()];
        sealed.reserve_exact(TAG_BYTES);
        let buffers = InOutBuf::new(plaintext, &mut sealed).expect("both have one length");
        let tag = self
            .cipher()
            .encrypt_inout_detached(&Nonce::from(*nonce), associated, buffers)
            .expect("vault contents are far below GCM's 64 GiB");
        burn_stack();
        sealed.extend_from_slice(&tag);
        sealed
    }

    fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Scratch, Damaged> {
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(Damaged)?;
        let mut opened = Scratch::new(ciphertext.len());
        let buffers = InOutBuf::new(ciphertext, &mut opened).expect("both have one length");
        let decrypted = self.cipher().decrypt_inout_detached(
            &Nonce::from(*nonce),
            associated,
            buffers,
            &Tag::from(*tag),
        );
        burn_stack();
        decrypted.map_err(|_| Damaged)?;
        Ok(opened)
    }
}

/// A fresh random nonce.
fn nonce() -> [u8; NONCE_BYTES] {
    random()
}

/// Random bytes that are not secret: nonces and identifiers.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

/// A key that opens a slot: from a key file, a credential or a passphrase.
pub(crate) struct MasterKey(pub(crate) Key);

impl MasterKey {
    /// The same key once more, for a slot that is sealed anew.
    pub(crate) fn copy(&self) -> Self {
        let mut key = Key::zero();
        key.0.copy_from_slice(&self.0.0);
        Self(key)
    }

    fn commitment(&self, vault: &[u8; 16], slot: u64) -> Key {
        let label: [&[u8]; 2] = [b"keyward v1 slot commitment", &slot.to_be_bytes()];
        self.0.derive(vault, &label)
    }

    fn encryption(&self, vault: &[u8; 16], slot: u64) -> Key {
        let label: [&[u8]; 2] = [b"keyward v1 slot encryption", &slot.to_be_bytes()];
        self.0.derive(vault, &label)
    }

    /// A slot that opens with this key.
    pub(crate) fn wrap(&self, vault: &[u8; 16], head: SlotHead, root: &RootKey) -> Slot {
        let nonce = nonce();
        let associated = slot_associated(vault, &head);
        let wrapped = self
            .encryption(vault, head.id)
            .seal(&nonce, &associated, &root.key.0[..]);
        Slot {
            commitment: self.commitment(vault, head.id).published(),
            nonce,
            wrapped: wrapped.try_into().expect("a wrapped key has 48 bytes"),
            head,
        }
    }

    /// Whether this key is the slot's. Takes the same time for all keys.
    pub(crate) fn fits(&self, vault: &[u8; 16], slot: &Slot) -> bool {
        let commitment = self.commitment(vault, slot.head.id);
        constant_time::verify_slices_are_equal(&commitment.0[..], &slot.commitment).is_ok()
    }

    /// The root key in a slot, if this key is the slot's.
    pub(crate) fn unwrap(&self, vault: &[u8; 16], slot: &Slot) -> Result<RootKey, Damaged> {
        if !self.fits(vault, slot) {
            return Err(Damaged);
        }
        let associated = slot_associated(vault, &slot.head);
        let root =
            self.encryption(vault, slot.head.id)
                .open(&slot.nonce, &associated, &slot.wrapped)?;
        Ok(RootKey::new(Key::copy_of(&root)?, *vault))
    }
}

fn slot_associated(vault: &[u8; 16], head: &SlotHead) -> Vec<u8> {
    let mut bytes = [b"keyward v1 slot".as_slice(), vault].concat();
    for number in [head.id, head.method.code(), head.created] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    if let Some((cost, salt)) = head.method.parameters() {
        for number in [cost.memory_kib, cost.passes, cost.lanes] {
            bytes.extend_from_slice(&u64::from(number).to_be_bytes());
        }
        bytes.extend_from_slice(salt);
    }
    if let Method::Remote(wrapping, wrapped) = &head.method {
        let parts = [
            wrapping.source().as_str().as_bytes(),
            wrapping.key().as_bytes(),
            wrapped,
        ];
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

/// The key from which all other keys of one vault come.
pub(crate) struct RootKey {
    key: Key,
    vault: [u8; 16],
    file_mac: Key,
}

impl RootKey {
    pub(crate) fn new(key: Key, vault: [u8; 16]) -> Self {
        let file_mac = key.derive(&vault, &[b"keyward v1 file mac"]);
        Self {
            key,
            vault,
            file_mac,
        }
    }

    /// The code over a whole file.
    pub(crate) fn file_mac(&self, file: &[u8]) -> [u8; 32] {
        let code = hmac::sign(&self.file_mac.mac_key(), file);
        burn_stack();
        code.as_ref()
            .try_into()
            .expect("HMAC-SHA-256 makes 32 bytes")
    }

    /// Whether `code` is the code over a whole file.
    pub(crate) fn verify_file(&self, file: &[u8], code: &[u8]) -> Result<(), Damaged> {
        let verified = hmac::verify(&self.file_mac.mac_key(), file, code);
        burn_stack();
        verified.map_err(|_| Damaged)
    }

    /// The code over compiled code that was made for `key`, which has one length so
    /// that the two can't be taken apart otherwise.
    pub(crate) fn code_tag(&self, key: &[u8; 32], code: &[u8]) -> [u8; 32] {
        let tag = self.over_code(key, code).sign();
        burn_stack();
        tag.as_ref()
            .try_into()
            .expect("HMAC-SHA-256 makes 32 bytes")
    }

    /// Whether `tag` is the code over that compiled code.
    pub(crate) fn verify_code(&self, key: &[u8; 32], code: &[u8], tag: &[u8; 32]) -> bool {
        let made = self.code_tag(key, code);
        constant_time::verify_slices_are_equal(&made, tag).is_ok()
    }

    fn over_code(&self, key: &[u8; 32], code: &[u8]) -> hmac::Context {
        let label: [&[u8]; 1] = [b"keyward v1 compiled code"];
        let mut context = hmac::Context::with_key(&self.key.derive(&self.vault, &label).mac_key());
        context.update(key);
        context.update(code);
        context
    }

    /// The key that wraps data keys while `epoch` lasts.
    pub(crate) fn wrapping(&self, epoch: u64) -> WrappingKey {
        let label: [&[u8]; 2] = [b"keyward v1 wrap", &epoch.to_be_bytes()];
        WrappingKey {
            key: self.key.derive(&self.vault, &label),
            vault: self.vault,
            epoch,
        }
    }
}

/// Which revision of which item something sealed belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) item: [u8; 16],
    pub(crate) revision: u64,
}

/// A data key, encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrappedKey {
    pub(crate) nonce: [u8; NONCE_BYTES],
    pub(crate) wrapped: [u8; WRAPPED_BYTES],
}

/// Wraps data keys.
pub(crate) struct WrappingKey {
    key: Key,
    vault: [u8; 16],
    epoch: u64,
}

impl WrappingKey {
    fn associated(&self, place: Place) -> Vec<u8> {
        [
            b"keyward v1 data key".as_slice(),
            &self.vault,
            &place.item,
            &place.revision.to_be_bytes(),
            &self.epoch.to_be_bytes(),
        ]
        .concat()
    }

    pub(crate) fn wrap(&self, place: Place, data_key: &DataKey) -> WrappedKey {
        let nonce = nonce();
        let wrapped = self
            .key
            .seal(&nonce, &self.associated(place), &data_key.0.0[..]);
        WrappedKey {
            nonce,
            wrapped: wrapped.try_into().expect("a wrapped key has 48 bytes"),
        }
    }

    pub(crate) fn unwrap(&self, place: Place, key: &WrappedKey) -> Result<DataKey, Damaged> {
        let associated = self.associated(place);
        let bytes = self.key.open(&key.nonce, &associated, &key.wrapped)?;
        Key::copy_of(&bytes).map(DataKey)
    }
}

/// Encrypts one revision of one item, once.
pub(crate) struct DataKey(Key);

impl DataKey {
    /// Seals `plaintext` under a new key. The key is only ever returned after its
    /// one use, so that it has no second.
    pub(crate) fn seal(
        vault: &[u8; 16],
        place: Place,
        plaintext: &[u8],
    ) -> (Self, [u8; NONCE_BYTES], Vec<u8>) {
        let (key, nonce) = (Key::random(), nonce());
        let sealed = key.seal(&nonce, &item_associated(vault, place), plaintext);
        (Self(key), nonce, sealed)
    }

    pub(crate) fn open(
        &self,
        vault: &[u8; 16],
        place: Place,
        nonce: &[u8; NONCE_BYTES],
        sealed: &[u8],
    ) -> Result<Scratch, Damaged> {
        self.0.open(nonce, &item_associated(vault, place), sealed)
    }
}

fn item_associated(vault: &[u8; 16], place: Place) -> Vec<u8> {
    [
        b"keyward v1 item".as_slice(),
        vault,
        &place.item,
        &place.revision.to_be_bytes(),
    ]
    .concat()
}

crate::secret::assert_not_implemented!(
    Key: std::fmt::Debug, Clone, PartialEq<Key>, std::ops::Deref, AsRef<[u8]>, serde::Serialize,
);
crate::secret::assert_not_implemented!(MasterKey: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(RootKey: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(WrappingKey: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(DataKey: std::fmt::Debug, Clone, serde::Serialize);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use data_encoding::HEXLOWER;

    #[test]
    fn encryption_is_aes_256_gcm() {
        // Test case 16 of the GCM specification (McGrew and Viega, appendix B).
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
        let key = Key::copy_of(&hex(
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        ))
        .unwrap();
        let nonce = hex("cafebabefacedbaddecaf888").try_into().unwrap();
        let plaintext = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let associated = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let sealed = key.seal(&nonce, &associated, &plaintext);
        assert_eq!(
            HEXLOWER.encode(&sealed),
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662\
             76fc6ece0f4e1768cddf8853bb2d551b"
        );
        assert_eq!(*key.open(&nonce, &associated, &sealed).unwrap(), plaintext);
    }

    #[test]
    fn keys_of_different_purposes_differ() {
        let vault = [1; 16];
        let master = MasterKey(Key::random());
        let root = RootKey::new(Key::random(), vault);
        let keys = [
            master.commitment(&vault, 1).published(),
            master.commitment(&vault, 2).published(),
            master.encryption(&vault, 1).published(),
            master.encryption(&vault, 2).published(),
            root.wrapping(1).key.published(),
            root.wrapping(2).key.published(),
            master.commitment(&[2; 16], 1).published(),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[index + 1..].contains(key), "{index}");
        }
    }

    #[test]
    fn what_is_sealed_for_one_place_opens_nowhere_else() {
        let vault = [1; 16];
        let root = RootKey::new(Key::random(), vault);
        let place = Place {
            item: [2; 16],
            revision: 3,
        };
        let (data_key, nonce, sealed) = DataKey::seal(&vault, place, b"value");
        let wrapped = root.wrapping(1).wrap(place, &data_key);
        let key = root.wrapping(1).unwrap(place, &wrapped).unwrap();
        let opened = key.open(&vault, place, &nonce, &sealed).unwrap();
        assert_eq!(&*opened, b"value");

        let others = [
            Place {
                item: [9; 16],
                ..place
            },
            Place {
                revision: 4,
                ..place
            },
        ];
        for other in others {
            assert!(root.wrapping(1).unwrap(other, &wrapped).is_err());
            assert!(key.open(&vault, other, &nonce, &sealed).is_err());
        }
        assert!(root.wrapping(2).unwrap(place, &wrapped).is_err());
        assert!(key.open(&[7; 16], place, &nonce, &sealed).is_err());
    }
}
