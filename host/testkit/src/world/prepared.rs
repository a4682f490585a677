//! What the cases of a suite share, made once: the engine with the loaded policies, the
//! vault as each case finds it, the pretended backends' certificates.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use keyward::document::DocumentErrors;
use keyward::document::compile::{Bindings, Step, compile};
use keyward::document::model::{Document, effective};
use keyward::document::named_values::{Lookup, NamedValues, Requested};
use keyward::document::policies::Scope;
use keyward::document::read::{Options, read};
use keyward::egress::{Roots, Route, Scheme, Timeouts};
use keyward::engine::{EngineConfig, Observer, Phase, Policy, PolicySource, Sandbox};
use keyward::names::{KeyVaultReference, PolicyName, RouteName};
use keyward::vault::disk::Disk;
use keyward::vault::{
    Actor, Durability, KeySource, Kind, NamedValue, NewKey, Opening, Secret, Validity, Vault,
    VaultFiles,
};
use keyward::{Forwards, GLOBAL_DOCUMENT, Issuer, KeysAt, Keyward, Pipeline, Runs};

use super::canary::{Canary, canaries};
use super::disk::MemoryDisk;
use super::names::Network;
use super::senses::{Clock, Senses};
use super::trail::MemoryTrail;
use crate::backend::{Backends, Certificates};
use crate::leak::{Canaries, Search};
use crate::suite::{At, Backend, Case, PolicyUnderTest, Suite, ValueText};

/// Why no case of a suite, or not this one, can run, in words for its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotPrepared(pub(crate) String);

/// A suite, ready for its cases.
pub(crate) struct Prepared<'a> {
    pub(crate) suite: &'a Suite,
    pub(crate) canaries: Vec<Canary>,
    pub(crate) search: Arc<Search>,
    base: Keyward,
    components: Vec<Component>,
    /// By place among the components, and settings.
    loaded: Mutex<HashMap<(usize, String), Policy>>,
    steps: OfPhases,
    /// Who sends the requests.
    forwards: Forwards,
    disk: MemoryDisk,
    trail: MemoryTrail,
    files: VaultFiles,
    certificates: Certificates,
    routes: Vec<Route>,
    network: Network,
}

struct Component {
    under_test: PolicyUnderTest,
    bytes: Vec<u8>,
}

/// One case's world.
pub(crate) struct World {
    pub(crate) keyward: Keyward,
    pub(crate) pipeline: Pipeline,
    pub(crate) backends: Arc<Backends>,
    pub(crate) senses: Arc<Senses>,
    pub(crate) clock: Clock,
    pub(crate) trail: MemoryTrail,
}

/// Watches nothing: it has the guests linked so that they can be watched.
struct Nobody;

/// For each phase, which policies run, by their places, and the document that they run.
type OfPhases = [Vec<(usize, Option<Arc<Runs>>)>; 4];

impl Observer for Nobody {}

fn failed(doing: &str) -> impl Fn(&dyn std::fmt::Display) -> NotPrepared + '_ {
    move |error| NotPrepared(format!("{doing}: {error}"))
}

pub(crate) fn actor() -> Actor {
    Actor {
        name: "test".to_owned(),
        reason: None,
    }
}

impl<'a> Prepared<'a> {
    /// Loads what a suite names. `watch_memory`: whether guests' memories are seen,
    /// which makes them slower.
    pub(crate) fn new(suite: &'a Suite, watch_memory: bool) -> Result<Self, NotPrepared> {
        let canaries = canaries(suite)?;
        let values = canaries.iter().flat_map(|canary| &canary.values);
        let values = values.map(|(name, value)| (name.as_str(), value.as_slice()));
        let search = Arc::new(Search::new(Canaries::new(values)));
        let files = VaultFiles::in_directory("/");
        let disk = MemoryDisk::default();
        let trail = MemoryTrail::default();
        let disk = fill_vault(suite, &canaries, disk, &trail, &files)?;
        let certificates = Certificates::for_suite(suite)
            .map_err(|error| failed("can't make certificates")(&error))?;
        let routes = routes(suite, &certificates)?;
        let base = base(&files, watch_memory)?;
        let mut components = Vec::new();
        for policy in &suite.policies {
            let file = &policy.component.value;
            let bytes = std::fs::read(file).map_err(|error| {
                NotPrepared(format!(
                    "policy \"{}\": can't read {}: {error}",
                    policy.name,
                    file.display()
                ))
            })?;
            components.push(Component {
                under_test: policy.clone(),
                bytes,
            });
        }
        let mut prepared = Self {
            suite,
            canaries,
            search,
            base,
            components,
            loaded: Mutex::default(),
            steps: Default::default(),
            forwards: Forwards::default(),
            disk,
            trail,
            files,
            certificates,
            network: Network::of(suite),
            routes,
        };
        prepared.steps = match suite.documents.as_slice() {
            [] => prepared.of_phases()?,
            documents => prepared.of_documents(documents)?,
        };
        prepared.phases(&[])?;
        Ok(prepared)
    }

