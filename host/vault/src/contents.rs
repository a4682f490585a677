//! What is sealed in a record of the vault file: an item, padded so that the
//! record's length tells little of what it holds.
//!
//! An item is read in place: values stay in the one buffer that they were opened
//! into, which is wiped, and whoever changes an item writes another such buffer.

use std::collections::{BTreeMap, BTreeSet};

use keyward_names::{GrantId, SecretName, SourceName, Tag, ValueName};
use minicbor::Decoder;

use crate::fingerprint::FINGERPRINT_BYTES;
use crate::format::{Damaged, Record};
use crate::identity::SecretState;
use crate::kind::{KeyEncoding, Kind, MacAlgorithm};
use crate::memory::Scratch;
use crate::origin::{Cache, Origin, SourceVersion, Unavailability};
use crate::plaintext::{Encoded, Plaintext, Writer};
use crate::seal::{DataKey, Place, WrappingKey};
use crate::values::{NamedValue, Reference};

/// What a record holds.
pub(crate) enum Item<'a> {
    /// A secret with all its versions.
    Secret(StoredSecret<'a>),
    /// A named value.
    Value(StoredValue),
    /// The grants that were revoked, and when, in seconds since 1970.
    Revocations(BTreeMap<GrantId, u64>),
    /// The private key of the audit trail's checkpoints.
    AuditSeed(&'a [u8; 32]),
}

/// A secret with all its versions. Times are seconds since 1970.
pub(crate) struct StoredSecret<'a> {
    pub(crate) name: SecretName,
    pub(crate) kind: Kind,
    pub(crate) state: SecretState,
    pub(crate) created: u64,
    /// The version in use. `None` while a source has given none that is sealed here.
    pub(crate) current: Option<u64>,
    /// The version that is still accepted where codes are verified.
    pub(crate) previous: Option<u64>,
    /// The highest number that a version ever had.
    pub(crate) last: u64,
    pub(crate) rotation: StoredRotation,
    /// Ascending by number.
    pub(crate) versions: Vec<StoredVersion<'a>>,
    /// Where the values come from, if they come from a source.
    pub(crate) origin: Option<StoredOrigin<'a>>,
}

/// Where the values of a secret come from, and what is known of the last one.
pub(crate) struct StoredOrigin<'a> {
    pub(crate) reference: Reference,
    pub(crate) cache: Cache,
    /// Why the secret can't be used, if somebody has said so.
    pub(crate) unavailable: Option<Unavailability>,
    /// What the source calls the version in use, if that is sealed here.
    pub(crate) source_version: Option<SourceVersion>,
    /// The [`Fingerprint`](crate::fingerprint::Fingerprint) of the version in use as
    /// the source gave it, if that is sealed here; else empty.
    pub(crate) received: &'a [u8],
    /// When the source last said that the version in use is the one, as far as it was
    /// written down, in seconds since 1970; of a version that it hasn't given, since
    /// when it has been waited for. Some if a version is sealed here.
    pub(crate) confirmed: Option<u64>,
}

impl StoredOrigin<'_> {
    /// One that has given nothing yet.
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            reference: origin.reference,
            cache: origin.cache,
            unavailable: None,
            source_version: None,
            received: &[],
            confirmed: None,
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin {
            reference: self.reference.clone(),
            cache: self.cache,
        }
    }
}

/// How one version follows another. Times are seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredRotation {
    /// For how many seconds the version before stays accepted; `None`: until the
    /// next rotation.
    pub(crate) retire_after: Option<u64>,
    /// Until when the version before that is there now is accepted.
    pub(crate) previous_until: Option<u64>,
    /// Each how many seconds a new value is made.
    pub(crate) every: Option<u64>,
    /// When the next one is made: some if `every` is.
    pub(crate) next: Option<u64>,
}

/// One version of a secret.
pub(crate) struct StoredVersion<'a> {
    pub(crate) number: u64,
    pub(crate) created: u64,
    pub(crate) not_before: Option<u64>,
    pub(crate) not_after: Option<u64>,
    /// What [`Kind::import`] made of the value.
    pub(crate) value: &'a [u8],
}

/// A named value. Times are seconds since 1970.
pub(crate) struct StoredValue {
    pub(crate) name: ValueName,
    pub(crate) value: NamedValue,
    pub(crate) tags: BTreeSet<Tag>,
    pub(crate) created: u64,
    pub(crate) updated: u64,
}

