//! The vault: creating it, opening it, changing what is in it.
//!
//! Changes take one lock, write the file, write the audit trail, and only then
//! show; what is in force is read without a lock. So a change that fails half-way
//! is never seen by a policy.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, Guard};
use jiff::Timestamp;
use keyward_names::{ExchangeId, SecretName};
use uuid::Uuid;

use crate::audit::{self, AuditUnavailable};
use crate::audit::{Act, Administrative, AuditTrail, Durability, FileStorage, TrailStorage};
use crate::contents::{self, Contents};
use crate::disk::{Disk, FileSystem};
use crate::error::VaultError;
use crate::format::{Damaged, TrailMark, VaultFile};
use crate::grants::{Grant, Grants, Terms};
use crate::identity::{Actor, SecretInfo};
use crate::kind::Kind;
use crate::ledger::Ledger;
use crate::live::{Live, LiveSecret, Secrets, Version};
use crate::seal::{self, Key, MasterKey, Place, RootKey};
use crate::secret::Secret;
use crate::store::{self, Store, VaultFiles};

/// How many data keys one wrapping key seals before another takes its place. Far
/// below where random 96-bit nonces could meet.
const WRAPS_PER_KEY: u64 = 1 << 20;

/// What comes of creating a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The key with which anyone can verify the audit trail
    /// ([`verify_trail`](crate::verify_trail)): C2SP signed-note's text. It is
    /// public; keep it where nobody who can change the trail can change it.
    pub verifier_key: String,
}

/// The secrets, the grants in force, and the audit trail.
///
/// One process has a vault open at a time. Everything takes `&self`; share it in
/// an [`Arc`].
pub struct Vault {
    live: ArcSwap<Live>,
    // Before `writer`, which has the lock: the trail is closed before another
    // process can open it.
    audit: AuditTrail,
    writer: Mutex<Writer>,
}

/// What changes of the vault need.
struct Writer {
    store: Store,
    root: RootKey,
    file: VaultFile,
    /// The MAC of the vault file as it is on disk.
    mac: [u8; 32],
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
    /// Errors: one of the files exists (nothing is overwritten), or can't be
    /// written. A key file that was made before another step failed is left where
    /// it is.
    pub fn create(files: &VaultFiles) -> Result<Created, VaultError> {
        Self::create_on(&file_system(), files)
    }

    /// The same on another [`Disk`]: for tests of what a disk can do, and for who
    /// keeps files in another way.
    pub fn create_on(disk: &Arc<dyn Disk>, files: &VaultFiles) -> Result<Created, VaultError> {
        let mut store = Store::lock(disk, &files.vault)?;
        if store.exists()? {
            return Err(VaultError::Exists {
                path: files.vault.clone(),
            });
        }
        let master = MasterKey(Key::random());
        store::create_key(disk.as_ref(), &files.key, &master)?;

        let vault = seal::random();
        let root = RootKey::new(Key::random(), vault);
        let trail = open_trail(
            trail_storage(disk, &files.audit)?,
            &root,
            vault,
            Durability::Strict,
        )?;
        let (size, trail_root) = trail.anchor();
        let file = VaultFile {
            vault,
            epoch: 1,
            slot: master.wrap(&vault, &root),
            wrap_epoch: 1,
            wraps: 0,
            trail: TrailMark {
                size,
                root: trail_root,
            },
            previous: [0; 32],
            records: Vec::new(),
        };
        let (bytes, mac) = file.encode(&root);
        store.replace(&bytes)?;
        let act = Administrative::new(Act::VaultCreated, "keyward", None).vault(1, mac);
        trail.append_administrative(act)?;
        Ok(Created {
            verifier_key: trail.verifier_key(),
        })
    }

    /// Opens a vault and its audit trail, and locks both until it is dropped. No
    /// grants are in force until [`set_grants`](Self::set_grants).
    ///
    /// Errors: see [`VaultError`]. A wrong key file and a damaged vault file give
    /// the same one.
    pub fn open(files: &VaultFiles, durability: Durability) -> Result<Self, VaultError> {
        Self::open_on(&file_system(), files, durability)
    }