    /// The JSON schemas of the policies' settings, where they have one.
    pub(crate) fn schemas(&self) -> Vec<(PolicyName, serde_json::Value)> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let mut schemas: Vec<(PolicyName, serde_json::Value)> = Vec::new();
        for policy in loaded.values() {
            let known = schemas.iter().any(|(name, _)| name == policy.name());
            if let (Some(schema), false) = (&policy.manifest().settings, known) {
                schemas.push((policy.name().clone(), schema.clone()));
            }
        }
        schemas.sort_by(|one, other| one.0.cmp(&other.0));
        schemas
    }

    /// Each policy in each phase that it has, or in those that the suite says.
    fn of_phases(&self) -> Result<OfPhases, NotPrepared> {
        let mut steps: [Vec<_>; 4] = Default::default();
        for (place, component) in self.components.iter().enumerate() {
            let policy = self.load(place, component.under_test.settings.as_ref(), None)?;
            for (phase, steps) in Phase::ALL.into_iter().zip(&mut steps) {
                let wanted = match &component.under_test.phases {
                    Some(phases) => phases.contains(&phase),
                    None => policy.phases().contains(&phase),
                };
                if wanted {
                    steps.push((place, None));
                }
            }
        }
        Ok(steps)
    }

    /// What the suite's document is told of where it runs.
    fn bindings(&self) -> Bindings {
        let runs = self.suite.policies.iter();
        let mut runs = runs.filter(|policy| policy.name == self.suite.runs_as);
        let open = runs.next().map(|policy| policy.routes.as_slice());
        let own = self.suite.routes.first().map(|route| &route.name);
        let is_open = |name: &RouteName| open.is_some_and(|open| open.contains(name));
        let routes = self.routes.iter();
        let routes = routes.filter(|route| own == Some(route.name()) || is_open(route.name()));
        Bindings {
            route: own.cloned(),
            calls_own_route: own.is_some_and(is_open),
            routes: routes
                .map(|route| (route.name().clone(), url_of(route)))
                .collect(),
            issuers: self
                .suite
                .issuers
                .iter()
                .filter_map(|issuer| Some((issuer.name.clone(), self.metadata(issuer)?)))
                .collect(),
            facts: self.suite.facts.clone(),
            subscription_required: self.suite.subscription_required,
            traces: self.suite.trace_document,
        }
    }

    /// Where an issuer's metadata, or its keys, are.
    fn metadata(&self, issuer: &Issuer) -> Option<String> {
        let mut routes = self.routes.iter();
        let route = routes.find(|route| *route.name() == issuer.route)?;
        let (KeysAt::Discovery(path) | KeysAt::Path(path)) = &issuer.keys;
        Some(format!("{}{path}", url_of(route)))
    }

    /// What documents have run, as the gateway has it.
    fn of_documents(&mut self, files: &[At<PathBuf>]) -> Result<OfPhases, NotPrepared> {
        use keyward::document::Phase as Section;
        let values = Values(self.suite);
        let parsed = |name: &str, text: &str, scope: Option<Scope>| {
            let options = Options {
                scope,
                values: &values,
                ..Options::default()
            };
            let reading = read(name, text, &options);
            let errors = reading.diagnostics;
            reading
                .document
                .ok_or_else(|| NotPrepared(errors.render(false)))
        };
        let open = |file: &Path, scope: Option<Scope>| {
            let text = std::fs::read_to_string(file)
                .map_err(|error| failed(&format!("can't read {}", file.display()))(&error))?;
            parsed(&file.display().to_string(), &text, scope)
        };
        let mut documents = vec![match &self.suite.global_document {
            Some(file) => open(&file.value, Some(Scope::Global))?,
            None => parsed("global scope", GLOBAL_DOCUMENT, Some(Scope::Global))?,
        }];
        let scopes = scopes(files.len());
        for (file, scope) in files.iter().zip(scopes) {
            documents.push(open(&file.value, Some(*scope))?);
        }
        let mut fragments = BTreeMap::new();
        for (id, file) in &self.suite.fragments {
            fragments.insert(id.clone(), open(&file.value, None)?);
        }
        let scopes: Vec<&Document> = documents.iter().collect();
        let shown = files.last().map(|file| file.value.display().to_string());
        let shown = shown.unwrap_or_default();
        let invalid = |errors: Box<DocumentErrors>| NotPrepared(errors.render(false));
        let effective = effective(&scopes, &fragments).map_err(invalid)?;
        let compiled = compile(&effective, &self.bindings()).map_err(invalid)?;
        let runs = Runs::of(&compiled).map_err(|error| NotPrepared(error.to_string()))?;
        let runs = Arc::new(runs);
        self.forwards = Forwards::from(&compiled);
        let sections = [
            Section::Inbound,
            Section::Backend,
            Section::Outbound,
            Section::OnError,
        ];
        let mut steps: [Vec<_>; 4] = Default::default();
        for (section, steps) in sections.into_iter().zip(&mut steps) {
            for step in compiled.steps(section) {
                let (name, runs, what) = match step {
                    Step::Segment => (
                        self.suite.runs_as.as_str(),
                        Some(Arc::clone(&runs)),
                        shown.clone(),
                    ),
                    Step::Policy { name, position } => (name.as_str(), None, position.to_string()),
                };
                let mut known = self.components.iter();
                let place = known.position(|component| component.under_test.name.as_str() == name);
                let Some(place) = place else {
                    return Err(NotPrepared(format!(
                        "{what}: no policy \"{name}\"; add a [[policies]] with that name to the suite"
                    )));
                };
                steps.push((place, runs));
            }
        }
        Ok(steps)
    }

    fn load(
        &self,
        place: usize,
        settings: Option<&serde_json::Value>,
        runs: Option<&Runs>,
    ) -> Result<Policy, NotPrepared> {
        let Some(component) = self.components.get(place) else {
            return Err(NotPrepared("no such policy".to_owned()));
        };
        let key = (place, settings.map(ToString::to_string).unwrap_or_default());
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(policy) = loaded.get(&key) {
            return Ok(policy.clone());
        }
        let under_test = &component.under_test;
        let given = settings
            .filter(|settings| settings.as_object().is_none_or(|object| !object.is_empty()));
        let sandbox = Sandbox {
            limits: match runs {
                Some(runs) => Some(runs.within(under_test.limits.as_ref(), &under_test.set_limits)),
                None => under_test.limits.clone(),
            },
            ..Sandbox::default()
        };
        let policy = self
            .base
            .engine()
            .load_in(
                &sandbox,
                &PolicySource {
                    name: under_test.name.clone(),
                    component: &component.bytes,
                    settings: given,
                    routes: &under_test.routes,
                    issuers: &under_test.issuers,
                    document: runs.map(|runs| runs.asks.as_slice()),
                },
            )
            .map_err(|error| NotPrepared(error.to_string()))?;
        loaded.insert(key, policy.clone());
        Ok(policy)
    }

    /// The policies of each phase, with these settings in place of the suite's.
    fn phases(
        &self,
        settings: &[(PolicyName, serde_json::Value)],
    ) -> Result<[Vec<Policy>; 4], NotPrepared> {
        let mut phases: [Vec<Policy>; 4] = Default::default();
        for (steps, policies) in self.steps.iter().zip(&mut phases) {
            for (place, own) in steps {
                let Some(component) = self.components.get(*place) else {
                    continue;
                };
                let name = &component.under_test.name;
                let of_case = settings.iter().find(|(of, _)| of == name);
                let settings = of_case
                    .map(|(_, settings)| settings)
                    .or(own.as_ref().map(|runs| &runs.settings))
                    .or(component.under_test.settings.as_ref());
                policies.push(self.load(*place, settings, own.as_deref())?);
            }
        }
        for (phase, policies) in Phase::ALL.into_iter().zip(&phases) {
            let lacking = policies
                .iter()
                .find(|policy| !policy.phases().contains(&phase));
            if let Some(policy) = lacking {
                let has: Vec<&str> = policy.phases().iter().map(|phase| phase.as_str()).collect();
                return Err(NotPrepared(format!(
                    "policy \"{}\" has no {phase} phase; it has: {}",
                    policy.name(),
                    has.join(", ")
                )));
            }
        }
        Ok(phases)
    }

    /// The world of one case, in a runtime whose time stands still.
    pub(crate) fn world(
        &self,
        case: &Case,
        observer: Arc<dyn Observer>,
    ) -> Result<World, NotPrepared> {
        let clock = Clock::at(case.at);
        let trail = self.trail.copy();
        let of_vault = clock.clone();
        let disk: Arc<dyn Disk> = Arc::new(self.disk.copy());
        let opening = Opening {
            key: KeySource::KeyFile(self.files.key.clone()),
            durability: Durability::Strict,
        };
        let vault = Vault::open_apart(
            &disk,
            &self.files,
            opening,
            Box::new(trail.clone()),
            keyward::vault::Clock::of(move || of_vault.now()),
        )
        .map_err(|error| failed("can't open a vault")(&error))?;
        let grants = self.suite.grants_of(case);
        vault
            .set_grants(grants, &actor())
            .map_err(|error| failed("the grants can't come into force")(&error))?;
        let answers: Vec<Backend> = case
            .backends
            .iter()
            .chain(&self.suite.backends)
            .cloned()
            .collect();
        let backends = Arc::new(Backends::new(
            self.suite,
            answers,
            clock.clone(),
            &self.certificates,
        ));
        let queries = case.queries.iter().chain(&self.suite.queries);
        let queries = queries.cloned().collect();
        let senses = Arc::new(Senses::new(clock.clone(), case.seed, queries));
        let mut engine = EngineConfig::default();
        engine.observer = Some(observer);
        let keyward = Keyward::builder(vault)
            .routes(self.routes.iter().cloned())
            .issuers(self.suite.issuers.iter().cloned())
            .resolver(self.network.clone())
            .connector(Arc::clone(&backends).connector())
            .senses(Arc::clone(&senses) as Arc<dyn keyward::Senses>)
            .engine(engine)
            .build_beside(&self.base)
            .map_err(|error| failed("can't put the parts together")(&error))?;
        let Some(route) = self.suite.routes.first() else {
            return Err(NotPrepared("the suite has no route".to_owned()));
        };
        let pipeline = Pipeline::new(route.name.clone(), self.phases(&case.settings)?);
        let pipeline = pipeline.forwarded(self.forwards);
        Ok(World {
            keyward,
            pipeline,
            backends,
            senses,
            clock,
            trail,
        })
    }
}

