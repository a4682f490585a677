//! What is sealed in a record of the vault file: one version of a secret with its
//! name and kind, padded so that the record's length tells little of the value's.

use keyward_names::SecretName;
use minicbor::{Decoder, Encoder};
use zeroize::Zeroizing;

use crate::format::{Damaged, Record};
use crate::kind::{KeyEncoding, Kind, MacAlgorithm};
use crate::seal::{DataKey, Place, RootKey, WrappingKey};
use crate::secret::Secret;

/// One version of a secret, open.
pub(crate) struct Contents {
    pub(crate) name: SecretName,
    pub(crate) kind: Kind,
    /// When the secret was added, in seconds since 1970.
    pub(crate) created: u64,
    /// When this version was added, in seconds since 1970.
    pub(crate) updated: u64,
    /// What [`Kind::import`] made of the value.
    pub(crate) value: Secret,
}

crate::secret::assert_not_implemented!(Contents: std::fmt::Debug, Clone, serde::Serialize);

impl Contents {
    /// Seals this version under a data key of its own.
    pub(crate) fn seal(&self, vault: &[u8; 16], place: Place, wrapping: &WrappingKey) -> Record {
        let (data_key, nonce, contents) = DataKey::seal(vault, place, &self.encode());
        Record {
            place,
            data_key: wrapping.wrap(place, &data_key),
            nonce,
            contents,
        }
    }

    /// Opens a record.
    pub(crate) fn open(
        record: &Record,
        vault: &[u8; 16],
        wrapping: &WrappingKey,
    ) -> Result<Self, Damaged> {
        let data_key = wrapping.unwrap(record.place, &record.data_key)?;
        let plaintext = data_key.open(vault, record.place, &record.nonce, &record.contents)?;
        let contents = Self::decode(&plaintext)?;
        if **contents.encode() != *plaintext {
            return Err(Damaged);
        }
        Ok(contents)
    }

    /// CBOR `[name, kind, created, updated, value]` and zeros up to a step of
    /// [`padded`].
    fn encode(&self) -> Zeroizing<Box<[u8]>> {
        // Room for all, so that the buffer never moves: heads of at most 9 bytes,
        // a name of at most 64 bytes, a kind of at most 4.
        let capacity = padded(self.value.len().saturating_add(128));
        let mut buffer = Zeroizing::new(Vec::with_capacity(capacity));
        let mut encoder = Encoder::new(&mut *buffer);
        let written = (|| {
            encoder.array(5)?.str(self.name.as_str())?;
            match self.kind {
                Kind::ClientKeys => encoder.array(1)?.u8(1)?,
                Kind::ApiKey => encoder.array(1)?.u8(2)?,
                Kind::HmacKey {
                    algorithm,
                    encoding,
                } => encoder
                    .array(3)?
                    .u8(3)?
                    .u8(algorithm_number(algorithm))?
                    .u8(encoding_number(encoding))?,
            };
            encoder.u64(self.created)?.u64(self.updated)?;
            encoder.bytes(&self.value.expose())?.ok()
        })();
        written.expect("writing into a Vec can't fail");
        let length = padded(buffer.len());
        debug_assert!(length <= capacity);
        buffer.resize(length, 0);
        Zeroizing::new(Box::from(buffer.as_slice()))
    }

    /// Reads what [`encode`](Self::encode) wrote; the caller compares.
    fn decode(plaintext: &[u8]) -> Result<Self, Damaged> {
        let mut decoder = Decoder::new(plaintext);
        let decoder = &mut decoder;
        array(decoder, 5)?;
        let name = decoder.str().map_err(|_| Damaged)?;
        let name = SecretName::parse(name).map_err(|_| Damaged)?;
        let parts = decoder.array().map_err(|_| Damaged)?;
        let kind = match (parts, decoder.u8().map_err(|_| Damaged)?) {
            (Some(1), 1) => Kind::ClientKeys,
            (Some(1), 2) => Kind::ApiKey,
            (Some(3), 3) => {
                let algorithm = decoder.u8().map_err(|_| Damaged)?;
                let encoding = decoder.u8().map_err(|_| Damaged)?;
                Kind::HmacKey {
                    algorithm: MacAlgorithm::ALL
                        .into_iter()
                        .find(|item| algorithm_number(*item) == algorithm)
                        .ok_or(Damaged)?,
                    encoding: KeyEncoding::ALL
                        .into_iter()
                        .find(|item| encoding_number(*item) == encoding)
                        .ok_or(Damaged)?,
                }
            }
            _ => return Err(Damaged),
        };
        Ok(Self {
            name,
            kind,
            created: decoder.u64().map_err(|_| Damaged)?,
            updated: decoder.u64().map_err(|_| Damaged)?,
            value: Secret::copy_of(decoder.bytes().map_err(|_| Damaged)?),
        })
    }
}

