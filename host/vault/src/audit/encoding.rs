//! The bytes of a record: deterministic CBOR (RFC 8949, section 4.2.1).
//!
//! One record has one encoding. Reading is strict: whatever would be encoded
//! differently (longer integers, other orders, unknown keys, numbers or names) is
//! refused, so that two readers can't see two things in the same bytes.
//!
//! Every record ends in a *seal*: 16 bytes of an HMAC over its place in the trail
//! and the rest of it, under a key of the vault. Checkpoints make it redundant
//! for the entries that they cover; it is there for those that a crash left
//! without one, so that nobody else can have added them.

use std::convert::Infallible;

use keyward_names::{Alias, ComponentDigest, ExchangeId, GrantId, PolicyName, RouteName};
use keyward_names::{SecretName, SourceName, StatementName, Subject, ValueName};
use minicbor::data::Type;
use minicbor::encode::Error;
use minicbor::{Decoder, Encoder};
use uuid::Uuid;

use super::record::{
    Act, Administrative, Body, CountedSpan, CountedUse, ExchangePart, GrantsChange,
    MAX_LISTED_GRANTS, MAX_USES, OperatorText, Outcome, Record, SecretRef, Used, Verb,
};
use super::tree::Hash;
use crate::Use;

/// The schema that this file describes.
const SCHEMA: u64 = 1;
const EXCHANGE: u64 = 1;
const ADMINISTRATIVE: u64 = 2;
const COUNTED: u64 = 3;

/// The bytes at the end of a record that hold its seal.
pub(crate) const SEAL_BYTES: usize = 16;
/// What stands before the seal: key 31 (0x18 0x1f) and the head of a byte string
/// of 16 bytes (0x50).
const SEAL_HEAD: [u8; 3] = [0x18, 0x1f, 0x50];

/// Why some bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// They are not deterministic CBOR, or something is missing or left over.
    #[error("it is not deterministic CBOR of the record's form")]
    Form,
    /// The schema, or a number that stands for a word, is not known.
    #[error("it was written by a newer version of Keyward")]
    Unknown,
    /// A name is not a name.
    #[error("it holds a text that is not a name")]
    Name,
}

impl From<minicbor::decode::Error> for RecordError {
    fn from(_: minicbor::decode::Error) -> Self {
        Self::Form
    }
}

type Written = Result<(), Error<Infallible>>;
type Out<'a> = Encoder<&'a mut Vec<u8>>;

/// The numbers of the uses. They never change.
fn use_code(use_: Use) -> u64 {
    match use_ {
        Use::Attach => 1,
        Use::SignRequest => 2,
        Use::MacSign => 3,
        Use::MacVerify => 4,
        Use::Identify => 5,
        Use::Sas => 9,
        Use::Presign => 10,
        Use::Describe => 15,
        Use::Token => 6,
        Use::Present => 7,
        Use::JwsSign => 8,
        Use::Seal => 11,
        Use::Open => 12,
        Use::VerifyJwt => 14,
        Use::Query => 13,
    }
}

fn use_from_code(code: u64) -> Option<Use> {
    Some(match code {
        1 => Use::Attach,
        2 => Use::SignRequest,
        3 => Use::MacSign,
        4 => Use::MacVerify,
        5 => Use::Identify,
        9 => Use::Sas,
        10 => Use::Presign,
        15 => Use::Describe,
        6 => Use::Token,
        7 => Use::Present,
        8 => Use::JwsSign,
        11 => Use::Seal,
        12 => Use::Open,
        14 => Use::VerifyJwt,
        13 => Use::Query,
        _ => return None,
    })
}

/// The record's bytes, all but the seal itself: it ends where the 16 bytes of
/// the seal go.
pub(crate) fn encode_unsealed(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    encode_into(record, &mut Encoder::new(&mut bytes)).expect("writing to a Vec can't fail");
    bytes.extend_from_slice(&SEAL_HEAD);
    bytes
}

fn encode_into(record: &Record, out: &mut Out<'_>) -> Written {
    // Five common keys and the seal, and those of the body.
    let keys = 6 + match &record.body {
        Body::Exchange(_) => 4,
        Body::Administrative(act) => administrative_keys(act),
        Body::Counted(_) => 4,
    };
    let kind = match &record.body {
        Body::Exchange(_) => EXCHANGE,
        Body::Administrative(_) => ADMINISTRATIVE,
        Body::Counted(_) => COUNTED,
    };
    out.map(keys)?;
    out.u8(0)?.u64(SCHEMA)?;
    out.u8(1)?.u64(kind)?;
    out.u8(2)?.u64(record.time)?;
    out.u8(3)?.bytes(&record.boot)?;
    out.u8(4)?.u64(record.vault_epoch)?;
    match &record.body {
        Body::Exchange(part) => encode_exchange(part, out),
        Body::Administrative(act) => encode_administrative(act, out),
        Body::Counted(span) => encode_counted(span, out),
    }
}

