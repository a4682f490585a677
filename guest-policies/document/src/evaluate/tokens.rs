//! `AsJwt` and `AsBasic`: the text of a token, taken apart and not verified.

use std::rc::Rc;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;

use super::dates::{DateTime, EPOCH, Kind, TICKS_PER_SECOND};
use super::json::{self, Body, Scalar, Token};
use super::value::Jwt;
use super::{Budget, Outcome, Value, json_read, json_text, web};

/// A JSON Web Token, with or without `Bearer` before it; `null` if it is none.
pub(crate) fn jwt(budget: &mut Budget, text: &str) -> Outcome {
    budget.bytes(text.len())?;
    let text = text.trim();
    let token = match text.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("bearer ") => {
            text.get(7..).unwrap_or_default().trim()
        }
        _ => text,
    };
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Ok(Value::Null);
    };
    let mut part = |text: &str| -> Outcome<Option<Token>> {
        let decoded = BASE64URL_NOPAD
            .decode(text.trim_end_matches('=').as_bytes())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(decoded) = decoded else {
            return Ok(None);
        };
        match json_read::parse_container(budget, &decoded) {
            Ok(token) if matches!(&*token.body.borrow(), Body::Object(_)) => Ok(Some(token)),
            Ok(_) | Err(super::Exception::JsonReader) => Ok(None),
            Err(exception) => Err(exception),
        }
    };
    Ok(match (part(header)?, part(payload)?) {
        (Some(header), Some(payload)) => Value::Jwt(Rc::new(Jwt { header, payload })),
        _ => Value::Null,
    })
}

/// `Basic` credentials; `null` if they are none.
pub(crate) fn basic(text: &str) -> Value {
    let text = text.trim();
    let encoded = match text.get(..6) {
        Some(scheme) if scheme.eq_ignore_ascii_case("basic ") => {
            text.get(6..).unwrap_or_default().trim()
        }
        _ => return Value::Null,
    };
    let decoded = web::from_base64(encoded)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((user, password)) => Value::Basic(Rc::new((user.to_owned(), password.to_owned()))),
        None => Value::Null,
    }
}

/// A member of the header or the payload, as text.
pub(crate) fn text(budget: &mut Budget, of: &Token, name: &str) -> Outcome {
    match json::find(of, name).map(|found| json::of_property(&found)) {
        Some(token) if !matches!(json::scalar(&token), Some(Scalar::Null | Scalar::Undefined)) => {
            Ok(Value::text(&shown(budget, &token)?))
        }
        _ => Ok(Value::Null),
    }
}

/// A claim as a text: JSON without spaces, unless it is a text.
fn shown(budget: &mut Budget, token: &Token) -> Outcome<String> {
    match json::scalar(token) {
        Some(Scalar::Bool(value)) => Ok(value.to_string()),
        // A date is shown as it was written, as far as that is known.
        Some(Scalar::Date(_)) => Ok(json_text::written(budget, token, false)?
            .trim_matches('"')
            .to_owned()),
        Some(scalar) => json_text::scalar_shown(budget, &scalar),
        None => json_text::written(budget, token, false),
    }
}

/// A claim's values; `None` if there is no such claim.
pub(crate) fn claim(budget: &mut Budget, jwt: &Jwt, name: &str) -> Outcome<Option<Vec<Arc<str>>>> {
    let Some(found) = json::find(&jwt.payload, name) else {
        return Ok(None);
    };
    let token = json::of_property(&found);
    let items = match &*token.body.borrow() {
        Body::Array(all) => all.clone(),
        _ => vec![Rc::clone(&token)],
    };
    let mut values = Vec::with_capacity(items.len());
    for item in &items {
        values.push(shown(budget, item)?.into());
    }
    Ok(Some(values))
}

/// A claim that is a time in seconds; `null` if there is none.
pub(crate) fn time(jwt: &Jwt, name: &str) -> Value {
    let scalar =
        json::find(&jwt.payload, name).and_then(|found| json::scalar(&json::of_property(&found)));
    let seconds = match scalar {
        Some(Scalar::Integer(seconds)) => Some(seconds),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "parts of a second are dropped"
        )]
        Some(Scalar::Float(seconds)) => Some(seconds as i64),
        _ => None,
    };
    seconds
        .and_then(|seconds| seconds.checked_mul(TICKS_PER_SECOND)?.checked_add(EPOCH))
        .and_then(|ticks| DateTime::new(ticks, Kind::Utc).ok())
        .map_or(Value::Null, Value::DateTime)
}
