//! What is around documents: the other scopes, fragments, named values, and the routes
//! and issuers of the configuration, if there is one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use keyward::document::compile::{Bindings, Survey, survey};
use keyward::document::model::{Document, Effective, Node, Value, effective};
use keyward::document::named_values::{Lookup, NamedValues, Requested, Unresolved, places};
use keyward::document::policies::Scope;
use keyward::document::{DocumentErrors, Member, Phase, Problem};
use keyward::names::{IssuerName, KeyVaultReference, PolicyName, RouteName};
use keyward::{Issuer, KeysAt};
use keyward_gateway::config::{Config, DocumentSteps, Pipeline, Steps, Values};
use keyward_gateway::documents::{bindings, fragment_files};

use super::{read_one, scope, text_of};
use crate::access::Access;
use crate::exit::Failure;
use crate::words::url;
use crate::{Common, place};

/// What runs documents where the configuration does not say it.
const DOCUMENT: &str = "document";
/// The longest name of a route or an issuer.
const LONGEST_NAME: usize = 64;

/// Documents, and what they are read with.
#[derive(Args)]
pub(super) struct Given {
    /// Documents, the broadest scope first, each with its scope before it or without.
    #[arg(required = true, value_name = "[SCOPE=]FILE")]
    pub(super) documents: Vec<String>,
    /// A fragment, and the id under which documents include it; several are allowed.
    #[arg(long = "fragment", value_name = "ID=FILE")]
    pub(super) fragments: Vec<String>,
    #[command(flatten)]
    pub(super) values: Named,
}

/// Named values of the command line.
#[derive(Args)]
pub(super) struct Named {
    /// A named value that is a text, in place of the vault's; several are allowed.
    #[arg(long = "value", value_name = "NAME=TEXT", value_parser = value)]
    pub(super) texts: Vec<(String, String)>,
    /// A named value that is a secret of this name, in place of the vault's; several are
    /// allowed.
    #[arg(long = "secret", value_name = "NAME")]
    pub(super) secrets: Vec<String>,
}

/// `NAME=TEXT`.
fn value(text: &str) -> Result<(String, String), String> {
    let (name, text) = text.split_once('=').ok_or("no `NAME=TEXT`")?;
    Ok((name.to_owned(), text.to_owned()))
}

/// A document's scope, its name and its text.
type Scoped = (Option<Scope>, (String, String));

/// Named values: those of the command line, and then those of somebody else.
struct Both<'a> {
    named: &'a Named,
    other: &'a dyn NamedValues,
}

impl NamedValues for Both<'_> {
    fn look_up(&self, name: &str) -> Lookup {
        let mut texts = self.named.texts.iter();
        if let Some((_, text)) = texts.find(|(of, _)| of == name) {
            return Lookup::Plain(text.clone());
        }
        if self.named.secrets.iter().any(|of| of == name) {
            return Lookup::Secret(name.to_owned());
        }
        self.other.look_up(name)
    }

    fn request(&self, reference: &KeyVaultReference) -> Requested {
        self.other.request(reference)
    }
}

impl Named {
    /// Has documents read with these values, and those of the configuration and its
    /// vault where documents name others. Where the vault can't be asked, they are read
    /// without.
    pub(super) fn reading<T>(
        &self,
        common: &Common,
        config: Option<&Config>,
        texts: &[&str],
        work: impl FnOnce(&dyn NamedValues) -> T,
    ) -> T {
        let asked = config
            .filter(|_| self.others(texts))
            .and_then(|config| asked(common, config));
        match config {
            Some(config) => work(&Both {
                named: self,
                other: &config.in_documents(asked.as_ref()),
            }),
            None => work(&Both {
                named: self,
                other: &Unresolved,
            }),
        }
    }

    /// Whether texts name a value that is not here.
    fn others(&self, texts: &[&str]) -> bool {
        let here = |name: &str| {
            self.texts.iter().any(|(of, _)| of == name) || self.secrets.iter().any(|of| of == name)
        };
        let names = |text: &&str| places(text).any(|place| !here(place.name));
        texts
            .iter()
            .any(|text| names(text) || KeyVaultReference::is_meant_by(text))
    }
}

