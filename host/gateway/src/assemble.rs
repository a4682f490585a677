//! From a configuration to a gateway that can serve: vault opened, named values
//! put in, grants in force, policies loaded, documents compiled, pipelines made.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyward::document::compile::Step;
use keyward::engine::{
    EngineConfig, Limits, LoadError, ManifestAsk, Phase, Policy, PolicySource, Sandbox, inspect,
};
use keyward::names::{ComponentDigest, IssuerName, PolicyName, RouteName};
use keyward::vault::{Actor, Grants, Vault, VaultError, digest_component};
use keyward::{BuildError, Forwards, Keyward, Runs};

use crate::config::{Config, ConfigErrors, PolicySection, Steps, Values};
use crate::documents::{CompiledDocuments, DocumentFault, OfPipeline};
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
    /// The documents can't run.
    #[error(transparent)]
    Document(#[from] DocumentFault),
    /// There is no policy that runs a document.
    #[error(
        "pipeline {place}: its documents run as \"{policy}\", and there is no such policy; add to {}:\n\n[[policy]]\nname = \"{policy}\"\ncomponent = \"policies/document.wasm\"",
        config.display()
    )]
    NoDocumentPolicy {
        /// The pipeline.
        place: String,
        /// The name.
        policy: PolicyName,
        /// The configuration file.
        config: PathBuf,
    },
    /// A policy that runs a document has settings, too.
    #[error(
        "policy \"{policy}\" runs the documents of pipeline {place}, and those are all its settings: remove `settings` from its entry"
    )]
    DocumentSettings {
        /// The pipeline.
        place: String,
        /// The policy.
        policy: PolicyName,
    },
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
        let documents = CompiledDocuments::of(&config, &config.in_documents(Some(&values)))?;
        let components = components(&config, Some(&documents));
        let grants = load_grants(&config, &vault.list(), &components)?;
        vault.set_grants_toward(grants.clone(), addresses(&config.routes), actor)?;
        let keyward = Keyward::builder(vault)
            .routes(config.routes.clone())
            .issuers(config.issuers.iter().cloned())
            .engine(engine)
            .build()?;
        if keyward.engine().is_debuggable() {
            return Err(OpenError::Debuggable);
        }
        Self::on(keyward, config, grants, &documents, Loaded::default())
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
        let documents = CompiledDocuments::of(&config, &config.in_documents(Some(&values)))?;
        let components = components(&config, Some(&documents));
        let grants = load_grants(&config, &vault.list(), &components)?;
        let keyward = before
            .with_routes(config.routes.clone())
            .map_err(BuildError::Egress)?
            .with_issuers(config.issuers.iter().cloned());
        Self::on(keyward, config, grants, &documents, loaded.clone())
    }

    fn on(
        keyward: Keyward,
        config: Config,
        grants: Grants,
        documents: &CompiledDocuments,
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
        for warning in documents.warnings() {
            tracing::warn!("{warning}");
        }
        let pipelines = loader.pipelines(documents)?;
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
    /// What the document asks for that the settings hold.
    document: Option<Vec<ManifestAsk>>,
    routes: Vec<RouteName>,
    issuers: Vec<IssuerName>,
    sandbox: Sandbox,
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
    fn pipelines(&mut self, documents: &CompiledDocuments) -> Result<Vec<Pipeline>, OpenError> {
        let config = self.config;
        let mut pipelines = Vec::with_capacity(config.pipelines.len());
        for pipeline in &config.pipelines {
            let place = format!("pipeline {}", pipeline.path);
            let documents = documents.of_pipeline(&pipeline.path);
            let (phases, forwards) = match (&pipeline.steps, documents) {
                (_, Some(documents)) => (
                    self.documents(pipeline.path.as_str(), documents)?,
                    Forwards::from(&documents.compiled),
                ),
                (
                    Steps::Lists {
                        inbound,
                        backend,
                        outbound,
                        on_error,
                    },
                    None,
                ) => {
                    let lists = [inbound, backend, outbound, on_error];
                    (self.lists(&place, lists)?, Forwards::ByHost)
                }
                // Every pipeline that has documents has them compiled.
                (Steps::Documents(_), None) => continue,
            };
            let runs = Pipeline::new(pipeline.path.clone(), pipeline.route.clone(), phases);
            pipelines.push(runs.forwarded(forwards).with_limits(pipeline));
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
                policies.push(self.load(place, phase, name)?);
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

    /// The policies of each phase: the one that runs the documents at each of their
    /// segments, others between.
    fn documents(
        &mut self,
        place: &str,
        documents: &OfPipeline,
    ) -> Result<[Vec<Policy>; 4], OpenError> {
        use keyward::document::Phase as Section;
        let sections = [
            Section::Inbound,
            Section::Backend,
            Section::Outbound,
            Section::OnError,
        ];
        let runs = match documents.compiled.needs_guest() {
            true => Some(self.load_document(place, documents)?),
            false => None,
        };
        let mut phases: [Vec<Policy>; 4] = Default::default();
        for ((section, phase), policies) in sections.into_iter().zip(Phase::ALL).zip(&mut phases) {
            for step in documents.compiled.steps(section) {
                match step {
                    Step::Segment => policies.extend(runs.clone()),
                    Step::Policy { name, position } => {
                        policies.push(self.load(&position.to_string(), phase, name)?);
                    }
                }
            }
        }
        if let Some(runs) = &runs {
            for (phase, policies) in Phase::ALL.into_iter().zip(&phases) {
                if policies.iter().any(|policy| policy.name() == runs.name()) {
                    has_phase(place, runs, phase)?;
                }
            }
        }
        Ok(phases)
    }

    /// The policy that runs a pipeline's documents.
    fn load_document(&mut self, place: &str, documents: &OfPipeline) -> Result<Policy, OpenError> {
        let name = &documents.runs_as;
        let config = self.config;
        let section = config
            .policies
            .iter()
            .find(|section| section.name == *name)
            .ok_or_else(|| OpenError::NoDocumentPolicy {
                place: place.to_owned(),
                policy: name.clone(),
                config: config.file.clone(),
            })?;
        let none = section
            .settings
            .as_object()
            .is_none_or(|settings| settings.is_empty());
        if !none || !section.secret_settings.is_empty() {
            return Err(OpenError::DocumentSettings {
                place: place.to_owned(),
                policy: name.clone(),
            });
        }
        let component = self.component(&section.component)?;
        let runs = &documents.runs;
        let Runs { settings, asks, .. } = runs;
        let mut section = section.clone();
        let limits = runs.within(section.sandbox.limits.as_ref(), &section.set_limits);
        for (limit, wanted) in runs.wants() {
            if let Some(set) = limits.get(limit).filter(|set| *set < wanted) {
                tracing::warn!(
                    policy = name.as_str(),
                    limit,
                    set,
                    wanted,
                    "the documents may need more than [policy.limits] lets them have"
                );
            }
        }
        section.sandbox.limits = Some(limits).filter(|limits| *limits != Limits::default());
        self.loaded(&section, &component, settings, Some(asks))
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

    fn load(&mut self, place: &str, phase: Phase, name: &PolicyName) -> Result<Policy, OpenError> {
        let config = self.config;
        let section: &PolicySection = config
            .policies
            .iter()
            .find(|section| section.name == *name)
            .ok_or_else(|| OpenError::UnknownPolicy {
                place: place.to_owned(),
                policy: name.clone(),
                config: config.file.clone(),
            })?;
        let component = self.component(&section.component)?;
        let settings = match section.secret_settings.is_empty() {
            true => section.settings.clone(),
            false => self.bound(section, &component)?,
        };
        let policy = self.loaded(section, &component, &settings, None)?;
        has_phase(place, &policy, phase)?;
        Ok(policy)
    }

    /// A policy with these settings, loaded now unless it is there already.
    fn loaded(
        &mut self,
        section: &PolicySection,
        component: &[u8],
        settings: &serde_json::Value,
        document: Option<&Vec<ManifestAsk>>,
    ) -> Result<Policy, OpenError> {
        let from = LoadedFrom {
            name: section.name.clone(),
            component: digest_component(component),
            settings: settings.to_string(),
            document: document.cloned(),
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
                    name: section.name.clone(),
                    component,
                    settings: given.then_some(settings),
                    routes: &section.routes,
                    issuers: &section.issuers,
                    document: document.map(Vec::as_slice),
                };
                let engine = self.keyward.engine();
                let policy = engine.load_in(&section.sandbox, &source)?;
                tracing::info!(
                    policy = section.name.as_str(),
                    component = %policy.identity().component,
                    profile = policy.profile().as_str(),
                    "policy loaded"
                );
                policy
            }
        };
        self.loaded.insert(from, policy.clone());
        Ok(policy)
    }
}

fn has_phase(place: &str, policy: &Policy, phase: Phase) -> Result<(), OpenError> {
    if policy.phases().contains(&phase) {
        return Ok(());
    }
    let has: Vec<&str> = policy.phases().iter().map(|phase| phase.as_str()).collect();
    Err(OpenError::NoSuchPhase {
        place: place.to_owned(),
        policy: policy.name().clone(),
        phase,
        has: has.join(", "),
    })
}
