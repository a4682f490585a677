//! From a suite's text to a suite: what its cases have in common.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use keyward::egress::Route;
use keyward::engine::{BOUNDS, Limits, Phase};
use keyward::names::{GrantId, PolicyName, RouteName, SecretName, Subject, ValueName};
use keyward::vault::{Grants, KeyEncoding, Kind, MacAlgorithm, Validity};
use toml::de::DeTable;

use super::errors::{SuiteErrors, nearest};
use super::node::{Entry, Node, Value, entries};
use super::parse_case;
use super::parse_mock;
use super::reader::{Table, Wrongs};
use super::{
    At, ClientsSection, PolicyUnderTest, RouteSection, SecretSection, SecretValue, Span, Suite,
    ValueSection, ValueText,
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

    let secrets = secrets(&table);
    let clients = clients(&table, &secrets);
    let mut names: Vec<SecretName> = secrets.iter().map(|one| one.name.clone()).collect();
    names.extend(clients.iter().map(|one| one.name.clone()));
    let values = values(&table, &names);
    let routes = routes(&table);
    table.get("grant");
    let grants = grants(file, text, &top, wrongs);
    let known = Known {
        wrongs,
        policies: Vec::new(),
        routes: routes.iter().map(|route| route.name.clone()).collect(),
        secrets: names,
        clients,
        values,
        grants,
    };
    let document = path(&table, "document", file);
    let global_document = path(&table, "global-document", file);
    let policies = policies(&table, file, document.is_some(), &known);
    let known = Known {
        policies: policies.iter().map(|policy| policy.name.clone()).collect(),
        ..known
    };
    check_grants(&known, text, &top);
    let backends = table
        .tables("backend", "[[backend]]")
        .into_iter()
        .filter_map(|backend| parse_mock::backend(backend, &known))
        .collect();
    let cases = parse_case::cases(&table, &known);
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
        document,
        global_document,
        secrets,
        clients: known.clients,
        values: known.values,
        routes,
        grants: known.grants,
        backends,
        cases,
        property,
    })
}

/// A file, relative to the suite's.
fn path(table: &Table<'_>, key: &'static str, file: &Path) -> Option<At<PathBuf>> {
    let text = table.text(key)?;
    Some(At {
        value: beside(file, Path::new(text.value)),
        span: text.span,
    })
}

fn beside(file: &Path, path: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) => folder.join(path),
        None => path.to_owned(),
    }
}

fn policies(
    table: &Table<'_>,
    file: &Path,
    has_document: bool,
    known: &Known<'_>,
) -> Vec<PolicyUnderTest> {
    let wrongs = known.wrongs;
    let component = path(table, "policy", file);
    let sections = table.tables("policies", "[[policies]]");
    if !sections.is_empty() {
        if let Some(component) = &component {
            let message = "a suite has `policy` or [[policies]], not both";
            wrongs.add(&component.span, message);
        }
        let mut policies: Vec<PolicyUnderTest> = Vec::new();
        for section in sections {
            let Some(policy) = listed(section, file, known) else {
                continue;
            };
            if policies.iter().any(|other| other.name == policy.name) {
                let message = format!("there are two policies \"{}\"", policy.name);
                wrongs.add(&policy.component.span, message);
            }
            policies.push(policy);
        }
        return policies;
    }
    let component = match component {
        Some(component) => component,
        None => match of_package(file) {
            Some(component) => At {
                value: component,
                span: 0..0,
            },
            None if has_document => return Vec::new(),
            None => {
                wrongs.add_help(
                    &(0..0),
                    "the suite names no policy, and there is none of a package around it",
                    "add: policy = \"NAME.wasm\", the component relative to this file; or build the package's with `keyward policy build`",
                );
                return Vec::new();
            }
        },
    };
    let stem = component.value.file_stem().unwrap_or_default();
    let name = match PolicyName::parse(&stem.to_string_lossy()) {
        Ok(name) => name,
        Err(error) => {
            let help =
                "a policy is called like its component's file; name it otherwise with [[policies]]";
            wrongs.add_help(&component.span, error.to_string(), help);
            return Vec::new();
        }
    };
    vec![PolicyUnderTest {
        settings: settings(table, &name, known),
        phases: phases(table),
        routes: callable(table, "calls", known),
        limits: limits(table),
        name,
        component,
    }]
}

/// One of `[[policies]]`.
fn listed(section: Table<'_>, file: &Path, known: &Known<'_>) -> Option<PolicyUnderTest> {
    let name = section.parsed::<PolicyName>("name");
    let component = path(&section, "component", file);
    if component.is_none() {
        section.missing("component", "\"NAME.wasm\"");
    }
    let stem = |component: &At<PathBuf>| {
        let stem = component.value.file_stem()?.to_str()?;
        PolicyName::parse(stem).ok()
    };
    let name = match (name, &component) {
        (Some(name), _) => Some(name.value),
        (None, Some(component)) => {
            let name = stem(component);
            if name.is_none() {
                section.missing("name", "\"rate-limit\"");
            }
            name
        }
        (None, None) => None,
    };
    let settings = name
        .as_ref()
        .and_then(|name| settings(&section, name, known));
    let policy = PolicyUnderTest {
        settings,
        phases: phases(&section),
        routes: callable(&section, "routes", known),
        limits: limits(&section),
        name: name?,
        component: component?,
    };
    section.finish();
    Some(policy)
}

