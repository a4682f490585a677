//! From bytes to a policy that can run: checked, configured, compiled, linked.

use std::collections::BTreeSet;
use std::sync::Arc;

use keyward_names::{PolicyName, RouteName};
use keyward_vault::{PolicyIdentity, digest_component};
use wasmtime::component::Component;

use crate::bindings::{backend, inbound, on_error, outbound};
use crate::engine::Engine;
use crate::error::LoadError;
use crate::exchange::Phase;
use crate::inspect::{ALLOWED_IMPORTS, Inspection, MOST_BYTES, inspect};
use crate::manifest::Manifest;
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
    pub(crate) inbound: Option<inbound::InboundPolicyPre<CallState>>,
    pub(crate) backend: Option<backend::BackendPolicyPre<CallState>>,
    pub(crate) outbound: Option<outbound::OutboundPolicyPre<CallState>>,
    pub(crate) on_error: Option<on_error::OnErrorPolicyPre<CallState>>,
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

    /// The phases that it has.
    pub fn phases(&self) -> &[Phase] {
        &self.inner.phases
    }
}

impl Engine {
    /// Checks, configures, compiles and links a component.
    ///
    /// Compiling takes about a millisecond for each KiB of component, on the
    /// calling thread; don't call it from an async task that others wait for.
    ///
    /// Errors: see [`LoadError`]; nothing of the component runs when its imports
    /// or structure are refused.
    pub fn load(&self, source: &PolicySource<'_>) -> Result<Policy, LoadError> {
        let policy = &source.name;
        let inspection = check(policy, source.component)?;
        let manifest = inspection
            .manifest
            .and_then(|manifest| match source.settings {
                Some(settings) => manifest.with_settings(settings),
                None => Ok(manifest),
            })
            .map_err(|source| LoadError::Manifest {
                policy: policy.clone(),
                source,
            })?;
        let asks = manifest
            .vault_asks()
            .map_err(|source| LoadError::Manifest {
                policy: policy.clone(),
                source,
            })?;

        let image = match (inspection.takes_settings, source.settings) {
            (true, settings) => Some(self.configured_image(policy, source.component, settings)?),
            (false, Some(_)) => {
                return Err(LoadError::NoSettings {
                    policy: policy.clone(),
                });
            }
            (false, None) => None,
        };
        let bytes = image.as_deref().unwrap_or(source.component);

        let unfit = |error: wasmtime::Error| LoadError::Unfit {
            policy: policy.clone(),
            detail: format!("{error:#}"),
        };
        let component = Component::new(&self.wasmtime, bytes).map_err(unfit)?;
        let pre = self.linker.instantiate_pre(&component).map_err(unfit)?;
        let has = |phase| inspection.phases.contains(&phase);
        let inner = PolicyInner {
            identity: PolicyIdentity {
                name: policy.clone(),
                component: digest_component(source.component),
                asks,
            },
            manifest,
            routes: source.routes.iter().cloned().collect(),
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
        };
        Ok(Policy {
            inner: Arc::new(inner),
        })
    }
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