fn url_of(route: &Route) -> String {
    let scheme = match route.scheme() {
        Scheme::Http => "http",
        Scheme::Https | Scheme::Postgres => "https",
    };
    format!("{scheme}://{}{}", route.authority(), route.base_path())
}

/// The scopes of so many documents, as the gateway takes them.
fn scopes(documents: usize) -> &'static [Scope] {
    match documents {
        0 | 1 => &[Scope::Api],
        2 => &[Scope::Api, Scope::Operation],
        3 => &[Scope::Product, Scope::Api, Scope::Operation],
        _ => &[
            Scope::Workspace,
            Scope::Product,
            Scope::Api,
            Scope::Operation,
        ],
    }
}

/// A vault with the suite's secrets, on a disk that each case copies.
fn fill_vault(
    suite: &Suite,
    canaries: &[Canary],
    disk: MemoryDisk,
    trail: &MemoryTrail,
    files: &VaultFiles,
) -> Result<MemoryDisk, NotPrepared> {
    let disk = Arc::new(disk);
    let shared: Arc<dyn Disk> = Arc::clone(&disk) as Arc<dyn Disk>;
    let vault = open_new(&shared, trail, files)?;
    let actor = actor();
    let sections = suite.secrets.iter().map(|section| {
        (
            &section.name,
            section.kind,
            section.validity,
            section.previous.as_ref().map(|previous| previous.validity),
            section.disabled,
        )
    });
    let clients = suite.clients.iter().map(|section| {
        let validity = Validity::default();
        (&section.name, Kind::ClientKeys, validity, None, false)
    });
    for (section, canary) in sections.chain(clients).zip(canaries) {
        let (name, kind, validity, of_previous, disabled) = section;
        let refused =
            |error: &dyn std::fmt::Display| NotPrepared(format!("secret \"{name}\": {error}"));
        let value = |import: &[u8]| {
            Secret::read_from(import, kind.max_bytes()).map_err(|error| refused(&error))
        };
        match &canary.previous {
            None => vault.add_valid(name, kind, value(&canary.import)?, validity, &actor),
            Some(previous) => {
                let of_previous = of_previous.unwrap_or_default();
                vault
                    .add_valid(name, kind, value(previous)?, of_previous, &actor)
                    .map_err(|error| refused(&error))?;
                vault.rotate_valid(name, value(&canary.import)?, validity, &actor)
            }
        }
        .map_err(|error| refused(&error))?;
        if disabled {
            vault
                .disable(name, &actor)
                .map_err(|error| refused(&error))?;
        }
    }
    for section in &suite.values {
        let value = match &section.value {
            ValueText::Plain(text) => NamedValue::Plain(text.clone()),
            ValueText::Secret(secret) => NamedValue::Secret(secret.clone()),
        };
        vault
            .set_value(&section.name, value, BTreeSet::new(), &actor)
            .map_err(|error| failed(&format!("named value \"{}\"", section.name))(&error))?;
    }
    drop(vault);
    drop(shared);
    Ok(disk.copy())
}

