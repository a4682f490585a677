//! The vault's items: opened when the vault is, and a change in the making.

use std::sync::Arc;

use keyward_names::SecretName;
use uuid::Uuid;

use crate::clock::Clock;
use crate::contents::{self, Item};
use crate::error::VaultError;
use crate::format::{Damaged, VaultFile};
use crate::live::{LiveSecret, Parts, Revocations, Secrets, Summary, Values};
use crate::memory::Scratch;
use crate::reach::Reach;
use crate::seal::{Key, Place, RootKey, WrappingKey};
use crate::values::ValueInfo;

/// How many data keys one wrapping key seals before another takes its place. Far
/// below where random 96-bit nonces could meet.
const WRAPS_PER_KEY: u64 = 1 << 20;

/// The root key of a change: as it was, or another.
pub(crate) enum RootKeyOf<'a> {
    Before(&'a RootKey),
    New(RootKey),
}

impl RootKeyOf<'_> {
    pub(crate) fn get(&self) -> &RootKey {
        match self {
            Self::Before(root) => root,
            Self::New(root) => root,
        }
    }

    pub(crate) fn into_new(self) -> Option<RootKey> {
        match self {
            Self::Before(_) => None,
            Self::New(root) => Some(root),
        }
    }
}

/// A change in the making: the file and what will be in force.
pub(crate) struct Draft<'a> {
    pub(crate) file: VaultFile,
    pub(crate) root: RootKeyOf<'a>,
    /// The item that holds the revocations.
    pub(crate) revocations: Uuid,
    pub(crate) parts: Parts,
}

impl Draft<'_> {
    /// A secret that is there.
    pub(crate) fn secret(&self, name: &SecretName) -> Result<Arc<LiveSecret>, VaultError> {
        let found = self.parts.secrets.get(name).cloned();
        found.ok_or_else(|| VaultError::NoSuchSecret(name.clone()))
    }

    /// An item's bytes.
    pub(crate) fn open(&self, id: Uuid) -> Result<Scratch, Damaged> {
        self.file.open_item(self.root.get(), id)
    }

    /// Puts an item into the file, in place of the one with its id.
    pub(crate) fn put(&mut self, id: Uuid, item: &Item<'_>) -> Result<(), Damaged> {
        self.file.put(self.root.get(), id, item)
    }

    /// Takes an item out of the file.
    pub(crate) fn take_out(&mut self, id: Uuid) {
        if let Ok(at) = self.file.position(id.as_bytes()) {
            self.file.records.remove(at);
        }
    }

    /// Writes the revocations as they will be in force.
    pub(crate) fn put_revocations(&mut self) -> Result<(), Damaged> {
        let revoked = Revocations::clone(&self.parts.revoked);
        self.put(self.revocations, &Item::Revocations(revoked))
    }
}

impl VaultFile {
    /// An item's bytes.
    pub(crate) fn open_item(&self, root: &RootKey, id: Uuid) -> Result<Scratch, Damaged> {
        let at = self.position(id.as_bytes()).map_err(|_| Damaged)?;
        let record = self.records.get(at).ok_or(Damaged)?;
        contents::open(record, &self.vault, &root.wrapping(self.wrap_epoch))
    }

    /// Seals an item under a new data key, in place of the one with its id.
    pub(crate) fn put(&mut self, root: &RootKey, id: Uuid, item: &Item<'_>) -> Result<(), Damaged> {
        if self.wraps >= WRAPS_PER_KEY {
            self.rewrap(root)?;
        }
        self.wraps = self.wraps.saturating_add(1);
        let item_id = *id.as_bytes();
        let at = self.position(&item_id);
        let before = at.ok().and_then(|at| self.records.get(at));
        let place = Place {
            item: item_id,
            revision: before.map_or(1, |record| record.place.revision.saturating_add(1)),
        };
        let wrapping = root.wrapping(self.wrap_epoch);
        let record = contents::seal(&item.encode(), &self.vault, place, &wrapping);
        match at {
            Ok(at) => self.records[at] = Arc::new(record),
            Err(at) => self.records.insert(at, Arc::new(record)),
        }
        Ok(())
    }

