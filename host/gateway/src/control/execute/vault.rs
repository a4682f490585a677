//! `vault.*`

use keyward::vault::{Actor, Vault};

use super::super::answers::{Fault, Removed, SlotEntry, VaultEntry};
use super::super::request::Request;
use super::{Reply, Values, misrouted};

pub(super) fn execute(
    request: Request,
    mut values: Values,
    vault: &Vault,
    actor: &Actor,
) -> Result<Reply, Fault> {
    match request {
        Request::VaultStatus {} => Reply::data(status(vault)),
        Request::VaultSlots {} => Reply::data(slots(vault)),
        Request::VaultSlotAdd { key } => {
            let info = vault.add_slot(key.read(|| values.next())?, actor)?;
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
            let keys = keys.into_iter().map(|key| key.read(|| values.next()));
            vault.rekey(keys.collect::<Result<_, _>>()?, actor)?;
            Reply::data(status(vault))
        }
        Request::VaultBackup { key } => {
            let bytes = vault.backup(key.read(|| values.next())?, actor)?;
            let mut reply = Reply::data(status(vault))?;
            reply.bytes = Some(bytes);
            Ok(reply)
        }
        other => Err(misrouted(&other)),
    }
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