fn open_new(
    disk: &Arc<dyn Disk>,
    trail: &MemoryTrail,
    files: &VaultFiles,
) -> Result<Vault, NotPrepared> {
    let refused = failed("can't make a vault");
    Vault::create_on(disk, files, &NewKey::KeyFile(files.key.clone()))
        .map_err(|error| refused(&error))?;
    let opening = Opening {
        key: KeySource::KeyFile(files.key.clone()),
        durability: Durability::Buffered,
    };
    let clock = keyward::vault::Clock::system();
    Vault::open_apart(disk, files, opening, Box::new(trail.clone()), clock)
        .map_err(|error| refused(&error))
}

/// The engine that loads the policies; its own vault is empty and stays so.
fn base(files: &VaultFiles, watch_memory: bool) -> Result<Keyward, NotPrepared> {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let vault = open_new(&disk, &MemoryTrail::default(), files)?;
    let mut engine = EngineConfig::default();
    engine.concurrent_calls = 64;
    engine.standard_calls = 16;
    engine.large_calls = 4;
    engine.reports = true;
    engine.guest_debug = watch_memory;
    engine.observer = Some(Arc::new(Nobody));
    Keyward::builder(vault)
        .engine(engine)
        .build()
        .map_err(|error| failed("the engine does not start")(&error))
}

