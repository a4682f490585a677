//! The policy documents of a configuration: read, put together and compiled, so that
//! each pipeline that has some knows what runs in it and what it asks for.
//!
//! Without `[gateway] document` the global scope is [`GLOBAL_DOCUMENT`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use keyward::document::compile::{Bindings, Compiled, compile};
use keyward::document::model::{Document, Effective, effective};
use keyward::document::policies::Scope;
use keyward::document::read::{Options, read};
use keyward::document::{DocumentErrors, Phase, Severity};
use keyward::egress::{Route, Scheme};
use keyward::engine::digest_of_document;
use keyward::names::{ComponentDigest, PolicyName, RouteName};
use keyward::{GLOBAL_DOCUMENT, Issuer, KeysAt, Runs, TooLarge};

use crate::config::documents::xml_files;
use crate::config::{Config, DocumentSteps, InDocuments, PathPrefix, Pipeline, Steps};

/// Why the documents of a configuration can't run. Each says what to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentFault {
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
    /// A document has errors.
    #[error("{}", .0.render(false))]
    Invalid(Box<DocumentErrors>),
    /// Two fragments have one name.
    #[error(
        "two policy fragments are called \"{id}\", {} and {}: rename one, or give it another `id`",
        first.display(), second.display()
    )]
    TwoFragments {
        /// Their name.
        id: String,
        /// The one.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A file that should be a fragment is none, or the other way round.
    #[error("{} is {found}, where {expected} is expected", file.display())]
    OtherKind {
        /// Which file.
        file: PathBuf,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A program is too large.
    #[error("pipeline {pipeline}: {source}")]
    TooLarge {
        /// Which pipeline.
        pipeline: PathPrefix,
        /// What is too large.
        source: TooLarge,
    },
    /// Two pipelines run different documents under one name.
    #[error(
        "the pipelines {first} and {second} run different documents as \"{policy}\": one policy is one document to grants, so add another [[policy]] with the same component and name it in one of the two with `runs-as`"
    )]
    TwoPrograms {
        /// The name.
        policy: PolicyName,
        /// The one.
        first: PathPrefix,
        /// The other.
        second: PathPrefix,
    },
}

/// A section of a broader scope that is out of force because a document has no section
/// of that name at all. Legal, and more often an oversight than not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The document.
    pub file: String,
    /// The section.
    pub phase: Phase,
    /// The first statement that is out of force.
    pub first: String,
    /// How many there are, in words.
    pub steps: String,
}

/// The statements in force in a pipeline, and what is to be said about its documents.
pub struct InForce {
    /// What runs.
    pub effective: Effective,
    /// What its documents are warned about.
    pub warnings: Vec<DocumentErrors>,
    /// What is out of force.
    pub dropped: Vec<Dropped>,
}

/// What documents can include and build on, read once.
pub struct Documents {
    global: Document,
    fragments: BTreeMap<String, Document>,
    /// Warnings about them, as they are shown.
    warnings: Vec<DocumentErrors>,
}

/// The documents of a pipeline, compiled.
pub struct OfPipeline {
    /// Under whose name they run.
    pub runs_as: PolicyName,
    /// What runs.
    pub compiled: Compiled,
    /// What the policy gets that runs it.
    pub runs: Runs,
}

/// The compiled documents of a configuration, by the paths of the pipelines that have
/// some.
#[derive(Default)]
pub struct CompiledDocuments {
    by_path: Vec<(PathPrefix, OfPipeline)>,
    warnings: Vec<DocumentErrors>,
}

/// Reads one document. The second is what it is warned about; may be empty.
///
/// Errors: it can't be read or has errors.
pub fn read_document(
    file: &Path,
    scope: Option<Scope>,
    told: &InDocuments<'_>,
) -> Result<(Document, DocumentErrors), DocumentFault> {
    let text = std::fs::read_to_string(file).map_err(|source| DocumentFault::Unreadable {
        what: "the policy document",
        file: file.to_owned(),
        source,
    })?;
    parsed(&file.display().to_string(), &text, scope, told)
}

fn parsed(
    name: &str,
    text: &str,
    scope: Option<Scope>,
    told: &InDocuments<'_>,
) -> Result<(Document, DocumentErrors), DocumentFault> {
    let options = Options {
        scope,
        values: told,
        ..Options::default()
    };
    let reading = read(name, text, &options);
    match reading.document {
        Some(document) => Ok((document, reading.diagnostics)),
        None => Err(DocumentFault::Invalid(Box::new(reading.diagnostics))),
    }
}

