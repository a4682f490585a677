//! `vault.*`

use keyward::sources::SourceError;
use keyward::vault::{Actor, KeySource, NewKey, Reference, SlotInfo, Vault, VaultError};

use super::super::answers::{Fault, FaultCode, Removed, SlotEntry, VaultEntry};
use super::super::request::Request;
use super::sources::{no_source, wait};
use super::{Node, Reply, Values, misrouted};
use crate::slot_keys::{self, SlotKeyError};

pub(super) fn execute(
    request: Request,
    mut values: Values,
    node: &dyn Node,
    actor: &Actor,
) -> Result<Reply, Fault> {
    let vault = node.vault();
    match request {
        Request::VaultStatus {} => Reply::data(status(vault)),
        Request::VaultSlots {} => Reply::data(slots(vault)),
        Request::VaultSlotAdd { key } => {
            let info =
                vault.add_slot(key.read(|| values.next(), |key| wrapped(node, key))?, actor)?;
            Reply::data(SlotEntry::from(&info))
        }
        Request::VaultSlotRemove { slot } => {
            vault.remove_slot(slot, actor)?;
            Reply::data(Removed {
                removed: format!("slot {slot}"),
            })
        }
        Request::VaultRewrap {} => {
            vault.rewrap(actor)?;
            Reply::data(status(vault))
        }
        Request::VaultRekey { keys } => {
            let slots = vault.slots();
            let unwrapped = |slot| unwrapped(node, &slots, slot);
            let keys = keys
                .into_iter()
                .map(|key| key.read(|| values.next(), unwrapped));
            vault.rekey(keys.collect::<Result<_, _>>()?, actor)?;
            Reply::data(status(vault))
        }
        Request::VaultBackup { key } => {
            let bytes =
                vault.backup(key.read(|| values.next(), |key| wrapped(node, key))?, actor)?;
            let mut reply = Reply::data(status(vault))?;
            reply.bytes = Some(bytes);
            Ok(reply)
        }
        other => Err(misrouted(&other)),
    }
}

/// A new key that a source has wrapped.
fn wrapped(node: &dyn Node, wrapping: &Reference) -> Result<NewKey, Fault> {
    let source = node.source(wrapping.source());
    let source = source.map_err(|_| no_source(wrapping.source()))?;
    wait(slot_keys::wrap(source.as_ref(), wrapping))?.map_err(|error| fault(&error))
}

/// The key of a slot, which its source unwraps.
fn unwrapped(node: &dyn Node, slots: &[SlotInfo], slot: u64) -> Result<KeySource, Fault> {
    let found = slots.iter().find(|info| info.id == slot);
    let found = found.ok_or(VaultError::NoSuchSlot(slot))?;
    let wrapping = slot_keys::wrapping(found).map_err(|error| fault(&error))?;
    let source = node.source(wrapping.source());
    let source = source.map_err(|_| no_source(wrapping.source()))?;
    wait(slot_keys::unwrap(source.as_ref(), found))?.map_err(|error| fault(&error))
}

fn fault(error: &SlotKeyError) -> Fault {
    match error {
        SlotKeyError::Source { error, .. } if error.is_transient() => {
            Fault::of(FaultCode::Unavailable, words(error))
        }
        SlotKeyError::Source { error, .. } => Fault::refused(words(error)),
        other => Fault::refused(other),
    }
}

fn words(error: &SourceError) -> String {
    format!("{error}; {}", error.advice())
}

fn slots(vault: &Vault) -> Vec<SlotEntry> {
    vault.slots().iter().map(SlotEntry::from).collect()
}

fn status(vault: &Vault) -> VaultEntry {
    let status = vault.status();
    VaultEntry {
        id: status.id.to_string(),
        epoch: status.epoch,
        wrap_epoch: status.wrap_epoch,
        wraps: status.wraps,
        secrets: count(status.secrets),
        versions: count(status.versions),
        values: count(status.values),
        slots: count(status.slots),
        bytes: count(status.bytes),
        memory: status.memory.to_string(),
    }
}

fn count(number: impl TryInto<u64>) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}
