//! The life of a secret: added, rotated, rolled back, disabled, enabled, removed.
//!
//! Each act opens the secret's item, writes it anew, and is in the audit trail
//! before it is in force.

use std::sync::Arc;

use keyward_names::SecretName;

use crate::audit::Act;
use crate::contents::{Item, StoredRotation, StoredSecret, StoredVersion};
use crate::error::VaultError;
use crate::format::Damaged;
use crate::identity::{Actor, SecretInfo, SecretState, Validity};
use crate::items::Draft;
use crate::kind::Kind;
use crate::live::{LiveSecret, timestamp};
use crate::origin::stored_in;
use crate::rotation::{Replacement, seconds_by};
use crate::secret::Secret;
use crate::values::NamedValue;
use crate::vault::{Vault, new_id, seconds_now, seconds_of};

impl Vault {
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
        self.add_valid(name, kind, value, Validity::default(), actor)
    }

    /// The same, for a value that may be used at certain times only. A certificate
    /// ends with its leaf, if not before.
    ///
    /// Errors: also, the validity is empty.
    pub fn add_valid(
        &self,
        name: &SecretName,
        kind: Kind,
        value: Secret,
        validity: Validity,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        let imported = kind.import(value)?;
        let bounds = Bounds::new(validity, imported.not_after)?;
        let value = imported.value.expose();
        self.change(|draft| {
            if draft.parts.secrets.contains_key(name) {
                return Err(VaultError::NameTaken(name.clone()));
            }
            let now = seconds_now();
            let id = new_id();
            let stored = StoredSecret {
                name: name.clone(),
                kind,
                state: SecretState::Enabled,
                created: now,
                current: Some(1),
                previous: None,
                last: 1,
                rotation: StoredRotation::default(),
                versions: vec![bounds.version(1, now, &value)],
                origin: None,
            };
            let info = draft.put_secret(id, stored)?;
            let act = actor.did(Act::SecretAdded).secret(id, name, 1);
            Ok((act, info))
        })
    }

    /// Adds many secrets in one write and with one record, which is about the last.
    /// For benchmarks.
    #[cfg(feature = "bench")]
    pub fn add_many(
        &self,
        secrets: impl Iterator<Item = (SecretName, Kind, Secret)>,
        actor: &Actor,
    ) -> Result<(), VaultError> {
        self.change(|draft| {
            let mut act = actor.did(Act::SecretAdded);
            let now = seconds_now();
            let bounds = Bounds::new(Validity::default(), None)?;
            for (name, kind, value) in secrets {
                let value = kind.import(value)?.value;
                let value = value.expose();
                let id = new_id();
                act = act.secret(id, &name, 1);
                let stored = StoredSecret {
                    name,
                    kind,
                    state: SecretState::Enabled,
                    created: now,
                    current: Some(1),
                    previous: None,
                    last: 1,
                    rotation: StoredRotation::default(),
                    versions: vec![bounds.version(1, now, &value)],
                    origin: None,
                };
                draft.put_secret(id, stored)?;
            }
            Ok((act, ()))
        })
    }

    /// Gives a secret a new value of the same kind. Permits that are under way go
    /// on with the version that they were given for; later ones get the new one.
    ///
    /// A MAC key's last version stays accepted where codes are verified, for as long
    /// as the secret's [`Rotation`](crate::Rotation) says: until the next rotation,
    /// if it says nothing. Up to 8 versions that are no longer in use are kept sealed
    /// (of client keys 2), so that they can be rolled back to; the oldest one
    /// beyond that is destroyed.
    ///
    /// Blocks and fails as [`add`](Self::add) does; also if there is no such secret.
    pub fn rotate(
        &self,
        name: &SecretName,
        value: Secret,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        self.rotate_valid(name, value, Validity::default(), actor)
    }

    /// The same, for a value that may be used at certain times only.
    ///
    /// Errors: also, the validity is empty.
    pub fn rotate_valid(
        &self,
        name: &SecretName,
        value: Secret,
        validity: Validity,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        let replacement = Replacement {
            validity,
            ..Replacement::of(value)
        };
        self.rotate_with(name, replacement, actor)
    }

    /// Puts an earlier version in use: `to`, or the highest one below the version
    /// in use. The version that is left stays accepted where codes are verified,
    /// if the secret is a MAC key, else it is kept sealed.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: no such secret or
    /// version, the version is in use, there is none before, or a file can't be
    /// written.
    pub fn roll_back(
        &self,
        name: &SecretName,
        to: Option<u64>,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        self.edit(
            Act::SecretRolledBack,
            name,
            None,
            actor,
            |stored, _, now| {
                stored.is_own()?;
                let before = stored.versions.iter().map(|version| version.number);
                let to = match to {
                    Some(to) => to,
                    None => before
                        .filter(|number| Some(*number) < stored.current)
                        .max()
                        .ok_or_else(|| VaultError::NothingBefore(name.clone()))?,
                };
                stored.not_in_use(to)?;
                stored.put_in_use(to, now);
                Ok(Some(to))
            },
        )
    }

    /// Lets nobody use a secret, at once, whatever the grants say.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: no such secret,
    /// or a file can't be written.
    pub fn disable(&self, name: &SecretName, actor: &Actor) -> Result<SecretInfo, VaultError> {
        self.edit(Act::SecretDisabled, name, None, actor, |stored, _, _| {
            stored.state = SecretState::Disabled;
            Ok(None)
        })
    }

    /// Lets a disabled secret be used again, as the grants say.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: no such secret,
    /// or a file can't be written.
    pub fn enable(&self, name: &SecretName, actor: &Actor) -> Result<SecretInfo, VaultError> {
        self.edit(Act::SecretEnabled, name, None, actor, |stored, _, _| {
            stored.state = SecretState::Enabled;
            Ok(None)
        })
    }

    /// Destroys a version that is not in use. Its number is never given again.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: no such secret or
    /// version, the version is in use, or a file can't be written.
    pub fn retire(
        &self,
        name: &SecretName,
        version: u64,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        self.change(|draft| {
            let before = draft.secret(name)?;
            let id = before.info.id;
            if before.is_held_in_memory() {
                if version == before.info.version {
                    let name = name.clone();
                    return Err(VaultError::VersionInUse { name, version });
                }
                let mut next = before.copy();
                if !next.drop_held(version) {
                    let name = name.clone();
                    return Err(VaultError::NoSuchVersion { name, version });
                }
                let info = draft.put_in_force(next);
                let act = actor.did(Act::VersionRetired);
                return Ok((act.secret(id, name, version), info));
            }
            let plaintext = draft.open(id)?;
            let mut stored = stored_in(&plaintext)?;
            stored.not_in_use(version)?;
            stored.destroy(version);
            let info = draft.put_secret(id, stored)?;
            let act = actor.did(Act::VersionRetired);
            Ok((act.secret(id, name, version), info))
        })
    }

    /// Says when a version may be used.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: no such secret or
    /// version, the validity is empty, or a file can't be written.
    pub fn set_validity(
        &self,
        name: &SecretName,
        version: u64,
        validity: Validity,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        let bounds = Bounds::new(validity, None)?;
        self.edit(Act::ValiditySet, name, None, actor, |stored, _, _| {
            stored.is_own()?;
            stored.set_bounds(version, &bounds)?;
            Ok(Some(version))
        })
    }

    /// Destroys a disabled secret with all its versions.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: no such secret,
    /// it is enabled, a grant in force names it, a named value binds it, or a file
    /// can't be written.
    pub fn remove(&self, name: &SecretName, actor: &Actor) -> Result<(), VaultError> {
        self.change(|draft| {
            let secret = draft.secret(name)?;
            if secret.info.state == SecretState::Enabled {
                return Err(VaultError::NotDisabled(name.clone()));
            }
            let grants = draft.parts.grants();
            if let Some(grant) = grants.iter().find(|grant| grant.secret == *name) {
                return Err(VaultError::SecretGranted {
                    name: name.clone(),
                    grant: grant.id.clone(),
                });
            }
            let mut values = draft.parts.values.values();
            let binds =
                |value: &NamedValue| matches!(value, NamedValue::Secret(bound) if bound == name);
            if let Some(value) = values.find(|value| binds(&value.value)) {
                return Err(VaultError::SecretBound {
                    name: name.clone(),
                    value: value.name.clone(),
                });
            }
            draft.take_out(secret.info.id);
            Arc::make_mut(&mut draft.parts.secrets).remove(name);
            let act = actor.did(Act::SecretRemoved);
            Ok((act.secret(secret.info.id, name, secret.info.version), ()))
        })
    }

    /// What is known of each secret, by name.
    pub fn list(&self) -> Vec<SecretInfo> {
        let live = self.live();
        let now = live.parts.clock.now();
        let secrets = live.parts.secrets.values();
        secrets.map(|secret| secret.info_at(now)).collect()
    }

    /// What is known of one secret; `None` if there is none of that name.
    pub fn info(&self, name: &SecretName) -> Option<SecretInfo> {
        let live = self.live();
        live.parts
            .secrets
            .get(name)
            .map(|secret| secret.info_at(live.parts.clock.now()))
    }

    pub(crate) fn kind_of(&self, name: &SecretName) -> Result<Kind, VaultError> {
        let live = self.live();
        let secret = live.parts.secrets.get(name);
        secret
            .map(|secret| secret.info.kind)
            .ok_or_else(|| VaultError::NoSuchSecret(name.clone()))
    }

    /// Changes a secret's item. `make` is given the item, `value` and the time by
    /// the vault's clock, in seconds since 1970, and returns the version that the act
    /// is about, if that isn't the one in use.
    pub(crate) fn edit(
        &self,
        act: Act,
        name: &SecretName,
        value: Option<&[u8]>,
        actor: &Actor,
        make: impl for<'a> FnOnce(
            &mut StoredSecret<'a>,
            &'a [u8],
            u64,
        ) -> Result<Option<u64>, VaultError>,
    ) -> Result<SecretInfo, VaultError> {
        self.change(|draft| {
            let id = draft.secret(name)?.info.id;
            let plaintext = draft.open(id)?;
            let mut stored = stored_in(&plaintext)?;
            let now = seconds_by(&draft.parts.clock);
            let version = make(&mut stored, value.unwrap_or_default(), now)?;
            let info = draft.put_secret(id, stored)?;
            let version = version.unwrap_or(info.version);
            Ok((actor.did(act).secret(id, name, version), info))
        })
    }
}

