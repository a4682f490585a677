//! What is in force: the open secrets and the grants, bound to each other.
//!
//! A [`Live`] never changes; a change makes another one and swaps it in. So a use
//! sees one state of everything, and asking needs no lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use keyward_names::{Alias, ComponentDigest, GrantId, PolicyName, SecretName, ValueName};
use uuid::Uuid;

use crate::audit::{Hash, Outcome};
use crate::client_keys::ClientKeys;
use crate::clock::Clock;
use crate::contents::{StoredOrigin, StoredSecret, StoredVersion};
use crate::error::VaultError;
use crate::fingerprint::Fingerprint;
use crate::format::Damaged;
use crate::grants::{Grant, Grants, KeyPlace, Terms};
use crate::guard::MIN_SEARCHED_BYTES;
use crate::identity::{PolicyIdentity, SecretInfo, SecretState, Validity};
use crate::identity::{VersionInfo, VersionState};
use crate::kind::Kind;
use crate::lifecycle::Bounds;
use crate::mac::MacKey;
use crate::origin::{Cache, Unavailability};
use crate::remote::RemoteKey;
use crate::secret::Secret;
use crate::slots::SlotInfo;
use crate::uses::Use;
use crate::values::{Reference, ValueInfo};
use crate::vault::seconds_now;

/// A secret, ready to be used.
pub(crate) struct LiveSecret {
    pub(crate) info: SecretInfo,
    /// `None` while its source has given none.
    pub(crate) current: Option<Arc<Version>>,
    /// Still accepted where codes are verified.
    pub(crate) previous: Option<Arc<Version>>,
    /// Of a value that is sent: versions that were in use within the last 24 hours
    /// before this was prepared, because a backend may still return them.
    lately: Vec<Arc<Version>>,
    /// The version in use as its source gave it.
    pub(crate) received: Option<Arc<Fingerprint>>,
}

/// One version of a secret, in the form in which it is used.
pub(crate) struct Version {
    pub(crate) number: u64,
    pub(crate) validity: Validity,
    pub(crate) material: Material,
}

/// What a version is used as.
pub(crate) enum Material {
    ApiKey(ApiKey),
    Mac(MacKey),
    ClientKeys(ClientKeys),
    /// A key that its source keeps.
    Remote(RemoteKey),
    /// Of a kind that no use fits yet: its value stays sealed.
    Sealed,
}

/// A value that is written into requests.
pub(crate) struct ApiKey {
    pub(crate) value: Secret,
}

crate::secret::assert_not_implemented!(Version: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(LiveSecret: std::fmt::Debug, Clone, serde::Serialize);

impl Material {
    fn prepare(kind: Kind, value: &[u8]) -> Result<Self, Damaged> {
        Ok(match kind {
            Kind::ApiKey => Self::ApiKey(ApiKey {
                value: Secret::copy_of(value),
            }),
            Kind::HmacKey { algorithm, .. } => {
                Self::Mac(MacKey::prepare(algorithm, Secret::copy_of(value)))
            }
            Kind::ClientKeys => Self::ClientKeys(ClientKeys::prepare(value).ok_or(Damaged)?),
            _ => Self::Sealed,
        })
    }
}

impl Version {
    fn prepare(kind: Kind, stored: &StoredVersion<'_>) -> Result<Self, Damaged> {
        Ok(Self {
            number: stored.number,
            validity: stored.validity()?,
            material: Material::prepare(kind, stored.value)?,
        })
    }

    /// A key that its source keeps. Its versions there are for the source to know.
    fn remote(kind: Kind, number: u64, reference: &Reference) -> Result<Self, Damaged> {
        let Kind::HmacKey { algorithm, .. } = kind else {
            return Err(Damaged);
        };
        Ok(Self {
            number,
            validity: Validity::default(),
            material: Material::Remote(RemoteKey::new(reference.clone(), algorithm)),
        })
    }

    /// The value that backends are sent, if it is a version of such a secret.
    pub(crate) fn sent_value(&self) -> Option<&Secret> {
        match &self.material {
            Material::ApiKey(key) => Some(&key.value),
            _ => None,
        }
    }

    /// Whether it may be used now.
    pub(crate) fn is_valid(&self, clock: &Clock) -> bool {
        // Most versions have no bounds, and asking for the time takes longer than
        // all else here.
        !self.validity.is_bounded() || self.validity.contains(clock.now())
    }
}

impl StoredVersion<'_> {
    fn validity(&self) -> Result<Validity, Damaged> {
        Ok(Validity {
            not_before: self.not_before.map(timestamp).transpose()?,
            not_after: self.not_after.map(timestamp).transpose()?,
        })
    }
}

