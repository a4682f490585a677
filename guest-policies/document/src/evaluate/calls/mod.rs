//! The members of the table, each with what it does.

mod dates;
mod json;
mod requests;
mod simple;
mod strings;

use std::rc::Rc;
use std::sync::Arc;

use keyward_document_program::{Member, Type};

use super::dates::{DateTime, DateTimeOffset};
use super::json::Token;
use super::{Context, Evaluator, Exception, Outcome, Value};

/// Calls a member. `of` is the type between `<` and `>`. Errors: what it throws.
#[inline(never)]
pub(super) fn call(
    evaluator: &mut Evaluator<'_, impl Context>,
    member: Member,
    of: Option<Type>,
    arguments: &[Value],
) -> Outcome {
    let arguments = Arguments(arguments);
    if member.has_instance() && matches!(arguments.0.first(), Some(Value::Null) | None) {
        return Err(Exception::NullReference);
    }
    if let Some(outcome) = strings::call(evaluator, member, arguments) {
        return outcome;
    }
    if let Some(outcome) = requests::call(evaluator, member, of, arguments) {
        return outcome;
    }
    if let Some(outcome) = json::call(evaluator, member, of, arguments) {
        return outcome;
    }
    if let Some(outcome) = simple::call(evaluator, member, arguments) {
        return outcome;
    }
    dates::call(evaluator, member, arguments).unwrap_or(Err(Exception::Program))
}

/// The arguments of a call, the instance first.
#[derive(Clone, Copy)]
struct Arguments<'a>(&'a [Value]);

impl<'a> Arguments<'a> {
    fn get(self, at: usize) -> Outcome<&'a Value> {
        self.0.get(at).ok_or(Exception::Program)
    }

    fn rest(self, from: usize) -> &'a [Value] {
        self.0.get(from..).unwrap_or_default()
    }

    /// A text that must not be `null`.
    fn text(self, at: usize) -> Outcome<Arc<str>> {
        self.text_or_null(at)?.ok_or(Exception::ArgumentNull)
    }

    fn text_or_null(self, at: usize) -> Outcome<Option<Arc<str>>> {
        match self.get(at)? {
            Value::Text(text) => Ok(Some(Arc::clone(text))),
            Value::Null => Ok(None),
            _ => Err(Exception::Program),
        }
    }

    fn bool(self, at: usize) -> Outcome<bool> {
        match self.get(at)? {
            Value::Bool(value) => Ok(*value),
            _ => Err(Exception::Program),
        }
    }

    fn char(self, at: usize) -> Outcome<u16> {
        match self.get(at)? {
            Value::Char(unit) => Ok(*unit),
            _ => Err(Exception::Program),
        }
    }

    fn chars(self, from: usize) -> Outcome<Vec<u16>> {
        (from..self.0.len()).map(|at| self.char(at)).collect()
    }

    fn int(self, at: usize) -> Outcome<i32> {
        match self.get(at)? {
            Value::Int(value) | Value::Enum(_, value) => Ok(*value),
            _ => Err(Exception::Program),
        }
    }

    fn long(self, at: usize) -> Outcome<i64> {
        match self.get(at)? {
            Value::Long(value) => Ok(*value),
            _ => Err(Exception::Program),
        }
    }

    fn double(self, at: usize) -> Outcome<f64> {
        match self.get(at)? {
            Value::Double(value) => Ok(*value),
            _ => Err(Exception::Program),
        }
    }

    fn bytes(self, at: usize) -> Outcome<Rc<[u8]>> {
        match self.get(at)? {
            Value::Bytes(bytes) => Ok(Rc::clone(bytes)),
            Value::Null => Err(Exception::ArgumentNull),
            _ => Err(Exception::Program),
        }
    }

    fn strings(self, at: usize) -> Outcome<Rc<[Arc<str>]>> {
        match self.get(at)? {
            Value::Strings(all) => Ok(Rc::clone(all)),
            Value::Null => Err(Exception::ArgumentNull),
            _ => Err(Exception::Program),
        }
    }

    fn date(self, at: usize) -> Outcome<DateTime> {
        match self.get(at)? {
            Value::DateTime(date) => Ok(*date),
            _ => Err(Exception::Program),
        }
    }

    fn offset(self, at: usize) -> Outcome<DateTimeOffset> {
        match self.get(at)? {
            Value::Offset(date) => Ok(*date),
            _ => Err(Exception::Program),
        }
    }

    fn span(self, at: usize) -> Outcome<i64> {
        match self.get(at)? {
            Value::Span(ticks) => Ok(*ticks),
            _ => Err(Exception::Program),
        }
    }

    fn token(self, at: usize) -> Outcome<Token> {
        match self.get(at)? {
            Value::Json(token) => Ok(Rc::clone(token)),
            Value::Null => Err(Exception::ArgumentNull),
            _ => Err(Exception::Program),
        }
    }
}
