//! Reads settings: JSON (RFC 8259) into a type that implements
//! `serde::Deserialize`.
//!
//! A policy reads JSON once, when it is loaded, and carries the reader for ever.
//! This one is small: no float is read or written unless the settings hold one.
//! And it says *where* a mistake is by its path, `headers[2].action`, because
//! what the operator wrote was a table in a configuration file, so that lines and
//! columns of the JSON would mean nothing.
//!
//! Nesting is limited to 32 levels.

mod items;

use core::fmt;
use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{self, Deserializer, IntoDeserializer, Unexpected, Visitor};

use items::Items;

const DEEPEST: u8 = 32;

/// What is wrong with settings, and where.
#[derive(Debug)]
pub(crate) struct Error {
    path: String,
    message: String,
}

type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// Says that the mistake lies within a key or an element.
    fn within(mut self, step: &str) -> Self {
        if !self.path.is_empty() && !self.path.starts_with('[') {
            self.path.insert(0, '.');
        }
        self.path.insert_str(0, step);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            f.write_str(&self.path)?;
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

impl core::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            path: String::new(),
            message: message.to_string(),
        }
    }

    // serde's own words would bring the formatting of floats into every policy.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match found {
            Unexpected::Bool(_) => "true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
            Unexpected::Str(_) | Unexpected::Char(_) => "text",
            Unexpected::Unit | Unexpected::Option => "null",
            Unexpected::Seq => "a list",
            Unexpected::Map => "a table",
            _ => "something else",
        };
        Self::custom(format_args!("this is {found}, expected {expected}"))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        match found {
            Unexpected::Str(text) => {
                Self::custom(format_args!("this is \"{text}\", expected {expected}"))
            }
            Unexpected::Unsigned(number) => {
                Self::custom(format_args!("this is {number}, expected {expected}"))
            }
            Unexpected::Signed(number) => {
                Self::custom(format_args!("this is {number}, expected {expected}"))
            }
            _ => Self::custom(format_args!("expected {expected}")),
        }
    }
}

fn syntax<T>(message: &str) -> Result<T> {
    Err(de::Error::custom(message))
}

/// Reads a JSON text.
pub(crate) fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T> {
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
    };
    let value = T::deserialize(&mut reader)?;
    reader.skip_space();
    if reader.at != text.len() {
        return syntax("malformed JSON: something follows its end");
    }
    Ok(value)
}

struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: u8,
}

impl<'de> Reader<'de> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The first byte of what comes next.
    fn peek(&mut self) -> Result<u8> {
        self.skip_space();
        match self.byte() {
            Some(byte) => Ok(byte),
            None => syntax("malformed JSON: it ends too early"),
        }
    }

    /// Passes over a byte if it comes next.
    fn take(&mut self, byte: u8) -> Result<bool> {
        let is_next = self.peek()? == byte;
        if is_next {
            self.at += 1;
        }
        Ok(is_next)
    }

    fn expect(&mut self, byte: u8, message: &str) -> Result<()> {
        if self.take(byte)? {
            Ok(())
        } else {
            syntax(message)
        }
    }

    /// Passes over a word such as `true`.
    fn word(&mut self, word: &str) -> Result<()> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return syntax("malformed JSON: an unknown word");
        }
        self.at += word.len();
        Ok(())
    }

    fn boolean(&mut self) -> Result<bool> {
        let value = self.peek()? == b't';
        self.word(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// The text of a number, by RFC 8259's grammar, and whether it is whole.
    fn number(&mut self) -> Result<(&'de str, bool)> {
        self.skip_space();
        let start = self.at;
        let digits = |reader: &mut Self| {
            let first = reader.at;
            while matches!(reader.byte(), Some(b'0'..=b'9')) {
                reader.at += 1;
            }
            reader.at - first
        };
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        let leads_with_zero = self.byte() == Some(b'0');
        let count = digits(self);
        let mut is_good = count == 1 || (count > 1 && !leads_with_zero);
        let mut is_whole = true;
        if self.byte() == Some(b'.') {
            self.at += 1;
            is_whole = false;
            is_good &= digits(self) > 0;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            is_whole = false;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            is_good &= digits(self) > 0;
        }
        match self.text.get(start..self.at) {
            Some(text) if is_good => Ok((text, is_whole)),
            _ => syntax("malformed JSON: a malformed number"),
        }
    }

    /// Reads a string, borrowed where nothing is escaped.
    fn string(&mut self) -> Result<Cow<'de, str>> {
        self.expect(b'"', "malformed JSON: a string was expected")?;
        let mut owned = String::new();
        let mut start = self.at;
        loop {
            let Some(byte) = self.byte() else {
                return syntax("malformed JSON: a string without an end");
            };
            match byte {
                b'"' | b'\\' => {
                    // Both are whole characters, so that the borders are characters' too.
                    let run = self.text.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    if byte == b'"' {
                        if owned.is_empty() {
                            return Ok(Cow::Borrowed(run));
                        }
                        owned.push_str(run);
                        return Ok(Cow::Owned(owned));
                    }
                    owned.push_str(run);
                    owned.push(self.escaped()?);
                    start = self.at;
                }
                0..0x20 => return syntax("malformed JSON: a control character in a string"),
                _ => self.at += 1,
            }
        }
    }

    /// The character of an escape, past its backslash.
    fn escaped(&mut self) -> Result<char> {
        let byte = self.byte();
        self.at += 1;
        Ok(match byte {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.hex()?;
                let code = if (0xd800..0xdc00).contains(&first) {
                    self.word("\\u")?;
                    let second = self.hex()?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return syntax("malformed JSON: half a surrogate pair");
                    }
                    0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                match char::from_u32(code) {
                    Some(character) => character,
                    None => return syntax("malformed JSON: half a surrogate pair"),
                }
            }
            _ => return syntax("malformed JSON: an unknown escape"),
        })
    }

    fn hex(&mut self) -> Result<u32> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
        self.at += 4;
        // `from_str_radix` alone would also take a sign.
        if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return syntax("malformed JSON: a malformed escape");
        }
        u32::from_str_radix(digits, 16).or_else(|_| syntax("malformed JSON: a malformed escape"))
    }

    /// Reads what is between two brackets.
    fn inside<T>(
        &mut self,
        close: u8,
        read: impl FnOnce(&mut Items<'_, 'de>) -> Result<T>,
    ) -> Result<T> {
        if self.depth >= DEEPEST {
            return syntax("nested too deeply");
        }
        self.depth += 1;
        self.at += 1;
        let mut items = Items::new(self, close);
        let value = read(&mut items)?;
        if items.advance()? {
            return syntax("there are more elements than expected");
        }
        self.depth -= 1;
        Ok(value)
    }

    fn sequence<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.inside(b']', |items| visitor.visit_seq(items))
    }

    fn map<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.inside(b'}', |items| visitor.visit_map(items))
    }

    fn visit_string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        match self.string()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn visit_integer<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let (text, _) = self.number()?;
        if let Ok(number) = text.parse::<u64>() {
            return visitor.visit_u64(number);
        }
        match text.parse::<i64>() {
            Ok(number) => visitor.visit_i64(number),
            Err(_) => syntax("the number is not whole, or too large"),
        }
    }

    fn visit_float<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let (text, _) = self.number()?;
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => visitor.visit_f64(number),
            _ => syntax("the number is too large"),
        }
    }

    /// Says what stands there instead of what was expected.
    fn unexpected(&mut self, expected: &dyn de::Expected) -> Error {
        let found = match self.peek() {
            Ok(b'"') => Unexpected::Str(""),
            Ok(b'[') => Unexpected::Seq,
            Ok(b'{') => Unexpected::Map,
            Ok(b'n') => Unexpected::Unit,
            Ok(b't' | b'f') => Unexpected::Bool(true),
            Ok(b'-' | b'0'..=b'9') => Unexpected::Signed(0),
            Ok(_) => return de::Error::custom("malformed JSON: a value was expected"),
            Err(error) => return error,
        };
        de::Error::invalid_type(found, expected)
    }
}

