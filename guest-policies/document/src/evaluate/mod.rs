//! Evaluates an expression of a program against one request.
//!
//! [`evaluate`] walks nodes that were [checked](keyward_document_program::Expressions::decode)
//! once. It has the meaning that the expression has in .NET, with these differences, all of
//! them on purpose: numbers are shown and texts compared without regard to a culture; a text
//! is UTF-8 inside, so half of a surrogate pair that is cut off becomes U+FFFD; `Random` has a
//! sequence of its own, also for a given seed; local time is UTC.
//!
//! Every step and every byte of a value costs; a [`Budget`] that is used up ends the evaluation.
//! Nothing here panics, whatever the program and the request are.

mod budget;
mod calls;
mod case;
mod casts;
mod context;
pub(crate) mod dates;
pub(crate) mod dates_text;
pub(crate) mod json;
pub(crate) mod json_read;
pub(crate) mod json_text;
mod nodes;
pub(crate) mod numbers;
mod operators;
mod selects;
pub(crate) mod texts;
pub(crate) mod tokens;
mod value;
pub(crate) mod web;

use std::ops::Range;
use std::sync::Arc;

use keyward_document_program::{ExpressionId, Expressions, Node, NodeId, Type};

pub use budget::Budget;
pub use context::{Context, ListsOf, Url, UrlOf};
pub use dates::{DateTime, DateTimeOffset, Kind as DateKind, TICKS_PER_SECOND};
pub use json::{Scalar, Token};
pub use value::{Jwt, Response, Value};

/// What went wrong, by its name in .NET.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exception {
    /// A member of `null`.
    NullReference,
    /// A cast to what it is not.
    InvalidCast,
    /// A text that has not the form.
    Format,
    /// A dictionary has no such entry.
    KeyNotFound,
    /// An array has no such entry.
    IndexOutOfRange,
    /// A number is out of its range.
    ArgumentOutOfRange,
    /// `null` where there has to be something.
    ArgumentNull,
    /// An argument that does not do.
    Argument,
    /// A number does not fit its type.
    Overflow,
    /// A whole number divided by zero.
    DivideByZero,
    /// Not in this state: an empty sequence, a body that was read before.
    InvalidOperation,
    /// A text that is no JSON.
    JsonReader,
    /// A JSON path that is none.
    Json,
    /// A text that is no URI.
    UriFormat,
    /// A variable holds a secret, which no expression can read.
    Secret,
    /// What .NET has and this does not.
    NotSupported,
    /// The budget of steps is used up.
    Steps,
    /// The budget of memory is used up.
    Memory,
    /// The program is broken: a node got a value of a type that it can't have.
    Program,
}

impl Exception {
    /// Its name in .NET.
    pub fn name(self) -> &'static str {
        match self {
            Self::NullReference => "NullReferenceException",
            Self::InvalidCast => "InvalidCastException",
            Self::Format => "FormatException",
            Self::KeyNotFound => "KeyNotFoundException",
            Self::IndexOutOfRange => "IndexOutOfRangeException",
            Self::ArgumentOutOfRange => "ArgumentOutOfRangeException",
            Self::ArgumentNull => "ArgumentNullException",
            Self::Argument => "ArgumentException",
            Self::Overflow => "OverflowException",
            Self::DivideByZero => "DivideByZeroException",
            Self::InvalidOperation | Self::Secret => "InvalidOperationException",
            Self::JsonReader => "JsonReaderException",
            Self::Json => "JsonException",
            Self::UriFormat => "UriFormatException",
            Self::NotSupported => "NotSupportedException",
            Self::Steps => "TimeoutException",
            Self::Memory => "OutOfMemoryException",
            Self::Program => "InvalidProgramException",
        }
    }
}

/// An exception, and where it was thrown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thrown {
    /// What went wrong.
    pub exception: Exception,
    /// The bytes of the expression's source.
    pub span: Range<usize>,
}

impl std::fmt::Display for Thrown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.exception.name(), self.span.start)
    }
}

impl std::error::Error for Thrown {}

/// What an evaluation's parts give.
pub type Outcome<T = Value> = Result<T, Exception>;