impl LiveSecret {
    /// Prepares the versions in use; the others stay sealed. Versions that are held
    /// in memory only are taken over from `before`.
    pub(crate) fn prepare(
        id: Uuid,
        stored: &StoredSecret<'_>,
        before: Option<&Self>,
    ) -> Result<Self, Damaged> {
        let in_use = match stored.current {
            Some(current) => Some(stored.version(current).ok_or(Damaged)?),
            None => None,
        };
        let origin = stored.origin.as_ref();
        let mut secret = Self {
            info: SecretInfo {
                is_short: false,
                name: stored.name.clone(),
                kind: stored.kind,
                id,
                state: stored.state,
                version: stored.current.unwrap_or(0),
                versions: stored.version_infos()?,
                origin: origin.map(StoredOrigin::origin),
                source_version: origin.and_then(|origin| origin.source_version.clone()),
                unavailable: origin.and_then(|origin| origin.unavailable),
                created: timestamp(stored.created)?,
                updated: timestamp(in_use.map_or(stored.created, |version| version.created))?,
            },
            current: stored.prepared(stored.current)?,
            previous: stored.prepared(stored.previous)?,
            lately: match stored.kind {
                Kind::ApiKey => stored
                    .replaced_since(Timestamp::now().as_second() - DAY_SECONDS)
                    .map(|version| Version::prepare(stored.kind, version).map(Arc::new))
                    .collect::<Result<_, _>>()?,
                _ => Vec::new(),
            },
            received: match origin.map_or(&[][..], |origin| origin.received) {
                [] => None,
                bytes => Some(Arc::new(Fingerprint::stored(bytes)?)),
            },
        };
        match origin {
            Some(origin) if origin.cache == Cache::Remote => {
                let version = Version::remote(stored.kind, stored.last, &origin.reference)?;
                secret.info.version = version.number;
                secret.current = Some(Arc::new(version));
            }
            Some(origin) if stored.current.is_none() => {
                if let Some(before) = before {
                    secret.take_over(before, origin);
                }
            }
            _ => {}
        }
        if secret.current.is_none() {
            let why = &mut secret.info.unavailable;
            *why = why.or(Some(Unavailability::NotFetched));
        }
        secret.info.is_short = secret
            .current
            .as_ref()
            .and_then(|version| version.sent_value())
            .is_some_and(|value| value.length() < MIN_SEARCHED_BYTES);
        Ok(secret)
    }

    /// Takes the versions of what was in force before this.
    fn take_over(&mut self, before: &Self, origin: &StoredOrigin<'_>) {
        if before.is_remote() {
            return;
        }
        self.current.clone_from(&before.current);
        self.previous.clone_from(&before.previous);
        self.lately.clone_from(&before.lately);
        self.info.version = before.info.version;
        self.info.updated = before.info.updated;
        let held = |version: &&VersionInfo| self.holds(version.number);
        let versions = before.info.versions.iter().filter(held).copied();
        self.info.versions = versions.collect();
        // What another source gave says nothing about what this one will.
        if before.info.origin.as_ref() == Some(&origin.origin()) {
            self.received.clone_from(&before.received);
            let source_version = &before.info.source_version;
            self.info.source_version.clone_from(source_version);
        }
    }

    /// Puts a version in use that is held in memory only.
    pub(crate) fn hold(
        &mut self,
        number: u64,
        bounds: &Bounds,
        value: &[u8],
    ) -> Result<(), Damaged> {
        let kind = self.info.kind;
        let version = Arc::new(Version {
            number,
            validity: bounds.validity()?,
            material: Material::prepare(kind, value)?,
        });
        let now = timestamp(seconds_now())?;
        let before = self.current.replace(Arc::clone(&version));
        match kind {
            Kind::ApiKey => self.lately.extend(before),
            _ if kind.keeps_previous() => self.previous = before,
            _ => {}
        }
        let surplus = self.lately.len().saturating_sub(kind.max_old_versions());
        self.lately.drain(..surplus);
        self.info.version = number;
        self.info.updated = now;
        self.info.versions.push(VersionInfo {
            number,
            created: now,
            validity: version.validity,
            state: VersionState::Current,
        });
        self.name_states();
        self.info.is_short = version
            .sent_value()
            .is_some_and(|value| value.length() < MIN_SEARCHED_BYTES);
        Ok(())
    }

