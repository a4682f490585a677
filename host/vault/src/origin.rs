//! Secrets that come from a source: each value that the source gives becomes the
//! next version, by the same path as one that an operator gives.
//!
//! The vault asks no source itself. Whoever does hands over what came
//! ([`Vault::receive`]), or says that nothing came for too long
//! ([`Vault::mark_unavailable`]); what follows for uses is decided here.
//!
//! A version that is held in memory has its number in the vault file before it is
//! in force, one write for each, as a version that is sealed there has: so no
//! number stands for two values in the audit trail, whenever the process ends.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keyward_names::{SecretName, SourceName};

use crate::audit::Act;
use crate::contents::{Item, StoredOrigin, StoredRotation, StoredSecret};
use crate::error::VaultError;
use crate::fingerprint::Fingerprint;
use crate::identity::{Actor, SecretInfo, SecretState, Validity};
use crate::import::Imported;
use crate::kind::{Kind, UnknownWord, display_as_str};
use crate::lifecycle::Bounds;
use crate::live::{Live, LiveSecret, timestamp};
use crate::rotation::seconds_by;
use crate::secret::Secret;
use crate::values::Reference;
use crate::vault::{Vault, Writer, new_id, seconds_now};

/// The longest name of a version in a source, in bytes.
const MAX_SOURCE_VERSION_BYTES: usize = 256;

/// Where a secret's values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The source, and what it calls the secret.
    pub reference: Reference,
    /// Where the values are kept here.
    pub cache: Cache,
}

/// Where the values of a secret that comes from a source are kept.
///
/// As text: `sealed`, `memory`, `remote`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cache {
    /// In the vault file, sealed: they are there after a restart, even if the
    /// source doesn't answer then.
    Sealed,
    /// In memory only, encrypted there: nothing of a value is ever in the vault
    /// file. After a restart the secret can't be used until its source answers.
    Memory,
    /// Nowhere: the key never leaves its source, which is asked for each use. Of kinds
    /// `hmac-key`, `data-key` and `certificate` only; of the last, the chain is kept in
    /// the vault file, where it was given.
    Remote,
}

impl Cache {
    const ALL: [Self; 3] = [Self::Sealed, Self::Memory, Self::Remote];

    /// The word as people write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Memory => "memory",
            Self::Remote => "remote",
        }
    }
}

impl FromStr for Cache {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|item| item.as_str() == text);
        found.ok_or(UnknownWord {
            what: "cache",
            valid: "sealed, memory, remote",
        })
    }
}

/// Why a secret that comes from a source can't be used, although it is enabled.
///
/// As text: `not-fetched`, `stale`, `disabled-in-source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unavailability {
    /// Its source has not given a value yet; of one that is kept in memory, since
    /// this process started.
    NotFetched,
    /// Its source has not answered for longer than is accepted.
    Stale,
    /// Its source says that it is not to be used.
    Disabled,
}

impl Unavailability {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NotFetched, Self::Stale, Self::Disabled];

    /// The word as people write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotFetched => "not-fetched",
            Self::Stale => "stale",
            Self::Disabled => "disabled-in-source",
        }
    }
}

display_as_str!(Cache, Unavailability);

/// What a source calls a version of a secret: 1 to 256 visible ASCII characters.
/// It is shown, and must not be made from the value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceVersion(Box<str>);

/// A text that is not a [`SourceVersion`]. It doesn't carry the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a source's version has 1 to {MAX_SOURCE_VERSION_BYTES} visible ASCII characters")]
pub struct NotASourceVersion;

impl SourceVersion {
    /// The version of that name. Errors: it is not 1 to 256 visible ASCII
    /// characters.
    pub fn parse(text: &str) -> Result<Self, NotASourceVersion> {
        let length = (1..=MAX_SOURCE_VERSION_BYTES).contains(&text.len());
        match length && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.into())),
            false => Err(NotASourceVersion),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceVersion {
    type Err = NotASourceVersion;

    fn from_str(text: &str) -> Result<Self, NotASourceVersion> {
        Self::parse(text)
    }
}