impl Draft<'_> {
    /// Puts a secret into the file and among those that will be in force.
    pub(crate) fn put_secret(
        &mut self,
        id: uuid::Uuid,
        stored: StoredSecret<'_>,
    ) -> Result<SecretInfo, VaultError> {
        let before = self.parts.secrets.get(&stored.name).map(Arc::as_ref);
        let mut secret = LiveSecret::prepare(id, &stored, before)?;
        if before.is_some_and(|before| before.info.rotation != secret.info.rotation) {
            secret.retire_held(self.parts.clock.now());
        }
        self.put_prepared(id, stored, secret)
    }

    /// The same, with what will be in force.
    pub(crate) fn put_prepared(
        &mut self,
        id: uuid::Uuid,
        stored: StoredSecret<'_>,
        secret: LiveSecret,
    ) -> Result<SecretInfo, VaultError> {
        self.put(id, &Item::Secret(stored))?;
        Ok(self.put_in_force(secret))
    }

    /// Puts a secret among those that will be in force.
    pub(crate) fn put_in_force(&mut self, secret: LiveSecret) -> SecretInfo {
        let info = secret.info.clone();
        let secrets = Arc::make_mut(&mut self.parts.secrets);
        secrets.insert(info.name.clone(), Arc::new(secret));
        info
    }
}

