//! `cache-lookup-value`, `cache-store-value`, `cache-remove-value`: the host's cache, with
//! each value as what it is. No secret gets there: a document that asks for it is refused.

use std::sync::Arc;

use keyward_document_program::AttributeName as A;
use keyward_document_program::statements::Element;
use keyward_policy::{Failure, Level};

use crate::evaluate::Value;
use crate::run::error::Stop;
use crate::run::stored::Stored;
use crate::run::{Flow, Runner};

/// The longest time that the host keeps a value.
const MOST_SECONDS: i64 = 31_536_000;

/// What the bytes of a value begin with. Another as soon as they have another form.
const FORM: u8 = 0x81;

/// A value as it was kept. What was written in another form, by another version, is none.
fn decoded(bytes: &[u8]) -> Option<Value> {
    let (stored, rest) = postcard::take_from_bytes::<Stored>(bytes.strip_prefix(&[FORM])?).ok()?;
    stored.value().ok().filter(|_| rest.is_empty())
}

impl Runner<'_, '_> {
    pub(crate) fn cache_lookup_value(&mut self, element: &Element) -> Result<Flow, Stop> {
        let key = self.cache_key(element)?;
        let name = self.required(element, A::VariableName)?;
        let found = self.exchange.cached(&key);
        match found.and_then(|bytes| decoded(&bytes)) {
            Some(value) => self.set_variable(element, &name, value)?,
            None => {
                let default = self.program.statements.field(element, A::DefaultValue);
                if let Some(default) = default {
                    let value = self.value(element, default)?;
                    self.set_variable(element, &name, value)?;
                }
            }
        }
        Ok(Flow::On)
    }

    pub(crate) fn cache_store_value(&mut self, element: &Element) -> Result<Flow, Stop> {
        let key = self.cache_key(element)?;
        let value = match self.program.statements.field(element, A::Value) {
            Some(operand) => self.value(element, operand)?,
            None => Value::Null,
        };
        let Some(stored) = Stored::of(&value) else {
            let wanted = "a value of its own, and not a part of the request or the response";
            return Err(self.unfit(element, "value", wanted));
        };
        let seconds = self.int(element, A::Duration)?.unwrap_or_default();
        let Some(seconds) = u32::try_from(seconds.min(MOST_SECONDS)).ok() else {
            return Err(self.unfit(element, "duration", "a number of seconds"));
        };
        if seconds == 0 {
            // Nothing is kept for no time.
            return self.cache_remove_value(element);
        }
        let bytes = postcard::to_extend(&stored, vec![FORM]).map_err(|_| Failure::Limit);
        let kept = bytes.and_then(|bytes| self.exchange.cache(&key, bytes, seconds));
        if let Err(failure) = kept {
            // It is never sure that a value is there later.
            let line = format!("cache-store-value keeps nothing: {failure}");
            self.exchange.log(Level::Warn, &line);
        }
        Ok(Flow::On)
    }

    pub(crate) fn cache_remove_value(&mut self, element: &Element) -> Result<Flow, Stop> {
        let key = self.cache_key(element)?;
        self.exchange
            .forget(&key)
            .map_err(|failure| self.refused(element, "the cache", failure))?;
        Ok(Flow::On)
    }

    fn cache_key(&mut self, element: &Element) -> Result<Arc<str>, Stop> {
        let key = self.required(element, A::Key)?;
        match (1..=1024).contains(&key.len()) {
            true => Ok(key),
            false => Err(self.unfit(element, "key", "1 to 1024 bytes long")),
        }
    }
}