/// The component of the package that a file lies in, if it is built.
fn of_package(file: &Path) -> Option<PathBuf> {
    let folder = std::path::absolute(file).ok()?;
    let mut above = folder.ancestors().skip(1);
    let name = above.find_map(|folder| {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).ok()?;
        let table: toml::Table = manifest.parse().ok()?;
        let name = table.get("package")?.get("name")?.as_str()?;
        Some(name.to_owned())
    })?;
    let above = folder.ancestors().skip(1);
    above
        .map(|folder| folder.join("target/policies").join(format!("{name}.wasm")))
        .find(|component| component.exists())
}

fn settings(
    table: &Table<'_>,
    policy: &PolicyName,
    known: &Known<'_>,
) -> Option<serde_json::Value> {
    let node = table.get("settings")?;
    Some(settings_of(node, policy, known))
}

/// Settings, their named values filled in: a plain one by its text, a secret one by the
/// alias under which a grant gives it to the policy.
pub(crate) fn settings_of(
    node: &Node,
    policy: &PolicyName,
    known: &Known<'_>,
) -> serde_json::Value {
    if !matches!(node.value, Value::Table(_)) {
        let message = format!("`settings` is a table, not {}", node.what());
        known.wrongs.add(&node.span, message);
    }
    node.json(&mut |text, span| named_values(text, span, policy, known))
}

fn named_values(text: &str, span: &Span, policy: &PolicyName, known: &Known<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            break;
        };
        out.push_str(before);
        let name = name.trim();
        match known
            .values
            .iter()
            .find(|value| value.name.as_str() == name)
        {
            Some(value) => match &value.value {
                ValueText::Plain(plain) => out.push_str(plain),
                ValueText::Secret(secret) => {
                    let mut grants = known.grants.iter();
                    let grant =
                        grants.find(|grant| grant.policy == *policy && grant.secret == *secret);
                    match grant {
                        Some(grant) => out.push_str(grant.alias.as_str()),
                        None => known.wrongs.add_help(
                            span,
                            format!("the named value \"{name}\" is secret, and no grant gives it to \"{policy}\""),
                            "add a [[grant]] of it; the setting becomes its alias",
                        ),
                    }
                }
            },
            None => {
                let names = known.values.iter().map(|value| value.name.as_str());
                let meant = nearest(name, names)
                    .map(|meant| format!("did you mean \"{meant}\"?"))
                    .unwrap_or_else(|| "add it to [named-values]".to_owned());
                let message = format!("there is no named value \"{}\"", name.escape_debug());
                known.wrongs.add_help(span, message, meant);
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn phases(table: &Table<'_>) -> Option<Vec<Phase>> {
    let words: Vec<At<String>> = table.parsed_list("phases")?;
    let phases = words.into_iter().filter_map(|word| {
        let found = phase(&word.value);
        if found.is_none() {
            let help = "phases are inbound, backend, outbound and on-error";
            table.wrongs.add_help(&word.span, "no such phase", help);
        }
        found
    });
    Some(phases.collect())
}

pub(crate) fn phase(word: &str) -> Option<Phase> {
    Phase::ALL.into_iter().find(|phase| phase.as_str() == word)
}

fn callable(table: &Table<'_>, key: &'static str, known: &Known<'_>) -> Vec<RouteName> {
    let names: Vec<At<RouteName>> = table.parsed_list(key).unwrap_or_default();
    names
        .into_iter()
        .map(|name| {
            known.check_route(&name);
            name.value
        })
        .collect()
}

fn limits(table: &Table<'_>) -> Option<Limits> {
    let section = table.table("limits", "limits")?;
    let mut limits = Limits::default();
    for (name, least, most) in BOUNDS {
        if let Some(value) = section.whole(name, least, most) {
            limits.set(name, value.value);
        }
    }
    section.finish();
    Some(limits)
}

fn secrets(table: &Table<'_>) -> Vec<SecretSection> {
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
        let value = section
            .text("value")
            .map(|text| text.value.as_bytes().to_vec());
        let validity = Validity {
            not_before: section.parsed::<Timestamp>("not-before").map(|at| at.value),
            not_after: section.parsed::<Timestamp>("not-after").map(|at| at.value),
        };
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
                value: value.map(SecretValue),
                validity,
                disabled,
                span: span.clone(),
            });
        }
    }
    secrets
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

