//! The checks of policies, documents and what pipelines make of them.

use std::path::Path;

use keyward::Keyward;
use keyward::document::{self, Document};
use keyward::engine::{Phase, PolicySource};
use keyward::names::PolicyName;
use keyward::vault::Vault;
use keyward_gateway::config::{Config, PolicySection, Steps};
use serde_json::Value;

use super::Checks;
use crate::output::counted;
use crate::policy::Described;
use crate::words::one_line;

/// Loads each policy with its settings, as `keyward serve` does.
pub(super) fn loading(checks: &mut Checks, config: &Config, vault: Vault) {
    let keyward = match Keyward::builder(vault)
        .routes(config.routes.iter().cloned())
        .build()
    {
        Ok(keyward) => keyward,
        Err(error) => {
            checks.bad(
                "engine",
                error.to_string(),
                "correct the route, or see whether this machine allows enough memory",
            );
            return;
        }
    };
    if keyward.engine().is_debuggable() {
        checks.bad(
            "engine",
            "lets a debugger read guests",
            "use a build without the feature testkit",
        );
    }
    let uses = uses(config);
    let mut good = 0_usize;
    for Used {
        place,
        phase,
        policy,
        settings,
    } in &uses
    {
        // What can't be read is told by the check of the policies.
        let Ok(component) = std::fs::read(&policy.component) else {
            continue;
        };
        let settings = settings.as_ref().unwrap_or(&policy.settings);
        let given = settings
            .as_object()
            .is_none_or(|settings| !settings.is_empty());
        let source = PolicySource {
            name: policy.name.clone(),
            component: &component,
            settings: given.then_some(settings),
            routes: &policy.routes,
            issuers: &[],
        };
        match keyward.engine().load(&source) {
            Ok(loaded) if loaded.phases().contains(phase) => good = good.saturating_add(1),
            Ok(_) => checks.bad(
                "policy loads",
                format!("{place}: policy {} has no {phase} phase", policy.name),
                format!(
                    "`keyward policy inspect {}` shows the phases that it has",
                    policy.name
                ),
            ),
            Err(error) => checks.bad(
                "policy loads",
                format!("{place}: {}", one_line(&error.to_string())),
                format!(
                    "`keyward policy inspect {}` shows the schema of its settings",
                    policy.name
                ),
            ),
        }
    }
    if good == uses.len() {
        checks.good(
            "policies load",
            format!("{} with their settings", counted(good, "use")),
        );
    }
}

/// A place where a policy runs.
struct Used<'a> {
    place: String,
    phase: Phase,
    policy: &'a PolicySection,
    /// The document's; the configuration's where there are none.
    settings: Option<Value>,
}

/// Where policies run. Documents that can't be read and policies that are not
/// there are told by other checks.
fn uses(config: &Config) -> Vec<Used<'_>> {
    let section = |name: &PolicyName| config.policies.iter().find(|policy| policy.name == *name);
    let global = config.gateway.document.as_deref().and_then(read_document);
    let mut uses = Vec::new();
    for pipeline in &config.pipelines {
        match &pipeline.steps {
            Steps::Lists {
                inbound,
                backend,
                outbound,
                on_error,
            } => {
                for (phase, names) in Phase::ALL
                    .into_iter()
                    .zip([inbound, backend, outbound, on_error])
                {
                    for policy in names.iter().filter_map(section) {
                        uses.push(Used {
                            place: format!("pipeline {}", pipeline.path),
                            phase,
                            policy,
                            settings: None,
                        });
                    }
                }
            }
            Steps::Document(file) => {
                let Some(document) = read_document(file) else {
                    continue;
                };
                let effective = document.splice(global.as_ref());
                for (phase, section_of) in Phase::ALL.into_iter().zip(document::Phase::ALL) {
                    for call in effective.calls(section_of) {
                        let Some(policy) = section(&call.policy) else {
                            continue;
                        };
                        uses.push(Used {
                            place: call.position.to_string(),
                            phase,
                            policy,
                            settings: call.settings,
                        });
                    }
                }
            }
        }
    }
    uses
}

fn read_document(file: &Path) -> Option<Document> {
    let text = std::fs::read_to_string(file).ok()?;
    Document::parse(&file.display().to_string(), &text).ok()
}

/// Whether each policy's component can be read and is one.
pub(super) fn policies(checks: &mut Checks, config: &Config) {
    let mut good = 0_usize;
    for policy in &config.policies {
        match Described::of(policy) {
            Ok(described) => match described.problems().first() {
                None => good = good.saturating_add(1),
                Some(problem) => checks.bad(
                    "policy",
                    format!("{}: {problem}", policy.name),
                    format!("see `keyward policy inspect {}`", policy.name),
                ),
            },
            Err(failure) => {
                checks.bad(
                    "policy",
                    format!("{:#}", failure.error),
                    "build the component, or correct its path in the configuration",
                );
            }
        }
    }
    if good == config.policies.len() {
        checks.good("policies", format!("{good} well formed"));
    }
}

/// Whether the documents can be read, and what they come to.
pub(super) fn documents(checks: &mut Checks, config: &Config) {
    let global = config.gateway.document.iter();
    let pipelines = config
        .pipelines
        .iter()
        .filter_map(|pipeline| match &pipeline.steps {
            Steps::Document(file) => Some(file),
            Steps::Lists { .. } => None,
        });
    let mut files: Vec<_> = global.chain(pipelines).collect();
    files.sort();
    files.dedup();
    let mut good = 0_usize;
    for file in &files {
        let name = file.display().to_string();
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                checks.bad(
                    "document",
                    format!("{name}: {error}"),
                    "correct its path in the configuration",
                );
                continue;
            }
        };
        match Document::parse_with(&name, &text, &config.in_documents(None)) {
            Ok(_) => good = good.saturating_add(1),
            Err(errors) => {
                let first = errors
                    .iter()
                    .next()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                checks.bad(
                    "document",
                    format!("{}; the first: {first}", counted(errors.count(), "error")),
                    "correct the document",
                );
            }
        }
    }
    if good == files.len() && good > 0 {
        checks.good("documents", format!("{good} read"));
    }
    in_force(checks, config);
}

/// What the documents of pipelines come to with the outer scope's.
fn in_force(checks: &mut Checks, config: &Config) {
    let global = config.gateway.document.as_deref().and_then(read_document);
    for pipeline in &config.pipelines {
        let Steps::Document(file) = &pipeline.steps else {
            continue;
        };
        let Some(document) = read_document(file) else {
            continue;
        };
        let effective = document.splice(global.as_ref());
        for dropped in effective.dropped() {
            checks.warning(
                "document",
                format!(
                    "{} has no <{phase}> section, which puts {} of the outer scope out of force, from {} on",
                    document.file(),
                    counted(dropped.steps, "step"),
                    dropped.first,
                    phase = dropped.phase,
                ),
                format!("write <{phase}><base /></{phase}> to inherit them, or <{phase} /> to say that you mean it", phase = dropped.phase),
            );
        }
        for phase in document::Phase::ALL {
            for call in effective.calls(phase) {
                if !config
                    .policies
                    .iter()
                    .any(|policy| policy.name == call.policy)
                {
                    checks.bad(
                        "document",
                        format!("{}: there is no policy {}", call.position, call.policy),
                        format!(
                            "add a [[policy]] with that name to {}",
                            config.file.display()
                        ),
                    );
                }
            }
        }
    }
}
