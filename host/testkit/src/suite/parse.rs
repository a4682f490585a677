//! From a suite's text to a suite: what its cases have in common.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keyward::egress::Route;
use keyward::names::{GrantId, IssuerName, PolicyName, RouteName, SecretName, Subject};
use keyward::vault::{Grants, KeyEncoding, Kind, MacAlgorithm, Validity};
use toml::de::DeTable;

use super::errors::{SuiteErrors, nearest};
use super::node::{Entry, entries};
use super::parse_case;
use super::parse_documents::documents;
use super::parse_grants::{check_grants, grant_regions, grants};
use super::parse_issuers::issuers;
use super::parse_mock;
use super::parse_policies::policies;
use super::parse_values::{references, values};
use super::reader::{Table, Wrongs};
use super::token::{Written, issuer_keys, publishing, tokens};
use super::{
    At, Backend, ClientsSection, PreviousSection, RouteSection, SecretSection, SecretText,
    SecretValue, Span, Suite, ValueSection,
};
use crate::property::Property;
use crate::report::suite_name;

/// What names stand for while the rest is read.
pub(crate) struct Known<'a> {
    pub(crate) wrongs: &'a Wrongs,
    pub(crate) policies: Vec<PolicyName>,
    pub(crate) routes: Vec<RouteName>,
    pub(crate) secrets: Vec<SecretName>,
    pub(crate) clients: Vec<ClientsSection>,
    pub(crate) values: Vec<ValueSection>,
    pub(crate) grants: Grants,
    /// What the secrets are.
    pub(crate) keys: Vec<(SecretName, Kind)>,
    pub(crate) issuers: Vec<IssuerName>,
    pub(crate) tokens: Vec<(String, Written)>,
    /// The file and the text that are read, and what stands at its top.
    pub(crate) source: Source<'a>,
}

/// What is read.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Path,
    pub(crate) text: &'a str,
    pub(crate) top: &'a [Entry],
}

impl Suite {
    /// Reads the text of a suite that is, or would be, at `file`, which components and
    /// documents are named relative to. Where the text names no component, it is that
    /// of the package around the file: `target/policies/NAME.wasm` of the nearest
    /// folder above that has it. Nothing else of the disk is looked at.
    ///
    /// Errors: everything that is wrong with it.
    pub fn parse(file: &Path, text: &str) -> Result<Self, SuiteErrors> {
        let wrongs = Wrongs::default();
        let suite = parse(file, text, &wrongs);
        let wrong = wrongs.into_inner();
        match suite {
            Some(suite) if wrong.is_empty() => Ok(suite),
            _ => Err(SuiteErrors::new(file, text, wrong)),
        }
    }
}

pub(crate) fn parse(file: &Path, text: &str, wrongs: &Wrongs) -> Option<Suite> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            wrongs.add(&error.span().unwrap_or(0..0), error.message());
        }
        return None;
    }
    let top = entries(document.get_ref());
    let table = Table::new("a suite", 0..0, &top, wrongs);

    let secrets = secrets(&table, file);
    let clients = clients(&table, &secrets);
    let mut names: Vec<SecretName> = secrets.iter().map(|one| one.name.clone()).collect();
    names.extend(clients.iter().map(|one| one.name.clone()));
    let values = values(&table, &names);
    let references = references(&table, &names);
    let routes = routes(&table);
    table.get("grant");
    let source = Source {
        file,
        text,
        top: &top,
    };
    let grants = grants(source, wrongs);
    let known = Known {
        wrongs,
        policies: Vec::new(),
        routes: routes.iter().map(|route| route.name.clone()).collect(),
        secrets: names,
        clients,
        values,
        grants,
        keys: secrets
            .iter()
            .map(|one| (one.name.clone(), one.kind))
            .collect(),
        issuers: Vec::new(),
        tokens: Vec::new(),
        source,
    };
    let issuers = issuers(&table, &known);
    let known = Known {
        issuers: issuers.iter().map(|issuer| issuer.name.clone()).collect(),
        ..known
    };
    let known = Known {
        tokens: tokens(&table, &known),
        ..known
    };
    let of_documents = documents(&table, file);
    let global_document = path(&table, "global-document", file);
    let mut policies = policies(&table, file, !of_documents.files.is_empty(), &known);
    for policy in &mut policies {
        policy.issuers = issuers.iter().map(|issuer| issuer.name.clone()).collect();
    }
    let known = Known {
        policies: policies.iter().map(|policy| policy.name.clone()).collect(),
        ..known
    };
    check_grants(&known, &known.grants, grant_regions(text, &top));
    let mut backends: Vec<Backend> = table
        .tables("backend", "[[backend]]")
        .into_iter()
        .filter_map(|backend| parse_mock::backend(backend, &known))
        .collect();
    let queries = super::parse_query::queries(&table);
    let cases = parse_case::cases(&table, &known);
    let issuer_keys = issuer_keys(&issuers, &cases);
    // After what the suite itself says.
    backends.extend(issuers.iter().filter_map(|issuer| {
        let key = issuer_keys.iter().find(|key| key.issuer == issuer.name)?;
        publishing(issuer, key)
    }));
    let property = table.table("property", "[property]").map(|property| {
        let cases = property.whole("cases", 1, 100_000);
        let seed = property.whole("seed", 0, i64::MAX.unsigned_abs());
        property.finish();
        Property {
            cases: cases.map_or(100, |cases| u32::try_from(cases.value).unwrap_or(100)),
            seed: seed.map_or(1, |seed| seed.value),
        }
    });
    table.finish();
    Some(Suite {
        file: file.to_owned(),
        name: suite_name(file),
        text: text.to_owned(),
        policies,
        documents: of_documents.files,
        global_document,
        fragments: of_documents.fragments,
        runs_as: of_documents.runs_as?,
        facts: of_documents.facts,
        subscription_required: of_documents.subscription_required,
        trace_document: of_documents.trace,
        secrets,
        clients: known.clients,
        values: known.values,
        references,
        routes,
        issuers,
        issuer_keys,
        grants: known.grants,
        backends,
        queries,
        cases,
        property,
    })
}