/// The vault's named values, if it can be opened.
fn asked(common: &Common, config: &Config) -> Option<Values> {
    let values = Access::open(config, common).and_then(|access| access.values());
    values
        .map_err(|failure| {
            let why = format!(
                "named values of the vault are not known: {:#}",
                failure.error
            );
            common.output().warn(why);
        })
        .ok()
}

/// Something that documents need and the configuration lacks.
pub(super) enum Lacking {
    /// A route, by its name and URL.
    Route {
        name: RouteName,
        url: String,
        /// Whether the URL has to be found out.
        unknown: bool,
    },
    /// A route or an issuer that there is and that the policy may not use: the key of
    /// its section, and the name.
    Open(&'static str, String),
    /// An issuer, by its route and the URL of its metadata.
    Issuer {
        name: IssuerName,
        route: RouteName,
        url: String,
    },
}

/// Documents and fragments that were read.
pub(super) struct Read {
    pub(super) config: Option<Config>,
    pub(super) documents: Vec<Document>,
    pub(super) fragments: BTreeMap<String, Document>,
    /// What the named values stand for that they name.
    pub(super) known: BTreeMap<String, Lookup>,
}

impl Read {
    /// Puts them together, for this policy or that which runs them by the configuration.
    ///
    /// Errors: a fragment is not there, or can't stand where it is included.
    pub(super) fn together(
        self,
        policy: Option<&PolicyName>,
    ) -> Result<Around, Box<DocumentErrors>> {
        let scopes: Vec<&Document> = self.documents.iter().collect();
        let found = effective(&scopes, &self.fragments)?;
        let pipeline = self
            .config
            .as_ref()
            .and_then(|config| running(config, self.documents.last()?));
        let (pipeline, steps) = pipeline.unzip();
        let runs_as = steps.as_ref().map(|steps| steps.runs_as.clone());
        let usual = || PolicyName::parse(DOCUMENT).ok();
        let policy = policy.cloned().or(runs_as).or_else(usual);
        let mut around = Around {
            policy: policy.unwrap_or_else(|| unreachable!("{DOCUMENT} is a name")),
            config: self.config,
            documents: self.documents,
            fragments: self.fragments,
            known: self.known,
            effective: found,
            pipeline,
            subscription_required: steps.as_ref().and_then(|steps| steps.subscription_required),
            facts: steps.map(|steps| steps.facts).unwrap_or_default(),
            bindings: Bindings::default(),
            lacking: Vec::new(),
            unknown: BTreeSet::new(),
        };
        around.unknown = around.unknown_values();
        around.bind();
        Ok(around)
    }
}

/// Documents with all that is around them.
#[cfg_attr(
    not(feature = "testkit"),
    expect(dead_code, reason = "what only a run asks for")
)]
pub(super) struct Around {
    pub(super) config: Option<Config>,
    pub(super) documents: Vec<Document>,
    pub(super) fragments: BTreeMap<String, Document>,
    pub(super) known: BTreeMap<String, Lookup>,
    pub(super) effective: Effective,
    pub(super) policy: PolicyName,
    /// The pipeline that runs the narrowest document, if one does.
    pub(super) pipeline: Option<Pipeline>,
    /// What the documents are told of the API and so on.
    pub(super) facts: Vec<(Member, String)>,
    /// Whether callers need a key, where the configuration says so.
    pub(super) subscription_required: Option<bool>,
    pub(super) bindings: Bindings,
    pub(super) lacking: Vec<Lacking>,
    /// Named values of which nothing says what they are.
    pub(super) unknown: BTreeSet<String>,
}

/// The configuration, if there is one.
pub(super) fn configuration(common: &Common) -> Result<Option<Config>, Failure> {
    Ok(match (common.config(), place::find(None)) {
        (None, Err(_)) => None,
        (named, _) => Some(place::load(named)?),
    })
}