/// Reads only what it is told to expect: that keeps what is not needed out of the
/// component.
macro_rules! reads {
    ($($name:ident($first:pat) => $read:ident;)+) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            match self.peek()? {
                $first => self.$read(visitor),
                _ => Err(self.unexpected(&visitor)),
            }
        })+
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    reads! {
        deserialize_u8(b'-' | b'0'..=b'9') => visit_integer;
        deserialize_u16(b'-' | b'0'..=b'9') => visit_integer;
        deserialize_u32(b'-' | b'0'..=b'9') => visit_integer;
        deserialize_u64(b'-' | b'0'..=b'9') => visit_integer;
        deserialize_i8(b'-' | b'0'..=b'9') => visit_integer;
        deserialize_i16(b'-' | b'0'..=b'9') => visit_integer;
        deserialize_i32(b'-' | b'0'..=b'9') => visit_integer;
        deserialize_i64(b'-' | b'0'..=b'9') => visit_integer;
        deserialize_f32(b'-' | b'0'..=b'9') => visit_float;
        deserialize_f64(b'-' | b'0'..=b'9') => visit_float;
        deserialize_char(b'"') => visit_string;
        deserialize_str(b'"') => visit_string;
        deserialize_string(b'"') => visit_string;
        deserialize_identifier(b'"') => visit_string;
        deserialize_seq(b'[') => sequence;
        deserialize_map(b'{') => map;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek()? {
            b't' | b'f' => visitor.visit_bool(self.boolean()?),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.peek()? == b'n' {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek()? {
            b'n' => {
                self.word("null")?;
                visitor.visit_unit()
            }
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.peek()? {
            b'"' => visitor.visit_enum(self.string()?.into_deserializer()),
            b'{' => self.inside(b'}', |items| visitor.visit_enum(items)),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        Err(self.unexpected(&visitor))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        Err(self.unexpected(&visitor))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek()? {
            b'"' => self.visit_string(visitor),
            b'[' => self.sequence(visitor),
            b'{' => self.map(visitor),
            b't' | b'f' => visitor.visit_bool(self.boolean()?),
            b'-' | b'0'..=b'9' => {
                let start = self.at;
                let (text, is_whole) = self.number()?;
                self.at = start;
                // 19 digits fit; more may not, and become a float.
                if is_whole && text.len() < 20 {
                    self.visit_integer(visitor)
                } else {
                    self.visit_float(visitor)
                }
            }
            b'n' => self.deserialize_unit(visitor),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek()? {
            b'"' => drop(self.string()?),
            b'[' => self.inside(b']', |items| items.skip())?,
            b'{' => self.inside(b'}', |items| items.skip())?,
            b't' | b'f' => drop(self.boolean()?),
            b'n' => self.word("null")?,
            b'-' | b'0'..=b'9' => drop(self.number()?),
            _ => return Err(self.unexpected(&visitor)),
        }
        visitor.visit_unit()
    }
}

#[cfg(test)]
mod tests;