/// Evaluates an expression. Errors: the exception that it throws, or that its
/// budget is used up.
pub fn evaluate(
    program: &Expressions,
    id: ExpressionId,
    context: &impl Context,
    budget: &mut Budget,
) -> Result<Value, Thrown> {
    let broken = || Thrown {
        exception: Exception::Program,
        span: 0..0,
    };
    let expression = program.get(id).ok_or_else(broken)?;
    let mut evaluator = Evaluator {
        program,
        context,
        budget,
        locals: vec![Value::Null; usize::from(expression.locals)],
        arguments: Vec::new(),
        at: expression.root,
        kept: Vec::new(),
    };
    let value = match program.node(expression.root) {
        Some(Node::Block(_)) => evaluator
            .run(expression.root)
            .map(|value| value.unwrap_or(Value::Null)),
        _ => evaluator.value(expression.root),
    };
    value.map_err(|exception| Thrown {
        exception,
        span: program.span(evaluator.at),
    })
}

/// A value as `ToString` shows it; `null` is empty. Errors: the budget is used up.
pub fn shown(value: &Value, context: &impl Context, budget: &mut Budget) -> Outcome<Arc<str>> {
    if let Value::Text(text) = value {
        return Ok(Arc::clone(text));
    }
    if let Value::Url(of) = value {
        let url = context.url(*of).ok_or(Exception::NullReference)?;
        let text = url.to_string();
        budget.bytes(text.len())?;
        return Ok(text.into());
    }
    Ok(value.shown(budget)?.into())
}

/// A value as a whole number, where it is one or a text or a token of one.
pub fn to_long(value: &Value) -> Option<i64> {
    if matches!(value, Value::Null | Value::Bool(_) | Value::Char(_)) {
        return None;
    }
    match casts::convert(Type::Long, value) {
        Ok(Value::Long(number)) => Some(number),
        _ => None,
    }
}

pub(crate) struct Evaluator<'a, C> {
    program: &'a Expressions,
    pub(crate) context: &'a C,
    pub(crate) budget: &'a mut Budget,
    locals: Vec<Value>,
    /// The arguments of the calls that are under way, one room for all.
    arguments: Vec<Value>,
    /// The node that is being evaluated: where an exception comes from.
    at: NodeId,
    /// The roots of all JSON that has been seen.
    kept: Vec<Token>,
}

impl<C: Context> Evaluator<'_, C> {
    /// Runs a statement. Gives what it returns, if it does.
    fn run(&mut self, id: NodeId) -> Outcome<Option<Value>> {
        self.budget.step()?;
        match *self.program.node(id).ok_or(Exception::Program)? {
            Node::Block(list) => {
                for statement in self.program.list(list) {
                    if let Some(value) = self.run(*statement)? {
                        return Ok(Some(value));
                    }
                }
                Ok(None)
            }
            Node::When(condition, then, otherwise) => {
                if self.bool(condition)? {
                    self.run(then)
                } else {
                    otherwise.map_or(Ok(None), |otherwise| self.run(otherwise))
                }
            }
            Node::Return(value) => self.value(value).map(Some),
            _ => self.value(id).map(|_| None),
        }
    }

    /// Appends a value as `ToString` shows it; `null` is nothing.
    pub(crate) fn append(&mut self, text: &mut String, value: &Value) -> Outcome<()> {
        let shown = self.shown(value)?;
        self.budget.bytes(shown.len())?;
        text.push_str(&shown);
        Ok(())
    }

    /// A value as `ToString` shows it; `null` is empty.
    pub(crate) fn shown(&mut self, value: &Value) -> Outcome<Arc<str>> {
        shown(value, self.context, self.budget)
    }

    /// A value as `ToString(format)` shows it.
    fn formatted(&mut self, value: &Value, format: Option<&str>) -> Outcome<String> {
        match (value, format.filter(|format| !format.is_empty())) {
            (Value::Int(value), Some(format)) => {
                numbers::format_whole(i64::from(*value), 8, format)
            }
            (Value::Long(value), Some(format)) => numbers::format_whole(*value, 16, format),
            (Value::Double(value), Some(format)) => numbers::format_double(*value, format),
            (Value::DateTime(value), Some(format)) => dates_text::format(*value, None, format),
            (Value::Offset(value), Some(format)) => {
                dates_text::format(value.local(), Some(value.offset_minutes), format)
            }
            (Value::Guid(value), Some(format)) => web::guid_text(value, format),
            _ => Ok(self.shown(value)?.to_string()),
        }
    }
}