crate::secret::assert_not_implemented!(Item<'static>: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(
    StoredSecret<'static>: std::fmt::Debug, Clone, serde::Serialize,
);
crate::secret::assert_not_implemented!(
    StoredVersion<'static>: std::fmt::Debug, Clone, serde::Serialize,
);

impl<'a> StoredSecret<'a> {
    /// The version with a number.
    pub(crate) fn version(&self, number: u64) -> Option<&StoredVersion<'a>> {
        self.versions
            .iter()
            .find(|version| version.number == number)
    }

    /// Whether its key stays in its source. What versions are here are of its
    /// certificate.
    pub(crate) fn has_key_elsewhere(&self) -> bool {
        let origin = self.origin.as_ref();
        origin.is_some_and(|origin| origin.cache == Cache::Remote)
    }

    /// Whether its versions are certificates without their key.
    pub(crate) fn has_chains(&self) -> bool {
        self.kind == Kind::Certificate && self.has_key_elsewhere()
    }

    fn is_consistent(&self) -> bool {
        let ascending = self.versions.is_sorted_by(|a, b| a.number < b.number);
        let last = self.versions.last();
        let last = last.is_none_or(|version| version.number <= self.last);
        let versions = match self.current {
            Some(current) => self.version(current).is_some(),
            None => self.versions.is_empty() && self.previous.is_none(),
        };
        let previous = self.previous.is_none_or(|previous| {
            self.current != Some(previous) && self.version(previous).is_some()
        });
        let origin = match &self.origin {
            // What has no source has a value here.
            None => self.current.is_some(),
            Some(origin) if self.has_key_elsewhere() => {
                let has_certificate = self.current.is_some();
                (self.has_chains() || !has_certificate) && origin.is_consistent(false)
            }
            Some(origin) => origin.is_consistent(self.current.is_some()),
        };
        let rotation = self.rotation;
        let retirement = self.previous.is_some() || rotation.previous_until.is_none();
        // Who gets values from elsewhere makes none.
        let schedule = rotation.every.is_some() == rotation.next.is_some()
            && (self.origin.is_none() || rotation.every.is_none());
        let numbered = self.versions.iter().all(|version| version.number > 0);
        ascending && last && versions && previous && origin && retirement && schedule && numbered
    }
}

impl StoredOrigin<'_> {
    /// Nothing of a value stands here unless it is sealed here.
    fn is_consistent(&self, has_version: bool) -> bool {
        let received = !self.received.is_empty();
        let whole = !received || self.received.len() == FINGERPRINT_BYTES;
        whole
            && received == self.source_version.is_some()
            && (has_version || !received)
            && has_version == self.confirmed.is_some()
            && (self.cache == Cache::Sealed || !has_version)
    }
}

/// Seals an item under a data key of its own.
pub(crate) fn seal(
    plaintext: &[u8],
    vault: &[u8; 16],
    place: Place,
    wrapping: &WrappingKey,
) -> Record {
    let (data_key, nonce, contents) = DataKey::seal(vault, place, plaintext);
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
) -> Result<Scratch, Damaged> {
    let data_key = wrapping.unwrap(record.place, &record.data_key)?;
    data_key.open(vault, record.place, &record.nonce, &record.contents)
}

/// Seals the data key of a record with another wrapping key; the contents stay as
/// they are.
pub(crate) fn rewrap(
    record: &Record,
    from: &WrappingKey,
    to: &WrappingKey,
) -> Result<Record, Damaged> {
    let data_key = from.unwrap(record.place, &record.data_key)?;
    Ok(Record {
        place: record.place,
        data_key: to.wrap(record.place, &data_key),
        nonce: record.nonce,
        contents: record.contents.clone(),
    })
}

impl<'a> Item<'a> {
    /// The item's bytes, and zeros up to a step of [`padded`].
    pub(crate) fn encode(&self) -> Plaintext {
        let room = padded(self.room());
        let mut text = Plaintext::written(room, |encoder| self.write(encoder));
        text.resize(padded(text.len()))
            .expect("there is room for the padding");
        text
    }