    /// The same on another [`Disk`].
    pub fn open_on(
        disk: &Arc<dyn Disk>,
        files: &VaultFiles,
        durability: Durability,
    ) -> Result<Self, VaultError> {
        // The trail's directory is touched only once the vault file is believed.
        Self::open_storage(disk, files, durability, || {
            trail_storage(disk, &files.audit)
        })
    }

    /// The same, with the caller's storage for the audit trail; `files.audit` is
    /// not used.
    pub fn open_with(
        files: &VaultFiles,
        storage: Box<dyn TrailStorage>,
        durability: Durability,
    ) -> Result<Self, VaultError> {
        Self::open_storage(&file_system(), files, durability, || Ok(storage))
    }

    fn open_storage(
        disk: &Arc<dyn Disk>,
        files: &VaultFiles,
        durability: Durability,
        storage: impl FnOnce() -> Result<Box<dyn TrailStorage>, VaultError>,
    ) -> Result<Self, VaultError> {
        let store = Store::lock(disk, &files.vault)?;
        let bytes = store.read()?;
        let master = store::read_key(disk.as_ref(), &files.key)?;
        let (file, root, mac) = VaultFile::open(&bytes, &master)?;
        drop(master);
        let secrets = open_secrets(&file, &root)?;

        let audit = open_trail(storage()?, &root, file.vault, durability)?;
        if audit.root_at(file.trail.size) != Some(file.trail.root) {
            return Err(VaultError::TrailDiffers {
                expected: file.trail.size,
                found: audit.size(),
            });
        }
        if let Some(trail) = audit.last_vault_epoch().filter(|trail| *trail > file.epoch) {
            return Err(VaultError::RolledBack {
                file: file.epoch,
                trail,
            });
        }
        let act = Administrative::new(Act::Opened, "keyward", None).vault(file.epoch, mac);
        audit.append_administrative(act)?;
        let writer = Writer {
            store,
            root,
            file,
            mac,
            unrecorded: false,
        };
        Ok(Self {
            live: ArcSwap::from_pointee(Live::new(secrets, Grants::none())),
            audit,
            writer: Mutex::new(writer),
        })
    }

    /// Adds a secret. Nothing may use it until a grant says so.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: the value can't
    /// be of that kind, the name is taken, or a file can't be written. After the
    /// last the vault takes no more changes until it is reopened, and may then have
    /// the secret or not.
    pub fn add(
        &self,
        name: &SecretName,
        kind: Kind,
        value: Secret,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        let value = kind.import(value)?;
        self.change(
            |writer, secrets| {
                if secrets.contains_key(name) {
                    return Err(VaultError::NameTaken(name.clone()));
                }
                let now = seconds_now();
                let contents = Contents {
                    name: name.clone(),
                    kind,
                    created: now,
                    updated: now,
                    value,
                };
                // UUID version 4: random but for the six bits that say so.
                let id = uuid::Builder::from_random_bytes(seal::random()).into_uuid();
                writer.put(id, 1, contents, None, secrets)?;
                Ok((Act::SecretAdded, id, name.clone(), 1))
            },
            actor,
        )
    }

    /// Gives a secret a new value of the same kind. Permits that are under way go
    /// on with the version that they were given for; later ones get the new one.
    ///
    /// A MAC key's last version stays accepted where codes are verified, until the
    /// next rotation; of other kinds the old version is gone.
    ///
    /// Blocks and fails as [`add`](Self::add) does; also if there is no such secret.
    pub fn rotate(
        &self,
        name: &SecretName,
        value: Secret,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        self.change(
            |writer, secrets| {
                let Some(old) = secrets.get(name).cloned() else {
                    return Err(VaultError::NoSuchSecret(name.clone()));
                };
                let kind = old.info.kind;
                let contents = Contents {
                    name: name.clone(),
                    kind,
                    created: seconds_of(old.info.created),
                    updated: seconds_now(),
                    value: kind.import(value)?,
                };
                let version = old.current.number.saturating_add(1);
                let keeps_previous = matches!(kind, Kind::HmacKey { .. });
                let previous = keeps_previous.then(|| Arc::clone(&old.current));
                writer.put(old.info.id, version, contents, previous, secrets)?;
                Ok((Act::SecretRotated, old.info.id, name.clone(), version))
            },
            actor,
        )
    }

    /// What is known of each secret, by name.
    pub fn list(&self) -> Vec<SecretInfo> {
        let live = self.live.load();
        live.secrets
            .values()
            .map(|secret| secret.info.clone())
            .collect()
    }

