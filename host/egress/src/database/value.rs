//! Values, as PostgreSQL's protocol has them: parameters from ours, cells to ours.

use std::error::Error;

use bytes::{BufMut as _, BytesMut};
use keyward_vault::{ParameterType, QueryValue};
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type};
use uuid::Uuid;

type Failure = Box<dyn Error + Sync + Send>;

/// From 1970 to 2000, in milliseconds: PostgreSQL counts from there.
const EPOCH_MS: i64 = 946_684_800_000;

/// PostgreSQL's type of a parameter.
pub(super) fn type_of(type_: &ParameterType) -> Type {
    match type_ {
        ParameterType::Bool => Type::BOOL,
        ParameterType::Int2 => Type::INT2,
        ParameterType::Int4 => Type::INT4,
        ParameterType::Int8 => Type::INT8,
        ParameterType::Float4 => Type::FLOAT4,
        ParameterType::Float8 => Type::FLOAT8,
        ParameterType::Text => Type::TEXT,
        ParameterType::Bytea => Type::BYTEA,
        ParameterType::Timestamptz => Type::TIMESTAMPTZ,
        ParameterType::Uuid => Type::UUID,
        ParameterType::Numeric => Type::NUMERIC,
        ParameterType::Jsonb => Type::JSONB,
    }
}

/// A value for a parameter, whose type the vault has compared with it.
#[derive(Debug)]
pub(super) struct Parameter<'a>(pub(super) &'a QueryValue);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, type_: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        match self.0 {
            QueryValue::Null => return Ok(IsNull::Yes),
            QueryValue::Boolean(value) => return value.to_sql(type_, out),
            QueryValue::Integer(value) => match *type_ {
                Type::INT2 => out.put_i16(i16::try_from(*value)?),
                Type::INT4 => out.put_i32(i32::try_from(*value)?),
                _ => out.put_i64(*value),
            },
            QueryValue::Float(value) => match *type_ {
                #[expect(clippy::cast_possible_truncation, reason = "to its nearest float")]
                Type::FLOAT4 => out.put_f32(*value as f32),
                _ => out.put_f64(*value),
            },
            QueryValue::Text(value) => match *type_ {
                Type::UUID => out.put_slice(Uuid::try_parse(value)?.as_bytes()),
                // As the database reads it itself, where it is no text.
                _ => out.put_slice(value.as_bytes()),
            },
            QueryValue::Bytes(value) => out.put_slice(value),
            QueryValue::Timestamp(value) => {
                let since = value.checked_sub(EPOCH_MS);
                let since = since.and_then(|since| since.checked_mul(1000));
                out.put_i64(since.ok_or("no such moment")?);
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, type_: &Type) -> Format {
        match *type_ {
            Type::NUMERIC | Type::JSONB => Format::Text,
            _ => Format::Binary,
        }
    }

    tokio_postgres::types::to_sql_checked!();
}

/// The most places of a decimal number after its point, and the most groups of four
/// before it: a few bytes on the wire can stand for 131 thousand digits.
const MAX_PLACES: u16 = 1000;

/// A value of a row.
pub(super) struct Cell(pub(super) QueryValue);

impl Cell {
    /// How many bytes it has here, which may be more than it had on the wire.
    pub(super) fn bytes(&self) -> u64 {
        match &self.0 {
            QueryValue::Null => 0,
            QueryValue::Boolean(_) => 1,
            QueryValue::Text(text) => text.len() as u64,
            QueryValue::Bytes(bytes) => bytes.len() as u64,
            QueryValue::Integer(_) | QueryValue::Float(_) | QueryValue::Timestamp(_) => 8,
        }
    }
}