fn routes(suite: &Suite, certificates: &Certificates) -> Result<Vec<Route>, NotPrepared> {
    let mut routes = Vec::new();
    for section in &suite.routes {
        let refused = |error: &dyn std::fmt::Display| {
            NotPrepared(format!("route \"{}\": {error}", section.name))
        };
        let route =
            Route::new(section.name.clone(), &section.url).map_err(|error| refused(&error))?;
        let mut timeouts = Timeouts::default();
        if let Some(timeout) = section.timeout {
            timeouts.response = timeout;
        }
        let networks = ["10.77.0.0/16", "127.77.0.0/16"];
        let networks: Result<Vec<_>, _> = networks.iter().map(|network| network.parse()).collect();
        let networks = networks.map_err(|error| refused(&error))?;
        routes.push(
            route
                .with_roots(Roots::Pem(certificates.authority()))
                .with_networks(networks)
                .with_timeouts(timeouts),
        );
    }
    Ok(routes)
}

/// The named values of a suite, for its documents.
struct Values<'a>(&'a Suite);

impl NamedValues for Values<'_> {
    fn look_up(&self, name: &str) -> Lookup {
        let mut values = self.0.values.iter();
        match values.find(|value| value.name.as_str() == name) {
            Some(value) => match &value.value {
                ValueText::Plain(text) => Lookup::Plain(text.clone()),
                ValueText::Secret(secret) => Lookup::Secret(secret.to_string()),
            },
            None => Lookup::Unknown(None),
        }
    }

    fn request(&self, reference: &KeyVaultReference) -> Requested {
        let mut listed = self.0.references.iter();
        match listed.find(|listed| listed.reference == *reference) {
            Some(listed) => Requested::Secret(listed.secret.to_string()),
            None => Requested::Refused {
                why: format!("the suite does not list {reference}"),
                help: format!(
                    "write in its [references]: \"{reference}\" = {{ secret = \"NAME\" }}"
                ),
            },
        }
    }
}