/// Seals the data keys of `records` with another wrapping key; the values stay as
/// they are.
pub(crate) fn rewrap(
    records: &mut [Record],
    root: &RootKey,
    from: u64,
    to: u64,
) -> Result<(), Damaged> {
    let (from, to) = (root.wrapping(from), root.wrapping(to));
    for record in records {
        let data_key = from.unwrap(record.place, &record.data_key)?;
        record.data_key = to.wrap(record.place, &data_key);
    }
    Ok(())
}

/// The lengths to which contents are padded: 64, 256, 1 Ki, 4 Ki, 16 Ki, and then
/// multiples of 16 Ki.
fn padded(length: usize) -> usize {
    const STEP: usize = 16 << 10;
    [64, 256, 1 << 10, 4 << 10]
        .into_iter()
        .find(|step| length <= *step)
        .unwrap_or_else(|| length.div_ceil(STEP).saturating_mul(STEP))
}

fn array(decoder: &mut Decoder<'_>, length: u64) -> Result<(), Damaged> {
    match decoder.array() {
        Ok(Some(found)) if found == length => Ok(()),
        _ => Err(Damaged),
    }
}

const fn algorithm_number(algorithm: MacAlgorithm) -> u8 {
    match algorithm {
        MacAlgorithm::Sha256 => 1,
        MacAlgorithm::Sha384 => 2,
        MacAlgorithm::Sha512 => 3,
    }
}

const fn encoding_number(encoding: KeyEncoding) -> u8 {
    match encoding {
        KeyEncoding::Raw => 1,
        KeyEncoding::Hex => 2,
        KeyEncoding::Base64 => 3,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use crate::seal::Key;

    const VAULT: [u8; 16] = [5; 16];
    const PLACE: Place = Place {
        secret: [6; 16],
        version: 1,
    };

    fn contents(kind: Kind, value: &[u8]) -> Contents {
        Contents {
            name: SecretName::parse("billing-key").unwrap(),
            kind,
            created: 1_700_000_000,
            updated: 1_800_000_000,
            value: Secret::copy_of(value),
        }
    }

    #[test]
    fn contents_of_every_kind_and_length_read_back() {
        let wrapping = RootKey::new(Key::random(), VAULT).wrapping(1);
        for kind in Kind::all() {
            for length in [0, 1, 23, 24, 255, 256, 4096, 70_000] {
                let value = vec![0xa7; length];
                let record = contents(kind, &value).seal(&VAULT, PLACE, &wrapping);
                let opened = Contents::open(&record, &VAULT, &wrapping).unwrap();
                assert_eq!(opened.kind, kind);
                assert_eq!(opened.name.as_str(), "billing-key");
                assert_eq!(
                    (opened.created, opened.updated),
                    (1_700_000_000, 1_800_000_000)
                );
                assert_eq!(*opened.value.expose(), value);
            }
        }
    }

    #[test]
    fn lengths_are_hidden_in_steps() {
        let length = |value: usize| contents(Kind::ApiKey, &vec![b'x'; value]).encode().len();
        assert_eq!(length(8), 64);
        assert_eq!(length(9), 64);
        assert_eq!(length(40), 256);
        assert_eq!(length(200), 256);
        assert_eq!(length(4000), 4096);
        assert_eq!(length(4096), 16 << 10);
        assert_eq!(length(20_000), 32 << 10);
    }

    #[test]
    fn padding_that_is_not_zero_is_refused() {
        let wrapping = RootKey::new(Key::random(), VAULT).wrapping(1);
        let mut plaintext = contents(Kind::ApiKey, b"12345678").encode();
        *plaintext.last_mut().unwrap() = 1;
        let (data_key, nonce, sealed) = DataKey::seal(&VAULT, PLACE, &plaintext);
        let record = Record {
            place: PLACE,
            data_key: wrapping.wrap(PLACE, &data_key),
            nonce,
            contents: sealed,
        };
        assert!(Contents::open(&record, &VAULT, &wrapping).is_err());
    }

    #[test]
    fn rewrapping_keeps_the_values() {
        let root = RootKey::new(Key::random(), VAULT);
        let record = contents(Kind::ApiKey, b"12345678").seal(&VAULT, PLACE, &root.wrapping(1));
        let mut records = [record.clone()];
        rewrap(&mut records, &root, 1, 2).unwrap();
        let [rewrapped] = records;
        assert_eq!(rewrapped.contents, record.contents);
        assert_ne!(rewrapped.data_key, record.data_key);
        assert!(Contents::open(&rewrapped, &VAULT, &root.wrapping(1)).is_err());
        let opened = Contents::open(&rewrapped, &VAULT, &root.wrapping(2)).unwrap();
        assert_eq!(&*opened.value.expose(), b"12345678");
    }
}
