//! The vault file as bytes: encoding, strict decoding, and the check of the whole.
//!
//! `FORMAT.md` specifies it. Nothing in the file is believed before its MAC has
//! been checked, save for what is needed to find the key of that MAC; and what is
//! read must be the one encoding of what it says.

use std::sync::Arc;

use keyward_names::SourceName;
use minicbor::{Decoder, Encoder};

use crate::error::VaultError;
use crate::seal::{NONCE_BYTES, Place, RootKey, WrappedKey};
use crate::slots::{MAX_PASSPHRASE_SLOTS, MAX_SLOTS, Method, Opener, is_wrapped_key};
use crate::slots::{PassphraseCost, Slot, SlotHead};
use crate::values::Reference;

/// The first bytes of every vault file.
const MAGIC: &[u8; 8] = b"KEYWARD1";
/// HKDF-SHA-256, AES-256-GCM, HMAC-SHA-256.
const SUITE: u64 = 1;
/// The length of the MAC at the end.
const MAC_BYTES: usize = 32;
/// The largest vault file, in bytes.
pub(crate) const MAX_FILE_BYTES: u64 = 256 << 20;

/// The file is not a vault file, or not one that this key opens. There is no more
/// to it: a wrong key and a damaged file look the same from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// All that a vault file says, with the items sealed. Cheap to clone but for one
/// counted reference for each item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VaultFile {
    /// Random, for the vault's life.
    pub(crate) vault: [u8; 16],
    /// Counts the writes of this file, from 1.
    pub(crate) epoch: u64,
    /// The root key, sealed with each key that opens the vault: 1 to
    /// [`MAX_SLOTS`], ascending by id.
    pub(crate) slots: Vec<Slot>,
    /// The id of the next slot that is made.
    pub(crate) next_slot: u64,
    /// Which wrapping key the data keys are sealed with.
    pub(crate) wrap_epoch: u64,
    /// How many data keys that wrapping key has sealed.
    pub(crate) wraps: u64,
    /// The audit trail as it was when this file was written.
    pub(crate) trail: TrailMark,
    /// The MAC of the file that this one replaced; zeros in the first.
    pub(crate) previous: [u8; MAC_BYTES],
    /// The items, ascending by id.
    pub(crate) records: Vec<Arc<Record>>,
}

/// An audit trail's size and root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrailMark {
    /// The number of records.
    pub(crate) size: u64,
    /// The root of the tree over them (RFC 6962).
    pub(crate) root: [u8; 32],
}

impl TrailMark {
    /// That of a vault whose trail has no entry yet.
    pub(crate) fn of_a_new_trail() -> Self {
        Self {
            size: 0,
            root: crate::audit::empty_root(),
        }
    }
}

