//! Casts and `Convert`.

use std::rc::Rc;
use std::sync::Arc;

use keyward_document_program::Type;

use super::dates::{DateTime, DateTimeOffset};
use super::json::{self, Scalar};
use super::{Budget, Exception, Outcome, Value, dates_text, json_text, numbers, web};

/// From one type of numbers (or an enumeration) to another; what does not fit is cut.
pub(crate) fn number(to: Type, value: &Value) -> Outcome {
    let (whole, real) = match value {
        Value::Null => return Ok(Value::Null),
        Value::Char(value) => (i64::from(*value), f64::from(*value)),
        Value::Int(value) | Value::Enum(_, value) => (i64::from(*value), f64::from(*value)),
        #[expect(clippy::cast_precision_loss, reason = "as C# does")]
        Value::Long(value) => (*value, *value as f64),
        #[expect(clippy::cast_possible_truncation, reason = "as C# does")]
        Value::Double(value) => (*value as i64, *value),
        _ => return Err(Exception::Program),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as C# does"
    )]
    Ok(match to {
        Type::Char => Value::Char(whole as u16),
        Type::Int => Value::Int(whole as i32),
        Type::Long => Value::Long(whole),
        Type::Double => Value::Double(real),
        _ => return Err(Exception::Program),
    })
}

/// A cast from `object`: to what it is, or it is none.
pub(crate) fn cast(to: Type, value: Value) -> Outcome {
    use keyward_document_program::kinds::Class;
    match &value {
        Value::Null if to.class() == Class::Value => Err(Exception::NullReference),
        Value::Null => Ok(value),
        Value::Int(number) | Value::Enum(_, number) if !to.constants().is_empty() => {
            Ok(Value::Enum(to, *number))
        }
        Value::Enum(..) if to.is_number() => self::number(to, &value),
        _ if value.is_a(to) => Ok(value),
        _ => Err(Exception::InvalidCast),
    }
}

/// Whether a token casts to `null` of `T?`.
pub(crate) fn is_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Json(token) => matches!(json::scalar(token), Some(Scalar::Null | Scalar::Undefined)),
        _ => false,
    }
}

/// A cast from a `JToken`, which converts. A property stands for its value.
pub(crate) fn from_token(budget: &mut Budget, to: Type, value: &Value) -> Outcome {
    use keyward_document_program::kinds::Class;
    let token = match value {
        Value::Null if to.class() == Class::Value => return Err(Exception::ArgumentNull),
        Value::Null => return Ok(Value::Null),
        Value::Json(token) => token,
        _ => return Err(Exception::Program),
    };
    let Some(scalar) = json::scalar(&json::of_property(token)) else {
        return Err(Exception::Argument);
    };
    if matches!(scalar, Scalar::Null | Scalar::Undefined) {
        return if to.class() == Class::Value {
            Err(Exception::Argument)
        } else {
            Ok(Value::Null)
        };
    }
    match (to, &scalar) {
        // Newtonsoft allows these types to be cast to each other, and no others.
        (Type::Guid, Scalar::Text(text)) => web::guid(text).map(Value::Guid),
        (Type::Guid, Scalar::Guid(guid)) => Ok(Value::Guid(*guid)),
        (Type::Uri, Scalar::Text(text)) => web::uri(text).map(|_| Value::Uri(Arc::clone(text))),
        (Type::Uri, Scalar::Uri(text)) => Ok(Value::Uri(Arc::clone(text))),
        (Type::TimeSpan, Scalar::Text(text)) => dates_text::parse_span(text).map(Value::Span),
        (Type::TimeSpan, Scalar::Span(ticks)) => Ok(Value::Span(*ticks)),
        (Type::Bytes, Scalar::Text(text)) => {
            web::from_base64(text).map(|bytes| Value::Bytes(bytes.into()))
        }
        (Type::Bytes, Scalar::Bytes(bytes)) => Ok(Value::Bytes(Rc::clone(bytes))),
        (Type::Guid | Type::Uri | Type::TimeSpan | Type::Bytes, _) => Err(Exception::Argument),
        (Type::String, Scalar::Bytes(bytes)) => Ok(Value::text(&web::to_base64(bytes))),
        (Type::String, Scalar::Bool(value)) => {
            Ok(Value::text(if *value { "True" } else { "False" }))
        }
        (Type::Bool | Type::Int | Type::Long | Type::Char, Scalar::Large(_)) => {
            Err(Exception::Overflow)
        }
        (Type::String, _) => Ok(Value::text(&json_text::scalar_shown(budget, &scalar)?)),
        (
            Type::Bool | Type::Int | Type::Long | Type::Double | Type::Char,
            Scalar::Date(_)
            | Scalar::Offset(_)
            | Scalar::Guid(_)
            | Scalar::Uri(_)
            | Scalar::Span(_)
            | Scalar::Bytes(_),
        ) => Err(Exception::Argument),
        (
            Type::DateTime | Type::DateTimeOffset,
            Scalar::Integer(_) | Scalar::Large(_) | Scalar::Float(_) | Scalar::Bool(_),
        ) => Err(Exception::Argument),
        _ => convert(to, &json::value_of(&scalar)),
    }
}