impl Documents {
    /// Reads the global document and the fragments of a configuration.
    ///
    /// Errors: see [`DocumentFault`].
    pub fn read(config: &Config, told: &InDocuments<'_>) -> Result<Self, DocumentFault> {
        let mut warnings = Vec::new();
        let global = match config.gateway.document.as_deref() {
            Some(file) => policies(file, Scope::Global, told)?,
            None => parsed("global scope", GLOBAL_DOCUMENT, Some(Scope::Global), told)?,
        };
        warnings.push(global.1);
        let mut fragments: BTreeMap<String, Document> = BTreeMap::new();
        let mut from: BTreeMap<String, PathBuf> = BTreeMap::new();
        for file in fragment_files(config) {
            let (document, warned) = read_document(&file, None, told)?;
            warnings.push(warned);
            if document.fragment().is_none() {
                return Err(DocumentFault::OtherKind {
                    file,
                    found: "a policy document",
                    expected: "a policy fragment, `<fragment>`,",
                });
            }
            let stem = || file.file_stem().map(|stem| stem.to_string_lossy().into());
            let own = document.origin().id.clone();
            let id = own.or_else(stem).unwrap_or_default();
            match from.entry(id.clone()) {
                Entry::Occupied(known) => {
                    return Err(DocumentFault::TwoFragments {
                        id,
                        first: known.get().clone(),
                        second: file,
                    });
                }
                Entry::Vacant(place) => {
                    place.insert(file);
                }
            }
            fragments.insert(id, document);
        }
        Ok(Self {
            global: global.0,
            fragments,
            warnings,
        })
    }

    /// What is in force where these documents are.
    ///
    /// Errors: see [`DocumentFault`].
    pub fn effective(
        &self,
        steps: &DocumentSteps,
        told: &InDocuments<'_>,
    ) -> Result<InForce, DocumentFault> {
        let mut narrower = Vec::new();
        let mut warnings = Vec::new();
        for (scope, file) in steps.scoped() {
            let (document, warned) = policies(file, scope, told)?;
            narrower.push(document);
            warnings.push(warned);
        }
        let scopes: Vec<&Document> = std::iter::once(&self.global).chain(&narrower).collect();
        let effective = effective(&scopes, &self.fragments).map_err(DocumentFault::Invalid)?;
        Ok(InForce {
            effective,
            warnings,
            dropped: self.dropped(&scopes),
        })
    }

    /// What documents put out of force by having no section for it.
    fn dropped(&self, scopes: &[&Document]) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        for (place, document) in scopes.iter().enumerate().skip(1) {
            let broader = scopes.get(..place).unwrap_or_default();
            let Ok(outer) = effective(broader, &self.fragments) else {
                continue;
            };
            for phase in Phase::ALL {
                let statements = outer.phase(phase);
                let (None, Some(first)) = (document.section(phase), statements.first()) else {
                    continue;
                };
                let from = broader.iter().find(|of| of.file() == &*first.origin.file);
                let from = from.map(|of| of.position(first.tag.clone()).to_string());
                dropped.push(Dropped {
                    file: document.file().to_owned(),
                    phase,
                    first: from.unwrap_or_else(|| format!("<{}>", first.name())),
                    steps: match statements.len() {
                        1 => "1 statement".to_owned(),
                        many => format!("{many} statements"),
                    },
                });
            }
        }
        dropped
    }

    /// Compiles the documents of a pipeline.
    ///
    /// Errors: see [`DocumentFault`].
    fn compile(
        &self,
        config: &Config,
        pipeline: &Pipeline,
        steps: &DocumentSteps,
        told: &InDocuments<'_>,
    ) -> Result<(OfPipeline, InForce), DocumentFault> {
        let in_force = self.effective(steps, told)?;
        let bindings = bindings(config, &pipeline.route, steps);
        let compiled = compile(&in_force.effective, &bindings).map_err(DocumentFault::Invalid)?;
        let runs = Runs::of(&compiled).map_err(|source| DocumentFault::TooLarge {
            pipeline: pipeline.path.clone(),
            source,
        })?;
        let of_pipeline = OfPipeline {
            runs_as: steps.runs_as.clone(),
            compiled,
            runs,
        };
        Ok((of_pipeline, in_force))
    }
}

fn policies(
    file: &Path,
    scope: Scope,
    told: &InDocuments<'_>,
) -> Result<(Document, DocumentErrors), DocumentFault> {
    let read = read_document(file, Some(scope), told)?;
    if read.0.fragment().is_some() {
        return Err(DocumentFault::OtherKind {
            file: file.to_owned(),
            found: "a policy fragment",
            expected: "a policy document, `<policies>`,",
        });
    }
    Ok(read)
}

/// The files of a configuration's fragments.
pub fn fragment_files(config: &Config) -> Vec<PathBuf> {
    let one = |path: &PathBuf| match path.is_dir() {
        true => xml_files(path),
        false => vec![path.clone()],
    };
    config.gateway.fragments.iter().flat_map(one).collect()
}

