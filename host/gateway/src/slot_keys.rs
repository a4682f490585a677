//! Keys of the vault that a source wraps and unwraps.
//!
//! What a vault file says of such a slot is not authenticated before the vault is
//! open. So only the source and the key that the configuration names are asked.

use keyward::sources::{Source, SourceError};
use keyward::vault::{KeySource, NewKey, Reference, SlotInfo, SlotKind, Vault, VaultError};
use keyward::vault::{VaultFiles, fill_random};
use zeroize::Zeroizing;

/// Why a source did not open a slot, or close one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SlotKeyError {
    /// The source wraps no keys.
    #[error(
        "{0} can't wrap the vault's key: only sources of kind key-vault, and openbao with transit, \
         can"
    )]
    NoWrapper(Reference),
    /// The source failed.
    #[error("{wrapping}: {error}")]
    Source {
        /// The key that was asked for.
        wrapping: Reference,
        /// What went wrong, with its advice.
        error: SourceError,
    },
    /// No slot of the vault file is opened by that key.
    #[error("no slot of the vault is opened by {0}; `keyward vault slots` shows what there is")]
    NoSlot(Reference),
    /// The slot is not one that a source opens.
    #[error("slot {0} is not opened by a source")]
    OtherSlot(u64),
    /// The vault file can't be read.
    #[error("{0}")]
    Vault(#[from] VaultError),
}

/// A new key, wrapped by the key of a source.
///
/// Errors: the source wraps no keys, or fails.
pub async fn wrap(source: &dyn Source, wrapping: &Reference) -> Result<NewKey, SlotKeyError> {
    let wrapper = source.key_wrapper();
    let wrapper = wrapper.ok_or_else(|| SlotKeyError::NoWrapper(wrapping.clone()))?;
    let mut key = Zeroizing::new([0; 32]);
    fill_random(&mut key[..]);
    let failed = |error| SlotKeyError::Source {
        wrapping: wrapping.clone(),
        error,
    };
    let wrapped = wrapper.wrap(wrapping.key(), &key).await.map_err(failed)?;
    // With its version, where the source needs that.
    let named = Reference::new(wrapping.source().clone(), &wrapped.key);
    let named = named.map_err(|_| failed(SourceError::Malformed { what: "key" }))?;
    Ok(NewKey::Remote {
        wrapping: named,
        key,
        wrapped: wrapped.bytes,
    })
}

/// The key of a slot, which its source unwraps.
///
/// Errors: the slot is of another kind, the source wraps no keys, or fails.
pub async fn unwrap(source: &dyn Source, slot: &SlotInfo) -> Result<KeySource, SlotKeyError> {
    let SlotKind::Remote { wrapping, wrapped } = &slot.kind else {
        return Err(SlotKeyError::OtherSlot(slot.id));
    };
    let wrapper = source.key_wrapper();
    let wrapper = wrapper.ok_or_else(|| SlotKeyError::NoWrapper(wrapping.clone()))?;
    let key = wrapper.unwrap(wrapping.key(), wrapped).await;
    let key = key.map_err(|error| SlotKeyError::Source {
        wrapping: wrapping.clone(),
        error,
    })?;
    Ok(KeySource::Remote { slot: slot.id, key })
}

/// The key in a source that opens a slot. Errors: the slot is of another kind.
pub fn wrapping(slot: &SlotInfo) -> Result<&Reference, SlotKeyError> {
    match &slot.kind {
        SlotKind::Remote { wrapping, .. } => Ok(wrapping),
        _ => Err(SlotKeyError::OtherSlot(slot.id)),
    }
}

/// What opens a vault that nobody has open: the first slot of its file that the key
/// of the configuration opens, in whichever version.
///
/// Errors: there is no such slot, the file can't be read, the source wraps no keys,
/// or fails.
pub async fn key_of(
    files: &VaultFiles,
    source: &dyn Source,
    configured: &Reference,
) -> Result<KeySource, SlotKeyError> {
    let slots = Vault::slots_at(files)?;
    let slot = slots.iter().find(|slot| match &slot.kind {
        SlotKind::Remote { wrapping, .. } => is_of(wrapping, configured),
        _ => false,
    });
    let slot = slot.ok_or_else(|| SlotKeyError::NoSlot(configured.clone()))?;
    unwrap(source, slot).await
}

/// Whether it is that key, or a version of it: `NAME/VERSION`.
fn is_of(wrapping: &Reference, configured: &Reference) -> bool {
    let rest = wrapping.key().strip_prefix(configured.key());
    wrapping.source() == configured.source()
        && rest.is_some_and(|rest| {
            rest.is_empty()
                || rest
                    .strip_prefix('/')
                    .is_some_and(|version| !version.contains('/'))
        })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn a_slot_is_opened_by_the_key_that_is_configured_in_any_version_and_by_no_other() {
        for (slot, configured, expected) in [
            ("kv:master", "kv:master", true),
            ("kv:master/0123", "kv:master", true),
            ("kv:master/0123", "kv:master/0123", true),
            ("kv:master/0124", "kv:master/0123", false),
            ("kv:master-2", "kv:master", false),
            ("kv:master/0123/x", "kv:master", false),
            ("other:master", "kv:master", false),
            ("kv:other", "kv:master", false),
        ] {
            let slot: Reference = slot.parse().unwrap();
            let configured: Reference = configured.parse().unwrap();
            assert_eq!(is_of(&slot, &configured), expected, "{slot} {configured}");
        }
    }
}
