//! A component that was read and not run.

use std::path::Path;

use keyward::Runs;
use keyward::engine::{Inspection, ManifestAsk, digest_of_document};
use keyward::names::{Alias, ComponentDigest, PolicyName};
use keyward::vault::{Grants, Use};
use keyward_gateway::config::{Config, PolicySection};
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::words::one_line;

/// A component that was read.
pub(crate) struct Described {
    pub(crate) name: PolicyName,
    pub(crate) digest: ComponentDigest,
    pub(crate) inspection: Inspection,
    /// Its size.
    pub(crate) bytes: usize,
}

impl Described {
    /// Reads and inspects a component.
    pub(crate) fn read(
        name: PolicyName,
        component: &Path,
        settings: &serde_json::Value,
    ) -> Result<Self, Failure> {
        let bytes = std::fs::read(component).map_err(|error| {
            Failure::io(
                error,
                format!("can't read the policy {name} from {}", component.display()),
            )
        })?;
        let mut inspection = keyward::engine::inspect(&bytes).map_err(|reason| {
            Failure::new(format!(
                "{} is not a component that can be a policy: {}",
                component.display(),
                one_line(&reason)
            ))
        })?;
        inspection.manifest = inspection
            .manifest
            .and_then(|manifest| manifest.with_settings(settings));
        Ok(Self {
            name,
            digest: keyward::vault::digest_component(&bytes),
            inspection,
            bytes: bytes.len(),
        })
    }

    /// Reads and inspects the component of a configured policy. Settings that hold
    /// named values nobody has looked up are not applied.
    pub(crate) fn of(policy: &PolicySection) -> Result<Self, Failure> {
        let settings = match policy.unresolved {
            true => &Value::Null,
            false => &policy.settings,
        };
        Self::read(policy.name.clone(), &policy.component, settings)
    }

    /// The same, with its secret named values as the aliases that the grants give
    /// them.
    pub(crate) fn bound(
        config: &Config,
        policy: &PolicySection,
        grants: &Grants,
    ) -> Result<Self, Failure> {
        let described = Self::of(policy)?;
        if policy.secret_settings.is_empty() {
            return Ok(described);
        }
        let settings = config
            .bind(policy, &described.digest, described.asks(), grants)
            .map_err(|errors| Failure {
                exit: Exit::Findings,
                ..Failure::new(errors)
            })?;
        Self::read(policy.name.clone(), &policy.component, &settings)
    }

    /// The same, running a document: it asks for what that asks for, too, and its digest
    /// covers it.
    pub(crate) fn running(mut self, policy: &PolicySection, runs: &Runs) -> Self {
        if let Ok(manifest) = &mut self.inspection.manifest {
            manifest.asks.extend_from_slice(&runs.asks);
        }
        if let Ok(bytes) = std::fs::read(&policy.component) {
            self.digest = digest_of_document(&bytes, Some(&runs.settings));
        }
        self
    }

    fn asks(&self) -> &[ManifestAsk] {
        self.inspection
            .manifest
            .as_ref()
            .map(|manifest| manifest.asks.as_slice())
            .unwrap_or_default()
    }

    /// Whether its component runs documents.
    pub(crate) fn runs_documents(&self) -> bool {
        let manifest = self.inspection.manifest.as_ref();
        manifest.is_ok_and(|manifest| manifest.runs_documents)
    }

    /// Whether its manifest asks for that use.
    pub(crate) fn asks_for(&self, alias: &Alias, use_: Use) -> bool {
        self.asks()
            .iter()
            .any(|ask| ask.alias == *alias && ask.use_ == use_.as_str())
    }

    /// What it asks for and has no grant for.
    pub(crate) fn not_granted(&self, grants: &Grants) -> Vec<&ManifestAsk> {
        let granted = |ask: &&ManifestAsk| {
            grants.iter().any(|grant| {
                grant.policy == self.name
                    && grant.alias == ask.alias
                    && grant.use_().as_str() == ask.use_
                    && grant.is_for(&self.digest)
            })
        };
        self.asks().iter().filter(|ask| !granted(ask)).collect()
    }

    /// Why the gateway would refuse it.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for import in &self.inspection.forbidden_imports {
            problems.push(format!(
                "it imports {}, which no policy can have",
                one_line(import)
            ));
        }
        if let Some(shape) = self.inspection.shape {
            problems.push(format!("it {shape}"));
        }
        if self.inspection.phases.is_empty() {
            problems.push("it exports no phase: inbound, backend, outbound or on-error".to_owned());
        }
        if let Err(error) = &self.inspection.manifest {
            problems.push(one_line(&error.to_string()));
        }
        problems
    }
}