    /// Drops a version that is held in memory only and not in use. Whether there
    /// was one.
    pub(crate) fn drop_held(&mut self, number: u64) -> bool {
        let count = self.info.versions.len();
        self.previous.take_if(|version| version.number == number);
        self.lately.retain(|version| version.number != number);
        self.name_states();
        self.info.versions.len() != count
    }

    /// Says when the version in use may be used, whose value this is, if that is held
    /// in memory only.
    pub(crate) fn set_validity(&mut self, bounds: &Bounds, value: &[u8]) -> Result<(), Damaged> {
        let (number, validity) = (self.info.version, bounds.validity()?);
        let versions = self.info.versions.iter_mut();
        for version in versions.filter(|version| version.number == number) {
            version.validity = validity;
        }
        self.current = Some(Arc::new(Version {
            number,
            validity,
            material: Material::prepare(self.info.kind, value)?,
        }));
        Ok(())
    }

    /// Lists the versions that are held, each with what it is used for.
    fn name_states(&mut self) {
        let mut versions = std::mem::take(&mut self.info.versions);
        versions.retain(|version| self.holds(version.number));
        for version in &mut versions {
            let is = |other: &Option<Arc<Version>>| {
                other
                    .as_ref()
                    .is_some_and(|other| other.number == version.number)
            };
            version.state = match (is(&self.current), is(&self.previous)) {
                (true, _) => VersionState::Current,
                (false, true) => VersionState::Previous,
                (false, false) => VersionState::Kept,
            };
        }
        self.info.versions = versions;
    }

    fn holds(&self, number: u64) -> bool {
        let held = self
            .current
            .iter()
            .chain(&self.previous)
            .chain(&self.lately);
        held.map(|version| version.number)
            .any(|held| held == number)
    }

    /// Whether its key stays in its source.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.material(), Some(Material::Remote(_)))
    }

    /// Whether its versions are in memory only.
    pub(crate) fn is_held_in_memory(&self) -> bool {
        let origin = self.info.origin.as_ref();
        origin.is_some_and(|origin| origin.cache == Cache::Memory)
    }

    /// The same, to be changed: the versions are shared.
    pub(crate) fn copy(&self) -> Self {
        Self {
            info: self.info.clone(),
            current: self.current.clone(),
            previous: self.previous.clone(),
            lately: self.lately.clone(),
            received: self.received.clone(),
        }
    }

    /// What the version in use is used as.
    pub(crate) fn material(&self) -> Option<&Material> {
        self.current.as_ref().map(|version| &version.material)
    }

    /// The version in use, and those that were within the 24 hours before this was
    /// prepared.
    pub(crate) fn versions_in_use_since_a_day(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.current.iter().chain(&self.lately)
    }
}

impl<'a> StoredSecret<'a> {
    fn prepared(&self, number: Option<u64>) -> Result<Option<Arc<Version>>, Damaged> {
        let Some(number) = number else {
            return Ok(None);
        };
        let version = self.version(number).ok_or(Damaged)?;
        Ok(Some(Arc::new(Version::prepare(self.kind, version)?)))
    }

    fn version_infos(&self) -> Result<Vec<VersionInfo>, Damaged> {
        let infos = self.versions.iter().map(|version| {
            Ok(VersionInfo {
                number: version.number,
                created: timestamp(version.created)?,
                validity: version.validity()?,
                state: match Some(version.number) {
                    number if number == self.current => VersionState::Current,
                    number if number == self.previous => VersionState::Previous,
                    _ => VersionState::Kept,
                },
            })
        });
        infos.collect()
    }

    /// The versions that are not in use and that another one followed on at this
    /// time, in seconds since 1970, or later.
    fn replaced_since(&self, time: i64) -> impl Iterator<Item = &StoredVersion<'a>> {
        let since = u64::try_from(time).unwrap_or(0);
        let next = |number| {
            let later = self.versions.iter().filter(move |one| one.number > number);
            later.map(|one| one.created).min()
        };
        self.versions.iter().filter(move |version| {
            Some(version.number) != self.current
                && (version.created >= since
                    || next(version.number).is_none_or(|next| next >= since))
        })
    }
}

