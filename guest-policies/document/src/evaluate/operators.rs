//! Operators over values.

use std::cmp::Ordering;
use std::rc::Rc;

use keyward_document_program::expression::{Arithmetic, Order};

use super::{Exception, Outcome, Value};

/// Two operands of one type of numbers; `null` makes the result `null`. Whole
/// numbers wrap around, as they do in C# unless `checked` is written.
pub(crate) fn arithmetic(operation: Arithmetic, left: &Value, right: &Value) -> Outcome {
    macro_rules! whole {
        ($kind:ident, $left:expr, $right:expr) => {{
            let (left, right) = ($left, $right);
            Value::$kind(match operation {
                Arithmetic::Add => left.wrapping_add(right),
                Arithmetic::Subtract => left.wrapping_sub(right),
                Arithmetic::Multiply => left.wrapping_mul(right),
                Arithmetic::Divide | Arithmetic::Remainder if right == 0 => {
                    return Err(Exception::DivideByZero);
                }
                // The one quotient that does not fit.
                Arithmetic::Divide => left.checked_div(right).ok_or(Exception::Overflow)?,
                Arithmetic::Remainder => left.checked_rem(right).ok_or(Exception::Overflow)?,
            })
        }};
    }
    Ok(match (left, right) {
        (Value::Null, _) | (_, Value::Null) => Value::Null,
        (Value::Int(left), Value::Int(right)) => whole!(Int, *left, *right),
        (Value::Long(left), Value::Long(right)) => whole!(Long, *left, *right),
        (Value::Double(left), Value::Double(right)) => Value::Double(match operation {
            Arithmetic::Add => left + right,
            Arithmetic::Subtract => left - right,
            Arithmetic::Multiply => left * right,
            Arithmetic::Divide => left / right,
            Arithmetic::Remainder => left % right,
        }),
        _ => return Err(Exception::Program),
    })
}

pub(crate) fn negate(value: &Value) -> Outcome {
    Ok(match value {
        Value::Null => Value::Null,
        Value::Int(value) => Value::Int(value.wrapping_neg()),
        Value::Long(value) => Value::Long(value.wrapping_neg()),
        Value::Double(value) => Value::Double(-value),
        _ => return Err(Exception::Program),
    })
}

/// `==` by value.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Char(left), Value::Char(right)) => left == right,
        (Value::Int(left), Value::Int(right)) => left == right,
        (Value::Long(left), Value::Long(right)) => left == right,
        (Value::Double(left), Value::Double(right)) => left == right,
        (Value::Text(left), Value::Text(right)) | (Value::Uri(left), Value::Uri(right)) => {
            left == right
        }
        (Value::Guid(left), Value::Guid(right)) => left == right,
        (Value::DateTime(left), Value::DateTime(right)) => left.ticks == right.ticks,
        (Value::Offset(left), Value::Offset(right)) => left.utc == right.utc,
        (Value::Span(left), Value::Span(right)) => left == right,
        (Value::Enum(left, a), Value::Enum(right, b)) => left == right && a == b,
        _ => same(left, right),
    }
}

/// `==` of two objects: texts by value, other objects by identity, boxed values never.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Text(left), Value::Text(right)) => left == right,
        (Value::Json(left), Value::Json(right)) => Rc::ptr_eq(left, right),
        (Value::Bytes(left), Value::Bytes(right)) => Rc::ptr_eq(left, right),
        (Value::Strings(left), Value::Strings(right)) => Rc::ptr_eq(left, right),
        (Value::Jwt(left), Value::Jwt(right)) => Rc::ptr_eq(left, right),
        (Value::Response(left), Value::Response(right)) => Rc::ptr_eq(left, right),
        (Value::Live(left), Value::Live(right)) => left == right,
        _ => false,
    }
}

/// `Equals`: by value, of values of one type.
pub(crate) fn equals(left: &Value, right: &Value) -> bool {
    match (left, right) {
        // Unlike `==`.
        (Value::Double(left), Value::Double(right)) if left.is_nan() => right.is_nan(),
        _ => equal(left, right),
    }
}

/// Two operands of one type; with `null`, no order holds.
pub(crate) fn compare(order: Order, left: &Value, right: &Value) -> Outcome<bool> {
    let ordering = match (left, right) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Long(left), Value::Long(right)) | (Value::Span(left), Value::Span(right)) => {
            Some(left.cmp(right))
        }
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::DateTime(left), Value::DateTime(right)) => Some(left.ticks.cmp(&right.ticks)),
        (Value::Offset(left), Value::Offset(right)) => Some(left.utc.cmp(&right.utc)),
        _ => return Err(Exception::Program),
    };
    Ok(match order {
        Order::Less => ordering == Some(Ordering::Less),
        Order::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        Order::Greater => ordering == Some(Ordering::Greater),
        Order::GreaterOrEqual => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
    })
}
