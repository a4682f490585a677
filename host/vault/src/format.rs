//! The vault file as bytes: encoding, strict decoding, and the check of the whole.
//!
//! `FORMAT.md` specifies it. Nothing in the file is believed before its MAC has
//! been checked, save for what is needed to find the key of that MAC; and what is
//! read must be the one encoding of what it says.

use minicbor::{Decoder, Encoder};

use crate::seal::{KEY_BYTES, MasterKey, NONCE_BYTES, Place, RootKey, WRAPPED_BYTES, WrappedKey};

/// The first bytes of every vault file.
const MAGIC: &[u8; 8] = b"KEYWARD1";
/// HKDF-SHA-256, AES-256-GCM, HMAC-SHA-256.
const SUITE: u64 = 1;
/// A key file's slot.
const SLOT_KEY_FILE: u64 = 1;
/// The length of the MAC at the end.
const MAC_BYTES: usize = 32;
/// The largest vault file, in bytes.
pub(crate) const MAX_FILE_BYTES: u64 = 256 << 20;

/// The file is not a vault file, or not one that this key opens. There is no more
/// to it: a wrong key and a damaged file look the same from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// All that a vault file says, with the secrets sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VaultFile {
    /// Random, for the vault's life.
    pub(crate) vault: [u8; 16],
    /// Counts the writes of this file, from 1.
    pub(crate) epoch: u64,
    /// The root key, sealed with the key file's key.
    pub(crate) slot: Slot,
    /// Which wrapping key the data keys are sealed with.
    pub(crate) wrap_epoch: u64,
    /// How many data keys that wrapping key has sealed.
    pub(crate) wraps: u64,
    /// The audit trail as it was when this file was written.
    pub(crate) trail: TrailMark,
    /// The MAC of the file that this one replaced; zeros in the first.
    pub(crate) previous: [u8; MAC_BYTES],
    /// The versions of all secrets, ascending by secret id and version.
    pub(crate) records: Vec<Record>,
}

/// The root key, sealed with the key file's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) commitment: [u8; KEY_BYTES],
    pub(crate) nonce: [u8; NONCE_BYTES],
    pub(crate) wrapped: [u8; WRAPPED_BYTES],
}

/// An audit trail's size and root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrailMark {
    /// The number of records.
    pub(crate) size: u64,
    /// The root of the tree over them (RFC 6962).
    pub(crate) root: [u8; 32],
}

/// One version of one secret, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) place: Place,
    pub(crate) data_key: WrappedKey,
    pub(crate) nonce: [u8; NONCE_BYTES],
    /// The sealed contents, with the tag.
    pub(crate) contents: Vec<u8>,
}

impl VaultFile {
    /// The file's bytes, MAC included, and that MAC.
    pub(crate) fn encode(&self, root: &RootKey) -> (Vec<u8>, [u8; MAC_BYTES]) {
        let mut bytes = self.encode_body();
        let mac = root.file_mac(&bytes);
        bytes.extend_from_slice(&mac);
        (bytes, mac)
    }

    /// All but the MAC.
    fn encode_body(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(MAGIC.to_vec());
        let written = (|| {
            encoder.array(9)?.u64(SUITE)?.bytes(&self.vault)?;
            encoder.u64(self.epoch)?;
            encoder.array(1)?.array(4)?.u64(SLOT_KEY_FILE)?;
            encoder
                .bytes(&self.slot.commitment)?
                .bytes(&self.slot.nonce)?
                .bytes(&self.slot.wrapped)?;
            encoder.u64(self.wrap_epoch)?.u64(self.wraps)?;
            encoder
                .array(2)?
                .u64(self.trail.size)?
                .bytes(&self.trail.root)?;
            encoder.bytes(&self.previous)?;
            encoder.array(self.records.len() as u64)?;
            for record in &self.records {
                encoder
                    .array(6)?
                    .bytes(&record.place.secret)?
                    .u64(record.place.version)?
                    .bytes(&record.data_key.nonce)?
                    .bytes(&record.data_key.wrapped)?
                    .bytes(&record.nonce)?
                    .bytes(&record.contents)?;
            }
            encoder.ok()
        })();
        written.expect("writing into a Vec can't fail");
        encoder.into_writer()
    }