impl fmt::Display for SourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a source gave for a secret.
pub struct Received {
    /// What it was asked for: it must still be the secret's origin.
    pub reference: Reference,
    /// The value, as it would be added.
    pub value: Secret,
    /// What the source calls this version.
    pub source_version: SourceVersion,
    /// When the source says that it may be used.
    pub validity: Validity,
    /// Whether the source says that it may be used at all.
    pub enabled: bool,
}

/// What came of a value that a source gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It is the version in use. Nothing was written.
    Unchanged,
    /// It is the version in use, which may be used again or in another time than
    /// before.
    BackInUse(SecretInfo),
    /// It became the next version, which is in use.
    NewVersion(SecretInfo),
    /// The source says that it is not to be used; no use is allowed until it says
    /// otherwise. The value was not taken.
    Disabled(SecretInfo),
}

impl Vault {
    /// Adds a secret whose values come from a source. It has no version, and can't
    /// be used, until [`receive`](Self::receive) gives it one; a key that stays in
    /// its source ([`Cache::Remote`]) can be used at once.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: the name is taken,
    /// a key of that kind can't stay in its source, or a file can't be
    /// written.
    pub fn add_sourced(
        &self,
        name: &SecretName,
        kind: Kind,
        origin: Origin,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        check_remote(kind, &origin)?;
        self.add_with_origin(name, kind, origin, None, actor)
    }

    /// Adds a certificate whose key stays in its source: `chain` is PEM, the leaf first,
    /// without a private key. Its next one comes by [`rotate`](Self::rotate), as the chain
    /// does of one that was added without.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: the name is taken, the
    /// origin is not [`Cache::Remote`], it is no such chain, or a file can't be written.
    pub fn add_remote_certificate(
        &self,
        name: &SecretName,
        origin: Origin,
        chain: &Secret,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        if origin.cache != Cache::Remote {
            return Err(VaultError::ChainAlone(name.clone()));
        }
        let chain = Imported::chain(chain)?;
        self.add_with_origin(name, Kind::Certificate, origin, Some(&chain), actor)
    }

    fn add_with_origin(
        &self,
        name: &SecretName,
        kind: Kind,
        origin: Origin,
        chain: Option<&Imported>,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        let end = chain.and_then(|chain| chain.not_after);
        let bounds = Bounds::new(Validity::default(), end)?;
        let chain = chain.map(|chain| chain.value.expose());
        self.change(|draft| {
            if draft.parts.secrets.contains_key(name) {
                return Err(VaultError::NameTaken(name.clone()));
            }
            let id = new_id();
            let source = origin.reference.source().clone();
            let mut stored = StoredSecret {
                name: name.clone(),
                kind,
                state: SecretState::Enabled,
                created: seconds_now(),
                current: None,
                previous: None,
                last: u64::from(origin.cache == Cache::Remote && chain.is_none()),
                rotation: StoredRotation::default(),
                versions: Vec::new(),
                origin: Some(StoredOrigin::new(origin)),
            };
            if let Some(chain) = &chain {
                stored.push(&bounds, chain, seconds_by(&draft.parts.clock));
            }
            let info = draft.put_secret(id, stored)?;
            let act = actor.did(Act::SecretAdded);
            Ok((act.secret(id, name, info.version).source(&source), info))
        })
    }

