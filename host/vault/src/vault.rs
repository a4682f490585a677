//! The vault: creating it, opening it, changing what is in it.
//!
//! Changes take one lock, write the file, write the audit trail, and only then
//! show; what is in force is read without a lock. So a change that fails half-way
//! is never seen by a policy.
//!
//! The changes themselves stand in `lifecycle.rs` (secrets), `clients.rs`,
//! `values.rs` and `master.rs` (what opens the vault).

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::{ArcSwap, Guard};
use jiff::Timestamp;
use keyward_names::{ExchangeId, GrantId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::audit::{self, AuditUnavailable, TrailError, TrailFile};
use crate::audit::{Act, Administrative, AuditTrail, Durability, FileStorage, TrailStorage};
use crate::clock::Clock;
use crate::contents::Item;
use crate::disk::{Disk, FileSystem};
use crate::error::VaultError;
use crate::format::{Damaged, TrailMark, VaultFile};
use crate::grants::{Grant, Grants};
use crate::guard::Watches;
use crate::identity::Actor;
use crate::items::{Draft, Held, RootKeyOf};
use crate::ledger::Ledger;
use crate::live::{Live, Revocations};
use crate::memory::{Scratch, burn_stack};
use crate::reach::RouteAddresses;
use crate::seal::{self, Key, RootKey};
use crate::slots::{self, KeySource, NewKey, Opener, SlotHead};
use crate::store::{Store, VaultFiles};
use crate::token::Tokens;

/// What comes of creating a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The key with which anyone can verify the audit trail
    /// ([`verify_trail`](crate::verify_trail)): C2SP signed-note's text. It is
    /// public; keep it where nobody who can change the trail can change it.
    pub verifier_key: String,
}

/// How a vault is opened.
pub struct Opening {
    /// What opens it.
    pub key: KeySource,
    /// When records of the audit trail count as written.
    pub durability: Durability,
}

/// The secrets, the named values, the grants in force, and the audit trail.
///
/// One process has a vault open at a time. Everything takes `&self`; share it in
/// an [`Arc`].
pub struct Vault {
    /// Shared with the watches, which outlive uses but not what the vault holds.
    pub(crate) live: Arc<ArcSwap<Live>>,
    pub(crate) watches: Watches,
    /// Tokens that were obtained for grants.
    pub(crate) tokens: Tokens,
    // Before `writer`, which has the lock: the trail is closed before another
    // process can open it.
    audit: AuditTrail,
    writer: Mutex<Writer>,
}

/// What changes of the vault need.
pub(crate) struct Writer {
    store: Store,
    pub(crate) root: RootKey,
    pub(crate) file: VaultFile,
    /// The MAC of the vault file as it is on disk.
    mac: [u8; 32],
    /// The item that holds the revocations.
    revocations: Uuid,
    /// Whether a change was written that the audit trail didn't take.
    unrecorded: bool,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

impl Vault {
    /// Makes a key file, an empty vault and its audit trail.
    ///
    /// Errors: one of the files or an audit trail exists (nothing is overwritten), or
    /// can't be written. A key file that was made before another step failed is left where
    /// it is.
    pub fn create(files: &VaultFiles) -> Result<Created, VaultError> {
        Self::create_from(files, &NewKey::KeyFile(files.key.clone()))
    }

    /// The same, with any key; `files.key` is not used.
    ///
    /// Errors: also those of [`add_slot`](Self::add_slot).
    pub fn create_from(files: &VaultFiles, key: &NewKey) -> Result<Created, VaultError> {
        Self::create_on(&file_system(), files, key)
    }