fn values(table: &Table<'_>, secrets: &[SecretName]) -> Vec<ValueSection> {
    let Some(all) = table.table("named-values", "[named-values]") else {
        return Vec::new();
    };
    let mut values = Vec::new();
    for Entry { key, span, node } in all.entries() {
        let Some(name) = named::<ValueName>(key, span, table.wrongs) else {
            continue;
        };
        let value = match &node.value {
            Value::Text(text) => Some(ValueText::Plain(text.clone())),
            Value::Table(_) => Table::of("a named value", node, table.wrongs).and_then(|section| {
                let secret = section.parsed::<SecretName>("secret");
                section.finish();
                let secret = secret?;
                if !secrets.contains(&secret.value) {
                    let message = format!("there is no secret \"{}\"", secret.value);
                    table.wrongs.add(&secret.span, message);
                }
                Some(ValueText::Secret(secret.value))
            }),
            _ => {
                let message = format!("a named value is a string, not {}", node.what());
                let help = "a secret one is written { secret = \"NAME\" }";
                table.wrongs.add_help(&node.span, message, help);
                None
            }
        };
        values.extend(value.map(|value| ValueSection { name, value }));
    }
    values
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

/// The grants, read by the parser of grants files from a text in which all else is
/// blank: so places are right.
fn grants(file: &Path, text: &str, top: &[Entry], wrongs: &Wrongs) -> Grants {
    let mut blank: Vec<u8> = text
        .bytes()
        .map(|byte| if byte == b'\n' { b'\n' } else { b' ' })
        .collect();
    for region in grant_regions(text, top) {
        if let (Some(to), Some(from)) = (
            blank.get_mut(region.clone()),
            text.as_bytes().get(region.clone()),
        ) {
            to.copy_from_slice(from);
        }
    }
    let blank = String::from_utf8_lossy(&blank).into_owned();
    match Grants::parse(&file.display().to_string(), &blank) {
        Ok(grants) => grants,
        Err(error) => {
            for (line, column, message) in error.problems() {
                wrongs.add(&place(text, line, column), message);
            }
            Grants::none()
        }
    }
}

/// From a place to the end of what stands there.
fn place(text: &str, line: usize, column: usize) -> Span {
    let mut start = 0;
    for (number, written) in text.split_inclusive('\n').enumerate() {
        if number + 1 == line {
            let within: usize = written.chars().take(column - 1).map(char::len_utf8).sum();
            let rest = written.get(within..).unwrap_or_default().trim_end();
            return start + within..start + within + rest.len();
        }
        start += written.len();
    }
    text.len()..text.len()
}

/// Which bytes of a text are about grants.
fn grant_regions(text: &str, top: &[Entry]) -> Vec<Span> {
    let Some(grant) = top.iter().find(|entry| entry.key == "grant") else {
        return Vec::new();
    };
    let after = text.get(grant.span.end..).unwrap_or_default().trim_start();
    if after.starts_with('=') {
        return std::iter::once(grant.span.start..grant.node.span.end).collect();
    }
    let Value::List(items) = &grant.node.value else {
        return std::iter::once(grant.span.start..grant.node.span.end).collect();
    };
    let mut regions = Vec::new();
    for item in items {
        let mut inner = item.span.clone();
        extent(item, &mut inner);
        // From the header's line on, which its span may or may not have.
        let before = text.get(..inner.start).unwrap_or_default();
        let start = if text
            .get(inner.clone())
            .is_some_and(|own| own.starts_with("[["))
        {
            inner.start
        } else {
            before.rfind("[[").unwrap_or(inner.start)
        };
        regions.push(start..inner.end);
    }
    regions
}

/// Widens a span to all that is in a node.
fn extent(node: &Node, span: &mut Span) {
    span.start = span.start.min(node.span.start);
    span.end = span.end.max(node.span.end);
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| extent(item, span)),
        Value::Table(entries) => {
            for entry in entries {
                span.start = span.start.min(entry.span.start);
                span.end = span.end.max(entry.span.end);
                extent(&entry.node, span);
            }
        }
        _ => {}
    }
}

/// Names in grants that the suite does not have: a slip there would only show as a use
/// that is denied.
fn check_grants(known: &Known<'_>, text: &str, top: &[Entry]) {
    for (grant, region) in known.grants.iter().zip(grant_regions(text, top)) {
        let find = |name: &str| {
            let written = text.get(region.clone()).unwrap_or_default();
            let quoted = format!("\"{name}\"");
            let at = written
                .find(&quoted)
                .map_or(region.start, |at| region.start + at);
            at..at + quoted.len()
        };
        if !known.secrets.contains(&grant.secret) {
            let name = grant.secret.as_str();
            let help = nearest(name, known.secrets.iter().map(|name| name.as_str()))
                .map(|meant| format!("did you mean \"{meant}\"?"))
                .unwrap_or_else(|| format!("add [secrets.{name}] or [clients.{name}]"));
            let message = format!("there is no secret \"{name}\"");
            known.wrongs.add_help(&find(name), message, help);
        }
    }
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
