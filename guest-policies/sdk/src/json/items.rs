//! What is between two brackets.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::{Error, Reader, Result, syntax};

/// The elements of a list, or the keys and values of a table.
pub(super) struct Items<'a, 'de> {
    reader: &'a mut Reader<'de>,
    close: u8,
    is_closed: bool,
    count: usize,
    /// The key whose value comes next, for the path of a mistake.
    key: Cow<'de, str>,
}

impl<'a, 'de> Items<'a, 'de> {
    /// What lies between a bracket that has been passed and `close`.
    pub(super) fn new(reader: &'a mut Reader<'de>, close: u8) -> Self {
        Self {
            reader,
            close,
            is_closed: false,
            count: 0,
            key: Cow::Borrowed(""),
        }
    }

    /// Whether there is another; then the reader stands before it.
    pub(super) fn advance(&mut self) -> Result<bool> {
        if self.is_closed {
            return Ok(false);
        }
        if self.reader.take(self.close)? {
            self.is_closed = true;
            return Ok(false);
        }
        if self.count > 0 {
            self.reader
                .expect(b',', "malformed JSON: a comma was expected")?;
            if self.reader.peek()? == self.close {
                return syntax("malformed JSON: a comma before the closing bracket");
            }
        }
        self.count += 1;
        Ok(true)
    }

    /// Reads a key and the colon behind it.
    fn advance_key(&mut self) -> Result<bool> {
        if !self.advance()? {
            return Ok(false);
        }
        self.key = self.reader.string()?;
        self.reader
            .expect(b':', "malformed JSON: a colon was expected")?;
        Ok(true)
    }

    /// Passes over all that is left.
    pub(super) fn skip(&mut self) -> Result<()> {
        let is_table = self.close == b'}';
        while if is_table {
            self.advance_key()?
        } else {
            self.advance()?
        } {
            de::IgnoredAny::deserialize(&mut *self.reader)?;
        }
        Ok(())
    }

    fn value<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        seed.deserialize(&mut *self.reader)
            .map_err(|error| error.within(&self.key))
    }
}

impl<'de> de::SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if !self.advance()? {
            return Ok(None);
        }
        let index = self.count - 1;
        seed.deserialize(&mut *self.reader)
            .map(Some)
            .map_err(|error| error.within(&format!("[{index}]")))
    }
}

impl<'de> de::MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if !self.advance_key()? {
            return Ok(None);
        }
        seed.deserialize(self.key.clone().into_deserializer())
            .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        self.value(seed)
    }
}

/// A variant with content: a table with one key, the variant's name.
impl<'de> de::EnumAccess<'de> for &mut Items<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self)> {
        if !self.advance_key()? {
            return syntax("an empty table where one key was expected");
        }
        let variant = seed.deserialize(self.key.clone().into_deserializer())?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Items<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<()> {
        self.value(core::marker::PhantomData)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value> {
        self.value(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.reader
            .deserialize_seq(visitor)
            .map_err(|error| error.within(&self.key))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.reader
            .deserialize_map(visitor)
            .map_err(|error| error.within(&self.key))
    }
}
