//! Values of variables as bytes: what outlives a call.

use std::rc::Rc;
use std::sync::Arc;

use keyward_document_program::Type;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::parts::{self, Part};
use crate::evaluate::dates::{DateTime, DateTimeOffset, Kind};
use crate::evaluate::{Budget, Jwt, Outcome, Response, Value};

/// A value that outlives a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Stored {
    Null,
    Bool(bool),
    Char(u16),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(Arc<str>),
    Guid(u128),
    DateTime(i64, Kind),
    Offset(i64, i32),
    Span(i64),
    Uri(Arc<str>),
    Bytes(Rc<[u8]>),
    Strings(Vec<Arc<str>>),
    Enum(Type, i32),
    Json(Vec<Part>),
    Random(u64),
    Encoding(u8),
    Jwt(Vec<Part>, Vec<Part>),
    Basic(String, String),
    Response {
        status: u16,
        reason: String,
        headers: Vec<(String, String)>,
        body: Option<Vec<u8>>,
        read: bool,
    },
    /// A secret: which one says the statement that uses it.
    Secret,
}

impl Stored {
    /// Whether a value outlives a call.
    pub(crate) fn keeps(value: &Value) -> bool {
        !matches!(
            value,
            Value::Body(_)
                | Value::Headers(_)
                | Value::Claims(_)
                | Value::Lists(_)
                | Value::Url(_)
                | Value::LiveBody(_)
                | Value::Live(_)
        )
    }

    /// What is kept of a value; `None` of one that is a part of the request, the answer or
    /// the context, and outlives no call.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Char(unit) => Self::Char(*unit),
            Value::Int(value) => Self::Int(*value),
            Value::Long(value) => Self::Long(*value),
            Value::Double(value) => Self::Double(*value),
            Value::Text(text) => Self::Text(Arc::clone(text)),
            Value::Guid(guid) => Self::Guid(guid.as_u128()),
            Value::DateTime(date) => Self::DateTime(date.ticks, date.kind),
            Value::Offset(date) => Self::Offset(date.utc, date.offset_minutes),
            Value::Span(ticks) => Self::Span(*ticks),
            Value::Uri(text) => Self::Uri(Arc::clone(text)),
            Value::Bytes(bytes) => Self::Bytes(Rc::clone(bytes)),
            Value::Strings(all) => Self::Strings(all.to_vec()),
            Value::Enum(of, number) => Self::Enum(*of, *number),
            Value::Json(token) => Self::Json(parts::of(token)),
            Value::Random(seed) => Self::Random(seed.get()),
            Value::Encoding(which) => Self::Encoding(*which),
            Value::Jwt(jwt) => Self::Jwt(parts::of(&jwt.header), parts::of(&jwt.payload)),
            Value::Basic(pair) => Self::Basic(pair.0.clone(), pair.1.clone()),
            Value::Response(response) => {
                let (body, read) = response.content();
                Self::Response {
                    status: response.status(),
                    reason: response.reason().to_owned(),
                    headers: response.headers().to_vec(),
                    body,
                    read,
                }
            }
            Value::Body(_)
            | Value::Headers(_)
            | Value::Claims(_)
            | Value::Lists(_)
            | Value::Url(_)
            | Value::LiveBody(_)
            | Value::Live(_) => return None,
        })
    }

    /// The value again. Errors: it was no value of ours.
    pub(crate) fn value(&self) -> Outcome<Value> {
        // It was within the budget of the call that made it.
        let mut budget = Budget::new(u64::MAX, u64::MAX);
        Ok(match self {
            Self::Null | Self::Secret => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Char(unit) => Value::Char(*unit),
            Self::Int(value) => Value::Int(*value),
            Self::Long(value) => Value::Long(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Text(text) => Value::Text(Arc::clone(text)),
            Self::Guid(guid) => Value::Guid(Uuid::from_u128(*guid)),
            Self::DateTime(ticks, kind) => Value::DateTime(DateTime::new(*ticks, *kind)?),
            Self::Offset(utc, minutes) => Value::Offset(DateTimeOffset {
                utc: *utc,
                offset_minutes: *minutes,
            }),
            Self::Span(ticks) => Value::Span(*ticks),
            Self::Uri(text) => Value::Uri(Arc::clone(text)),
            Self::Bytes(bytes) => Value::Bytes(Rc::clone(bytes)),
            Self::Strings(all) => Value::Strings(all.clone().into()),
            Self::Enum(of, number) => Value::Enum(*of, *number),
            Self::Json(parts) => Value::Json(parts::token(parts, &mut budget)?),
            Self::Random(seed) => Value::Random(Rc::new((*seed).into())),
            Self::Encoding(which) => Value::Encoding(*which),
            Self::Jwt(header, payload) => Value::Jwt(Rc::new(Jwt {
                header: parts::token(header, &mut budget)?,
                payload: parts::token(payload, &mut budget)?,
            })),
            Self::Basic(user, password) => Value::Basic(Rc::new((user.clone(), password.clone()))),
            Self::Response {
                status,
                reason,
                headers,
                body,
                read,
            } => {
                let response = Response::new(*status, reason, headers.clone(), body.clone());
                if *read {
                    response.set_read();
                }
                Value::Response(Rc::new(response))
            }
        })
    }
}