const DAY_SECONDS: i64 = 24 * 60 * 60;

#[cfg(any(test, feature = "bench"))]
impl LiveSecret {
    /// A secret that stands in no vault.
    pub(crate) fn of_value(index: usize, value: &[u8]) -> (Arc<Self>, Arc<Version>) {
        let version = Arc::new(Version {
            number: 1,
            validity: Validity::default(),
            material: Material::ApiKey(ApiKey {
                value: Secret::copy_of(value),
            }),
        });
        let name = SecretName::parse(&format!("value-{index}")).expect("a name");
        let secret = Self {
            info: SecretInfo {
                name,
                kind: Kind::ApiKey,
                id: Uuid::from_u128(index as u128),
                state: SecretState::Enabled,
                version: 1,
                versions: Vec::new(),
                origin: None,
                source_version: None,
                unavailable: None,
                is_short: false,
                created: Timestamp::UNIX_EPOCH,
                updated: Timestamp::UNIX_EPOCH,
            },
            current: Some(Arc::clone(&version)),
            previous: None,
            lately: Vec::new(),
            received: None,
        };
        (Arc::new(secret), version)
    }
}

/// The time that seconds since 1970 say.
pub(crate) fn timestamp(seconds: u64) -> Result<Timestamp, Damaged> {
    let seconds = i64::try_from(seconds).map_err(|_| Damaged)?;
    Timestamp::from_second(seconds).map_err(|_| Damaged)
}

/// The secrets by name.
pub(crate) type Secrets = BTreeMap<SecretName, Arc<LiveSecret>>;
/// The named values by name.
pub(crate) type Values = BTreeMap<ValueName, Arc<ValueInfo>>;
/// The grants that were revoked, and when, in seconds since 1970.
pub(crate) type Revocations = BTreeMap<GrantId, u64>;

/// What is known of the vault file.
#[derive(Clone)]
pub(crate) struct Summary {
    pub(crate) vault: Uuid,
    pub(crate) epoch: u64,
    pub(crate) wrap_epoch: u64,
    pub(crate) wraps: u64,
    pub(crate) slots: Vec<SlotInfo>,
    pub(crate) bytes: u64,
}

/// What a [`Live`] is made of: what the vault holds, and the grants that were
/// loaded. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) values: Arc<Values>,
    pub(crate) revoked: Arc<Revocations>,
    /// `None` until grants are loaded.
    pub(crate) loaded: Option<Grants>,
    pub(crate) clock: Clock,
}

impl Parts {
    /// What of the loaded grants is not revoked.
    pub(crate) fn grants(&self) -> Grants {
        match &self.loaded {
            None => Grants::none(),
            Some(loaded) if self.revoked.is_empty() => loaded.clone(),
            Some(loaded) => loaded.without(&self.revoked.keys().cloned().collect::<Vec<_>>()),
        }
    }
}

/// All that is in force at one moment.
pub(crate) struct Live {
    pub(crate) parts: Parts,
    pub(crate) summary: Summary,
    /// Those that were loaded, without those that are revoked.
    pub(crate) grants: Grants,
    /// The digest of the grants.
    pub(crate) digest: Hash,
    policies: HashMap<PolicyName, Granted>,
}

/// What one policy is granted.
#[derive(Default)]
struct Granted {
    by_alias: HashMap<Alias, Vec<Bound>>,
    /// Where the keys of clients are that this policy may identify.
    places: Vec<KeyPlace>,
}

/// A grant and the secret that it is about, if there is one.
pub(crate) struct Bound {
    pub(crate) grant: Arc<Grant>,
    pub(crate) secret: Option<Arc<LiveSecret>>,
}

/// A refusal: why, and the grant that came closest.
pub(crate) type Refusal<'a> = (Outcome, Option<&'a Bound>);

impl Live {
    pub(crate) fn new(parts: Parts, summary: Summary) -> Self {
        let grants = parts.grants();
        let mut policies = HashMap::<PolicyName, Granted>::new();
        for grant in grants.iter() {
            let granted = policies.entry(grant.policy.clone()).or_default();
            if let Terms::Identify(place) = &grant.terms {
                granted.places.push(place.clone());
            }
            let bound = Bound {
                grant: Arc::clone(grant),
                secret: parts
                    .secrets
                    .get(&grant.secret)
                    .filter(|secret| grant.is_about(&secret.info.id))
                    .cloned(),
            };
            let bounds = granted.by_alias.entry(grant.alias.clone()).or_default();
            bounds.push(bound);
        }
        Self {
            digest: grants.digest(),
            parts,
            summary,
            grants,
            policies,
        }
    }