fn encode_exchange(part: &ExchangePart, out: &mut Out<'_>) -> Written {
    out.u8(5)?.bytes(part.exchange.as_bytes())?;
    out.u8(6)?.u32(part.part)?;
    encode_uses(&part.grants, &part.uses, out)
}

fn encode_counted(span: &CountedSpan, out: &mut Out<'_>) -> Written {
    encode_uses(&span.grants, &span.uses, out)?;
    out.u8(24)?.u64(span.first)?;
    out.u8(25)?.u64(span.last)?.ok()
}

fn encode_uses(grants: &Hash, uses: &[CountedUse], out: &mut Out<'_>) -> Written {
    out.u8(7)?.bytes(grants)?;
    out.u8(8)?.array(uses.len() as u64)?;
    for CountedUse { used, count } in uses {
        let optional = u64::from(used.alias.is_some())
            + u64::from(used.grant.is_some())
            + 2 * u64::from(used.secret.is_some())
            + u64::from(used.route.is_some())
            + u64::from(used.statement.is_some());
        out.map(5 + optional)?;
        out.u8(0)?.str(used.policy.as_str())?;
        out.u8(1)?.bytes(used.component.as_bytes())?;
        out.u8(2)?.u64(use_code(used.use_))?;
        if let Some(alias) = &used.alias {
            out.u8(3)?.str(alias.as_str())?;
        }
        if let Some(grant) = &used.grant {
            out.u8(4)?.str(grant.as_str())?;
        }
        if let Some((id, version)) = &used.secret {
            out.u8(5)?.bytes(id.as_bytes())?;
            out.u8(6)?.u64(*version)?;
        }
        if let Some(route) = &used.route {
            out.u8(7)?.str(route.as_str())?;
        }
        out.u8(8)?.u64(used.outcome.code())?;
        out.u8(9)?.u64(*count)?;
        if let Some(statement) = &used.statement {
            out.u8(10)?.str(statement.as_str())?;
        }
    }
    Ok(())
}

fn administrative_keys(act: &Administrative) -> u64 {
    let present = [
        act.reason.is_some(),
        act.secret.is_some(),
        act.grants.is_some(),
        act.epoch.is_some(),
        act.manifest.is_some(),
        act.key.is_some(),
        act.previous_time.is_some(),
        act.count.is_some(),
        act.bytes.is_some(),
        act.verb.is_some(),
        act.value.is_some(),
        act.client.is_some(),
        act.slot.is_some(),
        act.configuration.is_some(),
        act.source.is_some(),
    ];
    2 + present.into_iter().map(u64::from).sum::<u64>()
}

fn encode_administrative(act: &Administrative, out: &mut Out<'_>) -> Written {
    out.u8(9)?.u64(act.act.code())?;
    out.u8(10)?.str(act.actor.as_str())?;
    if let Some(reason) = &act.reason {
        out.u8(11)?.str(reason.as_str())?;
    }
    if let Some(secret) = &act.secret {
        out.u8(12)?.map(3)?;
        out.u8(0)?.bytes(secret.id.as_bytes())?;
        out.u8(1)?.str(secret.name.as_str())?;
        out.u8(2)?.u64(secret.version)?;
    }
    if let Some(grants) = &act.grants {
        out.u8(13)?.map(4)?;
        out.u8(0)?.bytes(&grants.digest)?;
        for (key, ids) in [(1, &grants.added), (2, &grants.removed)] {
            out.u8(key)?.array(ids.len() as u64)?;
            for id in ids {
                out.str(id.as_str())?;
            }
        }
        out.u8(3)?.u64(grants.unlisted)?;
    }
    let numbers = [(17, act.previous_time), (18, act.count), (19, act.bytes)];
    if let Some(epoch) = act.epoch {
        out.u8(14)?.u64(epoch)?;
    }
    for (key, hash) in [(15, &act.manifest), (16, &act.key)] {
        if let Some(hash) = hash {
            out.u8(key)?.bytes(hash)?;
        }
    }
    for (key, number) in numbers {
        if let Some(number) = number {
            out.u8(key)?.u64(number)?;
        }
    }
    let texts = [
        (20, act.verb.as_ref().map(Verb::as_str)),
        (21, act.value.as_ref().map(ValueName::as_str)),
        (22, act.client.as_ref().map(Subject::as_str)),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            out.u8(key)?.str(text)?;
        }
    }
    if let Some(slot) = act.slot {
        out.u8(23)?.u64(slot)?;
    }
    if let Some(digest) = &act.configuration {
        out.u8(26)?.bytes(digest)?;
    }
    if let Some(source) = &act.source {
        out.u8(27)?.str(source.as_str())?;
    }
    Ok(())
}