    /// Reads a file and checks the whole of it. Returns it with the key of the
    /// vault and the file's MAC.
    pub(crate) fn open(
        bytes: &[u8],
        master: &MasterKey,
    ) -> Result<(Self, RootKey, [u8; MAC_BYTES]), Damaged> {
        let (body, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(Damaged)?;
        let file = Self::decode_body(body)?;
        let root = master.unwrap(&file.vault, &file.slot)?;
        root.verify_file(body, mac)?;
        // One text for one meaning: longer heads, indefinite lengths and bytes
        // after the end do not survive this.
        if file.encode_body() != body {
            return Err(Damaged);
        }
        let places = file.records.iter().map(|record| record.place.key());
        if !places.is_sorted_by(|a, b| a < b) {
            return Err(Damaged);
        }
        Ok((file, root, *mac))
    }

    fn decode_body(body: &[u8]) -> Result<Self, Damaged> {
        let mut decoder = Decoder::new(body.strip_prefix(MAGIC).ok_or(Damaged)?);
        let decoder = &mut decoder;
        array(decoder, 9)?;
        number(decoder, SUITE)?;
        let vault = bytes(decoder)?;
        let epoch = decoder.u64().map_err(|_| Damaged)?;
        array(decoder, 1)?;
        array(decoder, 4)?;
        number(decoder, SLOT_KEY_FILE)?;
        let slot = Slot {
            commitment: bytes(decoder)?,
            nonce: bytes(decoder)?,
            wrapped: bytes(decoder)?,
        };
        let wrap_epoch = decoder.u64().map_err(|_| Damaged)?;
        let wraps = decoder.u64().map_err(|_| Damaged)?;
        array(decoder, 2)?;
        let trail = TrailMark {
            size: decoder.u64().map_err(|_| Damaged)?,
            root: bytes(decoder)?,
        };
        let previous = bytes(decoder)?;
        let count = decoder.array().map_err(|_| Damaged)?.ok_or(Damaged)?;
        // The count is not trusted with an allocation: each record that is pushed
        // has been there.
        let mut records = Vec::new();
        for _ in 0..count {
            array(decoder, 6)?;
            records.push(Record {
                place: Place {
                    secret: bytes(decoder)?,
                    version: decoder.u64().map_err(|_| Damaged)?,
                },
                data_key: WrappedKey {
                    nonce: bytes(decoder)?,
                    wrapped: bytes(decoder)?,
                },
                nonce: bytes(decoder)?,
                contents: decoder.bytes().map_err(|_| Damaged)?.to_vec(),
            });
        }
        Ok(Self {
            vault,
            epoch,
            slot,
            wrap_epoch,
            wraps,
            trail,
            previous,
            records,
        })
    }
}

impl Place {
    fn key(&self) -> ([u8; 16], u64) {
        (self.secret, self.version)
    }
}

fn array(decoder: &mut Decoder<'_>, length: u64) -> Result<(), Damaged> {
    match decoder.array() {
        Ok(Some(found)) if found == length => Ok(()),
        _ => Err(Damaged),
    }
}

fn number(decoder: &mut Decoder<'_>, expected: u64) -> Result<(), Damaged> {
    match decoder.u64() {
        Ok(found) if found == expected => Ok(()),
        _ => Err(Damaged),
    }
}

fn bytes<const N: usize>(decoder: &mut Decoder<'_>) -> Result<[u8; N], Damaged> {
    let bytes = decoder.bytes().map_err(|_| Damaged)?;
    bytes.try_into().map_err(|_| Damaged)
}

#[cfg(test)]
mod tests;
