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
use crate::contents::{StoredSecret, StoredVersion};
use crate::format::Damaged;
use crate::grants::{Grant, Grants, KeyPlace, Terms};
use crate::guard::MIN_SEARCHED_BYTES;
#[cfg(any(test, feature = "bench"))]
use crate::identity::Rotation;
use crate::identity::{PolicyIdentity, SecretInfo, SecretState, Validity};
use crate::identity::{VersionInfo, VersionState};
use crate::kind::Kind;
use crate::mac::MacKey;
use crate::secret::Secret;
use crate::slots::SlotInfo;
use crate::uses::Use;
use crate::values::ValueInfo;

/// A secret, ready to be used.
pub(crate) struct LiveSecret {
    pub(crate) info: SecretInfo,
    pub(crate) current: Arc<Version>,
    /// Still accepted where codes are verified, until `previous_until`.
    pub(crate) previous: Option<Arc<Version>>,
    /// `None`: until the next rotation.
    pub(crate) previous_until: Option<Timestamp>,
    /// Of a value that is sent: versions that were in use within the last 24 hours
    /// before this was prepared, because a backend may still return them.
    lately: Vec<Arc<Version>>,
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
    /// Of a kind that no use fits yet: its value stays sealed.
    Sealed,
}

/// A value that is written into requests.
pub(crate) struct ApiKey {
    pub(crate) value: Secret,
}

crate::secret::assert_not_implemented!(Version: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(LiveSecret: std::fmt::Debug, Clone, serde::Serialize);

impl Version {
    fn prepare(kind: Kind, stored: &StoredVersion<'_>) -> Result<Self, Damaged> {
        let material = match kind {
            Kind::ApiKey => Material::ApiKey(ApiKey {
                value: Secret::copy_of(stored.value),
            }),
            Kind::HmacKey { algorithm, .. } => {
                let key = Secret::copy_of(stored.value);
                Material::Mac(MacKey::prepare(algorithm, key))
            }
            Kind::ClientKeys => {
                Material::ClientKeys(ClientKeys::prepare(stored.value).ok_or(Damaged)?)
            }
            _ => Material::Sealed,
        };
        Ok(Self {
            number: stored.number,
            validity: stored.validity()?,
            material,
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
    /// Prepares the versions in use; the others stay sealed.
    pub(crate) fn prepare(id: Uuid, stored: &StoredSecret<'_>) -> Result<Self, Damaged> {
        let prepare = |number: u64| {
            let version = stored.version(number).ok_or(Damaged)?;
            Version::prepare(stored.kind, version).map(Arc::new)
        };
        let previous_until = stored.rotation.previous_until.map(timestamp).transpose()?;
        let versions = stored.versions.iter().map(|version| {
            Ok(VersionInfo {
                number: version.number,
                created: timestamp(version.created)?,
                validity: version.validity()?,
                state: match version.number {
                    number if number == stored.current => VersionState::Current,
                    number if Some(number) == stored.previous => VersionState::Previous,
                    _ => VersionState::Kept,
                },
                accepted_until: previous_until.filter(|_| stored.previous == Some(version.number)),
            })
        });
        let in_use = stored.version(stored.current).ok_or(Damaged)?;
        let lately = match stored.kind {
            Kind::ApiKey => stored
                .replaced_since(Timestamp::now().as_second() - DAY_SECONDS)
                .map(|version| Version::prepare(stored.kind, version).map(Arc::new))
                .collect::<Result<_, _>>()?,
            _ => Vec::new(),
        };
        let current = prepare(stored.current)?;
        let is_short = current
            .sent_value()
            .is_some_and(|value| value.length() < MIN_SEARCHED_BYTES);
        Ok(Self {
            info: SecretInfo {
                is_short,
                name: stored.name.clone(),
                kind: stored.kind,
                id,
                state: stored.state,
                version: stored.current,
                versions: versions.collect::<Result<_, Damaged>>()?,
                created: timestamp(stored.created)?,
                updated: timestamp(in_use.created)?,
                rotation: stored.rotation.info()?,
            },
            current,
            previous: stored.previous.map(prepare).transpose()?,
            previous_until,
            lately,
        })
    }

    /// The version in use, and those that were within the 24 hours before this was
    /// prepared.
    pub(crate) fn versions_in_use_since_a_day(&self) -> impl Iterator<Item = &Arc<Version>> {
        std::iter::once(&self.current).chain(&self.lately)
    }
}

impl<'a> StoredSecret<'a> {
    /// The versions that are not in use and that another one followed on at this
    /// time, in seconds since 1970, or later.
    fn replaced_since(&self, time: i64) -> impl Iterator<Item = &StoredVersion<'a>> {
        let since = u64::try_from(time).unwrap_or(0);
        let next = |number| {
            let later = self.versions.iter().filter(move |one| one.number > number);
            later.map(|one| one.created).min()
        };
        self.versions.iter().filter(move |version| {
            version.number != self.current
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
                is_short: false,
                created: Timestamp::UNIX_EPOCH,
                updated: Timestamp::UNIX_EPOCH,
                rotation: Rotation::default(),
            },
            current: Arc::clone(&version),
            previous: None,
            previous_until: None,
            lately: Vec::new(),
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
                Ok(secret) if asked => return Ok((&bound.grant, secret)),
                Ok(_) => refusal = (Outcome::NotAsked, Some(bound)),
                Err(outcome) => refusal = (outcome, Some(bound)),
            }
        }
        Err(refusal)
    }

    /// Whether the grant under which a permit was given is still in force for that
    /// secret: both as they are now, since they may have been changed.
    pub(crate) fn still_granted(
        &self,
        grant: &Grant,
        component: &ComponentDigest,
        secret: &LiveSecret,
    ) -> Result<(&Arc<Grant>, &Arc<LiveSecret>), Outcome> {
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
        Ok((&bound.grant, bound_now))
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
        if !secret.current.is_valid(clock) {
            return Err(Outcome::NotValid);
        }
        Ok(secret)
    }
}
