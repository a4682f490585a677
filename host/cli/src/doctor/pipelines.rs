//! The checks of policies, documents and what pipelines make of them.

use keyward::document;
use keyward::document::Severity;
use keyward::document::compile::Step;
use keyward::document::model::{Effective, Node};
use keyward::engine::{Phase, PolicySource};
use keyward::names::PolicyName;
use keyward::vault::Vault;
use keyward::{Keyward, Runs};
use keyward_gateway::config::{Config, InDocuments, PolicySection, Steps, Values};
use keyward_gateway::documents::{
    CompiledDocuments, DocumentFault, Documents, Dropped, fragment_files,
};

use super::Checks;
use crate::output::counted;
use crate::policy::Described;
use crate::words::one_line;

/// Loads each policy with its settings, as `keyward serve` does.
pub(super) fn loading(checks: &mut Checks, config: &Config, values: &Values, vault: Vault) {
    let documents = match CompiledDocuments::of(config, &config.in_documents(Some(values))) {
        Ok(documents) => documents,
        Err(fault) => {
            // What is wrong with a document by itself was told with the documents.
            if in_force(config, &config.in_documents(None)).is_ok() {
                let (detail, fix) = words(&fault);
                checks.bad("documents run", detail, fix);
            }
            return;
        }
    };
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
    let uses = uses(config, &documents);
    let mut good = 0_usize;
    for Used {
        place,
        phase,
        policy,
        runs,
    } in &uses
    {
        // What can't be read is told by the check of the policies.
        let Ok(component) = std::fs::read(&policy.component) else {
            continue;
        };
        let settings = runs.map_or(&policy.settings, |runs| &runs.settings);
        let given = settings
            .as_object()
            .is_none_or(|settings| !settings.is_empty());
        let source = PolicySource {
            name: policy.name.clone(),
            component: &component,
            settings: given.then_some(settings),
            routes: &policy.routes,
            issuers: &[],
            document: runs.map(|runs| runs.asks.as_slice()),
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
    /// The documents that it runs; none: it has the configuration's settings.
    runs: Option<&'a Runs>,
}

/// Where policies run. Documents that can't be read and policies that are not
/// there are told by other checks.
fn uses<'a>(config: &'a Config, documents: &'a CompiledDocuments) -> Vec<Used<'a>> {
    let section = |name: &PolicyName| config.policies.iter().find(|policy| policy.name == *name);
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
                            runs: None,
                        });
                    }
                }
            }
            Steps::Documents(_) => {
                let Some(documents) = documents.of_pipeline(&pipeline.path) else {
                    continue;
                };
                for (phase, section_of) in Phase::ALL.into_iter().zip(document::Phase::ALL) {
                    for step in documents.compiled.steps(section_of) {
                        let (name, place, runs) = match step {
                            Step::Segment => (
                                &documents.runs_as,
                                format!("pipeline {}", pipeline.path),
                                Some(&documents.runs),
                            ),
                            Step::Policy { name, position } => (name, position.to_string(), None),
                        };
                        if let Some(policy) = section(name) {
                            uses.push(Used {
                                place,
                                phase,
                                policy,
                                runs,
                            });
                        }
                    }
                }
            }
        }
    }
    uses
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

/// What is wrong with a document, on one line, and what to do.
fn words(fault: &DocumentFault) -> (String, &'static str) {
    match fault {
        DocumentFault::Invalid(errors) => {
            let first = errors.first_error().map(ToString::to_string);
            let count = errors
                .iter()
                .filter(|error| error.severity() == Severity::Error);
            let count = counted(count.count(), "error");
            let first = first.unwrap_or_default();
            (
                format!("{count}; the first: {first}"),
                "correct the document",
            )
        }
        DocumentFault::Unreadable { file, source, .. } => (
            format!("{}: {source}", file.display()),
            "correct its path in the configuration",
        ),
        other => (one_line(&other.to_string()), "see `keyward document check`"),
    }
}

/// Whether each pipeline's documents can be put together.
fn in_force(config: &Config, told: &InDocuments<'_>) -> Result<(), DocumentFault> {
    let documents = Documents::read(config, told)?;
    for pipeline in &config.pipelines {
        if let Steps::Documents(steps) = &pipeline.steps {
            documents.effective(steps, told)?;
        }
    }
    Ok(())
}

/// Whether the documents can be read, and what they come to. What named values bring is
/// checked where they are.
pub(super) fn documents(checks: &mut Checks, config: &Config) {
    let told = &config.in_documents(None);
    let with_documents = config
        .pipelines
        .iter()
        .filter_map(|pipeline| match &pipeline.steps {
            Steps::Documents(steps) => Some(steps),
            Steps::Lists { .. } => None,
        });
    let with_documents: Vec<_> = with_documents.collect();
    let mut files = std::collections::BTreeSet::new();
    files.extend(config.gateway.document.clone());
    files.extend(fragment_files(config));
    files.extend(with_documents.iter().flat_map(|steps| steps.files.clone()));
    if files.is_empty() {
        return;
    }
    let mut bad = |fault: &DocumentFault| {
        let (detail, fix) = words(fault);
        checks.bad("document", detail, fix);
    };
    let mut dropped = Vec::new();
    let mut names = Vec::new();
    let good = match Documents::read(config, told) {
        Err(fault) => {
            bad(&fault);
            false
        }
        Ok(documents) => {
            let mut good = true;
            for steps in with_documents {
                match documents.effective(steps, told) {
                    Ok(in_force) => {
                        dropped.extend(in_force.dropped);
                        names.extend(called(&in_force.effective));
                    }
                    Err(fault) => {
                        bad(&fault);
                        good = false;
                    }
                }
            }
            good
        }
    };
    if good {
        checks.good("documents", format!("{} read", files.len()));
    }
    for dropped in dropped {
        let Dropped {
            file,
            phase,
            first,
            steps,
        } = dropped;
        checks.warning(
            "document",
            format!(
                "{file} has no <{phase}> section, which puts {steps} of the outer scope out of force, from {first} on"
            ),
            format!("write <{phase}><base /></{phase}> to inherit them, or <{phase} /> to say that you mean it"),
        );
    }
    for (name, file) in names {
        if !config
            .policies
            .iter()
            .any(|policy| policy.name.as_str() == name)
        {
            checks.bad(
                "document",
                format!("{file}: there is no policy {name}"),
                format!(
                    "add a [[policy]] with that name to {}",
                    config.file.display()
                ),
            );
        }
    }
}

/// The policies that documents call, and where.
fn called(effective: &Effective) -> Vec<(String, String)> {
    let nodes = document::Phase::ALL
        .into_iter()
        .flat_map(|phase| effective.phase(phase))
        .flat_map(Node::walk)
        .filter(|node| node.name() == "wasm-policy");
    let name = |node: &Node| {
        let name = node.attribute("name")?.as_text()?.to_owned();
        Some((name, effective.position(node).to_string()))
    };
    nodes.filter_map(name).collect()
}
