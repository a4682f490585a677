//! Values.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use keyward_document_program::Type;
use uuid::Uuid;

use super::context::{ListsOf, UrlOf};
use super::dates::{self, DateTime, DateTimeOffset};
use super::json::{self, Token};
use super::{Budget, Outcome, dates_text, json_read, json_text, numbers};

/// A value of an expression. A copy is cheap and, but for JSON, of something that
/// never changes.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`.
    Null,
    /// `bool`
    Bool(bool),
    /// `char`, a UTF-16 unit.
    Char(u16),
    /// `int`
    Int(i32),
    /// `long`
    Long(i64),
    /// `double`
    Double(f64),
    /// `string`
    Text(Arc<str>),
    /// `Guid`
    Guid(Uuid),
    /// `DateTime`
    DateTime(DateTime),
    /// `DateTimeOffset`
    Offset(DateTimeOffset),
    /// `TimeSpan`, in ticks of 100 ns.
    Span(i64),
    /// `Uri`, as it was written.
    Uri(Arc<str>),
    /// `byte[]`
    Bytes(Rc<[u8]>),
    /// `string[]`
    Strings(Rc<[Arc<str>]>),
    /// A constant of an enumeration.
    Enum(Type, i32),
    /// `JToken` and its kin.
    Json(Token),
    /// `Random`
    Random(Rc<Cell<u64>>),
    /// `Encoding`: 0 UTF-8, 1 ASCII, 2 UTF-16.
    Encoding(u8),
    /// `Jwt`
    Jwt(Rc<Jwt>),
    /// `BasicAuthCredentials`: user, password.
    Basic(Rc<(String, String)>),
    /// A response in a variable.
    Response(Rc<Response>),
    /// The body of one.
    Body(Rc<Response>),
    /// Its headers.
    Headers(Rc<Response>),
    /// The claims of a token.
    Claims(Rc<Jwt>),
    /// A dictionary of the context.
    Lists(ListsOf),
    /// A URL of the context.
    Url(UrlOf),
    /// The body of the context's request or response.
    LiveBody(Type),
    /// A part of the context without anything of its own.
    Live(Type),
}

/// A token of a client, as its text says; nothing about it is verified.
#[derive(Debug)]
pub struct Jwt {
    pub(crate) header: Token,
    pub(crate) payload: Token,
}

/// A response that `send-request` left in a variable.
#[derive(Debug)]
pub struct Response {
    status: u16,
    reason: String,
    headers: Vec<(String, String)>,
    body: RefCell<Option<Vec<u8>>>,
    read: Cell<bool>,
}

impl Response {
    /// A response; `None` for one without a body.
    pub fn new(
        status: u16,
        reason: &str,
        headers: Vec<(String, String)>,
        body: Option<Vec<u8>>,
    ) -> Self {
        Self {
            status,
            reason: reason.to_owned(),
            headers,
            body: RefCell::new(body),
            read: Cell::new(false),
        }
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The status in words.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Its headers, in order.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    pub(crate) fn list(&self, name: &str) -> Option<Vec<Arc<str>>> {
        let all: Vec<Arc<str>> = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| Arc::from(&**value))
            .collect();
        (!all.is_empty()).then_some(all)
    }

    /// Takes its body, or copies it. Errors: it was taken before.
    pub fn body(&self, preserve: bool) -> Outcome<Option<Vec<u8>>> {
        if self.read.get() {
            return Err(super::Exception::InvalidOperation);
        }
        if preserve {
            return Ok(self.body.borrow().clone());
        }
        let body = self.body.borrow_mut().take();
        self.read.set(body.is_some());
        Ok(body)
    }

    /// Its body, unless it was taken, and whether it was.
    pub(crate) fn content(&self) -> (Option<Vec<u8>>, bool) {
        (self.body.borrow().clone(), self.read.get())
    }