/// Reads a record and its seal. Strict: see the top of this file.
pub(crate) fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
    let (unsealed, _) = split_seal(bytes).ok_or(RecordError::Form)?;
    let mut reader = Reader {
        input: Decoder::new(unsealed),
        left: 0,
    };
    reader.left = reader.input.map()?.ok_or(RecordError::Form)?;
    let record = reader.record()?;
    // The only key left is that of the seal, whose bytes end the record.
    let at_seal = reader.left == 1 && reader.input.position() + SEAL_HEAD.len() == unsealed.len();
    if at_seal && encode_unsealed(&record) == unsealed {
        Ok(record)
    } else {
        Err(RecordError::Form)
    }
}

/// Whether these bytes are, if a record at all, an act's: the kind is the second
/// of its keys, right after the schema.
pub(crate) fn is_administrative(bytes: &[u8]) -> bool {
    matches!(bytes, [_, 0, _, 1, kind, ..] if u64::from(*kind) == ADMINISTRATIVE)
}

/// The record's bytes up to the seal, and the seal.
pub(crate) fn split_seal(bytes: &[u8]) -> Option<(&[u8], &[u8; SEAL_BYTES])> {
    let (unsealed, seal) = bytes.split_last_chunk::<SEAL_BYTES>()?;
    unsealed.ends_with(&SEAL_HEAD).then_some((unsealed, seal))
}

/// Reads the keys of a map in ascending order.
struct Reader<'b> {
    input: Decoder<'b>,
    left: u64,
}

impl<'b> Reader<'b> {
    /// Takes the key if it is the next one.
    fn has(&mut self, key: u64) -> Result<bool, RecordError> {
        if self.left == 0 {
            return Ok(false);
        }
        let mut ahead = self.input.probe();
        let here = matches!(ahead.datatype()?, Type::U8) && ahead.u64()? == key;
        if here {
            self.input.u64()?;
            self.left -= 1;
        }
        Ok(here)
    }

    fn need(&mut self, key: u64) -> Result<(), RecordError> {
        self.has(key)?.then_some(()).ok_or(RecordError::Form)
    }

    fn number(&mut self, key: u64) -> Result<u64, RecordError> {
        self.need(key)?;
        Ok(self.input.u64()?)
    }

    fn fixed<const N: usize>(&mut self, key: u64) -> Result<[u8; N], RecordError> {
        self.need(key)?;
        let bytes = self.input.bytes()?;
        bytes.try_into().map_err(|_| RecordError::Form)
    }

    fn name<T>(&mut self, key: u64, parse: impl Fn(&str) -> Option<T>) -> Result<T, RecordError> {
        self.need(key)?;
        parse(self.input.str()?).ok_or(RecordError::Name)
    }

