//! When vault file and audit trail don't agree, on purpose: an older file was put
//! back, or a backup is restored.
//!
//! Both are acts in the trail, and they are there before the vault file is: a
//! rollback that nobody recorded can't be opened. Only a trail that begins with the
//! restored vault comes after it: the vault file has its key.

use std::sync::Arc;

use keyward_names::SecretName;

use crate::audit::{Act, Durability};
use crate::clock::Clock;
use crate::contents::Item;
use crate::disk::Disk;
use crate::error::VaultError;
use crate::format::{TrailMark, VaultFile};
use crate::identity::Actor;
use crate::items::Held;
use crate::seal::Key;
use crate::slots::{self, KeySource, NewKey, Opener};
use crate::store::{Store, VaultFiles};
use crate::vault::{Vault, file_system, has_trail, open_trail, trail_storage};

/// What comes of restoring a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The epoch of the backup.
    pub backup_epoch: u64,
    /// The vault's epoch now: more than the trail had ever seen.
    pub epoch: u64,
    /// Whether a new trail was begun, because there was none.
    pub new_trail: bool,
    /// The key with which anyone can verify the audit trail: another one than
    /// before, if the trail is new.
    pub verifier_key: String,
    /// The secrets that it holds.
    pub secrets: Vec<SecretName>,
}

/// What comes of accepting a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The epoch of the vault file as it was found.
    pub file_epoch: u64,
    /// The newest epoch that the trail had seen, if it had any record.
    pub trail_epoch: Option<u64>,
    /// The vault's epoch now: more than both.
    pub epoch: u64,
    /// Whether the trail was not the one that the vault file spoke of.
    pub trail_differed: bool,
}

impl Vault {
    /// Accepts a vault file that is older than its audit trail
    /// ([`VaultError::RolledBack`]), or a trail that is not the one that the file
    /// speaks of ([`VaultError::TrailDiffers`]), and brings the two together. The
    /// act is in the trail before the file is written.
    ///
    /// Errors: those of [`open`](Self::open); also, the two agree already.
    pub fn accept_rollback(
        files: &VaultFiles,
        key: KeySource,
        actor: &Actor,
    ) -> Result<Accepted, VaultError> {
        Self::accept_rollback_on(&file_system(), files, key, actor)
    }

    /// The same on another [`Disk`].
    pub fn accept_rollback_on(
        disk: &Arc<dyn Disk>,
        files: &VaultFiles,
        key: KeySource,
        actor: &Actor,
    ) -> Result<Accepted, VaultError> {
        let mut store = Store::lock(disk, &files.vault)?;
        let bytes = store.read()?;
        let opener = Opener::load(disk.as_ref(), &key)?;
        let (mut file, root, mac) = VaultFile::open(&bytes, &opener)?;
        drop(opener);
        drop((bytes, key));
        let held = Held::open(&file, &root)?;
        let storage = trail_storage(disk, &files.audit)?;
        let audit = open_trail(
            storage,
            &held.seed,
            file.vault,
            Durability::Strict,
            Clock::system(),
        )?;

        let trail_differed = audit.root_at(file.trail.size) != Some(file.trail.root);
        let trail_epoch = audit.last_vault_epoch();
        if !trail_differed && trail_epoch.is_none_or(|trail| trail <= file.epoch) {
            return Err(VaultError::NothingToAccept);
        }
        let file_epoch = file.epoch;
        let (size, trail_root) = audit.anchor();
        file.epoch = file_epoch.max(trail_epoch.unwrap_or(0)).saturating_add(1);
        file.previous = mac;
        file.trail = TrailMark {
            size,
            root: trail_root,
        };
        let (bytes, mac) = file.encode(&root);
        let act = actor.did(Act::RollbackAccepted).vault(file.epoch, mac);
        audit.append_administrative(act)?;
        store.replace(&bytes)?;
        Ok(Accepted {
            file_epoch,
            trail_epoch,
            epoch: file.epoch,
            trail_differed,
        })
    }

    /// Makes a vault from a [`backup`](Self::backup), under a new root key and with
    /// one slot. A vault file that is there is not overwritten.
    ///
    /// An audit trail that is there is continued: it must hold what the backup says
    /// of it. Without one, a new trail begins, with a new key, so that nobody can
    /// take it for the old one.
    ///
    /// Errors: `key` doesn't open the backup, the vault file exists, those of
    /// [`add_slot`](Self::add_slot) and of [`open`](Self::open). A key file that was
    /// made before another step failed is left where it is.
    pub fn restore(
        files: &VaultFiles,
        backup: &[u8],
        key: KeySource,
        new_key: NewKey,
        actor: &Actor,
    ) -> Result<Restored, VaultError> {
        Self::restore_on(&file_system(), files, backup, key, new_key, actor)
    }

    /// The same on another [`Disk`].
    pub fn restore_on(
        disk: &Arc<dyn Disk>,
        files: &VaultFiles,
        backup: &[u8],
        key: KeySource,
        new_key: NewKey,
        actor: &Actor,
    ) -> Result<Restored, VaultError> {
        let mut store = Store::lock(disk, &files.vault)?;
        if store.exists()? {
            return Err(VaultError::Exists {
                path: files.vault.clone(),
            });
        }
        let opener = Opener::load(disk.as_ref(), &key)?;
        let (mut file, root, mac) = VaultFile::open(backup, &opener)?;
        drop(opener);
        drop(key);
        let held = Held::open(&file, &root)?;
        let (master, method) = slots::prepare(disk.as_ref(), &new_key)?;
        drop(new_key);

        let storage = trail_storage(disk, &files.audit)?;
        let backup_epoch = file.epoch;
        file.previous = mac;
        let new_trail = !has_trail(storage.as_ref())?;
        let audit = if new_trail {
            let seed = Key::random();
            file.put(&root, held.seed_item, &Item::AuditSeed(seed.bytes()))?;
            let new = file.give_root(&root, &master, method)?;
            file.epoch = backup_epoch.saturating_add(1);
            file.trail = TrailMark::of_a_new_trail();
            let (bytes, mac) = file.encode(&new);
            // The vault file first: it alone has the new trail's key. If this ends
            // in between, opening the vault starts the trail.
            store.replace(&bytes)?;
            let audit = open_trail(
                storage,
                &seed,
                file.vault,
                Durability::Strict,
                Clock::system(),
            )?;
            audit.append_administrative(actor.did(Act::Restored).vault(file.epoch, mac))?;
            audit
        } else {
            let audit = open_trail(
                storage,
                &held.seed,
                file.vault,
                Durability::Strict,
                Clock::system(),
            )?;
            if audit.root_at(file.trail.size) != Some(file.trail.root) {
                return Err(VaultError::TrailDiffers {
                    expected: file.trail.size,
                    found: audit.size(),
                });
            }
            let new = file.give_root(&root, &master, method)?;
            let trail_epoch = audit.last_vault_epoch().unwrap_or(0);
            file.epoch = backup_epoch.max(trail_epoch).saturating_add(1);
            let (size, trail_root) = audit.anchor();
            file.trail = TrailMark {
                size,
                root: trail_root,
            };
            let (bytes, mac) = file.encode(&new);
            audit.append_administrative(actor.did(Act::Restored).vault(file.epoch, mac))?;
            store.replace(&bytes)?;
            audit
        };
        Ok(Restored {
            backup_epoch,
            epoch: file.epoch,
            new_trail,
            verifier_key: audit.verifier_key(),
            secrets: held.parts.secrets.keys().cloned().collect(),
        })
    }
}