    /// Takes what a secret's source gave. Another value than the one in use becomes
    /// the next version, as with [`rotate`](Self::rotate): what is under way goes on
    /// with the version that it was permitted for. The same value is not written.
    ///
    /// Blocks until it is on disk and in the audit trail, if anything changes.
    /// Errors: there is no such secret, it has another origin or none, its key stays
    /// in the source, the value can't be of its kind ([`VaultError::Import`]: the
    /// version in use stays, and so does whether it may be used), the validity is
    /// empty, or a file can't be written.
    pub fn receive(
        &self,
        name: &SecretName,
        received: Received,
        actor: &Actor,
    ) -> Result<Receipt, VaultError> {
        let mut writer = self.lock()?;
        let secret = self.live().secret(name)?;
        let Some(origin) = &secret.info.origin else {
            return Err(VaultError::NoOrigin(name.clone()));
        };
        if origin.reference != received.reference {
            return Err(VaultError::OtherOrigin(name.clone()));
        }
        if origin.cache == Cache::Remote {
            return Err(VaultError::StaysInSource(name.clone()));
        }
        if !received.enabled {
            let info = self.withhold(&mut writer, name, Unavailability::Disabled, actor)?;
            return Ok(Receipt::Disabled(info));
        }
        let Received {
            value,
            source_version,
            validity,
            ..
        } = received;
        let known = secret.received.as_ref();
        let same = known.is_some_and(|known| known.matches(&value));
        let fingerprint = Fingerprint::of(&value);
        let imported = secret.info.kind.import(value)?;
        let bounds = Bounds::new(validity, imported.not_after)?;
        let in_time = secret
            .current
            .as_ref()
            .is_some_and(|current| bounds.validity() == Ok(current.validity));
        if same && in_time && secret.info.unavailable.is_none() {
            self.rename_source_version(&secret, source_version);
            return Ok(Receipt::Unchanged);
        }
        let value = imported.value.expose();
        let mark = fingerprint.bytes();
        self.change_locked(&mut writer, |draft| {
            let id = secret.info.id;
            let plaintext = draft.open(id)?;
            let mut stored = stored_in(&plaintext)?;
            let origin = stored.origin.as_mut();
            let origin = origin.ok_or_else(|| VaultError::NoOrigin(name.clone()))?;
            origin.unavailable = None;
            let memory = origin.cache == Cache::Memory;
            let now = seconds_by(&draft.parts.clock);
            if !memory {
                origin.confirmed = Some(now.max(1));
                origin.source_version = Some(source_version.clone());
                if !same {
                    origin.received = &mark;
                }
            }
            let number = match (same, memory) {
                (false, false) => stored.push(&bounds, &value, now),
                (false, true) => stored.reserve(),
                (true, false) => {
                    let number = secret.info.version;
                    stored.set_bounds(number, &bounds)?;
                    number
                }
                (true, true) => secret.info.version,
            };
            let mut next = LiveSecret::prepare(id, &stored, Some(&secret))?;
            if memory {
                match same {
                    true => next.set_validity(&bounds, &value)?,
                    false => next.hold(number, &bounds, &value, now)?,
                }
            }
            next.info.source_version = Some(source_version);
            if !same {
                next.received = Some(Arc::new(fingerprint));
            }
            let info = draft.put_prepared(id, stored, next)?;
            let act = match same {
                true => Act::SecretAvailable,
                false => Act::SecretReceived,
            };
            let source = received.reference.source();
            let act = actor.did(act).secret(id, name, number).source(source);
            let receipt = match same {
                true => Receipt::BackInUse(info),
                false => Receipt::NewVersion(info),
            };
            Ok((act, receipt))
        })
    }

    /// Lets nobody use a secret that comes from a source until its source gives a
    /// value again ([`receive`](Self::receive)), or, of a key that stays in its
    /// source, until [`mark_available`](Self::mark_available).
    ///
    /// Blocks until it is on disk and in the audit trail, if it changes anything.
    /// Errors: there is no such secret, it has no origin, or a file can't be written.
    pub fn mark_unavailable(
        &self,
        name: &SecretName,
        why: Unavailability,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        self.withhold(&mut *self.lock()?, name, why, actor)
    }