    fn optional<T>(
        &mut self,
        key: u64,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<T, RecordError>,
    ) -> Result<Option<T>, RecordError> {
        if self.has(key)? {
            read(&mut self.input).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Reads a map that has to be read to its end.
    fn map<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, RecordError>,
    ) -> Result<T, RecordError> {
        let keys = self.input.map()?.ok_or(RecordError::Form)?;
        let outer = std::mem::replace(&mut self.left, keys);
        let value = read(self)?;
        if std::mem::replace(&mut self.left, outer) == 0 {
            Ok(value)
        } else {
            Err(RecordError::Form)
        }
    }

    fn record(&mut self) -> Result<Record, RecordError> {
        if self.number(0)? != SCHEMA {
            return Err(RecordError::Unknown);
        }
        let kind = self.number(1)?;
        Ok(Record {
            time: self.number(2)?,
            boot: self.fixed(3)?,
            vault_epoch: self.number(4)?,
            body: match kind {
                EXCHANGE => Body::Exchange(self.exchange()?),
                ADMINISTRATIVE => Body::Administrative(Box::new(self.administrative()?)),
                COUNTED => Body::Counted(self.counted()?),
                _ => return Err(RecordError::Unknown),
            },
        })
    }

    fn exchange(&mut self) -> Result<ExchangePart, RecordError> {
        let exchange = ExchangeId::from_bytes(self.fixed(5)?);
        let part = u32::try_from(self.number(6)?).map_err(|_| RecordError::Form)?;
        let (grants, uses) = self.uses()?;
        Ok(ExchangePart {
            exchange,
            part,
            grants,
            uses,
        })
    }

    fn counted(&mut self) -> Result<CountedSpan, RecordError> {
        let (grants, uses) = self.uses()?;
        let span = CountedSpan {
            grants,
            uses,
            first: self.number(24)?,
            last: self.number(25)?,
        };
        let allowed = |counted: &CountedUse| counted.used.outcome == Outcome::Allowed;
        if span.last < span.first || span.uses.iter().any(allowed) {
            return Err(RecordError::Form);
        }
        Ok(span)
    }

    fn uses(&mut self) -> Result<(Hash, Vec<CountedUse>), RecordError> {
        let grants = self.fixed(7)?;
        self.need(8)?;
        let count = self.input.array()?.ok_or(RecordError::Form)?;
        if count == 0 || count > MAX_USES as u64 {
            return Err(RecordError::Form);
        }
        let uses = (0..count)
            .map(|_| self.map(Self::counted_use))
            .collect::<Result<_, _>>()?;
        Ok((grants, uses))
    }

    fn counted_use(&mut self) -> Result<CountedUse, RecordError> {
        let mut used = Used {
            policy: self.name(0, |text| PolicyName::parse(text).ok())?,
            component: ComponentDigest::from_bytes(self.fixed(1)?),
            use_: use_from_code(self.number(2)?).ok_or(RecordError::Unknown)?,
            alias: self.optional(3, |input| {
                Alias::parse(input.str()?).map_err(|_| RecordError::Name)
            })?,
            grant: self.optional(4, grant_id)?,
            secret: if self.has(5)? {
                let id = Uuid::from_slice(self.input.bytes()?).map_err(|_| RecordError::Form)?;
                Some((id, self.number(6)?))
            } else {
                None
            },
            route: self.optional(7, |input| {
                RouteName::parse(input.str()?).map_err(|_| RecordError::Name)
            })?,
            outcome: Outcome::from_code(self.number(8)?).ok_or(RecordError::Unknown)?,
            statement: None,
        };
        let count = self.number(9)?;
        used.statement = self.optional(10, |input| {
            StatementName::parse(input.str()?).map_err(|_| RecordError::Name)
        })?;
        match count {
            0 => Err(RecordError::Form),
            count => Ok(CountedUse { used, count }),
        }
    }

    fn administrative(&mut self) -> Result<Administrative, RecordError> {
        let act = Act::from_code(self.number(9)?).ok_or(RecordError::Unknown)?;
        let actor = self.name(10, OperatorText::parse)?;
        let reason = self.optional(11, |input| {
            OperatorText::parse(input.str()?).ok_or(RecordError::Name)
        })?;
        let secret = if self.has(12)? {
            Some(self.map(|map| {
                Ok(SecretRef {
                    id: Uuid::from_bytes(map.fixed(0)?),
                    name: map.name(1, |text| SecretName::parse(text).ok())?,
                    version: map.number(2)?,
                })
            })?)
        } else {
            None
        };
        let grants = if self.has(13)? {
            Some(self.map(|map| {
                Ok(GrantsChange {
                    digest: map.fixed(0)?,
                    added: map.grant_ids(1)?,
                    removed: map.grant_ids(2)?,
                    unlisted: map.number(3)?,
                })
            })?)
        } else {
            None
        };
        Ok(Administrative {
            act,
            actor,
            reason,
            secret,
            grants,
            epoch: self.optional(14, number)?,
            manifest: self.optional(15, hash)?,
            key: self.optional(16, hash)?,
            previous_time: self.optional(17, number)?,
            count: self.optional(18, number)?,
            bytes: self.optional(19, number)?,
            verb: self.optional(20, |input| {
                Verb::parse(input.str()?).ok_or(RecordError::Name)
            })?,
            value: self.optional(21, |input| {
                ValueName::parse(input.str()?).map_err(|_| RecordError::Name)
            })?,
            client: self.optional(22, |input| {
                Subject::parse(input.str()?).map_err(|_| RecordError::Name)
            })?,
            slot: self.optional(23, number)?,
            configuration: self.optional(26, hash)?,
            source: self.optional(27, |input| {
                SourceName::parse(input.str()?).map_err(|_| RecordError::Name)
            })?,
        })
    }

    fn grant_ids(&mut self, key: u64) -> Result<Vec<GrantId>, RecordError> {
        self.need(key)?;
        let count = self.input.array()?.ok_or(RecordError::Form)?;
        if count > MAX_LISTED_GRANTS as u64 {
            return Err(RecordError::Form);
        }
        (0..count).map(|_| grant_id(&mut self.input)).collect()
    }
}

fn number(input: &mut Decoder<'_>) -> Result<u64, RecordError> {
    Ok(input.u64()?)
}

fn hash(input: &mut Decoder<'_>) -> Result<[u8; 32], RecordError> {
    input.bytes()?.try_into().map_err(|_| RecordError::Form)
}

fn grant_id(input: &mut Decoder<'_>) -> Result<GrantId, RecordError> {
    GrantId::parse(input.str()?).map_err(|_| RecordError::Name)
}