    /// The same on another [`Disk`]: for tests of what a disk can do, and for who
    /// keeps files in another way.
    pub fn create_on(
        disk: &Arc<dyn Disk>,
        files: &VaultFiles,
        key: &NewKey,
    ) -> Result<Created, VaultError> {
        let mut store = Store::lock(disk, &files.vault)?;
        if store.exists()? {
            return Err(VaultError::Exists {
                path: files.vault.clone(),
            });
        }
        let storage = trail_storage(disk, &files.audit)?;
        if has_trail(storage.as_ref())? {
            return Err(VaultError::Exists {
                path: files.audit.clone(),
            });
        }
        let (master, method) = slots::prepare(disk.as_ref(), key)?;
        let vault = seal::random();
        let root = RootKey::new(Key::random(), vault);
        let head = SlotHead {
            id: 1,
            method,
            created: seconds_now(),
        };
        let mut file = VaultFile {
            vault,
            epoch: 1,
            slots: vec![master.wrap(&vault, head, &root)],
            next_slot: 2,
            wrap_epoch: 1,
            wraps: 0,
            trail: TrailMark::of_a_new_trail(),
            previous: [0; 32],
            records: Vec::new(),
        };
        let seed = Key::random();
        file.put(&root, new_id(), &Item::AuditSeed(seed.bytes()))?;
        file.put(&root, new_id(), &Item::Revocations(Revocations::new()))?;

        // The vault file first: it has the trail's key. If this ends in between,
        // opening the vault starts the trail.
        let (bytes, mac) = file.encode(&root);
        store.replace(&bytes)?;
        let clock = Clock::system();
        let trail = open_trail(storage, &seed, vault, Durability::Strict, clock)?;
        let act = Administrative::new(Act::VaultCreated, "keyward", None).vault(1, mac);
        trail.append_administrative(act)?;
        Ok(Created {
            verifier_key: trail.verifier_key(),
        })
    }

    /// Opens a vault with its key file, and its audit trail, and locks both until
    /// it is dropped. No grants are in force until
    /// [`set_grants`](Self::set_grants).
    ///
    /// Errors: see [`VaultError`]. A wrong key and a damaged vault file give
    /// the same one.
    pub fn open(files: &VaultFiles, durability: Durability) -> Result<Self, VaultError> {
        let key = KeySource::KeyFile(files.key.clone());
        Self::open_from(files, Opening { key, durability })
    }

    /// The same, with any key; `files.key` is not used. With a passphrase, it
    /// blocks for about a second at the default cost.
    ///
    /// Errors: also, the passphrase needs more memory than there is.
    pub fn open_from(files: &VaultFiles, opening: Opening) -> Result<Self, VaultError> {
        Self::open_on(&file_system(), files, opening)
    }

    /// The same on another [`Disk`].
    pub fn open_on(
        disk: &Arc<dyn Disk>,
        files: &VaultFiles,
        opening: Opening,
    ) -> Result<Self, VaultError> {
        // The trail's directory is touched only once the vault file is believed.
        let storage = || trail_storage(disk, &files.audit);
        Self::open_storage(disk, files, opening, storage, Clock::system())
    }

    /// The same with the caller's storage for the audit trail, and another clock: a
    /// vault of a test, which touches no file. `files.audit` is not used.
    pub fn open_apart(
        disk: &Arc<dyn Disk>,
        files: &VaultFiles,
        opening: Opening,
        storage: Box<dyn TrailStorage>,
        clock: Clock,
    ) -> Result<Self, VaultError> {
        Self::open_storage(disk, files, opening, || Ok(storage), clock)
    }

    /// Opens it with its key file, and with the caller's storage for the audit
    /// trail; `files.audit` is not used.
    pub fn open_with(
        files: &VaultFiles,
        storage: Box<dyn TrailStorage>,
        durability: Durability,
    ) -> Result<Self, VaultError> {
        let key = KeySource::KeyFile(files.key.clone());
        let opening = Opening { key, durability };
        let clock = Clock::system();
        Self::open_storage(&file_system(), files, opening, || Ok(storage), clock)
    }

