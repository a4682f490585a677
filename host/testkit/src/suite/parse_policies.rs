//! Reading which policies a suite is about, and their settings.

use std::path::{Path, PathBuf};

use keyward::engine::{BOUNDS, Limits, Phase};
use keyward::names::{PolicyName, RouteName};

use super::errors::nearest;
use super::node::{Node, Value};
use super::parse::{Known, path};
use super::reader::Table;
use super::{At, PolicyUnderTest, Span, ValueText};

pub(crate) fn policies(
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
    let (limits, set_limits) = limits(table);
    vec![PolicyUnderTest {
        settings: settings(table, &name, known),
        phases: phases(table),
        routes: callable(table, "calls", known),
        issuers: Vec::new(),
        limits,
        set_limits,
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
    let (limits, set_limits) = limits(&section);
    let policy = PolicyUnderTest {
        settings,
        phases: phases(&section),
        routes: callable(&section, "routes", known),
        issuers: Vec::new(),
        limits,
        set_limits,
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

/// The limits that a policy gets, if any are set, and which.
fn limits(table: &Table<'_>) -> (Option<Limits>, Vec<&'static str>) {
    let mut set = Vec::new();
    let Some(section) = table.table("limits", "limits") else {
        return (None, set);
    };
    let mut limits = Limits::default();
    for (name, least, most) in BOUNDS {
        if let Some(value) = section.whole(name, least, most) {
            limits.set(name, value.value);
            set.push(name);
        }
    }
    section.finish();
    (Some(limits), set)
}
