//! What is done to a vault, and what is promised once it was reported done.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use fastrand::Rng;
use keyward_names::{
    Alias, ComponentDigest, GrantId, PolicyName, SecretName, Subject, Tag, ValueName,
};
use keyward_vault::disk::Disk;
use keyward_vault::*;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The key whose codes show which version is in use.
pub(crate) const MAC: &str = "mac";
/// A secret of one value.
pub(crate) const API: &str = "api";
/// A secret from a source, sealed here.
pub(crate) const FED: &str = "fed";
/// A secret from a source, kept in memory.
pub(crate) const HELD: &str = "held";
/// The key of the slot that a source opens.
const SLOT_KEY: [u8; 32] = [9; 32];
/// A set of client keys.
pub(crate) const KEYS: &str = "keys";
/// A secret that comes and goes.
pub(crate) const SPARE: &str = "spare";

/// What a step touches that takes old entries out of the trail.
pub(crate) const PRUNED: &str = "pruned";

const SECRETS: [&str; 3] = [MAC, API, SPARE];
const GRANT: &str = "g";
const CLIENTS: [&str; 2] = ["depot", "shop"];
const VALUES: [&str; 2] = ["Greeting", "Key"];

/// One thing that is done to a vault. Where it can't be, as when there is no such
/// secret yet, the vault refuses it and nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A secret of this name, with its first value.
    Add(&'static str),
    /// Its next value.
    Rotate(&'static str),
    RollBack(&'static str),
    Disable(&'static str),
    Enable(&'static str),
    /// Its oldest version goes, if that is not in use.
    Retire(&'static str),
    Validity(&'static str),
    /// The version before it is accepted for a day, or, if it is already, until the
    /// next one.
    SetRotation(&'static str),
    Remove(&'static str),
    AddClient(&'static str),
    RotateClient(&'static str),
    RetireClient(&'static str),
    DisableClient(&'static str),
    EnableClient(&'static str),
    RemoveClient(&'static str),
    SetValue(&'static str),
    RemoveValue(&'static str),
    /// The grants that [`exchange`](Self::Exchange) needs.
    Grants,
    Revoke,
    Reinstate,
    /// A second key file, unless there is one.
    AddSlot,
    /// A second slot, which a source opens, unless there is one.
    AddSourceSlot,
    /// The second slot opens the vault no longer.
    RemoveSlot,
    /// A secret that comes from a source, without a value.
    AddSourced(&'static str),
    /// Its source gives the next value.
    Receive(&'static str),
    /// Its source gives the same value again.
    ReceiveAgain(&'static str),
    /// Its source doesn't answer.
    Unavailable(&'static str),
    /// It comes from another place from here on.
    SetOrigin(&'static str),
    /// It is the vault's own from here on.
    RemoveOrigin(&'static str),
    /// The next wrapping key.
    Rewrap,
    /// A new root key.
    Rekey,
    /// A backup, which nobody keeps.
    Backup,
    /// All full bundles of the trail go.
    Prune,
    /// An exchange that uses the MAC key so often, and waits for its barrier.
    Exchange(u8),
    /// So many exchanges that nobody waits for.
    Unwatched(u16),
    /// Close the vault and open it again.
    Reopen,
}

impl Step {
    /// Any of them, the usual ones more often.
    pub(crate) fn random(random: &mut Rng) -> Self {
        let secret = SECRETS[random.usize(..SECRETS.len())];
        let client = CLIENTS[random.usize(..CLIENTS.len())];
        let value = VALUES[random.usize(..VALUES.len())];
        match random.u8(..40) {
            0..6 => Self::Rotate(secret),
            6..12 => Self::Exchange(random.u8(1..4)),
            32 => match random.bool() {
                true => Self::AddSlot,
                false => Self::AddSourceSlot,
            },
            33 => Self::RemoveSlot,
            34 => Self::Rewrap,
            35..38 => Self::Rekey,
            38 => Self::Backup,
            39 => Self::Prune,
            12 => Self::Unwatched(random.u16(1..40)),
            13 => Self::Add(SPARE),
            14 => Self::RollBack(secret),
            15 => Self::Disable(secret),
            16 | 17 => Self::Enable(secret),
            18 => Self::Retire(secret),
            19 => match random.bool() {
                true => Self::Validity(secret),
                false => Self::SetRotation(secret),
            },
            20 => Self::Remove(SPARE),
            21 => Self::AddClient(client),
            22 => Self::RotateClient(client),
            23 => Self::RetireClient(client),
            24 => Self::DisableClient(client),
            25 => Self::EnableClient(client),
            26 => Self::RemoveClient(client),
            27 => Self::SetValue(value),
            28 => match random.u8(..8) {
                0 | 1 => Self::RemoveValue(value),
                2 => Self::AddSourced([FED, HELD][usize::from(random.bool())]),
                3 => Self::Unavailable([FED, HELD][usize::from(random.bool())]),
                4 => Self::SetOrigin(FED),
                5 => Self::RemoveOrigin(FED),
                6 => Self::ReceiveAgain(FED),
                _ => Self::Receive([FED, HELD][usize::from(random.bool())]),
            },
            29 => Self::Grants,
            30 => match random.bool() {
                true => Self::Revoke,
                false => Self::Reinstate,
            },
            _ => Self::Reopen,
        }
    }

    /// Which parts of what is [`shown`] it may change.
    pub(crate) fn touches(&self, part: &str) -> bool {
        let (kind, name) = part.split_once(' ').unwrap_or((part, ""));
        match *self {
            Self::Add(secret)
            | Self::Rotate(secret)
            | Self::RollBack(secret)
            | Self::Disable(secret)
            | Self::Enable(secret)
            | Self::Retire(secret)
            | Self::Validity(secret)
            | Self::SetRotation(secret)
            | Self::AddSourced(secret)
            | Self::Receive(secret)
            | Self::ReceiveAgain(secret)
            | Self::Unavailable(secret)
            | Self::SetOrigin(secret)
            | Self::RemoveOrigin(secret)
            | Self::Remove(secret) => matches!(kind, "secret" | "clients") && name == secret,
            Self::AddClient(_)
            | Self::RotateClient(_)
            | Self::RetireClient(_)
            | Self::DisableClient(_)
            | Self::EnableClient(_)
            | Self::RemoveClient(_) => name == KEYS,
            Self::SetValue(value) | Self::RemoveValue(value) => kind == "value" && name == value,
            Self::Revoke | Self::Reinstate => kind == "revoked",
            Self::AddSlot | Self::AddSourceSlot | Self::RemoveSlot => kind == "slots",
            Self::Rewrap | Self::Rekey => kind == "keys",
            Self::Prune => kind == PRUNED,
            Self::Backup => false,
            Self::Grants | Self::Exchange(_) | Self::Unwatched(_) | Self::Reopen => false,
        }
    }
}

/// What was reported done, and has to be in the trail from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Promise {
    /// Such an act; of a secret, also its name and version.
    Act(String, Option<(String, u64)>),
    /// So many uses that were allowed in this exchange.
    Uses(String, u64),
}

impl Promise {
    pub(crate) fn act(act: &str) -> Self {
        Self::Act(act.to_owned(), None)
    }
}

/// All that is known of a vault's contents, but for the values.
pub(crate) type Shown = BTreeMap<String, String>;

pub(crate) fn shown(vault: &Vault) -> Shown {
    let mut shown = Shown::new();
    for secret in vault.list() {
        if secret.kind == Kind::ClientKeys {
            let clients = vault.clients(&secret.name).unwrap();
            shown.insert(format!("clients {}", secret.name), format!("{clients:?}"));
        }
        // What is kept in memory is gone after a crash, and that is in order.
        let shows = match &secret.origin {
            Some(origin) if origin.cache == Cache::Memory => {
                format!("{:?} {:?}", secret.state, origin)
            }
            _ => format!("{secret:?}"),
        };
        shown.insert(format!("secret {}", secret.name), shows);
    }
    for value in vault.values() {
        shown.insert(format!("value {}", value.name), format!("{value:?}"));
    }
    shown.insert("revoked".to_owned(), format!("{:?}", vault.revoked()));
    shown.insert("slots".to_owned(), format!("{:?}", vault.slots()));
    let keys = vault.status().wrap_epoch.to_string();
    shown.insert("keys".to_owned(), keys);
    shown
}

/// What a step has come to.
pub(crate) enum Outcome {
    Done(Vec<Promise>),
    /// It couldn't be, and nothing has happened.
    Refused,
}

/// Where a vault is.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) files: VaultFiles,
}

impl Place {
    pub(crate) fn new(disk: Arc<dyn Disk>, directory: &Path) -> Self {
        let files = VaultFiles::in_directory(directory);
        Self { disk, files }
    }

    /// The second key file.
    pub(crate) fn second_key(&self) -> PathBuf {
        self.files.key.with_extension("second")
    }

    /// A new file in the place of another one, which opens nothing.
    fn new_key(&self, path: PathBuf) -> NewKey {
        // Where there is none, that is well.
        self.disk.remove(&path).ok();
        NewKey::KeyFile(path)
    }

    /// Opens the vault with its first key file.
    pub(crate) fn open(&self, durability: Durability) -> Result<Vault, VaultError> {
        self.open_with(&self.files.key, durability)
    }

    /// Opens the vault with its second slot.
    pub(crate) fn open_second(&self, slots: &[SlotInfo]) -> Result<Vault, VaultError> {
        let durability = Durability::Strict;
        match slots.get(1) {
            Some(slot) if matches!(slot.kind, SlotKind::Remote { .. }) => {
                let key = source_key(slot);
                Vault::open_on(&self.disk, &self.files, Opening { key, durability })
            }
            _ => self.open_with(&self.second_key(), durability),
        }
    }

    pub(crate) fn open_with(
        &self,
        key: &Path,
        durability: Durability,
    ) -> Result<Vault, VaultError> {
        let key = KeySource::KeyFile(key.to_owned());
        Vault::open_on(&self.disk, &self.files, Opening { key, durability })
    }
}

/// Takes a step other than [`Step::Reopen`]. Errors: the disk has failed.
pub(crate) fn perform(vault: &Vault, place: &Place, step: Step) -> Result<Outcome, VaultError> {
    match try_perform(vault, place, step) {
        Ok(promises) => Ok(Outcome::Done(promises)),
        Err(error) if is_of_the_disk(&error) => Err(error),
        Err(_) => Ok(Outcome::Refused),
    }
}

fn is_of_the_disk(error: &VaultError) -> bool {
    matches!(
        error,
        VaultError::Io { .. } | VaultError::Audit(_) | VaultError::ReadOnly
    )
}

fn try_perform(vault: &Vault, place: &Place, step: Step) -> Result<Vec<Promise>, VaultError> {
    let actor = &actor();
    let of = |act: &str, info: &SecretInfo| {
        let secret = (info.name.as_str().to_owned(), info.version);
        vec![Promise::Act(act.to_owned(), Some(secret))]
    };
    let did = |act| vec![Promise::act(act)];
    let keys = &name(KEYS);
    let subject = |text| Subject::parse(text).unwrap();
    Ok(match step {
        Step::Add(secret) => {
            let info = vault.add(&name(secret), kind_of(secret), value(secret, 1), actor)?;
            of("secret-added", &info)
        }
        Step::Rotate(secret) => {
            let info = vault.info(&name(secret));
            let last = info.and_then(|info| info.versions.last().map(|last| last.number));
            let value = value(secret, last.unwrap_or(0) + 1);
            of(
                "secret-rotated",
                &vault.rotate(&name(secret), value, actor)?,
            )
        }
        Step::RollBack(secret) => {
            let info = vault.roll_back(&name(secret), None, actor)?;
            of("secret-rolled-back", &info)
        }
        Step::Disable(secret) => of("secret-disabled", &vault.disable(&name(secret), actor)?),
        Step::Enable(secret) => of("secret-enabled", &vault.enable(&name(secret), actor)?),
        Step::Retire(secret) => {
            let versions = vault.info(&name(secret)).map(|info| info.versions);
            let oldest = match versions.as_deref() {
                // Not the newest: whoever knows the newest knows the next value.
                Some([oldest, _, ..]) => oldest.number,
                _ => 0,
            };
            vault.retire(&name(secret), oldest, actor)?;
            did("version-retired")
        }
        Step::Validity(secret) => {
            let version = vault.info(&name(secret)).map_or(0, |info| info.version);
            let validity = Validity {
                not_before: Some(jiff::Timestamp::UNIX_EPOCH),
                not_after: None,
            };
            vault.set_validity(&name(secret), version, validity, actor)?;
            did("validity-set")
        }
        Step::SetRotation(secret) => {
            let day = Duration::from_secs(86_400);
            let rotation = vault.info(&name(secret)).map(|info| info.rotation);
            let accepted = rotation.and_then(|rotation| rotation.retire_previous_after);
            let change = RotationChange {
                retire_previous_after: Some(accepted.is_none().then_some(day)),
                every: None,
            };
            vault.set_rotation(&name(secret), change, actor)?;
            did("rotation-set")
        }
        Step::Remove(secret) => {
            vault.remove(&name(secret), actor)?;
            did("secret-removed")
        }
        Step::AddClient(client) => {
            vault.add_client(keys, &subject(client), fresh(), actor)?;
            did("client-added")
        }
        Step::RotateClient(client) => {
            vault.rotate_client(keys, &subject(client), fresh(), actor)?;
            did("client-rotated")
        }
        Step::RetireClient(client) => {
            vault.retire_client(keys, &subject(client), actor)?;
            did("client-retired")
        }
        Step::DisableClient(client) => {
            vault.disable_client(keys, &subject(client), actor)?;
            did("client-disabled")
        }
        Step::EnableClient(client) => {
            vault.enable_client(keys, &subject(client), actor)?;
            did("client-enabled")
        }
        Step::RemoveClient(client) => {
            vault.remove_client(keys, &subject(client), actor)?;
            did("client-removed")
        }
        Step::SetValue(value) => {
            let named = match value {
                "Key" => NamedValue::Secret(name(API)),
                _ => NamedValue::Plain(new_exchange_id().to_string()),
            };
            let tags = BTreeSet::from([Tag::parse("test").unwrap()]);
            vault.set_value(&ValueName::parse(value).unwrap(), named, tags, actor)?;
            did("value-set")
        }
        Step::RemoveValue(value) => {
            vault.remove_value(&ValueName::parse(value).unwrap(), actor)?;
            did("value-removed")
        }
        Step::Grants => {
            set_grants(vault)?;
            did("grants-loaded")
        }
        Step::Revoke => {
            vault.revoke_grant(&GrantId::parse(GRANT).unwrap(), actor)?;
            did("grants-revoked")
        }
        Step::Reinstate => {
            vault.reinstate_grant(&GrantId::parse(GRANT).unwrap(), actor)?;
            did("grants-reinstated")
        }
        Step::AddSlot => {
            if vault.slots().len() > 1 {
                return Ok(Vec::new());
            }
            let key = place.new_key(place.second_key());
            vault.add_slot(key, actor)?;
            did("slot-added")
        }
        Step::AddSourceSlot => {
            if vault.slots().len() > 1 {
                return Ok(Vec::new());
            }
            let key = NewKey::Remote {
                wrapping: "kv:master".parse().unwrap(),
                key: Zeroizing::new(SLOT_KEY),
                wrapped: vec![1; 100],
            };
            vault.add_slot(key, actor)?;
            did("slot-added")
        }
        Step::AddSourced(secret) => {
            let origin = origin_of(secret);
            let info = vault.add_sourced(&name(secret), kind_of(secret), origin, actor)?;
            of("secret-added", &info)
        }
        Step::Receive(secret) => {
            let known = vault.info(&name(secret));
            // What is kept in memory begins anew after a crash.
            let value = value(secret, known.map_or(0, |info| info.version) + 1);
            received(vault, secret, value, actor)?
        }
        Step::ReceiveAgain(secret) => {
            let known = vault.info(&name(secret));
            let value = value(secret, known.map_or(0, |info| info.version));
            received(vault, secret, value, actor)?
        }
        Step::Unavailable(secret) => {
            let info = vault.mark_unavailable(&name(secret), Unavailability::Stale, actor)?;
            of("secret-unavailable", &info)
        }
        Step::SetOrigin(secret) => {
            let mut origin = origin_of(secret);
            origin.reference = "kv:elsewhere".parse().unwrap();
            of(
                "origin-set",
                &vault.set_origin(&name(secret), origin, actor)?,
            )
        }
        Step::RemoveOrigin(secret) => of(
            "origin-removed",
            &vault.remove_origin(&name(secret), actor)?,
        ),
        Step::RemoveSlot => {
            let second = vault.slots().get(1).map_or(0, |slot| slot.id);
            vault.remove_slot(second, actor)?;
            did("slot-removed")
        }
        Step::Rewrap => {
            vault.rewrap(actor)?;
            did("wrap-key-changed")
        }
        Step::Rekey => {
            let mut keys = vec![KeySource::KeyFile(place.files.key.clone())];
            keys.extend(vault.slots().get(1).map(|slot| match slot.kind {
                SlotKind::Remote { .. } => source_key(slot),
                _ => KeySource::KeyFile(place.second_key()),
            }));
            vault.rekey(keys, actor)?;
            did("vault-key-changed")
        }
        Step::Backup => {
            let key = place.new_key(place.files.key.with_extension("backup"));
            vault.backup(key, actor)?;
            did("backed-up")
        }
        Step::Prune => {
            let later = jiff::Timestamp::now() + Duration::from_secs(3600);
            match vault.audit().prune(later, actor) {
                Ok(Some(_)) => did("entries-pruned"),
                Ok(None) => Vec::new(),
                Err(_) => return Err(VaultError::ReadOnly),
            }
        }
        Step::Exchange(count) => {
            let exchange = new_exchange_id();
            let mut ledger = vault.begin(exchange);
            let signed = (0..count).filter_map(|_| sign(vault, &mut ledger)).count();
            block_on(ledger.barrier())?;
            // Denials may be counted with others, and later.
            match signed {
                0 => Vec::new(),
                _ => vec![Promise::Uses(exchange.to_string(), signed as u64)],
            }
        }
        Step::Unwatched(count) => {
            for _ in 0..count {
                sign(vault, &mut vault.begin(new_exchange_id()));
            }
            Vec::new()
        }
        Step::Reopen => Vec::new(),
    })
}

/// What a source unwraps of a slot.
fn source_key(slot: &SlotInfo) -> KeySource {
    KeySource::Remote {
        slot: slot.id,
        key: Zeroizing::new(SLOT_KEY),
    }
}

/// Where a secret of that name comes from, if it comes from a source.
fn origin_of(secret: &str) -> Origin {
    Origin {
        reference: format!("kv:{secret}").parse().unwrap(),
        cache: match secret {
            HELD => Cache::Memory,
            _ => Cache::Sealed,
        },
    }
}

/// Has the vault take a value from wherever the secret comes from now.
fn received(
    vault: &Vault,
    secret: &str,
    value: Secret,
    actor: &Actor,
) -> Result<Vec<Promise>, VaultError> {
    let info = vault.info(&name(secret));
    let origin = info.and_then(|info| info.origin);
    let received = Received {
        reference: origin.unwrap_or_else(|| origin_of(secret)).reference,
        value,
        source_version: SourceVersion::parse("v").unwrap(),
        validity: Validity::default(),
        enabled: true,
    };
    let (act, info) = match vault.receive(&name(secret), received, actor)? {
        Receipt::NewVersion(info) => ("secret-received", info),
        Receipt::BackInUse(info) => ("secret-available", info),
        Receipt::Unchanged | Receipt::Disabled(_) => return Ok(Vec::new()),
    };
    let secret = (info.name.as_str().to_owned(), info.version);
    Ok(vec![Promise::Act(act.to_owned(), Some(secret))])
}

pub(crate) fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

pub(crate) fn actor() -> Actor {
    Actor {
        name: "uid 1000".to_owned(),
        reason: None,
    }
}

/// The value that a version of a secret has: whoever knows the version knows it.
pub(crate) fn value_of(secret: &str, version: u64) -> String {
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        let letter = secret.as_bytes()[place % secret.len()];
        *byte = letter ^ (place as u8).wrapping_mul(37) ^ (version as u8).wrapping_mul(101);
    }
    data_encoding::HEXLOWER.encode(&bytes)
}

fn value(secret: &str, version: u64) -> Secret {
    let mut text = value_of(secret, version);
    if secret == KEYS {
        text = format!("first = {text}\n");
    }
    Secret::read_from(text.as_bytes(), 1 << 10).unwrap()
}

fn fresh() -> Secret {
    Secret::generate(40)
}

fn kind_of(secret: &str) -> Kind {
    match secret {
        MAC => Kind::HmacKey {
            algorithm: MacAlgorithm::Sha256,
            encoding: KeyEncoding::Hex,
        },
        KEYS => Kind::ClientKeys,
        _ => Kind::ApiKey,
    }
}

/// Puts the grant in force with which policy `p` makes codes.
pub(crate) fn set_grants(vault: &Vault) -> Result<(), VaultError> {
    let text = format!(
        "[[grant]]\nid = \"{GRANT}\"\npolicy = \"p\"\nsecret = \"{MAC}\"\nalias = \"k\"\n\
         use = \"mac-sign\"\n"
    );
    vault.set_grants(Grants::parse("grants.toml", &text).unwrap(), &actor())
}

/// Makes a code with the key in use; `None` if that is refused, which is recorded
/// as well.
pub(crate) fn sign(vault: &Vault, ledger: &mut Ledger) -> Option<Mac> {
    let policy = PolicyIdentity {
        name: PolicyName::parse("p").unwrap(),
        component: ComponentDigest::from_bytes([1; 32]),
        asks: vec![Ask {
            alias: Alias::parse("k").unwrap(),
            use_: Use::MacSign,
        }],
    };
    let permit = vault.permit::<uses::MacSign>(&policy, "k", ledger).ok()?;
    permit.sign(b"message").ok()
}

/// Runs a future on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
