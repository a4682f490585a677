//! What is in force: the open secrets and the grants, bound to each other.
//!
//! A [`Live`] never changes; a change makes another one and swaps it in. So a use
//! sees one state of everything, and asking needs no lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use keyward_names::{Alias, ComponentDigest, PolicyName, SecretName};

use crate::audit::{Hash, Outcome};
use crate::client_keys::ClientKeys;
use crate::contents::Contents;
use crate::format::Damaged;
use crate::grants::{Grant, Grants, KeyPlace, Terms};
use crate::guard::Matcher;
use crate::identity::{PolicyIdentity, SecretInfo};
use crate::kind::Kind;
use crate::mac::MacKey;
use crate::secret::Secret;
use crate::uses::Use;

/// A secret, ready to be used.
pub(crate) struct LiveSecret {
    pub(crate) info: SecretInfo,
    pub(crate) current: Arc<Version>,
    /// Still accepted where codes are verified.
    pub(crate) previous: Option<Arc<Version>>,
}

/// One version of a secret, in the form in which it is used.
pub(crate) struct Version {
    pub(crate) number: u64,
    pub(crate) material: Material,
}

/// What a version is used as.
pub(crate) enum Material {
    ApiKey(ApiKey),
    Mac(MacKey),
    ClientKeys(ClientKeys),
}

/// A value that is written into requests.
pub(crate) struct ApiKey {
    pub(crate) value: Secret,
    matcher: OnceLock<Arc<Matcher>>,
}

impl ApiKey {
    /// What finds the value in answers; made at its first use.
    pub(crate) fn matcher(&self) -> &Arc<Matcher> {
        self.matcher
            .get_or_init(|| Arc::new(Matcher::new(&self.value)))
    }
}

crate::secret::assert_not_implemented!(Version: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(LiveSecret: std::fmt::Debug, Clone, serde::Serialize);

impl Version {
    pub(crate) fn prepare(number: u64, contents: Contents) -> Result<Self, Damaged> {
        let material = match contents.kind {
            Kind::ApiKey => Material::ApiKey(ApiKey {
                value: contents.value,
                matcher: OnceLock::new(),
            }),
            Kind::HmacKey { algorithm, .. } => {
                Material::Mac(MacKey::prepare(algorithm, &contents.value))
            }
            Kind::ClientKeys => {
                Material::ClientKeys(ClientKeys::prepare(&contents.value).ok_or(Damaged)?)
            }
        };
        Ok(Self { number, material })
    }
}

/// The secrets by name.
pub(crate) type Secrets = BTreeMap<SecretName, Arc<LiveSecret>>;

/// All that is in force at one moment.
pub(crate) struct Live {
    pub(crate) secrets: Secrets,
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
    pub(crate) fn new(secrets: Secrets, grants: Grants) -> Self {
        let mut policies = HashMap::<PolicyName, Granted>::new();
        for grant in grants.iter() {
            let granted = policies.entry(grant.policy.clone()).or_default();
            if let Terms::Identify(place) = &grant.terms {
                granted.places.push(place.clone());
            }
            let bound = Bound {
                grant: Arc::clone(grant),
                secret: secrets
                    .get(&grant.secret)
                    .filter(|secret| grant.is_about(&secret.info.id))
                    .cloned(),
            };
            let bounds = granted.by_alias.entry(grant.alias.clone()).or_default();
            bounds.push(bound);
        }
        Self {
            digest: grants.digest(),
            secrets,
            grants,
            policies,
        }
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
            let in_force = bound.in_force(&policy.component, use_);
            match in_force {
                Ok(secret) if asked => return Ok((&bound.grant, secret)),
                Ok(_) => refusal = (Outcome::NotAsked, Some(bound)),
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
        if bound.in_force(component, use_)?.info.id != secret.info.id {
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
    ) -> Result<&Arc<LiveSecret>, Outcome> {
        if !self.grant.is_for(component) {
            return Err(Outcome::OtherComponent);
        }
        // Most grants have no end, and asking for the time takes longer than all
        // else here.
        if self.grant.not_after.is_some() && self.grant.is_expired(Timestamp::now()) {
            return Err(Outcome::Expired);
        }
        let secret = self.secret.as_ref().ok_or(Outcome::NoSecret)?;
        if !use_.fits(&secret.info.kind) {
            return Err(Outcome::KindDoesNotFit);
        }
        Ok(secret)
    }
}