/// `Convert.To…`: by what the value is.
pub(crate) fn convert(to: Type, value: &Value) -> Outcome {
    let held;
    let value = match value {
        Value::Json(token) => {
            held = json::value_of(&json::scalar(token).ok_or(Exception::InvalidCast)?);
            &held
        }
        other => other,
    };
    match to {
        Type::Int => match whole(value)? {
            Some(value) => i32::try_from(value)
                .map(Value::Int)
                .map_err(|_| Exception::Overflow),
            None => Ok(Value::Int(0)),
        },
        Type::Long => Ok(Value::Long(whole(value)?.unwrap_or(0))),
        Type::Char => match value {
            Value::Text(text) => {
                let mut units = text.encode_utf16();
                match (units.next(), units.next()) {
                    (Some(unit), None) => Ok(Value::Char(unit)),
                    _ => Err(Exception::Format),
                }
            }
            Value::Char(_) => Ok(value.clone()),
            _ => whole(value)?
                .and_then(|value| u16::try_from(value).ok())
                .map(Value::Char)
                .ok_or(Exception::Overflow),
        },
        Type::Double => Ok(Value::Double(match value {
            Value::Null => 0.0,
            Value::Bool(value) => f64::from(u8::from(*value)),
            Value::Int(value) | Value::Enum(_, value) => f64::from(*value),
            #[expect(clippy::cast_precision_loss, reason = "as .NET does")]
            Value::Long(value) => *value as f64,
            Value::Double(value) => *value,
            Value::Text(text) => numbers::parse_double(text)?,
            _ => return Err(Exception::InvalidCast),
        })),
        Type::Bool => Ok(Value::Bool(match value {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Int(value) | Value::Enum(_, value) => *value != 0,
            Value::Long(value) => *value != 0,
            Value::Double(value) => *value != 0.0,
            Value::Text(text) => numbers::parse_bool(text)?,
            _ => return Err(Exception::InvalidCast),
        })),
        Type::DateTime => Ok(Value::DateTime(match value {
            Value::Null => DateTime::MIN,
            Value::DateTime(value) => *value,
            Value::Offset(value) => value.utc_date(),
            Value::Text(text) => dates_text::parse_date(text)?,
            _ => return Err(Exception::InvalidCast),
        })),
        Type::DateTimeOffset => Ok(Value::Offset(match value {
            Value::DateTime(value) => DateTimeOffset::of(*value),
            Value::Offset(value) => *value,
            Value::Text(text) => dates_text::parse_offset(text)?,
            _ => return Err(Exception::InvalidCast),
        })),
        _ => Err(Exception::Program),
    }
}

fn whole(value: &Value) -> Outcome<Option<i64>> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(value) => i64::from(*value),
        Value::Char(value) => i64::from(*value),
        Value::Int(value) | Value::Enum(_, value) => i64::from(*value),
        Value::Long(value) => *value,
        Value::Double(value) => {
            // To the nearest, and of two equally near ones the even one.
            let rounded = value.round_ties_even();
            if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
                return Err(Exception::Overflow);
            }
            #[expect(clippy::cast_possible_truncation, reason = "it is in range")]
            let whole = rounded as i64;
            whole
        }
        Value::Text(text) => numbers::parse_whole(text)?,
        _ => return Err(Exception::InvalidCast),
    }))
}