    /// A secret that is there.
    pub(crate) fn secret(&self, name: &SecretName) -> Result<Arc<LiveSecret>, VaultError> {
        let found = self.parts.secrets.get(name).cloned();
        found.ok_or_else(|| VaultError::NoSuchSecret(name.clone()))
    }

    /// Every grant in force, with its secret.
    pub(crate) fn bounds_of_all(&self) -> impl Iterator<Item = &Bound> {
        let granted = self.policies.values();
        granted.flat_map(|granted| granted.by_alias.values().flatten())
    }

    /// The grants of a policy under an alias.
    fn bounds(&self, policy: &PolicyName, alias: &str) -> &[Bound] {
        let granted = self.policies.get(policy);
        granted
            .and_then(|granted| granted.by_alias.get(alias))
            .map_or(&[], Vec::as_slice)
    }

    /// The one decision of the crate: whether a policy may use what it calls
    /// `alias` so, and which secret that is. A name that doesn't exist and one
    /// that isn't granted are both not found here, in the same step.
    pub(crate) fn decide(
        &self,
        policy: &PolicyIdentity,
        alias: &str,
        use_: Use,
    ) -> Result<(&Arc<Grant>, &Arc<LiveSecret>), Refusal<'_>> {
        let asked = policy.asks_for(alias, use_);
        let mut refusal = (Outcome::NotGranted, None);
        for bound in self.bounds(&policy.name, alias) {
            if bound.grant.use_() != use_ {
                continue;
            }
            let in_force = bound.in_force(&policy.component, use_, &self.parts.clock);
            match in_force {
                // Whether there is a value for now is told to who asks only.
                Ok(_) | Err(Outcome::Unavailable) if !asked => {
                    refusal = (Outcome::NotAsked, Some(bound));
                }
                Ok(secret) => return Ok((&bound.grant, secret)),
                Err(outcome) => refusal = (outcome, Some(bound)),
            }
        }
        Err(refusal)
    }

    /// Whether the grant under which a permit was given is still in force for that
    /// secret: the grant as it is now, which may have been changed.
    pub(crate) fn still_granted(
        &self,
        grant: &Grant,
        component: &ComponentDigest,
        secret: &LiveSecret,
    ) -> Result<&Arc<Grant>, Outcome> {
        let use_ = grant.use_();
        let bound = self
            .bounds(&grant.policy, grant.alias.as_str())
            .iter()
            .find(|bound| bound.grant.id == grant.id && bound.grant.use_() == use_)
            .ok_or(Outcome::Revoked)?;
        let bound_now = bound.in_force(component, use_, &self.parts.clock)?;
        if bound_now.info.id != secret.info.id {
            return Err(Outcome::Revoked);
        }
        Ok(&bound.grant)
    }

    /// Where the keys of clients are that this policy may identify. A grant that
    /// has expired or is for another component still hides the key.
    pub(crate) fn key_places(&self, policy: &PolicyName) -> &[KeyPlace] {
        let granted = self.policies.get(policy);
        granted.map_or(&[], |granted| granted.places.as_slice())
    }
}

impl Bound {
    fn in_force(
        &self,
        component: &ComponentDigest,
        use_: Use,
        clock: &Clock,
    ) -> Result<&Arc<LiveSecret>, Outcome> {
        if !self.grant.is_for(component) {
            return Err(Outcome::OtherComponent);
        }
        // Most grants have no end, and asking for the time takes longer than all
        // else here.
        if self.grant.not_after.is_some() && self.grant.is_expired(clock.now()) {
            return Err(Outcome::Expired);
        }
        let secret = self.secret.as_ref().ok_or(Outcome::NoSecret)?;
        if !use_.fits(&secret.info.kind) {
            return Err(Outcome::KindDoesNotFit);
        }
        if secret.info.state == SecretState::Disabled {
            return Err(Outcome::Disabled);
        }
        match &secret.current {
            Some(current) if secret.info.unavailable.is_none() => match current.is_valid(clock) {
                true => Ok(secret),
                false => Err(Outcome::NotValid),
            },
            _ => Err(Outcome::Unavailable),
        }
    }
}