/// A validity in seconds since 1970.
pub(crate) struct Bounds {
    not_before: Option<u64>,
    not_after: Option<u64>,
}

impl Bounds {
    /// `end` holds too, if there is one. An end that no timestamp reaches is
    /// none: a certificate without an end says the last second of the year 9999
    /// (RFC 5280, section 4.1.2.5).
    pub(crate) fn new(validity: Validity, end: Option<u64>) -> Result<Self, VaultError> {
        // 0 stands for no bound in the file; what began before 1970 began, and what
        // ended then ended.
        let not_before = validity.not_before.map(seconds_of);
        let not_after = validity.not_after.map(|time| seconds_of(time).max(1));
        let end = end.filter(|end| timestamp(*end).is_ok());
        let not_after = not_after.into_iter().chain(end).min();
        if let (Some(from), Some(until)) = (not_before, not_after)
            && from >= until
        {
            return Err(VaultError::EmptyValidity);
        }
        Ok(Self {
            not_before: not_before.filter(|from| *from > 0),
            not_after,
        })
    }

    /// Those of a version.
    pub(crate) const fn of(version: &StoredVersion<'_>) -> Self {
        Self {
            not_before: version.not_before,
            not_after: version.not_after,
        }
    }

    /// As a validity.
    pub(crate) fn validity(&self) -> Result<Validity, Damaged> {
        Ok(Validity {
            not_before: self.not_before.map(timestamp).transpose()?,
            not_after: self.not_after.map(timestamp).transpose()?,
        })
    }