    fn open_storage(
        disk: &Arc<dyn Disk>,
        files: &VaultFiles,
        opening: Opening,
        storage: impl FnOnce() -> Result<Box<dyn TrailStorage>, VaultError>,
        clock: Clock,
    ) -> Result<Self, VaultError> {
        let store = Store::lock(disk, &files.vault)?;
        let bytes = store.read()?;
        let opener = Opener::load(disk.as_ref(), &opening.key)?;
        let (file, root, mac) = VaultFile::open(&bytes, &opener)?;
        drop(opener);
        drop(opening.key);
        let size = bytes.len() as u64;
        drop(bytes);
        let mut held = Held::open(&file, &root)?;
        held.parts.clock = clock.clone();

        let audit = open_trail(
            storage()?,
            &held.seed,
            file.vault,
            opening.durability,
            clock,
        )?;
        if audit.root_at(file.trail.size) != Some(file.trail.root) {
            return Err(VaultError::TrailDiffers {
                expected: file.trail.size,
                found: audit.size(),
            });
        }
        check_newest(&audit, &file, mac)?;
        let act = Administrative::new(Act::Opened, "keyward", None).vault(file.epoch, mac);
        audit.append_administrative(act)?;
        let live = Live::new(held.parts, file.summary(size)?);
        let writer = Writer {
            store,
            root,
            file,
            mac,
            revocations: held.revocations,
            unrecorded: false,
        };
        Ok(Self {
            live: Arc::new(ArcSwap::from_pointee(live)),
            watches: Watches::new(),
            tokens: Tokens::default(),
            audit,
            writer: Mutex::new(writer),
        })
    }

    /// Puts a set of grants in force, in place of the one before, at once: all of
    /// them but those that are revoked. A revocation stays even if the set has no
    /// such grant: a file that comes back must not bring back what was withdrawn.
    ///
    /// Blocks until the set's digest and what it changes are in the audit trail.
    /// Errors: a key would be used for both `mac-sign` and `sign-request`, or the
    /// trail can't be written. The set before stays in force then.
    pub fn set_grants(&self, grants: Grants, actor: &Actor) -> Result<(), VaultError> {
        self.put_in_force(grants, None, actor)
    }

    /// The same, and says where the routes lead. A value then goes only where a route
    /// led while its grant was as it is: a request that is still under way to where a
    /// route led before carries nothing that was granted later. Routes that are not
    /// in `routes` may lead anywhere, as after [`set_grants`](Self::set_grants)
    /// alone, which keeps what was said before.
    ///
    /// Blocks and fails as [`set_grants`](Self::set_grants) does.
    pub fn set_grants_toward(
        &self,
        grants: Grants,
        routes: RouteAddresses,
        actor: &Actor,
    ) -> Result<(), VaultError> {
        self.put_in_force(grants, Some(routes), actor)
    }

    /// Says where the routes lead from now on, under the grants that are in force.
    ///
    /// Waits for changes of the vault that are under way. Errors: an earlier change
    /// failed half-way, so that nothing changes any more.
    pub fn set_routes(&self, routes: RouteAddresses) -> Result<(), VaultError> {
        let _writer = self.lock()?;
        let live = self.live.load_full();
        let mut parts = live.parts.clone();
        let loaded = parts.loaded.clone().unwrap_or_else(Grants::none);
        parts.reach = parts.reach.with(&loaded, Some(routes));
        self.live
            .store(Arc::new(Live::new(parts, live.summary.clone())));
        Ok(())
    }

    fn put_in_force(
        &self,
        grants: Grants,
        routes: Option<RouteAddresses>,
        actor: &Actor,
    ) -> Result<(), VaultError> {
        if let Some(signer) = grants
            .iter()
            .find(|one| grants.also_makes_codes(one).is_some())
        {
            return Err(VaultError::TwoSigners {
                secret: signer.secret.clone(),
                use_: signer.use_(),
            });
        }
        // Held so that no change of the secrets is lost in between.
        let _writer = self.lock()?;
        let live = self.live.load_full();
        let mut parts = live.parts.clone();
        parts.reach = parts.reach.with(&grants, routes);
        parts.loaded = Some(grants);
        let next = parts.grants();
        let (added, removed) = next.changes_since(&live.grants);
        let act = actor.did(Act::GrantsLoaded);
        let act = act.grants(next.digest(), &added, &removed);
        self.audit.append_administrative(act)?;
        let first = live.parts.loaded.is_none();
        let live = Arc::new(Live::new(parts, live.summary.clone()));
        self.live.store(Arc::clone(&live));
        if first {
            self.watches.seed(&live);
        }
        Ok(())
    }

