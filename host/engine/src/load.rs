//! From bytes to a policy that can run: checked, configured, compiled, linked.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use keyward_names::{ComponentDigest, IssuerName, PolicyName, RouteName};
use keyward_vault::{PolicyIdentity, digest_component};
use wasmtime::component::Component;

use crate::bindings::{backend, inbound, on_error, outbound};
use crate::code::{Linked, Making};
use crate::engine::{Admission, Engine, Tier};
use crate::error::LoadError;
use crate::exchange::Phase;
use crate::inspect::{ALLOWED_IMPORTS, Inspection, MOST_BYTES, inspect};
use crate::limits::Limits;
use crate::manifest::{Manifest, ManifestAsk};
use crate::profile::{Profile, Sandbox};
use crate::state::CallState;

/// What to load, as an operator configured it.
pub struct PolicySource<'a> {
    /// The name that grants and logs use.
    pub name: PolicyName,
    /// The component.
    pub component: &'a [u8],
    /// Settings; none if the operator gave none.
    pub settings: Option<&'a serde_json::Value>,
    /// Routes that the policy may call itself.
    pub routes: &'a [RouteName],
    /// Issuers whose tokens the policy may have checked.
    pub issuers: &'a [IssuerName],
    /// What the document asks for that `settings` holds the program of; none if they
    /// hold none. These count beside what the manifest asks for, and the policy's digest
    /// covers the settings then: another document is another policy to grants.
    pub document: Option<&'a [ManifestAsk]>,
}

/// A policy, ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Policy {
    pub(crate) inner: Arc<PolicyInner>,
}

/// On cache lines of its own, like [`crate::engine::Shared`].
#[repr(align(128))]
pub(crate) struct PolicyInner {
    pub(crate) identity: PolicyIdentity,
    pub(crate) manifest: Manifest,
    pub(crate) phases: Vec<Phase>,
    pub(crate) routes: BTreeSet<RouteName>,
    pub(crate) issuers: BTreeSet<IssuerName>,
    pub(crate) inbound: Option<inbound::InboundPolicyPre<CallState>>,
    pub(crate) backend: Option<backend::BackendPolicyPre<CallState>>,
    pub(crate) outbound: Option<outbound::OutboundPolicyPre<CallState>>,
    pub(crate) on_error: Option<on_error::OnErrorPolicyPre<CallState>>,
    pub(crate) tier: Arc<Tier>,
    pub(crate) limits: Limits,
    /// What its limits and its profile allow.
    pub(crate) memory_bytes: usize,
    pub(crate) table_elements: usize,
    pub(crate) admission: Arc<Admission>,
    /// What others that run the same code find it by.
    pub(crate) _code: Arc<Component>,
}

impl Policy {
    /// Its name.
    pub fn name(&self) -> &PolicyName {
        &self.inner.identity.name
    }

    /// Name, digest and what it asks for: what grants are matched with.
    pub fn identity(&self) -> &PolicyIdentity {
        &self.inner.identity
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// The sandbox that it runs in.
    pub fn profile(&self) -> Profile {
        self.inner.tier.profile
    }

    /// What each of its calls may use up.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The phases that it has.
    pub fn phases(&self) -> &[Phase] {
        &self.inner.phases
    }
}

impl Engine {
    /// Checks, configures, compiles and links a component, in the sandbox that its
    /// declarations ask for.
    ///
    /// Compiling takes about three milliseconds for each KiB of component, unless the
    /// code is kept from an earlier time or another policy of the component, whatever its
    /// settings, is loaded; its `configure` runs here, within 20 times the computing time
    /// of a call. Don't call it from an async task that others wait for.
    ///
    /// Errors: see [`LoadError`]; nothing of the component runs when its imports
    /// or structure are refused.
    pub fn load(&self, source: &PolicySource<'_>) -> Result<Policy, LoadError> {
        self.load_in(&Sandbox::default(), source)
    }