    /// Puts a set of grants in force, in place of the one before, at once.
    ///
    /// Blocks until the set's digest and what it changes are in the audit trail.
    /// Errors: a key would be used for both `mac-sign` and `sign-request`, or the
    /// trail can't be written. The set before stays in force then.
    pub fn set_grants(&self, grants: Grants, actor: &Actor) -> Result<(), VaultError> {
        check_signers(&grants)?;
        // Held so that no change of the secrets is lost in between.
        let _writer = self.writer.lock().map_err(|_| VaultError::ReadOnly)?;
        let live = self.live.load_full();
        let (added, removed) = grants.changes_since(&live.grants);
        let act = Administrative::new(Act::GrantsLoaded, &actor.name, actor.reason.as_deref())
            .grants(grants.digest(), &added, &removed);
        self.audit.append_administrative(act)?;
        let next = Live::new(live.secrets.clone(), grants);
        self.live.store(Arc::new(next));
        Ok(())
    }

    /// The grants in force now.
    pub fn grants(&self) -> Vec<Arc<Grant>> {
        self.live.load().grants.iter().cloned().collect()
    }

    /// The ledger of a new exchange.
    pub fn begin(&self, exchange: ExchangeId) -> Ledger {
        self.audit.begin(exchange)
    }

    /// The audit trail.
    pub fn audit(&self) -> &AuditTrail {
        &self.audit
    }

    /// What is in force now.
    pub(crate) fn live(&self) -> Guard<Arc<Live>> {
        self.live.load()
    }

    /// Makes one change of the secrets: in the file, in the trail, in force.
    fn change(
        &self,
        make: impl FnOnce(&mut Writer, &mut Secrets) -> Result<Made, VaultError>,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        let mut writer = self.writer.lock().map_err(|_| VaultError::ReadOnly)?;
        let writer = &mut *writer;
        if writer.unrecorded {
            return Err(VaultError::ReadOnly);
        }
        // The new file vouches for all that the trail has by now. Durable, so that
        // a crash can't leave a file that asks for more than there is.
        let (size, root) = self.audit.durable_anchor().ok_or(AuditUnavailable)?;
        writer.file.trail = TrailMark { size, root };
        let live = self.live.load_full();
        let mut secrets = live.secrets.clone();
        let (act, id, name, version) = make(writer, &mut secrets)?;

        // From here on the file has the change. Until the trail has it too, it is
        // not in force and nothing else is changed.
        writer.unrecorded = true;
        let act = Administrative::new(act, &actor.name, actor.reason.as_deref())
            .secret(id, &name, version)
            .vault(writer.file.epoch, writer.mac);
        self.audit.append_administrative(act)?;
        writer.unrecorded = false;

        let info = secrets.get(&name).map(|secret| secret.info.clone());
        let next = Live::new(secrets, live.grants.clone());
        self.live.store(Arc::new(next));
        info.ok_or(VaultError::NoSuchSecret(name))
    }
}

/// A change that was written: the act, and the secret and version it is about.
type Made = (Act, Uuid, SecretName, u64);

impl Writer {
    /// Writes a new version of a secret and puts it among `secrets`. Of the
    /// versions before it, the file keeps `previous` and no other.
    fn put(
        &mut self,
        id: Uuid,
        version: u64,
        contents: Contents,
        previous: Option<Arc<Version>>,
        secrets: &mut Secrets,
    ) -> Result<(), VaultError> {
        let mut file = self.file.clone();
        file.epoch = file.epoch.saturating_add(1);
        file.previous = self.mac;
        if file.wraps >= WRAPS_PER_KEY {
            let (from, to) = (file.wrap_epoch, file.wrap_epoch.saturating_add(1));
            contents::rewrap(&mut file.records, &self.root, from, to)?;
            file.wrap_epoch = to;
            file.wraps = file.records.len() as u64;
        }
        file.wraps = file.wraps.saturating_add(1);
        let kept = previous.as_ref().map(|version| version.number);
        let secret = *id.as_bytes();
        file.records
            .retain(|record| record.place.secret != secret || Some(record.place.version) == kept);
        let place = Place { secret, version };
        let wrapping = self.root.wrapping(file.wrap_epoch);
        let record = contents.seal(&file.vault, place, &wrapping);
        let at = file.records.partition_point(|other| {
            (other.place.secret, other.place.version) < (place.secret, place.version)
        });
        file.records.insert(at, record);

        let secret = live_secret(id, version, contents, previous)?;

        let (bytes, mac) = file.encode(&self.root);
        self.store.replace(&bytes)?;
        self.file = file;
        self.mac = mac;
        secrets.insert(secret.info.name.clone(), Arc::new(secret));
        Ok(())
    }
}