    fn version<'a>(&self, number: u64, created: u64, value: &'a [u8]) -> StoredVersion<'a> {
        StoredVersion {
            number,
            created,
            not_before: self.not_before,
            not_after: self.not_after,
            value,
        }
    }
}

impl<'a> StoredSecret<'a> {
    /// Adds a version with the next number and puts it in use. `now` is the time by
    /// the vault's clock, from which the times of its [`Rotation`](crate::Rotation)
    /// are counted.
    pub(crate) fn push(&mut self, bounds: &Bounds, value: &'a [u8], now: u64) -> u64 {
        let number = self.reserve();
        self.versions
            .push(bounds.version(number, seconds_now(), value));
        self.put_in_use(number, now);
        self.restart_schedule(now);
        // The oldest go, but not the one that is still accepted.
        while self.versions.len() > self.kind.max_old_versions() + 1 {
            let in_use = [self.current, self.previous];
            let mut numbers = self.versions.iter().map(|version| version.number);
            match numbers.find(|number| !in_use.contains(&Some(*number))) {
                Some(oldest) => self.destroy(oldest),
                None => break,
            }
        }
        number
    }

    fn put_in_use(&mut self, number: u64, now: u64) {
        self.previous = self.current.filter(|_| self.kind.keeps_previous());
        self.current = Some(number);
        self.retire_previous(self.rotation.retire_after, now);
    }

    /// The number of the next version, which no other one will have.
    pub(crate) fn reserve(&mut self) -> u64 {
        self.last = self.last.saturating_add(1);
        self.last
    }

    /// Says when a version may be used.
    pub(crate) fn set_bounds(&mut self, version: u64, bounds: &Bounds) -> Result<(), VaultError> {
        let mut versions = self.versions.iter_mut();
        let found = versions.find(|other| other.number == version);
        let found = found.ok_or_else(|| VaultError::NoSuchVersion {
            name: self.name.clone(),
            version,
        })?;
        found.not_before = bounds.not_before;
        found.not_after = bounds.not_after;
        Ok(())
    }

    /// Errors: its values come from a source. The certificate of a key that stays in one
    /// does not.
    pub(crate) fn is_own(&self) -> Result<(), VaultError> {
        match &self.origin {
            None => Ok(()),
            Some(_) if self.has_chains() => Ok(()),
            Some(origin) => Err(VaultError::HasOrigin {
                name: self.name.clone(),
                reference: origin.reference.clone(),
            }),
        }
    }

    fn destroy(&mut self, number: u64) {
        self.versions.retain(|version| version.number != number);
        self.previous = self.previous.filter(|previous| *previous != number);
        let until = self.rotation.previous_until;
        self.rotation.previous_until = until.filter(|_| self.previous.is_some());
    }

    /// Errors: there is no such version, or it is the one in use.
    fn not_in_use(&self, version: u64) -> Result<(), VaultError> {
        let name = self.name.clone();
        if Some(version) == self.current {
            Err(VaultError::VersionInUse { name, version })
        } else if self.version(version).is_none() {
            Err(VaultError::NoSuchVersion { name, version })
        } else {
            Ok(())
        }
    }
}