    /// The same in a sandbox of the operator's choice.
    ///
    /// Errors: also if the component or the limits don't fit the profile.
    pub fn load_in(
        &self,
        sandbox: &Sandbox,
        source: &PolicySource<'_>,
    ) -> Result<Policy, LoadError> {
        let policy = &source.name;
        let inspection = self.inspected(policy, source.component)?;
        let mut manifest = inspection
            .manifest
            .and_then(|manifest| match source.settings {
                Some(settings) => manifest.with_settings(settings),
                None => Ok(manifest),
            })
            .map_err(|source| LoadError::Manifest {
                policy: policy.clone(),
                source,
            })?;
        if let Some(asks) = source.document {
            if !manifest.runs_documents {
                return Err(LoadError::RunsNoDocuments {
                    policy: policy.clone(),
                });
            }
            manifest.asks.extend_from_slice(asks);
        }
        let asks = manifest
            .vault_asks()
            .map_err(|source| LoadError::Manifest {
                policy: policy.clone(),
                source,
            })?;
        let component = match source.document {
            None => digest_component(source.component),
            Some(_) => digest_of_document(source.component, source.settings),
        };
        let configure = match (inspection.takes_settings, source.settings) {
            (true, Some(settings)) => Some(settings.to_string()),
            (true, None) => Some("{}".to_owned()),
            (false, Some(_)) => {
                return Err(LoadError::NoSettings {
                    policy: policy.clone(),
                });
            }
            (false, None) => None,
        };

        let profile = sandbox
            .profile
            .unwrap_or_else(|| inspection.declares.profile());
        if let Some(what) = inspection.declares.exceeds(profile) {
            return Err(LoadError::Profile {
                policy: policy.clone(),
                profile,
                what,
            });
        }
        let limits = sandbox.limits.as_ref().unwrap_or(&self.config.limits);
        limits.check(profile).map_err(|source| LoadError::Limit {
            policy: policy.clone(),
            source,
        })?;
        let limits = limits.clone();
        let tier = self.tier(profile).map_err(|source| LoadError::Engine {
            policy: policy.clone(),
            source,
        })?;
        let making = Making {
            policy,
            component: source.component,
            configure: configure.as_deref(),
            limits: &limits,
        };
        let Linked { pre, code } = self.linked(&tier, &making)?;
        let unfit = |error: wasmtime::Error| LoadError::Unfit {
            policy: policy.clone(),
            detail: format!("{error:#}"),
        };
        let has = |phase| inspection.phases.contains(&phase);
        let most = sandbox
            .concurrent_calls
            .unwrap_or(self.config.calls(profile).div_ceil(4).saturating_mul(3))
            .max(1);
        let inner = PolicyInner {
            identity: PolicyIdentity {
                name: policy.clone(),
                component,
                asks,
            },
            manifest,
            routes: source.routes.iter().cloned().collect(),
            issuers: source.issuers.iter().cloned().collect(),
            inbound: has(Phase::Inbound)
                .then(|| inbound::InboundPolicyPre::new(pre.clone()))
                .transpose()
                .map_err(unfit)?,
            backend: has(Phase::Backend)
                .then(|| backend::BackendPolicyPre::new(pre.clone()))
                .transpose()
                .map_err(unfit)?,
            outbound: has(Phase::Outbound)
                .then(|| outbound::OutboundPolicyPre::new(pre.clone()))
                .transpose()
                .map_err(unfit)?,
            on_error: has(Phase::OnError)
                .then(|| on_error::OnErrorPolicyPre::new(pre.clone()))
                .transpose()
                .map_err(unfit)?,
            phases: inspection.phases,
            memory_bytes: limits.memory_in(profile),
            table_elements: limits.elements_in(profile),
            limits,
            admission: self.admission(policy, most),
            tier,
            _code: code,
        };
        Ok(Policy {
            inner: Arc::new(inner),
        })
    }

    /// What a component is, if it is one that can be loaded. Which it is only depends on
    /// its bytes: those of the last one are not read again.
    fn inspected(&self, policy: &PolicyName, component: &[u8]) -> Result<Inspection, LoadError> {
        let digest = digest_component(component);
        let mut last = self
            .inspected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((of, inspection)) = &*last
            && *of == digest
        {
            return Ok(inspection.clone());
        }
        let inspection = check(policy, component)?;
        *last = Some((digest, inspection.clone()));
        Ok(inspection)
    }
}

/// What a policy is that runs a document: its component, and the settings that hold the
/// document's program.
pub fn digest_of_document(
    component: &[u8],
    settings: Option<&serde_json::Value>,
) -> ComponentDigest {
    let settings = settings.map(ToString::to_string).unwrap_or_default();
    let (component, settings) = (
        digest_component(component),
        digest_component(settings.as_bytes()),
    );
    let both = [&component.as_bytes()[..], &settings.as_bytes()[..]].concat();
    digest_component(&both)
}

fn check(policy: &PolicyName, component: &[u8]) -> Result<Inspection, LoadError> {
    if component.len() > MOST_BYTES {
        return Err(LoadError::TooLarge {
            policy: policy.clone(),
            bytes: component.len(),
            most: MOST_BYTES,
        });
    }
    let inspection = inspect(component).map_err(|detail| LoadError::Invalid {
        policy: policy.clone(),
        detail,
    })?;
    if let Some(import) = inspection.forbidden_imports.first() {
        return Err(LoadError::Import {
            policy: policy.clone(),
            import: import.clone(),
            allowed: ALLOWED_IMPORTS.join(", "),
        });
    }
    if let Some(what) = inspection.shape {
        return Err(LoadError::Shape {
            policy: policy.clone(),
            what,
        });
    }
    if inspection.phases.is_empty() {
        return Err(LoadError::NoPhase {
            policy: policy.clone(),
        });
    }
    Ok(inspection)
}