/// What a document of a pipeline needs to know of the gateway.
pub fn bindings(config: &Config, route: &RouteName, steps: &DocumentSteps) -> Bindings {
    let section = config
        .policies
        .iter()
        .find(|section| section.name == steps.runs_as);
    let is_open = |name: &RouteName| section.is_some_and(|section| section.routes.contains(name));
    let routes = config.routes.iter();
    let routes = routes.filter(|known| known.name() == route || is_open(known.name()));
    let issuers = config
        .issuers
        .iter()
        .filter(|issuer| section.is_some_and(|section| section.issuers.contains(&issuer.name)));
    let facts = config.gateway.facts.iter().chain(&steps.facts);
    Bindings {
        route: Some(route.clone()),
        routes: routes
            .filter_map(|route| Some((route.name().clone(), url_of(route)?)))
            .collect(),
        calls_own_route: is_open(route),
        issuers: issuers
            .filter_map(|issuer| Some((issuer.name.clone(), metadata_of(config, issuer)?)))
            .collect(),
        facts: facts.cloned().collect(),
        subscription_required: steps.subscription_required,
        ..Bindings::default()
    }
}

/// Where a route leads, as documents would write it; none of a database.
fn url_of(route: &Route) -> Option<String> {
    let scheme = match route.scheme() {
        Scheme::Https => "https",
        Scheme::Http => "http",
        Scheme::Postgres => return None,
    };
    Some(format!(
        "{scheme}://{}{}",
        route.authority(),
        route.base_path()
    ))
}

/// Where an issuer's metadata, or its keys, are.
fn metadata_of(config: &Config, issuer: &Issuer) -> Option<String> {
    let route = config
        .routes
        .iter()
        .find(|route| *route.name() == issuer.route)?;
    let path = match &issuer.keys {
        KeysAt::Discovery(path) | KeysAt::Path(path) => path,
    };
    Some(format!("{}{path}", url_of(route)?))
}

impl CompiledDocuments {
    /// Reads and compiles all documents of a configuration, whose named values are in.
    ///
    /// Errors: see [`DocumentFault`].
    pub fn of(config: &Config, told: &InDocuments<'_>) -> Result<Self, DocumentFault> {
        let with_documents = config
            .pipelines
            .iter()
            .filter_map(|pipeline| match &pipeline.steps {
                Steps::Documents(steps) => Some((pipeline, steps)),
                Steps::Lists { .. } => None,
            });
        let mut all = Self::default();
        let mut documents: Option<Documents> = None;
        for (pipeline, steps) in with_documents {
            let documents = match &documents {
                Some(documents) => documents,
                None => documents.insert(Documents::read(config, told)?),
            };
            let (compiled, in_force) = documents.compile(config, pipeline, steps, told)?;
            all.warnings.extend(in_force.warnings);
            if compiled.compiled.needs_guest()
                && let Some((first, _)) = all.by_path.iter().find(|(_, known)| {
                    known.compiled.needs_guest()
                        && known.runs_as == compiled.runs_as
                        && known.runs != compiled.runs
                })
            {
                return Err(DocumentFault::TwoPrograms {
                    policy: compiled.runs_as,
                    first: first.clone(),
                    second: pipeline.path.clone(),
                });
            }
            all.by_path.push((pipeline.path.clone(), compiled));
        }
        if let Some(documents) = documents {
            all.warnings.splice(0..0, documents.warnings);
        }
        all.warnings.retain(|warned| !warned.is_empty());
        Ok(all)
    }

    /// The documents of the pipeline of that path.
    pub fn of_pipeline(&self, path: &PathPrefix) -> Option<&OfPipeline> {
        let mut known = self.by_path.iter();
        known
            .find(|(of, _)| of == path)
            .map(|(_, compiled)| compiled)
    }

    /// What a policy gets that runs documents of these; none if it runs none.
    pub fn runs(&self, policy: &PolicyName) -> Option<&Runs> {
        let mut known = self.by_path.iter().map(|(_, compiled)| compiled);
        known
            .find(|known| known.runs_as == *policy && known.compiled.needs_guest())
            .map(|known| &known.runs)
    }

    /// The digest of a policy with that component, with the document that it runs.
    pub fn digest(&self, policy: &PolicyName, component: &[u8]) -> Option<ComponentDigest> {
        let runs = self.runs(policy)?;
        Some(digest_of_document(component, Some(&runs.settings)))
    }

    /// What the documents are warned about, as it is shown.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let all = self.warnings.iter().flat_map(DocumentErrors::iter);
        all.filter(|one| one.severity() == Severity::Warning)
            .map(ToString::to_string)
    }
}
