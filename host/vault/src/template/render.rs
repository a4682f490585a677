//! Writing a template with what fills it, encoded for its place, into secret pages.
//!
//! Each is written twice: once to be counted, so that the pages have the length of
//! the text and it never moves.

use bytes::Bytes;

use super::{JsonTemplate, Piece, Slot, Template};
use crate::holes::Holes;
use crate::memory::Scratch;
use crate::secret::Exposed;

/// What fills a template: the parts of a secret, and what the policy chose.
pub(crate) struct Filling<'a> {
    pub(crate) secret: Option<Exposed>,
    pub(crate) user: Option<Exposed>,
    pub(crate) password: Option<Exposed>,
    pub(crate) holes: &'a Holes,
}

crate::secret::assert_not_implemented!(Filling<'static>: std::fmt::Debug, Clone, serde::Serialize);

/// The template lacks something that fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfilled;

impl Filling<'_> {
    fn of(&self, piece: &Piece) -> Result<&[u8], Unfilled> {
        match piece {
            Piece::Text(_) => Err(Unfilled),
            Piece::Slot(Slot::Secret) => self.secret.as_deref().ok_or(Unfilled),
            Piece::Slot(Slot::User) => self.user.as_deref().ok_or(Unfilled),
            Piece::Slot(Slot::Password) => self.password.as_deref().ok_or(Unfilled),
            Piece::Hole(name, _) => self.holes.get(name).map(str::as_bytes).ok_or(Unfilled),
        }
    }
}

/// The value of a header, as it is; or of a parameter of the query, encoded (RFC 3986),
/// after `before`, which is encoded already.
pub(crate) fn single(
    before: &str,
    template: &Template,
    encoding: Encoding,
    filling: &Filling<'_>,
) -> Result<Bytes, Unfilled> {
    written(|to| {
        to.put(before.as_bytes());
        text(template, encoding, filling, to)
    })
}

/// A form (`application/x-www-form-urlencoded`, URL Standard, section 5.2).
pub(crate) fn form(
    fields: &[(String, Template)],
    filling: &Filling<'_>,
) -> Result<Bytes, Unfilled> {
    written(|to| {
        for (index, (name, template)) in fields.iter().enumerate() {
            if index > 0 {
                to.put(b"&");
            }
            encode(name.as_bytes(), Encoding::Form, to);
            to.put(b"=");
            text(template, Encoding::Form, filling, to)?;
        }
        Ok(())
    })
}

/// A JSON document (RFC 8259), without white space.
pub(crate) fn json(document: &JsonTemplate, filling: &Filling<'_>) -> Result<Bytes, Unfilled> {
    written(|to| value(document, filling, to))
}

fn value(
    document: &JsonTemplate,
    filling: &Filling<'_>,
    to: &mut Sink<'_>,
) -> Result<(), Unfilled> {
    match document {
        JsonTemplate::Object(fields) => {
            to.put(b"{");
            for (index, (name, field)) in fields.iter().enumerate() {
                to.put(if index > 0 { b",\"" } else { b"\"" });
                encode(name.as_bytes(), Encoding::Json, to);
                to.put(b"\":");
                value(field, filling, to)?;
            }
            to.put(b"}");
        }
        JsonTemplate::Array(values) => {
            to.put(b"[");
            for (index, one) in values.iter().enumerate() {
                if index > 0 {
                    to.put(b",");
                }
                value(one, filling, to)?;
            }
            to.put(b"]");
        }
        JsonTemplate::Text(template) if document.is_number() => {
            text(template, Encoding::Json, filling, to)?;
        }
        JsonTemplate::Text(template) => {
            to.put(b"\"");
            text(template, Encoding::Json, filling, to)?;
            to.put(b"\"");
        }
        JsonTemplate::Number(number) => to.put(number.to_string().as_bytes()),
        JsonTemplate::Boolean(true) => to.put(b"true"),
        JsonTemplate::Boolean(false) => to.put(b"false"),
    }
    Ok(())
}

fn text(
    template: &Template,
    encoding: Encoding,
    filling: &Filling<'_>,
    to: &mut Sink<'_>,
) -> Result<(), Unfilled> {
    for piece in template.pieces() {
        let bytes = match piece {
            Piece::Text(text) => text.as_bytes(),
            other => filling.of(other)?,
        };
        encode(bytes, encoding, to);
    }
    Ok(())
}

/// How a text is written for its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As it is. Whoever takes it judges it.
    Plain,
    /// RFC 3986: all but unreserved characters as `%XX`.
    Percent,
    /// A form's: a space is `+`.
    Form,
    /// In a JSON string.
    Json,
}

fn encode(bytes: &[u8], encoding: Encoding, to: &mut Sink<'_>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digits = |byte: u8| {
        [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]
    };
    if encoding == Encoding::Plain {
        return to.put(bytes);
    }
    for byte in bytes {
        let byte = *byte;
        match encoding {
            Encoding::Plain => to.put(&[byte]),
            Encoding::Percent if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                to.put(&[byte]);
            }
            Encoding::Form if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) => {
                to.put(&[byte]);
            }
            Encoding::Form if byte == b' ' => to.put(b"+"),
            Encoding::Percent | Encoding::Form => {
                to.put(b"%");
                to.put(&digits(byte));
            }
            Encoding::Json if byte == b'"' || byte == b'\\' => to.put(&[b'\\', byte]),
            Encoding::Json if byte < 0x20 || byte == 0x7f => {
                to.put(b"\\u00");
                to.put(&digits(byte));
            }
            Encoding::Json => to.put(&[byte]),
        }
    }
}

/// Counts, or writes.
struct Sink<'a> {
    length: usize,
    into: Option<&'a mut [u8]>,
}

impl Sink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let from = self.length;
        self.length += bytes.len();
        if let Some(into) = &mut self.into
            && let Some(place) = into.get_mut(from..self.length)
        {
            place.copy_from_slice(bytes);
        }
    }
}

/// What `write` writes, in secret pages that are wiped when the last copy is dropped.
fn written(write: impl Fn(&mut Sink<'_>) -> Result<(), Unfilled>) -> Result<Bytes, Unfilled> {
    let mut counted = Sink {
        length: 0,
        into: None,
    };
    write(&mut counted)?;
    let mut pages = Scratch::new(counted.length);
    write(&mut Sink {
        length: 0,
        into: Some(&mut pages[..]),
    })?;
    Ok(Bytes::from_owner(pages))
}