/// A file, relative to the suite's.
pub(crate) fn path(table: &Table<'_>, key: &'static str, file: &Path) -> Option<At<PathBuf>> {
    let text = table.text(key)?;
    Some(At {
        value: beside(file, Path::new(text.value)),
        span: text.span,
    })
}

pub(crate) fn beside(file: &Path, path: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) => folder.join(path),
        None => path.to_owned(),
    }
}

fn secrets(table: &Table<'_>, file: &Path) -> Vec<SecretSection> {
    let Some(all) = table.table("secrets", "[secrets]") else {
        return Vec::new();
    };
    let mut secrets = Vec::new();
    for Entry { key, span, node } in all.entries() {
        let Some(name) = named::<SecretName>(key, span, table.wrongs) else {
            continue;
        };
        let Some(section) = Table::of("[secrets.NAME]", node, table.wrongs) else {
            continue;
        };
        let kind = kind(&section);
        let value = secret_text(&section, file);
        let validity = validity(&section);
        let previous = section.table("previous", "previous").map(|section| {
            let previous = PreviousSection {
                value: secret_text(&section, file),
                validity: self::validity(&section),
            };
            section.finish();
            previous
        });
        let disabled = section.flag("disabled").unwrap_or(false);
        if let Some(Kind::ClientKeys) = kind {
            table.wrongs.add_help(
                span,
                "client keys have a section of their own",
                format!("write [clients.{key}] with subjects = [\"…\"]"),
            );
        }
        section.finish();
        if let Some(kind) = kind {
            secrets.push(SecretSection {
                name,
                kind,
                value,
                validity,
                previous,
                disabled,
                span: span.clone(),
            });
        }
    }
    secrets
}

/// A value, or the file that holds it.
fn secret_text(section: &Table<'_>, file: &Path) -> Option<SecretText> {
    let value = section.text("value");
    let from = path(section, "value-from", file);
    match (value, from) {
        (Some(_), Some(from)) => {
            let message = "a secret has `value` or `value-from`, not both";
            section.wrongs.add(&from.span, message);
            None
        }
        (Some(text), None) => {
            let value = SecretValue(text.value.as_bytes().to_vec());
            Some(SecretText::Given(value))
        }
        (None, from) => from.map(SecretText::File),
    }
}

fn validity(section: &Table<'_>) -> Validity {
    Validity {
        not_before: parse_case::time(section, "not-before"),
        not_after: parse_case::time(section, "not-after"),
    }
}

fn kind(section: &Table<'_>) -> Option<Kind> {
    let kind = section.parsed::<Kind>("kind");
    if section.get("kind").is_none() {
        section.missing("kind", "\"api-key\"");
    }
    let algorithm = section.parsed::<MacAlgorithm>("algorithm");
    let encoding = section.parsed::<KeyEncoding>("encoding");
    Some(match kind?.value {
        Kind::HmacKey {
            algorithm: usual,
            encoding: raw,
        } => Kind::HmacKey {
            algorithm: algorithm.map_or(usual, |at| at.value),
            encoding: encoding.map_or(raw, |at| at.value),
        },
        Kind::DataKey { encoding: raw } => Kind::DataKey {
            encoding: encoding.map_or(raw, |at| at.value),
        },
        other => {
            let odd = algorithm.map(|at| at.span).or(encoding.map(|at| at.span));
            if let Some(span) = odd {
                let message =
                    format!("a secret of the kind {other} has no algorithm and no encoding");
                section.wrongs.add(&span, message);
            }
            other
        }
    })
}

