//! `keyward policy`: what a policy is, learnt without running it.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use keyward::engine::{Inspection, ManifestAsk, Phase};
use keyward::names::{Alias, ComponentDigest, PolicyName};
use keyward::vault::{Grants, Use};
use keyward_gateway::config::{Config, PolicySection};
use serde_json::{Value, json};

use crate::Common;
use crate::exit::{Exit, Failure, Outcome};
use crate::words::{grant_for, one_line};
use crate::{grants, place};

const INSPECT: &str = "\
Reads the component without running it: its phases, all that it can reach, what its
manifest asks for, the schema of its settings and its digest. What it asks for and
is not granted is printed as TOML, ready for grants.toml.

Ends with 4 if the component is one that the gateway would refuse.

Examples:
  keyward policy inspect attach-api-key               by its name in keyward.toml
  keyward policy inspect policies/attach-api-key.wasm";

/// What a policy is and what it asks for.
#[derive(Subcommand)]
pub(crate) enum Policy {
    /// Show what a policy is and what it asks for.
    #[command(after_help = INSPECT)]
    Inspect {
        /// A component's file, or a policy's name in the configuration.
        #[arg(value_name = "FILE|NAME")]
        policy: PathBuf,
    },
}

impl Policy {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        let Self::Inspect { policy } = self;
        inspect(common, &policy)
    }
}

/// A component that was read.
pub(crate) struct Described {
    pub(crate) name: PolicyName,
    pub(crate) digest: ComponentDigest,
    pub(crate) inspection: Inspection,
}

impl Described {
    /// Reads and inspects a component.
    pub(crate) fn read(
        name: PolicyName,
        component: &Path,
        settings: &serde_json::Value,
    ) -> Result<Self, Failure> {
        let bytes = std::fs::read(component).map_err(|error| {
            Failure::io(
                error,
                format!("can't read the policy {name} from {}", component.display()),
            )
        })?;
        let mut inspection = keyward::engine::inspect(&bytes).map_err(|reason| {
            Failure::new(format!(
                "{} is not a component that can be a policy: {}",
                component.display(),
                one_line(&reason)
            ))
        })?;
        inspection.manifest = inspection
            .manifest
            .and_then(|manifest| manifest.with_settings(settings));
        Ok(Self {
            name,
            digest: keyward::vault::digest_component(&bytes),
            inspection,
        })
    }

    /// Reads and inspects the component of a configured policy. Settings that hold
    /// named values nobody has looked up are not applied.
    pub(crate) fn of(policy: &PolicySection) -> Result<Self, Failure> {
        let settings = match policy.unresolved {
            true => &Value::Null,
            false => &policy.settings,
        };
        Self::read(policy.name.clone(), &policy.component, settings)
    }

    /// The same, with its secret named values as the aliases that the grants give
    /// them.
    pub(crate) fn bound(
        config: &Config,
        policy: &PolicySection,
        grants: &Grants,
    ) -> Result<Self, Failure> {
        let described = Self::of(policy)?;
        if policy.secret_settings.is_empty() {
            return Ok(described);
        }
        let settings = config
            .bind(policy, &described.digest, described.asks(), grants)
            .map_err(|errors| Failure {
                exit: Exit::Findings,
                ..Failure::new(errors)
            })?;
        Self::read(policy.name.clone(), &policy.component, &settings)
    }

    fn asks(&self) -> &[ManifestAsk] {
        self.inspection
            .manifest
            .as_ref()
            .map(|manifest| manifest.asks.as_slice())
            .unwrap_or_default()
    }

    /// Whether its manifest asks for that use.
    pub(crate) fn asks_for(&self, alias: &Alias, use_: Use) -> bool {
        self.asks()
            .iter()
            .any(|ask| ask.alias == *alias && ask.use_ == use_.as_str())
    }

    /// What it asks for and has no grant for.
    pub(crate) fn not_granted(&self, grants: &Grants) -> Vec<&ManifestAsk> {
        let granted = |ask: &&ManifestAsk| {
            grants.iter().any(|grant| {
                grant.policy == self.name
                    && grant.alias == ask.alias
                    && grant.use_().as_str() == ask.use_
                    && grant.is_for(&self.digest)
            })
        };
        self.asks().iter().filter(|ask| !granted(ask)).collect()
    }

    /// Why the gateway would refuse it.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for import in &self.inspection.forbidden_imports {
            problems.push(format!(
                "it imports {}, which no policy can have",
                one_line(import)
            ));
        }
        if let Some(shape) = self.inspection.shape {
            problems.push(format!("it {shape}"));
        }
        if self.inspection.phases.is_empty() {
            problems.push("it exports no phase: inbound, backend, outbound or on-error".to_owned());
        }
        if let Err(error) = &self.inspection.manifest {
            problems.push(one_line(&error.to_string()));
        }
        problems
    }
}

fn inspect(common: &Common, policy: &Path) -> Outcome {
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
fn resolve(policy: &Path, config: Option<&Config>) -> Result<(Described, PathBuf), Failure> {
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
    line("phases", list(in_order(phases), "none"));
    line(
        "can reach",
        list(imports.iter().map(|import| interface(import)), "nothing"),
    );
    line("profile", declares.profile().to_string());
    line(
        "settings",
        if *takes_settings { "taken" } else { "none" }.to_owned(),
    );
    if let Ok(manifest) = manifest {
        if let Some(schema) = &manifest.settings {
            let schema = serde_json::to_string_pretty(schema).unwrap_or_default();
            lines.extend(schema.lines().map(|row| format!("  {row}")));
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

fn list<'a>(items: impl Iterator<Item = &'a str>, none: &str) -> String {
    let items: Vec<String> = items.map(one_line).collect();
    if items.is_empty() {
        none.to_owned()
    } else {
        items.join(", ")
    }
}