    /// At least the length of what [`write`](Self::write) writes: heads of at most
    /// 9 bytes, names of at most 64 or 256.
    fn room(&self) -> usize {
        match self {
            Self::Secret(secret) => {
                let values: usize = secret.versions.iter().map(|v| v.value.len()).sum();
                let origin = secret.origin.as_ref().map_or(0, |origin| {
                    let reference = &origin.reference;
                    let version = origin.source_version.as_ref();
                    73 + reference.source().as_str().len()
                        + reference.key().len()
                        + version.map_or(0, |version| version.as_str().len())
                        + origin.received.len()
                });
                let fixed = 120 + secret.name.as_str().len() + origin;
                fixed + values + secret.versions.len() * 50
            }
            Self::Value(value) => {
                let text = match &value.value {
                    NamedValue::Plain(text) => text.len(),
                    NamedValue::Secret(name) => name.as_str().len(),
                    NamedValue::Reference(reference) => {
                        reference.source().as_str().len() + reference.key().len() + 9
                    }
                };
                80 + value.name.as_str().len() + text + value.tags.len() * 80
            }
            Self::Revocations(revoked) => 20 + revoked.len() * 90,
            Self::AuditSeed(_) => 40,
        }
    }

    fn write(&self, encoder: &mut Writer<'_>) -> Encoded {
        match self {
            Self::Secret(secret) => write_secret(encoder, secret),
            Self::Value(value) => write_value(encoder, value),
            Self::Revocations(revoked) => {
                encoder.array(2)?.u8(3)?.array(revoked.len() as u64)?;
                for (grant, at) in revoked {
                    encoder.array(2)?.str(grant.as_str())?.u64(*at)?;
                }
                encoder.ok()
            }
            Self::AuditSeed(seed) => encoder.array(2)?.u8(4)?.bytes(*seed)?.ok(),
        }
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    pub(crate) fn decode(plaintext: &'a [u8]) -> Result<Self, Damaged> {
        let mut decoder = Decoder::new(plaintext);
        let decoder = &mut decoder;
        let parts = decoder.array().map_err(|_| Damaged)?;
        let item = match (parts, decoder.u8().map_err(|_| Damaged)?) {
            (Some(11), 1) => Self::Secret(read_secret(decoder)?),
            (Some(6), 2) => Self::Value(read_value(decoder)?),
            (Some(2), 3) => Self::Revocations(read_revocations(decoder)?),
            (Some(2), 4) => {
                let seed = decoder.bytes().map_err(|_| Damaged)?;
                Self::AuditSeed(seed.try_into().map_err(|_| Damaged)?)
            }
            _ => return Err(Damaged),
        };
        // One text for one meaning, padding included.
        if *item.encode() != *plaintext {
            return Err(Damaged);
        }
        Ok(item)
    }
}

fn write_secret(encoder: &mut Writer<'_>, secret: &StoredSecret<'_>) -> Encoded {
    encoder.array(11)?.u8(1)?.str(secret.name.as_str())?;
    match secret.kind {
        Kind::HmacKey {
            algorithm,
            encoding,
        } => encoder
            .array(3)?
            .u8(kind_number(secret.kind))?
            .u8(algorithm_number(algorithm))?
            .u8(encoding_number(encoding))?,
        Kind::DataKey { encoding } => encoder
            .array(2)?
            .u8(kind_number(secret.kind))?
            .u8(encoding_number(encoding))?,
        other => encoder.array(1)?.u8(kind_number(other))?,
    };
    encoder
        .u8(match secret.state {
            SecretState::Enabled => 1,
            SecretState::Disabled => 2,
        })?
        .u64(secret.created)?
        .u64(secret.current.unwrap_or(0))?
        .u64(secret.previous.unwrap_or(0))?
        .u64(secret.last)?;
    let rotation = secret.rotation;
    encoder
        .array(4)?
        .u64(rotation.retire_after.unwrap_or(0))?
        .u64(rotation.previous_until.unwrap_or(0))?
        .u64(rotation.every.unwrap_or(0))?
        .u64(rotation.next.unwrap_or(0))?
        .array(secret.versions.len() as u64)?;
    for version in &secret.versions {
        encoder
            .array(5)?
            .u64(version.number)?
            .u64(version.created)?
            .u64(version.not_before.unwrap_or(0))?
            .u64(version.not_after.unwrap_or(0))?
            .bytes(version.value)?;
    }
    match &secret.origin {
        None => encoder.array(0)?.ok(),
        Some(origin) => encoder
            .array(7)?
            .str(origin.reference.source().as_str())?
            .str(origin.reference.key())?
            .u8(cache_number(origin.cache))?
            .u8(origin.unavailable.map_or(0, unavailability_number))?
            .str(
                origin
                    .source_version
                    .as_ref()
                    .map_or("", SourceVersion::as_str),
            )?
            .bytes(origin.received)?
            .u64(origin.confirmed.unwrap_or(0))?
            .ok(),
    }
}

fn read_secret<'a>(decoder: &mut Decoder<'a>) -> Result<StoredSecret<'a>, Damaged> {
    let secret = StoredSecret {
        name: SecretName::parse(text(decoder)?).map_err(|_| Damaged)?,
        kind: read_kind(decoder)?,
        state: match number(decoder)? {
            1 => SecretState::Enabled,
            2 => SecretState::Disabled,
            _ => return Err(Damaged),
        },
        created: number(decoder)?,
        current: unless_zero(number(decoder)?),
        previous: unless_zero(number(decoder)?),
        last: number(decoder)?,
        rotation: {
            array(decoder, 4)?;
            StoredRotation {
                retire_after: unless_zero(number(decoder)?),
                previous_until: unless_zero(number(decoder)?),
                every: unless_zero(number(decoder)?),
                next: unless_zero(number(decoder)?),
            }
        },
        versions: {
            let count = decoder.array().map_err(|_| Damaged)?.ok_or(Damaged)?;
            let mut versions = Vec::new();
            for _ in 0..count {
                array(decoder, 5)?;
                versions.push(StoredVersion {
                    number: number(decoder)?,
                    created: number(decoder)?,
                    not_before: unless_zero(number(decoder)?),
                    not_after: unless_zero(number(decoder)?),
                    value: decoder.bytes().map_err(|_| Damaged)?,
                });
            }
            versions
        },
        origin: read_origin(decoder)?,
    };
    if secret.is_consistent() {
        Ok(secret)
    } else {
        Err(Damaged)
    }
}