impl Given {
    /// Reads all of it.
    ///
    /// Errors: something can't be read, or is wrong.
    pub(super) fn around(
        &self,
        common: &Common,
        policy: Option<&PolicyName>,
    ) -> Result<Around, Failure> {
        let around = self.read(common)?.together(policy);
        around.map_err(|errors| Failure::new(errors.render(false).trim_end()))
    }

    /// Reads the files, each for itself.
    ///
    /// Errors: something can't be read, or is wrong.
    pub(super) fn read(&self, common: &Common) -> Result<Read, Failure> {
        let config = configuration(common)?;
        let mut documents: Vec<Scoped> = Vec::new();
        for named in &self.documents {
            let (of, file) = match named.split_once('=') {
                Some((name, file)) => (Some(scope(name).map_err(Failure::usage)?), file),
                None => (None, named.as_str()),
            };
            documents.push((of, text_of(&PathBuf::from(file))?));
        }
        let mut fragments = Vec::new();
        for named in &self.fragments {
            let Some((id, file)) = named.split_once('=') else {
                return Err(Failure::usage(format!("{named}: a fragment is ID=FILE")));
            };
            fragments.push((id.to_owned(), text_of(&PathBuf::from(file))?));
        }
        if let Some(config) = &config {
            self.of_gateway(config, &mut documents, &mut fragments)?;
        }
        let texts = documents.iter().map(|(_, (_, text))| text.as_str());
        let texts = texts.chain(fragments.iter().map(|(_, (_, text))| text.as_str()));
        let texts: Vec<&str> = texts.collect();
        let mut known = BTreeMap::new();
        let work = |values: &dyn NamedValues| {
            for place in texts.iter().flat_map(|text| places(text)) {
                known.insert(place.name.to_owned(), values.look_up(place.name));
            }
            let read = documents.iter().map(|(of, text)| model(text, *of, values));
            let documents = read.collect::<Result<Vec<_>, Failure>>()?;
            let read = fragments
                .iter()
                .map(|(id, text)| Ok((id.clone(), model(text, None, values)?)));
            let fragments = read.collect::<Result<BTreeMap<_, _>, Failure>>()?;
            Ok::<_, Failure>((documents, fragments))
        };
        let (documents, fragments) = self.values.reading(common, config.as_ref(), &texts, work)?;
        Ok(Read {
            config,
            documents,
            fragments,
            known,
        })
    }

    /// Adds the gateway's global document and its fragments, unless others are given.
    fn of_gateway(
        &self,
        config: &Config,
        documents: &mut Vec<Scoped>,
        fragments: &mut Vec<(String, (String, String))>,
    ) -> Result<(), Failure> {
        let global = documents.iter().any(|(of, _)| *of == Some(Scope::Global));
        let file = config.gateway.document.as_ref().filter(|_| !global);
        let file = file.filter(|file| {
            let name = file.display().to_string();
            documents.iter().all(|(_, (given, _))| *given != name)
        });
        if let Some(file) = file {
            documents.insert(0, (Some(Scope::Global), text_of(file)?));
        }
        for file in fragment_files(config) {
            let (name, text) = text_of(&file)?;
            let own = read_one(&name, &text, None, &Unresolved).document;
            let own = own.and_then(|document| document.origin().id.clone());
            let stem = file.file_stem().map(|stem| stem.to_string_lossy().into());
            let id = own.or(stem).unwrap_or_default();
            if fragments.iter().all(|(known, _)| *known != id) {
                fragments.push((id, (name, text)));
            }
        }
        Ok(())
    }
}

/// The pipeline one of whose documents this is.
fn running(config: &Config, document: &Document) -> Option<(Pipeline, DocumentSteps)> {
    let real = |file: &Path| std::fs::canonicalize(file).ok();
    let this = real(document.file().as_ref())?;
    config.pipelines.iter().find_map(|pipeline| {
        let Steps::Documents(steps) = &pipeline.steps else {
            return None;
        };
        let mut files = steps.files.iter();
        files
            .any(|file| real(file).as_ref() == Some(&this))
            .then(|| (pipeline.clone(), steps.clone()))
    })
}

