//! From a configuration to a gateway that can serve: vault opened, named values
//! put in, grants in force, policies loaded, documents compiled, pipelines made.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyward::document::{Document, DocumentErrors};
use keyward::engine::{EngineConfig, LoadError, Phase, Policy, PolicySource, Sandbox, inspect};
use keyward::names::{ComponentDigest, IssuerName, PolicyName, RouteName};
use keyward::vault::{Actor, Grants, Vault, VaultError, digest_component};
use keyward::{BuildError, Keyward};

use crate::config::{Config, ConfigErrors, InDocuments, PolicySection, Steps, Values};
use crate::grants::{GrantsFault, addresses, components, load_grants};
use crate::pipeline::{Pipeline, Pipelines};

/// Why a gateway could not be put together. Each says what to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The vault can't be opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A file can't be read.
    #[error("{what} {} can't be read: {source}", file.display())]
    Unreadable {
        /// What the file is.
        what: &'static str,
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The grants can't be loaded.
    #[error(transparent)]
    Grants(#[from] GrantsFault),
    /// Clients can't be served over TLS.
    #[error(transparent)]
    Tls(#[from] crate::listen::TlsError),
    /// The configuration has errors, now that its named values are known.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A document has errors.
    #[error("{}", .0.render(false))]
    Document(DocumentErrors),
    /// A policy can't be loaded.
    #[error(transparent)]
    Policy(#[from] LoadError),
    /// A policy stands in a phase that it does not have.
    #[error("{place}: policy \"{policy}\" has no {phase} phase; it has: {has}")]
    NoSuchPhase {
        /// The pipeline or the place in a document.
        place: String,
        /// Which policy.
        policy: PolicyName,
        /// Which phase.
        phase: Phase,
        /// The phases that it has.
        has: String,
    },
    /// A document names a policy that the configuration does not have.
    #[error(
        "{place}: no policy \"{policy}\"; add a [[policy]] with that name to {}",
        config.display()
    )]
    UnknownPolicy {
        /// The place in the document.
        place: String,
        /// Which policy.
        policy: PolicyName,
        /// The configuration file.
        config: PathBuf,
    },
    /// The parts can't be put together.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A source can't be made.
    #[error(transparent)]
    Source(#[from] crate::sources::SourceFault),
    /// Guests can be read by a debugger.
    #[error("this engine lets a debugger read guests; it is for tests and must not serve")]
    Debuggable,
}

/// Puts the parts together: `vault` gets the configuration's grants, and each
/// policy that a pipeline uses is loaded. Named values are those of this moment:
/// one that is set later counts when a gateway is put together again.
///
/// Compiling a policy takes tens of milliseconds; call this where nothing waits.
///
/// Errors: see [`OpenError`].
pub fn assemble(
    config: &Config,
    vault: Vault,
    actor: &Actor,
) -> Result<(Keyward, Pipelines), OpenError> {
    assemble_with(config, vault, actor, EngineConfig::default())
}

/// Like [`assemble`], with another set-up of the engine.
///
/// Errors: see [`OpenError`]; [`OpenError::Debuggable`] if the set-up lets a
/// debugger read guests.
pub fn assemble_with(
    config: &Config,
    vault: Vault,
    actor: &Actor,
    engine: EngineConfig,
) -> Result<(Keyward, Pipelines), OpenError> {
    let assembled = Assembled::new(config, vault, actor, engine)?;
    let pipelines = Pipelines::new(assembled.pipelines);
    Ok((assembled.keyward, pipelines))
}

/// A configuration with all that it names, whole and consistent.
pub(crate) struct Assembled {
    /// With its named values.
    pub(crate) config: Config,
    pub(crate) grants: Grants,
    pub(crate) keyward: Keyward,
    pub(crate) pipelines: Vec<Pipeline>,
    pub(crate) loaded: Loaded,
}

impl Assembled {
    pub(crate) fn new(
        config: &Config,
        vault: Vault,
        actor: &Actor,
        engine: EngineConfig,
    ) -> Result<Self, OpenError> {
        let values = Values::of(&vault);
        let config = config.resolve(&values)?;
        let grants = load_grants(&config, &vault.list(), &components(&config))?;
        vault.set_grants_toward(grants.clone(), addresses(&config.routes), actor)?;
        let keyward = Keyward::builder(vault)
            .routes(config.routes.clone())
            .issuers(config.issuers.iter().cloned())
            .engine(engine)
            .build()?;
        if keyward.engine().is_debuggable() {
            return Err(OpenError::Debuggable);
        }
        Self::on(keyward, config, grants, &values, Loaded::default())
    }

    /// The same vault and engine with another configuration. Nothing that is in
    /// force changes: not the grants either.
    pub(crate) fn again(
        before: &Keyward,
        config: &Config,
        loaded: &Loaded,
    ) -> Result<Self, OpenError> {
        let vault = before.vault();
        let values = Values::of(vault);
        let config = config.resolve(&values)?;
        let grants = load_grants(&config, &vault.list(), &components(&config))?;
        let keyward = before
            .with_routes(config.routes.clone())
            .map_err(BuildError::Egress)?
            .with_issuers(config.issuers.iter().cloned());
        Self::on(keyward, config, grants, &values, loaded.clone())
    }

    fn on(
        keyward: Keyward,
        config: Config,
        grants: Grants,
        values: &Values,
        before: Loaded,
    ) -> Result<Self, OpenError> {
        let mut loader = Loader {
            config: &config,
            keyward: &keyward,
            grants: &grants,
            before,
            loaded: Loaded::default(),
            read: HashMap::new(),
        };
        let pipelines = loader.pipelines(values)?;
        let loaded = loader.loaded;
        Ok(Self {
            config,
            grants,
            keyward,
            pipelines,
            loaded,
        })
    }
}

/// Policies by what they were loaded from: one that is loaded again from the same
/// is the same.
pub(crate) type Loaded = HashMap<LoadedFrom, Policy>;

/// All that makes a policy what it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LoadedFrom {
    name: PolicyName,
    component: ComponentDigest,
    settings: String,
    routes: Vec<RouteName>,
    issuers: Vec<IssuerName>,
    sandbox: Sandbox,
}

fn read_text(what: &'static str, file: &Path) -> Result<String, OpenError> {
    std::fs::read_to_string(file).map_err(|source| OpenError::Unreadable {
        what,
        file: file.to_owned(),
        source,
    })
}

fn read_document(file: &Path, values: &InDocuments<'_>) -> Result<Document, OpenError> {
    let text = read_text("the policy document", file)?;
    Document::parse_with(&file.display().to_string(), &text, values).map_err(OpenError::Document)
}

/// Loads each policy once for each settings that it is used with.
struct Loader<'a> {
    config: &'a Config,
    keyward: &'a Keyward,
    /// As they were loaded, whatever of them is revoked: that a grant is not in
    /// force is no reason not to start.
    grants: &'a Grants,
    /// Those that are there already.
    before: Loaded,
    loaded: Loaded,
    /// Each component is read once, so that it is one and the same throughout.
    read: HashMap<PathBuf, Arc<[u8]>>,
}