    /// Withdraws a grant, at once: nobody may use a secret by it, whatever the
    /// grants file says, until it is reinstated.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: the grants that
    /// were loaded have no such grant, or a file can't be written.
    pub fn revoke_grant(&self, grant: &GrantId, actor: &Actor) -> Result<(), VaultError> {
        self.change(|draft| {
            let loaded = draft.parts.loaded.as_ref();
            if loaded.is_some_and(|loaded| loaded.get(grant).is_none()) {
                return Err(VaultError::NoSuchGrant(grant.clone()));
            }
            let revoked = Arc::make_mut(&mut draft.parts.revoked);
            revoked.entry(grant.clone()).or_insert_with(seconds_now);
            draft.put_revocations()?;
            let digest = draft.parts.grants().digest();
            let gone = std::slice::from_ref(grant);
            Ok((actor.did(Act::GrantsRevoked).grants(digest, &[], gone), ()))
        })
    }

    /// Puts a revoked grant in force again.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: it is not
    /// revoked, or a file can't be written.
    pub fn reinstate_grant(&self, grant: &GrantId, actor: &Actor) -> Result<(), VaultError> {
        self.change(|draft| {
            if Arc::make_mut(&mut draft.parts.revoked)
                .remove(grant)
                .is_none()
            {
                return Err(VaultError::NotRevoked(grant.clone()));
            }
            draft.put_revocations()?;
            let digest = draft.parts.grants().digest();
            let back = std::slice::from_ref(grant);
            Ok((
                actor.did(Act::GrantsReinstated).grants(digest, back, &[]),
                (),
            ))
        })
    }

    /// The grants that are revoked, by id.
    pub fn revoked(&self) -> Vec<GrantId> {
        self.live.load().parts.revoked.keys().cloned().collect()
    }

    /// The grants in force now.
    pub fn grants(&self) -> Vec<Arc<Grant>> {
        self.live.load().grants.iter().cloned().collect()
    }

    /// The ledger of a new exchange.
    pub fn begin(&self, exchange: ExchangeId) -> Ledger {
        self.audit.begin(exchange)
    }

    /// How often each grant was used since the vault was opened, and what came of
    /// it; in no order. At most one for each grant and outcome.
    pub fn use_counts(&self) -> Vec<crate::UseCount> {
        self.audit.use_counts()
    }

    /// The audit trail.
    pub fn audit(&self) -> &AuditTrail {
        &self.audit
    }

    /// What is in force now.
    pub(crate) fn live(&self) -> Guard<Arc<Live>> {
        self.live.load()
    }

    /// Where its files are.
    pub(crate) fn disk(&self) -> Result<Arc<dyn Disk>, VaultError> {
        Ok(self.lock()?.store.disk())
    }

    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, Writer>, VaultError> {
        self.writer.lock().map_err(|_| VaultError::ReadOnly)
    }

    /// Makes one change: in the file, in the trail, in force. `make` says which act
    /// it was.
    pub(crate) fn change<T>(
        &self,
        make: impl FnOnce(&mut Draft) -> Result<(Administrative, T), VaultError>,
    ) -> Result<T, VaultError> {
        let mut writer = self.lock()?;
        self.change_locked(&mut writer, make)
    }