    /// Seals all data keys with the next wrapping key; the contents stay as they
    /// are.
    pub(crate) fn rewrap(&mut self, root: &RootKey) -> Result<(), Damaged> {
        let next = self.wrap_epoch.saturating_add(1);
        let (from, to) = (root.wrapping(self.wrap_epoch), root.wrapping(next));
        for record in &mut self.records {
            *record = Arc::new(contents::rewrap(record, &from, &to)?);
        }
        self.wrap_epoch = next;
        self.wraps = self.records.len() as u64;
        Ok(())
    }

    /// Seals everything anew for another root key: new data keys, and the first
    /// wrapping key.
    pub(crate) fn reseal(&mut self, from: &RootKey, to: &RootKey) -> Result<(), Damaged> {
        let from: WrappingKey = from.wrapping(self.wrap_epoch);
        let to = to.wrapping(1);
        for record in &mut self.records {
            let plaintext = contents::open(record, &self.vault, &from)?;
            *record = Arc::new(contents::seal(&plaintext, &self.vault, record.place, &to));
        }
        self.wrap_epoch = 1;
        self.wraps = self.records.len() as u64;
        Ok(())
    }

    /// What is known of the file, which is `bytes` long.
    pub(crate) fn summary(&self, bytes: u64) -> Result<Summary, Damaged> {
        let slots = self.slots.iter().map(|slot| slot.info());
        Ok(Summary {
            vault: Uuid::from_bytes(self.vault),
            epoch: self.epoch,
            wrap_epoch: self.wrap_epoch,
            wraps: self.wraps,
            slots: slots.collect::<Result<_, _>>()?,
            bytes,
        })
    }
}

/// What the items of a vault file hold, opened.
pub(crate) struct Held {
    pub(crate) parts: Parts,
    /// The item that holds the revocations.
    pub(crate) revocations: Uuid,
    /// The item that holds the seed.
    pub(crate) seed_item: Uuid,
    pub(crate) seed: Key,
}

