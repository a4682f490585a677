//! What opens the vault: slots, the wrapping key, the root key; and what is known
//! of the vault as a whole.
//!
//! Each act replaces the vault file once, and a new key file is on the disk before
//! the vault file that needs it. So whenever an act is interrupted, the vault opens
//! with the keys of before or with those of after.

use std::sync::Arc;

use uuid::Uuid;

use crate::audit::Act;
use crate::disk::Disk;
use crate::error::VaultError;
use crate::format::VaultFile;
use crate::identity::Actor;
use crate::items::RootKeyOf;
use crate::memory::{MemoryProtection, memory_protection};
use crate::seal::{Key, MasterKey, RootKey};
use crate::slots::{self, KeySource, MAX_PASSPHRASE_SLOTS, MAX_SLOTS, NewKey, Opener};
use crate::slots::{Slot, SlotHead, SlotInfo, SlotKind};
use crate::store::{self, VaultFiles};
use crate::vault::{Vault, file_system, seconds_now};

/// What is known of a vault as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultStatus {
    /// Random, for the vault's life.
    pub id: Uuid,
    /// How often the vault file was written.
    pub epoch: u64,
    /// The number of the wrapping key.
    pub wrap_epoch: u64,
    /// How many data keys it has sealed.
    pub wraps: u64,
    /// How many secrets there are.
    pub secrets: usize,
    /// How many versions they have together.
    pub versions: usize,
    /// How many named values there are.
    pub values: usize,
    /// How many slots there are.
    pub slots: usize,
    /// The length of the vault file in bytes.
    pub bytes: u64,
    /// How well this process protects what it holds open.
    pub memory: MemoryProtection,
}

impl Vault {
    /// What is known of the vault as a whole.
    pub fn status(&self) -> VaultStatus {
        let live = self.live();
        let (parts, summary) = (&live.parts, &live.summary);
        let versions = parts
            .secrets
            .values()
            .map(|secret| secret.info.versions.len());
        VaultStatus {
            id: summary.vault,
            epoch: summary.epoch,
            wrap_epoch: summary.wrap_epoch,
            wraps: summary.wraps,
            secrets: parts.secrets.len(),
            versions: versions.sum(),
            values: parts.values.len(),
            slots: summary.slots.len(),
            bytes: summary.bytes,
            memory: memory_protection(),
        }
    }

    /// The slots, by number.
    pub fn slots(&self) -> Vec<SlotInfo> {
        self.live().summary.slots.clone()
    }

    /// The slots of a vault file that nobody need have opened: what to ask of a
    /// source, to open the vault with it.
    ///
    /// Nothing of this is authenticated before the vault is opened, so it is a
    /// request: ask a source only if the operator's configuration names it, and
    /// that key of it. What it unwraps opens this vault's slot or nothing.
    ///
    /// Errors: the file is not there, others can read or write it, or it is not a
    /// vault file.
    pub fn slots_at(files: &VaultFiles) -> Result<Vec<SlotInfo>, VaultError> {
        Self::slots_on(&file_system(), files)
    }

    /// The same on another [`Disk`].
    pub fn slots_on(disk: &Arc<dyn Disk>, files: &VaultFiles) -> Result<Vec<SlotInfo>, VaultError> {
        let bytes = store::read_file(disk.as_ref(), &files.vault)?;
        let slots = VaultFile::slots_of(&bytes)?;
        let infos = slots.iter().map(Slot::info);
        Ok(infos.collect::<Result<_, _>>()?)
    }

    /// Adds a further way to open the vault.
    ///
    /// Blocks until it is on disk and in the audit trail; with a passphrase, for
    /// about a second more at the default cost. Errors: the key file exists, the
    /// credential is not there, the passphrase or its cost is out of bounds, there
    /// are too many slots, or a file can't be written. A key file that was made
    /// before another step failed is left where it is; it opens nothing.
    pub fn add_slot(&self, key: NewKey, actor: &Actor) -> Result<SlotInfo, VaultError> {
        has_room(&self.slots(), matches!(key, NewKey::Passphrase { .. }))?;
        // Before the lock: a passphrase takes its time.
        let (master, method) = slots::prepare(self.disk()?.as_ref(), &key)?;
        drop(key);
        self.change(|draft| {
            let file = &mut draft.file;
            let infos = file.slots.iter().map(Slot::info);
            let passphrase = method.parameters().is_some();
            has_room(&infos.collect::<Result<Vec<_>, _>>()?, passphrase)?;
            let head = SlotHead {
                id: file.next_slot,
                method: method.clone(),
                created: seconds_now(),
            };
            let slot = master.wrap(&file.vault, head, draft.root.get());
            let info = slot.info()?;
            file.slots.push(slot);
            file.next_slot = file.next_slot.saturating_add(1);
            Ok((actor.did(Act::SlotAdded).slot(info.id), info))
        })
    }

    /// Removes a slot: its key no longer opens the vault file. It still opens copies
    /// of the file that were made before, and the root key in them is that of the
    /// file now: [`rekey`](Self::rekey) if key and copy may be in wrong hands.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: there is no such
    /// slot, it is the last one, or a file can't be written.
    pub fn remove_slot(&self, slot: u64, actor: &Actor) -> Result<(), VaultError> {
        self.change(|draft| {
            let slots = &mut draft.file.slots;
            let at = slots.iter().position(|other| other.head.id == slot);
            let at = at.ok_or(VaultError::NoSuchSlot(slot))?;
            if slots.len() == 1 {
                return Err(VaultError::LastSlot);
            }
            slots.remove(at);
            Ok((actor.did(Act::SlotRemoved).slot(slot), ()))
        })
    }

