//! `keyward policy inspect`: what a policy is and what it asks for.

use std::path::{Path, PathBuf};

use keyward::engine::{Inspection, Phase};
use keyward::names::PolicyName;
use keyward::vault::{Grants, Use};
use keyward_gateway::config::Config;
use serde_json::{Value, json};

use super::described::Described;
use crate::exit::{Exit, Failure, Outcome};
use crate::words::{grant_for, one_line};
use crate::{Common, grants, place};

/// A page of WebAssembly memory.
const PAGE_BYTES: u64 = 64 * 1024;

pub(super) const INSPECT: &str = "\
Reads the component without running it: its phases, all that it can reach, what its
manifest asks for, its settings, its size and its digest. What it asks for and
is not granted is printed as TOML, ready for grants.toml.

Ends with 4 if the component is one that the gateway would refuse.

Examples:
  keyward policy inspect attach-api-key               by its name in keyward.toml
  keyward policy inspect policies/attach-api-key.wasm";

pub(super) fn inspect(common: &Common, policy: &Path) -> Outcome {
    let output = common.output();
    // A component can be looked at where there is no gateway.
    let config = match (common.config(), place::find(None)) {
        (None, Err(_)) => None,
        (named, _) => Some(place::load(named)?),
    };
    let (described, component) = resolve(policy, config.as_ref())?;
    let grants = config
        .as_ref()
        .map(grants::read)
        .transpose()?
        .unwrap_or_else(Grants::none);
    let missing = described.not_granted(&grants);
    let route = config
        .as_ref()
        .and_then(|config| config.route_names.first());
    let snippets: Vec<String> = missing
        .iter()
        .map(|ask| grant_for(&described.name, ask, route))
        .collect();
    let problems = described.problems();
    output.data(
        || text(&described, &component, &snippets),
        || to_json(&described, &component, &snippets, &problems),
    );
    for problem in &problems {
        output.warn(problem);
    }
    Ok(if problems.is_empty() {
        Exit::Success
    } else {
        Exit::Findings
    })
}

/// Reads a policy of the configuration by its name, or else a file.
pub(super) fn resolve(
    policy: &Path,
    config: Option<&Config>,
) -> Result<(Described, PathBuf), Failure> {
    let named = policy
        .to_str()
        .and_then(|text| PolicyName::parse(text).ok());
    if let (Some(name), Some(config)) = (named, config)
        && let Some(section) = config.policies.iter().find(|section| section.name == name)
    {
        return Ok((Described::of(section)?, section.component.clone()));
    }
    if !policy.exists() {
        let known: Vec<&str> = config
            .iter()
            .flat_map(|config| &config.policies)
            .map(|section| section.name.as_str())
            .collect();
        return Err(Failure::new(format!(
            "{} is neither a file nor a policy of the configuration",
            policy.display()
        ))
        .help(format!(
            "policies there are: {}",
            list(known.into_iter(), "none")
        )));
    }
    // A file has no name of the operator's: what it calls itself will do.
    let stem = policy
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let name = PolicyName::parse(stem)
        .or_else(|_| PolicyName::parse("policy"))
        .map_err(Failure::new)?;
    let mut described = Described::read(name, policy, &serde_json::Value::Null)?;
    if let Ok(manifest) = &described.inspection.manifest
        && let Ok(name) = PolicyName::parse(&manifest.name)
    {
        described.name = name;
    }
    Ok((described, policy.to_owned()))
}

fn text(described: &Described, component: &Path, snippets: &[String]) -> String {
    let Inspection {
        imports,
        phases,
        takes_settings,
        manifest,
        declares,
        ..
    } = &described.inspection;
    let mut lines = Vec::new();
    let mut line = |title: &str, text: String| lines.push(format!("{title:<13}{text}"));
    line("policy", described.name.to_string());
    if let Ok(manifest) = manifest {
        let version = one_line(&manifest.version);
        let version = if version.is_empty() {
            version
        } else {
            format!(" {version}")
        };
        line(
            "calls itself",
            format!("{}{version}", one_line(&manifest.name)),
        );
        line("description", one_line(&manifest.description));
    }
    line("file", component.display().to_string());
    line("digest", described.digest.to_string());
    line("size", format!("{} B", described.bytes));
    line("phases", list(in_order(phases), "none"));
    line(
        "can reach",
        list(imports.iter().map(|import| interface(import)), "nothing"),
    );
    let pages = declares.memory_bytes.div_ceil(PAGE_BYTES);
    let plural = if pages == 1 { "" } else { "s" };
    line(
        "profile",
        format!("{}, {pages} page{plural} of memory", declares.profile()),
    );
    line(
        "settings",
        if *takes_settings { "taken" } else { "none" }.to_owned(),
    );
    if let Ok(manifest) = manifest {
        if let Some(schema) = &manifest.settings {
            lines.extend(super::schema::lines(schema));
        }
        let asks = manifest.asks.iter().map(|ask| {
            let why = one_line(&ask.why);
            let why = if why.is_empty() {
                why
            } else {
                format!(": {why}")
            };
            let class = ask
                .use_
                .parse::<Use>()
                .map(|use_| format!(" (class {})", use_.class()))
                .unwrap_or_default();
            format!("  {} of {}{class}{why}", one_line(&ask.use_), ask.alias)
        });
        lines.push(if manifest.asks.is_empty() {
            "asks for     nothing".to_owned()
        } else {
            "asks for".to_owned()
        });
        lines.extend(asks);
    }
    if !snippets.is_empty() {
        lines.push("\nNot granted. For grants.toml, once you have decided:\n".to_owned());
        lines.push(snippets.join("\n"));
    }
    lines.join("\n")
}

fn to_json(
    described: &Described,
    component: &Path,
    snippets: &[String],
    problems: &[String],
) -> Value {
    let Inspection {
        imports,
        exports,
        phases,
        takes_settings,
        manifest,
        declares,
        ..
    } = &described.inspection;
    json!({
        "policy": described.name.as_str(),
        "file": component,
        "digest": described.digest.to_string(),
        "bytes": described.bytes,
        "memory-bytes": declares.memory_bytes,
        "phases": in_order(phases).collect::<Vec<_>>(),
        "imports": imports,
        "exports": exports,
        "takes-settings": takes_settings,
        "profile": declares.profile().as_str(),
        "manifest": manifest.as_ref().ok(),
        "not-granted": snippets,
        "problems": problems,
    })
}

/// The phases in the order in which they come.
fn in_order(phases: &[Phase]) -> impl Iterator<Item = &'static str> {
    Phase::ALL
        .into_iter()
        .filter(|phase| phases.contains(phase))
        .map(Phase::as_str)
}

/// `secrets` of `keyward:policy/secrets@0.1.0`; anything else as it is.
fn interface(import: &str) -> &str {
    import
        .strip_prefix("keyward:policy/")
        .and_then(|rest| rest.split('@').next())
        .unwrap_or(import)
}

pub(super) fn list<'a>(items: impl Iterator<Item = &'a str>, none: &str) -> String {
    let items: Vec<String> = items.map(one_line).collect();
    if items.is_empty() {
        none.to_owned()
    } else {
        items.join(", ")
    }
}