fn read_origin<'a>(decoder: &mut Decoder<'a>) -> Result<Option<StoredOrigin<'a>>, Damaged> {
    match decoder.array() {
        Ok(Some(0)) => return Ok(None),
        Ok(Some(7)) => {}
        _ => return Err(Damaged),
    }
    let source = SourceName::parse(text(decoder)?).map_err(|_| Damaged)?;
    Ok(Some(StoredOrigin {
        reference: Reference::new(source, text(decoder)?).map_err(|_| Damaged)?,
        cache: match number(decoder)? {
            1 => Cache::Sealed,
            2 => Cache::Memory,
            3 => Cache::Remote,
            _ => return Err(Damaged),
        },
        unavailable: match number(decoder)? {
            0 => None,
            1 => Some(Unavailability::NotFetched),
            2 => Some(Unavailability::Stale),
            3 => Some(Unavailability::Disabled),
            _ => return Err(Damaged),
        },
        source_version: match text(decoder)? {
            "" => None,
            text => Some(SourceVersion::parse(text).map_err(|_| Damaged)?),
        },
        received: decoder.bytes().map_err(|_| Damaged)?,
        confirmed: unless_zero(number(decoder)?),
    }))
}

fn read_kind(decoder: &mut Decoder<'_>) -> Result<Kind, Damaged> {
    let parts = decoder.array().map_err(|_| Damaged)?;
    let code = decoder.u8().map_err(|_| Damaged)?;
    let mut parameter = || decoder.u8().map_err(|_| Damaged);
    let parameters = match parts {
        Some(1) => [0, 0],
        Some(2) => [0, parameter()?],
        Some(3) => [parameter()?, parameter()?],
        _ => return Err(Damaged),
    };
    let found = Kind::all().find(|kind| {
        kind_number(*kind) == code
            && parameters
                == match kind {
                    Kind::HmacKey {
                        algorithm,
                        encoding,
                    } => [algorithm_number(*algorithm), encoding_number(*encoding)],
                    Kind::DataKey { encoding } => [0, encoding_number(*encoding)],
                    _ => [0, 0],
                }
    });
    found.ok_or(Damaged)
}

fn write_value(encoder: &mut Writer<'_>, value: &StoredValue) -> Encoded {
    encoder.array(6)?.u8(2)?.str(value.name.as_str())?;
    match &value.value {
        NamedValue::Plain(text) => encoder.array(2)?.u8(1)?.str(text)?,
        NamedValue::Secret(name) => encoder.array(2)?.u8(2)?.str(name.as_str())?,
        NamedValue::Reference(reference) => encoder
            .array(3)?
            .u8(3)?
            .str(reference.source().as_str())?
            .str(reference.key())?,
    };
    encoder.array(value.tags.len() as u64)?;
    for tag in &value.tags {
        encoder.str(tag.as_str())?;
    }
    encoder.u64(value.created)?.u64(value.updated)?.ok()
}