fn live_secret(
    id: Uuid,
    number: u64,
    contents: Contents,
    previous: Option<Arc<Version>>,
) -> Result<LiveSecret, Damaged> {
    let before = previous.as_ref().map(|version| version.number);
    let info = SecretInfo {
        name: contents.name.clone(),
        kind: contents.kind,
        version: number,
        versions: before.into_iter().chain([number]).collect(),
        created: timestamp(contents.created)?,
        updated: timestamp(contents.updated)?,
        id,
    };
    Ok(LiveSecret {
        info,
        current: Arc::new(Version::prepare(number, contents)?),
        previous,
    })
}

/// Opens every record of a file that has been verified.
fn open_secrets(file: &VaultFile, root: &RootKey) -> Result<Secrets, Damaged> {
    let wrapping = root.wrapping(file.wrap_epoch);
    let mut by_id: BTreeMap<[u8; 16], LiveSecret> = BTreeMap::new();
    // In ascending order of versions: each is the current one until the next.
    for record in &file.records {
        let contents = Contents::open(record, &file.vault, &wrapping)?;
        let id = Uuid::from_bytes(record.place.secret);
        let before = by_id.remove(&record.place.secret);
        if before.as_ref().is_some_and(|before| {
            before.info.name != contents.name || before.info.kind != contents.kind
        }) {
            return Err(Damaged);
        }
        let previous = before.map(|before| before.current);
        let secret = live_secret(id, record.place.version, contents, previous)?;
        by_id.insert(record.place.secret, secret);
    }
    let mut secrets = Secrets::new();
    for secret in by_id.into_values() {
        let name = secret.info.name.clone();
        if secrets.insert(name, Arc::new(secret)).is_some() {
            return Err(Damaged);
        }
    }
    Ok(secrets)
}

/// A policy that makes codes of any message could make one of a request's
/// signature base. So a key that signs requests makes no codes.
fn check_signers(grants: &Grants) -> Result<(), VaultError> {
    let signs = |terms: &Terms| matches!(terms, Terms::SignRequest(_));
    let of_requests = grants.iter().filter(|grant| signs(&grant.terms));
    for signer in of_requests {
        let also = |terms: &Terms| matches!(terms, Terms::MacSign);
        let mut others = grants.iter();
        if others.any(|other| other.secret == signer.secret && also(&other.terms)) {
            return Err(VaultError::TwoSigners(signer.secret.clone()));
        }
    }
    Ok(())
}

fn file_system() -> Arc<dyn Disk> {
    Arc::new(FileSystem)
}

fn trail_storage(
    disk: &Arc<dyn Disk>,
    directory: &Path,
) -> Result<Box<dyn TrailStorage>, VaultError> {
    let storage = FileStorage::open_on(Arc::clone(disk), directory).map_err(audit::open_error)?;
    Ok(Box::new(storage))
}

fn open_trail(
    storage: Box<dyn TrailStorage>,
    root: &RootKey,
    vault: [u8; 16],
    durability: Durability,
) -> Result<AuditTrail, VaultError> {
    let origin = format!("keyward/{}", Uuid::from_bytes(vault));
    let seed = root.audit_signing_seed();
    Ok(AuditTrail::open_with(storage, seed, &origin, durability)?)
}

fn seconds_now() -> u64 {
    seconds_of(Timestamp::now())
}

fn seconds_of(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or(0)
}

fn timestamp(seconds: u64) -> Result<Timestamp, Damaged> {
    let seconds = i64::try_from(seconds).map_err(|_| Damaged)?;
    Timestamp::from_second(seconds).map_err(|_| Damaged)
}

impl From<Damaged> for VaultError {
    fn from(Damaged: Damaged) -> Self {
        Self::Unreadable
    }
}