/// The document of a text in which nothing is wrong.
fn model(
    (name, text): &(String, String),
    of: Option<Scope>,
    values: &dyn NamedValues,
) -> Result<Document, Failure> {
    let reading = read_one(name, text, of, values);
    reading.document.ok_or_else(|| {
        Failure::new(reading.diagnostics.render(false).trim_end())
            .help("a document with errors is neither shown nor run")
    })
}

impl Around {
    /// What to do about the first named value of which nothing says what it stands for.
    #[cfg(feature = "testkit")]
    pub(super) fn says_unknown(&self) -> Option<String> {
        let name = self.unknown.first()?;
        Some(format!(
            "--secret {name} if it is secret, --value {name}=TEXT if not"
        ))
    }

    /// What the documents ask for, and what keeps them from running.
    pub(super) fn survey(&self) -> Survey {
        survey(&self.effective, &self.bindings)
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        Phase::ALL
            .into_iter()
            .flat_map(|phase| self.effective.phase(phase))
            .flat_map(Node::walk)
    }

    fn unknown_values(&self) -> BTreeSet<String> {
        use keyward::document::model::Payload;
        let mut unknown = BTreeSet::new();
        for value in self.nodes().flat_map(Node::values) {
            match &value.payload {
                Payload::Later => {
                    let names = places(value.written.as_str());
                    unknown.extend(names.map(|place| place.name.to_owned()));
                }
                Payload::Expression(expression) => {
                    let names = expression.names.iter();
                    let names = names.filter(|name| name.value.is_none());
                    unknown.extend(names.map(|name| name.name.clone()));
                }
                Payload::Literal(_) | Payload::Secret(_) => {}
            }
        }
        unknown
    }