    /// Lets a key that stays in its source be used again, once that answers.
    ///
    /// Blocks until it is on disk and in the audit trail, if it changes anything.
    /// Errors: there is no such secret, its key doesn't stay in a source (then a
    /// value makes it available: [`receive`](Self::receive)), or a file can't be
    /// written.
    pub fn mark_available(
        &self,
        name: &SecretName,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        let mut writer = self.lock()?;
        let secret = self.live().secret(name)?;
        match &secret.info.origin {
            Some(origin) if origin.cache == Cache::Remote => {}
            Some(_) => return Err(VaultError::NeedsValue(name.clone())),
            None => return Err(VaultError::NoOrigin(name.clone())),
        }
        self.set_unavailable(&mut writer, &secret, None, Act::SecretAvailable, actor)
    }

    fn withhold(
        &self,
        writer: &mut Writer,
        name: &SecretName,
        why: Unavailability,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        let secret = self.live().secret(name)?;
        if secret.info.origin.is_none() {
            return Err(VaultError::NoOrigin(name.clone()));
        }
        self.set_unavailable(writer, &secret, Some(why), Act::SecretUnavailable, actor)
    }

    fn set_unavailable(
        &self,
        writer: &mut Writer,
        secret: &LiveSecret,
        why: Option<Unavailability>,
        act: Act,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        // A secret without a version is unavailable as it is; why is worth a record
        // only if it is another reason.
        if secret.info.unavailable == why {
            return Ok(secret.info.clone());
        }
        let (id, name) = (secret.info.id, &secret.info.name);
        self.change_locked(writer, |draft| {
            let plaintext = draft.open(id)?;
            let mut stored = stored_in(&plaintext)?;
            let origin = stored.origin.as_mut();
            let origin = origin.ok_or_else(|| VaultError::NoOrigin(name.clone()))?;
            origin.unavailable = why;
            let source = origin.reference.source().clone();
            let info = draft.put_secret(id, stored)?;
            let act = actor.did(act).secret(id, name, info.version);
            Ok((act.source(&source), info))
        })
    }

    /// Writes down that sources said again that what is sealed here is what they have:
    /// for each secret, how long ago that was. Those that say so later than the file
    /// does are changed, and others left alone. All of them are one write.
    ///
    /// Blocks until it is on disk and in the audit trail, if it changes anything.
    /// Errors: a file can't be written.
    pub fn confirm(
        &self,
        source: &SourceName,
        confirmed: &[(SecretName, Duration)],
        actor: &Actor,
    ) -> Result<(), VaultError> {
        let mut writer = self.lock()?;
        let live = self.live();
        let now = seconds_by(&live.parts.clock);
        let later = confirmed.iter().filter_map(|(name, ago)| {
            let secret = live.secret(name).ok()?;
            let at = now.saturating_sub(ago.as_secs());
            let origin = secret.info.origin.as_ref()?;
            let is_later = secret.confirmed.is_some_and(|before| before < at);
            (is_later && origin.reference.source() == source).then(|| (secret.info.id, at))
        });
        let later: Vec<_> = later.collect();
        if later.is_empty() {
            return Ok(());
        }
        self.change_locked(&mut writer, |draft| {
            for (id, at) in later {
                let plaintext = draft.open(id)?;
                let mut stored = stored_in(&plaintext)?;
                if let Some(origin) = &mut stored.origin {
                    origin.confirmed = origin.confirmed.map(|before| before.max(at));
                }
                draft.put_secret(id, stored)?;
            }
            Ok((actor.did(Act::OriginConfirmed).source(source), ()))
        })
    }

    /// When the source of a secret last said that the value that is sealed here is the
    /// one, as far as that is written down. `None` as of
    /// [`confirmed_ago`](Self::confirmed_ago).
    pub fn confirmed(&self, name: &SecretName) -> Option<Timestamp> {
        let live = self.live();
        let confirmed = live.secret(name).ok()?.confirmed?;
        timestamp(confirmed).ok()
    }