impl Loader<'_> {
    fn pipelines(&mut self, values: &Values) -> Result<Vec<Pipeline>, OpenError> {
        let config = self.config;
        let values = &config.in_documents(Some(values));
        let global = config.gateway.document.as_deref();
        let global = global.map(|file| read_document(file, values)).transpose()?;
        let mut pipelines = Vec::with_capacity(config.pipelines.len());
        for pipeline in &config.pipelines {
            let phases = match &pipeline.steps {
                Steps::Lists {
                    inbound,
                    backend,
                    outbound,
                    on_error,
                } => {
                    let place = format!("pipeline {}", pipeline.path);
                    let lists = [inbound, backend, outbound, on_error];
                    self.lists(&place, lists)?
                }
                Steps::Document(file) => {
                    self.document(&read_document(file, values)?, global.as_ref())?
                }
            };
            let runs = Pipeline::new(pipeline.path.clone(), pipeline.route.clone(), phases);
            pipelines.push(runs.with_limits(pipeline));
        }
        Ok(pipelines)
    }

    fn lists(
        &mut self,
        place: &str,
        lists: [&Vec<PolicyName>; 4],
    ) -> Result<[Vec<Policy>; 4], OpenError> {
        let mut phases: [Vec<Policy>; 4] = Default::default();
        for ((phase, names), policies) in Phase::ALL.into_iter().zip(lists).zip(&mut phases) {
            for name in names {
                policies.push(self.load(place, phase, name, None)?);
            }
        }
        Ok(phases)
    }

    fn component(&mut self, file: &Path) -> Result<Arc<[u8]>, OpenError> {
        if let Some(read) = self.read.get(file) {
            return Ok(Arc::clone(read));
        }
        let bytes: Arc<[u8]> = std::fs::read(file)
            .map_err(|source| OpenError::Unreadable {
                what: "the component",
                file: file.to_owned(),
                source,
            })?
            .into();
        self.read.insert(file.to_owned(), Arc::clone(&bytes));
        Ok(bytes)
    }

    fn document(
        &mut self,
        document: &Document,
        global: Option<&Document>,
    ) -> Result<[Vec<Policy>; 4], OpenError> {
        use keyward::document::Phase as Section;
        let effective = document.splice(global);
        let sections = [
            Section::Inbound,
            Section::Backend,
            Section::Outbound,
            Section::OnError,
        ];
        let mut phases: [Vec<Policy>; 4] = Default::default();
        for ((section, phase), policies) in sections.into_iter().zip(Phase::ALL).zip(&mut phases) {
            for call in effective.calls(section) {
                let place = call.position.to_string();
                policies.push(self.load(&place, phase, &call.policy, call.settings)?);
            }
        }
        Ok(phases)
    }

    /// The settings of a policy, its secret named values as aliases.
    fn bound(
        &self,
        section: &PolicySection,
        component: &[u8],
    ) -> Result<serde_json::Value, OpenError> {
        let manifest = inspect(component)
            .ok()
            .and_then(|inspection| inspection.manifest.ok())
            // What is no policy is refused with its reason when it is loaded.
            .unwrap_or_default();
        let digest = digest_component(component);
        let bound = self
            .config
            .bind(section, &digest, &manifest.asks, self.grants)?;
        Ok(bound)
    }

    fn load(
        &mut self,
        place: &str,
        phase: Phase,
        name: &PolicyName,
        settings: Option<serde_json::Value>,
    ) -> Result<Policy, OpenError> {
        let section: &PolicySection = self
            .config
            .policies
            .iter()
            .find(|section| section.name == *name)
            .ok_or_else(|| OpenError::UnknownPolicy {
                place: place.to_owned(),
                policy: name.clone(),
                config: self.config.file.clone(),
            })?;
        let component = self.component(&section.component)?;
        let settings = match settings {
            Some(settings) => settings,
            None if section.secret_settings.is_empty() => section.settings.clone(),
            None => self.bound(section, &component)?,
        };
        let from = LoadedFrom {
            name: name.clone(),
            component: digest_component(&component),
            settings: settings.to_string(),
            routes: section.routes.clone(),
            issuers: section.issuers.clone(),
            sandbox: section.sandbox.clone(),
        };
        let known = self.loaded.get(&from).or_else(|| self.before.get(&from));
        let policy = match known {
            Some(policy) => policy.clone(),
            None => {
                let given = settings.as_object().is_none_or(|object| !object.is_empty());
                let source = PolicySource {
                    name: name.clone(),
                    component: &component,
                    settings: given.then_some(&settings),
                    routes: &section.routes,
                    issuers: &section.issuers,
                };
                let engine = self.keyward.engine();
                let policy = engine.load_in(&section.sandbox, &source)?;
                tracing::info!(
                    policy = name.as_str(),
                    component = %policy.identity().component,
                    profile = policy.profile().as_str(),
                    "policy loaded"
                );
                policy
            }
        };
        self.loaded.insert(from, policy.clone());
        if !policy.phases().contains(&phase) {
            let has: Vec<&str> = policy.phases().iter().map(|phase| phase.as_str()).collect();
            return Err(OpenError::NoSuchPhase {
                place: place.to_owned(),
                policy: name.clone(),
                phase,
                has: has.join(", "),
            });
        }
        Ok(policy)
    }
}