fn read_value(decoder: &mut Decoder<'_>) -> Result<StoredValue, Damaged> {
    let name = ValueName::parse(text(decoder)?).map_err(|_| Damaged)?;
    let parts = decoder.array().map_err(|_| Damaged)?;
    let value = match (parts, number(decoder)?) {
        (Some(2), 1) => NamedValue::Plain(text(decoder)?.to_owned()),
        (Some(2), 2) => NamedValue::Secret(SecretName::parse(text(decoder)?).map_err(|_| Damaged)?),
        (Some(3), 3) => {
            let source = SourceName::parse(text(decoder)?).map_err(|_| Damaged)?;
            let reference = Reference::new(source, text(decoder)?).map_err(|_| Damaged)?;
            NamedValue::Reference(reference)
        }
        _ => return Err(Damaged),
    };
    let count = decoder.array().map_err(|_| Damaged)?.ok_or(Damaged)?;
    let mut tags = BTreeSet::new();
    for _ in 0..count {
        tags.insert(Tag::parse(text(decoder)?).map_err(|_| Damaged)?);
    }
    Ok(StoredValue {
        name,
        value,
        tags,
        created: number(decoder)?,
        updated: number(decoder)?,
    })
}

fn read_revocations(decoder: &mut Decoder<'_>) -> Result<BTreeMap<GrantId, u64>, Damaged> {
    let count = decoder.array().map_err(|_| Damaged)?.ok_or(Damaged)?;
    let mut revoked = BTreeMap::new();
    for _ in 0..count {
        array(decoder, 2)?;
        let grant = GrantId::parse(text(decoder)?).map_err(|_| Damaged)?;
        revoked.insert(grant, number(decoder)?);
    }
    Ok(revoked)
}

/// The lengths to which contents are padded: 64, 128, 256, 1 Ki, 4 Ki, 16 Ki, and
/// then multiples of 16 Ki.
fn padded(length: usize) -> usize {
    const STEP: usize = 16 << 10;
    [64, 128, 256, 1 << 10, 4 << 10]
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

fn number(decoder: &mut Decoder<'_>) -> Result<u64, Damaged> {
    decoder.u64().map_err(|_| Damaged)
}

fn text<'a>(decoder: &mut Decoder<'a>) -> Result<&'a str, Damaged> {
    decoder.str().map_err(|_| Damaged)
}

const fn unless_zero(number: u64) -> Option<u64> {
    match number {
        0 => None,
        number => Some(number),
    }
}

const fn cache_number(cache: Cache) -> u8 {
    match cache {
        Cache::Sealed => 1,
        Cache::Memory => 2,
        Cache::Remote => 3,
    }
}

const fn unavailability_number(why: Unavailability) -> u8 {
    match why {
        Unavailability::NotFetched => 1,
        Unavailability::Stale => 2,
        Unavailability::Disabled => 3,
    }
}

const fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::ClientKeys => 1,
        Kind::ApiKey => 2,
        Kind::HmacKey { .. } => 3,
        Kind::Basic => 4,
        Kind::OauthClient => 5,
        Kind::Certificate => 6,
        Kind::StorageAccount => 7,
        Kind::Database => 8,
        Kind::AwsKey => 9,
        Kind::DataKey { .. } => 10,
        Kind::ServiceBus => 11,
        Kind::ConnectionString => 12,
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
    use crate::seal::{Key, RootKey};

    const VAULT: [u8; 16] = [5; 16];
    const PLACE: Place = Place {
        item: [6; 16],
        revision: 1,
    };

    fn secret(kind: Kind, value: &[u8]) -> StoredSecret<'_> {
        let version = |number| StoredVersion {
            number,
            created: 1_800_000_000,
            not_before: None,
            not_after: (number == 3).then_some(1_900_000_000),
            value,
        };
        StoredSecret {
            name: SecretName::parse("billing-key").unwrap(),
            kind,
            state: SecretState::Disabled,
            created: 1_700_000_000,
            current: Some(3),
            previous: Some(1),
            last: 4,
            rotation: StoredRotation {
                retire_after: Some(3600),
                previous_until: Some(1_800_003_600),
                every: Some(86_400),
                next: Some(1_800_086_400),
            },
            versions: vec![version(1), version(3)],
            origin: None,
        }
    }

    #[test]
    fn secrets_of_every_kind_and_length_read_back() {
        let wrapping = RootKey::new(Key::random(), VAULT).wrapping(1);
        for kind in Kind::all() {
            for length in [0, 1, 23, 24, 255, 256, 4096, 70_000] {
                let value = vec![0xa7; length];
                let plaintext = Item::Secret(secret(kind, &value)).encode();
                let record = seal(&plaintext, &VAULT, PLACE, &wrapping);
                let opened = open(&record, &VAULT, &wrapping).unwrap();
                let Item::Secret(read) = Item::decode(&opened).unwrap() else {
                    panic!("another item");
                };
                assert_eq!((read.kind, read.state), (kind, SecretState::Disabled));
                assert_eq!(read.name.as_str(), "billing-key");
                assert_eq!((read.current, read.previous), (Some(3), Some(1)));
                assert_eq!((read.last, read.origin.is_none()), (4, true));
                assert_eq!(read.rotation, secret(kind, &value).rotation);
                assert_eq!(read.version(3).unwrap().not_after, Some(1_900_000_000));
                assert!(read.versions.iter().all(|version| version.value == value));
            }
        }
    }

    #[test]
    fn a_secret_that_contradicts_itself_is_refused() {
        let changes: [fn(&mut StoredSecret<'_>); 9] = [
            |secret| secret.current = Some(2),
            |secret| secret.current = None,
            |secret| secret.previous = Some(3),
            |secret| secret.previous = Some(2),
            |secret| secret.last = 2,
            |secret| secret.versions.swap(0, 1),
            |secret| secret.versions.clear(),
            |secret| secret.previous = None,
            |secret| secret.rotation.next = None,
        ];
        assert!(Item::decode(&Item::Secret(secret(Kind::ApiKey, b"v")).encode()).is_ok());
        for (index, change) in changes.into_iter().enumerate() {
            let mut secret = secret(Kind::ApiKey, b"12345678");
            change(&mut secret);
            let plaintext = Item::Secret(secret).encode();
            assert!(Item::decode(&plaintext).is_err(), "{index}");
        }
    }

    #[test]
    fn origins_read_back_and_say_nothing_of_a_value_that_is_not_sealed() {
        type Change = fn(&mut StoredSecret<'static>);
        const RECEIVED: &[u8] = &[7; FINGERPRINT_BYTES];
        let sourced = |cache| {
            let origin = Origin {
                reference: "kv:team/key".parse().unwrap(),
                cache,
            };
            let mut secret = secret(Kind::ApiKey, b"12345678");
            secret.rotation = StoredRotation::default();
            let mut origin = StoredOrigin::new(origin);
            match cache {
                Cache::Sealed => origin.confirmed = Some(1_800_000_000),
                _ => {
                    secret.versions.clear();
                    (secret.current, secret.previous) = (None, None);
                }
            }
            secret.origin = Some(origin);
            secret
        };
        for (cache, why) in [
            (Cache::Sealed, None),
            (Cache::Sealed, Some(Unavailability::Stale)),
            (Cache::Memory, Some(Unavailability::Disabled)),
            (Cache::Remote, Some(Unavailability::NotFetched)),
        ] {
            let mut secret = sourced(cache);
            let stored = secret.origin.as_mut().unwrap();
            stored.unavailable = why;
            if cache == Cache::Sealed {
                stored.source_version = Some(SourceVersion::parse("v2").unwrap());
                stored.received = RECEIVED;
            }
            let plaintext = Item::Secret(secret).encode();
            let Item::Secret(read) = Item::decode(&plaintext).unwrap() else {
                panic!("another item");
            };
            let read = read.origin.unwrap();
            assert_eq!((read.cache, read.unavailable), (cache, why));
            assert_eq!(read.received.is_empty(), cache != Cache::Sealed);
            assert_eq!(read.confirmed.is_some(), cache == Cache::Sealed);
        }
        let changes: [(Cache, Change); 8] = [
            // A version of what is never sealed.
            (Cache::Sealed, |secret| {
                secret.origin.as_mut().unwrap().cache = Cache::Memory;
            }),
            (Cache::Sealed, |secret| {
                secret.origin.as_mut().unwrap().cache = Cache::Remote;
            }),
            // Half of what is known of a version, and all of it without one.
            (Cache::Sealed, |secret| {
                secret.origin.as_mut().unwrap().received = RECEIVED;
            }),
            (Cache::Memory, |secret| {
                let origin = secret.origin.as_mut().unwrap();
                origin.source_version = Some(SourceVersion::parse("v2").unwrap());
                origin.received = RECEIVED;
            }),
            // A version that was never confirmed, and nothing that was.
            (Cache::Sealed, |secret| {
                secret.origin.as_mut().unwrap().confirmed = None;
            }),
            (Cache::Memory, |secret| {
                secret.origin.as_mut().unwrap().confirmed = Some(1);
            }),
            // No origin and no value.
            (Cache::Memory, |secret| secret.origin = None),
            // A schedule.
            (Cache::Sealed, |secret| {
                (secret.rotation.every, secret.rotation.next) = (Some(60), Some(60));
            }),
        ];
        for (index, (cache, change)) in changes.into_iter().enumerate() {
            let mut secret = sourced(cache);
            change(&mut secret);
            let plaintext = Item::Secret(secret).encode();
            assert!(Item::decode(&plaintext).is_err(), "{index}");
        }
    }

    #[test]
    fn values_revocations_and_the_seed_read_back() {
        let name = |text| ValueName::parse(text).unwrap();
        for value in [
            NamedValue::Plain("https://x/\n".to_owned()),
            NamedValue::Secret(SecretName::parse("billing").unwrap()),
            NamedValue::Reference("kv:folder/key:1".parse().unwrap()),
        ] {
            let stored = StoredValue {
                name: name("Backend-URL"),
                value: value.clone(),
                tags: ["a", "b"].map(|tag| Tag::parse(tag).unwrap()).into(),
                created: 1,
                updated: 2,
            };
            let plaintext = Item::Value(stored).encode();
            let Item::Value(read) = Item::decode(&plaintext).unwrap() else {
                panic!("another item");
            };
            assert_eq!((read.value, read.tags.len()), (value, 2));
        }
        let revoked = BTreeMap::from(
            [("g-2", 5), ("g-1", 6)].map(|(id, at)| (GrantId::parse(id).unwrap(), at)),
        );
        let plaintext = Item::Revocations(revoked.clone()).encode();
        let item = Item::decode(&plaintext).unwrap();
        assert!(matches!(item, Item::Revocations(read) if read == revoked));
        let plaintext = Item::AuditSeed(&[9; 32]).encode();
        let item = Item::decode(&plaintext).unwrap();
        assert!(matches!(item, Item::AuditSeed(seed) if *seed == [9; 32]));
    }

    #[test]
    fn lengths_are_hidden_in_steps() {
        let one = |length: usize| {
            let value = vec![b'x'; length];
            let mut secret = secret(Kind::ApiKey, &value);
            secret.versions.remove(0);
            secret.previous = None;
            secret.rotation = StoredRotation::default();
            Item::Secret(secret).encode().len()
        };
        for (length, step) in [
            (8, 64),
            (16, 64),
            (40, 128),
            (200, 256),
            (900, 1024),
            (4000, 4096),
            (4096, 16 << 10),
            (20_000, 32 << 10),
        ] {
            assert_eq!(one(length), step, "{length}");
        }
    }

    #[test]
    fn padding_that_is_not_zero_is_refused() {
        let mut plaintext = Item::Secret(secret(Kind::ApiKey, b"12345678")).encode();
        assert!(Item::decode(&plaintext).is_ok());
        *plaintext.bytes_mut().last_mut().unwrap() = 1;
        assert!(Item::decode(&plaintext).is_err());
    }

    #[test]
    fn rewrapping_keeps_the_contents() {
        let root = RootKey::new(Key::random(), VAULT);
        let plaintext = Item::Secret(secret(Kind::ApiKey, b"12345678")).encode();
        let record = seal(&plaintext, &VAULT, PLACE, &root.wrapping(1));
        let rewrapped = rewrap(&record, &root.wrapping(1), &root.wrapping(2)).unwrap();
        assert_eq!(rewrapped.contents, record.contents);
        assert_ne!(rewrapped.data_key, record.data_key);
        assert!(open(&rewrapped, &VAULT, &root.wrapping(1)).is_err());
        assert_eq!(
            *open(&rewrapped, &VAULT, &root.wrapping(2)).unwrap(),
            *plaintext
        );
    }
}