    /// Its body was taken.
    pub(crate) fn set_read(&self) {
        self.body.borrow_mut().take();
        self.read.set(true);
    }

    pub(crate) fn has_body(&self) -> bool {
        self.read.get() || self.body.borrow().is_some()
    }
}

impl Value {
    /// A `string`.
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// Its type; `null` has one of its own.
    pub fn type_of(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Char(_) => Type::Char,
            Self::Int(_) => Type::Int,
            Self::Long(_) => Type::Long,
            Self::Double(_) => Type::Double,
            Self::Text(_) => Type::String,
            Self::Guid(_) => Type::Guid,
            Self::DateTime(_) => Type::DateTime,
            Self::Offset(_) => Type::DateTimeOffset,
            Self::Span(_) => Type::TimeSpan,
            Self::Uri(_) => Type::Uri,
            Self::Bytes(_) => Type::Bytes,
            Self::Strings(_) => Type::Strings,
            Self::Enum(of, _) | Self::Live(of) => *of,
            Self::Json(token) => json::type_of(token),
            Self::Random(_) => Type::Random,
            Self::Encoding(_) => Type::Encoding,
            Self::Jwt(_) => Type::Jwt,
            Self::Basic(_) => Type::BasicAuthCredentials,
            Self::Response(_) => Type::IResponse,
            Self::Body(_) | Self::LiveBody(_) => Type::IMessageBody,
            Self::Headers(_) | Self::Claims(_) | Self::Lists(_) => Type::Lists,
            Self::Url(_) => Type::IUrl,
        }
    }

    /// Whether it can stand where a type is wanted; `null` is of no type.
    pub fn is_a(&self, of: Type) -> bool {
        let own = self.type_of();
        own != Type::Null
            && (own == of || of == Type::Object || of == Type::JToken && own.is_json())
    }

    /// About how many bytes looking at it takes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Text(text) | Self::Uri(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => 8,
        }
    }

    /// As `ToString` shows it; `null` is empty. Errors: the budget is used up.
    pub fn shown(&self, budget: &mut Budget) -> Outcome<String> {
        Ok(match self {
            Self::Null => String::new(),
            Self::Bool(value) => (if *value { "True" } else { "False" }).to_owned(),
            Self::Char(unit) => String::from_utf16_lossy(&[*unit]),
            Self::Int(value) => value.to_string(),
            Self::Long(value) => value.to_string(),
            Self::Double(value) => numbers::shown(*value),
            Self::Text(text) | Self::Uri(text) => {
                budget.bytes(text.len())?;
                text.to_string()
            }
            Self::Guid(value) => value.hyphenated().to_string(),
            Self::DateTime(value) => dates_text::format(*value, None, "G")?,
            Self::Offset(value) => dates_text::format(
                value.local(),
                Some(value.offset_minutes),
                "MM/dd/yyyy HH:mm:ss zzz",
            )?,
            Self::Span(ticks) => dates::span_text(*ticks),
            Self::Enum(of, number) => of
                .constants()
                .iter()
                .find(|(_, value)| value == number)
                .map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned()),
            Self::Json(token) => json_text::shown(budget, token)?,
            Self::Url(_) => String::new(),
            Self::Bytes(_) => "System.Byte[]".to_owned(),
            Self::Strings(_) => "System.String[]".to_owned(),
            other => other.type_of().name().to_owned(),
        })
    }

    /// As JSON, without spaces: what `JToken.ToString(Formatting.None)` gives.
    /// Errors: it has no such form, or the budget is used up.
    pub fn written(&self, budget: &mut Budget) -> Outcome<String> {
        let token = json::token_of(budget, self.clone())?;
        json_text::written(budget, &token, false)
    }

    /// A text as JSON. Errors: it is none, or the budget is used up.
    pub fn parsed(budget: &mut Budget, text: &str) -> Outcome<Self> {
        json_read::parse(budget, text).map(Self::Json)
    }
}
