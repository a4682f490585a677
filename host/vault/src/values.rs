//! Named values: names that configuration, documents and settings use for a text,
//! a secret, or a secret in a source.
//!
//! A plain one is not a secret: it is shown. One that binds a secret holds its
//! name; what may be done with the secret is still for the grants to say.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use keyward_names::{KeyVaultReference, NameError, SecretName, SourceName, Tag, ValueName};
use uuid::Uuid;

use crate::audit::Act;
use crate::contents::{Item, StoredValue};
use crate::error::VaultError;
use crate::format::Damaged;
use crate::identity::Actor;
use crate::live::timestamp;
use crate::vault::{Vault, new_id, seconds_now};

/// The longest plain value, in bytes.
const MAX_PLAIN_BYTES: usize = 4096;
/// The most tags of one value.
const MAX_TAGS: usize = 32;
/// The longest key of a reference, in bytes.
const MAX_REFERENCE_KEY_BYTES: usize = 1024;

/// What a named value stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedValue {
    /// A text that everybody may see: 1 to 4096 bytes without control characters
    /// but tabs and line ends.
    Plain(String),
    /// A secret in the vault.
    Secret(SecretName),
    /// A secret in a source.
    Reference(Reference),
}

/// A secret in a source: `SOURCE:KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    source: SourceName,
    key: String,
}

/// A text that is not a [`Reference`]. It doesn't carry the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// There is no colon.
    #[error("a reference has the form SOURCE:KEY")]
    Form,
    /// The part before the colon is not a source's name.
    #[error("the part before ':' is {0}")]
    Source(NameError),
    /// The part after the colon can't be a key.
    #[error("the part after ':' has 1 to {MAX_REFERENCE_KEY_BYTES} visible ASCII characters")]
    Key,
}

impl Reference {
    /// A reference to a key in a source. Errors: the key is not 1 to 1024 visible
    /// ASCII characters.
    pub fn new(source: SourceName, key: &str) -> Result<Self, ReferenceError> {
        let length = (1..=MAX_REFERENCE_KEY_BYTES).contains(&key.len());
        if !length || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ReferenceError::Key);
        }
        Ok(Self {
            source,
            key: key.to_owned(),
        })
    }

    /// The source.
    pub fn source(&self) -> &SourceName {
        &self.source
    }

    /// What the source calls the secret.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (source, key) = text.split_once(':').ok_or(ReferenceError::Form)?;
        let source = SourceName::parse(source).map_err(ReferenceError::Source)?;
        Self::new(source, key)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.key)
    }
}

/// A named value and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueInfo {
    /// What it is called.
    pub name: ValueName,
    /// What it stands for.
    pub value: NamedValue,
    /// Words to sort it by, at most 32.
    pub tags: BTreeSet<Tag>,
    /// What it is called in the vault file.
    pub id: Uuid,
    /// When it was first set.
    pub created: Timestamp,
    /// When it was last set.
    pub updated: Timestamp,
}

impl ValueInfo {
    pub(crate) fn prepare(id: Uuid, stored: StoredValue) -> Result<Self, Damaged> {
        Ok(Self {
            name: stored.name,
            value: stored.value,
            tags: stored.tags,
            id,
            created: timestamp(stored.created)?,
            updated: timestamp(stored.updated)?,
        })
    }
}

impl Vault {
    /// The named values, by name.
    pub fn values(&self) -> Vec<ValueInfo> {
        let live = self.live();
        let values = live.parts.values.values();
        values.map(|value| ValueInfo::clone(value)).collect()
    }

    /// A named value; `None` if there is none of that name.
    pub fn value(&self, name: &ValueName) -> Option<ValueInfo> {
        let live = self.live();
        live.parts
            .values
            .get(name)
            .map(|value| ValueInfo::clone(value))
    }

    /// Sets a named value, in place of one of that name if there is one.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: a plain text out
    /// of bounds, too many tags, a secret that is not there, or a file can't be
    /// written.
    pub fn set_value(
        &self,
        name: &ValueName,
        value: NamedValue,
        tags: BTreeSet<Tag>,
        actor: &Actor,
    ) -> Result<ValueInfo, VaultError> {
        if let NamedValue::Plain(text) = &value {
            if KeyVaultReference::is_meant_by(text) {
                return Err(VaultError::PlainReference);
            }
            let allowed = |c: char| !c.is_control() || matches!(c, '\t' | '\r' | '\n');
            let length = (1..=MAX_PLAIN_BYTES).contains(&text.len());
            if !length || !text.chars().all(allowed) {
                return Err(VaultError::PlainValue {
                    max: MAX_PLAIN_BYTES,
                });
            }
        }
        if tags.len() > MAX_TAGS {
            return Err(VaultError::TooManyTags { max: MAX_TAGS });
        }
        self.change(|draft| {
            if let NamedValue::Secret(secret) = &value {
                draft.secret(secret)?;
            }
            let before = draft.parts.values.get(name);
            let now = seconds_now();
            let (id, created) = match before {
                Some(before) => (before.id, u64::try_from(before.created.as_second())),
                None => (new_id(), Ok(now)),
            };
            let stored = || StoredValue {
                name: name.clone(),
                value: value.clone(),
                tags: tags.clone(),
                created: created.unwrap_or(now),
                updated: now,
            };
            draft.put(id, &Item::Value(stored()))?;
            let info = ValueInfo::prepare(id, stored())?;
            let values = Arc::make_mut(&mut draft.parts.values);
            values.insert(name.clone(), Arc::new(info.clone()));
            Ok((actor.did(Act::ValueSet).value(name), info))
        })
    }

    /// Removes a named value.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: there is none of
    /// that name, or a file can't be written.
    pub fn remove_value(&self, name: &ValueName, actor: &Actor) -> Result<(), VaultError> {
        self.change(|draft| {
            let Some(value) = Arc::make_mut(&mut draft.parts.values).remove(name) else {
                return Err(VaultError::NoSuchValue(name.clone()));
            };
            draft.take_out(value.id);
            Ok((actor.did(Act::ValueRemoved).value(name), ()))
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn a_reference_is_a_source_and_a_key() {
        let reference: Reference = "vault-1:team/api:v2".parse().unwrap();
        assert_eq!(reference.source().as_str(), "vault-1");
        assert_eq!(reference.key(), "team/api:v2");
        assert_eq!(reference.to_string(), "vault-1:team/api:v2");
        let error = |text: &str| text.parse::<Reference>().unwrap_err();
        assert_eq!(error("nothing"), ReferenceError::Form);
        assert!(matches!(error("No:x"), ReferenceError::Source(_)));
        for text in ["s:", "s:a b", "s:a\n", &format!("s:{}", "k".repeat(1025))] {
            assert_eq!(error(text), ReferenceError::Key);
        }
    }
}