    /// Seals all data keys with the next wrapping key. The vault does so by itself
    /// after 2^20 of them.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: a file can't be
    /// written.
    pub fn rewrap(&self, actor: &Actor) -> Result<(), VaultError> {
        self.change(|draft| {
            let root = draft.root.get();
            draft.file.rewrap(root)?;
            Ok((actor.did(Act::WrapKeyChanged), ()))
        })
    }

    /// Gives the vault a new root key: everything is sealed anew, with new data
    /// keys. Whoever has the old root key can't open what is written from here on.
    /// The audit trail's key stays.
    ///
    /// `keys` opens every slot, in any order. Blocks until it is on disk and in the
    /// audit trail; with passphrases, for about a second more for each. Errors: a
    /// slot's key is missing, a key opens no slot, or a file can't be read or
    /// written.
    pub fn rekey(&self, keys: Vec<KeySource>, actor: &Actor) -> Result<(), VaultError> {
        let disk = self.disk()?;
        let openers = keys.iter().map(|key| Opener::load(disk.as_ref(), key));
        let openers = openers.collect::<Result<Vec<_>, _>>()?;
        loop {
            // Before the lock: passphrases take their time.
            let (vault, slots) = {
                let writer = self.lock()?;
                (writer.file.vault, writer.file.slots.clone())
            };
            let masters = masters_of(&vault, &slots, &openers)?;
            let mut writer = self.lock()?;
            if writer.file.slots != slots {
                continue;
            }
            return self.change_locked(&mut writer, |draft| {
                let new = RootKey::new(Key::random(), vault);
                draft.file.reseal(draft.root.get(), &new)?;
                let pairs = draft.file.slots.iter_mut().zip(&masters);
                for (slot, master) in pairs {
                    *slot = master.wrap(&vault, slot.head.clone(), &new);
                }
                draft.root = RootKeyOf::New(new);
                Ok((actor.did(Act::VaultKeyChanged), ()))
            });
        }
    }

    /// A copy of the vault file under a root key of its own, with one slot that
    /// `key` opens: ciphertext, for [`restore`](Self::restore).
    ///
    /// Blocks until the act is in the audit trail. Errors: those of
    /// [`add_slot`](Self::add_slot), or the trail can't be written.
    pub fn backup(&self, key: NewKey, actor: &Actor) -> Result<Vec<u8>, VaultError> {
        let (master, method) = slots::prepare(self.disk()?.as_ref(), &key)?;
        drop(key);
        let writer = self.lock()?;
        let mut file = writer.file.clone();
        let new = file.give_root(&writer.root, &master, method)?;
        file.previous = writer.mac();
        let (bytes, mac) = file.encode(&new);
        let act = actor.did(Act::BackedUp).vault(file.epoch, mac);
        self.audit().append_administrative(act)?;
        Ok(bytes)
    }
}

impl VaultFile {
    /// Seals everything for a new root key, which one slot holds.
    pub(crate) fn give_root(
        &mut self,
        root: &RootKey,
        master: &MasterKey,
        method: slots::Method,
    ) -> Result<RootKey, VaultError> {
        let new = RootKey::new(Key::random(), self.vault);
        self.reseal(root, &new)?;
        let head = SlotHead {
            id: self.next_slot,
            method,
            created: seconds_now(),
        };
        self.slots = vec![master.wrap(&self.vault, head, &new)];
        self.next_slot = self.next_slot.saturating_add(1);
        Ok(new)
    }
}

/// The master key of each slot.
fn masters_of(
    vault: &[u8; 16],
    slots: &[Slot],
    openers: &[Opener<'_>],
) -> Result<Vec<MasterKey>, VaultError> {
    let mut used = vec![false; openers.len()];
    let (mut masters, mut missing) = (Vec::new(), Vec::new());
    for slot in slots {
        let mut found = None;
        for (opener, used) in openers.iter().zip(&mut used) {
            if let Some((master, _)) = opener.open(vault, slot)? {
                *used = true;
                found = Some(master);
                break;
            }
        }
        match found {
            Some(master) => masters.push(master),
            None => missing.push(slot.head.id),
        }
    }
    if !missing.is_empty() {
        return Err(VaultError::SlotsWithoutKey { slots: missing });
    }
    if used.contains(&false) {
        return Err(VaultError::KeyWithoutSlot);
    }
    Ok(masters)
}

fn has_room(slots: &[SlotInfo], passphrase: bool) -> Result<(), VaultError> {
    let is_passphrase = |slot: &&SlotInfo| matches!(slot.kind, SlotKind::Passphrase { .. });
    let passphrases = slots.iter().filter(is_passphrase).count();
    if slots.len() >= MAX_SLOTS || (passphrase && passphrases >= MAX_PASSPHRASE_SLOTS) {
        return Err(VaultError::TooManySlots {
            max: MAX_SLOTS,
            passphrases: MAX_PASSPHRASE_SLOTS,
        });
    }
    Ok(())
}
