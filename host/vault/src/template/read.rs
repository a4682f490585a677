//! Recognising what a template wrote, in a request as it arrived: for tools that show
//! what was attached. It is given the parts of a secret; it finds none out.

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{JsonTemplate, Piece, Slot, Template};
use crate::grants::Place;

/// What stands for the parts of a secret.
type Parts<'a> = &'a dyn Fn(Slot) -> Option<Vec<u8>>;

impl Template {
    /// Whether a text is this template, with those parts in its slots and anything in its
    /// holes.
    fn is(&self, text: &[u8], parts: Parts<'_>) -> bool {
        is(self.pieces(), text, parts)
    }
}

fn is(pieces: &[Piece], text: &[u8], parts: Parts<'_>) -> bool {
    let Some((first, others)) = pieces.split_first() else {
        return text.is_empty();
    };
    let after = |part: &[u8]| {
        let rest = text.strip_prefix(part);
        rest.is_some_and(|rest| is(others, rest, parts))
    };
    match first {
        Piece::Text(fixed) => after(fixed.as_bytes()),
        Piece::Slot(slot) => parts(*slot).is_some_and(|part| after(&part)),
        Piece::Hole(..) => (0..=text.len()).any(|at| {
            let rest = text.get(at..).unwrap_or_default();
            is(others, rest, parts)
        }),
    }
}

impl JsonTemplate {
    fn is(&self, value: &Value, parts: Parts<'_>) -> bool {
        match (self, value) {
            (Self::Object(fields), Value::Object(there)) => {
                let same = |(name, field): &(String, Self)| {
                    there.get(name).is_some_and(|value| field.is(value, parts))
                };
                fields.len() == there.len() && fields.iter().all(same)
            }
            (Self::Array(values), Value::Array(there)) => {
                let mut pairs = values.iter().zip(there);
                values.len() == there.len() && pairs.all(|(one, there)| one.is(there, parts))
            }
            (Self::Text(_), Value::Number(number)) if self.is_number() => number.is_i64(),
            (Self::Text(template), Value::String(text)) => template.is(text.as_bytes(), parts),
            (Self::Number(number), there) => there.as_i64() == Some(*number),
            (Self::Boolean(value), there) => there.as_bool() == Some(*value),
            _ => false,
        }
    }
}

impl Place {
    /// Whether it is what stands in a request, with those parts of a secret: given the
    /// path and query as they were sent, the headers and the body.
    pub fn is_in(
        &self,
        path_and_query: &str,
        headers: &HeaderMap,
        body: &[u8],
        parts: &dyn Fn(Slot) -> Option<Vec<u8>>,
    ) -> bool {
        match self {
            Self::Header { name, value } => {
                let mut values = headers.get_all(name).iter();
                values.any(|there| value.is(there.as_bytes(), parts))
            }
            Self::Query { name, value } => {
                let query = path_and_query
                    .split_once('?')
                    .map_or("", |(_, query)| query);
                let mut fields = query.split('&').map(decoded);
                fields.any(|(key, there)| key == name.as_bytes() && value.is(&there, parts))
            }
            Self::Form(fields) => {
                let Ok(body) = std::str::from_utf8(body) else {
                    return false;
                };
                let there: Vec<_> = body.split('&').map(decoded).collect();
                let mut pairs = fields.iter().zip(&there);
                fields.len() == there.len()
                    && pairs.all(|((name, value), (key, there))| {
                        key == name.as_bytes() && value.is(there, parts)
                    })
            }
            Self::Json(document) => {
                serde_json::from_slice(body).is_ok_and(|value: Value| document.is(&value, parts))
            }
        }
    }
}

/// A name and a value, as forms write them.
fn decoded(field: &str) -> (Vec<u8>, Vec<u8>) {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).collect()
    };
    let (name, value) = field.split_once('=').unwrap_or((field, ""));
    (decode(name), decode(value))
}