impl Held {
    /// Opens every record of a file that has been verified.
    pub(crate) fn open(file: &VaultFile, root: &RootKey) -> Result<Self, Damaged> {
        let wrapping = root.wrapping(file.wrap_epoch);
        let (mut secrets, mut values) = (Secrets::new(), Values::new());
        let (mut revoked, mut audit_seed) = (None, None);
        for record in &file.records {
            let id = Uuid::from_bytes(record.place.item);
            let plaintext = contents::open(record, &file.vault, &wrapping)?;
            // No name stands twice, and there is one of each of the other two.
            let twice = match Item::decode(&plaintext)? {
                Item::Secret(stored) => {
                    let secret = Arc::new(LiveSecret::prepare(id, &stored, None)?);
                    secrets.insert(stored.name, secret).is_some()
                }
                Item::Value(stored) => {
                    let value = Arc::new(ValueInfo::prepare(id, stored)?);
                    values.insert(value.name.clone(), value).is_some()
                }
                Item::Revocations(grants) => revoked.replace((id, grants)).is_some(),
                Item::AuditSeed(seed) => {
                    let seed = Key::copy_of(seed)?;
                    audit_seed.replace((id, seed)).is_some()
                }
            };
            if twice {
                return Err(Damaged);
            }
        }
        let (revocations, revoked) = revoked.ok_or(Damaged)?;
        let (seed_item, seed) = audit_seed.ok_or(Damaged)?;
        Ok(Self {
            parts: Parts {
                secrets: Arc::new(secrets),
                values: Arc::new(values),
                revoked: Arc::new(revoked),
                loaded: None,
                reach: Reach::default(),
                clock: Clock::system(),
            },
            revocations,
            seed_item,
            seed,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use crate::format::TrailMark;

    const VAULT: [u8; 16] = [5; 16];

    /// A file with a seed and revocations, and the root key that opens it.
    fn file() -> (VaultFile, RootKey, [Uuid; 2]) {
        let root = RootKey::new(Key::random(), VAULT);
        let mut file = VaultFile {
            vault: VAULT,
            epoch: 1,
            slots: Vec::new(),
            next_slot: 1,
            wrap_epoch: 1,
            wraps: 0,
            trail: TrailMark::of_a_new_trail(),
            previous: [0; 32],
            records: Vec::new(),
        };
        let ids = [1, 2].map(|byte| Uuid::from_bytes([byte; 16]));
        file.put(&root, ids[0], &Item::AuditSeed(&[9; 32])).unwrap();
        let none = Revocations::new();
        file.put(&root, ids[1], &Item::Revocations(none)).unwrap();
        (file, root, ids)
    }

    #[test]
    fn each_change_of_an_item_is_a_revision_under_a_data_key_of_its_own() {
        let (mut file, root, ids) = file();
        let before = Arc::clone(&file.records[0]);
        file.put(&root, ids[0], &Item::AuditSeed(&[9; 32])).unwrap();
        let after = &file.records[0];
        assert_eq!((before.place.revision, after.place.revision), (1, 2));
        assert_ne!(before.contents, after.contents);
        assert_eq!((file.wraps, file.records.len()), (3, 2));
        // The sealed parts of the one are not those of the other.
        let mut mixed = file.clone();
        Arc::make_mut(&mut mixed.records[0]).contents = before.contents.clone();
        assert!(Held::open(&mixed, &root).is_err());
        let mut mixed = file.clone();
        mixed.records[0] = before;
        // Genuine as a whole, though older: the MAC over the file is what tells.
        assert!(Held::open(&mixed, &root).is_ok());
    }

    #[test]
    fn a_wrapping_key_that_has_sealed_enough_gives_way_to_the_next() {
        let (mut file, root, ids) = file();
        file.wraps = WRAPS_PER_KEY - 1;
        file.put(&root, ids[0], &Item::AuditSeed(&[8; 32])).unwrap();
        assert_eq!((file.wrap_epoch, file.wraps), (1, WRAPS_PER_KEY));
        file.put(&root, ids[0], &Item::AuditSeed(&[7; 32])).unwrap();
        assert_eq!((file.wrap_epoch, file.wraps), (2, 3));
        assert_eq!(*Held::open(&file, &root).unwrap().seed.bytes(), [7; 32]);
    }

    #[test]
    fn a_new_root_key_seals_everything_anew() {
        let (mut file, root, _) = file();
        let before = file.clone();
        let new = RootKey::new(Key::random(), VAULT);
        file.reseal(&root, &new).unwrap();
        assert!(Held::open(&file, &root).is_err());
        assert_eq!(*Held::open(&file, &new).unwrap().seed.bytes(), [9; 32]);
        for (old, new) in before.records.iter().zip(&file.records) {
            assert_eq!(old.place, new.place);
            assert_ne!(old.contents, new.contents);
        }
    }

    #[test]
    fn a_file_has_one_seed_and_one_list_of_revocations() {
        let (mut file, root, ids) = file();
        let third = Uuid::from_bytes([3; 16]);
        let mut twice = file.clone();
        twice.put(&root, third, &Item::AuditSeed(&[1; 32])).unwrap();
        assert!(Held::open(&twice, &root).is_err());
        let mut twice = file.clone();
        let none = Revocations::new();
        twice.put(&root, third, &Item::Revocations(none)).unwrap();
        assert!(Held::open(&twice, &root).is_err());
        assert!(Held::open(&file, &root).is_ok());
        let at = file.position(ids[0].as_bytes()).unwrap();
        file.records.remove(at);
        assert!(Held::open(&file, &root).is_err());
    }
}
