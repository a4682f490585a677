//! What is in force: the open secrets and the grants, bound to each other.
//!
//! A [`Live`] never changes; a change makes another one and swaps it in. So a use
//! sees one state of everything, and asking needs no lock.

mod secret;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use keyward_names::{Alias, ComponentDigest, GrantId, PolicyName, SecretName, ValueName};
use uuid::Uuid;

use crate::audit::{Hash, Outcome};
use crate::clock::Clock;
use crate::error::VaultError;
use crate::format::Damaged;
use crate::grants::{Grant, Grants, KeyPlace, Terms};
use crate::identity::{PolicyIdentity, SecretState};
use crate::reach::Reach;
use crate::slots::SlotInfo;
use crate::uses::Use;
use crate::values::ValueInfo;

pub(crate) use secret::{LiveSecret, Material, Version};

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
    pub(crate) reach: Reach,
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

    /// The secret of a grant, if it may be used for that now.
    pub(crate) fn usable(&self, grant: &Grant) -> Option<&Arc<LiveSecret>> {
        let bounds = self.bounds(&grant.policy, grant.alias.as_str());
        let bound = bounds.iter().find(|bound| bound.grant.id == grant.id)?;
        let component = grant
            .component
            .unwrap_or(ComponentDigest::from_bytes([0; 32]));
        bound.in_force(&component, &self.parts.clock).ok()
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
            let in_force = bound.in_force(&policy.component, &self.parts.clock);
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
        let bound_now = bound.in_force(component, &self.parts.clock)?;
        if bound_now.info.id != secret.info.id {
            return Err(Outcome::Revoked);
        }
        // The version of the permit, which need not be the current one any more.
        let clock = &self.parts.clock;
        if secret
            .current
            .as_ref()
            .is_some_and(|old| !old.is_valid(clock))
        {
            return Err(Outcome::NotValid);
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
        if !self.grant.terms.fits(&secret.info.kind) {
            return Err(Outcome::KindDoesNotFit);
        }
        if secret.lacks_certificate() && self.grant.terms.need_certificate() {
            return Err(Outcome::Unavailable);
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