    /// Binds what the configuration has, and makes up what it lacks.
    fn bind(&mut self) {
        if let Some(config) = &self.config {
            let main = self.pipeline.as_ref();
            let main = main.map(|pipeline| pipeline.route.clone());
            let route = main.or_else(|| config.route_names.first().cloned());
            if let Some(route) = route {
                let steps = DocumentSteps {
                    files: Vec::new(),
                    runs_as: self.policy.clone(),
                    facts: self.facts.clone(),
                    subscription_required: self.subscription_required,
                };
                self.bindings = bindings(config, &route, &steps);
            }
        }
        if self.bindings.route.is_none() {
            self.lack_route("backend", "https://backend.example".to_owned(), true);
            let first = self.bindings.routes.first();
            self.bindings.route = first.map(|(name, _)| name.clone());
        }
        let lacked: Vec<(&'static str, String)> = self.addresses().collect();
        for (what, address) in lacked {
            match what {
                "backend-id" => self.lack_backend(&address),
                "openid-config" => self.lack_issuer(&address),
                _ => self.lack_address(&address),
            }
        }
        self.lack_own_route();
    }

    /// Opens the pipeline's route where the documents send requests of their own to it.
    fn lack_own_route(&mut self) {
        let survey = self.survey();
        let mut errors = survey.errors.iter().flat_map(|errors| errors.iter());
        let is_closed = errors.any(|error| matches!(error.problem(), Problem::ClosedRoute(_)));
        if let (true, Some(own)) = (is_closed, &self.bindings.route) {
            self.lacking.push(Lacking::Open("routes", own.to_string()));
            self.bindings.calls_own_route = true;
        }
    }

    /// The fixed addresses that statements name.
    fn addresses(&self) -> impl Iterator<Item = (&'static str, String)> {
        let text = |value: Option<&Value>| value.and_then(Value::as_text).map(str::to_owned);
        self.nodes().filter_map(move |node| {
            Some(match node.name() {
                "set-url" => ("set-url", text(node.text.as_ref())?),
                "openid-config" => ("openid-config", text(node.attribute("url"))?),
                "set-backend-service" => match text(node.attribute("base-url")) {
                    Some(url) => ("base-url", url),
                    None => ("backend-id", text(node.attribute("backend-id"))?),
                },
                _ => return None,
            })
        })
    }

    fn lack_address(&mut self, address: &str) {
        let Some((origin, name)) = origin(address) else {
            return;
        };
        let mut routes = self.bindings.routes.iter();
        if routes.any(|(_, to)| leads(address, to)) {
            return;
        }
        let closed = self
            .config
            .iter()
            .flat_map(|config| &config.routes)
            .find(|route| leads(address, &url(route)));
        match closed.map(|route| (route.name().clone(), url(route))) {
            Some((name, to)) => {
                self.lacking.push(Lacking::Open("routes", name.to_string()));
                self.bindings.routes.push((name, to));
            }
            None => self.lack_route(&name, origin, false),
        }
    }

    fn lack_backend(&mut self, id: &str) {
        let known = |(name, _): &(RouteName, String)| name.as_str() == id;
        if !self.bindings.routes.iter().any(known) {
            self.lack_route(id, format!("https://{id}.example"), true);
        }
    }

    /// Adds a route. What can't be the name of one is a finding of the compiler's.
    fn lack_route(&mut self, name: &str, url: String, unknown: bool) {
        let Ok(name) = RouteName::parse(name) else {
            return;
        };
        self.bindings.routes.push((name.clone(), url.clone()));
        self.lacking.push(Lacking::Route { name, url, unknown });
    }

    fn lack_issuer(&mut self, address: &str) {
        if self.bindings.issuers.iter().any(|(_, url)| url == address) {
            return;
        }
        let config = &self.config;
        let closed = config.iter().find_map(|config| {
            let mut issuers = config.issuers.iter();
            issuers.find(|issuer| metadata(config, issuer).as_deref() == Some(address))
        });
        if let Some(issuer) = closed {
            let name = issuer.name.clone();
            self.lacking
                .push(Lacking::Open("issuers", name.to_string()));
            self.bindings.issuers.push((name, address.to_owned()));
            return;
        }
        let found = origin(address);
        let found = found.and_then(|(origin, name)| Some((origin, IssuerName::parse(&name).ok()?)));
        if let Some((origin, name)) = found {
            self.bindings
                .issuers
                .push((name.clone(), address.to_owned()));
            // The route is for the issuer's keys, not for the document to call.
            let mut routes = config.iter().flat_map(|config| &config.routes);
            let there = routes.find(|route| leads(address, &url(route)));
            let route = match there {
                Some(route) => route.name().clone(),
                None => {
                    let Ok(route) = RouteName::parse(name.as_str()) else {
                        return;
                    };
                    self.lacking.push(Lacking::Route {
                        name: route.clone(),
                        url: origin,
                        unknown: false,
                    });
                    route
                }
            };
            let url = address.to_owned();
            self.lacking.push(Lacking::Issuer { name, route, url });
        }
    }
}

/// Where an issuer's metadata, or its keys, are.
pub(super) fn metadata(config: &Config, issuer: &Issuer) -> Option<String> {
    let (KeysAt::Discovery(path) | KeysAt::Path(path)) = &issuer.keys;
    let mut routes = config.routes.iter();
    let route = routes.find(|route| *route.name() == issuer.route)?;
    Some(format!("{}{path}", url(route)))
}

/// Whether an address lies below that of a route.
fn leads(address: &str, route: &str) -> bool {
    address
        .trim()
        .strip_prefix(route.trim_end_matches('/'))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

/// Scheme, host and port of a URL, and a name made of the latter.
fn origin(address: &str) -> Option<(String, String)> {
    let (scheme, rest) = address.trim().split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "https" | "http") || authority.is_empty() {
        return None;
    }
    let name: String = authority
        .chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '.' | '-' | '_' => c,
            _ => '-',
        })
        .take(LONGEST_NAME)
        .collect();
    Some((format!("{scheme}://{authority}"), name))
}