/// One item, sealed.
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
        // Room for all, with the MAC that follows: growing would copy megabytes.
        let contents: usize = self.records.iter().map(|item| item.contents.len()).sum();
        let slots: usize = self.slots.iter().map(Slot::room).sum();
        let capacity = 4096 + slots + contents + self.records.len() * RECORD_OVERHEAD_BYTES;
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(MAGIC);
        let mut encoder = Encoder::new(bytes);
        let written = (|| {
            encoder.array(10)?.u64(SUITE)?.bytes(&self.vault)?;
            encoder.u64(self.epoch)?;
            encoder.array(self.slots.len() as u64)?;
            for slot in &self.slots {
                encode_slot(&mut encoder, slot)?;
            }
            encoder.u64(self.next_slot)?;
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
                    .bytes(&record.place.item)?
                    .u64(record.place.revision)?
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
    ///
    /// Errors: [`VaultError::Unreadable`], or a passphrase can't be derived.
    pub(crate) fn open(
        bytes: &[u8],
        opener: &Opener<'_>,
    ) -> Result<(Self, RootKey, [u8; MAC_BYTES]), VaultError> {
        let (body, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(Damaged)?;
        let file = Self::decode_body(body)?;
        let root = opener.root(&file.vault, &file.slots)?;
        root.verify_file(body, mac)?;
        file.check(body)?;
        Ok((file, root, *mac))
    }

    /// What must hold of a file beyond its MAC.
    fn check(&self, body: &[u8]) -> Result<(), Damaged> {
        // One text for one meaning: longer heads, indefinite lengths and bytes
        // after the end do not survive this.
        let ascending = self
            .records
            .is_sorted_by(|a, b| a.place.item < b.place.item);
        let slots_ascend = self.slots.is_sorted_by(|a, b| a.head.id < b.head.id);
        let next = self
            .slots
            .last()
            .is_none_or(|slot| slot.head.id < self.next_slot);
        if self.encode_body() == body && ascending && slots_ascend && next {
            Ok(())
        } else {
            Err(Damaged)
        }
    }

    /// Where the record of an item is, or would be.
    pub(crate) fn position(&self, item: &[u8; 16]) -> Result<usize, usize> {
        self.records
            .binary_search_by(|record| record.place.item.cmp(item))
    }

    /// The slots as a file says them: nothing of it is authenticated yet.
    pub(crate) fn slots_of(bytes: &[u8]) -> Result<Vec<Slot>, Damaged> {
        let (body, _) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(Damaged)?;
        Ok(Self::decode_body(body)?.slots)
    }

    fn decode_body(body: &[u8]) -> Result<Self, Damaged> {
        let mut decoder = Decoder::new(body.strip_prefix(MAGIC).ok_or(Damaged)?);
        let decoder = &mut decoder;
        array(decoder, 10)?;
        number(decoder, SUITE)?;
        let vault = bytes(decoder)?;
        let epoch = decoder.u64().map_err(|_| Damaged)?;
        let slots = decode_slots(decoder)?;
        let next_slot = decoder.u64().map_err(|_| Damaged)?;
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
            records.push(Arc::new(Record {
                place: Place {
                    item: bytes(decoder)?,
                    revision: decoder.u64().map_err(|_| Damaged)?,
                },
                data_key: WrappedKey {
                    nonce: bytes(decoder)?,
                    wrapped: bytes(decoder)?,
                },
                nonce: bytes(decoder)?,
                contents: decoder.bytes().map_err(|_| Damaged)?.to_vec(),
            }));
        }
        Ok(Self {
            vault,
            epoch,
            slots,
            next_slot,
            wrap_epoch,
            wraps,
            trail,
            previous,
            records,
        })
    }
}

/// More than what a record takes beside its contents.
const RECORD_OVERHEAD_BYTES: usize = 128;

type Encoded = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn encode_slot(encoder: &mut Encoder<Vec<u8>>, slot: &Slot) -> Encoded {
    let head = &slot.head;
    encoder.array(7)?.u64(head.id)?.u64(head.method.code())?;
    encoder.u64(head.created)?;
    match &head.method {
        Method::KeyFile | Method::Credential => encoder.array(0)?,
        Method::Passphrase(cost, salt) => encoder
            .array(4)?
            .u32(cost.memory_kib)?
            .u32(cost.passes)?
            .u32(cost.lanes)?
            .bytes(salt)?,
        Method::Remote(wrapping, wrapped) => encoder
            .array(3)?
            .str(wrapping.source().as_str())?
            .str(wrapping.key())?
            .bytes(wrapped)?,
    };
    encoder
        .bytes(&slot.commitment)?
        .bytes(&slot.nonce)?
        .bytes(&slot.wrapped)?
        .ok()
}

/// The slots, each within its bounds: nothing is derived for one that isn't.
fn decode_slots(decoder: &mut Decoder<'_>) -> Result<Vec<Slot>, Damaged> {
    let count = decoder.array().map_err(|_| Damaged)?.ok_or(Damaged)?;
    if count == 0 || count > MAX_SLOTS as u64 {
        return Err(Damaged);
    }
    let mut slots = Vec::new();
    for _ in 0..count {
        array(decoder, 7)?;
        let id = decoder.u64().map_err(|_| Damaged)?;
        let code = decoder.u64().map_err(|_| Damaged)?;
        let created = decoder.u64().map_err(|_| Damaged)?;
        let parameters = decoder.array().map_err(|_| Damaged)?;
        let method = match (code, parameters) {
            (1, Some(0)) => Method::KeyFile,
            (2, Some(4)) => {
                let cost = PassphraseCost {
                    memory_kib: decoder.u32().map_err(|_| Damaged)?,
                    passes: decoder.u32().map_err(|_| Damaged)?,
                    lanes: decoder.u32().map_err(|_| Damaged)?,
                };
                if !cost.is_acceptable() {
                    return Err(Damaged);
                }
                Method::Passphrase(cost, bytes(decoder)?)
            }
            (3, Some(0)) => Method::Credential,
            (4, Some(3)) => {
                let source = SourceName::parse(text(decoder)?).map_err(|_| Damaged)?;
                let wrapping = Reference::new(source, text(decoder)?).map_err(|_| Damaged)?;
                let wrapped = decoder.bytes().map_err(|_| Damaged)?;
                if !is_wrapped_key(wrapped) {
                    return Err(Damaged);
                }
                Method::Remote(wrapping, wrapped.to_vec())
            }
            _ => return Err(Damaged),
        };
        slots.push(Slot {
            head: SlotHead {
                id,
                method,
                created,
            },
            commitment: bytes(decoder)?,
            nonce: bytes(decoder)?,
            wrapped: bytes(decoder)?,
        });
    }
    let passphrases = slots
        .iter()
        .filter(|slot| slot.head.method.parameters().is_some());
    if passphrases.count() > MAX_PASSPHRASE_SLOTS {
        return Err(Damaged);
    }
    Ok(slots)
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

fn text<'a>(decoder: &mut Decoder<'a>) -> Result<&'a str, Damaged> {
    decoder.str().map_err(|_| Damaged)
}

fn bytes<const N: usize>(decoder: &mut Decoder<'_>) -> Result<[u8; N], Damaged> {
    let bytes = decoder.bytes().map_err(|_| Damaged)?;
    bytes.try_into().map_err(|_| Damaged)
}

#[cfg(test)]
mod tests;