    /// How long ago the source of a secret last said that the value that is sealed here
    /// is the one, as far as that is written down, by the vault's clock. `None` of what
    /// is not sealed, has no source, or isn't there.
    pub fn confirmed_ago(&self, name: &SecretName) -> Option<Duration> {
        let live = self.live();
        let confirmed = live.secret(name).ok()?.confirmed?;
        let now = seconds_by(&live.parts.clock);
        Some(Duration::from_secs(now.saturating_sub(confirmed)))
    }

    /// Lets a secret's values come from a source from here on, or from another one.
    /// The version in use stays until that source gives a value. Of what is kept in
    /// memory from here on, nothing stays in the vault file.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: there is no such
    /// secret, a key of that kind can't stay in its source, or a file
    /// can't be written.
    pub fn set_origin(
        &self,
        name: &SecretName,
        origin: Origin,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        check_remote(self.kind_of(name)?, &origin)?;
        self.change(|draft| {
            let id = draft.secret(name)?.info.id;
            let plaintext = draft.open(id)?;
            let mut stored = stored_in(&plaintext)?;
            check_remote(stored.kind, &origin)?;
            let source = origin.reference.source().clone();
            if origin.cache != Cache::Sealed || stored.has_chains() {
                stored.versions.clear();
                (stored.current, stored.previous) = (None, None);
                stored.rotation.previous_until = None;
            }
            (stored.rotation.every, stored.rotation.next) = (None, None);
            if origin.cache == Cache::Remote {
                stored.reserve();
            }
            let mut origin = StoredOrigin::new(origin);
            // What is here is served until the source gives a value, and not for ever.
            let now = seconds_by(&draft.parts.clock).max(1);
            origin.confirmed = stored.current.map(|_| now);
            stored.origin = Some(origin);
            let info = draft.put_secret(id, stored)?;
            let act = actor.did(Act::OriginSet);
            Ok((act.secret(id, name, info.version).source(&source), info))
        })
    }

    /// Makes a secret one of the vault's own: its sealed versions stay, and its
    /// source is asked no more.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: there is no such
    /// secret, it has no origin, no version of it is sealed in the vault file, or a
    /// file can't be written.
    pub fn remove_origin(
        &self,
        name: &SecretName,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        self.change(|draft| {
            let id = draft.secret(name)?.info.id;
            let plaintext = draft.open(id)?;
            let mut stored = stored_in(&plaintext)?;
            let has_chains = stored.has_chains();
            let Some(origin) = stored.origin.take() else {
                return Err(VaultError::NoOrigin(name.clone()));
            };
            if stored.current.is_none() || has_chains {
                return Err(VaultError::NothingSealed(name.clone()));
            }
            let source = origin.reference.source();
            let info = draft.put_secret(id, stored)?;
            let act = actor.did(Act::OriginRemoved);
            Ok((act.secret(id, name, info.version).source(source), info))
        })
    }

    /// Shows another name of the version in use. It is not worth a write: the next
    /// one has it.
    fn rename_source_version(&self, secret: &LiveSecret, source_version: SourceVersion) {
        if secret.info.source_version.as_ref() == Some(&source_version) {
            return;
        }
        let live = self.live();
        let mut parts = live.parts.clone();
        let mut renamed = secret.copy();
        renamed.info.source_version = Some(source_version);
        let secrets = Arc::make_mut(&mut parts.secrets);
        secrets.insert(secret.info.name.clone(), Arc::new(renamed));
        let next = Live::new(parts, live.summary.clone());
        self.live.store(Arc::new(next));
    }
}

/// The secret in an item's bytes.
pub(crate) fn stored_in(plaintext: &[u8]) -> Result<StoredSecret<'_>, VaultError> {
    match Item::decode(plaintext)? {
        Item::Secret(stored) => Ok(stored),
        _ => Err(VaultError::Unreadable),
    }
}

fn check_remote(kind: Kind, origin: &Origin) -> Result<(), VaultError> {
    match origin.cache != Cache::Remote || kind.may_stay_elsewhere() {
        true => Ok(()),
        false => Err(VaultError::NotRemote {
            kind: kind.as_str(),
        }),
    }
}