    pub(crate) fn change_locked<T>(
        &self,
        writer: &mut Writer,
        make: impl FnOnce(&mut Draft) -> Result<(Administrative, T), VaultError>,
    ) -> Result<T, VaultError> {
        if writer.unrecorded {
            return Err(VaultError::ReadOnly);
        }
        // The new file vouches for all that the trail has by now. Durable, so that
        // a crash can't leave a file that asks for more than there is.
        let (size, root) = self.audit.durable_anchor().ok_or(AuditUnavailable)?;
        let mut draft = Draft {
            file: writer.file.clone(),
            root: RootKeyOf::Before(&writer.root),
            revocations: writer.revocations,
            parts: self.live.load().parts.clone(),
        };
        let (act, result) = make(&mut draft)?;
        let Draft {
            mut file,
            root: new_root,
            parts,
            ..
        } = draft;
        file.epoch = file.epoch.saturating_add(1);
        file.previous = writer.mac;
        file.trail = TrailMark { size, root };
        let (bytes, mac) = file.encode(new_root.get());
        let summary = file.summary(bytes.len() as u64)?;
        writer.store.replace(&bytes)?;
        drop(bytes);

        // From here on the file has the change. Until the trail has it too, it is
        // not in force and nothing else is changed.
        let new_root = new_root.into_new();
        writer.file = file;
        writer.mac = mac;
        if let Some(new_root) = new_root {
            writer.root = new_root;
        }
        writer.unrecorded = true;
        let act = act.vault(writer.file.epoch, writer.mac);
        self.audit.append_administrative(act)?;
        writer.unrecorded = false;
        self.live.store(Arc::new(Live::new(parts, summary)));
        Ok(result)
    }
}

/// Whether a vault file is the one that the trail saw last, or the one after it: if
/// power was lost between the two writes of a change, the file is one ahead.
pub(crate) fn check_newest(
    audit: &AuditTrail,
    file: &VaultFile,
    mac: [u8; 32],
) -> Result<(), VaultError> {
    let Some(seen) = audit.last_vault() else {
        return Ok(());
    };
    let (file_epoch, trail) = (file.epoch, seen.epoch);
    if file_epoch < trail {
        return Err(VaultError::RolledBack {
            file: file_epoch,
            trail,
        });
    }
    let is_it = file_epoch == trail && mac == seen.mac;
    let is_next = file_epoch.checked_sub(1) == Some(trail) && file.previous == seen.mac;
    if is_it || is_next {
        return Ok(());
    }
    Err(VaultError::FileDiffers {
        file: file_epoch,
        trail,
    })
}

impl Writer {
    /// The MAC of the vault file as it is on disk.
    pub(crate) const fn mac(&self) -> [u8; 32] {
        self.mac
    }

    /// An item's bytes.
    pub(crate) fn open(&self, id: Uuid) -> Result<Scratch, Damaged> {
        self.file.open_item(&self.root, id)
    }
}

pub(crate) fn file_system() -> Arc<dyn Disk> {
    Arc::new(FileSystem)
}

pub(crate) fn trail_storage(
    disk: &Arc<dyn Disk>,
    directory: &Path,
) -> Result<Box<dyn TrailStorage>, VaultError> {
    let storage = FileStorage::open_on(Arc::clone(disk), directory).map_err(audit::open_error)?;
    Ok(Box::new(storage))
}

/// Whether there is a trail in a storage, or what is left of one: a vault that was
/// written beside entries without a checkpoint could not be opened.
pub(crate) fn has_trail(storage: &dyn TrailStorage) -> Result<bool, VaultError> {
    for file in [TrailFile::Checkpoint]
        .into_iter()
        .chain(audit::FIRST_FILES)
    {
        let found = storage.exists(file);
        if found.map_err(|source| TrailError::file(file, source))? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(crate) fn open_trail(
    storage: Box<dyn TrailStorage>,
    seed: &Key,
    vault: [u8; 16],
    durability: Durability,
    clock: Clock,
) -> Result<AuditTrail, VaultError> {
    /// Has the copies of the seed on a part of the stack that is wiped after it.
    #[inline(never)]
    fn open(
        storage: Box<dyn TrailStorage>,
        seed: &Key,
        origin: &str,
        durability: Durability,
        clock: Clock,
    ) -> Result<AuditTrail, TrailError> {
        let mut copy = Zeroizing::new([0; 32]);
        copy.copy_from_slice(seed.bytes());
        let now = move || u64::try_from(clock.now().as_millisecond()).unwrap_or(0);
        AuditTrail::open_at(storage, copy, origin, durability, Box::new(now))
    }
    let origin = format!("keyward/{}", Uuid::from_bytes(vault));
    let opened = open(storage, seed, &origin, durability, clock);
    burn_stack();
    Ok(opened?)
}

/// A fresh UUID of version 4: random but for the six bits that say so.
pub(crate) fn new_id() -> Uuid {
    uuid::Builder::from_random_bytes(seal::random()).into_uuid()
}

pub(crate) fn seconds_now() -> u64 {
    seconds_of(Timestamp::now())
}

/// Seconds since 1970; what lies before counts as 0.
pub(crate) fn seconds_of(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or(0)
}

impl From<Damaged> for VaultError {
    fn from(Damaged: Damaged) -> Self {
        Self::Unreadable
    }
}