/// A key that is a name.
pub(crate) fn named<T: std::str::FromStr<Err: std::fmt::Display>>(
    key: &str,
    span: &Span,
    wrongs: &Wrongs,
) -> Option<T> {
    let at = At {
        value: key,
        span: span.clone(),
    };
    super::reader::parse(&at, wrongs).map(|at| at.value)
}

fn clients(table: &Table<'_>, secrets: &[SecretSection]) -> Vec<ClientsSection> {
    let Some(all) = table.table("clients", "[clients]") else {
        return Vec::new();
    };
    let mut clients = Vec::new();
    for Entry { key, span, node } in all.entries() {
        let Some(section) = Table::of("[clients.NAME]", node, table.wrongs) else {
            continue;
        };
        let subjects: Vec<At<Subject>> = section.parsed_list("subjects").unwrap_or_default();
        if subjects.is_empty() {
            section.missing("subjects", "[\"acme\"]");
        }
        section.finish();
        let Some(name) = named::<SecretName>(key, span, table.wrongs) else {
            continue;
        };
        if secrets.iter().any(|secret| secret.name == name) {
            let message = format!("there is a secret \"{name}\" already");
            table.wrongs.add(span, message);
        }
        clients.push(ClientsSection {
            name,
            subjects: subjects.into_iter().map(|at| at.value).collect(),
            span: span.clone(),
        });
    }
    clients
}

fn routes(table: &Table<'_>) -> Vec<RouteSection> {
    let mut routes = Vec::new();
    let all = table.table("routes", "[routes]");
    for Entry { key, span, node } in all.iter().flat_map(Table::entries) {
        let Some(section) = Table::of("[routes.NAME]", node, table.wrongs) else {
            continue;
        };
        let name = named::<RouteName>(key, span, table.wrongs);
        let url = section.text("url");
        let http2 = section.flag("http2").unwrap_or(false);
        let timeout = section
            .duration("timeout")
            .filter(|timeout| *timeout > Duration::ZERO);
        if let (Some(name), Some(url)) = (&name, &url)
            && let Err(error) = Route::new(name.clone(), url.value)
        {
            table.wrongs.add(&url.span, error.to_string());
        }
        section.finish();
        let Some(name) = name else {
            continue;
        };
        let url = url.map_or_else(
            || format!("https://{key}.example"),
            |url| url.value.to_owned(),
        );
        routes.push(RouteSection {
            name,
            url,
            http2,
            timeout,
            span: span.clone(),
        });
    }
    if routes.is_empty() && all.is_none_or(|all| all.entries().is_empty()) {
        // A policy that is about clients alone needs none; the request goes somewhere.
        if let Ok(name) = RouteName::parse("backend") {
            routes.push(RouteSection {
                name,
                url: "https://backend.example".to_owned(),
                http2: false,
                timeout: None,
                span: 0..0,
            });
        }
    }
    routes
}

impl Known<'_> {
    pub(crate) fn check_route(&self, name: &At<RouteName>) {
        if self.routes.contains(&name.value) {
            return;
        }
        let help = nearest(
            name.value.as_str(),
            self.routes.iter().map(|name| name.as_str()),
        )
        .map(|meant| format!("did you mean \"{meant}\"?"))
        .unwrap_or_else(|| format!("add [routes.{}]", name.value));
        let message = format!("there is no route \"{}\"", name.value);
        self.wrongs.add_help(&name.span, message, help);
    }

    pub(crate) fn check_policy(&self, name: &At<PolicyName>) {
        // What a document names besides is the host's own.
        if self.policies.contains(&name.value) || self.policies.is_empty() {
            return;
        }
        let help = nearest(
            name.value.as_str(),
            self.policies.iter().map(|name| name.as_str()),
        )
        .map(|meant| format!("did you mean \"{meant}\"?"))
        .unwrap_or_else(|| "policies are those of `policy` or [[policies]]".to_owned());
        let message = format!("there is no policy \"{}\"", name.value);
        self.wrongs.add_help(&name.span, message, help);
    }

    pub(crate) fn check_secret(&self, name: &At<SecretName>) {
        if self.secrets.contains(&name.value) {
            return;
        }
        let help = nearest(
            name.value.as_str(),
            self.secrets.iter().map(|name| name.as_str()),
        )
        .map(|meant| format!("did you mean \"{meant}\"?"))
        .unwrap_or_else(|| format!("add [secrets.{}]", name.value));
        let message = format!("there is no secret \"{}\"", name.value);
        self.wrongs.add_help(&name.span, message, help);
    }

    pub(crate) fn check_grant(&self, id: &At<GrantId>) {
        if self.grants.get(&id.value).is_some() {
            return;
        }
        let help = nearest(
            id.value.as_str(),
            self.grants.iter().map(|grant| grant.id.as_str()),
        )
        .map(|meant| format!("did you mean \"{meant}\"?"))
        .unwrap_or_else(|| "ids are those of [[grant]]".to_owned());
        let message = format!("there is no grant \"{}\"", id.value);
        self.wrongs.add_help(&id.span, message, help);
    }
}