/// Whether values of a column's type are passed on.
pub(super) fn is_readable(type_: &Type) -> bool {
    let is = matches!(
        *type_,
        Type::BOOL
            | Type::INT2
            | Type::INT4
            | Type::INT8
            | Type::OID
            | Type::FLOAT4
            | Type::FLOAT8
            | Type::TEXT
            | Type::VARCHAR
            | Type::BPCHAR
            | Type::NAME
            | Type::UNKNOWN
            | Type::JSON
            | Type::JSONB
            | Type::BYTEA
            | Type::UUID
            | Type::NUMERIC
            | Type::DATE
            | Type::TIMESTAMP
            | Type::TIMESTAMPTZ
    );
    is || match type_.kind() {
        Kind::Enum(_) => true,
        Kind::Domain(inner) => is_readable(inner),
        _ => false,
    }
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(type_: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        if let Kind::Domain(inner) = type_.kind() {
            return Self::from_sql(inner, raw);
        }
        Ok(Self(match *type_ {
            Type::BOOL => QueryValue::Boolean(bool::from_sql(type_, raw)?),
            Type::INT2 => QueryValue::Integer(i16::from_sql(type_, raw)?.into()),
            Type::INT4 => QueryValue::Integer(i32::from_sql(type_, raw)?.into()),
            Type::INT8 => QueryValue::Integer(i64::from_sql(type_, raw)?),
            Type::OID => QueryValue::Integer(u32::from_sql(type_, raw)?.into()),
            Type::FLOAT4 => QueryValue::Float(f32::from_sql(type_, raw)?.into()),
            Type::FLOAT8 => QueryValue::Float(f64::from_sql(type_, raw)?),
            Type::BYTEA => QueryValue::Bytes(raw.to_vec()),
            Type::UUID => QueryValue::Text(Uuid::from_slice(raw)?.to_string()),
            Type::NUMERIC => QueryValue::Text(decimal(raw).ok_or("not a number")?),
            Type::DATE => QueryValue::Text(date(raw)?),
            Type::TIMESTAMP | Type::TIMESTAMPTZ => {
                let micros = i64::from_be_bytes(raw.try_into()?);
                // The two ends stand for infinity.
                if micros == i64::MIN || micros == i64::MAX {
                    return Err("not a moment".into());
                }
                QueryValue::Timestamp(micros.div_euclid(1000) + EPOCH_MS)
            }
            Type::JSONB => match raw.split_first() {
                Some((1, text)) => QueryValue::Text(std::str::from_utf8(text)?.to_owned()),
                _ => return Err("an unknown form of JSON".into()),
            },
            _ => QueryValue::Text(std::str::from_utf8(raw)?.to_owned()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failure> {
        Ok(Self(QueryValue::Null))
    }

    fn accepts(type_: &Type) -> bool {
        is_readable(type_)
    }
}

/// Days since 2000, as `2026-11-22`.
fn date(raw: &[u8]) -> Result<String, Failure> {
    let days = i32::from_be_bytes(raw.try_into()?);
    let start = jiff::civil::date(2000, 1, 1);
    let date = start.checked_add(jiff::Span::new().try_days(days)?)?;
    Ok(date.to_string())
}

/// A decimal number: groups of four digits, the weight of the first, a sign, and how
/// many digits stand after the point (PostgreSQL's `numeric_send`). `None` also for one
/// of more than [`MAX_PLACES`].
fn decimal(raw: &[u8]) -> Option<String> {
    let word = |index: usize| {
        let bytes = raw.get(index * 2..index * 2 + 2)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    };
    let groups = usize::from(word(0)?);
    let weight = i32::from(i16::from_be_bytes(word(1)?.to_be_bytes()));
    let scale = usize::from(word(3).filter(|scale| *scale <= MAX_PLACES)?);
    if weight > i32::from(MAX_PLACES) {
        return None;
    }
    let sign = match word(2)? {
        0 => "",
        0x4000 => "-",
        0xc000 => return Some("NaN".to_owned()),
        0xd000 => return Some("Infinity".to_owned()),
        0xf000 => return Some("-Infinity".to_owned()),
        _ => return None,
    };
    if raw.len() != 8 + groups * 2 {
        return None;
    }
    let group = |place: i32| {
        let index = usize::try_from(weight - place).ok();
        let index = index.filter(|index| *index < groups);
        index.map_or(Some(0), |index| word(4 + index))
    };
    let mut text = sign.to_owned();
    for place in (0..=weight.max(0)).rev() {
        let digits = group(place)?;
        match text.len() == sign.len() {
            true if digits == 0 && place > 0 => {}
            true => text.push_str(&digits.to_string()),
            false => text.push_str(&format!("{digits:04}")),
        }
    }
    if scale > 0 {
        let mut fraction = String::new();
        let mut place = -1;
        while fraction.len() < scale {
            fraction.push_str(&format!("{:04}", group(place)?));
            place -= 1;
        }
        text.push('.');
        text.push_str(fraction.get(..scale)?);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn numeric(words: &[u16]) -> Option<String> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        decimal(&bytes)
    }

    #[test]
    fn decimal_numbers_are_written_as_the_database_writes_them() {
        let minus_one = u16::MAX;
        for (words, text) in [
            (&[0, 0, 0, 0][..], "0"),
            (&[0, 0, 0, 2], "0.00"),
            (&[1, 0, 0, 0, 7], "7"),
            (&[2, 1, 0, 0, 1, 2], "10002"),
            (&[1, 1, 0, 0, 12], "120000"),
            (&[2, 0, 0x4000, 2, 12, 5000], "-12.50"),
            (&[1, minus_one, 0, 4, 5], "0.0005"),
            (&[1, minus_one - 1, 0, 6, 1200], "0.000012"),
            (&[0, 0, 0xc000, 0], "NaN"),
        ] {
            assert_eq!(numeric(words).as_deref(), Some(text), "{words:?}");
        }
        for words in [&[][..], &[1, 0, 0, 0], &[0, 0, 3, 0], &[0, 0, 0, 0, 1]] {
            assert_eq!(numeric(words), None, "{words:?}");
        }
    }

    #[test]
    fn a_number_that_is_long_only_when_it_is_written_out_is_refused() {
        let longest = numeric(&[1, 1000, 0, 1000, 1]).unwrap();
        assert_eq!(longest.len(), 1 + 4 * 1000 + 1 + 1000, "control");
        // 1e131071, and 1e-16383.
        assert_eq!(numeric(&[1, 32_767, 0, 0, 1000]), None);
        assert_eq!(numeric(&[1, 0xf000, 0, 16_383, 10]), None);
        for words in [[1, 1001, 0, 0, 1], [1, 0, 0, 1001, 1]] {
            assert_eq!(numeric(&words), None, "{words:?}");
        }
    }

    #[test]
    fn a_value_counts_with_the_length_that_it_has_here() {
        let raw = [1_u16, 500, 0, 0, 1];
        let raw: Vec<u8> = raw.iter().flat_map(|word| word.to_be_bytes()).collect();
        let cell = Cell::from_sql(&Type::NUMERIC, &raw).unwrap();
        assert_eq!((raw.len(), cell.bytes()), (10, 2001));
        assert_eq!(Cell::from_sql(&Type::UUID, &[7; 16]).unwrap().bytes(), 36);
        assert_eq!(Cell::from_sql(&Type::BYTEA, &[7; 16]).unwrap().bytes(), 16);
    }

    #[test]
    fn dates_count_from_2000() {
        assert_eq!(date(&0_i32.to_be_bytes()).unwrap(), "2000-01-01");
        assert_eq!(date(&9822_i32.to_be_bytes()).unwrap(), "2026-11-22");
        assert!(date(&i32::MAX.to_be_bytes()).is_err(), "infinity");
    }
}
